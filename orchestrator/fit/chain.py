"""Read the results file of a CosmoSIS run.

The text format is read here with numpy alone: CosmoSIS's own reader imports the whole of CosmoSIS (1 s).
A results file holds all that made it (parameter, values and priors files in its header), so everything
is taken from the file that was given, wherever it lies and whatever its name is by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ChainError
from orchestrator.fit.chain_text import ChainText, files_of, interleave, parse_rows, read_text

__all__ = ["ENSEMBLE_SAMPLERS", "MARKOV_CHAIN_SAMPLERS", "OPTIMISERS", "Chain", "read_chain"]

ENSEMBLE_SAMPLERS = frozenset({"emcee", "zeus", "kombine"})
"""Samplers that write one row per walker and step, step after step."""

MARKOV_CHAIN_SAMPLERS = ENSEMBLE_SAMPLERS | {"metropolis", "pymc"}
"""Samplers whose rows are posterior samples of equal weight."""

OPTIMISERS = frozenset({"maxlike", "multistart", "pmaxlike", "minuit", "gridmax"})
"""Samplers that end in one point and sample nothing."""


@dataclass(frozen=True)
class Chain:
    """The content of one results file; nothing is dropped and nothing is changed.

    Attributes
    ----------
    path : Path
        The file that was read.
    parameters : tuple of (str, str)
        Section and name of each sampled parameter.
    samples : ndarray, shape (n_rows, n_parameters)
    log_prior, log_posterior : ndarray, shape (n_rows,)
        Natural logarithms; -inf where a point lies outside the support or the evaluation failed.
    log_likelihood : ndarray, shape (n_rows,), or None
        None where the file holds neither the likelihood nor the prior.
    weights : ndarray, shape (n_rows,)
        Normalised to 1; zero for rows without a finite posterior; equal for Markov chains.
    extra : Mapping of str to ndarray
        Extra outputs and the sampler's other columns, lower case, ``section--name``.
    sampler : str
    metadata : Mapping of str to str
        The ``#key=value`` lines, those at the end included.
    params_ini, values_ini, priors_ini : str
        Text of the three files in the header.
    complete : bool
        True if the run reached its end.
    n_walkers : int
        Walkers of an ensemble sampler, or number of Markov chains; 0 for the rest.
    """

    path: Path
    parameters: tuple[tuple[str, str], ...]
    samples: NDArray[np.float64]
    log_prior: NDArray[np.float64]
    log_posterior: NDArray[np.float64]
    log_likelihood: NDArray[np.float64] | None
    weights: NDArray[np.float64]
    extra: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    sampler: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    params_ini: str = ""
    values_ini: str = ""
    priors_ini: str = ""
    complete: bool = False
    n_walkers: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters as ``section--name``."""
        return tuple(f"{section}--{name}" for section, name in self.parameters)

    @property
    def n_rows(self) -> int:
        """Number of rows in the file."""
        return len(self.samples)

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Rows with a finite posterior, shape (n_rows,)."""
        return np.isfinite(self.log_posterior)

    @property
    def n_infinite(self) -> int:
        """Number of rows without a finite posterior; statistics leave them out."""
        return int(np.count_nonzero(~self.finite))

    @property
    def is_markov_chain(self) -> bool:
        """True if the rows are posterior samples of equal weight."""
        return self.sampler in MARKOV_CHAIN_SAMPLERS

    @property
    def is_sampled(self) -> bool:
        """True if the rows sample the posterior, weighted or not (not so for an optimiser)."""
        return self.sampler not in OPTIMISERS | {"list", "star", "test", "fisher"} and self.n_rows > 1

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a column by its name: a parameter, an extra output, ``prior``, ``like`` or ``post``.

        Raises
        ------
        KeyError
            If the file has no such column.
        """
        lowered = name.lower().replace("/", "--")
        if lowered in self.names:
            return self.samples[:, self.names.index(lowered)]
        if lowered in ("post", "prior"):
            return self.log_posterior if lowered == "post" else self.log_prior
        if lowered == "like" and self.log_likelihood is not None:
            return self.log_likelihood
        return self.extra[lowered]


