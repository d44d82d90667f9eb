"""Options of SpectraRedshiftFit: the redshift of a galaxy from its spectrum."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from orchestrator.config.option_types import Flag, InputPath, Number, Range
from orchestrator.config.spectrum_options import (
    AmplitudeOptions,
    CommonOptions,
    DustOptions,
    NoiseOptions,
    PolynomialOptions,
    SFHOptions,
    SpectrumOptions,
    SSPOptions,
)

__all__ = ["SpectraRedshiftFitOptions"]


class SpectraRedshiftFitOptions(
    CommonOptions,
    SSPOptions,
    DustOptions,
    NoiseOptions,
    SpectrumOptions,
    PolynomialOptions,
    SFHOptions,
    AmplitudeOptions,
):
    """Options of SpectraRedshiftFit: redshift and stellar population of a spectrum."""

    redshift_mode: Literal["maximised", "sampled"] = Field(
        "maximised",
        description="the likelihood is maximised over the redshift at each point, or redshift/redshift is sampled",
    )
    z_min: Number = Field(ge=0, description="smallest trial redshift")
    z_max: Number = Field(gt=0, le=20, description="largest trial redshift")
    z_step: Number = Field(
        1.0,
        gt=0,
        le=1,
        description="step of the grid of trial redshifts in pixels of the spectrum; 1, 0.5, 0.25 ...",
    )
    save_z_loglike: InputPath | None = Field(
        None, description="file for ln L as a function of redshift at the best point; .fits, otherwise ECSV"
    )
    use_features: Flag = Field(
        False, description="compare features only: a spline continuum is taken off spectrum and model alike"
    )
    continuum_knot_spacing: Number = Field(
        200.0, gt=0, description="distance of the knots of that continuum in Angstrom, observed frame"
    )
    continuum_sigma_clip: Number = Field(
        3.0, ge=1, description="pixels that deviate by more standard deviations do not shape that continuum"
    )
    mask_emission_lines: Flag = Field(
        True, description="mask what stands out of the spectrum like an emission line, wherever it is"
    )
    emission_line_clip: Number = Field(
        4.0, ge=3, description="how far an emission line stands out: robust standard deviations above the continuum"
    )
    emission_line_half_width: Number = Field(
        1000.0, gt=0, description="half width of the mask of what stands out, km/s"
    )
    los_sigma: Number = Field(
        100.0, ge=0, le=1000, description="stellar velocity dispersion in km/s, fixed; 0 leaves the templates sharp"
    )
    redshift: Number = Field(0.0, description="must stay 0: z_min and z_max say where the redshift is searched")
    wl_range: Range | None = Field(
        None, alias="wlRange", description="wavelength range to fit in Angstrom, observed frame, vacuum"
    )
    legendre_mode: Literal["sampled", "profiled"] = Field(
        "sampled", description="polynomial coefficients: sampled, or solved inside at each point"
    )
    distance_mpc: Number | None = Field(
        None, gt=0, description="luminosity distance in Mpc for the stellar mass, in place of the trial redshift's"
    )

    @model_validator(mode="after")
    def _one_range_of_redshifts(self) -> SpectraRedshiftFitOptions:
        if not self.z_min < self.z_max:
            msg = f"z_min = {self.z_min:g} is not below z_max = {self.z_max:g}; give a range"
            raise ValueError(msg)
        if self.redshift != 0:
            msg = f"redshift = {self.redshift:g} is what this module searches; leave it out and set z_min and z_max"
            raise ValueError(msg)
        per_pixel = 1.0 / self.z_step
        if abs(per_pixel - round(per_pixel)) > 1e-6 * per_pixel:
            msg = f"z_step = {self.z_step:g} does not divide a pixel; set 1 / n, for example 0.5 or 0.25"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _sums_over_pixels_suffice(self) -> SpectraRedshiftFitOptions:
        if self.noise_model not in (None, "MultiplicativeNoiseModel") or self.noise_fractional:
            chosen = "noise_fractional = T" if self.noise_fractional else f"NoiseModel = {self.noise_model}"
            msg = (
                f"{chosen} changes the weights of pixels from point to point, which a search over redshifts cannot "
                "follow; use MultiplicativeNoiseModel or none, and fit with FullSpectralFit at the redshift found"
            )
            raise ValueError(msg)
        for name in ("measure_emission_lines", "light_range"):
            if getattr(self, name, None):
                msg = f"{name} needs the redshift; leave it out, and set it in FullSpectralFit at the redshift found"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _nothing_in_vain(self) -> SpectraRedshiftFitOptions:
        unused = sorted(self.model_fields_set & {"emission_line_clip", "emission_line_half_width"})
        if unused and not self.mask_emission_lines:
            msg = f"{unused[0]} has no effect with mask_emission_lines = F; remove it"
            raise ValueError(msg)
        if self.use_features and self.legendre_deg:
            msg = (
                f"use_features = T takes off the continuum, so that legendre_deg = {self.legendre_deg} has nothing "
                "to follow; set legendre_deg = 0 or use_features = F"
            )
            raise ValueError(msg)
        given = self.model_fields_set & {"continuum_knot_spacing", "continuum_sigma_clip"}
        if given and not self.use_features:
            have = "has" if len(given) == 1 else "have"
            msg = f"{' and '.join(sorted(given))} {have} no effect without use_features = T; set it, or remove them"
            raise ValueError(msg)
        return self
