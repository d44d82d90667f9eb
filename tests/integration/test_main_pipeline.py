from __future__ import annotations

import copy
import json
import logging
import shutil
import subprocess
import sys

import numpy as np
import pytest

from orchestrator import MainPipeline, Reader, load_run, summarize_results
from orchestrator.errors import ConfigError, StageError


def test_two_stages_with_figures_and_every_file(make_config, tmp_path):
    configs = [make_config(tmp_path / "one", "maxlike emcee"), make_config(tmp_path / "two", "maxlike")]
    before = copy.deepcopy(configs)
    pipeline = MainPipeline(configs)
    assert pipeline.execute_all(plot_result=True) == 0
    assert configs == before
    first, second = pipeline.results
    assert first.best_fit.values["toy", "a"] == pytest.approx(2.0, abs=0.01)
    assert second.best_fit.values["toy", "b"] == pytest.approx(-3.0, abs=0.01)
    assert first.best_fit.log_likelihood == pytest.approx(-np.log(0.05) - np.log(2 * np.pi), abs=1e-3)
    assert first.summary["b"].std == pytest.approx(0.1, rel=0.4)
    assert first.chain.n_rows == 16 * 40
    assert "radius" in " ".join(first.chain.extra)
    for ending in (
        ".ini",
        "_values.ini",
        ".log",
        "_config.json",
        "_best_fit.json",
        "_handover.json",
        "_start_points.txt",
    ):
        assert (tmp_path / f"one{ending}").is_file(), ending
    residual = json.loads(first.figures["Toy"].read_text().split(" ", 1)[1])
    assert np.max(np.abs(residual)) < 0.1  # drawn at the best fit
    record = json.loads(first.stage.paths.config.read_text())
    assert record["versions"]["cosmosis"]
    assert record["seed"] == first.stage.seed


