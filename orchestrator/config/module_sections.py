"""Checks of the sections of modules: which module serves them, its options and its likelihood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.config.module_options import MODULES, module_of_section, parse_options
from orchestrator.config.option_types import Options
from orchestrator.config.plain import resolve_path, words
from orchestrator.errors import ConfigError, OrchestratorError, nearest_known
from orchestrator.paths import module_file
from orchestrator.physics.parameter import Parameter
from orchestrator.stage import ModuleSection, Stage

__all__ = [
    "ModuleDraft",
    "check_likelihoods",
    "check_module",
    "declared_parameters",
    "module_options_of",
    "check_amplitudes",
]

_OUTPUT_FILES = ("logging_file", "save_z_loglike")
_LIKE = "_like"


@dataclass(frozen=True)
class ModuleDraft:
    """A checked module section, and its typed options if it is one of ours and without fault."""

    section: ModuleSection
    options: Options | None


def check_module(
    name: str, given: Mapping[str, Any], directory: Path, faults: list[str]
) -> ModuleDraft | None:
    """Check the section of one module.

    Parameters
    ----------
    name : str
        Name of the section.
    given : Mapping
        The section as the user wrote it.
    directory : Path
        Folder that relative paths start from.
    faults : list of str
        Faults are added here.

    Returns
    -------
    ModuleDraft or None
        None if it is unknown which module it is.
    """
    class_name, file = _module_file(name, given, directory, faults)
    if file is None:
        return None
    own = {key: value for key, value in given.items() if str(key).lower() != "file"}
    if class_name is None:
        return ModuleDraft(ModuleSection(name, None, file, own), None)
    try:
        parsed = parse_options(class_name, own, name)
    except ConfigError as error:
        faults.extend(error.faults)
        known = MODULES[class_name].options.spellings()
        own = {key: value for key, value in own.items() if str(key).lower() in known}
        try:  # what is known may hold more faults, in files and names
            parsed = parse_options(class_name, own, name, quiet=True)
        except ConfigError:
            return ModuleDraft(ModuleSection(name, class_name, file, own), None)
    resolved = _resolved(parsed, name, directory, faults)
    options = parse_options(class_name, resolved, name, quiet=True)
    faults.extend(_model_faults(class_name, options, name))
    return ModuleDraft(ModuleSection(name, class_name, file, resolved), options)


def _module_file(
    name: str, given: Mapping[str, Any], directory: Path, faults: list[str]
) -> tuple[str | None, Path | None]:
    """Find the class (None for a user's own module) and the file of a section."""
    by_name = module_of_section(name)
    written = next((value for key, value in given.items() if str(key).lower() == "file"), None)
    if written in (None, ""):
        if by_name is None:
            hint = nearest_known(name.partition("_")[0], MODULES)
            faults.append(
                f"[{name}] is no module of this package{hint}; name the section Class or Class_suffix, "
                "or give the path of your own module as 'file'"
            )
            return None, None
        return by_name, module_file(MODULES[by_name].file)
    path = resolve_path(written, directory)
    if not path.is_file():
        hint = " (leave 'file' out to use ours)" if by_name else ""
        faults.append(f"[{name}] file = {str(written)!r}: there is no file {str(path)!r}{hint}")
        return None, None
    served = [entry.class_name for entry in MODULES.values() if _same_file(path, module_file(entry.file))]
    if served and by_name is not None and by_name not in served:
        found = f"[{name}] file = {str(written)!r}"
        faults.append(f"{found} is the module {served[0]}, not {by_name}; rename the section")
        return None, None
    if not served:
        return None, path
    return (by_name if by_name in served else served[0]), path


def _same_file(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()


def _resolved(options: Options, section: str, directory: Path, faults: list[str]) -> dict[str, Any]:
    """Return the options that were given, in their own spelling and with absolute paths that exist."""
    resolved: dict[str, Any] = {}
    for name, field in type(options).model_fields.items():
        if name not in options.model_fields_set:
            continue
        written = field.alias or name
        value = getattr(options, name)
        if name == "ssp_model" and getattr(options, "ssp_dir", None) is None and _is_library_file(value):
            value = Path(value)
        if isinstance(value, Path):
            path = resolve_path(value, directory)
            if name not in _OUTPUT_FILES and not path.exists():
                faults.append(f"[{section}] {written} = {str(value)!r}: there is no file {str(path)!r}")
            value = str(path)
        resolved[written] = value
    return resolved


def _is_library_file(name: str) -> bool:
    from orchestrator.ssp_libraries.simple_layout import is_library_file

    return is_library_file(name)


def _model_faults(class_name: str, options: Any, section: str) -> list[str]:
    """Faults in names that belong to the physics: attenuation laws and SFH models."""
    faults = []
    law = getattr(options, "extinction_law", None)
    if law is not None:
        from orchestrator.physics.attenuation import LAWS

        if law not in LAWS:
            hint = nearest_known(law, LAWS)
            faults.append(f"[{section}] ExtinctionLaw = {law!r} is not an attenuation law{hint}")
    try:
        MODULES[class_name].declared_parameters(options)
    except ConfigError as error:
        faults.extend(f"[{section}] {fault}" for fault in error.faults)
    except (OrchestratorError, ValueError) as error:
        faults.append(f"[{section}] {error}")
    return faults


def module_options_of(stage: Stage) -> dict[str, Any]:
    """Return the typed options of the modules of this package in a stage, by section."""
    return {
        module.name: parse_options(module.class_name, module.options, module.name, quiet=True)
        for module in stage.modules
        if module.class_name is not None
    }


def declared_parameters(stage: Stage) -> tuple[Parameter, ...]:
    """Return the parameters that the modules of a stage read from its values file.

    Where two modules share a parameter, it is listed once; one in which it has an effect comes before one
    in which it has none (equal limits).

    Raises
    ------
    ConfigError
        If the options of a module are at fault.
    """
    found: dict[tuple[str, str], Parameter] = {}
    options = module_options_of(stage)
    for module in stage.modules:
        if module.class_name is None:
            continue
        for parameter in MODULES[module.class_name].declared_parameters(options[module.name]):
            key = (parameter.section, parameter.name)
            if key not in found or found[key].lower == found[key].upper:
                found[key] = parameter
    return tuple(found.values())


def check_amplitudes(drafts: Sequence[ModuleDraft], faults: list[str]) -> None:
    """Require one treatment of the stellar mass in all modules of a stage, as they share one mass.

    Under Student's t noise the likelihood is no parabola in the mass, which no module after it can take over.
    """
    chosen = {
        draft.section.name: draft.options.amplitude
        for draft in drafts
        if draft.options is not None and hasattr(draft.options, "amplitude")
    }
    if len(set(chosen.values())) > 1:
        listed = ", ".join(f"[{name}] {choice}" for name, choice in chosen.items())
        faults.append(
            f"the modules of one stage share the stellar mass, but their amplitude differs: {listed}; set "
            "the same amplitude in all of them"
        )
    sharing = [draft for draft in drafts if draft.section.name in chosen]
    for draft in sharing[:-1]:
        name, options = draft.section.name, draft.options
        if getattr(options, "noise_model", None) == "StudentT" and chosen[name] != "sampled":
            faults.append(
                f"[{name}] NoiseModel = StudentT: with amplitude = {chosen[name]} this module has to be the last of "
                "those that share the mass; name it last in [pipeline] modules, or set amplitude = sampled"
            )


def check_likelihoods(
    drafts: Sequence[ModuleDraft], listed: Any, faults: list[str]
) -> tuple[list[ModuleDraft], list[str]]:
    """Match the likelihoods of the modules with ``pipeline.likelihoods``.

    Parameters
    ----------
    drafts : sequence of ModuleDraft
        Modules of the stage.
    listed : str or list or None
        ``pipeline.likelihoods``.
    faults : list of str
        Faults are added here.

    Returns
    -------
    drafts : list of ModuleDraft
        The same, with ``like_name`` filled in (with its suffix ``_like``).
    names : list of str
        Likelihoods for the ini file (without the suffix, as CosmoSIS wants them).
    """
    names = [word.removesuffix(_LIKE) for word in words(listed)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        faults.append(f"[pipeline] likelihoods: {name!r} is given twice and would count twice")
    own: dict[str, str] = {}
    listed_names = " ".join(names)
    settled = []
    for draft in drafts:
        if draft.section.class_name is None:
            settled.append(draft)
            continue
        like_name = _like_name(draft, drafts, names)
        where = f"[{draft.section.name}]"
        if like_name in own:
            other = f"[{own[like_name]}]"
            faults.append(f"{where} like_name {like_name!r} is that of {other} too; give each its own")
        elif names and like_name not in names:
            faults.append(
                f"[pipeline] likelihoods = {listed_names!r} leaves out {like_name!r} of {where}, so its data "
                "would not count; add it"
            )
        own[like_name] = draft.section.name
        options = {**draft.section.options, "like_name": like_name + _LIKE}
        section = ModuleSection(draft.section.name, draft.section.class_name, draft.section.file, options)
        settled.append(ModuleDraft(section, draft.options))
    only_ours = all(draft.section.class_name is not None for draft in drafts)
    for name in names:
        if only_ours and name not in own:
            faults.append(f"[pipeline] likelihoods: no module computes {name!r}{nearest_known(name, own)}")
    return settled, names or (list(own) if only_ours else [])


def _like_name(draft: ModuleDraft, drafts: Sequence[ModuleDraft], listed: list[str]) -> str:
    """Return the name of a module's likelihood without its suffix."""
    given = next((value for key, value in draft.section.options.items() if key.lower() == "like_name"), None)
    if given:
        return str(given).removesuffix(_LIKE)
    name, class_name = draft.section.name, draft.section.class_name
    alone = sum(other.section.class_name == class_name for other in drafts) == 1
    if class_name and alone and class_name in listed and name not in listed:
        return class_name  # BESTA's default is the class, whatever the section is called
    return name
