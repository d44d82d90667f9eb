"""Small productions for the tests of what goes wrong: written, run as a user does, and looked at afterwards.

The stages are functions that take some milliseconds and note each of their executions, so that it can be counted how
often a task was carried out.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow
import pyarrow.parquet
import yaml

from orchestrator.production.stage_types import Table

HELPERS = Path(__file__).resolve().parent
EXECUTIONS = "SMALL_PRODUCTION_EXECUTIONS"
SECONDS = "SMALL_PRODUCTION_SECONDS"
N_TARGETS = 60


# --- functions of the stages ---
def _pause(options):
    time.sleep(float(os.environ.get(SECONDS, options["seconds"])))  # the option is part of the result's key


def _note(target, stage):
    with open(os.environ[EXECUTIONS], "a", encoding="utf-8") as stream:  # noqa: PTH123 - one write, appended whole
        stream.write(f"{target['target']} {stage}\n")


def square(target, options, upstream):
    """A first stage; every eleventh target cannot be done."""
    _note(target, "square")
    _pause(options)
    if target["number"] % 11 == 7:
        msg = "a number that cannot be squared"
        raise ValueError(msg)
    return {"squared": target["number"] ** 2, "half": target["number"] / 2}


def root(target, options, upstream):
    """A second stage, which uses the first."""
    _note(target, "root")
    _pause(options)
    return {"number": int(upstream["square"]["squared"] ** 0.5), "text": f"{target['target']} is done"}


def end_process(target, options, upstream):
    """A stage that takes the process along in which it runs."""
    _note(target, "end_process")
    os.kill(os.getpid(), signal.SIGKILL)


# --- the production ---
def total(*, root: Table) -> dict:
    """A stage over all targets: how many there are, and the sum of their numbers."""
    return {"n_targets": len(root), "total": int(root["number"].sum())}


def write_production(folder, *, ledger="sqlite", n_targets=N_TARGETS, site=None, **entries):
    """Write a run file and its table; return the run file."""
    folder.mkdir(parents=True, exist_ok=True)
    # Parquet: what reads it is imported in a sixth of the time, and these commands are started often
    table = {"name": [f"g{number}" for number in range(n_targets)], "number": list(range(n_targets))}
    pyarrow.parquet.write_table(pyarrow.table(table), folder / "targets.parquet")
    content = {
        "output": "production",
        "ledger": ledger,
        "targets": {"table": "targets.parquet", "identifier": "name"},
        "pipeline": {
            "square": {"function": {"call": "small_productions:square", "seconds": 0.02}},
            "root": {"function": {"call": "small_productions:root", "seconds": 0.02}},
        },
        "site": {"executor": "local", "workers": 2, "chunk": 5, **(site or {})},
        **entries,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def environment(folder, seconds=None):
    """What the commands of a production run with."""
    path = os.pathsep.join(filter(None, [str(HELPERS), os.environ.get("PYTHONPATH")]))
    own = {"PYTHONPATH": path, EXECUTIONS: str(folder / "executions.txt")}
    own["SPT_NOENV"] = "1"  # Parsl's processes write their titles over their environment otherwise
    return {**os.environ, **own, **({} if seconds is None else {SECONDS: str(seconds)})}


def start(run_file, *words, seconds=None, command="run"):
    """Start a command of ``orchestrator`` in a process group of its own; stages may last other `seconds`."""
    command = [sys.executable, "-m", "orchestrator.cli.main", command, str(run_file), *words]
    log = (run_file.parent / "run.log").open("ab")
    with log:
        return subprocess.Popen(
            command, env=environment(run_file.parent, seconds), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            cwd=run_file.parent, start_new_session=True,
        )  # fmt: skip


def finish(run_file, *words, timeout=120, **how):
    """Run the command to its end; return its exit code."""
    process = start(run_file, *words, **how)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        kill_tree(process.pid)
        raise


def folder_of(run_file):
    """The folder of a production."""
    return run_file.parent / yaml.safe_load(run_file.read_text())["output"]


def log_of(run_file):
    """Everything that the commands have printed."""
    return (run_file.parent / "run.log").read_text(errors="replace")


# --- what is left of it ---
def final_table(run_file):
    """The results of both stages and the states of all tasks, without what may differ from run to run."""
    from orchestrator.production.production import Production

    changing = {"created", "modified", "run_id", "attempt", "seconds", "overhead_seconds", "cpu_seconds"}
    changing |= {"peak_memory", "sample_file", "sample_entry", "config_id"}
    with Production(run_file).reading() as ledger:
        states = sorted((task.target, task.stage, str(task.state), task.error_class) for task in ledger.tasks())
        tables = {}
        for stage in ledger.graph().stages:
            answer = ledger.select_sql(f'SELECT * FROM "result_{stage}" ORDER BY target_id, key', limit=10**6)
            kept = [index for index, name in enumerate(answer.names) if name not in changing]
            names = [answer.names[index] for index in kept]
            tables[stage] = [dict(zip(names, [row[index] for index in kept], strict=True)) for row in answer.rows]
    return states, tables


def executions(run_file):
    """(Target, stage) to how often it was carried out."""
    path = run_file.parent / "executions.txt"
    return Counter(tuple(line.split()) for line in path.read_text().splitlines()) if path.exists() else Counter()


def expected_states(n_targets=N_TARGETS):
    """What an undisturbed run ends with."""
    rows = []
    for number in range(n_targets):
        fails = number % 11 == 7
        rows.append((f"g{number}", "square", "failed" if fails else "done", "unknown" if fails else ""))
        rows.append((f"g{number}", "root", "blocked" if fails else "done", ""))
    return sorted(rows)


def n_done(run_file):
    """How many tasks are done so far; 0 if there is no ledger yet."""
    from orchestrator.errors import OrchestratorError
    from orchestrator.production.ledger.ledger import open_ledger
    from orchestrator.production.production_folder import ledger_url

    try:
        with open_ledger(ledger_url(folder_of(run_file)), read_only=True) as ledger:
            return sum(n for by in ledger.counts().values() for state, n in by.items() if state == "done")
    except OrchestratorError:
        return 0


def check(run_file, undisturbed, n_losses, *words, in_flight=4):
    """The final table is the same, and no more was repeated than what was in flight at a loss.

    With two workers, each at one target of two stages, that is four tasks.
    """
    assert finish(run_file, *words) == 1
    assert final_table(run_file) == undisturbed
    counted = executions(run_file)
    failed = sum(state == "failed" for _, _, state, _ in undisturbed[0])
    assert len(counted) == 2 * N_TARGETS - failed
    needed = len(counted) + failed  # what fails for an unknown reason is tried once more
    assert sum(counted.values()) <= needed + in_flight * n_losses


# --- killing ---
def processes_of(run_file):
    """All processes that a production has started, wherever they are below, but for Python's tracker of resources."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            own = process.environ().get(EXECUTIONS) == str(run_file.parent / "executions.txt")
            if own and process.status() != psutil.STATUS_ZOMBIE and not _has_word(process, "resource_tracker"):
                found.append(process)
    return found


