"""What goes wrong in a fit stays in that fit, and what was finished is in the journal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from work_orders import a_fit, a_function, a_production, a_work, an_order, records_in, records_of, summary_of

from orchestrator.errors import ProductionError
from orchestrator.production.records import StagePlan, TaskOrder
from orchestrator.production.work import chunk as chunk_module
from orchestrator.production.work.chunk import run_chunk

pytestmark = pytest.mark.timeout(120)


def one_misbehaves(folder, deed, *, isolation="process", budget=1.0, **limits):
    """Three targets of which the second misbehaves; return the records."""
    plan = a_production(folder, a_function("misbehave", **limits), isolation=isolation)
    works = [
        a_work(
            plan,
            n,
            values={"deed": deed if n == 1 else "nothing"},
            tasks=(TaskOrder("first", 2, 0, budget if n == 1 else 1000.0),),
        )
        for n in range(3)
    ]
    return records_of(folder, run_chunk(an_order(folder, plan, works)))


@pytest.mark.parametrize(
    ("deed", "error_class", "message"),
    [
        ("segfault", "crash", "ended by signal 11 (SIGSEGV)"),
        ("exit", "crash", "ended with exit code 7"),
        ("system exit", "crash", "SystemExit 3"),
        ("raise", "unknown", "ValueError: no such galaxy"),
    ],
)
def test_a_failure_stays_with_its_target(tmp_path, deed, error_class, message):
    before, failed, after = one_misbehaves(tmp_path, deed)
    assert (before.outcome, after.outcome) == ("done", "done")
    assert (failed.outcome, failed.error_class, failed.attempt) == ("failed", error_class, 2)
    assert message in failed.message
    same = before.columns["process"] == after.columns["process"]
    assert same == (deed in ("raise", "system exit")), "only a process that died is replaced"


def test_the_log_tells_what_happened(tmp_path):
    _, failed, _ = one_misbehaves(tmp_path, "raise")
    assert "something before the end" in failed.log
    assert "ValueError: no such galaxy" in failed.log
    assert "work_orders.py" in failed.log
    _, failed, _ = one_misbehaves(tmp_path, "segfault")
    assert "Segmentation fault" in failed.log


def test_a_fit_that_hangs_is_stopped_and_says_where(tmp_path):
    begun = time.monotonic()
    before, failed, after = one_misbehaves(tmp_path, "hang", time_limit=0.4, budget=2.0)
    assert time.monotonic() - begun < 30
    assert failed.error_class == "timeout"
    assert failed.message == "stopped after 0.8 s, its limit of time"
    assert 0.8 <= failed.columns["seconds"] < 3
    assert "misbehave" in failed.log, "the traceback of where it was"
    assert (before.outcome, after.outcome) == ("done", "done")


def test_memory_over_the_limit_is_stopped(tmp_path):
    _, failed, after = one_misbehaves(tmp_path, "memory", memory_limit=900.0)
    assert failed.error_class == "out_of_memory"
    assert after.outcome == "done"


def test_a_stage_that_waits_for_a_failed_one_is_not_what_the_fitter_died_of(tmp_path):
    plan = a_production(
        tmp_path, a_function("fail_and_die_later"), a_function("double", "second", needs=("first",)),
        a_function("double", "third"),
    )  # fmt: skip
    report = run_chunk(an_order(tmp_path, plan, [a_work(plan, 0), a_work(plan, 1, ["third"])]))
    assert summary_of(records_of(tmp_path, report)) == {
        (0, "first"): "unknown",
        (0, "third"): "crash",
        (1, "third"): "done",
    }
    report = run_chunk(an_order(tmp_path, plan, [a_work(plan, 0, ["first", "second"])], chunk="1-2"))
    assert summary_of(records_of(tmp_path, report)) == {(0, "first"): "unknown"}


def test_a_fitter_that_somebody_kills_is_replaced(tmp_path):
    file = tmp_path / "process"
    plan = a_production(tmp_path, a_function("misbehave", options={"file": str(file)}))
    works = [a_work(plan, n, values={"deed": "say process" if n == 1 else "nothing"}) for n in range(3)]
    killer = subprocess.Popen(
        [sys.executable, "-c", _KILLER, str(file)], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    report = run_chunk(an_order(tmp_path, plan, works))
    assert killer.wait(30) == 0
    records = records_of(tmp_path, report)
    assert summary_of(records) == {(0, "first"): "done", (1, "first"): "crash", (2, "first"): "done"}
    assert "signal 9 (SIGKILL)" in records[1].message


_KILLER = """
import os, signal, sys, time
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    try:
        number = int(open(sys.argv[1]).read())
        os.kill(number, signal.SIGKILL)
        sys.exit(0)
    except (OSError, ValueError):
        time.sleep(0.01)
