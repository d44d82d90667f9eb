"""The parameters of dust, by the options, and their names in BESTA's Galaxy modules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestrator.config.dust_options import DustOptions, FreeDustOptions, GalaxyDustOptions
from orchestrator.physics.dust_emission import EMISSION_PARAMETERS, EMISSION_SECTION
from orchestrator.physics.dust_laws import DUST_LAWS, SHAPES
from orchestrator.physics.parameter import Parameter

__all__ = ["GALAXY_NAMES", "SECTION", "dust_parameters", "free_quantities", "with_galaxy_names"]

SECTION = "dust.extinction"

_CURVE = "dust_attenuation.curve"

GALAXY_NAMES: dict[tuple[str, str], tuple[str, str]] = {
    (SECTION, "a_v"): ("dust_attenuation", "a_v"),
    (SECTION, "a_v_birth_cloud"): ("dust_attenuation", "a_v_birth_cloud"),
    (SECTION, "r_v"): (_CURVE, "r_v"),
    **{(SECTION, name): (_CURVE, name) for name in SHAPES},
}
"""Section and name of a parameter of dust in GalaxySpectra and GalaxyPhotometry."""

_USUAL_R_V = (2.0, 6.0)


def free_quantities(options: Any) -> tuple[str, ...]:
    """Return what of the attenuation law varies: ``r_v``, ``delta``, ``bump``, ``slope``.

    In BESTA's Galaxy modules R_V can always be in the values file, unless it is fixed by an option.
    """
    law = DUST_LAWS.get(getattr(options, "extinction_law", None) or "")
    if law is None or not isinstance(options, FreeDustOptions):
        return ()
    free = tuple(name for name in ("r_v", *SHAPES) if getattr(options, f"{name}_free"))
    if _r_v_is_optional(options) and "r_v" not in free and options.r_v is None and law.r_v_range is not None:
        return ("r_v", *free)
    return free


def _r_v_is_optional(options: Any) -> bool:
    return isinstance(options, GalaxyDustOptions)


def dust_parameters(options: DustOptions, upper: float = 2.0) -> tuple[Parameter, ...]:
    """Return the parameters of dust under the names of the module.

    Parameters
    ----------
    options : DustOptions
    upper : float
        Largest A_V, mag.
    """
    found = _attenuation(options, upper) + _emission(options)
    return with_galaxy_names(found) if isinstance(options, GalaxyDustOptions) else found


def with_galaxy_names(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Return parameters of dust with the section and name that BESTA's Galaxy modules have."""
    return tuple(
        replace(p, section=GALAXY_NAMES[p.section, p.name][0]) if (p.section, p.name) in GALAXY_NAMES else p
        for p in parameters
    )


def _attenuation(options: DustOptions, upper: float) -> tuple[Parameter, ...]:
    meaning = "attenuation of the stars in V"
    if options.extinction_law is None:
        note = "; fixed to 0 because ExtinctionLaw is not set"
        return (Parameter(SECTION, "a_v", 0.0, 0.0, 0.0, "mag", meaning + note),)
    found = [Parameter(SECTION, "a_v", 0.0, min(0.2, 0.1 * upper), upper, "mag", meaning)]
    law = DUST_LAWS.get(options.extinction_law)
    if law is None or not isinstance(options, FreeDustOptions):
        return tuple(found)
    if options.birth_cloud:
        meaning = f"attenuation in V, besides a_v, of stars younger than {options.birth_cloud_age:g} Myr"
        found.append(Parameter(SECTION, "a_v_birth_cloud", 0.0, 0.3, 3.0, "mag", meaning))
    for name in free_quantities(options):
        found.append(_r_v(options, law.name) if name == "r_v" else _shape(name))
    return tuple(found)


def _shape(name: str) -> Parameter:
    lower, start, upper, meaning = SHAPES[name]
    return Parameter(SECTION, name, lower, start, upper, "", meaning)


def _r_v(options: FreeDustOptions, name: str) -> Parameter:
    law = DUST_LAWS[name]
    assert law.r_v_range is not None
    lower, upper = max(law.r_v_range[0], _USUAL_R_V[0]), min(law.r_v_range[1], _USUAL_R_V[1])
    meaning = f"A_V / E(B-V) of the law {name}"
    return Parameter(SECTION, "r_v", lower, law.r_v, upper, "", meaning, optional=not options.r_v_free)


def _emission(options: Any) -> tuple[Parameter, ...]:
    if not getattr(options, "dust_emission", False):
        return ()
    if not hasattr(options, "input_photometry"):
        note = "; without effect on a spectrum, as the dust emits nothing below 1 micron"
        return tuple(
            Parameter(EMISSION_SECTION, name, start, start, start, unit, meaning + note)
            for name, (_, start, _, unit, meaning) in EMISSION_PARAMETERS.items()
        )
    found = [
        Parameter(EMISSION_SECTION, name, lower, start, upper, unit, meaning, optional=True)
        for name, (lower, start, upper, unit, meaning) in EMISSION_PARAMETERS.items()
    ]
    if not options.dust_calorimetric:
        meaning = "log10 of the luminosity of the dust per mass formed"
        found.append(
            Parameter(EMISSION_SECTION, "log10_lum_ir", -4.0, -0.5, 3.0, "log10(Lsun/Msun)", meaning)
        )
    return tuple(found)
