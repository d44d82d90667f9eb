"""Options of the module that fits broadband photometry: SFHPhotometry."""

from __future__ import annotations

from pydantic import Field, model_validator

from orchestrator.config.dust_options import AbsorptionOptions, EmissionOptions, ForegroundOptions, FreeDustOptions
from orchestrator.config.option_types import Flag, InputPath, Number, Text
from orchestrator.config.spectrum_options import (
    AmplitudeOptions,
    CommonOptions,
    NoiseOptions,
    SFHOptions,
    SSPOptions,
)

__all__ = ["SFHPhotometryOptions"]


class SFHPhotometryOptions(
    FreeDustOptions,
    ForegroundOptions,
    EmissionOptions,
    AbsorptionOptions,
    CommonOptions,
    SSPOptions,
    NoiseOptions,
    SFHOptions,
    AmplitudeOptions,
):
    """Options of SFHPhotometry: star-formation history and dust from broadband photometry."""

    input_photometry: InputPath = Field(
        alias="inputPhotometry", description="table of filter, flux, error and optionally `upper` or `lower`"
    )
    flux_units: Text = Field("uJy", alias="fluxUnits", description="unit of the fluxes")
    redshift: Number = Field(0.0, gt=-0.1, description="redshift")
    logwave: Flag | None = Field(None, description="deprecated, has no effect")
    a_v_max: Number = Field(5.0, gt=0, description="largest attenuation in V in mag that the fit can reach")

    @model_validator(mode="after")
    def _independent_bands(self) -> SFHPhotometryOptions:
        if self.noise_model == "GaussianProcess":
            msg = (
                "NoiseModel = GaussianProcess is for spectra; for bands set MultiplicativeNoiseModel, "
                "AdditiveNoiseModel, JitterNoiseModel or StudentT"
            )
            raise ValueError(msg)
        return self
