"""The modules of this package: their options, their files and their parameters.

`MODULES` is the one list of what exists; checks, templates and documentation read it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from orchestrator.config.galaxy_options import GalaxyPhotometryOptions, GalaxySpectraOptions
from orchestrator.config.gaussian_options import GaussianTargetOptions, gaussian_target_parameters
from orchestrator.config.index_options import EquivalentWidthFitOptions
from orchestrator.config.option_types import Options
from orchestrator.config.parameters import (
    equivalent_width_fit_parameters,
    full_spectral_fit_parameters,
    kin_dust_parameters,
    sfh_photometry_parameters,
    sfh_spectra_parameters,
)
from orchestrator.config.photometry_options import SFHPhotometryOptions
from orchestrator.config.redshift_options import SpectraRedshiftFitOptions
from orchestrator.config.redshift_parameters import spectra_redshift_fit_parameters
from orchestrator.config.spectrum_options import FullSpectralFitOptions, KinDustOptions, SFHSpectraOptions
from orchestrator.errors import ConfigError, nearest_known
from orchestrator.physics.parameter import Parameter

__all__ = ["MODULES", "MODULE_OPTIONS", "ModuleDeclaration", "module_of_section", "parse_options"]

logger = logging.getLogger(__name__)

_WITHOUT_EFFECT = ("wl_norm_range", "legendre_clip_first_zero", "logwave", "logging_console")
"""Options of BESTA that are accepted so that its files run, and that change nothing."""


@dataclass(frozen=True)
class ModuleDeclaration:
    """One module of this package.

    Attributes
    ----------
    class_name : str
        Name of the module, which its section in a configuration begins with.
    file : str
        Name of the file in ``orchestrator.modules``, without ``.py``.
    options : type
        Model of its options.
    declared_parameters : callable
        Options to the parameters that the module reads from the values file.
    """

    class_name: str
    file: str
    options: type[Options]
    declared_parameters: Callable[[Any], tuple[Parameter, ...]]


MODULES: dict[str, ModuleDeclaration] = {
    declaration.class_name: declaration
    for declaration in (
        ModuleDeclaration("KinDust", "kin_dust", KinDustOptions, kin_dust_parameters),
        ModuleDeclaration(
            "FullSpectralFit", "full_spectral_fit", FullSpectralFitOptions, full_spectral_fit_parameters
        ),
        ModuleDeclaration("SFHSpectra", "sfh_spectra", SFHSpectraOptions, sfh_spectra_parameters),
        ModuleDeclaration("SFHPhotometry", "sfh_photometry", SFHPhotometryOptions, sfh_photometry_parameters),
        ModuleDeclaration("GalaxySpectra", "galaxy_spectra", GalaxySpectraOptions, full_spectral_fit_parameters),
        ModuleDeclaration(
            "GalaxyPhotometry", "galaxy_photometry", GalaxyPhotometryOptions, sfh_photometry_parameters
        ),
        ModuleDeclaration(
            "EquivalentWidthFit", "equivalent_width_fit", EquivalentWidthFitOptions, equivalent_width_fit_parameters
        ),
        ModuleDeclaration(
            "SpectraRedshiftFit", "spectra_redshift_fit", SpectraRedshiftFitOptions, spectra_redshift_fit_parameters
        ),
        ModuleDeclaration("GaussianTarget", "gaussian_target", GaussianTargetOptions, gaussian_target_parameters),
    )
}

MODULE_OPTIONS: dict[str, type[Options]] = {name: entry.options for name, entry in MODULES.items()}


def module_of_section(section: str) -> str | None:
    """Return the class name that a section belongs to, by the rule ``Class`` or ``Class_suffix``.

    Returns
    -------
    str or None
        None if the section is not named after a module of this package.
    """
    class_name = section.partition("_")[0]
    return class_name if class_name in MODULES else None


def parse_options(
    class_name: str, mapping: Mapping[str, Any], section: str | None = None, *, quiet: bool = False
) -> Any:
    """Check the options of one module and return them typed.

    Parameters
    ----------
    class_name : str
        Key of `MODULES`.
    mapping : Mapping
        Options by name, as a user writes them in Python or as CosmoSIS reads them from an ini file.
        Capitals in names do not matter. It is not modified.
    section : str, optional
        Name of the section for messages; `class_name` if left out.
    quiet : bool
        Do not warn about options without effect.

    Returns
    -------
    Options
        A frozen instance of ``MODULES[class_name].options``.

    Raises
    ------
    ConfigError
        Listing every fault: unknown names, missing ones and values that cannot be.
    """
    if class_name not in MODULES:
        msg = f"unknown module {class_name!r}{nearest_known(class_name, MODULES)}"
        raise ConfigError(msg)
    model = MODULES[class_name].options
    where = section or class_name
    try:
        options = model.model_validate(dict(mapping))
    except ValidationError as error:
        raise ConfigError(_faults(error, model, where)) from None
    for name in _WITHOUT_EFFECT:
        if not quiet and name in options.model_fields_set:
            written = model.model_fields[name].alias or name
            logger.warning("[%s] %s has no effect and can be removed", where, written)
    return options


def _faults(error: ValidationError, model: type[Options], section: str) -> list[str]:
    """Turn pydantic's report into sentences, one per option."""
    faults: dict[tuple[str, str], str] = {}
    for entry in error.errors(include_url=False):
        name = str(entry["loc"][0]) if entry["loc"] else ""
        message = entry["msg"].removeprefix("Value error, ")
        if entry["type"] != "value_error":  # a sentence of pydantic's; ours may begin with a name
            message = message[:1].lower() + message[1:]
        if entry["type"] == "extra_forbidden":
            written = set(model.spellings().values())
            text = f"[{section}] unknown option {name!r}{nearest_known(name, written)}"
        elif not name:
            text = f"[{section}] {message}"
        elif entry["type"] == "missing":
            text = f"[{section}] option {name!r} is missing ({_description(model, name)})"
        else:
            text = f"[{section}] {name} = {entry['input']!r}: {message} ({_description(model, name)})"
        faults.setdefault((name, entry["type"] if not name else ""), text)
    return list(faults.values())


def _description(model: type[Options], written: str) -> str:
    for name, field in model.model_fields.items():
        if written in (name, field.alias):
            return field.description or ""
    return ""
