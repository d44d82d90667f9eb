"""Workers on the nodes of a cluster, through Parsl's HighThroughputExecutor; the only file that imports Parsl.

Parsl's pieces: the *interchange*, a process beside the driver that hands calls out; *blocks*, Slurm jobs (or steps
of the job that we run in) with a *manager* per node and its worker processes. What this file adds are guards, each
against something that Parsl does by itself:

==========================================  =====================================================================
`_Workers.scale_in`                         auto-scaling of zero blocks cancels every idle and every pending block; a
                                            block whose workers have not reported yet counts as idle for ever
`tethered` interchange                      a killed driver leaves interchange and workers at work on the queue
`reap`                                      a manager that starts while the driver dies hangs until its wall time
`ParslPool.fault`                           after a killed interchange, futures never finish
`_asking`, no linger                        so does the shutdown then
`_sending`                                  a call that waits to be sent while the socket is closed aborts the driver
``windowed_error_handler``                  one block that fails while it is the only one fails every call
``retries=0``                               application errors are retried too; ours are counted in the ledger
`addresses_of`                              a public server is asked for this machine's address
``python -m``                               commands are looked for on PATH, which an environment need not be on
``drain_period``                            work in flight at the end of a block's wall time is lost
==========================================  =====================================================================
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import zmq
from parsl.concurrent import ParslPoolExecutor
from parsl.config import Config
from parsl.dataflow.dflow import DataFlowKernel
from parsl.executors import HighThroughputExecutor
from parsl.executors.errors import BadStateException
from parsl.executors.high_throughput.errors import CommandClientBadError, ManagerLost, WorkerLost
from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD
from parsl.executors.status_handling import BlockProviderExecutor
from parsl.jobs.error_handlers import windowed_error_handler
from parsl.jobs.errors import TooManyJobFailuresError
from parsl.launchers import SingleNodeLauncher, SrunLauncher
from parsl.providers import LocalProvider, SlurmProvider

from orchestrator.errors import ProductionError
from orchestrator.production.engine.addresses import addresses_of
from orchestrator.production.engine.lost import ChunkLost, EngineLost
from orchestrator.production.engine.own_jobs import label_of, reap
from orchestrator.production.engine.parsl_log import parsl_logs_to
from orchestrator.production.engine.tether import tethered
from orchestrator.production.site import Site

__all__ = ["ParslPool", "open_parsl"]

logger = logging.getLogger(__name__)

_SRUN = "--mpi=none --cpu-bind=none --kill-on-bad-exit=0"
"""One manager per node that may use all of it, and does not take the others along when it dies."""
_MISSED_BEATS = 4
_ANSWER_SECONDS = 60.0
"""Patience with the interchange, which answers in milliseconds."""
_LOOK_MILLISECONDS = 200
"""How often a call that waits to be sent looks whether there will be anybody to send it to."""
_SAFE_PATH = re.compile(r"[\w./+@%:,=~-]+")
"""Parsl puts paths into shell lines without quotes."""


class _Workers(HighThroughputExecutor):
    """Parsl's executor with the guards of this file."""

    poll_seconds = 60.0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._asked_for: dict[str, float] = {}
        self.sending = threading.Lock()
        self.closing = False

    @property
    def status_polling_interval(self) -> float:
        """Seconds between questions to Slurm."""
        return self.poll_seconds

    @property
    def is_connected(self) -> bool:
        """Whether the interchange lives."""
        return self.interchange_proc is not None and self.interchange_proc.poll() is None

    def start(self) -> None:
        """Start the interchange; no later question or call to it waits for ever."""
        super().start()
        setattr(self.outgoing_q, "put", partial(_sending, self, self.outgoing_q.put))  # noqa: B010
        setattr(self.command_client, "run", partial(_asking, self, self.command_client.run))  # noqa: B010
        self.outgoing_q.zmq_socket.setsockopt(zmq.LINGER, 0)

    def shutdown(self, timeout: float = 10.0) -> None:
        """End the interchange, when no thread is in the socket that is closed."""
        self.closing = True
        with self.sending:
            super().shutdown(timeout)

    def scale_in(self, blocks: int, max_idletime: float | None = None) -> list[str]:
        """Give blocks back: none when none is asked for, and no idle one that is younger than the idle time."""
        if blocks <= 0:
            return []
        if not self.is_connected:  # the parent's way asks the interchange which blocks are idle
            return BlockProviderExecutor.scale_in(self, blocks)
        if max_idletime is None:
            return super().scale_in(blocks)
        oldest = time.monotonic() - max_idletime
        young = {block: self._status.pop(block) for block in list(self._status) if self._asked_for[block] > oldest}
        try:
            return super().scale_in(blocks, max_idletime)
        finally:
            self._status.update(young)

    def _launch_block(self, block_id: str) -> Any:
        self._asked_for[block_id] = time.monotonic()
        return super()._launch_block(block_id)


