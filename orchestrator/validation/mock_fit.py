"""One mock: draw, simulate, fit through the real stages in this process, compare with the truth."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.check import stage_values
from orchestrator.errors import StageError
from orchestrator.fit.handover import make_handover
from orchestrator.fit.launch import run_samplers
from orchestrator.fit.moments import used_rows
from orchestrator.fit.prepare import prepare_stage, write_inputs
from orchestrator.fit.runner import RunRecord
from orchestrator.fit.stage_result import StageResult, stage_result
from orchestrator.stage import ModuleSection, Stage, StagePaths
from orchestrator.validation.makers import source_of
from orchestrator.validation.mock_data import Mock, Simulator
from orchestrator.validation.records import MockRecord, StageRecord
from orchestrator.validation.tarp import reference_points, share_within

__all__ = ["fit_mock", "fit_stages", "seeds_of_mock"]

FloatArray = NDArray[np.float64]

DRAWS = 99
"""Independent draws of each posterior that are kept: ranks from 0 to 99."""
FEW_SAMPLES = 100.0
"""Fewer effective samples than this are counted as few."""


def seeds_of_mock(seed: int, index: int) -> tuple[np.random.Generator, int]:
    """Return the generator of a mock's truth and noise, and the seed of its fit."""
    words = np.random.SeedSequence([seed, index]).generate_state(2)
    return np.random.default_rng([seed, index, 1]), int(words[0] >> 1)


def fit_mock(
    simulator: Simulator, stages: Sequence[Stage], needs: Sequence[Sequence[int]], seed: int, index: int, folder: Path
) -> MockRecord:
    """Make and fit one mock; a stage that fails is part of the record.

    Parameters
    ----------
    simulator : Simulator
    stages : sequence of Stage
        The pipeline that is validated.
    needs : sequence of sequence of int
        For each stage, those that it receives from.
    seed, index : int
        Of the validation, and of the mock in it.
    folder : Path
        Empty; for all files of the mock.
    """
    generator, fit_seed = seeds_of_mock(seed, index)
    mock = simulator.simulate(generator, folder)
    ready = [_with_mock_data(stage, mock, folder, fit_seed + number) for number, stage in enumerate(stages)]
    records: list[StageRecord] = []
    results: dict[int, StageResult] = {}
    for number, stage in enumerate(ready):
        if any(earlier not in results for earlier in needs[number]):
            records.append(StageRecord.of_failure(stage.name, "an earlier stage failed"))
            continue
        begun = time.process_time()
        try:
            results[number] = _run_stage(stage, [results[earlier] for earlier in needs[number]])
        except Exception as error:  # noqa: BLE001 - whatever a fit raises, it is one that failed and is counted
            records.append(StageRecord.of_failure(stage.name, f"{type(error).__name__}: {error}"))
            continue
        seconds = time.process_time() - begun
        records.append(_stage_record(results[number], mock, simulator, generator, seconds))
    truth = {f"{section}--{name}": value for (section, name), value in mock.truth.items()}
    return MockRecord(index, fit_seed, truth, mock.log10_mass, tuple(records))


def fit_stages(stages: Sequence[Stage]) -> tuple[StageResult, ...]:
    """Run stages in this process, as `MainPipeline` does in others: same files, same results, but no tables."""
    results: list[StageResult] = []
    for stage in stages:
        results.append(_run_stage(stage, results))
    return tuple(results)


def _run_stage(stage: Stage, results: Sequence[StageResult]) -> StageResult:
    values = stage_values(stage)
    handover = make_handover(results, stage, values)
    prepared = prepare_stage(stage, values, handover)
    stage.paths.directory.mkdir(parents=True, exist_ok=True)
    write_inputs(prepared)
    begun = time.perf_counter()
    with _printed_to(stage.paths.log):
        run_samplers(str(stage.paths.params), stage.seed)
    record = RunRecord(0, time.perf_counter() - begun, stage.paths.log, "", complete=True, n_rows=1)
    result = stage_result(prepared.stage, record, handover)
    if result.chain is None or result.summary is None:
        msg = f"Stage {stage.name!r} ended without a finite posterior."
        raise StageError(msg)
    return result


