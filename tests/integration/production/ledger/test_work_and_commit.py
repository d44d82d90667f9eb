"""Work is handed out, records are taken in once, and what follows from them follows."""

from __future__ import annotations

import pytest
from ledger_records import done, failed, states

from orchestrator.errors import ProductionError
from orchestrator.production.records import InputFile, TaskOrder
from orchestrator.production.selection import Selection

FILES = (InputFile("spectrum.fits", 10, 20, "abc"),)


def test_work_comes_in_order_and_names_what_follows(filled):
    works = filled.next_work(3, now=1.0)
    assert [work.target.name for work in works] == ["NGC1", "NGC2", "NGC3"]
    assert [order.stage for order in works[0].tasks] == ["kinematics", "Stellar_history", "colours"]
    assert [work.target_id for work in filled.next_work(3, 1.0, exclude={1, 2, 4})] == [3, 5, 6]
    assert [work.target_id for work in filled.next_work(100, 1.0, exclude=set(range(1, 10)))] == [10]
    assert filled.next_work(0, 1.0) == []


def test_running_work_is_not_handed_out_twice(filled):
    works = filled.next_work(4)
    filled.mark_running(works, "0001-0000001")
    assert filled.counts()["kinematics"] == {"ready": 6, "running": 4}
    assert filled.counts()["Stellar_history"] == {"waiting": 10}
    assert [work.target_id for work in filled.next_work(100)] == [5, 6, 7, 8, 9, 10]
    assert filled.release([1, 2]) == 4
    assert [work.target_id for work in filled.next_work(2)] == [1, 2]
    assert filled.release_running() == 4
    assert filled.counts()["kinematics"] == {"ready": 10}


def test_a_result_makes_the_next_stage_ready(filled):
    committed = filled.commit([done(1, samples="7", columns={"seconds": 2.5})], "samples/0001-1.journal")
    assert (committed.n_done, committed.n_failed, committed.n_ignored) == (1, 0, 0)
    work = filled.next_work(1)[0]
    assert work.tasks == (TaskOrder("Stellar_history"), TaskOrder("colours"))
    assert work.upstream == {"kinematics": "samples/0001-1.journal#7"}
    assert work.upstream_keys == {"kinematics": "kinematics-1"}
    assert work.upstream_columns["kinematics"]["seconds"] == 2.5


def test_a_failure_blocks_only_its_own_target(filled):
    filled.commit([failed(2), done(1)])
    assert states(filled, "Stellar_history") == ["ready", "blocked"] + ["waiting"] * 8
    assert states(filled, "colours") == ["ready"] * 10


def test_a_journal_read_twice_is_ignored(filled):
    verdicts = [done(1), failed(2), done(1, "Stellar_history"), failed(3, state="ready")]
    filled.commit(verdicts)
    before = list(filled.tasks()), list(filled.results("kinematics").rows), filled.attempts("NGC2")
    again = filled.commit(verdicts)
    assert (again.n_done, again.n_failed, again.n_ignored) == (0, 0, 4)
    assert (list(filled.tasks()), list(filled.results("kinematics").rows), filled.attempts("NGC2")) == before


def test_the_same_record_twice_in_one_commit(filled):
    committed = filled.commit([done(1), done(1), failed(2), failed(2)])
    assert (committed.n_done, committed.n_failed, committed.n_ignored) == (1, 1, 2)


def test_an_orphan_may_finish_what_was_given_up(filled):
    filled.commit([failed(1, state="ready", error="lost", counted=False)])
    assert filled.next_work(1)[0].tasks[0].attempt == 2
    filled.commit([done(1)])
    assert filled.counts(Selection(("NGC1",), ("kinematics",)))["kinematics"] == {"done": 1}
    ignored = filled.commit([done(1, attempt=2), failed(1, attempt=2)])
    assert ignored.n_ignored == 2
    assert [(row.number, row.outcome) for row in filled.attempts("NGC1")] == [(1, "done")]


