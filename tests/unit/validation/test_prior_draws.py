"""Truths follow the prior that CosmoSIS would sample, truncated by the values file."""

from __future__ import annotations

import numpy as np
import pytest
from cosmosis.runtime import prior as cosmosis_prior
from gaussian_stages import gaussian_stage

from orchestrator.config.priors import PriorEntry
from orchestrator.config.values import ValueEntry
from orchestrator.errors import ConfigError
from orchestrator.validation.config_file import stages_of
from orchestrator.validation.prior_draws import inverse_cdf, prior_of_pipeline

PROBABILITY = np.linspace(0.02, 0.98, 25)


@pytest.mark.parametrize(
    ("kind", "arguments", "theirs"),
    [
        ("gaussian", (1.0, 0.5), lambda: cosmosis_prior.TruncatedGaussianPrior(1.0, 0.5, 0.6, 3.0)),
        ("exponential", (0.7,), lambda: cosmosis_prior.TruncatedExponentialPrior(0.7, 0.6, 3.0)),
        ("oneoverx", (0.6, 3.0), lambda: cosmosis_prior.TruncatedOneoverxPrior(0.6, 3.0)),
        ("uniform", (0.6, 3.0), lambda: cosmosis_prior.UniformPrior(0.6, 3.0)),
    ],
)
def test_quantiles_are_those_of_cosmosis(kind, arguments, theirs):
    found = inverse_cdf(PROBABILITY, ValueEntry(0.6, 1.0, 3.0), PriorEntry(kind, arguments))
    expected = [theirs().denormalize_from_prior(p) for p in PROBABILITY]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_prior_narrower_than_the_range_stays_narrow():
    found = inverse_cdf(PROBABILITY, ValueEntry(0.0, 1.0, 9.0), PriorEntry("uniform", (1.0, 2.0)))
    assert found.min() > 1.0
    assert found.max() < 2.0


def test_a_tabulated_prior(tmp_path):
    grid = np.linspace(0, 1, 201)
    np.savetxt(tmp_path / "table.txt", np.column_stack([grid, 2 * grid]))
    prior = PriorEntry("tabulated", (str(tmp_path / "table.txt"),))
    found = inverse_cdf(PROBABILITY, ValueEntry(0.0, 0.5, 1.0), prior)
    np.testing.assert_allclose(found, np.sqrt(PROBABILITY), atol=1e-3)
    cut = inverse_cdf(PROBABILITY, ValueEntry(0.5, 0.6, 0.8), prior)
    np.testing.assert_allclose(cut, np.sqrt(0.25 + PROBABILITY * (0.64 - 0.25)), atol=1e-3)


def stages(gaussian, *configs):
    config = gaussian(*configs)
    return stages_of(config.pipeline, config.folder)


def test_the_first_stage_that_samples_a_parameter_says_its_prior(gaussian, tmp_path):
    priors = tmp_path / "priors.ini"
    priors.write_text("[gaussian]\nx_1 = gaussian 0.0 0.1\n")
    second = gaussian_stage("second", pipeline={"modules": "GaussianTarget", "priors": str(priors)})
    found = prior_of_pipeline(stages(gaussian, gaussian_stage("first"), second))
    assert ("gaussian", "x_1") not in found.densities
    assert len(found.notes) == 1
    assert "x_1" in found.notes[0]
    drawn = found.draw(2000, np.random.default_rng(1))
    assert np.std(drawn["gaussian", "x_1"]) == pytest.approx(10 / np.sqrt(12), rel=0.05)
    narrow = prior_of_pipeline(stages(gaussian, second))
    assert np.std(narrow.draw(2000, np.random.default_rng(1))["gaussian", "x_1"]) == pytest.approx(0.1, rel=0.05)
    assert narrow.notes == ()


def test_a_fixed_parameter_has_its_value(gaussian):
    config = gaussian_stage(values={"gaussian": {"x_1": "-5 0 5", "x_2": 0.5}})
    drawn = prior_of_pipeline(stages(gaussian, config)).draw(3, np.random.default_rng(1))
    np.testing.assert_array_equal(drawn["gaussian", "x_2"], 0.5)


def test_nothing_to_validate(gaussian):
    config = gaussian_stage(runtime={"sampler": "test"}, values={"gaussian": {"x_1": 1.0, "x_2": 0.5}})
    with pytest.raises(ConfigError, match="nothing to validate"):
        prior_of_pipeline(stages(gaussian, config))
