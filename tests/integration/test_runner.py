from __future__ import annotations

import time
from dataclasses import replace

import pytest

from orchestrator.config.check import build_stages, stage_values
from orchestrator.errors import StageError
from orchestrator.fit.runner import run_stage


def run(config, n_cores=1, **changes):
    (stage,) = build_stages([config], [n_cores])
    stage = replace(stage, **changes)
    return run_stage(stage, stage_values(stage))


@pytest.mark.parametrize(
    ("trap", "reason"),
    [
        ("setup", r"The module \[Toy\] cannot be set up: ValueError: the toy cannot be set up"),
        (
            "execute",
            r"\[Toy\] raised RuntimeError at the start point \(toy--a = 1, .*the toy fails on purpose",
        ),
        ("status", "reported a failure"),
        ("nan", "not finite at the start point .*ln likelihood -inf"),
        ("die", "exit code 9"),
    ],
)
def test_module_that_fails(make_config, tmp_path, trap, reason):
    with pytest.raises(StageError, match=reason) as caught:
        run(make_config(tmp_path / "fit", "maxlike", trap=trap))
    assert caught.value.exit_code not in (0, None)
    assert "orchestrator.fit.launch" in caught.value.command
    assert caught.value.log_tail
    assert "Traceback" in caught.value.log_tail or trap in ("status", "nan", "die")


def test_wrong_likelihood_name(make_config, tmp_path):
    config = make_config(tmp_path / "fit", "maxlike", sections={"pipeline": {"likelihoods": "gausian"}})
    with pytest.raises(StageError, match=r"no likelihood 'gausian_like'; they wrote \['gaussian_like'\]"):
        run(config)


def test_extra_output_that_no_module_writes(make_config, tmp_path):
    config = make_config(tmp_path / "fit", "maxlike", sections={"pipeline": {"extra_output": "extra/mass"}})
    with pytest.raises(
        StageError, match=r"extra/mass, which no module writes; that section holds \['radius'\]"
    ):
        run(config)


def test_parameter_missing_from_the_values_file(make_config, tmp_path):
    with pytest.raises(StageError, match="at the start point"):
        run(make_config(tmp_path / "fit", "maxlike", values={"toy": {"a": "-10 1 10"}}))


def test_only_infinite_posteriors_show_the_modules_first_error(make_config, tmp_path):
    """CosmoSIS itself ends with exit code 0 and '#complete=1' here."""
    values = {"toy": {"a": "-10 2 10", "b": "-10 -3 10"}}
    config = make_config(
        tmp_path / "fit", "apriori", trap="after_start", values=values, sections={"apriori": {"nsample": 5}}
    )
    with pytest.raises(
        StageError, match="none of its 5 points has a finite posterior.*the toy fails away"
    ) as caught:
        run(config)
    assert caught.value.exit_code == 0


def test_no_walker_with_a_finite_posterior(make_config, tmp_path):
    values = {"toy": {"a": "-10 2 10", "b": "-10 -3 10"}}
    with pytest.raises(StageError, match=r"Only 0 of \d+ points .* 16 walkers are needed"):
        run(make_config(tmp_path / "fit", "emcee", trap="after_start", values=values))


def test_ensemble_may_start_where_the_posterior_is_infinite(make_config, tmp_path):
    """The walkers are then drawn from the prior."""
    priors = tmp_path / "priors.ini"
    priors.write_text("[toy]\na = uniform 1.5 2.5\n")
    config = make_config(tmp_path / "fit", "emcee", values={"toy": {"a": "-10 1.6 10", "b": "-10 -1 10"}})
    config["pipeline"]["priors"] = str(priors)
    (stage,) = build_stages([config])
    values = stage_values(stage)
    record = run_stage(stage, values)
    assert record.n_infinite == 0


def test_stage_that_takes_too_long(make_config, tmp_path):
    config = make_config(tmp_path / "fit", "emcee", delay=0.2)
    (stage,) = build_stages([config])
    sections = {**stage.sections, "runtime": {**stage.sections["runtime"], "timeout": 2.0}}
    begun = time.monotonic()
    with pytest.raises(StageError, match=r"stopped after 2 s, as runtime\.timeout says"):
        run_stage(replace(stage, sections=sections), stage_values(stage))
    assert time.monotonic() - begun < 10


def test_nested_sampler_passes_through(make_config, tmp_path):
    pytest.importorskip("dynesty")
    from orchestrator.fit.summary import summarize_results

    config = make_config(
        tmp_path / "fit", "dynesty", sections={"dynesty": {"nlive": 400, "dlogz": 0.1, "bound": "single"}}
    )
    run(config)
    summary = summarize_results(tmp_path / "fit.txt")
    assert summary["b"].std == pytest.approx(0.1, rel=0.3)
    # ln of one over the area of the prior, 400; the error is the root of (information 6.1 / 400 points), 0.12
    assert summary.evidence[0] == pytest.approx(-5.99, abs=0.6)
