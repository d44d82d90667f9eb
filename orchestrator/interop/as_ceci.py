"""Our stages as stages of ceci: one stage is one fit, or several in sequence, over a whole catalogue.

::

    # mystages.py
    from orchestrator.interop.as_ceci import as_ceci

    Kinematics = as_ceci({"runtime": {...}, "pipeline": {...}, "KinDust": {"inputSpectrum": "{spectrum}"}},
                         name="Kinematics", identifier="name")

The class stands in a module that the pipeline names in ``modules``. Its command is ``python3 -m
orchestrator.interop.ceci_stages mystages.Kinematics``, so that the module needs no package and no ``__main__``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ceci import PipelineStage
from ceci.config import StageParameter
from ceci.file_types import DataFile, HDFFile

from orchestrator.errors import ConfigError, ProductionError
from orchestrator.interop.catalogue_product import Samples, known_results, rows_of, write_samples
from orchestrator.interop.catalogue_run import CatalogueRun, Order
from orchestrator.interop.catalogue_table import table_of_targets, write_results
from orchestrator.interop.ranks import Ranks
from orchestrator.production.file_options import file_use, map_files
from orchestrator.production.pipeline_stages import absolute_text
from orchestrator.production.yaml_text import parse_yaml, read_yaml

__all__ = ["CatalogueStage", "SamplesFile", "TargetTable", "as_ceci"]

_SINGLE = frozenset(("runtime", "pipeline", "function", "command"))
"""A section of one stage; a mapping without any of them holds stages by name."""
_MODULE = "orchestrator.interop.ceci_stages"


class TargetTable(DataFile):
    """A table with one row per target: FITS, ECSV, CSV, Parquet or HDF5."""

    suffix = "fits"


class SamplesFile(DataFile):
    """Chains and best fits of a catalogue, as `orchestrator.production.work.samples.read_samples` reads them."""

    suffix = "journal"

    @classmethod
    def open(cls, path: str, mode: str, **_options: Any) -> Any:
        """Open the file as bytes."""
        return Path(path).open(f"{mode}b")


class CatalogueStage(PipelineStage):
    """Base of the stages that `as_ceci` makes: incomplete, for it has no inputs and outputs."""

    pipeline: Mapping[str, Any] = {}
    """Stages by name."""
    folder: str = "."
    """What relative files of the stages are relative to."""
    upstream: tuple[type[CatalogueStage], ...] = ()
    """Stages of ours that were run before, with samples."""
    product = ""
    targets_tag = "targets"

    def run(self) -> None:
        """Carry out the stages for every target that is not done yet, and write the product."""
        ranks = Ranks(self.comm)
        work = CatalogueRun(ranks.shared(self._order() if ranks.rank == 0 else None), ranks)
        work.run()
        if ranks.rank == 0:
            self._write(work)
        self._work = work

    def finalize(self) -> None:
        """Put the products in place, and remove the work in progress."""
        super().finalize()
        if self.rank == 0:
            self._work.clear()

    @classmethod
    def generate_command(
        cls, inputs: Any, config: Any, outputs: Any, aliases: Any = None, instance_name: str | None = None
    ) -> str:
        """Return the command of the stage, as ceci does, with a main that ends all ranks when one has failed."""
        text: str = super().generate_command(inputs, config, outputs, aliases, instance_name)
        words = text.split("   ")
        words[0] = f"python3 -m {_MODULE} {cls.__module__}.{cls.name}"
        return "   ".join(words)

    @property
    def _parts(self) -> Path:
        return Path(os.path.abspath(f"{self.get_output(self.product)}.parts"))

    def _order(self) -> Order:
        """Return what is to be done; on the first rank only."""
        parts = self._parts
        parts.mkdir(parents=True, exist_ok=True)
        options = {str(name): value for name, value in self.config.items()}
        given = Path(os.path.abspath(self.get_input(self.targets_tag)))
        table = table_of_targets(given, str(options.get("group") or ""), parts)
        earlier = {name: sections for stage in self.upstream for name, sections in stage.pipeline.items()}
        content: dict[str, Any] = {
            "seed": int(options["seed"]),
            "samples": "shards" if self._has_samples else "none",
            "targets": {"table": str(table), "identifier": options["identifier"]},
            "pipeline": {**earlier, **self.pipeline},
            "options": self._changes(options),
            "python_path": [self.folder],
        }
        if not any("function" in sections for sections in content["pipeline"].values()):
            content.pop("python_path")
        if options.get("where"):
            content["targets"]["where"] = options["where"]
        known = {}
        for stage in self.upstream:
            table_file, samples = self.get_input(stage.product), self.get_input(f"{stage.product}_samples")
            names = list(stage.pipeline)
            known.update(known_results(Path(table_file), Path(samples), str(options["identifier"]), names))
            content["options"] |= Samples.changes(Path(table_file))
        return Order(self.instance_name, content, parts, given.parent, str(options["isolation"]), known)

    @property
    def _has_samples(self) -> bool:
        return any(tag == f"{self.product}_samples" for tag, _ in self.outputs)

    def _changes(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of the stages that were given another value, by their full name."""
        given = {name: value for name, value in options.items() if self._is_changed(name, value)}
        return {self._full_name(name): self._with_file(name, _value(value)) for name, value in given.items()}

    def _with_file(self, option: str, value: Any) -> Any:
        """Return a file as an absolute path: relative to the current folder, as in ceci, or to that of the module."""
        section, _, name = ".".join(option.split(".")[-2:]).partition(".")
        use = file_use(section, name)
        found = [absolute_text(value, use, folder) for folder in (Path.cwd(), Path(self.folder))]
        return next((path for path in found if isinstance(path, str) and Path(path).exists()), found[0])

    def _full_name(self, option: str) -> str:
        """Return the name of an option with its stage, so that it is not that of an earlier one too."""
        if len(self.pipeline) > 1 or option.count(".") > 1:
            return option
        return f"{next(iter(self.pipeline))}.{option}"

    def _is_changed(self, name: str, value: Any) -> bool:
        """Whether an option of the stages was given another value; an option that was not declared counts too."""
        if "." not in name:
            return False
        declared = self.config_options.get(name)
        return declared is None or _value(value) != declared.default

    def _write(self, work: CatalogueRun) -> None:
        """Write the product, and judge the failures.

        Raises
        ------
        ProductionError
            If more targets have failed than may.
        """
        prefix = len(self.pipeline) > 1
        results, records, n_failed = rows_of(work, str(self.config["identifier"]), tuple(self.pipeline), prefix)
        done, failed, reused = work.n_done, work.n_failed, work.n_reused
        total = results.n_rows
        print(f"{total} targets: {done} tasks done now, {reused} before, {failed} failed")  # noqa: T201
        share = n_failed / max(total, 1)
        if share > float(self.config["max_failed"]):
            errors = [text for text in results.values.get("error", []) if text]
            msg = (
                f"{n_failed} of {total} targets have failed, more than max_failed = {self.config['max_failed']} "
                f"allows; the first: {errors[0] if errors else 'see the log'}; what is done is kept in "
                f"{str(self._parts)!r}"
            )
            raise ProductionError(msg)
        write_results(
            Path(self.get_output(self.product)),
            results,
            Samples.about(work, work.order.content["options"]),
            (str(self.config["identifier"]), "state", "error_class", "error"),
        )
        if self._has_samples:
            write_samples(Path(self.get_output(f"{self.product}_samples")), work, records)


