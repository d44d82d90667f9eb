"""`orchestrator validate` without its command line."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.config.check import check_inputs
from orchestrator.config.text_files import write_atomically
from orchestrator.errors import ConfigError
from orchestrator.stage import Stage
from orchestrator.validation.config_file import ValidationConfig, stages_of
from orchestrator.validation.mock_data import simulating_modules
from orchestrator.validation.study import run_mocks
from orchestrator.validation.verdict import ValidationVerdict, judge, notes_on

__all__ = ["VERDICT", "validate"]

logger = logging.getLogger(__name__)

VERDICT = "verdict.json"


def validate(
    config: ValidationConfig,
    folder: Path,
    *,
    number: int = 300,
    seed: int = 1,
    processes: int = 1,
    figures: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> ValidationVerdict:
    """Make and fit mocks, test the calibration, and leave verdict and figures in a folder.

    Parameters
    ----------
    config : ValidationConfig
    folder : Path
        ``mocks.jsonl`` (a line per mock), ``verdict.json``, ``calibration_STAGE.png``.
    number : int
        Mocks.
    seed : int
    processes : int
    figures : bool
    progress : callable, optional
        Gets the mocks done and their number.

    Raises
    ------
    ConfigError
        If the configuration has faults, or the folder holds another validation.
    """
    if number < 2:
        msg = f"n = {number}: at least 2 mocks are needed, and 300 to say much"
        raise ConfigError(msg)
    stages = stages_of(config.pipeline, config.folder)
    truth = stages if config.truth == config.pipeline else stages_of(config.truth, config.folder)
    _check(truth)
    notes = notes_on(stages, config.needs, truth)
    if config.tilt:
        notes = (*notes, f"the mock fluxes are tilted by {100 * config.tilt:g} % from end to end")
    if config.blur:
        notes = (*notes, f"the mock spectra are blurred by {config.blur:g} km/s more than the fit knows")
    mocks = run_mocks(config, folder, number=number, seed=seed, processes=processes, progress=progress)
    verdict = judge(mocks, notes, seed)
    write_atomically(folder / VERDICT, json.dumps(verdict.to_dict(), indent=1) + "\n")
    if figures:
        _draw(verdict, folder)
    return verdict


def _check(truth: Sequence[Stage]) -> None:
    """Raise with every reason for which no data can be made."""
    faults = list(check_inputs(truth))
    try:
        simulating_modules(truth)
    except ConfigError as error:
        faults += error.faults
    if faults:
        raise ConfigError(faults)


def _draw(verdict: ValidationVerdict, folder: Path) -> None:
    from orchestrator.report.calibration_figure import plot_calibration

    for stage in verdict.stages:
        if stage.parameters:
            plot_calibration(
                {parameter.name: parameter.shares for parameter in stage.parameters},
                stage.tarp_shares,
                folder / f"calibration_{stage.stage}.png",
                title=f"{stage.stage}: {stage.number} mocks, {stage.word}",
            )