def test_a_result_is_updated_and_keeps_when_it_was_made(filled):
    filled.commit([done(1, columns={"seconds": 1.0})])
    first = _row(filled)
    filled.make_stale([_task(filled, "NGC1")])
    filled.commit([done(1, attempt=2, columns={"seconds": 3.0})])
    second = _row(filled)
    assert (second["created"], second["seconds"], second["attempt"]) == (first["created"], 3.0, 2)
    assert second["modified"] > first["modified"]


def test_retries_carry_what_was_decided(filled):
    filled.commit([failed(1, state="ready", recipe=1, budget=2.0, alone=True, not_before=50.0)])
    assert [work.target_id for work in filled.next_work(2, now=49.0)] == [1, 2]
    assert [order.stage for order in filled.next_work(1, now=49.0)[0].tasks] == ["colours"]
    work = filled.next_work(1, now=50.0)[0]
    assert work.alone
    assert work.tasks[0] == TaskOrder("kinematics", attempt=2, recipe=1, budget=2.0)
    assert filled.failures_before([(1, "kinematics"), (2, "kinematics")]) == {
        (1, "kinematics"): ({"unknown": 1}, 2.0),
        (2, "kinematics"): ({}, 1.0),
    }


def test_earlier_failures_are_forgiven_by_hand(filled):
    filled.commit([failed(1, state="ready"), failed(1, attempt=2, error="timeout")])
    assert filled.failures_before([(1, "kinematics")])[1, "kinematics"][0] == {"unknown": 1, "timeout": 1}
    assert filled.retry(Selection(targets=("NGC1",))) == 1
    assert filled.failures_before([(1, "kinematics")])[1, "kinematics"][0] == {}
    assert filled.next_work(1)[0].tasks[0].attempt == 3
    assert len(filled.attempts("NGC1")) == 2


def test_attempts_keep_the_record(filled):
    filled.mark_running(filled.next_work(2), "0001-0000009")
    filled.commit([failed(2, error="timeout")])
    (row,) = filled.attempts("NGC2", "kinematics")
    assert (row.number, row.chunk, row.run_id) == (1, "0001-0000009", filled.run_id)
    assert (row.error_class, row.message, row.log) == ("timeout", "no convergence after 2 steps", "ab")
    assert filled.attempts("NGC2", "colours") == []


def test_a_record_of_nothing_known_is_refused_and_changes_nothing(filled):
    with pytest.raises(ProductionError, match="target 99"):
        filled.commit([done(1), done(99)])
    assert filled.counts()["kinematics"] == {"ready": 10}


def test_a_value_of_another_kind_is_refused(filled):
    with pytest.raises(ProductionError, match="stage 'kinematics': column 'seconds' .* 'float'.*'long'"):
        filled.commit([done(1, columns={"seconds": "long"})])
    with pytest.raises(ProductionError, match="column 'flags'"):
        filled.commit([done(1, columns={"flags": 2**70})])


def test_columns_that_nobody_declared_are_kept(filled, caplog):
    filled.commit([done(1, columns={"extra": 1.5, "note": "x\0", "empty": None})])
    row = _row(filled)
    assert (row["extra"], row["note"]) == (1.5, "x")
    assert "empty" not in row
    assert "nobody has declared" in caplog.text


def test_stale_is_done_again_or_found_again(filled):
    filled.commit([done(1, files=FILES), done(1, "Stellar_history")])
    task = _task(filled, "NGC1")
    assert filled.make_stale([task], "option velscale") == 1
    row = next(filled.tasks(Selection(("NGC1",), ("kinematics",))))
    assert (row.state, row.reason) == ("ready", "option velscale")
    assert list(filled.results("kinematics").rows) == []
    assert filled.point_to_existing([(task, "unknown key")]) == {}
    assert filled.point_to_existing([(task, "kinematics-1")]) == {"kinematics": 1}
    assert states(filled, "kinematics")[0] == "done"
    assert [row[0] for row in filled.results("kinematics").rows] == ["NGC1"]


def test_former_results_stay_in_the_history(filled):
    filled.commit([done(1, key="old")])
    filled.make_stale([_task(filled, "NGC1")])
    filled.commit([done(1, key="new", attempt=2)])
    keys = [column.name for column in filled.results("kinematics").columns].index("key")
    assert [row[keys] for row in filled.results("kinematics").rows] == ["new"]
    assert sorted(row[keys] for row in filled.results("kinematics", history=True).rows) == ["new", "old"]


