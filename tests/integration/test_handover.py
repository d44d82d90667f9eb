from __future__ import annotations

import json
from dataclasses import replace

import pytest

from orchestrator import MainPipeline, Reader
from orchestrator.config.values import read_values
from orchestrator.errors import ConfigError, HandoverError


def two_stages(make_config, folder, handover=None, first="maxlike", second="maxlike", **options):
    later = make_config(folder / "two", second, **options)
    if handover is not None:
        later["handover"] = handover
    return [make_config(folder / "one", first), later]


def test_start_values_move_for_real(make_config, tmp_path):
    first, second = MainPipeline(two_stages(make_config, tmp_path)).run()
    before, after = read_values(tmp_path / "one_values.ini"), read_values(tmp_path / "two_values.ini")
    assert before.get("toy", "a").start == 1.0
    assert after.get("toy", "a").start == first.best_fit.values["toy", "a"] != 1.0
    assert (after.get("toy", "a").lower, after.get("toy", "a").upper) == (-10, 10)
    record = json.loads((tmp_path / "two_handover.json").read_text())
    assert {u["name"]: u["source"] for u in record["updates"]} == {"a": "one", "b": "one"}
    assert "Starting from point: [ 1" in first.run.log.read_text()
    assert "Starting from point: [ 1. -1.]" not in second.run.log.read_text()


def test_with_two_modules_and_an_option_of_the_parameters_name(make_config, tmp_path):
    configs = two_stages(make_config, tmp_path, {"toy--a": "fix"})
    configs[1]["Toy_b"] = {**configs[1]["Toy"], "like_name": "second_like", "b": 0.0, "offset": 1.0}
    configs[1]["pipeline"].update(modules="Toy Toy_b", likelihoods="gaussian second")
    first, second = MainPipeline(configs).run()
    a, b = first.best_fit.values["toy", "a"], first.best_fit.values["toy", "b"]
    ini = Reader.from_ini_file(tmp_path / "two.ini")
    assert ini.config["Toy_b"]["b"] == b
    assert read_values(tmp_path / "two_values.ini").get("toy", "a").is_fixed
    assert second.chain.parameters == (("toy", "b"),)
    assert Reader.from_results_file(tmp_path / "two.txt").get_max_posterior_solution()["toy--a"] == a
    assert second.best_fit.values["toy", "b"] == pytest.approx(-2.5, abs=0.01)


def test_prior_from_the_posterior_narrows_the_next_stage(make_config, tmp_path):
    emcee = {"emcee": {"walkers": 16, "samples": 200, "nsteps": 100}}
    configs = two_stages(
        make_config, tmp_path, {"toy": "prior"}, "maxlike emcee", "maxlike emcee", sections=emcee
    )
    configs[0]["emcee"] = emcee["emcee"]
    first, second = MainPipeline(configs).run()
    assert first.summary["a"].std == pytest.approx(0.5, rel=0.15)
    assert second.summary["a"].std == pytest.approx(0.5 / 2**0.5, rel=0.15)
    assert "a = gaussian" in (tmp_path / "two_priors.ini").read_text()


def test_tabulated_prior_is_read_by_cosmosis(make_config, tmp_path):
    emcee = {"walkers": 16, "samples": 200, "nsteps": 100}
    configs = two_stages(make_config, tmp_path, None, "maxlike emcee", "maxlike emcee")
    configs[0]["emcee"] = configs[1]["emcee"] = emcee
    pipeline = MainPipeline(configs)
    pipeline.stages = (
        pipeline.stages[0],
        replace(pipeline.stages[1], handover={"toy--a": "prior_tabulated"}),
    )
    first, second = pipeline.run()
    assert second.summary["a"].std == pytest.approx(0.5 / 2**0.5, rel=0.2)
    assert (tmp_path / "two_prior_toy--a.txt").is_file()


def test_prior_after_an_optimiser_is_refused_before_anything_runs(make_config, tmp_path):
    with pytest.raises(ConfigError, match="no posterior of toy--a"):
        MainPipeline(two_stages(make_config, tmp_path, {"toy": "prior"}))
    assert not list(tmp_path.iterdir())


def test_handover_that_fails_between_stages_keeps_the_first(make_config, tmp_path):
    pipeline = MainPipeline(two_stages(make_config, tmp_path))
    pipeline.stages = (pipeline.stages[0], replace(pipeline.stages[1], handover={"toy": "prior"}))
    with pytest.raises(HandoverError, match="ran only 'maxlike'"):
        pipeline.run()
    assert [result.name for result in pipeline.results] == ["one"]
    assert (tmp_path / "one.txt").is_file()


def test_third_stage_receives_from_the_latest(make_config, tmp_path):
    configs = two_stages(make_config, tmp_path)
    configs[1]["Toy"]["centre"] = [4.0, -3.0]
    configs.append(make_config(tmp_path / "three", "maxlike"))
    *_, third = MainPipeline(configs).run()
    assert {u.name: u.source for u in third.handover.updates} == {"a": "two", "b": "two"}
    assert third.handover.updates[0].value == pytest.approx(4.0, abs=0.01)