def as_ceci(
    stage: Mapping[str, Any] | Sequence[Mapping[str, Any]] | str | Path,
    name: str,
    *,
    identifier: str = "name",
    targets: str = "targets",
    product: str = "",
    samples: bool = False,
    upstream: Sequence[type[CatalogueStage]] = (),
    max_failed: float = 0.9,
    module: str | None = None,
) -> type[CatalogueStage]:
    """Make a stage of ceci of a stage of ours, or of several that run one after the other for each target.

    Parameters
    ----------
    stage : Mapping, sequence of Mapping, or path
        Sections of one stage as in a run file (``"{column}"`` stands for a value of the target), stages by name, the
        list of configurations of `MainPipeline`, or a YAML file with any of them.
    name : str
        Of the class; it must be the name that the module gives it.
    identifier : str
        Column of the table with the name of each target; for a table in HDF5, ``row`` may be its number.
    targets : str
        Tag of the table of targets.
    product : str
        Tag of the table of results; ``NAME`` in lower case if left out.
    samples : bool
        A second product, ``PRODUCT_samples``, keeps chains, so that later stages can take handovers from them.
    upstream : sequence of type
        Stages made by this function, with samples, that were run before; this one takes their results.
    max_failed : float
        Fraction of the targets that may fail.
    module : str, optional
        Module that holds the class; that of the caller if left out.

    Returns
    -------
    type
        With an option ``Section.option`` (``stage.Section.option`` for several stages) for every option of the
        stages, and ``identifier``, ``where``, ``seed``, ``max_failed``, ``isolation``, ``group``.

    Raises
    ------
    ConfigError
        If there is no stage in what was given.
    """
    caller = sys._getframe(1).f_globals
    folder = Path(os.path.abspath(caller.get("__file__") or ".")).parent
    if isinstance(stage, (str, Path)):
        file = folder / stage
        folder, stage = file.parent, read_yaml(file)
    pipeline = _stages(stage, name, folder)
    product = product or name.lower()
    inputs: list[tuple[str, Any]] = [(targets, TargetTable)]
    for one in upstream:
        if not any(tag == f"{one.product}_samples" for tag, _ in one.outputs):
            msg = f"as_ceci {name!r}: upstream {one.name!r} keeps no samples; make it with samples=True"
            raise ConfigError(msg)
        inputs += [(one.product, HDFFile), (f"{one.product}_samples", SamplesFile)]
    outputs: list[tuple[str, Any]] = [(product, HDFFile)]
    if samples:
        outputs.append((f"{product}_samples", SamplesFile))
    made: type[CatalogueStage] = type(
        name,
        (CatalogueStage,),
        {
            "__module__": module or caller["__name__"],
            "__doc__": f"{', '.join(pipeline)} for every target of a table.",
            "name": name,
            "inputs": inputs,
            "outputs": outputs,
            "config_options": {**_options_of(pipeline), **_own_options(identifier, max_failed)},
            "pipeline": pipeline,
            "folder": str(folder),
            "upstream": tuple(upstream),
            "product": product,
            "targets_tag": targets,
        },
    )
    return made


