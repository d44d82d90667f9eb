"""A whole catalogue from a notebook: a pipeline, a table, and a table of results back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from orchestrator.config.plain import plain_value
from orchestrator.config.text_files import write_atomically
from orchestrator.errors import ProductionError
from orchestrator.production.production import Production

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["fit_catalogue"]

Pipeline = Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]]


def fit_catalogue(
    pipeline: Pipeline,
    table: Table,
    *,
    identifier: str = "name",
    output: str | Path = "catalogue",
    seed: int = 1,
    progress: bool = True,
    **site: Any,
) -> Table:
    """Fit every row of a table with one pipeline, and return the results of all stages side by side.

    What has been done is not done again: call it with a longer table, or with other options of one stage, and only
    what is new is fitted. Beside the folder `output` lie ``OUTPUT.yaml``, the run file of the production, and its
    table; ``orchestrator run OUTPUT.yaml`` continues from a shell.

    Parameters
    ----------
    pipeline : Mapping of str to Mapping, or sequence of Mapping
        Stage to its ini sections; or the list of configurations that `MainPipeline` takes, whose stages get the names
        of their outputs. ``{column}`` stands for the value of a target.
    table : astropy Table
        One row per target.
    identifier : str
        Column with a name for each target.
    output : path
        Folder of the production.
    seed : int
    progress : bool
        Show a bar.
    **site
        Entries of the site, such as ``workers=4``.

    Returns
    -------
    astropy Table
        One row per target with a result.

    Raises
    ------
    ConfigError
        Listing every fault of pipeline and table.
    ProductionError
        If the pipeline is neither of the two forms.
    """
    folder = Path(output).absolute()
    targets = folder.with_name(f"{folder.name}_targets.ecsv")
    folder.parent.mkdir(parents=True, exist_ok=True)
    table.write(targets, format="ascii.ecsv", overwrite=True)
    content = {
        "output": folder.name,
        "seed": seed,
        "targets": {"table": targets.name, "identifier": identifier},
        "pipeline": plain_value(_stages(pipeline)),
        "site": {"executor": "local", **site},
    }
    run_file = folder.with_name(f"{folder.name}.yaml")
    write_atomically(run_file, yaml.safe_dump(content, sort_keys=False))
    production = Production(run_file)
    production.run(progress=progress)
    return production.results(None)


def _stages(pipeline: Pipeline) -> Mapping[str, Mapping[str, Any]]:
    """Return stage to sections; a list of configurations is named after their outputs."""
    if isinstance(pipeline, Mapping):
        return pipeline
    if isinstance(pipeline, str) or not all(isinstance(entry, Mapping) for entry in pipeline):
        msg = f"expected stages by name, or a list of configurations; found {pipeline!r:.80}"
        raise ProductionError(msg)
    stages: dict[str, Mapping[str, Any]] = {}
    for number, config in enumerate(pipeline, 1):
        output = config.get("output", {}).get("filename", f"stage_{number}")
        name = Path(str(output)).name.removesuffix(".txt")
        if name in stages:
            msg = f"two configurations have the output {name!r}; give each its own 'output.filename'"
            raise ProductionError(msg)
        stages[name] = {
            section: {key: value for key, value in options.items() if (section, key) not in _OF_ONE_RUN}
            for section, options in config.items()
            if section != "output"
        }
    return stages


_OF_ONE_RUN = frozenset({("pipeline", "values")})
"""Options of a configuration that name files of a single run."""
