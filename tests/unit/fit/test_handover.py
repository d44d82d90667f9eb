from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.config.priors import PriorsFile
from orchestrator.config.values import parse_values
from orchestrator.errors import HandoverError
from orchestrator.fit.chain import read_chain
from orchestrator.fit.handover import make_handover
from orchestrator.fit.prior_table import density_on_grid
from orchestrator.fit.summary import summarize_results
from orchestrator.stage import ModuleSection, Stage, StagePaths

VALUES = parse_values("[toy]\na = -5 0 5\nb = -5 0 5\nc = 1.5\n[other]\na = 0 1 2\n")


@dataclass(frozen=True)
class Finished:
    stage: Stage
    chain: object
    best_fit: object
    summary: object


def make_stage(folder, name="next", rules=None, options=None, samplers=("emcee",)):
    module = ModuleSection("Toy", None, Path("toy.py"), options or {})
    return Stage(name, StagePaths(folder / f"{name}.txt"), samplers, (module,), {}, handover=rules or {})


@pytest.fixture
def finished(write_chain, tmp_path):
    """A stage that sampled toy--a = 1 +- 0.2 and toy--b = 2 +- 0.1."""

    def make(sampler="emcee", centre=(1.0, 2.0), name="first"):
        rng = np.random.default_rng(1)
        n = 4000 if sampler == "emcee" else 1
        samples = np.array(centre) + np.array([0.2, 0.1]) * (
            rng.standard_normal((n, 2)) if n > 1 else np.zeros((1, 2))
        )
        post = -0.5 * np.sum(((samples - centre) / [0.2, 0.1]) ** 2, axis=1)
        chain = read_chain(write_chain(samples, post, name=f"{name}.txt", sampler=sampler, walkers=8))
        summary = summarize_results(chain)
        return Finished(make_stage(tmp_path, name, samplers=(sampler,)), chain, summary.best_fit, summary)

    return make


def test_by_default_shared_parameters_start_at_the_best_fit(finished, tmp_path):
    first = finished()
    handover = make_handover([first], make_stage(tmp_path), VALUES)
    values = handover.apply_to_values(VALUES)
    assert values.get("toy", "a").start == first.best_fit.values["toy", "a"]
    assert (values.get("toy", "a").lower, values.get("toy", "a").upper) == (-5, 5)
    assert values.get("other", "a") == VALUES.get("other", "a")  # another section, another parameter
    assert VALUES.get("toy", "a").start == 0


@pytest.mark.parametrize("key", ["toy--a", "toy/a", "a", "TOY--A"])
def test_fix_holds_the_parameter(finished, tmp_path, key):
    first = finished()
    values = make_handover([first], make_stage(tmp_path, rules={key: "fix"}), VALUES).apply_to_values(VALUES)
    assert values.get("toy", "a").is_fixed
    assert values.get("toy", "a").start == first.best_fit.values["toy", "a"]
    assert not values.get("toy", "b").is_fixed


def test_the_most_particular_rule_wins(finished, tmp_path):
    rules = {"toy": "none", "toy--a": "fix"}
    handover = make_handover([finished()], make_stage(tmp_path, rules=rules), VALUES)
    assert [(u.name, u.rule) for u in handover.updates] == [("a", "fix")]


def test_prior_is_the_gaussian_of_the_posterior(finished, tmp_path):
    handover = make_handover([finished()], make_stage(tmp_path, rules={"toy": "prior"}), VALUES)
    prior = handover.apply_to_priors(PriorsFile()).sections["toy"]["a"]
    assert prior.kind == "gaussian"
    assert prior.arguments == pytest.approx((1.0, 0.2), abs=0.02)


def test_tabulated_prior_has_the_posteriors_moments(finished, tmp_path):
    handover = make_handover([finished()], make_stage(tmp_path, rules={"b": "prior_tabulated"}), VALUES)
    (table,) = handover.tables
    table.write()
    grid, density = np.loadtxt(table.path, unpack=True)
    mean = np.trapezoid(grid * density, grid)
    assert np.trapezoid(density, grid) == pytest.approx(1.0)
    assert mean == pytest.approx(2.0, abs=0.02)
    assert np.sqrt(np.trapezoid((grid - mean) ** 2 * density, grid)) == pytest.approx(0.1, abs=0.02)


