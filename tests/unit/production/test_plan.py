from __future__ import annotations

import json

import pytest

from orchestrator.errors import ProductionError
from orchestrator.production.plan import Plan, from_json, read_plan, stage_hash, to_json
from orchestrator.production.records import StagePlan

STAGES = (
    StagePlan("first", sections={"runtime": {"sampler": "maxlike"}, "B": {"x": 1.5, "a": [1, 2]}}),
    StagePlan("second", needs=("first",), time_limit=30.0, recipes=({"runtime": {"sampler": "emcee"}},)),
    StagePlan("third", "function", {"function": {"call": "a:b"}, "options": {}}),
    StagePlan("fourth", needs=("second",)),
)
PLAN = Plan("survey", STAGES, seed=3, axes={"seed": None, "sfh": {"tau": {"B.x": 2}}})


def test_a_plan_reads_back_as_it_was():
    text = to_json(PLAN)
    read = from_json(text, "/elsewhere")
    assert read == PLAN
    assert read.hash == PLAN.hash
    assert read.folder == "/elsewhere"
    assert list(read.stages[0].sections["B"]) == ["x", "a"]
    assert "Infinity" not in text


@pytest.mark.parametrize("change", [{"seed": 4}, {"stages": STAGES[:1]}, {"samples": "none"}, {"axes": {}}])
def test_the_hash_tells_plans_apart_but_not_folders(change):
    content = {"name": "survey", "stages": STAGES, "seed": 3, "axes": PLAN.axes, **change}
    assert Plan(**content).hash != PLAN.hash
    assert Plan(**content, folder="/x").hash == Plan(**content).hash


def test_an_entry_at_its_default_is_not_written():
    assert set(json.loads(to_json(PLAN))) == {"name", "seed", "axes", "stages"}
    assert json.loads(to_json(PLAN))["stages"][3] == {"name": "fourth", "needs": ["second"]}


def test_stage_hashes_go_by_content():
    again = StagePlan("first", sections=json.loads(json.dumps(STAGES[0].sections)))
    assert stage_hash(again) == stage_hash(STAGES[0])
    assert len({stage_hash(stage) for stage in STAGES}) == len(STAGES)


def test_later_stages_follow_the_needs():
    assert PLAN.later_stages("first") == ("second", "fourth")
    assert PLAN.later_stages("third") == ()


def test_a_changed_plan_file_is_refused(tmp_path):
    path = tmp_path / PLAN.file
    path.parent.mkdir()
    path.write_text(to_json(PLAN))
    assert read_plan(tmp_path, PLAN.file).stages == STAGES
    path.write_text(to_json(PLAN).replace('"seed": 3', '"seed": 5'))
    with pytest.raises(ProductionError, match="was changed"):
        read_plan(tmp_path, PLAN.file)
    path.write_text("{")
    with pytest.raises(ProductionError, match="no plan"):
        read_plan(tmp_path, PLAN.file)
    with pytest.raises(ProductionError, match="cannot read the plan"):
        read_plan(tmp_path, "plan/none.json")
