"""Priors files: grammar, and names that CosmoSIS would ignore."""

from __future__ import annotations

import pytest
from cosmosis.runtime import prior as cosmosis_prior

from orchestrator.config.priors import (
    PriorEntry,
    check_priors,
    parse_priors,
    read_priors,
    render_priors,
    write_priors,
)
from orchestrator.config.values import parse_values
from orchestrator.errors import ConfigError

VALUES = parse_values("[k]\nsigma = 10 150 400\nh3 = 0.0\nv = -100 100\n")


@pytest.mark.parametrize(
    ("text", "entry", "kind"),
    [
        ("uniform 1 2", PriorEntry("uniform", (1.0, 2.0)), cosmosis_prior.UniformPrior),
        ("Gaussian 1 0.5", PriorEntry("gaussian", (1.0, 0.5)), cosmosis_prior.GaussianPrior),
        ("normal 1 0.5", PriorEntry("gaussian", (1.0, 0.5)), cosmosis_prior.GaussianPrior),
        ("exponential 2", PriorEntry("exponential", (2.0,)), cosmosis_prior.ExponentialPrior),
        ("oneoverx 1 10", PriorEntry("oneoverx", (1.0, 10.0)), cosmosis_prior.TruncatedOneoverxPrior),
    ],
)
def test_cosmosis_reads_what_is_written(text, entry, kind):
    priors = parse_priors(f"[k]\nsigma = {text}\n")
    assert priors.sections["k"]["sigma"] == entry
    assert parse_priors(render_priors(priors, "heading")) == priors
    assert type(cosmosis_prior.Prior.parse_prior(entry.text())) is kind


def test_a_tabulated_prior_keeps_its_file(tmp_path):
    priors = parse_priors("[k]\nsigma = tabulated table.txt\n")
    assert priors.sections["k"]["sigma"] == PriorEntry("tabulated", ("table.txt",))
    assert "the file does not exist" in check_priors(priors, VALUES)[0]
    table = tmp_path / "table.txt"
    table.write_text("0 1\n1 2\n")
    priors = priors.apply({("k", "sigma"): PriorEntry("tabulated", (str(table),))})
    assert check_priors(priors, VALUES) == []


def test_all_faults_at_once(tmp_path):
    path = tmp_path / "priors.ini"
    path.write_text(
        "[k]\na = gaussian 1\nb = lognormal 0 1\nc = gaussian 1 0\nd = uniform 2 1\ne = uniform 1 x\nf =\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_priors(path)
    text = str(caught.value)
    assert len(caught.value.faults) == 6
    for expected in (
        "line 2: [k] a = 'gaussian 1': expected 'gaussian mean sigma'",
        "line 3: [k] b = 'lognormal 0 1': unknown prior; expected one of: uniform lower upper",
        "line 4: [k] c = 'gaussian 1 0': 0 must be above 0",
        "line 5: [k] d = 'uniform 2 1': the lower limit 2 is not below the upper limit 1",
        "line 6: [k] e = 'uniform 1 x': expected 'uniform lower upper'",
    ):
        assert expected in text


def test_names_and_starts_are_checked_against_the_values():
    priors = parse_priors(
        "[k]\nsigme = gaussian 1 1\nh3 = gaussian 0 1\nsigma = uniform 200 300\nv = exponential 1\n"
    )
    faults = check_priors(priors, VALUES, "priors.ini")
    assert "k/sigme is not in the values file; did you mean 'k/sigma'?" in faults[0]
    assert "k/h3 is fixed in the values file" in faults[1]
    assert "k/sigma = 'uniform 200.0 300.0': the start 150 of the parameter is outside the prior" in faults[2]
    assert len(faults) == 3


def test_writing(tmp_path):
    priors = parse_priors("[k]\nsigma = gaussian 150 20\n")
    write_priors(tmp_path / "priors.ini", priors)
    assert read_priors(tmp_path / "priors.ini") == priors
