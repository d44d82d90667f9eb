"""What is kept of one fit: its chain, its best-fit models, its derived tables and its documents.

The results file, its JSON companions and the tables can be written again: `StoredFit.write_directory`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.text_files import write_atomically
from orchestrator.errors import ProductionError
from orchestrator.fit.chain import OPTIMISERS
from orchestrator.fit.derive import Derived
from orchestrator.fit.derived_parameters import Bands, DerivedParameters, DerivedSummary, FormationHistoryBands
from orchestrator.fit.reader import Reader
from orchestrator.production.work.chain_lines import ChainLines
from orchestrator.stage import Stage, StagePaths

if TYPE_CHECKING:
    from orchestrator.fit.stage_result import StageResult

__all__ = [
    "DOCUMENTS",
    "StoredFit",
    "history_entries",
    "other_texts",
    "stored_fit",
    "stored_from_arrays",
    "without_nan",
]

Arrays = Mapping[str, NDArray[Any]]

DOCUMENTS = "documents"
"""Array with all text of a fit: JSON, compressed."""
_FILES = ("config", "handover", "best_fit", "diagnostics", "products")
_BANDS = tuple(entry.name for entry in fields(Bands))
_QUANTITIES = ("rate", "mass_fraction", "log10_metallicity")
_HISTORY_ARRAYS = ("edges", "bands")


@dataclass(frozen=True)
class StoredFit:
    """One fit, as it was.

    Attributes
    ----------
    stage : str
        Name of the stage, and of its files.
    columns : Mapping of str to plain value
        Its row in the table of results.
    chain_columns : tuple of str
        Names of the columns of `chain`, as in the results file: parameters as ``section--name``, extra outputs,
        ``prior``, ``like``, ``post``.
    chain : ndarray, shape (n_rows, n_columns)
    header, footer : str
        The other lines of the results file.
    documents : Mapping of str to Mapping
        ``config``, ``handover``, ``best_fit``, ``diagnostics`` and ``products``, as in the files of these names, and
        ``texts``, other files of the stage by the end of their name.
    models : Mapping of str to Mapping of str to ndarray
        Module to data and best-fit model, see `orchestrator.production.work.model_arrays`.
    derived : Mapping or None
        Fields of `DerivedParameters`.
    history : Mapping or None
        Fields of `FormationHistoryBands` that are no arrays; ``edges``, the lookback times between its steps, shape
        (n_steps + 1,); and ``bands`` in single precision, shape (3, 6, n_steps).
    """

    stage: str
    columns: Mapping[str, Any]
    chain_columns: tuple[str, ...]
    chain: NDArray[np.float64] = field(repr=False)
    header: str = field(repr=False)
    footer: str = field(repr=False)
    documents: Mapping[str, Any] = field(repr=False)
    models: Mapping[str, Arrays] = field(default_factory=dict, repr=False)
    derived: Mapping[str, Any] | None = field(default=None, repr=False)
    history: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def best_fit(self) -> Mapping[str, Any]:
        """Best fit and summary of the posterior, as `ResultsSummary.to_dict` gives them."""
        found: Mapping[str, Any] = self.documents["best_fit"]
        return found

    @property
    def derived_parameters(self) -> DerivedParameters | None:
        """Derived quantities with their errors; None for a stage without stars that form."""
        if self.derived is None:
            return None
        rows = tuple(DerivedSummary(**_with_nan(row)) for row in self.derived["rows"])
        return DerivedParameters(**{**self.derived, "rows": rows})

    @property
    def formation_history(self) -> FormationHistoryBands | None:
        """The reconstructed star-formation history; None where there is none."""
        if self.history is None:
            return None
        entries = dict(self.history)
        edges, stored = np.asarray(entries.pop("edges")), np.asarray(entries.pop("bands"), dtype=float)
        entries |= {name: Bands(*values) for name, values in zip(_QUANTITIES, stored, strict=True)}
        return FormationHistoryBands(lookback_start=edges[1:], lookback_end=edges[:-1], **entries)

    def write_directory(self, path: str | Path) -> Path:
        """Write the files of the stage into a folder, and return the results file.

        `orchestrator.load_run`, `Reader` and CosmoSIS's own programs read it.
        """
        paths = StagePaths(Path(path) / f"{self.stage}.txt")
        paths.directory.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            if name in self.documents:
                file: Path = getattr(paths, name)
                file.write_text(json.dumps(self.documents[name], indent=1) + "\n", encoding="utf-8")
        for ending, text in self.documents.get("texts", {}).items():
            (paths.directory / f"{self.stage}{ending}").write_text(text, encoding="utf-8")
        if self.derived_parameters is not None:
            self.derived_parameters.write(paths.derived_parameters)
        if self.formation_history is not None:
            self.formation_history.write(paths.formation_history)
        write_atomically(paths.chain, self.lines.to_text())
        return paths.chain

    @cached_property
    def lines(self) -> ChainLines:
        """The results file."""
        return ChainLines(self.chain_columns, self.chain, self.header, self.footer)

    def reader(self, folder: str | Path) -> Reader:
        """Return a reader of the results, written into `folder`: it can build the modules again."""
        return Reader.from_results_file(self.write_directory(folder))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all of it as arrays, for an npz or an HDF5 file; text as compressed JSON."""
        arrays: dict[str, NDArray[Any]] = {"chain": self.chain}
        text = {
            "stage": self.stage,
            "columns": dict(self.columns),
            "chain_columns": list(self.chain_columns),
            "header": self.header,
            "footer": self.footer,
            "documents": dict(self.documents),
            "derived": self.derived,
        }
        if self.history is not None:
            arrays |= {f"history/{name}": np.asarray(self.history[name]) for name in _HISTORY_ARRAYS}
            text["history"] = {key: value for key, value in self.history.items() if key not in _HISTORY_ARRAYS}
        for module, found in self.models.items():
            arrays |= {f"models/{module}/{name}": array for name, array in found.items()}
        arrays[DOCUMENTS] = np.frombuffer(zlib.compress(json.dumps(text).encode(), 1), dtype=np.uint8)
        return arrays