def test_what_is_behind_a_stale_task_waits(filled):
    filled.commit([done(1), done(1, "Stellar_history")])
    both = [task.task_id for task in filled.tasks(Selection(("NGC1",), ("kinematics", "Stellar_history")))]
    filled.make_stale(both)
    assert [row.state for row in filled.tasks(Selection(("NGC1",)))] == ["ready", "waiting", "ready"]


def test_reconciliation_sees_targets_with_results(filled):
    filled.commit([done(3, files=FILES), failed(5)])
    entries = list(filled.targets_with_results())
    assert [entry.target.name for entry in entries] == ["NGC3", "NGC5"]
    task = entries[0].tasks["kinematics"]
    assert (task.state, task.key, task.files) == ("done", "kinematics-3", FILES)
    assert list(entries[0].tasks) == ["kinematics", "Stellar_history", "colours"]
    renewed = (InputFile("spectrum.fits", 10, 21, "abc"),)
    filled.update_files({task.task_id: renewed})
    assert next(filled.targets_with_results()).tasks["kinematics"].files == renewed


def test_a_held_stage_stops_and_goes_on(filled):
    filled.commit([done(1)])
    filled.mark_running(filled.next_work(1), "c")
    filled.hold_stage("Stellar_history")
    assert filled.counts()["Stellar_history"] == {"running": 1, "held": 9}
    filled.commit([done(2), failed(1, "Stellar_history", state="ready")])
    assert filled.counts()["Stellar_history"] == {"held": 10}
    assert all(order.stage != "Stellar_history" for work in filled.next_work(9) for order in work.tasks)
    filled.retry(Selection(stages=("Stellar_history",)))
    assert filled.counts()["Stellar_history"] == {"waiting": 8, "ready": 2}
    with pytest.raises(ProductionError, match="did you mean 'colours'"):
        filled.hold_stage("colour")


def test_samples_move_with_their_shard(filled):
    filled.commit([done(1, samples="1"), done(2, samples="2")], "samples/a.journal")
    filled.commit([done(3, samples="targets/NGC3/kinematics.txt")])
    filled.make_stale([_task(filled, "NGC1")])
    moved = filled.repack({"samples/a.journal#1": "samples/s.h5#10", "samples/a.journal#2": "samples/s.h5#20"})
    assert moved == 2
    assert filled.sample_files() == ["samples/s.h5", "targets/NGC3/kinematics.txt"]
    assert filled.samples("kinematics", [1, 2, 3]) == {2: "samples/s.h5#20", 3: "targets/NGC3/kinematics.txt"}
    filled.point_to_existing([(_task(filled, "NGC1"), "kinematics-1")])
    assert filled.samples("kinematics", [1]) == {1: "samples/s.h5#10"}
    assert filled.tasks_with_samples_in(["samples/s.h5"]) == [_task(filled, "NGC1"), _task(filled, "NGC2")]


def test_rates_and_errors_are_summed_up(filled):
    filled.commit([done(1, columns={"seconds": 1.0}), done(2, columns={"seconds": 3.0}), failed(3), failed(4)])
    filled.commit([failed(5, error="timeout"), failed(6, state="ready")])
    rate = filled.rate(60.0)["kinematics"]
    assert (rate.n, rate.per_second, rate.mean_seconds) == (6, pytest.approx(0.1), 2.0)
    assert filled.rate(60.0, now=4e9) == {}
    groups = [(group.error_class, group.n, group.example) for group in filled.errors()]
    assert groups == [("unknown", 3, "NGC3"), ("timeout", 1, "NGC5")]
    filled.commit([done(6, attempt=2)])
    assert [group.n for group in filled.errors(Selection(("NGC4", "NGC6")))] == [1]


def _task(ledger, target: str) -> int:
    return next(ledger.tasks(Selection((target,), ("kinematics",)))).task_id


def _row(ledger) -> dict:
    results = ledger.results("kinematics")
    return dict(zip([column.name for column in results.columns], next(results.rows), strict=True))
