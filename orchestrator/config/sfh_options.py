"""Options of the star-formation history and of the cosmology that gives its age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from orchestrator.config.option_types import Arguments, Flag, Number, Options, Range, Text

if TYPE_CHECKING:
    from orchestrator.physics.sfh_base import StarFormationHistory

__all__ = ["CosmologyOptions", "SFHOptions"]


class CosmologyOptions(Options):
    """Flat Lambda-CDM cosmology."""

    h0: Number = Field(70.0, gt=0, description="Hubble constant in km/s/Mpc")
    omega_m: Number = Field(0.28, gt=0, le=1, description="matter density over the critical one")
    distance_mpc: Number | None = Field(
        None, gt=0, description="luminosity distance in Mpc, in place of the one of the redshift"
    )


class SFHOptions(CosmologyOptions):
    """The star-formation history."""

    sfh_model: Text = Field(alias="SFHModel", description="name of the SFH model, for example ExponentialSFH")
    sfh_args: Arguments = Field((), alias="SFHArgs", description="arguments of the SFH model, as a list")
    light_range: Range | None = Field(
        None,
        description="rest-frame wavelengths in Angstrom whose light weights the derived ages and metallicities; 5000 "
        "to 6000 (about V) where the SSPs cover it, else all that they cover, if left out",
    )
    use_transforms: Flag = Field(False, description="the same as sfh_prior = softmax, BESTA's name of it")
    sfh_prior: Literal["ranges", "softmax", "dirichlet", "continuity"] = Field(
        "ranges",
        description="ranges samples the parameters of the SFH model; the others sample latent numbers of a "
        "piece-wise model, of which all values are possible: softmax, Dirichlet, or Student t in steps of the rate",
    )
    dirichlet_concentration: Number = Field(
        1.0, gt=0, description="of sfh_prior = dirichlet; below 1 prefers few large parts"
    )
    continuity_scale: Number = Field(
        0.3, gt=0, description="of sfh_prior = continuity: width of the steps of log10 of the rate"
    )
    continuity_degrees: Number = Field(2.0, gt=0, description="of sfh_prior = continuity: degrees of freedom")

    @classmethod
    def _derive(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Take BESTA's ``use_transforms`` for the softmax prior."""
        given = super()._derive(given)
        wanted = str(given.get("use_transforms", "")).strip().lower() in ("t", "true", "yes", "y", "on", "1")
        if wanted and "sfh_prior" not in given:
            return {**given, "sfh_prior": "softmax"}
        return given

    @model_validator(mode="after")
    def _one_prior(self) -> SFHOptions:
        if self.use_transforms and self.sfh_prior != "softmax":
            msg = f"use_transforms = T means sfh_prior = softmax, found sfh_prior = {self.sfh_prior}; remove one"
            raise ValueError(msg)
        owners = {"dirichlet_concentration": "dirichlet", "continuity_scale": "continuity"}
        owners["continuity_degrees"] = "continuity"
        for name, prior in owners.items():
            if name in self.model_fields_set and self.sfh_prior != prior:
                msg = f"{name} has no effect with sfh_prior = {self.sfh_prior}; set sfh_prior = {prior} or remove it"
                raise ValueError(msg)
        return self

    def history(self, today: float) -> StarFormationHistory:
        """Return the star-formation history for an age of the universe in Gyr.

        Raises
        ------
        ConfigError
            If model, arguments and prior do not fit together.
        """
        from orchestrator.physics.sfh import build_sfh
        from orchestrator.physics.sfh_latent import with_prior

        model = build_sfh(self.sfh_model, list(self.sfh_args), today)
        return with_prior(
            model, self.sfh_prior, self.dirichlet_concentration, self.continuity_scale, self.continuity_degrees
        )
