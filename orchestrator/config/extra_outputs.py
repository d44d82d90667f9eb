"""Checks of ``pipeline.extra_output`` against what the modules of this package write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.config.plain import words
from orchestrator.errors import OrchestratorError
from orchestrator.physics.derived_quantities import (
    DERIVED_QUANTITIES,
    NO_MASS,
    derived_names,
    unavailable_quantities,
    unknown_extra_outputs,
)

__all__ = ["check_extra_outputs", "unavailable_outputs"]

_ONLY_DERIVED = ("KinDust", "FullSpectralFit", "GalaxySpectra", "SFHSpectra", "SFHPhotometry", "GalaxyPhotometry")
"""Modules that write at most derived quantities into the section ``extra``."""


def check_extra_outputs(extra_output: Any, modules: Iterable[str | None]) -> list[str]:
    """Check the names of ``extra/<name>``.

    Parameters
    ----------
    extra_output : str, list or None
        ``pipeline.extra_output``.
    modules : iterable of str or None
        Classes of the stage's modules; None for a user's own, which may write anything.

    Returns
    -------
    list of str
        A fault for each name that no module writes. Where a module writes more than derived quantities, the
        run itself checks, at its start point.
    """
    classes = tuple(modules)
    if not classes or not set(classes) <= set(_ONLY_DERIVED):
        return []
    return unknown_extra_outputs(words(extra_output))


def unavailable_outputs(extra_output: Any, options: Mapping[str, Any]) -> list[str]:
    """Return a fault for each derived quantity that is asked for and that no module's SSP library can give.

    Parameters
    ----------
    extra_output : str, list or None
        ``pipeline.extra_output``.
    options : mapping of str to Options
        Of the stage's modules, by section.
    """
    names = derived_names(words(extra_output))
    with_sfh = [given for given in options.values() if hasattr(given, "sfh_model")]
    if not names or not with_sfh:
        return []
    reasons = []
    for given in with_sfh:
        try:
            reasons.append(_unavailable(given))
        except OrchestratorError:
            return []  # a library that cannot be read is reported as such
    if not any(hasattr(given, "amplitude") for given in options.values()):
        names_of_mass = [name for name in names if DERIVED_QUANTITIES[name].scales_with_mass]
        reasons = [{**dict.fromkeys(names_of_mass, NO_MASS), **reason} for reason in reasons]
    return [
        f"[pipeline] extra_output asks for extra/{name}, but {reasons[0][name]}; leave it out"
        + ("" if reasons[0][name] == NO_MASS else ", or choose another SSPModel")
        for name in names
        if all(name in reason for reason in reasons)
    ]


def _unavailable(options: Any) -> dict[str, str]:
    from orchestrator.ssp_libraries.load import load_library

    library = load_library(options.ssp_model, options.ssp_dir, options.ssp_model_args)
    return unavailable_quantities(
        library.name,
        mass_normalised=library.mass_normalised,
        has_surviving_fraction=library.surviving_fraction is not None,
    )
