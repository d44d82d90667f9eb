"""Real runs that went wrong, each in its way: never ``ok``; and what a comparison of two runs refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from orchestrator import MainPipeline
from orchestrator.cli.main import app
from orchestrator.errors import StageError
from orchestrator.fit.model_comparison import NotComparableError, compare_runs
from orchestrator.fit.stage_result import load_run


def gaussian(output, sampler, *, stock="F", values=None, seed=3, options=None, **sections):
    return {
        "runtime": {"sampler": sampler, "seed": seed, "stock_samplers": stock},
        "output": {"filename": str(output)},
        "pipeline": {"modules": "GaussianTarget"},
        "GaussianTarget": options or {"mean": [1.0, -2.0], "sigma": [0.5, 0.1]},
        **({"values": values} if values else {}),
        **sections,
    }


def diagnostics(folder, name="fit"):
    return json.loads((folder / f"{name}_diagnostics.json").read_text())


def run(config):
    (result,) = MainPipeline([config]).run()
    return result


def test_a_good_run_is_ok_and_its_diagnostics_are_written(tmp_path, caplog):
    caplog.set_level("INFO")
    result = run(gaussian(tmp_path / "fit", "multistart ensemble"))
    assert result.verdict == "ok"
    record = diagnostics(tmp_path)
    assert record["verdict"] == "ok"
    assert record["verdict_reason"] == result.verdict_reason
    assert record["n_evaluations"] >= result.chain.n_rows
    assert record["finite_fraction"] == 1.0
    assert record["seconds"] > 0
    assert 0.1 < record["acceptance"] < 1
    for figures in record["parameters"].values():
        assert figures["rhat"] < 1.03
        assert figures["effective_samples"] > 1000
        assert figures["autocorrelation_time"] > 1
        assert min(figures["sigma_to_lower"], figures["sigma_to_upper"]) > 3
    assert "verdict: ok" in caplog.text
    assert load_run(tmp_path / "fit").verdict == "ok"


def test_an_ensemble_that_sticks_far_from_the_mode_is_caught(tmp_path):
    """Stock emcee from the prior: more than a hundred effective samples, and a mean hundreds of sigma off."""
    n = 8
    config = gaussian(
        tmp_path / "fit", "emcee", stock="T",
        values={"gaussian": {f"x_{i + 1}": "-10 0 10" for i in range(n)}},
        options={"mean": [0.1 * i for i in range(n)], "sigma": [1e-3]},
        emcee={"walkers": 20, "samples": 600, "nsteps": 200, "random_start": "T"},
    )  # fmt: skip
    result = run(config)
    off = [abs(p.mean - 0.1 * i) / 1e-3 for i, p in enumerate(result.summary.parameters)]
    assert max(off) > 100
    assert result.verdict == "not_converged"
    assert "the walkers have not found the mode" in result.verdict_reason


def test_a_chain_stopped_too_early(tmp_path):
    result = run(gaussian(tmp_path / "fit", "emcee", emcee={"walkers": 16, "samples": 40, "nsteps": 20}))
    assert result.verdict == "not_converged"
    assert "autocorrelation times; at least 50 are needed" in result.verdict_reason


@pytest.mark.parametrize("sampler", ["multistart", "multistart ensemble"])
def test_a_best_fit_at_a_bound(sampler, tmp_path):
    values = {"gaussian": {"x_1": "1.5 2 6", "x_2": "-3 -2.3 -1"}}
    result = run(gaussian(tmp_path / "fit", sampler, values=values))
    assert result.verdict == "at_bound"
    assert "gaussian--x_1" in result.verdict_reason
    assert "gaussian--x_2" not in result.verdict_reason


@pytest.mark.parametrize("trap", ["execute", "nan", "status", "after_start"])
def test_a_module_that_fails_or_gives_no_number(trap, make_config, tmp_path):
    """Every call fails, gives NaN or says so; or all but that at the centre: ``failed``, and why."""
    values = {"toy": {"a": "-10 2 10", "b": "-10 -3 10"}}  # the start is the centre of the likelihood
    with pytest.raises(StageError):
        MainPipeline([make_config(tmp_path / "fit", "emcee", trap=trap, values=values)]).run()
    record = diagnostics(tmp_path)
    assert record["verdict"] == "failed"
    words = {
        "execute": "fails on purpose",
        "nan": "have a finite posterior",
        "status": "status not 0",
        "after_start": "have a finite posterior",
    }
    assert words[trap] in record["verdict_reason"]


def test_a_chain_without_a_finite_posterior_read_back(make_config, tmp_path):
    result = run(make_config(tmp_path / "fit", "emcee"))
    path = result.stage.paths.chain
    lines = path.read_text().splitlines()
    rows = [line if line.startswith("#") else line[: line.rindex("\t")] + "\t-inf" for line in lines]
    path.write_text("\n".join(rows) + "\n")
    again = load_run(path)
    assert again.verdict == "failed"
    assert again.summary is None


def test_a_killed_chain_is_not_ok(make_config, tmp_path):
    result = run(gaussian(tmp_path / "fit", "multistart ensemble"))
    path = result.stage.paths.chain
    path.write_text(path.read_text().replace("#complete=1\n", ""))
    again = load_run(path)
    assert again.verdict == "not_converged"
    assert "stopped before its end" in again.verdict_reason


def test_a_refused_resume_keeps_the_diagnostics(tmp_path):
    config = gaussian(tmp_path / "fit", "multistart")
    run(config)
    before = diagnostics(tmp_path)
    changed = gaussian(tmp_path / "fit", "multistart", seed=4)
    changed["runtime"]["resume"] = "T"
    with pytest.raises(StageError, match="seed"):
        MainPipeline([changed]).run()
    assert diagnostics(tmp_path) == before


NESTED = {"dynesty": {"nlive": 100, "dlogz": 0.1}}


@pytest.fixture(scope="module")
def nested(tmp_path_factory):
    """Two models of no data: the evidence of the wide range is smaller by the ratio of the volumes."""
    folder = tmp_path_factory.mktemp("nested")
    for name, upper in (("narrow", 6), ("wide", 46)):
        values = {"gaussian": {"x_1": f"-4 0 {upper}", "x_2": "-3 -2.3 -1"}}
        MainPipeline([gaussian(folder / name, "dynesty", stock="T", values=values, **NESTED)]).run()
    return folder


def test_evidence_ratio_of_two_runs(nested):
    comparison = compare_runs(nested / "narrow", nested / "wide")
    value, error = comparison.log_bayes_factor
    assert abs(value - np.log(5.0)) < 3.5 * error
    assert 0.05 < error < 0.5
    assert comparison.elpd_difference is None
    assert "ln Z of narrow - wide" in comparison.to_text()


def test_compare_on_the_command_line(nested):
    shown = CliRunner().invoke(app, ["compare", str(nested / "narrow"), str(nested / "wide.txt"), "--json"])
    assert shown.exit_code == 0, shown.output
    record = json.loads(shown.stdout)
    assert record["log_bayes_factor"] == list(compare_runs(nested / "narrow", nested / "wide").log_bayes_factor)
    assert record["verdicts"] == ["ok", "ok"]
    shown = CliRunner().invoke(app, ["posterior", str(nested / "narrow"), "--export", str(nested / "n.fits")])
    assert shown.exit_code == 0, shown.output
    assert "ln evidence" in shown.stdout
    assert (nested / "n.fits").is_file()


def test_runs_of_different_files_of_a_users_module_are_refused(make_config, tmp_path):
    for name, content in (("one", "1 2\n"), ("two", "1 3\n")):
        (tmp_path / f"{name}.dat").write_text(content)
        run(make_config(tmp_path / name, "emcee", table=str(tmp_path / f"{name}.dat")))
    with pytest.raises(NotComparableError, match="input files differ: .*dat"):
        compare_runs(tmp_path / "one", tmp_path / "two")
    shown = CliRunner().invoke(app, ["compare", str(tmp_path / "one"), str(tmp_path / "two")])
    assert shown.exit_code == 1
    assert "different data" in shown.output
    compare_runs(tmp_path / "one", tmp_path / "one.txt")
