"""The worker's side: one fitter that lasts, watched for time, memory and death.

What a fitter answers is passed on at once. When it is killed, or dies, the stage that it was at has failed, and why
is known; the next target gets a new fitter.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from orchestrator.errors import OrchestratorError
from orchestrator.fit.process import sampler_environment
from orchestrator.production.open_tasks import open_tasks
from orchestrator.production.plan import Plan
from orchestrator.production.records import ErrorClass, TaskOrder, TaskRecord, Work
from orchestrator.production.work.answers import Answer, Finished, Skipped, answer_from
from orchestrator.production.work.capture import end_of_log
from orchestrator.production.work.channel import Channel, ChannelClosedError
from orchestrator.production.work.limits import MEGABYTE
from orchestrator.production.work.record_text import work_to

__all__ = ["FitterStartError", "Fits", "Supervisor"]

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_CHILDREN_EVERY = 10
"""Polls between looks at the children of the fitter, which cost more."""
_IMPORT_SECONDS = 600.0
_MOST_FITS = 5000
"""Targets with fits after which a fitter is replaced."""
_GROWTH_FACTOR, _GROWTH = 2.0, 500 * MEGABYTE
"""A fitter that holds more than this, compared with what it held after its first fit, is replaced."""
_LAST_WORDS_SECONDS = 0.3


class FitterStartError(OrchestratorError):
    """A fitter did not start. It is no `ProductionError`: once is bad luck, and the run goes on."""


class Fits(Protocol):
    """What carries out the work of a chunk."""

    def answers(self, works: Sequence[Work]) -> Iterator[Answer | Skipped | Finished]:
        """Carry out targets in order; each ends with `Finished`."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


@dataclass(frozen=True)
class _Killed(Exception):
    """The fitter was ended on purpose."""

    error_class: ErrorClass
    message: str