def read_chain(path: str | Path) -> Chain:
    """Read a CosmoSIS results file.

    A last line that was cut off while it was written is left out with a warning. Chains that were
    written in one file per process (``NAME_1.txt``, ...) are joined step by step if `path` itself does not
    exist.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Chain

    Raises
    ------
    ChainError
        If the file does not exist, is no results file, holds no row, or a line in its middle is damaged.
    """
    path = Path(path)
    texts = [read_text(file) for file in files_of(path)]
    first = texts[0]
    if any(text.columns != first.columns for text in texts):
        msg = f"The results files {path.stem}_*.txt have different columns; expected those of one run."
        raise ChainError(msg)
    table = interleave([parse_rows(text, path) for text in texts], path)
    metadata = {**first.metadata, "n_chains": str(len(texts))} if len(texts) > 1 else first.metadata
    return _assemble(path, first, table, metadata, first.metadata.get("complete") == "1")


def _assemble(
    path: Path, text: ChainText, table: NDArray[np.float64], metadata: Mapping[str, str], complete: bool
) -> Chain:
    names = [name.lower() for name in text.columns]
    if len(table) == 0:
        msg = (
            f"{str(path)!r} holds no sample; expected at least one row. The run was stopped before "
            "its first output."
        )
        raise ChainError(msg)
    n_varied = int(metadata.get("n_varied", sum("--" in name and name.islower() for name in text.columns)))
    column = {name: table[:, index] for index, name in enumerate(names)}
    post, prior, like = column.get("post"), column.get("prior"), column.get("like")
    if post is None:
        post = like + prior if like is not None and prior is not None else np.full(len(table), np.nan)
    if prior is None:
        prior = np.full(len(table), np.nan)
    if like is None and "prior" in column:
        with np.errstate(invalid="ignore"):
            like = np.where(np.isfinite(post), post - prior, -np.inf)
    sampler = metadata.get("sampler", "")
    parameters = [tuple(name.split("--", 1)) for name in names[:n_varied]]
    return Chain(
        path=path,
        parameters=tuple((section, name) for section, name in parameters),
        samples=table[:, :n_varied].copy(),
        log_prior=prior,
        log_posterior=post,
        log_likelihood=like,
        weights=_weights(sampler, column, post, prior, metadata),
        extra={name: column[name] for name in names[n_varied:] if name not in ("prior", "like", "post")},
        sampler=sampler,
        metadata=dict(metadata),
        complete=complete,
        n_walkers=_n_walkers(sampler, metadata),
        **text.files,
    )


def _n_walkers(sampler: str, metadata: Mapping[str, str]) -> int:
    if sampler not in MARKOV_CHAIN_SAMPLERS:
        return 0
    return int(metadata.get("walkers" if sampler in ENSEMBLE_SAMPLERS else "n_chains", "1"))


def _weights(
    sampler: str,
    column: Mapping[str, NDArray[np.float64]],
    post: NDArray[np.float64],
    prior: NDArray[np.float64],
    metadata: Mapping[str, str],
) -> NDArray[np.float64]:
    """Weights of the rows, normalised; only samplers that weight or that scan a grid get unequal ones."""
    finite = np.isfinite(post)
    log_weight = np.zeros(len(post))
    with np.errstate(divide="ignore", invalid="ignore"):
        if sampler in ("grid", "snake"):
            log_weight = post
        elif sampler in ("apriori", "latinhypercube"):
            # These draw from the prior, so the likelihood is the weight.
            log_weight = post - prior
        elif "log_weight" in column:
            log_weight = column["log_weight"]
        elif "weight" in column:
            log_weight = np.log(column["weight"])
        if "old_log_weight" in column:
            log_weight = log_weight + column["old_log_weight"]
        elif "old_weight" in column:
            log_weight = log_weight + np.log(column["old_weight"])
    used = finite & ~np.isnan(log_weight)
    if "nsample" in metadata and ("weight" in column or "log_weight" in column):
        # Nested samplers may write live points first; the last nsample rows are the posterior samples.
        used[: max(0, len(post) - int(float(metadata["nsample"])))] = False
    if not used.any():
        return np.zeros(len(post))
    log_weight = np.where(used, log_weight, -np.inf)
    peak = log_weight.max()
    weights = np.exp(log_weight - peak) if np.isfinite(peak) else used.astype(float)
    return weights / weights.sum()
