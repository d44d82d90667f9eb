from __future__ import annotations

import json
import math

import pytest
from rich.console import Console

from orchestrator.cli.grid import Cell, Grid, print_json, renderable, show, styled
from orchestrator.cli.render_status import duration_text, status_parts, summary_line
from orchestrator.cli.render_story import preview_parts, story_parts, why_parts
from orchestrator.production.status_records import (
    AttemptLine,
    ErrorLine,
    Preview,
    PreviewTask,
    StageStatus,
    StageStory,
    StageWhy,
    StatusTable,
    TargetStory,
    TargetWhy,
    TaskLine,
    as_plain,
)

STATUS = StatusTable(
    "survey",
    "/data/survey",
    (
        StageStatus("kinematics", {"ready": 1500, "running": 4, "done": 8000, "failed": 12}, 2.5, 0.4, 601.6),
        StageStatus("history", {"waiting": 1504, "done": 8000, "blocked": 12}),
    ),
    errors=(ErrorLine("kinematics", "timeout", "took longer\nthan 60 s", 12, "NGC 1"),),
    driver="process 3 on here",
    seconds_left=601.6,
)


def text_of(parts, capsys):
    show(*parts)
    return capsys.readouterr().out


def test_status_as_plain_text(capsys):
    text = text_of(status_parts(STATUS), capsys)
    lines = text.splitlines()
    assert lines[0] == "survey in /data/survey; at work: process 3 on here"
    assert lines[1].split() == [
        "stage", "waiting", "ready", "running", "done", "failed", "blocked", "total", "each", "left",
    ]  # fmt: skip
    assert lines[2].split() == ["kinematics", "0", "1,500", "4", "8,000", "12", "0", "9,516", "0.4", "s", "10", "min"]
    assert "12  kinematics  timeout  NGC 1        took longer than 60 s" in text
    assert lines[-1].startswith("16,000 of 19,032 tasks done (84 %), 12 failed, 12 blocked; 2.5 per second of late")
    assert lines[-1].endswith("about 10 min left")
    assert "\x1b" not in text


def test_columns_stand_under_their_headings(capsys):
    text = text_of([Grid(("name", ">number"), [("a", "1"), ("longer", "1,000")])], capsys)
    assert text == "name    number\na            1\nlonger   1,000\n"


@pytest.mark.parametrize(
    ("state", "code"),
    [("waiting", "37"), ("ready", "34"), ("running", "33"), ("done", "32"), ("failed", "31"), ("blocked", "35"),
     ("held", "2"), ("stale", "36")],
)  # fmt: skip
def test_states_have_the_colours_of_desi_pipe(state, code):
    console = Console(force_terminal=True, color_system="standard", no_color=False, width=80)
    with console.capture() as captured:
        console.print(renderable(styled(state)))
    assert captured.get() == f"\x1b[{code}m{state}\x1b[0m\n"


def test_names_with_brackets_are_no_markup():
    console = Console(force_terminal=True, color_system="standard", width=80)
    with console.capture() as captured:
        console.print(renderable(Grid(("a",), [("[red]x[/red]",), (Cell("[b]", "red"),)])))
    assert "[red]x[/red]" in captured.get()
    assert "[b]" in captured.get()


def test_tasks_of_a_selection(capsys):
    failed = TaskLine("NGC 1", "kinematics", "failed", 2, "timeout", "took longer")
    tasks = (failed, TaskLine("NGC 1", "history", "blocked"))
    status = StatusTable("s", "f", STATUS.stages, tasks=tasks, n_more=7)
    text = text_of(status_parts(status), capsys)
    assert "NGC 1   kinematics  failed          2  timeout  took longer" in text
    assert "and 7 more" in text


def test_an_empty_production_has_a_summary():
    assert summary_line(StatusTable("s", "f", ())) == "0 of 0 tasks done"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (math.inf, ""), (math.nan, ""), (0, "0 s"), (0.0123, "0.012 s"), (59.6, "60 s"), (600, "10 min"),
     (10_000, "2.8 h"), (1e6, "11.6 days")],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration_text(seconds) == text


def test_json_has_no_infinity(capsys):
    print_json(as_plain({"status": STATUS, "x": [math.inf, math.nan, 1.5]}))
    content = json.loads(capsys.readouterr().out)
    assert content["x"] == [None, None, 1.5]
    assert content["status"]["stages"][0]["counts"]["done"] == 8000


def test_a_story(capsys):
    attempts = (
        AttemptLine(1, "failed", 0, "timeout", "took\nlonger", 1.7e9, 61.0, 512.0, "node7, process 4", "the end\n"),
        AttemptLine(2, "done", 1, started=1.7e9, seconds=12.0, host="node8, process 5"),
    )
    stage = StageStory(
        "kinematics", "done", "retried", "abc", 5, attempts, {"/a.fits": "ok", "/b.fits": "changed"}, ("s.h5#1",),
        {"los_vel": 12.3456789, "flags": 6, "los_h3": None}, {"los_vel": "km/s"}, "python -m alone",
    )  # fmt: skip
    story = TargetStory("NGC 1", {"redshift": 0.01}, {"KinDust.velscale": 70}, (stage,))
    text = text_of(story_parts(story), capsys)
    for part in (
        "redshift = 0.01", "KinDust.velscale = 70", "kinematics: done", "input    /a.fits\n", "/b.fits (changed)",
        "timeout: took longer", "2 (recipe 1)", "12.3457  ", "km/s", "6 (not_converged, few_samples)",
        "python -m alone", "512 MB",
    ):  # fmt: skip
        assert part in text
    assert "the end" not in text
    assert "end of the log of attempt 1:\nthe end\n" in text_of(story_parts(story, log=True), capsys)


def test_reasons(capsys):
    why = TargetWhy("NGC 1", (StageWhy("history", "done", "stale", "another configuration", ("[SFH]: x",)),))
    assert text_of(why_parts(why), capsys) == (
        "NGC 1\n  history: stale\n    another configuration\n    [SFH]: x\n"
    )


def test_a_preview(capsys):
    preview = Preview("run", {"first": 12, "second": 0}, (PreviewTask("a", "first", "ready", "do it"),), ("3 new",))
    assert text_of(preview_parts(preview), capsys) == (
        "would run: 12 of first\n3 new\n# a, first: ready\ndo it\n# and 11 more\n"
    )
    assert text_of(preview_parts(Preview("run", {})), capsys) == "would run: nothing\n"
