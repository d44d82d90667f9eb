"""Checks of the sections that CosmoSIS itself reads: runtime, output, pipeline and the samplers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.config.plain import as_flag, as_whole_number, resolve_path, words
from orchestrator.config.samplers import known_samplers, missing_requirement, samplers_in_file
from orchestrator.errors import nearest_known

__all__ = [
    "OUTPUT_KEYS",
    "PIPELINE_KEYS",
    "RUNTIME_KEYS",
    "check_output",
    "check_pipeline",
    "check_runtime",
    "check_sampler_options",
    "default_seed",
    "lower_case_names",
]

RUNTIME_KEYS = frozenset(
    (
        "sampler",
        "resume",
        "root",
        "verbosity",
        "output",
        "global",
        "import_samplers",
        "pre_script",
        "post_script",
        "pool_stdout",
        "seed",
        "timeout",
        "stock_samplers",
    )
)
"""Options of [runtime] in CosmoSIS 3.26, and our ``seed``, ``timeout`` (seconds) and ``stock_samplers``."""
OUTPUT_KEYS = frozenset(
    ("filename", "format", "delimiter", "lock", "privacy", "blinding-header", "figurename", "derived")
)
"""Options of [output] in CosmoSIS 3.26, BESTA's ``figurename``, and our ``derived`` (F: no tables of derived
quantities and of the star-formation history after the stage)."""
PIPELINE_KEYS = frozenset(
    (
        "modules",
        "values",
        "priors",
        "likelihoods",
        "extra_output",
        "quiet",
        "timing",
        "debug",
        "shortcut",
        "fast_slow",
        "first_fast_module",
        "failure_log",
    )
)
"""Options of [pipeline] in CosmoSIS 3.26."""

_FILES_READ = frozenset(("start_points", "covmat", "input", "start_input", "datafile"))
_FILES_WRITTEN = frozenset(
    (
        "output_ini",
        "output_covmat",
        "output_block",
        "save_dir",
        "save",
        "save_cov",
        "graph",
        "multinest_outfile_root",
        "base_dir",
    )
)
_FLAGS = {
    "runtime": ("resume", "pool_stdout", "stock_samplers"),
    "pipeline": ("quiet", "timing", "debug", "fast_slow"),
}


def lower_case_names(section: str, options: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    """Lower-case the names of options, as CosmoSIS does, and refuse two that become one."""
    result: dict[str, Any] = {}
    for key, value in options.items():
        name = str(key).lower()
        if name in result:
            faults.append(f"[{section}] {name} is given twice (names are read without regard to capitals)")
        result[name] = value
    return {name: value for name, value in result.items() if value is not None}


def _refuse_unknown(
    section: str, options: Mapping[str, Any], known: frozenset[str], faults: list[str]
) -> None:
    for name in options:
        if name not in known:
            faults.append(f"[{section}] unknown option {name!r}{nearest_known(name, known)}")


def _check_flags(section: str, options: dict[str, Any], faults: list[str]) -> None:
    for name in _FLAGS[section]:
        if name in options:
            options[name] = as_flag(options[name], f"[{section}] {name}", faults)


def default_seed(name: str) -> int:
    """Return the seed of a stage that the user gave none: the same for the same name, always."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 1


