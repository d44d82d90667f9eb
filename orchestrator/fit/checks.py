"""Does the model fit? chi2 with its p-value, posterior predictive checks, WAIC and LOO of a finished stage."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from orchestrator.fit.chain import Chain
from orchestrator.fit.exports import import_arviz, kept_rows
from orchestrator.fit.module_file import NoModuleClassError
from orchestrator.fit.reader import Reader
from orchestrator.fit.summary import ResultsSummary, plain
from orchestrator.forward_model.goodness import Goodness
from orchestrator.forward_model.predicted_data import PredictedData

__all__ = [
    "DataSetCheck",
    "FitChecks",
    "InformationCriterion",
    "PartCheck",
    "check_fit",
    "information",
    "predictions",
]

FloatArray = NDArray[np.float64]

DRAWS = 400
"""Samples of the posterior that are taken."""
REGIONS = 10
"""Stretches of a spectrum with the same number of pixels, each checked for itself."""
UNLIKELY = 0.001
"""p-values below this, times the number of parts that are looked at (Bonferroni), are reported."""
GOOD_PARETO = 0.7


@dataclass(frozen=True)
class PartCheck:
    """Posterior predictive check of one band or one stretch of wavelengths.

    Attributes
    ----------
    name : str
    n_data : int
    chi2 : float
        Mean over the posterior.
    p_value : float
        Probability that data of this model deviate as much, in either direction for a single band.
    pull : float
        Mean residual in units of the noise, times the root of n_data: standard normal if the model holds.
    """

    name: str
    n_data: int
    chi2: float
    p_value: float
    pull: float


@dataclass(frozen=True)
class DataSetCheck:
    """Checks of the data of one module.

    Attributes
    ----------
    module : str
    goodness : Goodness or None
        At the best fit, with the stated errors.
    p_value : float
        Of that chi2.
    predictive_p_value : float
        Probability, over the posterior, that data of this model have a larger chi2 than these (Gelman, Meng & Stern
        1996); with a noise that is fitted it is near 0.5 by construction and the parts tell more.
    parts : tuple of PartCheck
    """

    module: str
    goodness: Goodness | None
    p_value: float
    predictive_p_value: float
    parts: tuple[PartCheck, ...] = ()

    @property
    def suspicious(self) -> tuple[PartCheck, ...]:
        """Parts that the model does not describe."""
        return tuple(part for part in self.parts if part.p_value < UNLIKELY / max(1, len(self.parts)))


@dataclass(frozen=True)
class InformationCriterion:
    """Expected log predictive density of new data, as ArviZ computes it.

    Attributes
    ----------
    elpd, error : float
        Sum over the data and its standard error; larger is better.
    n_effective : float
        Effective number of parameters.
    n_unreliable : int
        Data whose estimate is not reliable (Pareto k above 0.7, or a variance above 0.4 for WAIC).
    pointwise : ndarray, shape (n_data,)
    """

    elpd: float
    error: float
    n_effective: float
    n_unreliable: int
    pointwise: FloatArray = field(repr=False)


@dataclass(frozen=True)
class FitChecks:
    """Checks of one finished stage.

    Attributes
    ----------
    data_sets : tuple of DataSetCheck
    waic, loo : InformationCriterion or None
    why_none : str
        Why there are none.
    """

    data_sets: tuple[DataSetCheck, ...]
    waic: InformationCriterion | None
    loo: InformationCriterion | None
    why_none: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON; NaN becomes None, what is known per datum is left out."""
        record = asdict(self)
        for name in ("waic", "loo"):
            if record[name] is not None:
                del record[name]["pointwise"]
        return dict(plain(record))

    def to_text(self) -> str:
        """Return a few lines."""
        lines = []
        for check in self.data_sets:
            if check.goodness is not None:
                good = check.goodness
                lines.append(
                    f"{check.module}: chi2 {good.chi2:.1f} for {good.n_data} data and {good.n_free} parameters, "
                    f"p = {check.p_value:.3g}; posterior predictive p = {check.predictive_p_value:.3g}"
                )
            lines += [
                f"  ! {part.name}: chi2 {part.chi2:.1f} of {part.n_data} data, pull {part.pull:+.1f}, "
                f"p = {part.p_value:.2g}"
                for part in check.suspicious
            ]
        for name, found in (("WAIC", self.waic), ("LOO", self.loo)):
            if found is not None:
                doubt = f"; {found.n_unreliable} data not reliable" if found.n_unreliable else ""
                lines.append(
                    f"elpd {found.elpd:.1f} +- {found.error:.1f} ({name}), {found.n_effective:.1f} effective "
                    f"parameters{doubt}"
                )
        if self.why_none:
            lines.append(f"no WAIC and LOO: {self.why_none}")
        return "\n".join(lines)