@contextlib.contextmanager
def _printed_to(log: Path) -> Iterator[None]:
    """Send what is printed, by compiled code too, to the log of the stage."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with log.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
        finally:
            file.flush()
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in enumerate(kept, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)


def _with_mock_data(stage: Stage, mock: Mock, folder: Path, seed: int) -> Stage:
    """Return the stage with mock files, outputs in `folder` and a seed of its own."""
    modules = tuple(_with_options(module, mock) for module in stage.modules)
    sections = {name: dict(options) for name, options in stage.sections.items()}
    sections["runtime"] = {**sections.get("runtime", {}), "seed": seed, "resume": False}
    paths = StagePaths(chain=folder / stage.paths.chain.name)
    return replace(
        stage, modules=modules, sections=sections, paths=paths, n_cores=1, seed=seed % 2**32, resume=False,
        figure_name=None,
    )  # fmt: skip


def _with_options(module: ModuleSection, mock: Mock) -> ModuleSection:
    """Return the module reading the mock file of its source; a user's own module, of the file that it names."""
    source = source_of(module)
    if module.class_name is None:
        changed = {
            name: value
            for source, options in mock.options.items()
            if any(_names_file(given, source.path) for given in module.options.values())
            for name, value in options.items()
        }
    elif source is not None and source in mock.options:
        changed = dict(mock.options[source])
    else:
        return module
    replaced = {key.lower() for key in changed}
    options: dict[str, Any] = {k: v for k, v in module.options.items() if k.lower() not in replaced}
    options |= {key: value for key, value in changed.items() if value is not None}
    return replace(module, options=options)


def _names_file(given: Any, path: str) -> bool:
    """Whether an option of a user's own module, which may be relative, names a file."""
    if not isinstance(given, str | Path) or not str(given):
        return False
    parts = Path(given).parts
    return Path(path).parts[-len(parts) :] == parts


def _stage_record(
    result: StageResult, mock: Mock, simulator: Simulator, generator: np.random.Generator, seconds: float
) -> StageRecord:
    chain, summary = result.chain, result.summary
    assert chain is not None
    assert summary is not None
    names = [key for key in chain.parameters if key in mock.truth]
    columns = [chain.parameters.index(key) for key in names]
    truth = np.array([mock.truth[key] for key in names])
    used = used_rows(chain, summary.convergence)
    samples, weights = chain.samples[used][:, columns], chain.weights[used]
    weights = weights / weights.sum()
    draws = _independent(samples, weights, max(1, chain.n_walkers), generator)
    inside = [i for i, key in enumerate(names) if key in simulator.prior.ranges]
    own = [names[i] for i in inside]
    tarp = _tarp(draws[:, inside], truth[inside], own, simulator, generator, samples[:, inside])
    effective = summary.convergence.effective_samples
    return StageRecord(
        stage=result.name,
        parameters=tuple(f"{section}--{name}" for section, name in names),
        truth=tuple(truth.tolist()),
        mean=tuple((weights @ samples).tolist()),
        width=tuple(np.sqrt(np.maximum(weights @ (samples - weights @ samples) ** 2, 0.0)).tolist()),
        probability=tuple((weights @ (samples < truth)).tolist()),
        rank=tuple(int(rank) for rank in (draws < truth).sum(axis=0)),
        draws=tuple(tuple(float(f"{value:.7g}") for value in row) for row in draws),
        tarp=tarp,
        effective_samples=float(effective),
        few_samples=bool(effective < FEW_SAMPLES),
        verdict=str(getattr(summary, "verdict", "")),
        flags=tuple(result.flags),
        seconds=float(seconds),
        n_rows=chain.n_rows,
    )


def _independent(
    samples: FloatArray, weights: FloatArray, n_walkers: int, generator: np.random.Generator
) -> FloatArray:
    """Return `DRAWS` rows: far apart in a Markov chain, drawn by weight from weighted samples.

    Of an ensemble, each walker gives rows that are as far apart as its length allows.
    """
    if not np.allclose(weights, weights[0]):
        return samples[generator.choice(len(samples), DRAWS, p=weights)]
    n_steps = max(1, len(samples) // n_walkers)
    if n_walkers >= 2 and len(samples) >= DRAWS:
        steps_needed = int(np.ceil(DRAWS / n_walkers))
        steps = np.unique(np.linspace(0, n_steps - 1, max(steps_needed, min(n_steps, 8))).astype(int))
        rows = (steps[:, None] * n_walkers + np.arange(n_walkers)).ravel()
        rows = rows[rows < len(samples)]
        if len(rows) >= DRAWS:
            return samples[generator.choice(rows, DRAWS, replace=False)]
    return samples[generator.choice(len(samples), DRAWS, replace=len(samples) < DRAWS)]


def _tarp(
    draws: FloatArray, truth: FloatArray, names: Sequence[tuple[str, str]], simulator: Simulator,
    generator: np.random.Generator, samples: FloatArray,
) -> Mapping[str, float]:
    """Return the shares of draws nearer to a reference point than the truth, for both kinds of points."""
    if len(names) == 0:
        return {}
    prior = simulator.prior
    cube = np.column_stack([prior.in_unit_cube(key, column) for key, column in zip(names, draws.T, strict=True)])
    place = np.array([float(prior.in_unit_cube(key, np.array([x]))[0]) for key, x in zip(names, truth, strict=True)])
    anywhere, nearby, root = reference_points(samples, generator)
    return {
        "prior": share_within(cube, place, anywhere),
        "posterior": share_within(draws @ root, truth @ root, nearby @ root),
    }
