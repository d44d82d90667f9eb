"""The same seed gives the same chain, bit for bit; a resumed chain is the one without interruption, or says not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time

import psutil
import pytest

from orchestrator import MainPipeline
from orchestrator.errors import StageError
from orchestrator.fit.chain import read_chain
from orchestrator.stage import StagePaths

SETTINGS = {
    "emcee": {"walkers": 8, "samples": 30, "nsteps": 10},
    "ensemble": {"walkers": 32, "samples": 30, "nsteps": 10, "convergence": "F"},
    "multistart": {},
    "maxlike": {},
    "zeus": {"walkers": 8, "samples": 20, "nsteps": 10},
    "metropolis": {"samples": 200, "nsteps": 50},
    "dynesty": {"nlive": 40, "dlogz": 1.0},
    "nautilus": {"n_live": 100, "n_eff": 200, "n_networks": 0},
}


def config(output, sampler, *, seed=7, runtime=None, **sections):
    return {
        "runtime": {"sampler": sampler, "seed": seed, **(runtime or {})},
        "output": {"filename": str(output)},
        "pipeline": {"modules": "GaussianTarget"},
        "GaussianTarget": {"mean": [1.0, -2.0], "sigma": [0.5, 0.1]},
        "values": {"gaussian": {"x_1": "-4 0 6", "x_2": "-3 -2.3 -1"}},
        **{word: {**SETTINGS[word], **sections.get(word, {})} for word in sampler.split()},
    }


def rows(output):
    """The lines of a chain that hold numbers."""
    text = StagePaths(output.with_suffix(".txt")).chain.read_text()
    return [line for line in text.splitlines() if not line.startswith("#")]


def run(output, sampler, **keywords):
    MainPipeline([config(output, sampler, **keywords)]).run()
    return rows(output)


@pytest.mark.parametrize(
    ("sampler", "stock"),
    [
        ("multistart ensemble", "F"),
        ("maxlike emcee", "F"),
        ("emcee", "T"),
        ("maxlike", "T"),
        ("metropolis", "T"),
        ("zeus", "T"),
        ("dynesty", "T"),
        ("nautilus", "T"),
    ],
)
def test_same_seed_same_chain(sampler, stock, tmp_path):
    runtime = {"stock_samplers": stock}
    first = run(tmp_path / "first", sampler, runtime=runtime)
    assert run(tmp_path / "second", sampler, runtime=runtime) == first
    record = json.loads((tmp_path / "first_config.json").read_text())
    assert record["seed"] == 7
    if sampler != "maxlike":  # stock Nelder-Mead draws nothing
        assert run(tmp_path / "other", sampler, runtime=runtime, seed=8) != first


@pytest.mark.parametrize("sampler", ["ensemble", "multistart ensemble", "emcee"])
def test_a_resumed_chain_is_the_uninterrupted_one(sampler, tmp_path):
    last = sampler.split()[-1]
    whole = run(tmp_path / "whole", sampler)
    begun = tmp_path / "begun"
    run(begun, sampler, **{last: {"samples": 20}})
    assert run(begun, sampler, runtime={"resume": "T"}) == whole


def test_rows_after_the_last_checkpoint_come_again(tmp_path, caplog):
    """Killed between a chunk and the next: the file holds more than the random numbers' state knows of."""
    whole = run(tmp_path / "whole", "ensemble")
    begun = tmp_path / "begun"
    run(begun, "ensemble", ensemble={"samples": 20})
    chain = begun.with_suffix(".txt")
    kept = [line for line in chain.read_text().splitlines() if not line.startswith("#complete")]
    n_header = next(index for index, line in enumerate(kept) if not line.startswith("#"))
    ending = whole[20 * 32 : 23 * 32]
    chain.write_text("\n".join(kept[:n_header] + whole[: 20 * 32] + ending) + "\n" + whole[23 * 32][:17])
    assert run(begun, "ensemble", runtime={"resume": "T"}) == whole
    assert "as if it had never stopped" in (tmp_path / "begun.log").read_text()


