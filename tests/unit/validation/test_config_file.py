from __future__ import annotations

import json

import pytest
from gaussian_stages import gaussian_stage

from orchestrator.errors import ConfigError
from orchestrator.validation.config_file import read_validation_config, stages_of, validation_config


def test_a_list_of_stages_in_yaml_and_the_same_in_json(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "- runtime: {sampler: multistart ensemble}\n  pipeline: {modules: GaussianTarget}\n"
        "  GaussianTarget: {mean: [1.0], sigma: [0.5]}\n  values: {gaussian: {x_1: '-5 0 5'}}\n"
    )
    config = read_validation_config(tmp_path / "a.yaml")
    (stage,) = stages_of(config.pipeline, config.folder)
    assert stage.name == "stage_1"
    assert stage.modules[0].class_name == "GaussianTarget"
    (tmp_path / "a.json").write_text(json.dumps(list(config.pipeline)))
    assert read_validation_config(tmp_path / "a.json").pipeline == config.pipeline


def test_stages_by_name_as_in_a_run_file_and_what_they_need(tmp_path):
    stages = {
        "first": gaussian_stage("first"),
        "left": gaussian_stage("left", stage={"needs": ["first"]}),
        "right": gaussian_stage("right", stage={"needs": ["first"]}),
        "last": gaussian_stage("last", stage={"needs": ["left"]}),
        "alone": gaussian_stage("alone", stage={"needs": []}),
    }
    config = validation_config({"pipeline": stages}, tmp_path)
    assert config.needs == ((), (0,), (0,), (0, 1), ())
    assert [stage.name for stage in stages_of(config.pipeline, tmp_path)] == list(stages)
    assert config.truth == config.pipeline


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"pipelin": []}, "unknown key 'pipelin'; did you mean 'pipeline'"),
        ({"truth": []}, "a key 'pipeline'"),
        ([], "expected a list of stages"),
        (["fit"], "expected a mapping of sections"),
        ({"pipeline": [gaussian_stage()], "tilt": "5 %"}, "tilt = '5 %'; expected a number"),
        ({"pipeline": [gaussian_stage()], "blur": -1}, "blur = -1"),
        ([gaussian_stage(), gaussian_stage("b", stage={"needs": ["tarjet"]})], "did you mean 'target'"),
    ],
)
def test_faults(content, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        validation_config(content, tmp_path)


def test_a_file_that_is_not_there_or_no_yaml(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_validation_config(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match="is not YAML"):
        read_validation_config(tmp_path / "bad.yaml")


def test_two_stages_of_one_name(tmp_path):
    config = validation_config([gaussian_stage("a/fit"), gaussian_stage("b/fit")], tmp_path)
    with pytest.raises(ConfigError, match="output.filename of its own"):
        stages_of(config.pipeline, tmp_path)