sys.exit(1)
"""

_WORKER = """
import json, sys
from pathlib import Path
from orchestrator.production.records import ChunkOrder, Target, TaskOrder, Work
from orchestrator.production.work.chunk import run_chunk
from orchestrator.production.work.record_text import work_from
order = json.loads(sys.argv[1])
run_chunk(ChunkOrder(**{**order, "works": tuple(map(work_from, order["works"]))}))
"""


def a_worker(folder, order):
    """Run a chunk in another process, which can be killed."""
    from orchestrator.production.work.record_text import work_to

    text = json.dumps({**vars(order), "works": [work_to(work) for work in order.works]})
    helpers = str(Path(__file__).resolve().parents[3] / "helpers")
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER, text], env={**os.environ, "PYTHONPATH": helpers}, stdin=subprocess.DEVNULL
    )


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def test_a_killed_worker_leaves_what_was_finished_and_its_chunk_is_taken_up(tmp_path):
    file = tmp_path / "process"
    plan = a_production(
        tmp_path, a_function("double", "first"), a_function("misbehave", "second", options={"file": str(file)})
    )
    works = [a_work(plan, n, values={"deed": "say process" if n == 2 else "nothing"}) for n in range(4)]
    order = an_order(tmp_path, plan, works)
    worker = a_worker(tmp_path, order)
    wait_for(lambda: file.exists() and file.read_text())
    fitter = psutil.Process(int(file.read_text()))
    left = tmp_path / "spool" / "1-1.open"
    wait_for(lambda: len(records_in(left)) == 5)  # the fitter may be ahead of what its worker has written down
    worker.send_signal(signal.SIGKILL)
    worker.wait(30)
    wait_for(lambda: not fitter.is_running() or fitter.status() == psutil.STATUS_ZOMBIE)
    assert list((tmp_path / "spool").iterdir()) == [left]
    found = records_in(left)
    whole = [(0, "first"), (0, "second"), (1, "first"), (1, "second"), (2, "first")]
    assert summary_of(found) == dict.fromkeys(whole, "done")
    again = [replace(work, target=replace(work.target, values={"number": n})) for n, work in enumerate(works)]
    report = run_chunk(an_order(tmp_path, plan, again))
    records = records_of(tmp_path, report)
    assert records[: len(found)] == found, "nothing is done a second time"
    assert len(records) == report.n_records == 8
    assert len({(r.target_id, r.stage) for r in records}) == 8
    assert not list((tmp_path / "scratch").glob(f"*-{worker.pid}-*")), "its scratch folder is cleared away"


def test_a_torn_journal_is_taken_up_at_any_place(tmp_path):
    stages = (
        a_function("misbehave", "first"), a_function("double", "second", needs=("first",)),
        a_function("double", "third"),
    )  # fmt: skip
    plan = a_production(tmp_path, *stages, isolation="none")
    works = [a_work(plan, n, values={"deed": "raise" if n == 1 else "nothing"}) for n in range(3)]
    order = an_order(tmp_path, plan, works)
    whole = tmp_path / run_chunk(order).journal
    data = whole.read_bytes()
    expected = summary_of(records_of(tmp_path, run_chunk(replace(order, chunk="2-2"))))
    assert len(expected) == 8, "one failed, and the one that needs it was not done"
    whole.unlink()
    for length in range(0, len(data), 97):
        (tmp_path / "spool" / "1-1.open").write_bytes(data[:length])
        report = run_chunk(order)
        records = records_of(tmp_path, report)
        assert summary_of(records) == expected
        assert len(records) == 8
        (tmp_path / report.journal).unlink()


def test_a_stage_after_a_failed_one_is_not_run(tmp_path):
    plan = a_production(
        tmp_path,
        a_function("misbehave", "first"),
        a_function("double", "second", needs=("first",)),
        a_function("double", "third"),
    )
    for isolation, chunk in (("process", "1-1"), ("none", "1-2")):
        plan = a_production(tmp_path, *plan.stages, isolation=isolation)
        works = [a_work(plan, 0, values={"deed": "raise"}), a_work(plan, 1)]
        report = run_chunk(an_order(tmp_path, plan, works, chunk=chunk))
        assert summary_of(records_of(tmp_path, report)) == {
            (0, "first"): "unknown", (0, "third"): "done",
            (1, "first"): "done", (1, "second"): "done", (1, "third"): "done",
        }  # fmt: skip


def test_a_worker_stops_between_targets_when_it_is_told_to(tmp_path):
    plan = a_production(tmp_path, a_function("double"), isolation="none")
    works = [a_work(plan, n) for n in range(5)]
    (tmp_path / chunk_module.STOP_FILE).touch()
    report = run_chunk(an_order(tmp_path, plan, works))
    assert report.unfinished == (0, 1, 2, 3, 4)
    assert (report.n_records, report.journal) == (0, "spool/1-1.journal")
    (tmp_path / chunk_module.STOP_FILE).unlink()
    report = run_chunk(an_order(tmp_path, plan, works, chunk="1-2", stop_at=time.time() - 1))
    assert len(report.unfinished) == 5
    report = run_chunk(an_order(tmp_path, plan, works, chunk="1-3", stop_at=time.time() + 1000))
    assert report.unfinished == ()


def test_a_target_that_would_not_end_in_time_is_not_begun(tmp_path):
    plan = a_production(tmp_path, a_function("rest", options={"seconds": 0.3}), isolation="none")
    run_chunk(an_order(tmp_path, plan, [a_work(plan, 0)], chunk="1-0"))  # what has to be imported is
    works = [a_work(plan, n) for n in range(20)]
    begun = time.time()
    report = run_chunk(an_order(tmp_path, plan, works, stop_at=begun + 2.0))
    assert 1 <= report.n_records <= 6
    assert report.n_records + len(report.unfinished) == 20
    starts = [record.started for record in records_of(tmp_path, report)]
    assert max(starts) <= begun + 2.0 - 0.2, "it would have lasted beyond"


def test_a_fitter_that_has_grown_is_replaced(tmp_path, monkeypatch):
    from orchestrator.production.work import supervise

    monkeypatch.setattr(supervise, "_MOST_FITS", 2)
    plan = a_production(tmp_path, a_fit(sampler="maxlike"))
    works = [a_work(plan, n) for n in range(3)]
    records = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, works)))
    assert [record.outcome for record in records] == ["done"] * 3
    first, second, third = [record.process for record in records]
    assert first == second != third


def test_a_plan_that_is_not_there_is_said(tmp_path):
    plan = a_production(tmp_path, a_function("double"))
    order = an_order(tmp_path, plan, [])
    with pytest.raises(ProductionError, match="cannot read the plan"):
        run_chunk(replace(order, plan="plan/other.json"))


def bad_fits(folder, deeds, **limits):
    """Run fits of a module that does what its option says; return the records."""
    module = folder / "bad_module.py"
    module.write_text(_BAD_MODULE)
    sections = {
        "runtime": {"sampler": "maxlike"},
        "maxlike": {"tolerance": 1e-4},
        "pipeline": {"modules": "Bad", "likelihoods": "bad"},
        "Bad": {"file": str(module), "deed": "{deed}"},
        "values": {"bad": {"x": "-1 0.3 1"}},
    }
    plan = a_production(folder, StagePlan("fit", "fit", sections, **limits))
    works = [a_work(plan, n, values={"deed": deed}) for n, deed in enumerate(deeds)]
    return records_of(folder, run_chunk(an_order(folder, plan, works)))


def test_a_likelihood_that_crashes_or_eats_memory(tmp_path):
    deeds = ["nothing", "crash", "memory", "children", "raise", "exit", "nothing"]
    records = bad_fits(tmp_path, deeds, memory_limit=2000.0)
    found = [record.error_class or record.outcome for record in records]
    assert found == ["done", "crash", "out_of_memory", "out_of_memory", "unknown", "crash", "done"]
    assert "the lamp went out" in records[4].message
    assert list((tmp_path / "scratch").glob("orchestrator-*/t*")) == []


def test_a_likelihood_that_hangs(tmp_path):
    before, failed, after = bad_fits(tmp_path, ["nothing", "hang", "nothing"], time_limit=8.0)
    assert (before.outcome, failed.error_class, after.outcome) == ("done", "timeout", "done")
    assert "bad_module.py" in failed.log, "where it was"
    assert before.process != after.process


_BAD_MODULE = """
import ctypes, os, subprocess, sys, time

def setup(options):
    return options["Bad", "deed"]

def execute(block, deed):
    x = block["bad", "x"]
    if deed == "hang":
        time.sleep(1000)
    if deed == "crash":
        ctypes.string_at(0)
    if deed == "exit":
        os._exit(3)
    if deed == "raise":
        raise RuntimeError("the lamp went out")
    if deed == "memory":
        held = [bytearray(100_000_000) for _ in range(100)]
    if deed == "children":
        program = "held = bytearray(2_500_000_000); import time; time.sleep(100)"
        subprocess.run(["sh", "-c", 'ulimit -Sd unlimited; exec "$0" -c "$1"', sys.executable, program])
    block["likelihoods", "bad_like"] = -0.5 * x ** 2
    return 0
"""
