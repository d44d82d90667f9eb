"""What a validation says: the JSON verdict, the same as text, and what is to be known besides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.fit.double_counting import counted_twice
from orchestrator.stage import Stage
from orchestrator.validation.calibration import (
    ENOUGH_MOCKS,
    JUDGED_LEVELS,
    LEAST_P,
    MOST_FAILED,
    MOST_SD,
    StageCalibration,
    calibration_of,
)
from orchestrator.validation.prior_draws import prior_of_pipeline
from orchestrator.validation.records import MockRecord

__all__ = ["ValidationVerdict", "judge", "notes_on"]


@dataclass(frozen=True)
class ValidationVerdict:
    """The verdict on a pipeline.

    Attributes
    ----------
    stages : tuple of StageCalibration
    notes : tuple of str
        What a reader of the verdict has to know.
    number, seed : int
        Mocks, and the seed they were drawn with.
    """

    stages: tuple[StageCalibration, ...]
    notes: tuple[str, ...]
    number: int
    seed: int

    @property
    def word(self) -> str:
        """'calibrated', 'not calibrated' or 'too few mocks'; the worst of the stages."""
        words = [stage.word for stage in self.stages]
        return next((word for word in ("not calibrated", "too few mocks") if word in words), "calibrated")

    @property
    def sentence(self) -> str:
        """The verdict as a sentence."""
        if self.word == "calibrated":
            return (
                f"Over {self.number} mocks nothing speaks against these posteriors: ranks, coverage and TARP pass in "
                "every stage."
            )
        if self.word == "too few mocks":
            return (
                f"Nothing speaks against these posteriors, but {self.number} mocks cannot show that they are right; "
                f"run at least {ENOUGH_MOCKS}, better 300."
            )
        faults = [f"{stage.stage}: {fault}" for stage in self.stages for fault in stage.faults]
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        return f"Do not trust these posteriors as they are: {faults[0]}{more}."

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        return {
            "verdict": self.word,
            "sentence": self.sentence,
            "mocks": self.number,
            "seed": self.seed,
            "thresholds": {
                "least p-value after Holm's correction": LEAST_P,
                "most binomial standard deviations of a coverage": MOST_SD,
                "judged levels": list(JUDGED_LEVELS),
                "most failed fits": MOST_FAILED,
                "least mocks": ENOUGH_MOCKS,
            },
            "notes": list(self.notes),
            "stages": [_stage_dict(stage) for stage in self.stages],
        }

    def to_text(self) -> str:
        """Return tables for a terminal."""
        lines = []
        for stage in self.stages:
            lines += [*_stage_lines(stage), ""]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join([*lines, self.sentence])


def judge(mocks: Sequence[MockRecord], notes: Sequence[str], seed: int) -> ValidationVerdict:
    """Test every stage.

    Parameters
    ----------
    mocks : sequence of MockRecord
        Not empty.
    notes : sequence of str
        See `notes_on`.
    seed : int
        Of the validation.
    """
    stages = tuple(calibration_of(records) for records in zip(*(mock.stages for mock in mocks), strict=True))
    return ValidationVerdict(stages, tuple(notes), len(mocks), seed)


def notes_on(stages: Sequence[Stage], needs: Sequence[Sequence[int]], truth: Sequence[Stage]) -> tuple[str, ...]:
    """Return what a reader has to know: data that count twice, masses that are no parameter, priors that differ.

    Parameters
    ----------
    stages : sequence of Stage
        The pipeline that is validated.
    needs : sequence of sequence of int
        The stages that each one receives from.
    truth : sequence of Stage
        The pipeline that makes the data.
    """
    notes = list(prior_of_pipeline(stages).notes)
    for stage, earlier in zip(stages, needs, strict=True):
        priors = [key for key, rule in stage.handover.items() if str(rule).startswith("prior")]
        for key in priors:
            for giver in (stages[index] for index in reversed(earlier)):
                sentence = counted_twice(key, stage, giver)
                if sentence:
                    notes.append(f"stage {stage.name!r}: {sentence}")
                    break
    amplitudes = {
        str({k.lower(): v for k, v in module.options.items()}.get("amplitude", "profiled"))
        for stage in truth
        for module in stage.modules
        if module.class_name not in (None, "KinDust", "GaussianTarget")
    }
    if "profiled" in amplitudes:
        notes.append(
            "the stellar mass is profiled, so it has no posterior and no rank; mocks have the significance of the "
            "observed data, whatever their history"
        )
    if any(module.class_name == "KinDust" for module in truth[-1].modules):
        notes.append("mocks of KinDust have the template weights that describe the observed spectrum best")
    if tuple(stages) != tuple(truth):
        notes.append("the data come from another pipeline (`truth`) than the one that is fitted")
    return tuple(notes)


def _stage_dict(stage: StageCalibration) -> dict[str, Any]:
    return {
        "stage": stage.stage,
        "verdict": stage.word,
        "faults": list(stage.faults),
        "mocks": stage.number,
        "failed": stage.n_failed,
        "few_effective_samples": stage.n_few,
        "flagged": stage.n_flagged,
        "verdicts_of_fits": dict(stage.verdicts),
        "cpu_seconds_per_fit": round(stage.seconds, 3),
        "median_effective_samples": round(stage.effective_samples, 1),
        "tarp_p": dict(stage.tarp_p),
        "parameters": {
            parameter.name: {
                "rank_p": parameter.rank_p,
                "rank_p_holm": parameter.rank_p_holm,
                "coverage": {
                    f"{entry.level:.2f}": {
                        "fraction": entry.fraction,
                        "expected_sd": entry.sd,
                        "deviation_in_sd": entry.deviation,
                    }
                    for entry in parameter.coverage
                },
                "pull_mean": parameter.pull_mean,
                "pull_rms": parameter.pull_rms,
            }
            for parameter in stage.parameters
        },
    }


def _stage_lines(stage: StageCalibration) -> list[str]:
    found = ", ".join(f"{count} {word or 'without verdict'}" for word, count in stage.verdicts.items())
    lines = [
        f"stage {stage.stage}: {stage.word}",
        f"  {stage.number} mocks: {stage.n_failed} failed, {stage.n_few} with few effective samples, "
        f"{stage.n_flagged} flagged (fits: {found}); {stage.seconds:.2f} CPU s per fit",
        f"  {'parameter':34s} {'ranks p':>8s} {'Holm':>6s} {'50 %':>12s} {'68 %':>12s} {'95 %':>12s}",
    ]
    for parameter in stage.parameters:
        shares = " ".join(f"{100 * c.fraction:5.1f} ({c.deviation:+4.1f})" for c in parameter.coverage)
        lines.append(f"  {parameter.name:34s} {parameter.rank_p:8.3f} {parameter.rank_p_holm:6.3f} {shares}")
    tarp = ", ".join(f"points of the {name} p = {p:.3f}" for name, p in stage.tarp_p.items())
    return [*lines, f"  TARP: {tarp}", *(f"  FAULT {fault}" for fault in stage.faults)]
