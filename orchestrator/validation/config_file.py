"""The file that `orchestrator validate` reads: a pipeline, as for MainPipeline, in YAML or JSON.

::

    - runtime: {sampler: multistart ensemble}      # one entry per stage: the dictionaries that MainPipeline takes
      pipeline: {modules: FullSpectralFit}
      FullSpectralFit: {inputSpectrum: galaxy.dat, redshift: 0.05, SSPModel: MIUSCAT, SFHModel: ExponentialSFH}

or, with more to say,

::

    pipeline: [...]        # the same list, or names of stages with their sections, as in the run file of a production
    truth: [...]           # makes the data, where they are to differ from what is fitted (another SSP library)
    tilt: 0.05             # relative change of the mock fluxes from end to end
    blur: 50               # further dispersion of mock spectra, km/s, that the fit does not know of

Relative files are looked for beside the file. ``output.filename`` may be left out. A stage receives from all stages
before it, or, as in a run file, from those that ``stage: {needs: [...]}`` names and those that these need: one first
stage can have several continuations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config.check import build_stages
from orchestrator.errors import ConfigError, nearest_known
from orchestrator.stage import Stage

__all__ = ["ValidationConfig", "read_validation_config", "stages_of"]

_KEYS = ("pipeline", "truth", "tilt", "blur")


@dataclass(frozen=True)
class ValidationConfig:
    """What is validated.

    Attributes
    ----------
    pipeline, truth : tuple of dict
        Configurations of the stages that fit, and of those that make the data (the same by default).
    tilt, blur : float
    folder : Path
        Where relative paths start.
    needs : tuple of tuple of int
        For each stage of `pipeline`, the stages (counted from 0) that it receives from.
    """

    pipeline: tuple[dict[str, Any], ...]
    truth: tuple[dict[str, Any], ...]
    tilt: float
    blur: float
    folder: Path
    needs: tuple[tuple[int, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain types: what a finished part of a validation must agree with to be continued."""
        plain: dict[str, Any] = {"pipeline": list(self.pipeline), "truth": list(self.truth), "tilt": self.tilt}
        plain |= {"blur": self.blur} if self.blur else {}
        in_a_row = tuple(tuple(range(number)) for number in range(len(self.pipeline)))
        return plain if self.needs == in_a_row else {**plain, "needs": [list(entry) for entry in self.needs]}


def read_validation_config(path: str | Path) -> ValidationConfig:
    """Read the file.

    Raises
    ------
    ConfigError
        If it is not there, is no YAML or JSON, or has another layout.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        msg = f"{str(file)!r} cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    except (ValueError, yaml.YAMLError) as error:
        msg = f"{str(file)!r} is not YAML (or JSON, for a name in .json): {error}"
        raise ConfigError(msg) from error
    return validation_config(content, file.absolute().parent, str(file))


def validation_config(content: Any, folder: Path, source: str = "configuration") -> ValidationConfig:
    """Return the record of a content as described above; see `read_validation_config`."""
    if not isinstance(content, Mapping):
        content = {"pipeline": content}
    unknown = [key for key in content if key not in _KEYS]
    if unknown:
        raise ConfigError([f"{source}: unknown key {key!r}{nearest_known(str(key), _KEYS)}" for key in unknown])
    if "pipeline" not in content:
        msg = f"{source}: expected a list of stages, or a key 'pipeline' that holds one"
        raise ConfigError(msg)
    tilt, blur = (_number(content, key, source) for key in ("tilt", "blur"))
    pipeline = _stages(content["pipeline"], source, "pipeline")
    truth = _stages(content["truth"], source, "truth") if content.get("truth") else pipeline
    needs = _needs(content["pipeline"], source)
    return ValidationConfig(pipeline, truth, tilt, blur, folder, needs)


def _number(content: Mapping[Any, Any], key: str, source: str) -> float:
    value = content.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        msg = f"{source}: {key} = {value!r}; expected a number, 0 or more"
        raise ConfigError(msg)
    return float(value)


def _needs(content: Any, source: str) -> tuple[tuple[int, ...], ...]:
    """Return the stages that each stage receives from: those it names and those that they need, in order."""
    entries = list(content.values() if isinstance(content, Mapping) else content)
    names = _names(content)
    found: list[tuple[int, ...]] = []
    for number, entry in enumerate(entries):
        listed = (entry.get("stage") or {}).get("needs")
        if listed is None:
            found.append(tuple(range(number)))
            continue
        unknown = [name for name in listed if name not in names[:number]]
        if unknown:
            hint = nearest_known(str(unknown[0]), names[:number])
            msg = f"{source}: stage {names[number]!r} needs {unknown[0]!r}, which is no stage before it{hint}"
            raise ConfigError(msg)
        direct = {names.index(name) for name in listed}
        found.append(tuple(sorted(direct.union(*(found[index] for index in direct)))))
    return tuple(found)


def _names(content: Any) -> list[str]:
    """Return the names of the stages: the keys, the names of the outputs, or numbers."""
    if isinstance(content, Mapping):
        return [str(name) for name in content]
    given = [Path(str((entry.get("output") or {}).get("filename", ""))).name for entry in content]
    return [name or f"stage_{number}" for number, name in enumerate(given, 1)]


def _stages(content: Any, source: str, key: str) -> tuple[dict[str, Any], ...]:
    if isinstance(content, Mapping):
        named = [(str(name), sections) for name, sections in content.items()]
    elif isinstance(content, list) and content:
        named = [(f"stage_{number}", sections) for number, sections in enumerate(content, 1)]
    else:
        msg = f"{source}: {key}: expected a list of stages, each a mapping of sections; found {content!r}"
        raise ConfigError(msg)
    stages = []
    for name, sections in named:
        if not isinstance(sections, Mapping):
            msg = f"{source}: {key}: stage {name!r}: expected a mapping of sections, found {sections!r}"
            raise ConfigError(msg)
        stage = {str(section): options for section, options in sections.items() if section != "stage"}
        output = dict(stage.get("output") or {})
        stages.append({**stage, "output": {"filename": name, **output, "derived": "F"}})
    return tuple(stages)


def stages_of(configs: tuple[dict[str, Any], ...], folder: Path) -> tuple[Stage, ...]:
    """Return the validated stages of configurations; names of their outputs must differ.

    Raises
    ------
    ConfigError
        Listing every fault.
    """
    stages = build_stages(configs, directory=folder)
    names = [stage.name for stage in stages]
    if len(set(names)) < len(names):
        msg = f"the stages' outputs are named {names}; give each stage an output.filename of its own"
        raise ConfigError(msg)
    return stages
