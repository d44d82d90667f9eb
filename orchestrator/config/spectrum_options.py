"""Options of the modules that fit a spectrum: KinDust, FullSpectralFit and SFHSpectra.

Groups of options that belong together are small models; a module's options are their union. The alias
of a field is the spelling in a configuration, which is BESTA's where BESTA has the option.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.config.dust_options import DustOptions, ForegroundOptions, FreeDustOptions
from orchestrator.config.noise_options import NoiseOptions, nuisance_section
from orchestrator.config.option_types import (
    Flag,
    InputPath,
    Integer,
    Number,
    Options,
    Range,
    Text,
    Words,
)
from orchestrator.config.sfh_options import CosmologyOptions, SFHOptions

__all__ = [
    "AmplitudeOptions",
    "CommonOptions",
    "CosmologyOptions",
    "DustOptions",
    "FullSpectralFitOptions",
    "KinDustOptions",
    "NoiseOptions",
    "PolynomialOptions",
    "SFHOptions",
    "SFHSpectraOptions",
    "SSPOptions",
    "SpectrumOptions",
]


class CommonOptions(Options):
    """What every module accepts."""

    like_name: Text | None = Field(None, description="name of the likelihood; `<section>_like` if left out")
    file: InputPath | None = Field(None, description="module file for CosmoSIS; found by the section's name")
    logging_level: Text = Field("INFO", description="level of the module's log messages")
    logging_file: InputPath | None = Field(None, description="file for log messages; none if left out")
    logging_overwrite: Flag = Field(False, description="replace the log file instead of appending")
    logging_console: Flag = Field(False, description="has no effect: messages are in the log of the stage")


class SSPOptions(Options):
    """The library of simple stellar populations."""

    ssp_model: Text = Field(alias="SSPModel", description="name of the SSP library, for example PopStar")
    ssp_dir: InputPath | None = Field(
        None, alias="SSPDir", description="folder or file of the library; its usual place if left out"
    )
    ssp_model_args: Words = Field((), alias="SSPModelArgs", description="arguments of the library, as a list")
    ssp_compression_error: Number = Field(
        1e-5,
        ge=0,
        lt=0.1,
        description="0 takes the SSPs as they are; otherwise they are compressed to an error stated in the log",
    )


class AmplitudeOptions(Options):
    """How the stellar mass is treated."""

    amplitude: Literal["profiled", "sampled", "marginalised"] = Field(
        "profiled",
        description="stellar mass: maximum-likelihood at each point, a sampled parameter, or integrated out",
    )


class SpectrumOptions(Options):
    """The observed spectrum, its range and its masks."""

    input_spectrum: InputPath = Field(alias="inputSpectrum", description="file of the spectrum")
    input_spectrum_row: Integer | None = Field(
        None, ge=0, alias="inputSpectrumRow", description="row of the spectrum in a file that stacks several"
    )
    input_spectrum_format: Text | None = Field(
        None,
        alias="inputSpectrumFormat",
        description="format as specutils names it (specutils to let it find out); found from the file if left out",
    )
    wl_units: Text = Field("Angstrom", alias="wlUnits", description="unit of the wavelengths in a text file")
    flux_units: Text | None = Field(
        None, alias="fluxUnits", description="unit of the fluxes; what the file says if left out"
    )
    wl_medium: Literal["vacuum", "air"] = Field(
        "vacuum", alias="wlMedium", description="medium of the wavelengths in the file"
    )
    wl_range: Range | None = Field(
        None, alias="wlRange", description="wavelength range to fit in Angstrom, rest frame, vacuum"
    )
    wl_norm_range: Range | None = Field(None, alias="wlNormRange", description="deprecated, has no effect")
    redshift: Number = Field(0.0, gt=-0.1, description="redshift")
    mask: InputPath | None = Field(None, description="file of weights per pixel; 0 masks the pixel")
    lsf: InputPath | None = Field(
        None, description="file of wavelength and FWHM of the instrument in Angstrom, observed frame"
    )
    ssp_lsf: InputPath | None = Field(
        None, alias="SSPLSF", description="file of wavelength and FWHM of the SSPs in Angstrom, rest frame"
    )
    mask_telluric: Flag = Field(False, description="mask the telluric bands")
    telluric_pad: Number = Field(
        0.0, ge=0, description="widening of each telluric band on either side, Angstrom"
    )
    mask_sky_lines: Flag = Field(False, description="mask the bright lines of the night sky")
    sky_line_pad: Number = Field(0.0, ge=0, description="widening of each sky line on either side, Angstrom")
    mask_emission_lines: Flag = Field(False, description="mask the emission lines of the gas")
    emission_line_half_width: Number = Field(
        600.0, gt=0, description="half width of the mask of an emission line in km/s"
    )
    mask_lines_file: InputPath | None = Field(
        None, description="table of further lines to mask: medium, and wavelength with half_width or start with end"
    )
    sigma_clip: Number | None = Field(
        None, gt=0, description="standard deviations at which cosmic rays are clipped, for example 6; not if left out"
    )
    sigma_clip_window: Integer = Field(
        11, ge=11, le=999, description="pixels of the running median of sigma_clip, an odd number"
    )
    fit_grid: Literal["native", "log"] = Field(
        "native", description="fit the observed pixels, or rebin them to steps of velscale, which correlates them"
    )
    velscale: Number | None = Field(
        None, gt=0, description="step of the model's velocity grid in km/s; from the data if left out"
    )
    measure_emission_lines: Flag = Field(
        False, description="after the fit, measure the emission lines and write their table"
    )

    @model_validator(mode="after")
    def _clipping_makes_sense(self) -> SpectrumOptions:
        if self.sigma_clip is None and "sigma_clip_window" in self.model_fields_set:
            msg = "sigma_clip_window has no effect without sigma_clip; set sigma_clip, for example 6"
            raise ValueError(msg)
        if self.sigma_clip_window % 2 == 0:
            msg = f"sigma_clip_window = {self.sigma_clip_window}; expected an odd number of pixels"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _masks_are_on(self) -> SpectrumOptions:
        owners = {"telluric_pad": "mask_telluric", "sky_line_pad": "mask_sky_lines"}
        owners["emission_line_half_width"] = "mask_emission_lines"
        for name, owner in owners.items():
            if name in self.model_fields_set and not getattr(self, owner):
                msg = f"{name} has no effect without {owner} = T; set it, or remove {name}"
                raise ValueError(msg)
        return self


class PolynomialOptions(Options):
    """Multiplicative Legendre polynomials."""

    legendre_deg: Integer = Field(
        0, ge=0, le=100, description="degree of the multiplicative polynomial; 0 is none"
    )
    legendre_bounds: Range | None = Field(
        None, description="wavelengths in Angstrom mapped to -1 and 1; the ends of the data if left out"
    )
    legendre_scale: Number | None = Field(
        None,
        gt=0,
        description="largest scale in Angstrom that the polynomial follows; raises its lowest degree",
    )
    legendre_clip_first_zero: Flag | None = Field(None, description="deprecated, has no effect")
    legendre_section: Text = Field(
        "legendre",
        description="section of the polynomial's coefficients in the values file; where several modules of a stage "
        "sample some, each gets its own, legendre_SUFFIX, unless this is given",
    )

    @field_validator("legendre_section")
    @classmethod
    def _legendre_section_can_be(cls, name: str) -> str:
        return nuisance_section(name)

    @model_validator(mode="after")
    def _polynomial_is_there(self) -> PolynomialOptions:
        degree = getattr(self, "multiplicative_degree", self.legendre_deg)
        unused = sorted({"legendre_bounds", "legendre_scale"} & self.model_fields_set)
        if unused and degree == 0:
            msg = f"{unused[0]} has no effect without a polynomial; set legendre_deg, or remove {unused[0]}"
            raise ValueError(msg)
        return self


class _SpectralModuleOptions(
    CommonOptions, SSPOptions, DustOptions, NoiseOptions, SpectrumOptions, PolynomialOptions
):
    """What all modules of spectra share."""


class KinDustOptions(_SpectralModuleOptions):
    """Options of KinDust: kinematics and dust, template weights solved inside."""

    template_weights: Literal["non_negative", "marginalised"] = Field(
        "non_negative", description="how the template weights are solved"
    )
    moments: Literal[2, 4] = Field(4, description="2 fits velocity and dispersion, 4 adds h3 and h4")
    multiplicative_degree: Integer = Field(
        0,
        ge=0,
        le=100,
        description="degree of the multiplicative polynomial; legendre_deg if left out",
    )
    additive_degree: Integer = Field(
        -1, ge=-1, le=100, description="degree of the additive polynomial; -1 is none"
    )

    @classmethod
    def _derive(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Take the degree from ``legendre_deg``, BESTA's name of it."""
        given = super()._derive(given)
        degree = given.get("legendre_deg")
        if isinstance(degree, int) and "multiplicative_degree" not in given:
            return {**given, "multiplicative_degree": degree}
        return given

    @model_validator(mode="after")
    def _one_degree(self) -> KinDustOptions:
        given = self.model_fields_set
        both = {"legendre_deg", "multiplicative_degree"} <= given
        if both and self.legendre_deg != self.multiplicative_degree:
            msg = (
                f"legendre_deg = {self.legendre_deg} and multiplicative_degree = "
                f"{self.multiplicative_degree} are the same option and differ; give one"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _what_the_inner_solve_allows(self) -> KinDustOptions:
        if self.noise_model in ("StudentT", "GaussianProcess"):
            msg = (
                f"NoiseModel = {self.noise_model} does not go with template weights that are solved inside; set "
                "MultiplicativeNoiseModel, AdditiveNoiseModel or JitterNoiseModel, or use FullSpectralFit"
            )
            raise ValueError(msg)
        if "legendre_section" in self.model_fields_set:
            msg = "legendre_section has no effect here, as the polynomial is solved inside; remove it"
            raise ValueError(msg)
        return self


class FullSpectralFitOptions(
    FreeDustOptions, ForegroundOptions, _SpectralModuleOptions, SFHOptions, AmplitudeOptions
):
    """Options of FullSpectralFit: star-formation history, kinematics and dust."""

    legendre_mode: Literal["sampled", "profiled"] = Field(
        "sampled", description="polynomial coefficients: sampled, or solved inside at each point"
    )


class SFHSpectraOptions(ForegroundOptions, _SpectralModuleOptions, SFHOptions, AmplitudeOptions):
    """Options of SFHSpectra: star-formation history with kinematics and dust fixed."""

    legendre_mode: Literal["sampled", "profiled"] = Field(
        "profiled", description="polynomial coefficients: sampled, or solved inside at each point"
    )
    los_vel: Number = Field(0.0, description="velocity in km/s, fixed; an earlier stage can hand it over")
    los_sigma: Number | None = Field(
        None, gt=0, description="velocity dispersion in km/s, fixed; an earlier stage can hand it over"
    )
    los_h3: Number = Field(0.0, description="third Gauss-Hermite moment, fixed")
    los_h4: Number = Field(0.0, description="fourth Gauss-Hermite moment, fixed")
    a_v: Number = Field(0.0, ge=0, description="attenuation in V in mag, fixed; needs ExtinctionLaw")

    @model_validator(mode="after")
    def _dust_needs_a_law(self) -> SFHSpectraOptions:
        if self.a_v != 0 and self.extinction_law is None:
            msg = f"a_v = {self.a_v:g} has no effect without ExtinctionLaw; set ExtinctionLaw, or a_v = 0"
            raise ValueError(msg)
        return self
