"""The values and priors of a stage, compared with what its modules read."""

from __future__ import annotations

from orchestrator.config.data_set_sections import own_sections_advice
from orchestrator.config.dust_options import GalaxyDustOptions
from orchestrator.config.module_sections import declared_parameters, module_options_of
from orchestrator.config.priors import check_priors, read_priors
from orchestrator.config.samplers import known_samplers
from orchestrator.config.values import (
    ValuesFile,
    check_values,
    complete_values,
    default_values,
    read_values,
    values_from_mapping,
)
from orchestrator.errors import ConfigError
from orchestrator.stage import Stage

__all__ = ["check_stage_values", "stage_values"]


def stage_values(stage: Stage) -> ValuesFile:
    """Return the values of a stage before any handover.

    They are the inline ones, else those of the user's file, else (where the file does not exist yet) the
    defaults of the modules. Parameters without effect that are left out are added at their fixed value.

    Raises
    ------
    ConfigError
        If the file or the inline values are malformed.
    """
    declared = declared_parameters(stage)
    return complete_values(_given_values(stage) or default_values(declared), declared)


def _given_values(stage: Stage) -> ValuesFile | None:
    if stage.inline_values:
        return values_from_mapping(stage.inline_values, "section 'values'")
    if stage.values_file is not None and stage.values_file.is_file():
        return read_values(stage.values_file)
    return None


def check_stage_values(stage: Stage) -> list[str]:
    """Check values and priors of a stage against its modules and samplers.

    Returns
    -------
    list of str
        Every fault found.
    """
    foreign = any(module.class_name is None for module in stage.modules)
    try:
        given = _given_values(stage)
        declared = declared_parameters(stage)
    except ConfigError as error:
        return error.faults
    if given is None and foreign:
        return ["[pipeline] values: a stage with a module of your own needs a values file that exists"]
    faults = []
    if given is not None:
        source = "section 'values'" if stage.inline_values else str(stage.values_file)
        found = check_values(given, declared, source, allow_other_sections=foreign)
        faults += found + (own_sections_advice(stage) if found else [])
    values = complete_values(given or default_values(declared), declared)
    faults += _dust_faults(stage, values)
    faults += _walker_faults(stage, values)
    if not values.varied and set(stage.samplers) - {"test", "list", "importance"}:
        faults.append("no parameter varies; give at least one a range in the values file")
    if stage.priors_file is not None:
        try:
            faults += check_priors(read_priors(stage.priors_file), values, str(stage.priors_file))
        except ConfigError as error:
            faults += error.faults
    return faults


def _dust_faults(stage: Stage, values: ValuesFile) -> list[str]:
    """Attenuation beyond the grid that a photometry module prepares."""
    faults = []
    for name, options in module_options_of(stage).items():
        section = "dust_attenuation" if isinstance(options, GalaxyDustOptions) else "dust.extinction"
        entry = values.get(section, "a_v")
        if entry is not None and getattr(options, "extinction_law", None) and entry.upper > _a_v_max(options):
            faults.append(
                f"{section}/a_v reaches {entry.upper:g}, but [{name}] prepares it up to a_v_max = "
                f"{_a_v_max(options):g}; raise a_v_max or lower the limit"
            )
    return faults


def _a_v_max(options: object) -> float:
    return getattr(options, "a_v_max", float("inf"))


def _walker_faults(stage: Stage, values: ValuesFile) -> list[str]:
    """Ensemble samplers need an even number of walkers, at least twice the parameters."""
    faults = []
    for sampler in {"emcee", "ensemble", "zeus"} & set(stage.samplers) & set(known_samplers()):
        walkers = stage.sections.get(sampler, {}).get("walkers", "" if sampler == "ensemble" else 2)
        if not str(walkers).isdigit():
            continue  # reported with the sampler's options
        needed = 2 * len(values.varied)
        if int(walkers) < needed:
            varied = f"{len(values.varied)} parameters vary"
            faults.append(f"[{sampler}] walkers = {walkers}: {varied}, so at least {needed} are needed")
    return faults