class Supervisor:
    """Fits in a process of their own.

    Parameters
    ----------
    plan : Plan
    plan_file : str
        Relative to the production.
    production, scratch : Path
    """

    def __init__(self, plan: Plan, plan_file: str, production: Path, scratch: Path) -> None:
        self.plan = plan
        self.order = {"production": str(production), "plan": plan_file, "scratch": str(scratch)}
        self.scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._n_fits = 0
        self._first_memory = 0
        self._last_memory = 0
        self._begun = 0.0
        self._out_of_memory_kills = 0

    @property
    def process_number(self) -> int | None:
        """Number of the fitter's process; None if there is none."""
        return None if self._process is None else self._process.pid

    def answers(self, works: Sequence[Work]) -> Iterator[Answer | Skipped | Finished]:
        """Carry out targets in order.

        Raises
        ------
        FitterStartError
            If no fitter can be started.
        """
        left = list(works)
        while left:
            self._start()
            assert self._channel is not None
            with contextlib.suppress(ChannelClosedError):  # seen again when its answer is waited for
                self._channel.send({"works": [work_to(work) for work in left]})
            while left and self._process is not None:
                yield from self._of_one(left.pop(0))
                if self._has_grown():
                    self._end()  # the rest of what it has got goes to the next one

    def close(self) -> None:
        """End the fitter."""
        self._end()

    def _of_one(self, work: Work) -> Iterator[Answer | Skipped | Finished]:
        """Yield the answers to one target."""
        tasks = self._in_order(work)
        outcomes: dict[str, str] = {}
        while True:
            left = open_tasks(self.plan, tasks, outcomes)
            self._begun = time.time()
            try:
                answer = self._wait(left[0] if left else tasks[-1], of_task=bool(left))
            except (_Killed, ChannelClosedError) as ending:
                if left:
                    yield Answer(self._failed(work, left[0], ending))
                self._end()
                answer = Finished(work.target_id)
            if isinstance(answer, Finished):
                self._note(answer)
                yield answer
                return
            if isinstance(answer, Answer):
                outcomes[answer.record.stage] = answer.record.outcome
            yield answer

    def _in_order(self, work: Work) -> list[TaskOrder]:
        place = {stage.name: index for index, stage in enumerate(self.plan.stages)}
        return sorted(work.tasks, key=lambda task: place[task.stage])

    def _wait(self, task: TaskOrder, *, of_task: bool) -> Answer | Skipped | Finished:
        """Wait for the next answer, with the limits of the stage that is being worked on."""
        assert self._channel is not None
        stage = self.plan.stage(task.stage)
        time_limit = stage.time_limit * task.budget if of_task else math.inf
        memory_limit = stage.memory_limit * task.budget
        begun, n_polls = time.monotonic(), 0
        while True:
            passed = time.monotonic() - begun
            patience = min(time_limit - passed, _POLL_SECONDS if math.isfinite(memory_limit) else math.inf)
            received = self._channel.receive(None if math.isinf(patience) else patience)
            if received is not None:
                return answer_from(*received)
            if time.monotonic() - begun >= time_limit:
                raise _Killed(ErrorClass.TIMEOUT, f"stopped after {time_limit:g} s, its limit of time")
            memory = self._memory(with_children=n_polls % _CHILDREN_EVERY == 0) / MEGABYTE
            n_polls += 1
            if memory > memory_limit:
                text = f"stopped at {memory:.0f} MB of memory; its limit is {memory_limit:g} MB"
                raise _Killed(ErrorClass.OUT_OF_MEMORY, text)

    def _failed(self, work: Work, task: TaskOrder, ending: Exception) -> TaskRecord:
        """Return the record of the stage at which the fitter ended, and take its last words."""
        assert self._process is not None
        seconds = time.time() - self._begun
        if isinstance(ending, _Killed):
            error_class, message = ending.error_class, ending.message
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGUSR1)  # where it hangs goes to its log
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LAST_WORDS_SECONDS)
        else:
            error_class, message = self._death()
        process = self._process.pid
        self._end()
        log = self.scratch / f"t{work.target_id}.{task.stage}.log"
        if self.plan.stage(task.stage).kind != "fit":
            log = self.scratch / "function.log"
        text = end_of_log(log)
        log.unlink(missing_ok=True)
        shutil.rmtree(self.scratch / f"t{work.target_id}", ignore_errors=True)
        return TaskRecord(
            work.target_id,
            task.stage,
            task.attempt,
            task.recipe,
            "failed",
            error_class=str(error_class),
            message=message,
            log=text,
            started=self._begun,
            columns={"seconds": seconds},
            host=socket.gethostname(),
            process=process,
        )

    def _death(self) -> tuple[ErrorClass, str]:
        """Say how the fitter died by itself."""
        assert self._process is not None
        code = self._process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            if -code == signal.SIGKILL and _out_of_memory_kills() > self._out_of_memory_kills:
                return ErrorClass.OUT_OF_MEMORY, "its process was killed by the system, which ran out of memory"
            return ErrorClass.CRASH, f"its process was ended by signal {-code} ({name})"
        return ErrorClass.CRASH, f"its process ended with exit code {code}"

    def _note(self, answer: Finished) -> None:
        if answer.with_fits:
            self._n_fits += 1
            self._first_memory = self._first_memory or answer.memory
            self._last_memory = answer.memory

    def _has_grown(self) -> bool:
        """Whether the fitter should make room for a new one."""
        if self._process is None or not self._n_fits:
            return False
        most = max(_GROWTH_FACTOR * self._first_memory, self._first_memory + _GROWTH)
        return self._n_fits >= _MOST_FITS or self._last_memory > most

    def _memory(self, *, with_children: bool) -> int:
        """Return the bytes that the fitter holds, and what it has started."""
        assert self._process is not None
        total = 0
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self._process.pid)
            total = process.memory_info().rss
            for child in process.children(recursive=True) if with_children else ():
                with contextlib.suppress(psutil.Error):
                    total += child.memory_info().rss
        return int(total)

    def _start(self) -> None:
        """Start a fitter if there is none."""
        if self._process is not None:
            return
        self.scratch.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "orchestrator.production.work.fitter"]
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                env=sampler_environment(),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._channel = Channel(ours)
        self._n_fits = self._first_memory = self._last_memory = 0
        self._out_of_memory_kills = _out_of_memory_kills()
        try:
            self._channel.send({**self.order, "path": [folder for folder in sys.path if folder]})
            if self._channel.receive(_IMPORT_SECONDS) is None:
                raise ChannelClosedError
        except ChannelClosedError as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LAST_WORDS_SECONDS)  # its socket closes before it has ended
            code = self._process.returncode
            self._end()
            msg = f"the process for fits did not start (exit code {code}); its messages are in the log of the worker"
            raise FitterStartError(msg) from error

    def _end(self) -> None:
        """End the fitter with everything that it has started."""
        if self._process is None:
            return
        started: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            started = psutil.Process(self._process.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        _, alive = psutil.wait_procs(started, timeout=2.0)  # mpiexec hears of it, and ends its ranks
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self._channel is not None:
            self._channel.close()
        self._process = self._channel = None


def _out_of_memory_kills() -> int:
    """Return how often the system has killed a process to get memory."""
    try:
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0