def _stages(stage: Any, name: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Return stages by name, with absolute files."""
    if isinstance(stage, Mapping) and set(stage) == {"pipeline"} and not isinstance(stage["pipeline"], str):
        only = stage["pipeline"]
        stage = stage if isinstance(only, Mapping) and "modules" in only else only
    if isinstance(stage, Mapping):
        stages = {name.lower(): stage} if _SINGLE & set(stage) else dict(stage)
    else:
        stages = {f"stage_{number}": sections for number, sections in enumerate(stage or (), 1)}
    if not stages or not all(isinstance(sections, Mapping) for sections in stages.values()):
        msg = f"as_ceci {name!r}: expected the sections of a stage, or stages by name; found {stage!r:.60}"
        raise ConfigError(msg)
    return {str(one): _with_files(sections, folder) for one, sections in stages.items()}


def _with_files(sections: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    sections = {section: options for section, options in sections.items() if section != "output"}
    plain = {section: dict(options) for section, options in sections.items() if isinstance(options, Mapping)}
    made = map_files(plain, lambda value, use: absolute_text(value, use, folder))
    return {**sections, **made}


def _options_of(pipeline: Mapping[str, Mapping[str, Any]]) -> dict[str, StageParameter]:
    """Declare every option of the stages; the types are checked by the modules, which know them."""
    options = {}
    for stage, sections in pipeline.items():
        for section, entries in sections.items():
            if section in ("stage", "values", "handover", "function") or not isinstance(entries, Mapping):
                continue
            for option, value in entries.items():
                name = f"{section}.{option}" if len(pipeline) == 1 else f"{stage}.{section}.{option}"
                text = f"option {option} of {section}"
                options[name] = StageParameter(default=value, required=False, msg=text)
    return options


def _own_options(identifier: str, max_failed: float) -> dict[str, StageParameter]:
    def parameter(kind: type, default: Any, text: str) -> StageParameter:
        return StageParameter(kind, default, required=False, msg=text)

    return {
        "identifier": parameter(str, identifier, "column with the name of each target"),
        "where": parameter(str, "", "condition on the columns of the table"),
        "seed": parameter(int, 1, "seed of all targets"),
        "max_failed": parameter(float, max_failed, "fraction of the targets that may fail"),
        "isolation": parameter(str, "process", "process: fits in a watched process; none: in the stage itself"),
        "group": parameter(str, "", "group of a table in HDF5"),
    }


def _value(value: Any) -> Any:
    """Return the value of an option; from the command line it comes as text."""
    if not isinstance(value, str):
        return value
    try:
        parsed = parse_yaml(value)
    except ConfigError:
        return value
    return parsed if isinstance(parsed, (bool, int, float, list)) else value