def test_density_does_not_fall_at_a_limit():
    samples = np.random.default_rng(2).uniform(0, 1, 4000)
    density = density_on_grid(samples, np.ones(4000), np.linspace(0, 1, 101))
    np.testing.assert_allclose(density, 1.0, atol=0.15)


def test_prior_after_an_optimiser_is_refused(finished, tmp_path):
    with pytest.raises(HandoverError, match="needs a posterior, but stage 'first' ran only 'maxlike'"):
        make_handover([finished("maxlike")], make_stage(tmp_path, rules={"a": "prior"}), VALUES)


def test_start_outside_the_range_is_moved_inside_with_a_note(finished, tmp_path):
    handover = make_handover([finished(centre=(9.0, 2.0))], make_stage(tmp_path), VALUES)
    update = next(u for u in handover.updates if u.name == "a")
    assert update.value == pytest.approx(5 - 1e-3 * 10)
    assert "clipped from" in update.note


def test_module_option_of_the_same_name_is_updated(finished, tmp_path):
    first = finished()
    stage = make_stage(tmp_path, options={"A": 0.0, "order": 3})
    handed = make_handover([first], stage, VALUES).apply_to_stage(stage)
    assert handed.modules[0].options == {"A": first.best_fit.values["toy", "a"], "order": 3}
    assert stage.modules[0].options["A"] == 0.0


def test_option_of_our_own_module_need_not_be_written_before(finished, tmp_path, write_chain):
    first = finished()
    chain = first.chain
    chain = replace(chain, parameters=(("kinematics", "los_sigma"), ("toy", "b")))
    summary = summarize_results(chain)
    first = Finished(first.stage, chain, summary.best_fit, summary)
    spectrum = tmp_path / "s.txt"
    spectrum.write_text("1 1 1\n")
    options = {"SSPModel": "PopStar", "SFHModel": "ExponentialSFH", "inputSpectrum": str(spectrum)}
    module = ModuleSection("SFHSpectra", "SFHSpectra", Path("m.py"), options)
    stage = replace(make_stage(tmp_path), modules=(module,))
    handed = make_handover([first], stage, VALUES).apply_to_stage(stage)
    assert handed.modules[0].options["los_sigma"] == summary.best_fit.values["kinematics", "los_sigma"]


def test_latest_stage_wins(finished, tmp_path):
    old, new = finished(name="old"), finished(centre=(3.0, 2.0), name="new")
    handover = make_handover([old, new], make_stage(tmp_path), VALUES)
    assert {u.source for u in handover.updates} == {"new"}


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        ({"toy--q": "fix"}, "matches no parameter of an earlier stage; did you mean 'toy--"),
        ({"a": "freeze"}, "'freeze' is no rule"),
        ({"c": "start"}, "matches no parameter"),
        ({"toy--a": "fix", "toy--b": "fix", "zzz": "none"}, "zzz = none"),
    ],
)
def test_rule_that_matches_nothing_is_an_error(finished, tmp_path, rules, fault):
    with pytest.raises(HandoverError, match=fault):
        make_handover([finished()], make_stage(tmp_path, rules=rules), VALUES)


def test_rule_for_a_parameter_that_the_stage_does_not_sample(finished, tmp_path):
    values = parse_values("[toy]\nb = -5 0 5\n")
    with pytest.raises(HandoverError, match="changes nothing.*toy--b"):
        make_handover([finished()], make_stage(tmp_path, rules={"a": "start"}), values)


def test_fixing_everything_is_an_error(finished, tmp_path):
    values = parse_values("[toy]\na = -5 0 5\nb = -5 0 5\n")
    with pytest.raises(HandoverError, match="nothing is left to sample"):
        make_handover([finished()], make_stage(tmp_path, rules={"toy": "fix"}), values)


def test_record_is_written(finished, tmp_path):
    handover = make_handover([finished()], make_stage(tmp_path, rules={"a": "prior"}), VALUES)
    record = json.loads(handover.write_json(tmp_path / "h.json").read_text())
    first = record["updates"][0]
    assert (first["section"], first["name"], first["rule"], first["source"]) == ("toy", "a", "prior", "first")
    assert first["sigma"] == pytest.approx(0.2, abs=0.02)


def test_first_stage_receives_nothing(tmp_path):
    assert make_handover([], make_stage(tmp_path), VALUES).updates == ()
