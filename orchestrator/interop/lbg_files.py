"""Run files in the form of ceci and of LSST DESC's lbg-pipelines, read as they are: run, pipelines, site, options.

A run of lbg-pipelines names pipelines (``configs/pipelines/NAME/pipeline.yaml`` with its ``config.yaml``) and a site;
a file of ceci holds all of it. Precedence, the last wins: pipeline, run, site, command line. Relative files are
relative to one folder, as in ceci; it is found rather than assumed, see `find_root`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.interop.lbg_model import RunModel
from orchestrator.production.yaml_text import parse_yaml

__all__ = ["RunContent", "absolute", "folder_and_stages", "read_content"]

_ENDINGS = (".yaml", ".yml")


@dataclass
class RunContent:
    """What the files of a run say together.

    Attributes
    ----------
    source, root : Path
        The run file; the folder that relative files start from.
    entries : dict
        Entries of the run, those of ceci's own file.
    sections : dict of str to dict
        Options: ``global``, and a section per stage.
    faults : list of str
        What is wrong with the files.
    """

    source: Path
    root: Path
    entries: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def read_content(path: str | Path, settings: Sequence[str] = (), site: str | None = None) -> RunContent:
    """Read and merge all files of a run.

    Parameters
    ----------
    path : path
    settings : sequence of str
        ``name=value``: entries of the run (``output_dir=out``, ``site.max_threads=4``, ``inputs.TAG=file``), of a
        stage (``stages.NAME.nprocess=2``), or options (``NAME.option=1``, ``global.option=1``).
    site : str, optional
        Name of a site, or its file.

    Raises
    ------
    ConfigError
        If the run file itself cannot be read.
    """
    if importlib.util.find_spec("ceci") is None:
        msg = f"{str(path)!r} is a run of ceci, which is not installed: pip install 'galaxy-orchestrator[ceci]'"
        raise ConfigError(msg)
    source = Path(os.path.abspath(Path(path).expanduser()))
    run = _read(source)
    content = RunContent(source, find_root(source, run))
    names = run.pop("pipelines", None)
    for name in _pipeline_names(names):
        _add_pipeline(content, name)
    base = dict(content.entries)
    _add_options(content, run.pop("config", None), "config")
    content.entries = {**base, **run}
    if "stages" in run and "stages" in base:
        content.entries["stages"] = [*base["stages"], *_list(run["stages"])]
    if "modules" in run and "modules" in base:
        content.entries["modules"] = " ".join([*_words(base["modules"]), *_words(run["modules"])])
    _add_site(content, site)
    _add_settings(content, settings)
    return content


def absolute(root: Path, file: str) -> Path:
    """Return a file of a run as an absolute path."""
    return Path(os.path.abspath(root / os.path.expanduser(file)))


def folder_and_stages(path: str | Path) -> tuple[Path, list[str]]:
    """Return the folder of the products of a run, and the names of its stages, without importing them."""
    content = read_content(path)
    folder = content.root / os.path.expanduser(str(content.entries.get("output_dir", ".")))
    return folder, [_stage_name(stage) for stage in _list(content.entries.get("stages"))]


def find_root(source: Path, run: Mapping[str, Any]) -> Path:
    """Return the folder that the relative files of a run start from.

    ceci takes the current folder, so that a run works in one place only. Here it is the first of the current folder,
    the folder of the run file and those above it in which most of the files that the run names are found.
    """
    candidates = list(dict.fromkeys([Path.cwd(), *source.parents]))

    def n_found(folder: Path) -> int:
        files = [value for value in _values(run.get("inputs")) if isinstance(value, str)]
        files += [value for value in (run.get("config"),) if isinstance(value, str)]
        found = sum((folder / os.path.expanduser(file)).exists() for file in files)
        return found + sum(_pipeline_file(folder, name) is not None for name in _pipeline_names(run.get("pipelines")))

    return max(candidates, key=n_found)  # the first of equals


def _pipeline_names(value: Any) -> list[str]:
    """Return names of pipelines; lbg-pipelines' own example of a list has no dashes, and is a text."""
    return [name for entry in _list(value) for name in str(entry).split()]


def _pipeline_file(root: Path, name: str) -> Path | None:
    """Return the file of a pipeline."""
    if name.endswith(_ENDINGS):
        return root / name if (root / name).is_file() else None
    files = (root / "configs" / "pipelines" / name / f"pipeline{ending}" for ending in _ENDINGS)
    return next((file for file in files if file.is_file()), None)


def _add_pipeline(content: RunContent, name: str) -> None:
    file = _pipeline_file(content.root, name)
    if file is None:
        known = {entry.parent.name for entry in content.root.glob("configs/pipelines/*/pipeline.y*ml")}
        place = content.root / "configs" / "pipelines" / name / "pipeline.yaml"
        hint = nearest_known(name, known)
        content.faults.append(f"pipelines: there is no pipeline {name!r} (no file {str(place)!r}){hint}")
        return
    entries = _read_or_note(content, file)
    if entries is None:
        return
    _add_options(content, entries.pop("config", None), f"{file}: config", file.parent)
    modules = dict.fromkeys([*_words(content.entries.get("modules")), *_words(entries.pop("modules", None))])
    stages = [*content.entries.get("stages", []), *_list(entries.pop("stages", None))]
    content.entries |= {**entries, "modules": " ".join(modules), "stages": stages}