def check_runtime(
    options: Mapping[str, Any], directory: Path, faults: list[str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Check [runtime] and return it resolved, with the names of the samplers."""
    runtime = lower_case_names("runtime", options, faults)
    _refuse_unknown("runtime", runtime, RUNTIME_KEYS, faults)
    _check_flags("runtime", runtime, faults)
    if "seed" in runtime:
        runtime["seed"] = as_whole_number(runtime["seed"], "[runtime] seed", faults, lowest=0)
    if "timeout" in runtime:
        runtime["timeout"] = _number(runtime["timeout"], "[runtime] timeout", faults)
    plug_ins = _plug_in_files(runtime, directory, faults)
    samplers = tuple(words(runtime.get("sampler")))
    if not samplers:
        faults.append("[runtime] sampler is missing; for example {'sampler': 'maxlike'}")
    runtime["sampler"] = " ".join(samplers)
    known = known_samplers()
    added = {name for file in plug_ins for name in samplers_in_file(file)}
    for name in samplers:
        if known and not plug_ins and name not in known:
            faults.append(f"[runtime] unknown sampler {name!r}{nearest_known(name, known)}")
        elif name in known and name not in added and (fault := missing_requirement(name)):
            faults.append(f"[runtime] {fault}")
    return runtime, samplers


def _plug_in_files(runtime: dict[str, Any], directory: Path, faults: list[str]) -> list[Path]:
    """Resolve the files of ``import_samplers``, a list that CosmoSIS splits at blanks."""
    files = [resolve_path(word, directory) for word in words(runtime.get("import_samplers"))]
    if files:
        runtime["import_samplers"] = " ".join(map(str, files))
    for file in files:
        if not file.is_file():
            faults.append(f"[runtime] import_samplers: file {str(file)!r} does not exist")
        elif any(character.isspace() for character in str(file)):
            faults.append(
                f"[runtime] import_samplers: CosmoSIS cannot read a path with blanks, {str(file)!r}"
            )
    return [file for file in files if file.is_file()]


def check_sampler_options(
    name: str, options: Mapping[str, Any], directory: Path, faults: list[str], *, plug_ins: bool
) -> dict[str, Any]:
    """Check the section of one sampler and return it with resolved paths.

    Parameters
    ----------
    name : str
        Name of the sampler.
    options : Mapping
        Its section.
    directory : Path
        Folder that relative paths start from.
    faults : list of str
        Faults are added here.
    plug_ins : bool
        The user adds samplers of their own, which may read options that CosmoSIS's do not.
    """
    checked = lower_case_names(name, options, faults)
    if name == "maxlike":
        # CosmoSIS itself leaves the priors out unless told otherwise; written, so that a replay does the same.
        checked.setdefault("max_posterior", True)
    known = known_samplers()
    if name not in known or plug_ins:
        return checked
    kinds = known[name].options
    for option, value in checked.items():
        where = f"[{name}] {option}"
        if option not in kinds:
            faults.append(f"[{name}] unknown option {option!r}{nearest_known(option, kinds)}")
        elif kinds[option] == "int":
            checked[option] = as_whole_number(value, where, faults)
        elif kinds[option] == "bool":
            checked[option] = as_flag(value, where, faults)
        elif kinds[option] == "float":
            checked[option] = _number(value, where, faults)
        elif str(value).strip() and _is_file_option(name, option):
            checked[option] = path = resolve_path(value, directory)
            if option not in _FILES_WRITTEN and not path.exists():
                faults.append(f"{where}: file {str(path)!r} does not exist")
    return checked


def _is_file_option(sampler: str, option: str) -> bool:
    return option in _FILES_READ | _FILES_WRITTEN or (sampler, option) == ("list", "filename")


def _number(value: Any, where: str, faults: list[str]) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        faults.append(f"{where} = {value!r}: expected a number")
    return number


def check_output(
    options: Mapping[str, Any], directory: Path, faults: list[str]
) -> tuple[dict[str, Any], Path | None]:
    """Check [output] and return it resolved, with the path of the results (without ending rules)."""
    output = lower_case_names("output", options, faults)
    _refuse_unknown("output", output, OUTPUT_KEYS, faults)
    for name in ("lock", "privacy", "blinding-header", "derived"):
        if name in output:
            output[name] = as_flag(output[name], f"[output] {name}", faults)
    written = output.setdefault("format", "text")
    if written not in ("text", "txt"):
        faults.append(f"[output] format = {written!r}: the results are read back as text; set 'text'")
    if "figurename" in output:
        output["figurename"] = str(resolve_path(output["figurename"], directory))
    filename = str(output.get("filename", "")).strip()
    if not filename:
        faults.append("[output] filename is missing; give the path of the results, for example './fit'")
        return output, None
    path = resolve_path(filename, directory)
    _check_folder(path, faults)
    return output, path


def _check_folder(path: Path, faults: list[str]) -> None:
    """Refuse an output below something that is a file; missing folders are made when the stage runs."""
    for folder in path.parents:
        if folder.is_dir():
            return
        if folder.exists():
            faults.append(f"[output] filename = {str(path)!r}: {str(folder)!r} is a file, not a folder")
            return


def check_pipeline(
    options: Mapping[str, Any], directory: Path, faults: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """Check [pipeline] and return it resolved, with the names of the modules."""
    pipeline = lower_case_names("pipeline", options, faults)
    _refuse_unknown("pipeline", pipeline, PIPELINE_KEYS, faults)
    _check_flags("pipeline", pipeline, faults)
    modules = words(pipeline.get("modules"))
    if not modules:
        faults.append("[pipeline] modules is missing; name one or more, for example 'FullSpectralFit'")
    for name in sorted({name for name in modules if modules.count(name) > 1}):
        faults.append(f"[pipeline] modules: {name!r} is given twice; name the sections {name}_a and {name}_b")
    for name in ("values", "priors", "failure_log"):
        if str(pipeline.get(name, "")).strip():
            pipeline[name] = resolve_path(pipeline[name], directory)
        else:
            pipeline.pop(name, None)
    extra = words(pipeline.get("extra_output"))
    for name in extra:
        if name.count("/") != 1 or name.startswith("/") or name.endswith("/"):
            faults.append(
                f"[pipeline] extra_output: {name!r}: expected section/name, as in extra/stellar_mass"
            )
    if extra:
        pipeline["extra_output"] = " ".join(extra)
    return pipeline, list(dict.fromkeys(modules))
