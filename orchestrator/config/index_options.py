"""Options of the module that fits line-strength indices: EquivalentWidthFit."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.config.option_types import Flag, InputPath, Number, Words
from orchestrator.config.spectrum_options import (
    CommonOptions,
    DustOptions,
    SFHOptions,
    SpectrumOptions,
    SSPOptions,
)
from orchestrator.errors import DataError
from orchestrator.observation.line_indices import canonical_name, gas_lines_near

__all__ = ["DEFAULT_INDICES", "EquivalentWidthFitOptions"]

DEFAULT_INDICES = ("Dn4000", "HdeltaA", "HgammaA", "Hbeta", "Mgb", "Fe5270", "Fe5335")
"""Age from the break and the Balmer lines, metallicity from magnesium and iron."""

_KEPT_WITH_A_TABLE = ("redshift", "ssp_lsf", "wl_norm_range", "velscale", "input_spectrum")
_WITHOUT_EFFECT = ("distance_mpc", "fit_grid", "measure_emission_lines")
_Width = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class EquivalentWidthFitOptions(CommonOptions, SSPOptions, DustOptions, SFHOptions, SpectrumOptions):
    """Options of EquivalentWidthFit: star-formation history from line-strength indices, with emission."""

    input_spectrum: InputPath | None = Field(  # type: ignore[assignment]
        None, alias="inputSpectrum", description="file of the spectrum in which the indices are measured"
    )
    input_indices: InputPath | None = Field(
        None, alias="inputIndices", description="table of index, value and error, in place of a spectrum"
    )
    ew_names: Words = Field(
        (),
        description=(
            "names of the indices; all of the table `inputIndices`, or for a spectrum " + ", ".join(DEFAULT_INDICES)
        ),
    )
    index_resolution: Literal["data", "lick"] | _Width = Field(
        "data",
        description="resolution of the indices: `data`, `lick` (Lick/IDS), or a FWHM in Angstrom (rest frame)",
    )
    los_vel: Number = Field(0.0, description="velocity in km/s, fixed; an earlier stage can hand it over")
    los_sigma: Number | None = Field(
        None,
        ge=0,
        description="velocity dispersion in km/s, fixed; 0 for indices corrected to none; can be handed over",
    )
    balmer_emission: Flag | None = Field(
        None,
        description="samples emission/ew_hbeta; if left out, T for a spectrum with an index that holds a Balmer line",
    )
    oiii_emission: Flag = Field(False, description="samples emission/ew_oiii, for Fe5015")
    ni_emission: Flag = Field(False, description="samples emission/ew_ni, for Mgb")
    gas_extinction: Flag = Field(
        False, description="samples emission/a_v_gas; otherwise the gas is dimmed as the stars are"
    )
    gas_sigma: Number | None = Field(
        None, ge=0, description="velocity dispersion of the gas in km/s; los_sigma if left out"
    )
    ew_error_floor: Number = Field(
        0.0, ge=0, description="error in Angstrom added in quadrature to each equivalent width"
    )
    mag_error_floor: Number = Field(
        0.0, ge=0, description="error in mag added in quadrature to each molecular index"
    )
    break_error_floor: Number = Field(0.0, ge=0, description="error added in quadrature to D4000 and Dn4000")
    velscale: Number | None = Field(
        None, gt=0, description="accepted as in BESTA; has no effect: the pixels are those of the data"
    )
    ssp_compression_error: Number = Field(
        1e-5, ge=0, lt=0.1, description="has no effect: the SSPs are integrated over the bands as they are"
    )

    @field_validator("ew_names")
    @classmethod
    def _known_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            known = tuple(canonical_name(name) for name in names)
        except DataError as error:
            raise ValueError(str(error)) from None
        repeated = sorted({name for name in known if known.count(name) > 1})
        if repeated:
            msg = f"named more than once: {', '.join(repeated)}; name each index once"
            raise ValueError(msg)
        return known

    @model_validator(mode="after")
    def _one_source(self) -> EquivalentWidthFitOptions:
        if (self.input_spectrum is None) == (self.input_indices is None):
            msg = "give one of inputSpectrum (indices are measured in it) and inputIndices (a table of them)"
            raise ValueError(msg)
        fields = type(self).model_fields
        for name in _WITHOUT_EFFECT:
            if name in fields and getattr(self, name) != fields[name].default:
                msg = f"{fields[name].alias or name} has no effect on a fit of indices; leave it out"
                raise ValueError(msg)
        if self.input_indices is None:
            return self
        if self.index_resolution == "data":
            msg = (
                "inputIndices needs index_resolution: lick for the Lick/IDS system, or the FWHM in Angstrom at which "
                "the indices were measured"
            )
            raise ValueError(msg)
        written = {name: field.alias or name for name, field in SpectrumOptions.model_fields.items()}
        idle = [written[n] for n in written if n in self.model_fields_set and n not in _KEPT_WITH_A_TABLE]
        if self.los_vel != 0:
            idle.append("los_vel")
        if idle:
            msg = f"{', '.join(idle)} would have no effect on inputIndices; leave out"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _emission_has_an_effect(self) -> EquivalentWidthFitOptions:
        for group, option, asked in (
            ("balmer", "balmer_emission", self.balmer_emission),
            ("oiii", "oiii_emission", self.oiii_emission),
            ("ni", "ni_emission", self.ni_emission),
        ):
            if not asked:
                continue
            if self.mask_emission_lines:
                msg = (
                    f"{option} = T and mask_emission_lines = T exclude each other: an index with a masked line is "
                    "not measured; set mask_emission_lines = F to fit the emission"
                )
                raise ValueError(msg)
            if self.index_names and not gas_lines_near(self.index_names, group):
                msg = f"{option} = T has no effect on {', '.join(self.index_names)}; leave it out"
                raise ValueError(msg)
        if self.gas_extinction:
            self._check_gas_extinction()
        return self

    def _check_gas_extinction(self) -> None:
        if self.extinction_law is None:
            msg = "gas_extinction = T needs an ExtinctionLaw"
            raise ValueError(msg)
        others = set(gas_lines_near(self.index_names, "balmer")) - {"Hbeta"} if self.index_names else {"unknown"}
        if not self.samples("balmer") or not others:
            msg = (
                "gas_extinction = T changes the ratios of the Balmer lines: it needs balmer_emission and an index "
                "with another Balmer line than Hbeta (HgammaA, HdeltaA)"
            )
            raise ValueError(msg)

    @property
    def index_names(self) -> tuple[str, ...]:
        """Names of the indices to fit; empty for all of a table."""
        return self.ew_names or (DEFAULT_INDICES if self.input_indices is None else ())

    def samples(self, group: str) -> bool:
        """Return whether the emission of a group of lines is a parameter."""
        if group == "balmer" and self.balmer_emission is None:
            fits = self.input_indices is None and not self.mask_emission_lines
            return fits and bool(gas_lines_near(self.index_names, group))
        chosen: dict[str, Any] = {
            "balmer": self.balmer_emission, "oiii": self.oiii_emission, "ni": self.ni_emission
        }  # fmt: skip
        return bool(chosen[group])