def tree(process_number):
    """A process and everything below it, as far as it lives."""
    try:
        parent = psutil.Process(process_number)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(processes):
    """Kill -9."""
    for process in processes:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue


def kill_tree(process_number):
    """Kill -9 of a process and everything below it, all at once."""
    kill(tree(process_number))


def is_fitter(process):
    """Whether a process is one that fits."""
    return _has_word(process, "orchestrator.production.work.fitter")


def is_worker(process):
    """Whether a process is a worker of the local engine."""
    return _has_word(process, "multiprocessing.spawn") or _has_word(process, "spawn_main(")


def _has_word(process, word):
    try:
        return any(word in part for part in process.cmdline())
    except psutil.Error:
        return False


def disturb(process, chance: random.Random, kinds, others):
    """Kill something of a running production at random: a fitter, a worker, the driver, or everything."""
    below = tree(process.pid)[1:]
    victims = {
        "fitter": [one for one in below if is_fitter(one)],
        "worker": [one for one in below if is_worker(one)],
        "driver": [psutil.Process(process.pid)] if process.poll() is None else [],
    }
    kind = chance.choice([*kinds, *others])
    if kind == "everything":
        kill_tree(process.pid)
    elif kind in others:
        others[kind](process)
    elif victims[kind]:
        kill([chance.choice(victims[kind])])


def disturbed_run(run_file, chance, kinds=("fitter", "worker", "driver", "everything"), **others):
    """Run a production and kill something of it at a random moment, often while it works; return whether that was.

    Parameters
    ----------
    run_file : Path
    chance : random.Random
    kinds : sequence of str
        What may be killed.
    **others : callable
        Further disturbances by name; they get the process of the driver.
    """
    before = sum(executions(run_file).values())
    process = start(run_file)
    if chance.random() < 0.8:
        wait_until(lambda: process.poll() is not None or sum(executions(run_file).values()) > before)
    time.sleep(chance.uniform(0.0, 1.2))
    if process.poll() is not None:
        return False
    below = tree(process.pid)
    disturb(process, chance, kinds, others)
    if process.wait(120) == -signal.SIGKILL:
        wait_gone(below)  # what the driver had started ends by itself
    return True


def wait_gone(processes, seconds=15.0):
    """Wait until processes have ended; say which have not."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert alive == [], f"still there: {alive}"


def wait_until(condition, seconds=60.0):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