def _asking(workers: _Workers, run: Callable[..., Any], message: Any, **_: Any) -> Any:
    if not workers.is_connected:
        raise CommandClientBadError
    return run(message, timeout_s=_ANSWER_SECONDS)


def _sending(workers: _Workers, put: Callable[[Any], None], message: Any) -> None:
    """Send a call when somebody is there to take it, or never: `ParslPool.fault` says what is wrong."""
    with workers.sending:
        while not workers.closing:
            if workers.outgoing_q.zmq_socket.poll(_LOOK_MILLISECONDS, zmq.POLLOUT):
                put(message)
                return
    raise CommandClientBadError


class ParslPool(Executor):
    """Calls on Parsl's workers as plain futures: losses are `ChunkLost`, nothing is tried again.

    Parameters
    ----------
    kernel : DataFlowKernel
    workers : _Workers
    """

    def __init__(self, kernel: DataFlowKernel, workers: _Workers) -> None:
        self._kernel = kernel
        self._workers = workers
        self._pool = ParslPoolExecutor(dfk=kernel, executors=[workers.label])
        self._open: set[Future[Any]] = set()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `concurrent.futures.Executor.submit`; Parsl cannot take a call back."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        self._pool.submit(function, *args, **kwargs).add_done_callback(partial(_pass_on, future))
        return future

    def fault(self) -> str:
        """Say what is gone; empty while the engine works."""
        if self._workers.bad_state_is_set:
            return _no_blocks(self._workers.executor_exception)
        if not self._workers.is_connected:
            process = self._workers.interchange_proc
            code = None if process is None else process.returncode
            return (
                f"Parsl's interchange, which hands out the work, ended with code {code} (log: "
                f"{self._workers.logdir}/interchange.log); the same command continues"
            )
        return ""

    @property
    def connected_workers(self) -> int:
        """Workers that are there now."""
        if self.fault():
            return 0
        managers = self._workers.connected_managers()
        return sum(manager["worker_count"] for manager in managers if manager["active"])

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End interchange, workers and blocks; calls in flight are lost."""
        del wait, cancel_futures
        if self._kernel.cleanup_called:
            return
        try:
            self._kernel.cleanup()
        finally:
            # Parsl leaves its blocks alone when it thinks that it is in a bad state.
            provider: Any = self._workers.provider
            provider.cancel([job for job, entry in provider.resources.items() if not entry["status"].terminal])
            for future in list(self._open):
                future.set_exception(ChunkLost("the engine was shut down"))


def _pass_on(future: Future[Any], parsls: Future[Any]) -> None:
    if future.done():
        return
    error = parsls.exception()
    if error is None:
        future.set_result(parsls.result())
    elif isinstance(error, WorkerLost | ManagerLost | CommandClientBadError):
        future.set_exception(ChunkLost(str(error) or "the engine was shut down"))
    elif isinstance(error, BadStateException | TooManyJobFailuresError):
        future.set_exception(EngineLost(_no_blocks(error)))
    else:
        future.set_exception(error)


def _no_blocks(error: BaseException | None) -> str:
    return f"block after block of workers failed before it did any work, last: {str(error).strip()}"


@contextmanager
def open_parsl(site: Site, production: Path) -> Iterator[ParslPool]:
    """Start Parsl for a site; see `orchestrator.production.engine.executors.open_executor`."""
    run_dir = production.resolve() / "logs" / "parsl"
    if not _SAFE_PATH.fullmatch(str(run_dir)):
        msg = (
            f"site.executor: {site.executor!r} cannot work in {str(production)!r}: Parsl takes no blanks or special "
            "characters in a path; choose another `output`"
        )
        raise ProductionError(msg)
    label = label_of(production)
    provider = _pilot_jobs(site) if site.executor == "slurm" else _own_job(site)
    if site.executor == "slurm":
        left = reap(label)
        if left:
            logger.warning("cancelled %d Slurm jobs of an earlier driver: %s", len(left), " ".join(left))
    with parsl_logs_to(run_dir / "parsl.log"):
        pool = _start(site, run_dir, _make_workers(site, label, provider))
        try:
            yield pool
        finally:
            try:
                pool.shutdown()
            finally:
                _reap_rest(site, label)


def _reap_rest(site: Site, label: str) -> None:
    """Cancel blocks that Parsl has left; the work is done, so a Slurm that does not answer is no failure."""
    if site.executor == "slurm":
        try:
            reap(label)
        except ProductionError as error:
            logger.warning("blocks may be left in the queue, the next start cancels them: %s", error)


def _start(site: Site, run_dir: Path, workers: _Workers) -> ParslPool:
    config = Config(
        executors=[workers],
        run_dir=str(run_dir),
        strategy="htex_auto_scale",
        strategy_period=site.strategy_seconds,
        max_idletime=site.max_idle_seconds,
        retries=0,
        usage_tracking=0,
        internal_tasks_max_threads=1,
        initialize_logging=False,
    )
    return ParslPool(DataFlowKernel(config), workers)


def _make_workers(site: Site, label: str, provider: SlurmProvider | LocalProvider) -> _Workers:
    python = f"{shlex.quote(sys.executable)} -P -m parsl.executors.high_throughput"
    workers = _Workers(
        label=label,
        provider=provider,
        # Given so that Parsl does not look for it: it would ask a server on the internet.
        address="0.0.0.0",
        max_workers_per_node=site.workers_per_node,
        # A number of workers is what the user says; without one it is that of the cores.
        cores_per_worker=1.0 if site.workers_per_node is None else 0.001,
        encrypted=True,
        launch_cmd=DEFAULT_LAUNCH_CMD.replace("process_worker_pool.py", f"{python}.process_worker_pool", 1),
        interchange_launch_cmd=tethered([sys.executable, "-P", "-m", "parsl.executors.high_throughput.interchange"]),
        heartbeat_period=max(1, round(site.heartbeat_seconds)),
        heartbeat_threshold=_MISSED_BEATS * max(1, round(site.heartbeat_seconds)),
        drain_period=_drain_seconds(site),
        block_error_handler=windowed_error_handler,
    )
    workers.poll_seconds = site.poll_seconds
    workers.all_addresses = addresses_of(site.address)
    return workers


def _drain_seconds(site: Site) -> int | None:
    """Return after how long a block takes no more work, so that its wall time cuts none short; None for never."""
    seconds = round(site.walltime_seconds - site.stop_before_end)
    return seconds if site.executor == "slurm" and seconds > 0 else None


def _pilot_jobs(site: Site) -> SlurmProvider:
    several = site.nodes_per_block > 1
    cores = site.cores_per_node or (None if site.exclusive else site.workers_per_node)
    return SlurmProvider(
        partition=site.partition,
        account=site.account,
        qos=site.qos,
        constraint=site.constraint,
        nodes_per_block=site.nodes_per_block,
        cores_per_node=cores,
        mem_per_node=site.memory_per_node,
        init_blocks=site.min_blocks,
        min_blocks=site.min_blocks,
        max_blocks=site.max_blocks,
        walltime=_clock(site.walltime_seconds),
        exclusive=site.exclusive,
        scheduler_options=site.scheduler_options,
        worker_init=site.worker_init,
        cmd_timeout=60,
        launcher=SrunLauncher(overrides=f"{_SRUN} {site.launcher_options}") if several else SingleNodeLauncher(),
    )


def _own_job(site: Site) -> LocalProvider:
    nodes = os.environ.get("SLURM_JOB_NUM_NODES", "")
    if not nodes.isdecimal():
        msg = (
            "site.executor: 'allocation' works on the nodes of the Slurm job that it runs in, but there is no "
            "SLURM_JOB_NUM_NODES; start it inside sbatch or salloc (`orchestrator submit` writes the script), or "
            "choose 'local' or 'slurm'"
        )
        raise ProductionError(msg)
    return LocalProvider(
        nodes_per_block=int(nodes),
        init_blocks=1,
        min_blocks=1,
        max_blocks=1,
        worker_init=site.worker_init,
        cmd_timeout=60,
        launcher=SrunLauncher(overrides=f"--overlap --ntasks-per-node=1 {_SRUN} {site.launcher_options}"),
    )


def _clock(seconds: float) -> str:
    """Return a wall time as Parsl reads it, HH:MM:SS."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}"
