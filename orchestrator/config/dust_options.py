"""Options of dust: a screen, free laws, two components, emission, and the dust and gas on the way to us."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from orchestrator.config.option_types import Flag, Number, Options, Text
from orchestrator.errors import nearest_known

__all__ = [
    "AbsorptionOptions",
    "DustOptions",
    "EmissionOptions",
    "ForegroundOptions",
    "FreeDustOptions",
    "GalaxyDustOptions",
]

_SHAPES = ("delta", "bump", "slope")
_CHARLOT_FALL = "CharlotFall00Attenuation"
_ATTENUATION_MODELS = ("DustScreenAttenuation", _CHARLOT_FALL)


class DustOptions(Options):
    """A screen of dust in front of the stars."""

    extinction_law: Text | None = Field(
        None, alias="ExtinctionLaw", description="attenuation law, for example ccm89; no dust if left out"
    )
    r_v: Number | None = Field(
        None,
        gt=0,
        description="A_V / E(B-V) of the law; that of the law if left out: 4.05 for calzetti00, 3.1 for most others",
    )

    @model_validator(mode="after")
    def _dust_has_a_law(self) -> DustOptions:
        for name in ("r_v", "a_v_max"):
            if name in self.model_fields_set and self.extinction_law is None:
                msg = f"{name} has no effect without ExtinctionLaw; set it, or remove {name}"
                raise ValueError(msg)
        return self


class FreeDustOptions(DustOptions):
    """A law whose shape can be chosen or free, and more dust in front of young stars."""

    r_v_free: Flag = Field(False, description="samples dust.extinction/r_v")
    delta: Number | None = Field(
        None, description="slope relative to Calzetti's law, of kriek13, noll09 and salim18; 0 if left out"
    )
    delta_free: Flag = Field(False, description="samples dust.extinction/delta")
    bump: Number | None = Field(
        None, ge=0, description="strength of the bump at 2175 Angstrom, of noll09 and salim18; 1 if left out"
    )
    bump_free: Flag = Field(False, description="samples dust.extinction/bump")
    slope: Number | None = Field(None, description="exponent of power_law; -0.7 if left out")
    slope_free: Flag = Field(False, description="samples dust.extinction/slope")
    birth_cloud: Flag = Field(
        False, description="stars younger than birth_cloud_age see dust.extinction/a_v_birth_cloud in addition"
    )
    birth_cloud_age: Number = Field(10.0, gt=0, description="age at which the birth clouds have gone, Myr")
    birth_cloud_law: Text = Field("power_law", description="attenuation law of the birth clouds")
    birth_cloud_slope: Number = Field(-1.3, description="exponent of the birth clouds' power_law")

    @model_validator(mode="after")
    def _free_things_exist(self) -> FreeDustOptions:
        from orchestrator.physics.dust_laws import DUST_LAWS

        given = self.model_fields_set
        for name in ("r_v", *_SHAPES):
            if getattr(self, f"{name}_free") and getattr(self, name) is not None:
                msg = f"{name} = {getattr(self, name):g} fixes what {name}_free = T frees; give one of the two"
                raise ValueError(msg)
        if self.birth_cloud_law not in DUST_LAWS:
            hint = nearest_known(self.birth_cloud_law, DUST_LAWS)
            msg = f"birth_cloud_law = {self.birth_cloud_law!r} is not an attenuation law{hint}"
            raise ValueError(msg)
        clouds = sorted({"birth_cloud_age", "birth_cloud_law", "birth_cloud_slope"} & given)
        if clouds and not self.birth_cloud:
            msg = f"{clouds[0]} has no effect without birth_cloud = T; set it, or remove {clouds[0]}"
            raise ValueError(msg)
        if self.birth_cloud_law != "power_law" and "birth_cloud_slope" in given:
            msg = f"birth_cloud_slope belongs to power_law, not to {self.birth_cloud_law}; remove it"
            raise ValueError(msg)
        self._check_law()
        return self

    def _check_law(self) -> None:
        """Require a law that has what is chosen or free."""
        from orchestrator.physics.dust_laws import DUST_LAWS

        used = [name for name in _SHAPES if getattr(self, name) is not None]
        used += [name for name in ("r_v", *_SHAPES) if getattr(self, f"{name}_free")]
        if self.extinction_law is None and (used or self.birth_cloud):
            msg = f"{'birth_cloud' if self.birth_cloud else used[0]} needs an ExtinctionLaw; set it"
            raise ValueError(msg)
        law = DUST_LAWS.get(self.extinction_law or "")
        if law is None:
            return  # reported with the names of the laws
        known = {*law.shapes, *(["r_v"] if law.r_v_range else [])}
        for name in used:
            if name not in known:
                having = [o.name for o in DUST_LAWS.values() if name in o.shapes or (name == "r_v" and o.r_v_range)]
                msg = f"the law {law.name} has no {name} to choose; laws that have it: {', '.join(having)}"
                raise ValueError(msg)


class ForegroundOptions(Options):
    """The dust of the Galaxy, applied to the model in the observed frame."""

    galactic_e_bv: Number = Field(
        0.0, ge=0, description="E(B-V) of the Galaxy in mag, by which the model is reddened; 0 for corrected data"
    )
    galactic_law: Text = Field("fitzpatrick99", description="attenuation law of the Galaxy")
    galactic_r_v: Number | None = Field(
        None, gt=0, description="A_V / E(B-V) of the Galaxy; that of the law, 3.1, if left out"
    )
    galactic_e_bv_is_sfd: Flag = Field(
        False,
        description="galactic_e_bv is that of Schlegel et al. (1998) and is multiplied by 0.86, as Schlafly & "
        "Finkbeiner (2011) found",
    )

    @field_validator("galactic_law")
    @classmethod
    def _law_is_known(cls, name: str) -> str:
        from orchestrator.physics.dust_laws import DUST_LAWS

        if name not in DUST_LAWS:
            msg = f"galactic_law = {name!r} is not an attenuation law{nearest_known(name, DUST_LAWS)}"
            raise ValueError(msg)
        return name

    @model_validator(mode="after")
    def _foreground_is_there(self) -> ForegroundOptions:
        without = sorted({"galactic_law", "galactic_r_v", "galactic_e_bv_is_sfd"} & self.model_fields_set)
        if without and self.galactic_e_bv == 0 and "galactic_e_bv" not in self.model_fields_set:
            msg = f"{without[0]} has no effect without galactic_e_bv; set it in mag, or remove {without[0]}"
            raise ValueError(msg)
        return self


class EmissionOptions(Options):
    """Infrared emission of the dust (Casey 2012)."""

    dust_emission: Flag = Field(False, alias="DustEmission", description="adds the infrared emission of the dust")
    dust_calorimetric: Flag = Field(
        True,
        alias="DustCalorimetric",
        description="the dust emits what it absorbs; if F, samples dust.dust_sed_component/log10_lum_ir",
    )

    @model_validator(mode="after")
    def _something_is_absorbed(self) -> EmissionOptions:
        if self.dust_emission and self.dust_calorimetric and getattr(self, "extinction_law", None) is None:
            msg = "the dust that emits (DustEmission = T) must absorb: set ExtinctionLaw, or DustCalorimetric = F"
            raise ValueError(msg)
        return self


class AbsorptionOptions(Options):
    """Hydrogen between the galaxies."""

    igm: Literal["none", "madau1995", "inoue2014"] = Field(
        "none", description="mean absorption by the intergalactic medium bluewards of Lyman alpha"
    )


class GalaxyDustOptions(FreeDustOptions):
    """BESTA's switches of dust in its Galaxy modules."""

    dust_attenuation: Flag | None = Field(
        None,
        alias="DustAttenuation",
        description="attenuation of the stars; if left out, T where an ExtinctionLaw is given; F passes over the law",
    )
    dust_attenuation_model: Text = Field(
        "DustScreenAttenuation",
        alias="DustAttenuationModel",
        description="DustScreenAttenuation, or CharlotFall00Attenuation, which sets birth_cloud = T",
    )

    @field_validator("dust_attenuation_model")
    @classmethod
    def _model_is_known(cls, name: str) -> str:
        if name not in _ATTENUATION_MODELS:
            msg = f"not a model of attenuation{nearest_known(name, _ATTENUATION_MODELS)}"
            raise ValueError(msg)
        return name

    @classmethod
    def _derive(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Fill in what BESTA takes where nothing is said, and drop the law where dust is switched off."""
        given = super()._derive(given)
        try:
            on = TypeAdapter(bool | None).validate_python(given.get("DustAttenuation"))
        except ValidationError:
            return given  # reported with the option
        two = given.get("DustAttenuationModel") == _CHARLOT_FALL
        if on is False:
            dropped = ("ExtinctionLaw", "r_v", "DustAttenuationModel")
            return {key: value for key, value in given.items() if key not in dropped}
        on = on or "ExtinctionLaw" in given
        if on and "ExtinctionLaw" not in given:
            given = {**given, "ExtinctionLaw": "power_law" if two else "ccm89"}
        if on and two and "birth_cloud" not in given:
            given = {**given, "birth_cloud": True}
        return given

    @model_validator(mode="after")
    def _model_has_an_effect(self) -> GalaxyDustOptions:
        if self.dust_attenuation_model == _CHARLOT_FALL and not self.birth_cloud:
            msg = (
                f"DustAttenuationModel = {_CHARLOT_FALL} needs DustAttenuation = T or an ExtinctionLaw, and "
                "birth_cloud not F; set them"
            )
            raise ValueError(msg)
        return self
