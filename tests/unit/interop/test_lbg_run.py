"""Reading runs of ceci and lbg-pipelines: precedence, places of files, every fault at once, parts of a pipeline."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from ceci_toys import Join

from orchestrator.errors import ConfigError, ProductionError
from orchestrator.interop.ceci_classes import command_of
from orchestrator.interop.lbg_files import find_root, read_content
from orchestrator.interop.lbg_plan import plan_lbg_run
from orchestrator.interop.lbg_run import read_lbg_run
from orchestrator.interop.recognise import is_ceci_run
from orchestrator.interop.run_record import (
    RunRecord,
    StageRecord,
    hold_folder,
    is_held,
    read_record,
    write_record,
)

FOUR = [{"name": name} for name in ("Join", "Right", "Left", "Begin")]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.fixture
def lbg(tmp_path):
    """A folder as lbg-pipelines has it; the run file."""
    base = tmp_path / "lbg"
    first = {"modules": "ceci_toys", "config": "configs/pipelines/first/config.yaml", "stages": FOUR[2:]}
    write(base / "configs/pipelines/first/pipeline.yaml", first)
    write(base / "configs/pipelines/first/config.yaml", {"global": {"word": "p"}, "Left": {"wait": 1.0}})
    second = {"modules": "ceci_toys", "config": "configs/pipelines/second/config.yaml", "stages": FOUR[:2]}
    write(base / "configs/pipelines/second/pipeline.yaml", second)
    write(base / "configs/pipelines/second/config.yaml", {"Right": {"needed": 1, "word": "r"}})
    site = {"launcher": {"name": "mini"}, "site": {"name": "local", "max_threads": 9}}
    write(base / "configs/sites/big.yaml", site)
    write(base / "data/raw.txt", "raw")
    run = {
        "resume": False,
        "pipelines": ["first", "second"],
        "output_dir": "results/one/outputs",
        "log_dir": "results/one/logs",
        "inputs": {"raw": "data/raw.txt"},
        "pre_script": "",
        "post_script": "",
    }
    return write(base / "configs/runs/one.yaml", run)


def test_a_run_of_two_pipelines_is_found_from_anywhere(lbg):
    run = read_lbg_run(lbg, site="big")
    base = lbg.parents[2]
    assert run.root == base
    assert [stage.name for stage in run.stages][0::3] == ["Begin", "Join"]
    assert run.output_dir == base / "results/one/outputs"
    assert run.site.max_threads == 9
    assert run.resume == "restart"
    assert run.stage("Left").options == {"word": "p", "wait": 1.0}
    assert run.stage("Right").options == {"word": "r", "needed": 1}, "its own section over 'global'"
    assert run.stage("Join").needs == ("Left", "Right")
    assert run.stage("Join").inputs["left"] == base / "results/one/outputs/left.txt"


def test_the_command_line_goes_over_site_over_run_over_pipeline(lbg):
    base = lbg.parents[2]
    pipeline = base / "configs/pipelines/first/pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + "output_dir: of_pipeline\nlog_dir: of_pipeline\npython_paths: [.]\n")
    lbg.write_text(lbg.read_text().replace("results/one/outputs", "of_run"))
    assert read_content(lbg).entries["output_dir"] == "of_run"
    write(base / "configs/sites/own.yaml", {"output_dir": "of_site", "config": {"Left": {"word": "of_site"}}})
    content = read_content(lbg, site="own")
    assert content.entries["output_dir"] == "of_site"
    assert content.sections["Left"] == {"wait": 1.0, "word": "of_site"}
    words = ("output_dir=of_line", "Left.word=of_line", "stages.Left.nprocess=2", "site.max_threads=3")
    content = read_content(lbg, words, "own")
    assert content.entries["output_dir"] == "of_line"
    assert content.sections["Left"]["word"] == "of_line"
    assert {"name": "Left", "nprocess": 2} in content.entries["stages"]
    assert content.entries["site"] == {"max_threads": 3}


def test_pipelines_may_be_a_text_without_dashes_and_files_templates(lbg, monkeypatch):
    text = lbg.read_text().replace("pipelines:\n- first\n- second\n", "pipelines:\n  first\n  second\n")
    monkeypatch.setenv("CECI_TEST_FOLDER", "data")
    text = text.replace("data/raw.txt", "$CECI_TEST_FOLDER/{{ 'raw' }}.txt")
    lbg.write_text(text)
    assert len(read_lbg_run(lbg).stages) == 4


def test_the_current_folder_comes_first_if_it_has_the_files(lbg, tmp_path, monkeypatch):
    other = tmp_path / "other"
    write(other / "data/raw.txt", "raw")
    run = {"inputs": {"raw": "data/raw.txt"}}
    monkeypatch.chdir(other)
    assert find_root(lbg, run) == other
    monkeypatch.chdir(tmp_path)
    assert find_root(lbg, run) == lbg.parents[2]


def test_all_faults_in_one_report(tmp_path):
    content = {
        "modules": "ceci_toys no_such_module",
        "stages": [
            {"name": "Begin", "nproces": 2},
            {"name": "Left", "aliases": {"begun": "left", "lft": "x"}},
            {"name": "Right", "threads_per_process": 0},
            {"name": "Twin", "classname": "Left"},
        ],
        "config": {"Left": {"wrd": 1, "wait": "soon"}, "Twn": {"wait": 1}},
        "inputs": {"rau": "nothing.txt"},
        "site": {"name": "nersc-batch"},
        "resum": True,
    }
    with pytest.raises(ConfigError) as caught:
        read_lbg_run(write(tmp_path / "run.yaml", content), ["Lft.wait=1"])
    text = str(caught.value)
    for expected in (
        "unknown entry 'resum'; did you mean 'resume'?",
        "modules: 'no_such_module' cannot be imported",
        "stage 'Begin': unknown entry 'nproces'; did you mean 'nprocess'?",
        "stage 'Left': aliases: the stage has no tag 'lft'; did you mean 'left'?",
        "stage 'Right'.threads_per_process = 0",
        "product 'left' is made by two stages, 'Left' and 'Twin'",
        "input 'raw' of 'Begin': no stage makes it, and 'inputs' has it not; did you mean 'rau'?",
        "section 'Left': unknown option 'wrd'; did you mean 'word'?",
        "section 'Left': wait = 'soon': expected a number",
        "section 'Right': option 'needed' (int) is missing",
        "section 'Twn': there is no such stage; did you mean 'Twin'?",
        "stages need each other in a circle: Left -> Left",
        "site.name = 'nersc-batch': expected 'local'",
        "setting Lft.wait: there is no stage 'Lft'; did you mean 'Left'?",
    ):
        assert expected in text
    assert len(caught.value.faults) == 14


def test_a_stage_that_does_not_exist(tmp_path):
    content = {"modules": "ceci_toys", "stages": [{"name": "Joint"}, {"name": "Toy"}], "inputs": {}}
    with pytest.raises(ConfigError) as caught:
        read_lbg_run(write(tmp_path / "run.yaml", content))
    assert "no module defines a stage 'Joint'; did you mean 'Join'?" in str(caught.value)
    assert "the class 'Toy' is not complete" in str(caught.value)


def test_missing_pipeline_site_and_input(lbg):
    lbg.write_text(lbg.read_text().replace("- second", "- secnd").replace("data/raw", "data/row"))
    with pytest.raises(ConfigError) as caught:
        read_lbg_run(lbg, site="bigg")
    text = str(caught.value)
    assert "there is no pipeline 'secnd'" in text
    assert "did you mean 'second'?" in text
    assert "did you mean 'big'?" in text
    assert "input 'raw' of 'Begin': there is no file" in text


def test_a_section_for_other_pipelines_is_a_note(lbg):
    run = read_lbg_run(lbg, [])
    assert run.notes == ()
    write(lbg.parents[2] / "configs/pipelines/first/config.yaml", {"Elsewhere": {"speed": 1}, "Nothing": None})
    notes = read_lbg_run(lbg).notes
    assert [note.split("'")[1] for note in notes] == ["Elsewhere", "Nothing"]


def test_a_shared_option_concerns_only_those_that_declare_it(lbg):
    run = read_lbg_run(lbg, ["global.needed=7", "global.undeclared=1"])
    assert run.stage("Right").options["needed"] == 1
    assert "needed" not in run.stage("Left").options
    assert run.stage("Left").options["undeclared"] == 1


def test_parts_of_a_pipeline(lbg):
    write(lbg.parents[2] / "results/one/outputs/begun.txt", "x")
    assert set(read_lbg_run(lbg, begin=["Left"], end=["Join"], only=["Left"]).chosen) == {"Left"}
    assert set(read_lbg_run(lbg, end=["left"]).chosen) == {"Begin", "Left"}
    assert set(read_lbg_run(lbg, ["from=[begun]"]).chosen) == {"Begin", "Left", "Right", "Join"}


def test_paths_with_blanks_stay_whole_and_this_python_is_taken():
    inputs, outputs = {"l": "/a b/@@path1@@.txt", "right": "/r"}, {"joined": "/out put/j"}
    words = command_of(Join, inputs, outputs, "/c d.yaml", {"left": "l"}, "Other")
    assert words == [
        sys.executable, "-m", "ceci_toys", "Join", "--left=/a b/@@path1@@.txt", "--right=/r", "--name=Other",
        "--config=/c d.yaml", "--joined=/out put/j",
    ]  # fmt: skip


def test_a_plan_tells_why(lbg):
    plan = plan_lbg_run(read_lbg_run(lbg, ["resume=true"]))
    reasons = {stage.name: stage.reasons for stage in plan.stages}
    assert reasons["Begin"] == ("it was never run here",)
    assert "stage Begin runs before it" in reasons["Left"]
    assert not (lbg.parents[2] / "results").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pipelines: a\n", True),
        ("modules: a\nstages: []\n", True),
        ("{% set a = 1 %}\nmodules: a\nstages: []\n", True),
        ("pipeline: a\ntargets: b\n", False),
        ("targets: {}\nmodules: a\nstages: []\n", False),
        ("stages: []\n", False),
    ],
)
def test_which_files_are_runs_of_ceci(tmp_path, text, expected):
    assert is_ceci_run(write(tmp_path / "a.yaml", text)) is expected
    assert not is_ceci_run(tmp_path)


def test_the_record_comes_back_and_says_when_it_cannot(tmp_path):
    stage = StageRecord("done", {"options": {"a": [1]}}, {"t": "c"})
    record = RunRecord("run.yaml", {"A": stage}, {"f": [1, 2, "c"]})
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert is_ceci_run(tmp_path)
    next(tmp_path.glob("*.json")).write_text('{"format": 1, "stages": {"A": {"nothing": 1}}}')
    with pytest.raises(ProductionError, match="remove it"):
        read_record(tmp_path)


def test_one_run_per_folder(tmp_path):
    folder = tmp_path / "out"
    assert not is_held(folder)
    with hold_folder(folder):
        assert is_held(folder)
        with pytest.raises(ProductionError, match="another run works in"), hold_folder(folder):
            pass
    assert not is_held(folder)
    assert Path(folder).is_dir()
