"""Run stages of ceci: independent ones side by side, current ones not at all, siblings of a failed one to the end.

The loop has one thread: it starts what is ready and fits in the limits of the site, and waits for processes to end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config.text_files import write_atomically
from orchestrator.errors import ConfigError, ProductionError
from orchestrator.fit.process import terminated_as_exit
from orchestrator.interop.ceci_wiring import CeciStage, missing_files
from orchestrator.interop.lbg_plan import reasons_now, script_command
from orchestrator.interop.lbg_run import LbgRun
from orchestrator.interop.run_record import StageRecord, hold_folder, read_record, write_record
from orchestrator.interop.stage_identity import Checksums, parts_of
from orchestrator.interop.stage_process import (
    StageProcess,
    config_file,
    environment_of,
    mpi_words,
    shell_text,
    stage_command,
)

__all__ = ["LbgOutcome", "run_lbg"]

logger = logging.getLogger(__name__)

_LOG_LINES = 15

Watch = Callable[[str, StageRecord], None]


@dataclass
class LbgOutcome:
    """How a run has ended.

    Attributes
    ----------
    states : dict of str to str
        Stage to ``current``, ``done``, ``failed``, ``blocked`` or ``waiting``.
    records : dict of str to StageRecord
    failed_script : str
        What is wrong with a script; empty if nothing.
    """

    states: dict[str, str] = field(default_factory=dict)
    records: dict[str, StageRecord] = field(default_factory=dict)
    failed_script: str = ""

    @property
    def exit_code(self) -> int:
        """0 if everything is done, else 1."""
        good = all(state in ("current", "done") for state in self.states.values())
        return 0 if good and not self.failed_script else 1


def run_lbg(run: LbgRun, watch: Watch | None = None) -> LbgOutcome:
    """Run the chosen stages that are not current, with the scripts before and after them.

    Parameters
    ----------
    run : LbgRun
    watch : callable, optional
        Called with the name of a stage and its record when it begins and ends.

    Raises
    ------
    ProductionError
        If another run works in the same folder, or ``resume: refuse`` finds products.
    ConfigError
        If an input is still missing after `pre_script`.
    """
    with hold_folder(run.output_dir) as lock, terminated_as_exit():
        driver = _Driver(run, lock, watch or (lambda _name, _record: None))
        return driver.run()


class _Driver:
    """The state of a run while it goes on."""

    def __init__(self, run: LbgRun, lock: int, watch: Watch) -> None:
        self.run_file = run
        self.lock = lock
        self.watch = watch
        self.record = read_record(run.output_dir)
        self.checksums = Checksums(self.record.files)
        self.mpi: list[str] | None = None
        self.processes: dict[int, StageProcess] = {}
        self.outcome = LbgOutcome()
        self.left = [stage for stage in run.stages if stage.name in run.chosen]
        self.ready: dict[str, Mapping[str, Any]] = {}
        self.parts: dict[str, Mapping[str, Any]] = {name: one.parts for name, one in self.record.stages.items()}

    def run(self) -> LbgOutcome:
        """Run everything."""
        run = self.run_file
        self._refuse()
        self.record.source, self.record.process, self.record.outcome = str(run.source), os.getpid(), "running"
        write_atomically(config_file(run), yaml.safe_dump(_plain(run.sections), sort_keys=False))
        resolved = {**_plain(run.entries), "config": str(config_file(run))}
        write_atomically(run.output_dir / "pipeline.yaml", yaml.safe_dump(resolved, sort_keys=False))
        self._save()
        ended = "interrupted"
        try:
            if self._run_script(run.pre_script, "pre_script"):
                if faults := missing_files(run.stages, run.chosen):
                    raise ConfigError(faults)
                self._loop()
                if self.outcome.exit_code == 0:
                    self._run_script(run.post_script, "post_script")
            else:
                self.outcome.states.update({stage.name: "waiting" for stage in self.left})
            ended = "complete" if self.outcome.exit_code == 0 else "failed"
        finally:
            self._end_processes()
            self.record.outcome = ended
            self._save()
        known = self.record.stages
        self.outcome.records = {name: known[name] for name in self.outcome.states if name in known}
        return self.outcome

    def _refuse(self) -> None:
        if self.run_file.resume != "refuse":
            return
        there = [str(path) for stage in self.left for path in stage.outputs.values() if path.exists()]
        if there:
            msg = f"resume: refuse: {there[0]!r} is there already; give another output_dir, or say 'resume: true'"
            raise ProductionError(msg)

    def _loop(self) -> None:
        while self.left or self.processes:
            self._settle()
            while (stage := self._next()) is not None:
                self._start(stage)
            if self.processes:
                self._wait()

    def _settle(self) -> None:
        """Take out of the list what is current, and what a failed stage blocks."""
        moved = True
        while moved:
            moved = False
            for stage in [one for one in self.left if one.name not in self.ready]:
                states = [self.outcome.states.get(need) for need in stage.needs if need in self.run_file.chosen]
                if any(state in ("failed", "blocked") for state in states):
                    failed = [need for need in stage.needs if self.outcome.states.get(need) in ("failed", "blocked")]
                    self._block(stage, failed[0])
                elif all(state in ("done", "current") for state in states):
                    parts = parts_of(stage, self.run_file.root, self.checksums, self.parts)
                    reasons = reasons_now(self.run_file, stage, self.record, parts, self.checksums)
                    if reasons:
                        logger.info("%s: %s", stage.name, "; ".join(reasons))
                        self.ready[stage.name] = parts
                        continue
                    self.outcome.states[stage.name] = "current"
                    self.watch(stage.name, replace(self.record.stages[stage.name], seconds=0.0))
                else:
                    continue
                self.left.remove(stage)
                moved = True

    def _known(self, stage: CeciStage) -> StageRecord:
        return self.record.stages.get(stage.name, StageRecord())

    def _next(self) -> CeciStage | None:
        """Return the next stage that is ready and fits beside those that run; a large one runs alone."""
        site = self.run_file.site
        limit = len(os.sched_getaffinity(0))
        if site.max_threads:
            limit = site.max_threads * (site.max_processes or 1)
        busy = sum(self.run_file.stage(process.name).n_threads for process in self.processes.values())
        if site.max_processes and len(self.processes) >= site.max_processes:
            return None
        if site.max_processes and not site.max_threads:
            limit = max(limit, site.max_processes)
        for stage in self.left:
            if stage.name in self.ready and (not self.processes or busy + stage.n_threads <= limit):
                return stage
        return None

    def _start(self, stage: CeciStage) -> None:
        run = self.run_file
        self.left.remove(stage)
        if stage.entry.nprocess > 1 and self.mpi is None:
            self.mpi = mpi_words(run)
        command = stage_command(run, stage, self.mpi or [])
        variables = environment_of(run, stage)
        parts = self.ready.pop(stage.name)
        record = StageRecord(
            "running",
            parts,
            started=time.time(),
            log=str(run.log_dir / f"{stage.name}.out"),
            command=shell_text(command, variables, run.root),
        )
        self.record.stages[stage.name] = record
        self._save()
        alone = run.site.mpi_command is None and run.site.name == "local"
        process = StageProcess(stage.name, command, variables, run.root, Path(record.log), self.lock, alone=alone)
        self.processes[os.pidfd_open(process.pid)] = process
        self.watch(stage.name, record)

    def _wait(self) -> None:
        """Wait until a stage has ended."""
        ready, _, _ = select.select(list(self.processes), [], [])
        for descriptor in ready:
            process = self.processes.pop(descriptor)
            os.close(descriptor)
            self._ended(self.run_file.stage(process.name), process.finish())

    def _ended(self, stage: CeciStage, code: int) -> None:
        record = replace(self._known(stage), seconds=time.time() - self._known(stage).started, exit_code=code)
        missing = [tag for tag, path in stage.outputs.items() if not path.exists()]
        needed = {tag for one in self.run_file.stages for tag in one.inputs if one.name in self.run_file.chosen}
        if code:
            message = f"exit code {code}" if code < 128 else f"ended by signal {code - 128}"
            message = f"{message}; end of {record.log}:\n{_end_of(record.log)}"
            record = replace(record, state="failed", message=message)
        elif lost := [tag for tag in missing if tag in needed]:
            message = f"it ended without an error, but did not make {', '.join(lost)}"
            record = replace(record, state="failed", message=message)
        else:
            products = {tag: self.checksums.of(path) for tag, path in stage.outputs.items()}
            record = replace(record, state="done", products=products)
            self.parts[stage.name] = record.parts
        self._set(stage, record)

    def _set(self, stage: CeciStage, record: StageRecord) -> None:
        self.record.stages[stage.name] = record
        self.outcome.states[stage.name] = record.state
        self._save()
        self.watch(stage.name, record)

    def _block(self, stage: CeciStage, failed: str) -> None:
        """Note that a stage waits in vain; a result that it has may be current again when the failed one is done."""
        known = self._known(stage)
        record = replace(known, state="blocked", message=f"stage {failed} failed")
        if known.state != "done":
            self.record.stages[stage.name] = record
        self.outcome.states[stage.name] = "blocked"
        self.watch(stage.name, record)

    def _end_processes(self) -> None:
        """End what still runs, as groups."""
        for process in self.processes.values():
            process.ask_to_end()
        for descriptor, process in self.processes.items():
            process.finish()
            os.close(descriptor)
            if process.name in self.record.stages:
                record = replace(self.record.stages[process.name], state="failed", message="it was interrupted")
                self.record.stages[process.name] = record
        self.processes.clear()

    def _save(self) -> None:
        write_record(self.run_file.output_dir, self.record)

    def _run_script(self, text: str, name: str) -> bool:
        """Run a script of the user's; return whether it went well."""
        if not text:
            return True
        run = self.run_file
        log = run.log_dir / f"{name}.out"
        variables = {"ORCHESTRATOR_OUTPUT_DIR": str(run.output_dir), "ORCHESTRATOR_RUN_FILE": str(run.source)}
        process = StageProcess(name, script_command(run, text), variables, run.root, log, self.lock)
        descriptor = os.pidfd_open(process.pid)
        self.processes[descriptor] = process
        select.select([descriptor], [], [])
        code = self.processes.pop(descriptor).finish()
        os.close(descriptor)
        if code:
            ending = f"ended with exit code {code}; end of {log}:\n{_end_of(str(log))}"
            self.outcome.failed_script = f"{name} {text!r} {ending}"
        return code == 0


def _end_of(log: str) -> str:
    with contextlib.suppress(OSError):
        lines = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LOG_LINES:])
    return ""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    return value
