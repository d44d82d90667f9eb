"""Functions, commands and stages over all targets, run: results, products, resume by content, failures."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from orchestrator.errors import ProductionError
from orchestrator.production.made_by import who_made
from orchestrator.production.outcome import RunOutcome
from orchestrator.production.production import Production
from orchestrator.production.selection import Selection

pytestmark = pytest.mark.timeout(180)

STEPS = """
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from orchestrator.production.stage_types import Column, Flag, Flagged, InputFile, Output, Result
from orchestrator.production.stage_types import Table, Target, Upstream

@functools.cache
def grid():
    with open("SETUPS", "a") as stream:
        stream.write("set up\\n")
    return 10.0

@dataclass(frozen=True)
class Size:
    size: Annotated[float, Column("kpc", "size")]
    faint: Annotated[bool, Flag("too faint")] = False

def measure(target: Target, *, image: InputFile, scale: float = 1.0,
            cutout: Annotated[Path, Output("cutout.txt")]) -> Size | Flagged[Size]:
    if target["target"] == "broken":
        raise RuntimeError("no")
    size = float(image.read_text()) * scale * grid() / 10.0
    cutout.write_text(f"{size}\\n")
    return Size(size) if size > 1 else Flagged(Size(size), ("faint", "at_bound"), "too small")

@dataclass(frozen=True)
class Mean:
    mean_size: Annotated[float, Column("kpc", "mean")]

def mean(*, measure: Table) -> Mean:
    return Mean(float(measure["size"].mean()))

def offset(target: Target, *, mean: Upstream, size: Annotated[float, Result()]) -> dict:
    return {"offset": size - mean["mean_size"]}
