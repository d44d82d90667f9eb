"""Stages joined by names: order, needs, nested pipelines, and every fault at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import yaml

from orchestrator.errors import ConfigError, ProductionError
from orchestrator.production.plan import from_json, plan_of, to_json
from orchestrator.production.resolved_file import write_resolved
from orchestrator.production.run_file import RunFile, read_run_file
from orchestrator.production.stage_graph import edges_of, graph_dot, write_graph
from orchestrator.production.stage_range import stage_range

STEPS = """
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from orchestrator.production.stage_types import Column, InputFile, Output, Result, Table, Target, Upstream

@dataclass(frozen=True)
class Mass:
    log_mass: Annotated[float, Column("dex(Msun)", "mass")]

def simulate(target: Target, *, noise: float = 0.1, mock: Annotated[Path, Output("mock.txt")]) -> Mass: ...
def measure(target: Target, *, clean: InputFile, log_mass: Annotated[float, Result()]) -> None: ...
def compare(target: Target, *, simulate: Upstream) -> None: ...
def gather(*, measure: Table) -> None: ...
"""
CLEAN = {"command": {"words": ["cp", "{input:mock}", "{output:clean}"]}}


def written(folder: Path, pipeline: object, **more: object) -> Path:
    (folder / "wired_steps.py").write_text(STEPS)
    (folder / "table.csv").write_text("name,size\na,1\nb,2\n")
    content = {"targets": {"table": "table.csv", "identifier": "name"}, "pipeline": pipeline, **more}
    (folder / "survey.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder / "survey.yaml"


def read(folder: Path, pipeline: object, **more: object) -> RunFile:
    return read_run_file(written(folder, pipeline, **more))


def call(name: str, **more: object) -> dict[str, object]:
    return {"function": f"wired_steps:{name}", **more}


def faults_of(folder: Path, pipeline: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, pipeline)
    return caught.value.faults


def test_the_order_follows_from_the_names(tmp_path):
    run_file = read(tmp_path, {
        "gather": call("gather", stage={"over": "all"}), "measure": call("measure"), "clean": CLEAN,
        "simulate": call("simulate"),
    })  # fmt: skip
    assert {stage.name: stage.needs for stage in run_file.stages} == {
        "simulate": (), "clean": ("simulate",), "measure": ("simulate", "clean"), "gather": ("measure",)
    }  # fmt: skip
    assert [stage.name for stage in run_file.stages] == ["simulate", "clean", "measure", "gather"]
    measure = run_file.stages[2]
    assert measure.sections["inputs"] == {"clean": "{clean.clean}"}
    assert measure.wires == {"log_mass": "simulate.log_mass"}


def test_a_fit_takes_a_product(tmp_path):
    fit = {"runtime": {"sampler": "maxlike"}, "pipeline": {"modules": "KinDust"},
           "KinDust": {"inputSpectrum": "{clean.clean}", "redshift": 0.1}}  # fmt: skip
    run_file = read(tmp_path, {"fit": fit, "simulate": call("simulate"), "clean": CLEAN})
    assert [(stage.name, stage.needs) for stage in run_file.stages][-1] == ("fit", ("clean",))


def test_a_pipeline_in_a_pipeline_keeps_its_names(tmp_path):
    (tmp_path / "inner.yaml").write_text(yaml.safe_dump({
        "clean": {**CLEAN, "inputs": {"mock": "raw"}}, "again": {"pipeline": {"clean2": {
            "command": {"words": ["cp", "{input:clean}", "{output:twice}"]}}}}}))  # fmt: skip
    nested = {"pipeline": "inner.yaml", "inputs": {"raw": "simulate.mock"}, "stage": {"time_limit": 5}}
    run_file = read(tmp_path, {"prep": nested, "simulate": call("simulate")})
    assert {stage.name: stage.needs for stage in run_file.stages} == {
        "simulate": (), "prep_clean": ("simulate",), "prep_again_clean2": ("prep_clean",)
    }  # fmt: skip
    assert {stage.time_limit for stage in run_file.stages[1:]} == {5.0}


def test_all_faults_come_at_once(tmp_path):
    faults = faults_of(tmp_path, {
        "simulate": call("simulate", options={"noize": 1}),
        "measure": call("measure", inputs={"clean": "simulate.mok", "other": "x"}),
        "compare": call("compare", inputs={"simulate": "simulat"}),
        "gather": call("gather"),
        "one": {"command": {"words": ["cp", "{input:b}", "{output:a}"]}},
        "two": {"command": {"words": ["cp", "{input:a}", "{output:b}", "{sise}"]}},
    })  # fmt: skip
    text = "\n".join(faults)
    for expected in (
        "stage 'simulate': unknown option 'noize'; did you mean 'noise'?",
        "input 'clean': there is no 'simulate.mok'; did you mean 'simulate.mock'?",
        "stage 'measure': unknown input 'other'",
        "there is no stage 'simulat'; did you mean 'simulate'?",
        "a Table goes to a stage 'over: all'",
        "stages need each other in a circle: one -> two -> one",
        "there is no column 'sise'",
    ):
        assert expected in text
    assert len(faults) == 7


def test_a_product_that_two_stages_make_has_to_be_named_in_full(tmp_path):
    twice = {"first": call("simulate"), "second": call("simulate"), "clean": CLEAN}
    (fault,) = faults_of(tmp_path, twice)
    assert "is made by several stages: first.mock, second.mock; name one of them" in fault
    named = {**twice, "clean": {**CLEAN, "inputs": {"mock": "second.mock"}}}
    assert read(tmp_path, named).stages[-1].needs == ("second",)


def test_the_resolved_file_reads_back_with_the_same_plan(tmp_path):
    run_file = read(tmp_path, {
        "simulate": call("simulate", options={"noise": 0.2}), "clean": CLEAN, "measure": call("measure"),
        "gather": call("gather", stage={"over": "all", "max_failed": 0.2}),
        "count": {"command": {"words": ["wc", ["-c", "{bytes}"], "{input:measure}"], "options": {"bytes": False},
                              "stdout": "n"}, "stage": {"over": "all"}},
    })  # fmt: skip
    plan = plan_of(run_file)
    assert from_json(to_json(plan), plan.folder) == plan
    run_file.output.mkdir()
    written_file = write_resolved(run_file)
    for look in (True, False):
        assert plan_of(read_run_file(written_file, look=look)).hash == plan.hash


def test_a_version_stands_for_the_code(tmp_path):
    pipeline = {"a": call("simulate"), "b": call("simulate", stage={"version": 2})}
    before = read(tmp_path, pipeline).stages
    path = written(tmp_path, pipeline)
    (tmp_path / "wired_steps.py").write_text(STEPS + "# changed\n")
    after = read_run_file(path).stages
    assert before[0].code != after[0].code
    assert before[1].code == after[1].code == "version 2"


def test_graph_and_range(tmp_path):
    run_file = read(tmp_path, {
        "simulate": call("simulate"), "clean": CLEAN, "measure": call("measure"),
        "gather": call("gather", stage={"over": "all"}), "compare": call("compare"),
    })  # fmt: skip
    plan = plan_of(run_file)
    assert {(edge.first, edge.last): edge.label for edge in edges_of(plan)} == {
        ("simulate", "clean"): "mock", ("simulate", "measure"): "log_mass", ("clean", "measure"): "clean",
        ("measure", "gather"): "", ("simulate", "compare"): "",
    }  # fmt: skip
    assert '"clean" -> "measure" [label="clean"];' in graph_dot(plan)
    assert stage_range(plan, first=["clean"]) == ("clean", "measure", "gather")
    assert stage_range(plan, first=["clean"], last=["measure"]) == ("clean", "measure")
    assert stage_range(plan, last=["clean"]) == ("simulate", "clean")
    with pytest.raises(ConfigError, match="did you mean 'clean'"):
        stage_range(plan, only=["claen"])


@pytest.mark.parametrize("by", ["matplotlib", "Graphviz"])
def test_picture_of_the_graph(tmp_path, monkeypatch, by):
    if by == "matplotlib":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif shutil.which("dot") is None:
        pytest.skip("no Graphviz here")
    plan = plan_of(read(tmp_path, {"simulate": call("simulate"), "clean": CLEAN, "measure": call("measure")}))
    write_graph(plan, tmp_path / "graph.png")
    pixels = matplotlib.image.imread(tmp_path / "graph.png")
    assert min(pixels.shape[:2]) > 100
    assert np.ptp(pixels) == pytest.approx(1.0, abs=0.1), "black on white"
    if by == "Graphviz":
        with pytest.raises(ProductionError, match=r"cannot write .*graph\.xyz"):
            write_graph(plan, tmp_path / "graph.xyz")