def predictions(chain: Chain, summary: ResultsSummary, draws: int = DRAWS) -> dict[str, list[PredictedData]]:
    """Evaluate the data of each module at the best fit, which comes first, and at samples of the posterior.

    Parameters
    ----------
    chain : Chain
    summary : ResultsSummary
        Of that chain.
    draws : int
        At most so many samples.

    Returns
    -------
    dict of str to list of PredictedData
        By module; those without data of ours are left out.
    """
    reader = Reader.from_chain(chain)
    modules = {}
    for name in reader.modules:
        try:
            modules[name] = reader.get_module(name)
        except NoModuleClassError:
            continue  # a user's own module of functions
    found: dict[str, list[PredictedData]] = {
        name: [] for name, module in modules.items() if callable(getattr(module, "predicted_data", None))
    }
    rows = kept_rows(chain, summary, draws) if chain.is_sampled else np.empty(0, dtype=np.int64)
    for row in [summary.best_fit.row, *rows.tolist()] if found else []:
        block = reader.solution_to_datablock(int(row))
        for module in modules.values():
            module.execute(block)  # in order, so that all data share the mass
        for name, at_point in found.items():
            at_point.append(modules[name].predicted_data(block))
    return found


def check_fit(
    chain: Chain,
    summary: ResultsSummary,
    *,
    draws: int = DRAWS,
    goodness: Mapping[str, Goodness] | None = None,
    found: Mapping[str, list[PredictedData]] | None = None,
) -> FitChecks:
    """Check a finished stage against its data.

    Parameters
    ----------
    chain, summary
        The chain and its summary.
    draws : int
        At most so many samples of the posterior.
    goodness : mapping of str to Goodness, optional
        chi2 at the best fit by module; without it the number of free parameters is that of the sampled ones.
    found : mapping of str to list of PredictedData, optional
        From `predictions`, if they are known.
    """
    found = predictions(chain, summary, draws) if found is None else found
    checks = tuple(
        _check(name, points, (goodness or {}).get(name), len(chain.parameters)) for name, points in found.items()
    )
    waic, loo, why = information(chain, found)
    return FitChecks(checks, waic, loo, why)


def _check(name: str, points: list[PredictedData], goodness: Goodness | None, n_free: int) -> DataSetCheck:
    best, *samples = points
    if goodness is None:
        pull = ((best.flux - best.model) / best.stated)[best.measured]
        goodness = Goodness(float(pull @ pull), int(best.measured.sum()), n_free)
    freedom = goodness.n_data - goodness.n_free
    p_value = float(stats.chi2.sf(goodness.chi2, freedom)) if freedom > 0 else float("nan")
    scores = np.array([point.scores for point in samples or [best]])[:, best.measured]
    predictive = float(stats.chi2.sf((scores**2).sum(axis=1), scores.shape[1]).mean())
    if best.correlated:  # a chi2 without the covariance has no known distribution
        return DataSetCheck(name, goodness, float("nan"), float("nan"))
    return DataSetCheck(name, goodness, p_value, predictive, tuple(_parts(best, scores)))


def _parts(best: PredictedData, scores: FloatArray) -> list[PartCheck]:
    """Check bands, or stretches of a spectrum; the probabilities are exact at each sample and averaged over them."""
    n_data = scores.shape[1]
    if best.names:
        names = [name for name, measured in zip(best.names, best.measured, strict=True) if measured]
        pieces = [np.array([index]) for index in range(n_data)]
    else:
        pieces = np.array_split(np.arange(n_data), min(REGIONS, max(1, n_data // 5)))
        edges = [(best.wavelength[piece[0]], best.wavelength[piece[-1]]) for piece in pieces]
        names = [f"{low:.0f}-{high:.0f} Angstrom" for low, high in edges]
    parts = []
    for name, piece in zip(names, pieces, strict=True):
        chi2 = (scores[:, piece] ** 2).sum(axis=1)
        pull = scores[:, piece].sum(axis=1) / np.sqrt(len(piece))
        p_value = float(stats.chi2.sf(chi2, len(piece)).mean())
        parts.append(PartCheck(name, len(piece), float(chi2.mean()), p_value, float(pull.mean())))
    return parts


def information(
    chain: Chain, found: Mapping[str, list[PredictedData]]
) -> tuple[InformationCriterion | None, InformationCriterion | None, str]:
    """Return WAIC, LOO and, where there are none, why.

    Parameters
    ----------
    chain : Chain
    found : mapping of str to list of PredictedData
        From `predictions`.
    """
    reasons = [f"{name}: {points[0].dependent}" for name, points in found.items() if points[0].dependent]
    if not found:
        reasons = ["no module of this stage says what each datum contributes"]
    elif not chain.is_sampled or min(len(points) for points in found.values()) < 11:
        reasons = ["nothing was sampled"]
    if reasons:
        return None, None, "; ".join(reasons)
    pointwise = np.concatenate(
        [np.array([point.log_likelihood for point in points[1:]]) for points in found.values()], axis=1
    )
    arviz = import_arviz()
    data = arviz.from_dict(
        posterior={"index": np.arange(len(pointwise), dtype=float)[None]}, log_likelihood={"data": pointwise[None]}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of is in n_unreliable
        waic = arviz.waic(data, pointwise=True)
        loo = arviz.loo(data, pointwise=True, reff=1.0)
    n_variable = int(np.count_nonzero(pointwise.var(axis=0) > 0.4))
    n_heavy = int(np.count_nonzero(np.asarray(loo.pareto_k) > GOOD_PARETO))
    return _criterion(waic, "waic", n_variable), _criterion(loo, "loo", n_heavy), ""


def _criterion(found: Any, name: str, n_unreliable: int) -> InformationCriterion:
    return InformationCriterion(
        float(found[f"elpd_{name}"]),
        float(found["se"]),
        float(found[f"p_{name}"]),
        n_unreliable,
        np.asarray(found[f"{name}_i"], dtype=float),
    )