def _add_options(content: RunContent, config: Any, place: str, folder: Path | None = None) -> None:
    """Merge options: a file, or a mapping."""
    if isinstance(config, str):
        file = content.root / os.path.expanduser(config)
        if not file.exists() and folder is not None and (folder / config).exists():
            file = folder / config
        config = _read_or_note(content, file, f"{place}: ")
    if config is None:
        return
    if not isinstance(config, Mapping):
        content.faults.append(f"{place}: expected a file with options, or sections, found {config!r:.60}")
        return
    for section, options in config.items():
        if options is not None and not isinstance(options, Mapping):
            content.faults.append(f"{place}: section {section!r}: expected options, found {options!r:.60}")
            continue
        known = content.sections.get(str(section))
        content.sections[str(section)] = options if known is None else {**known, **(options or {})}


def _add_site(content: RunContent, chosen: str | None) -> None:
    """Replace the name of a site by what its file says, over what the run says."""
    name = chosen if chosen is not None else content.entries.get("site")
    if not isinstance(name, str):
        return
    folders = (content.root / "configs" / "sites", content.source.parent, content.root)
    endings = ("",) if name.endswith(_ENDINGS) else _ENDINGS
    files = [folder / f"{name}{ending}" for folder in folders for ending in endings]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        content.entries["site"] = {"name": name}
        if name != "local" and "interactive" not in name:
            known = {entry.stem for entry in content.root.glob("configs/sites/*.y*ml")} | {"local"}
            hint = nearest_known(name, known)
            content.faults.append(f"site: there is no site {name!r} (no file {str(files[0])!r}){hint}")
        return
    content.entries.pop("site", None)
    entries = _read_or_note(content, file)
    if entries is None:
        return
    _add_options(content, entries.pop("config", None), f"{file}: config", file.parent)
    content.entries |= entries


def _add_settings(content: RunContent, settings: Sequence[str]) -> None:
    for word in settings:
        name, _, text = word.partition("=")
        name = name.strip()
        try:
            value = parse_yaml(text, f"setting {word!r}")
        except ConfigError as error:
            content.faults += error.faults
            continue
        first, _, rest = name.partition(".")
        entries = {*RunModel.model_fields, "from"} - {"begin"}
        if first == "stages" and rest:
            _set_stage(content, word, rest, value)
        elif not rest:
            content.entries[first] = value  # an unknown one is refused with the others
        elif first == "config":
            section, _, option = rest.partition(".")
            _set_option(content, section, option, value)
        elif first in entries:
            group = content.entries.get(first)
            content.entries[first] = {**(group if isinstance(group, Mapping) else {}), rest: value}
        else:
            _set_option(content, first, rest, value)


def _set_option(content: RunContent, section: str, option: str, value: Any) -> None:
    stages = [_stage_name(stage) for stage in _list(content.entries.get("stages"))]
    if section != "global" and section not in stages:
        known = [*stages, "global", *RunModel.model_fields]
        hint = nearest_known(section, known)
        content.faults.append(f"setting {section}.{option}: there is no stage {section!r}{hint}")
        return
    content.sections[section] = {**(content.sections.get(section) or {}), option: value}


def _set_stage(content: RunContent, word: str, rest: str, value: Any) -> None:
    name, _, entry = rest.partition(".")
    given = _list(content.entries.get("stages"))
    stages = [dict(one) if isinstance(one, Mapping) else {"name": one} for one in given]
    found = [stage for stage in stages if stage.get("name") == name]
    if not found or not entry:
        hint = nearest_known(name, [str(stage.get("name")) for stage in stages])
        content.faults.append(f"setting {word!r}: expected stages.NAME.entry=value with the name of a stage{hint}")
    for stage in found:
        stage[entry] = value
    content.entries["stages"] = stages


def _read_or_note(content: RunContent, file: Path, place: str = "") -> dict[str, Any] | None:
    """Read a file; None with its faults noted if it cannot be read."""
    try:
        return _read(file)
    except ConfigError as error:
        content.faults += [f"{place}{fault}" for fault in error.faults]
        return None


def _read(file: Path) -> dict[str, Any]:
    """Read a YAML file with the templates of jinja2 and the variables of the environment that it may hold."""
    from ceci.pipeline.templates import read_and_apply_template

    try:
        text = read_and_apply_template(str(file))
    except OSError as error:
        msg = f"cannot read {str(file)!r}: {error.strerror or error}"
        raise ConfigError(msg) from None
    except Exception as error:  # noqa: BLE001 - jinja2 has many errors, all of them the file's
        msg = f"{str(file)!r}: the template cannot be filled in: {error}"
        raise ConfigError(msg) from None
    content = parse_yaml(os.path.expandvars(text), str(file))
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        msg = f"{str(file)!r}: expected entries, found {content!r:.60}"
        raise ConfigError(msg)
    return {str(key): value for key, value in content.items()}


def _stage_name(stage: Any) -> str:
    return str(stage.get("name")) if isinstance(stage, Mapping) else str(stage)


def _values(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else ()


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _words(value: Any) -> Iterator[str]:
    for entry in _list(value):
        yield from str(entry).split()
