"""Runs of real ceci stages under our command: resume by content, failures, kills, one run per folder."""

from __future__ import annotations

import os
import signal

import psutil
import pytest
from ceci_toys import (
    LEFT_BEHIND,
    orchestrator,
    processes_of,
    product,
    run,
    run_command,
    start,
    wait_until,
    write_run,
)

from orchestrator.errors import ProductionError

pytestmark = pytest.mark.timeout(240)
DONE = dict.fromkeys(("Begin", "Left", "Right", "Join"), "done")
CURRENT = dict.fromkeys(DONE, "current")

LAST = """
from my_toys import *
from my_toys import BEHAVIOUR, TextFile, Toy

class Last(Toy):
    name = "Last"
    inputs = [("left", TextFile)]
    outputs = [("last", TextFile)]
    config_options = dict(BEHAVIOUR)

if __name__ == "__main__":
    PipelineStage.main()
"""


def test_exactly_what_is_concerned_runs_again(tmp_path):
    run_file = write_run(tmp_path)
    assert run(run_file) == (0, DONE)
    assert product(run_file, "joined") == "raw\nBegin first\nLeft first\nraw\nBegin first\nRight first\nJoin first\n"
    assert run(run_file) == (0, CURRENT)

    branch = {**CURRENT, "Right": "done", "Join": "done"}
    assert run(run_file, "Right.word=second") == (0, branch), "an option of one stage"
    assert product(run_file, "right").endswith("Right second\n")

    (run_file.parent / "out" / "left.txt").unlink()
    again = run(run_file, "Right.word=second")
    assert again == (0, {**CURRENT, "Left": "done"}), "a lost product is made again, the same, so Join is current"

    (run_file.parent / "raw.txt").write_text("other\n")
    assert run(run_file, "Right.word=second") == (0, DONE), "the content of an input"
    os.utime(run_file.parent / "raw.txt")
    assert run(run_file, "Right.word=second") == (0, CURRENT), "its time alone is nothing"


def test_changed_code_runs_again(tmp_path):
    run_file = write_run(tmp_path, copy=True)
    code = run_file.parent / "my_toys.py"
    (run_file.parent / "joining.py").write_text(LAST)
    words = ("modules=my_toys joining", "stages=[{name: Begin}, {name: Left}, {name: Last}]")
    assert run_command(run_file, *words) == (0, {"Begin": "done", "Left": "done", "Last": "done"})
    file = run_file.parent / "joining.py"
    file.write_text(file.read_text() + "# another version\n")
    assert run_command(run_file, *words) == (0, {"Begin": "current", "Left": "current", "Last": "done"})
    code.write_text(code.read_text() + "# another version\n")
    assert set(run_command(run_file, *words)[1].values()) == {"done"}, "the base class of all"


def test_siblings_of_a_failed_stage_finish_and_what_it_blocks_runs_later(tmp_path):
    run_file = write_run(tmp_path)
    code, states = run_command(run_file, "Left.fail=true", "Right.wait=2", "Right.leave_child=true")
    assert code == 1
    assert states == {"Begin": "done", "Left": "failed", "Right": "done", "Join": "blocked"}
    assert processes_of(run_file) == [], "what a stage has left in another session is ended with it"
    shown = orchestrator("status", run_file, cwd=tmp_path, code=1)
    assert "failed" in shown
    assert "blocked" in shown
    assert "this stage has failed" in (run_file.parent / "logs" / "Left.out").read_text()
    words = ("Right.wait=2", "Right.leave_child=true")
    assert run(run_file, *words) == (0, {**CURRENT, "Left": "done", "Join": "done"})


def test_an_exception_on_one_rank_ends_the_others(tmp_path):
    run_file = write_run(tmp_path)
    words = ("stages.Begin.nprocess=2", "Begin.fail_on_rank=1")
    assert run(run_file, *words, end=["Begin"]) == (1, {"Begin": "failed"})
    assert processes_of(run_file) == []
    assert run(run_file, "stages.Begin.nprocess=2", end=["Begin"]) == (0, {"Begin": "done"})
    assert product(run_file, "begun") == "raw\nBegin first\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_nothing_survives_the_command(tmp_path, number):
    run_file = write_run(tmp_path)
    words = ("Begin.wait=200", "Begin.leave_child=true", "stages.Begin.nprocess=2")
    process = start(run_file, *words)
    try:
        wait_until(lambda: _n_sleeping(run_file) >= 2)
        assert "another run works in" in orchestrator("run", run_file, cwd=tmp_path, code=1)
        process.send_signal(number)
        process.wait(30)
        wait_until(lambda: not processes_of(run_file), 30)
    finally:
        for left in processes_of(run_file):
            left.kill()
    assert run(run_file, end=["Begin"]) == (0, {"Begin": "done"}), "the lock is free and the next run goes on"


def _n_sleeping(run_file):
    """How many children that were left behind live."""
    count = 0
    for process in processes_of(run_file):
        try:
            count += LEFT_BEHIND in process.cmdline()
        except psutil.Error:
            continue
    return count


def test_parts_of_a_pipeline(tmp_path):
    run_file = write_run(tmp_path)
    assert run_command(run_file, "--to", "left")[1] == {"Begin": "done", "Left": "done"}
    assert run(run_file, begin=["Right"])[1] == {"Right": "done", "Join": "done"}
    assert run_command(run_file, "--from", "begun", "--to", "Left")[1] == {"Begin": "current", "Left": "current"}
    (run_file.parent / "out" / "right.txt").unlink()
    refused = orchestrator("run", run_file, "--only", "Join", cwd=tmp_path, code=2)
    assert "run stage 'Right' too, which makes it" in refused


def test_scripts_before_and_after(tmp_path):
    run_file = write_run(tmp_path, pre_script="make raw.sh", post_script="./after.sh word")
    folder = run_file.parent
    (folder / "raw.txt").unlink()
    (folder / "make").write_text('echo made > "$(dirname "$2")/$1"\n'.replace("$1", "raw.txt"))
    (folder / "after.sh").write_text('#!/bin/sh\necho "$1" "$ORCHESTRATOR_OUTPUT_DIR" > after.txt\n')
    (folder / "after.sh").chmod(0o755)
    assert run(run_file) == (0, DONE)
    assert product(run_file, "begun") == "made\nBegin first\n"
    assert (folder / "after.txt").read_text() == f"word {folder / 'out'}\n"
    (folder / "after.txt").unlink()
    assert run(run_file, "Join.fail=true")[0] == 1
    assert not (folder / "after.txt").exists(), "only if everything is done"
    (folder / "make").write_text("exit 3\n")
    code, states = run(run_file)
    assert code == 1
    assert states == dict.fromkeys(DONE, "waiting")


def test_modes_of_resume(tmp_path):
    run_file = write_run(tmp_path)
    assert run(run_file, "resume=refuse", end=["Begin"]) == (0, {"Begin": "done"})
    with pytest.raises(ProductionError, match="is there already"):
        run(run_file, "resume=refuse")
    assert run(run_file, "resume=false", end=["Begin"]) == (0, {"Begin": "done"})


def test_a_dry_run_prints_commands_that_work(tmp_path):
    run_file = write_run(tmp_path)
    text = orchestrator("run", run_file, "--dry-run", cwd=tmp_path)
    assert not (run_file.parent / "out").exists()
    assert text.count(" -m ceci_toys ") == 4
    run(run_file, end=["Begin"])
    (command,) = (line.strip() for line in text.splitlines() if "ceci_toys Left" in line)
    assert os.system(f"cd / && {command} > /dev/null") == 0  # noqa: S605
    assert product(run_file, "left").endswith("Left first\n")