def test_the_ini_file_runs_under_the_stock_command(make_config, tmp_path):
    MainPipeline([make_config(tmp_path / "fit", "maxlike emcee")]).run()
    ours = summarize_results(tmp_path / "fit.txt")
    command = [sys.executable, "-m", "cosmosis.main", "fit.ini"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    theirs = summarize_results(tmp_path / "fit.txt")
    assert theirs.best_fit.values["toy", "a"] == pytest.approx(ours.best_fit.values["toy", "a"], abs=0.05)


def test_the_same_seed_gives_the_same_chain(make_config, tmp_path):
    chains = []
    for seed in (5, 5, 6):
        (result,) = MainPipeline([make_config(tmp_path / "fit", runtime={"seed": seed})]).run()
        chains.append(result.chain.samples)
    np.testing.assert_array_equal(chains[0], chains[1])
    assert not np.array_equal(chains[0], chains[2])
    assert sorted(f.name for f in (tmp_path / "previous").glob("*.?.txt")) == ["fit.1.txt", "fit.2.txt"]


def test_a_failed_stage_stops_the_pipeline_and_keeps_the_finished_ones(make_config, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    configs = [
        make_config(tmp_path / name, "maxlike", trap=trap)
        for name, trap in (("a", "no"), ("b", "execute"), ("c", "no"))
    ]
    pipeline = MainPipeline(configs)
    assert pipeline.execute_all() == 1
    assert [result.name for result in pipeline.results] == ["a"]
    assert (tmp_path / "a.txt").is_file()
    assert not (tmp_path / "c.txt").exists()
    assert "the toy fails on purpose" in caplog.text
    assert "repeat it with" in caplog.text
    assert "1 of 3 stages finished: a" in caplog.text


def test_a_failing_figure_loses_nothing(make_config, tmp_path, caplog):
    pipeline = MainPipeline([make_config(tmp_path / "fit", "maxlike", trap="plot")])
    assert pipeline.execute_all(plot_result=True) == 0
    assert pipeline.results[0].figures == {}
    assert "no figure of Toy" in caplog.text
    assert "no ink" in caplog.text


def test_output_folder_that_does_not_exist_with_blanks_and_quotes(make_config, tmp_path):
    folder = tmp_path / 'it\'s a "folder" $(touch x)' / "deep"
    (result,) = MainPipeline([make_config(folder / "my fit", "maxlike emcee")], n_cores_list=[2]).run(
        plot_result=True
    )
    assert (folder / "my fit.txt").is_file()
    assert result.figures["Toy"].is_file()
    assert result.best_fit.values["toy", "a"] == pytest.approx(2.0, abs=0.01)


def test_priors_file_in_a_folder_with_blanks(make_config, tmp_path):
    priors = tmp_path / "priors.ini"
    priors.write_text("[toy]\na = gaussian 1.0 0.5\n")
    config = make_config(tmp_path / "a b" / "fit", "maxlike", sections={"pipeline": {"priors": str(priors)}})
    (result,) = MainPipeline([config]).run()
    assert result.best_fit.values["toy", "a"] == pytest.approx(1.5, abs=0.01)  # half way: maximum posterior
    config["maxlike"]["max_posterior"] = "F"
    (result,) = MainPipeline([config]).run()
    assert result.best_fit.values["toy", "a"] == pytest.approx(2.0, abs=0.01)


def test_unknown_sampler_is_refused_before_anything_is_written(make_config, tmp_path):
    with pytest.raises(ConfigError, match="'emce'.*did you mean 'emcee'"):
        MainPipeline([make_config(tmp_path / "sub" / "fit", "emce")])
    assert not (tmp_path / "sub").exists()


def test_two_modules_in_one_stage(make_config, tmp_path):
    config = make_config(tmp_path / "fit", "maxlike")
    config["Toy_b"] = {**config["Toy"], "offset": 1.0, "like_name": "second_like"}
    config["pipeline"].update(modules="Toy Toy_b", likelihoods="gaussian second")
    (result,) = MainPipeline([config]).run(plot_result=True)
    assert result.best_fit.values["toy", "a"] == pytest.approx(2.5, abs=0.01)
    assert set(result.figures) == {"Toy", "Toy_b"}


def test_flags_of_a_module_arrive(make_config, tmp_path):
    config = make_config(tmp_path / "fit", "maxlike", values={"toy": {"a": "-10 -5 0", "b": "-10 -1 10"}})
    (result,) = MainPipeline([config]).run()
    assert "[Toy] the toy is off centre" in result.flags
    assert "at_bound: toy--a" in result.flags


def test_test_sampler_has_no_chain(make_config, tmp_path):
    (result,) = MainPipeline([make_config(tmp_path / "fit", "test")]).run()
    assert result.chain is None
    assert result.run.complete


def test_finished_run_is_loaded_from_a_moved_file(make_config, tmp_path):
    (result,) = MainPipeline([make_config(tmp_path / "fit", "maxlike emcee")]).run()
    moved = tmp_path / "elsewhere" / "renamed.txt"
    moved.parent.mkdir()
    shutil.move(tmp_path / "fit.txt", moved)
    loaded = load_run(moved)
    assert loaded.best_fit.values == result.best_fit.values
    assert loaded.stage.samplers == ("maxlike", "emcee")
    assert Reader.from_results_file(moved).get_module("Toy").sigma.tolist() == [0.5, 0.1]


def test_two_runs_in_one_folder(make_config, tmp_path):
    slow = make_config(tmp_path / "fit", delay=0.004)
    script = (
        f"from orchestrator import MainPipeline; import sys; sys.exit(MainPipeline([{slow!r}]).execute_all())"
    )
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) as first:
        while not (tmp_path / "fit.log").exists():
            assert first.poll() is None
        with pytest.raises(StageError, match="Another run is writing"):
            MainPipeline([slow]).run()
        (other,) = MainPipeline([make_config(tmp_path / "other", "maxlike")]).run()  # another output is fine
        assert first.wait(60) == 0
    assert other.run.complete
    assert load_run(tmp_path / "fit.txt").chain.n_rows == 16 * 40


def test_import_is_quick_and_loads_nothing_heavy():
    code = (
        "import sys, time; t = time.perf_counter(); import orchestrator; dt = time.perf_counter() - t; "
        "heavy = {'numpy', 'cosmosis', 'matplotlib', 'astropy'} & set(sys.modules); print(dt); "
        "assert not heavy; "
        "import orchestrator.main_pipeline; assert not {'cosmosis', 'matplotlib', 'emcee'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.2
