"""Compare two finished runs of the same data: evidence, expected predictive density, chi2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.errors import OrchestratorError
from orchestrator.fit.checks import FitChecks, check_fit, predictions
from orchestrator.fit.prepare import recorded_config
from orchestrator.fit.stage_result import StageResult, load_run
from orchestrator.fit.summary import plain
from orchestrator.forward_model.predicted_data import PredictedData

__all__ = ["Comparison", "NotComparableError", "compare_runs"]


class NotComparableError(OrchestratorError):
    """Two runs cannot be compared."""


@dataclass(frozen=True)
class Comparison:
    """Two runs of the same data; differences are the first minus the second, so positive ones favour the first.

    Attributes
    ----------
    names : (str, str)
    verdicts, reasons : (str, str)
        Of each run, and the sentence behind it.
    n_parameters : (int, int)
    log_evidence : (tuple of float or None, tuple of float or None)
        ln Z and its error.
    log_bayes_factor : (float, float) or None
        Difference of ln Z, and its error; None where a run has no evidence.
    elpd_difference : (float, float) or None
        Difference of the expected log predictive density by LOO, and its error from the differences per datum.
    checks : (FitChecks, FitChecks)
    notes : tuple of str
        What to keep in mind.
    """

    names: tuple[str, str]
    verdicts: tuple[str, str]
    reasons: tuple[str, str]
    n_parameters: tuple[int, int]
    log_evidence: tuple[tuple[float, float] | None, tuple[float, float] | None]
    log_bayes_factor: tuple[float, float] | None
    elpd_difference: tuple[float, float] | None
    checks: tuple[FitChecks, FitChecks]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        record = {key: getattr(self, key) for key in self.__dataclass_fields__ if key != "checks"}
        return dict(plain({**record, "checks": [check.to_dict() for check in self.checks]}))

    def to_text(self) -> str:
        """Return the comparison as lines of text."""
        lines = []
        for index, name in enumerate(self.names):
            lines.append(f"{name}: {self.n_parameters[index]} parameters, verdict {self.verdicts[index]}")
            evidence = self.log_evidence[index]
            if evidence is not None:
                lines.append(f"  ln evidence {evidence[0]:.3f} +- {evidence[1]:.3f}")
            lines += [f"  {line}" for line in self.checks[index].to_text().splitlines()]
        if self.log_bayes_factor is not None:
            value, error = self.log_bayes_factor
            meaning = _words(value, error, self.names)
            lines.append(f"ln Z of {self.names[0]} - {self.names[1]} = {value:+.2f} +- {error:.2f}: {meaning}")
        if self.elpd_difference is not None:
            value, error = self.elpd_difference
            lines.append(f"elpd of {self.names[0]} - {self.names[1]} = {value:+.1f} +- {error:.1f} (LOO)")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)


def _words(value: float, error: float, names: tuple[str, str]) -> str:
    """Say what a Bayes factor means (Kass & Raftery 1995, JASA 90, 773)."""
    if abs(value) < 3.0 * error:
        return "not decided within three times its error"
    size = abs(value)
    word = "not worth a mention" if size < 1 else "positive" if size < 3 else "strong" if size < 5 else "very strong"
    return word if size < 1 else f"{word} evidence for {names[0] if value > 0 else names[1]}"


def compare_runs(first: str | Path | StageResult, second: str | Path | StageResult) -> Comparison:
    """Compare two finished runs.

    Parameters
    ----------
    first, second : StageResult, str or Path
        Results, or their files.

    Raises
    ------
    NotComparableError
        If they are fits of different data, or one has no posterior.
    ChainError
        If a file cannot be read.
    """
    runs = [run if isinstance(run, StageResult) else load_run(run) for run in (first, second)]
    for run in runs:
        if run.chain is None or run.summary is None:
            msg = f"{run.stage.paths.chain.name} cannot be compared: {run.verdict_reason}"
            raise NotComparableError(msg)
    found = [predictions(run.chain, run.summary) for run in runs if run.chain is not None and run.summary is not None]
    names = _names(runs)
    why = _difference_of_data(runs, found, names)
    if why:
        msg = f"{names[0]} and {names[1]} are fits of different data and cannot be compared: {why}"
        raise NotComparableError(msg)
    checks = tuple(
        check_fit(run.chain, run.summary, goodness=run.goodness, found=at)
        for run, at in zip(runs, found, strict=True)
        if run.chain is not None and run.summary is not None
    )
    summaries = [run.summary for run in runs if run.summary is not None]
    notes = [
        f"{name} is {run.verdict}: {run.verdict_reason}"
        for name, run in zip(names, runs, strict=True)
        if run.verdict != "ok"
    ]
    evidences = (summaries[0].evidence, summaries[1].evidence)
    if None in evidences:
        without = [name for name, evidence in zip(names, evidences, strict=True) if evidence is None]
        notes.append(f"no evidence in {' and '.join(without)}: a nested sampler reports it (dynesty, nautilus)")
    return Comparison(
        names=names,
        verdicts=(runs[0].verdict, runs[1].verdict),
        reasons=(runs[0].verdict_reason, runs[1].verdict_reason),
        n_parameters=(len(summaries[0].parameters), len(summaries[1].parameters)),
        log_evidence=evidences,
        log_bayes_factor=_bayes_factor(*evidences),
        elpd_difference=_elpd_difference(checks[0], checks[1]),
        checks=(checks[0], checks[1]),
        notes=tuple(notes),
    )


def _names(runs: list[StageResult]) -> tuple[str, str]:
    first, second = runs[0].name, runs[1].name
    if first != second:
        return first, second
    return str(runs[0].stage.paths.chain), str(runs[1].stage.paths.chain)


def _bayes_factor(
    first: tuple[float, float] | None, second: tuple[float, float] | None
) -> tuple[float, float] | None:
    if first is None or second is None:
        return None
    return first[0] - second[0], float(np.hypot(first[1], second[1]))


def _elpd_difference(first: FitChecks, second: FitChecks) -> tuple[float, float] | None:
    if first.loo is None or second.loo is None or len(first.loo.pointwise) != len(second.loo.pointwise):
        return None
    each = first.loo.pointwise - second.loo.pointwise
    return float(each.sum()), float(np.sqrt(len(each)) * each.std(ddof=1))


def _difference_of_data(
    runs: list[StageResult], found: list[dict[str, list[PredictedData]]], names: tuple[str, str]
) -> str:
    """Say how the data of two runs differ; empty if they are the same."""
    sets = [[points[0] for points in at.values()] for at in found]
    if len(sets[0]) != len(sets[1]):
        return f"{names[0]} has {len(sets[0])} data sets, {names[1]} has {len(sets[1])}"
    for one, other in zip(*sets, strict=True):
        if one.kind != other.kind:
            return f"{names[0]} fits a {one.kind}, {names[1]} a {other.kind}"
        if len(one.flux) != len(other.flux):
            return f"{len(one.flux)} data of the {one.kind} against {len(other.flux)} (files, masks, ranges)"
        for what in ("wavelength", "flux", "stated"):
            if not np.allclose(getattr(one, what), getattr(other, what), rtol=1e-6, atol=0.0):
                return f"the {one.kind} differs in its {'errors' if what == 'stated' else what}"
    return _difference_of_files(runs)


def _difference_of_files(runs: list[StageResult]) -> str:
    """Compare the input files of users' own modules, whose data only they know, by the checksums of the runs."""
    own = [
        {module.name: dict(module.options) for module in run.stage.modules if not _is_ours(module.name)}
        for run in runs
    ]
    if not own[0] and not own[1]:
        return ""
    files: list[Mapping[str, str]] = [
        recorded_config(run.stage.paths.config).get("parts", {}).get("input files", {}) for run in runs
    ]
    if sorted(files[0].values()) != sorted(files[1].values()):
        changed = sorted(set(files[0].items()) ^ set(files[1].items()))
        return f"input files differ: {', '.join(dict.fromkeys(Path(path).name for path, _ in changed))}"
    return ""


def _is_ours(section: str) -> bool:
    from orchestrator.config.module_options import module_of_section

    return module_of_section(section) is not None