def stored_from_arrays(arrays: Arrays, text: bytes | None = None) -> StoredFit:
    """Return the fit of `StoredFit.arrays`.

    Parameters
    ----------
    arrays : Mapping of str to ndarray
    text : bytes, optional
        The JSON, where it was kept in another way.

    Raises
    ------
    ProductionError
        If they are not those of a fit.
    """
    try:
        content = json.loads(zlib.decompress(arrays[DOCUMENTS].tobytes()) if text is None else text)
        history = content.pop("history", None)
        models: dict[str, dict[str, NDArray[Any]]] = {}
        for name, array in arrays.items():
            kind, _, rest = name.partition("/")
            if kind == "history" and history is not None:
                history[rest] = array
            elif kind == "models":
                module, _, entry = rest.rpartition("/")
                models.setdefault(module, {})[entry] = array
        content["chain_columns"] = tuple(content["chain_columns"])
        return StoredFit(**content, chain=np.asarray(arrays["chain"]), models=models, history=history)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        msg = f"these are not the samples of a fit: {type(error).__name__}: {error}"
        raise ProductionError(msg) from error


def stored_fit(
    result: StageResult,
    lines: ChainLines,
    columns: Mapping[str, Any],
    models: Mapping[str, Arrays],
    derived: Derived | None,
    products: Mapping[str, Any],
) -> StoredFit:
    """Collect what is kept of a finished stage.

    Parameters
    ----------
    result : StageResult
        With a summary; its files are on disk.
    lines : ChainLines
        Of its results file.
    columns : Mapping
        Its row of the table of results.
    models : Mapping
        See `StoredFit`.
    derived : Derived or None
    products : Mapping
        Goodness of the fit and what could not be made, as in the file ``NAME_products.json``.
    """
    assert result.summary is not None
    paths = result.stage.paths
    documents = {
        "config": json.loads(paths.config.read_text(encoding="utf-8")),
        "handover": result.handover.to_dict(),
        "best_fit": {**result.summary.to_dict(), "flags": list(result.flags)},
        "products": dict(products),
        "texts": other_texts(result.stage),
    }
    if result.diagnostics is not None:
        documents["diagnostics"] = json.loads(paths.diagnostics.read_text(encoding="utf-8"))
    return StoredFit(
        stage=result.name,
        columns=columns,
        chain_columns=lines.columns,
        chain=lines.rows,
        header=lines.header,
        footer=lines.footer,
        documents=documents,
        models=models,
        derived=None if derived is None else without_nan(asdict(derived.parameters)),
        history=None if derived is None or derived.history is None else history_entries(derived.history),
    )


def other_texts(stage: Stage) -> dict[str, str]:
    """Return the text files beside a chain that its readers ask for: what optimisers have found, emission lines."""
    paths = stage.paths
    files = [paths.intermediate_chain(sampler) for sampler in stage.samplers[:-1] if sampler in OPTIMISERS]
    files += [paths.emission_lines(module.name) for module in stage.modules]
    return {
        file.name.removeprefix(paths.name): file.read_text(encoding="utf-8") for file in files if file.is_file()
    }


def history_entries(history: FormationHistoryBands) -> dict[str, Any]:
    """Return a history as `StoredFit` holds it."""
    bands = [[getattr(getattr(history, name), band) for band in _BANDS] for name in _QUANTITIES]
    return {
        "edges": np.concatenate([history.lookback_end[:1], history.lookback_start]),
        "bands": np.array(bands, dtype=np.float32),
        "rate_unit": history.rate_unit,
        "n_samples": history.n_samples,
        "meta": dict(history.meta),
    }


def without_nan(derived: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of `DerivedParameters` without NaN, which JSON does not have."""
    rows = [{key: value for key, value in row.items() if value == value} for row in derived["rows"]]  # noqa: PLR0124
    return {**derived, "rows": rows}


def _with_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"best_fit": float("nan"), **row}