def test_without_a_state_the_log_says_that_the_chain_is_another(tmp_path):
    whole = run(tmp_path / "whole", "ensemble")
    begun = tmp_path / "begun"
    run(begun, "ensemble", ensemble={"samples": 20})
    StagePaths(begun.with_suffix(".txt")).random_state.unlink()
    resumed = run(begun, "ensemble", runtime={"resume": "T"})
    assert resumed[: 20 * 32] == whole[: 20 * 32]
    assert resumed != whole
    assert "with other random numbers" in (tmp_path / "begun.log").read_text()


def test_stock_emcee_says_that_it_does_not_repeat_itself(tmp_path):
    begun = tmp_path / "begun"
    run(begun, "emcee", runtime={"stock_samplers": "T"}, emcee={"samples": 20})
    resumed = run(begun, "emcee", runtime={"stock_samplers": "T", "resume": "T"})
    assert len(resumed) == 30 * 8
    assert "with other random numbers" in (tmp_path / "begun.log").read_text()


@pytest.mark.timeout(180)
def test_a_killed_nautilus_goes_on_from_its_own_file(tmp_path):
    keywords = {"runtime": {"stock_samplers": "T"}, "nautilus": {"n_eff": 3000}}
    whole = run(tmp_path / "whole", "nautilus", **keywords)
    begun = tmp_path / "begun"
    script = f"from orchestrator import MainPipeline; MainPipeline([{config(begun, 'nautilus', **keywords)!r}]).run()"
    status = tmp_path / "begun.sampler_status.hdf5"
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        limit = time.monotonic() + 60
        while not status.exists() and time.monotonic() < limit:
            time.sleep(0.05)
        time.sleep(0.5)
        killed = [*psutil.Process(process.pid).children(recursive=True), process]
        for each in killed:
            each.kill()
        psutil.wait_procs(killed[:-1], 20)
    assert status.stat().st_size > 0
    assert not begun.with_suffix(".txt").exists() or rows(begun) == [], "it had finished already"
    keywords["runtime"]["resume"] = "T"
    assert run(begun, "nautilus", **keywords) == whole
    assert "Resuming Nautilus from file" in (tmp_path / "begun.log").read_text()


def changed(configuration, section, **entries):
    return {**configuration, section: {**configuration.get(section, {}), **entries}}


def test_resume_with_changes_is_refused_and_says_what_changed(tmp_path):
    output = tmp_path / "fit"
    first = config(output, "ensemble")
    MainPipeline([first]).run()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    again = changed(first, "runtime", resume="T")
    priors = tmp_path / "priors.ini"
    priors.write_text("[gaussian]\nx_1 = gaussian 0 2\n")
    cases = {
        "priors: gaussian--x_1": changed(again, "pipeline", priors=str(priors)),
        "values: gaussian--x_2": changed(again, "values", gaussian={"x_1": "-4 0 6", "x_2": "-3 -2.3 0"}),
        "modules: GaussianTarget": changed(again, "GaussianTarget", sigma=[0.5, 0.2]),
        "samplers: options": changed(again, "ensemble", moves="stretch"),
        "seed: 7 -> 8": changed(again, "runtime", seed=8),
    }
    for what, configuration in cases.items():
        with pytest.raises(StageError, match=what):
            MainPipeline([configuration]).run()
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name in before}
    assert {name for name in before if before[name] != after[name]} <= {"fit.lock"}


def test_resume_with_changed_data_is_refused(make_config, tmp_path):
    data = tmp_path / "data.txt"
    data.write_text("1 2 3\n")
    configuration = make_config(tmp_path / "fit", table=str(data))
    MainPipeline([configuration]).run()
    data.write_text("1 2 4\n")
    with pytest.raises(StageError, match=r"input files: .*data\.txt"):
        MainPipeline([changed(configuration, "runtime", resume="T")]).run()


def test_set_aside_takes_the_random_state_along(tmp_path):
    run(tmp_path / "fit", "ensemble")
    first = read_chain(tmp_path / "fit.txt")
    run(tmp_path / "fit", "ensemble", seed=9)
    kept = tmp_path / "previous" / "fit.1.txt"
    assert (read_chain(kept).samples == first.samples).all()
    assert (tmp_path / "previous" / "fit.1_random_state.json").is_file()
    assert (tmp_path / "previous" / "fit.1_diagnostics.json").is_file()
    shutil.rmtree(tmp_path / "previous")