"""
COPY = {"command": {"words": ["cat", "{input:cutout}"], "stdout": "copy"}, "outputs": {"copy": "copy.txt"}}
PIPELINE = {
    "measure": {"function": "STEPS:measure"},
    "copy": COPY,
    "mean": {"function": "STEPS:mean", "stage": {"over": "all"}},
    "offset": {"function": "STEPS:offset"},
}


class Survey:
    """A small production in a folder of its own, with a module of its own name."""

    def __init__(self, folder: Path, pipeline: dict[str, object] | None = None, names: str = "abc") -> None:
        self.folder = folder
        self.module = f"steps_of_{folder.name}"
        self.write_steps(STEPS)
        self.names = list(names)
        for number, name in enumerate(self.names):
            (folder / f"{name}.txt").write_text(f"{number + 1}.0")
        self.write_table()
        self.pipeline = json.loads(json.dumps(pipeline or PIPELINE).replace("STEPS:", f"{self.module}:"))

    def write_steps(self, text: str) -> None:
        (self.folder / f"{self.module}.py").write_text(text.replace("SETUPS", str(self.folder / "setups")))

    def write_table(self, column: str = "") -> None:
        head = f"name,image{',' + column if column else ''}"
        rows = [f"{name},{name[0]}.txt{',1' if column else ''}" for name in self.names]
        (self.folder / "table.csv").write_text("\n".join([head, *rows]) + "\n")

    def production(self, *settings: str, executor: str = "serial") -> Production:
        content = {
            "targets": {"table": "table.csv", "identifier": "name"},
            "pipeline": self.pipeline,
            "site": {"executor": executor, **({"workers": 1} if executor == "local" else {})},
        }
        (self.folder / "run.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return Production(self.folder / "run.yaml", settings)

    def run(self, *settings: str, executor: str = "serial") -> dict[str, int]:
        """Run, and return how many results each stage has got by running."""
        outcome = self.outcome(*settings, executor=executor)
        assert outcome.exit_code == 0, outcome.counts
        return self.done_in(outcome)

    def outcome(self, *settings: str, executor: str = "serial") -> RunOutcome:
        self.last = self.production(*settings, executor=executor)
        return self.last.run()

    def done_in(self, outcome: RunOutcome) -> dict[str, int]:
        with self.last.reading() as ledger:
            run = ledger.runs()[-1]["run_id"]
            answer = ledger.select_sql(
                f"SELECT stage, count(*) FROM attempt JOIN task ON attempt.task_id = task.task_id "
                f"WHERE run_id = {run} AND outcome = 'done' GROUP BY stage"
            )
        assert outcome.driven.n_failed == 0
        return dict(answer.rows)

    def values(self, stage: str, column: str) -> list[object]:
        return list(self.last.results(stage)[column])


ALL = {"measure": 3, "copy": 3, "mean": 1, "offset": 3}


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    return Survey(tmp_path)


@pytest.mark.parametrize("executor", ["serial", "local"])
def test_everything_once(survey, executor):
    assert survey.run(executor=executor) == ALL
    assert survey.values("measure", "size") == [1.0, 2.0, 3.0]
    assert survey.last.results("measure")["size"].unit == "kpc"
    assert survey.values("measure", "faint") == [True, False, False]
    assert survey.values("measure", "verdict") == ["flagged", "ok", "ok"]
    assert survey.values("measure", "remarks")[0] == "too small"
    assert survey.values("mean", "mean_size") == [2.0]
    assert survey.values("offset", "offset") == [-1.0, 0.0, 1.0]
    assert (survey.last.folder / "products/targets/b/copy/copy.txt").read_text() == "2.0\n"
    assert (survey.folder / "setups").read_text() == "set up\n", "once per worker"
    assert survey.run(executor=executor) == {}, "a second run has nothing to do"


def test_an_option_an_input_and_the_code_make_stale_what_needs_them_and_nothing_else(survey):
    survey.run()
    assert survey.run("measure.scale=2.0") == ALL
    assert survey.values("mean", "mean_size") == [4.0]
    (survey.folder / "b.txt").write_text("5.0")
    assert survey.run("measure.scale=2.0") == {"measure": 1, "copy": 1, "mean": 1, "offset": 3}
    survey.write_steps(STEPS.replace("measure[\"size\"].mean()", "measure[\"size\"].max()"))
    assert survey.run("measure.scale=2.0") == ALL, "all functions of the file; the command through its input"
    assert survey.values("mean", "mean_size") == [10.0]


def test_a_declared_version_stands_for_the_code(survey):
    for stage in ("measure", "mean", "offset"):
        survey.pipeline[stage].setdefault("stage", {})["version"] = 1
    survey.run()
    survey.write_steps(STEPS + "\n# a remark\n")
    assert survey.run() == {}
    survey.pipeline["offset"]["stage"]["version"] = 2
    assert survey.run() == {"offset": 3}


def test_a_product_that_is_gone_or_changed_is_made_again(survey):
    survey.run()
    product = survey.last.folder / "products/targets/a/measure/cutout.txt"
    product.unlink()
    assert survey.run() == {"measure": 1}, "its key has not changed, so nothing after it is stale"
    product.write_text("something else")
    assert survey.run() == {"measure": 1}
    assert product.read_text() == "1.0\n"
    os.utime(product)
    assert survey.run() == {}, "touched, not changed"


def test_going_back_to_former_options_finds_rows_and_makes_files_again(survey):
    survey.run()
    survey.run("measure.scale=2.0")
    assert survey.run()["measure"] == 3
    assert (survey.last.folder / "products/targets/c/measure/cutout.txt").read_text() == "3.0\n"
    assert survey.values("offset", "offset") == [-1.0, 0.0, 1.0]
    assert survey.run() == {}


def test_a_new_target_is_collected(survey):
    survey.run()
    survey.names.append("c2")
    survey.write_table()
    assert survey.run() == {"measure": 1, "copy": 1, "mean": 1, "offset": 4}
    assert survey.values("mean", "mean_size") == [2.25]


def test_failures_within_the_tolerance_are_left_out(tmp_path):
    survey = Survey(tmp_path)
    survey.names.append("broken")
    (tmp_path / "b.txt").write_text("2.0")
    survey.write_table()
    outcome = survey.outcome()
    assert outcome.counts["mean"] == {"blocked": 1}
    assert outcome.counts["offset"] == {"blocked": 4}
    assert outcome.exit_code == 1
    survey.pipeline["mean"]["stage"]["max_failed"] = 0.3
    outcome = survey.outcome()
    assert outcome.counts["mean"] == {"done": 1}
    assert outcome.counts["offset"] == {"done": 3, "blocked": 1}
    survey.write_steps(STEPS.replace('== "broken"', '== "none"'))
    survey.last.retry(Selection(states=("failed",)))
    assert survey.outcome().exit_code == 0
    assert survey.values("mean", "mean_size") == [2.0]


def test_who_made_a_file(survey, monkeypatch):
    survey.run()
    product = survey.last.folder / "products/targets/b/copy/copy.txt"
    (maker,) = who_made(product)
    assert (maker.product.stage, maker.product.target, maker.state) == ("copy", "b", "as it was made")
    copy = survey.folder / "elsewhere.txt"
    copy.write_text("2.0\n")
    assert {maker.product.stage for maker in who_made(copy, survey.last.folder)} == {"copy", "measure"}
    product.write_text("2.1\n")
    assert who_made(product)[0].state == "changed since"
    copy.write_text("of nobody")
    with pytest.raises(ProductionError, match="no stage of the production"):
        who_made(copy, survey.last.folder)


def test_the_story_and_the_reason_of_the_stage_over_all(survey):
    survey.run()
    (story,) = survey.last.show(Selection(targets=("@all",)))
    assert [stage.stage for stage in story.stages] == ["mean"]
    (why,) = survey.last.why(Selection(targets=("@all",)))
    assert [stage.verdict for stage in why.stages] == ["current"]
    (survey.folder / "b.txt").write_text("5.0")
    (why,) = survey.last.why(Selection(targets=("b",)))
    verdicts = {stage.stage: stage.verdict for stage in why.stages}
    assert verdicts == dict.fromkeys(("measure", "copy", "offset"), "stale")


def test_the_story_names_the_files_that_were_made(survey):
    survey.run()
    (story,) = survey.last.show(Selection(targets=("b",)))
    files = {stage.stage: stage.files for stage in story.stages}
    assert files["copy"] == ("products/targets/b/copy/copy.txt",)
    assert files["offset"] == ()


def test_a_preview_says_what_the_run_then_does(survey):
    survey.run()
    assert survey.last.preview("run", Selection()).counts == dict.fromkeys(ALL, 0)
    again = survey.production("measure.scale=2").preview("run", Selection())
    assert again.counts == ALL
    survey.names.append("d")
    (survey.folder / "d.txt").write_text("7.0")
    survey.write_table()
    (survey.folder / "table.csv").write_text((survey.folder / "table.csv").read_text().replace("b,b.txt", "b,c.txt"))
    expected = {"measure": 2, "copy": 2, "mean": 1, "offset": 2}
    found = survey.production().preview("run", Selection())
    assert found.counts == expected
    assert {"1 new targets", "1 changed targets", "offset of every target will follow a new mean"} <= set(found.notes)
    assert survey.run() == {**expected, "offset": 4}


def command_survey(folder: Path, words: list[str], **stage: object) -> Survey:
    return Survey(folder, {"do": {"command": {"words": words}, "stage": {"retries": {"timeout": 0}, **stage}}}, "a")


@pytest.mark.parametrize("executor", ["serial", "local"])
def test_a_command_that_hangs_is_ended_with_all_that_it_has_started(tmp_path, executor):
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! > {shlex.quote(str(pids))}; echo here I hang; wait"
    survey = command_survey(tmp_path, ["bash", "-c", script], time_limit=2.0)
    begun = time.monotonic()
    outcome = survey.outcome(executor=executor)
    assert outcome.counts["do"] == {"failed": 1}
    assert time.monotonic() - begun < 60
    (story,) = survey.last.show(Selection())
    (attempt,) = story.stages[0].attempts
    assert attempt.error_class == "timeout"
    assert "here I hang" in attempt.log
    child = int(pids.read_text())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "its child lives on"
        time.sleep(0.05)


def test_the_exit_code_decides_and_the_end_of_the_log_is_kept(tmp_path):
    survey = command_survey(tmp_path, [sys.executable, "-c", "print('last words'); raise SystemExit(3)"])
    assert survey.outcome().exit_code == 1
    (story,) = survey.last.show(Selection())
    attempt = story.stages[0].attempts[-1]
    assert "ended with exit code 3" in attempt.message
    assert "last words" in attempt.log


def test_exit_code_65_is_bad_input(tmp_path):
    survey = command_survey(tmp_path, ["bash", "-c", "exit 65"])
    assert survey.outcome().exit_code == 0
    assert survey.values("do", "verdict") == ["failed"]
    assert "refused its input" in str(survey.values("do", "remarks")[0])


def test_an_output_that_is_not_written_is_a_failure_and_nothing_is_published(tmp_path):
    survey = Survey(tmp_path, {"do": {"command": ["true", "{output:result}"]}}, "a")
    assert survey.outcome().exit_code == 1
    (story,) = survey.last.show(Selection())
    assert "has not written its output 'result'" in story.stages[0].attempts[-1].message
    assert not (survey.last.folder / "products").exists()


def test_words_columns_options_and_columns_from_json(tmp_path):
    code = "import json,sys; json.dump({'words': ' '.join(sys.argv[2:])}, open(sys.argv[1], 'w'))"
    survey = Survey(tmp_path, {"do": {"command": {
        "words": [sys.executable, "-c", code, "{output:found}", "{name}", ["--level", "{level}"], ["-v", "{loud}"],
                  ["--none", "{nothing}"], "{many}", "x={level:03d}", "{target}"],
        "options": {"level": 2, "loud": True, "nothing": None, "many": {"type": "list", "default": ["p", "q r"]}},
        "columns": "found",
    }, "stage": {"scratch": True}}}, "a")  # fmt: skip
    survey.pipeline["do"]["command"]["words"][2] = code.replace("{", "{{").replace("}", "}}")
    survey.run()
    assert survey.values("do", "words") == ["a --level 2 -v p q r x=002 a"]
