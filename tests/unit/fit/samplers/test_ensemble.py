from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import truncnorm

from orchestrator.errors import ChainError, ConfigError
from orchestrator.fit.convergence import convergence
from orchestrator.fit.samplers.ensemble import DEFAULT_MOVES

TWO = {"a": "-10 0.5 10", "b": "-10 -0.5 10"}


def kept_samples(chain):
    """Samples after the burn-in, and their effective number."""
    state = convergence(chain)
    return chain.samples[state.burn_in * chain.n_walkers :], state


def two_dimensional(gaussian_density):
    return gaussian_density(np.array([1.0, -2.0]), np.array([[1.0, 0.6], [0.6, 0.5]]))


@pytest.mark.parametrize("moves", [DEFAULT_MOVES, "de:0.8 snooker:0.2", "kde:0.5 de:0.5"])
def test_correlated_gaussian_in_eight_dimensions(make_pipeline, sample, eight, tmp_path, moves):
    density, mean, covariance, values = eight
    pipeline, ini, _ = make_pipeline(density, values)
    np.savetxt(tmp_path / "start.txt", np.random.default_rng(5).multivariate_normal(mean, 2 * covariance, 64))
    chain = sample(
        tmp_path / "fit.txt", pipeline, ini, "ensemble",
        walkers=64, nsteps=500, moves=moves, start_points=tmp_path / "start.txt",
        max_samples=8000,
    )  # fmt: skip
    assert chain.metadata["stopped_by"] == "convergence"
    assert chain.complete
    samples, state = kept_samples(chain)
    widths = np.sqrt(np.diag(covariance))
    effective = len(samples) / state.autocorrelation_time
    assert effective.min() > 1000
    errors = (samples.mean(axis=0) - mean) / (widths / np.sqrt(effective))
    assert np.abs(errors).max() < 4.0
    # A variance has a relative error of sqrt(2 / n); n is lower for squares than for the values themselves.
    root = np.linalg.inv(np.linalg.cholesky(covariance))
    whitened = np.linalg.eigvalsh(root @ np.cov(samples, rowvar=False) @ root.T)
    np.testing.assert_allclose(whitened, 1.0, atol=6 * np.sqrt(2 / effective.min()))
    np.testing.assert_allclose(chain.extra["extra--first_squared"], chain.samples[:, 0] ** 2)
    assert chain.log_prior == pytest.approx(-8 * np.log(20))
    np.testing.assert_allclose(chain.log_likelihood, density(chain.samples), atol=1e-9)


def test_gaussian_cut_by_its_limits(make_pipeline, sample, gaussian_density, tmp_path):
    """The peak lies outside: the posterior is a tail, highest at the limit."""
    density = gaussian_density(np.array([-0.5, 0.0]), np.diag([1.0, 0.25]))
    pipeline, ini, _ = make_pipeline(density, {"a": "0 0.5 10", "b": "-10 0 10"})
    chain = sample(tmp_path / "fit.txt", pipeline, ini, "ensemble", walkers=32, nsteps=200, max_samples=4000)
    samples, state = kept_samples(chain)
    exact = truncnorm(0.5, np.inf, loc=-0.5)
    effective = len(samples) / state.autocorrelation_time[0]
    assert samples[:, 0].min() >= 0
    assert abs(samples[:, 0].mean() - exact.mean()) < 4 * exact.std() / np.sqrt(effective)
    fractions = [np.mean(samples[:, 0] < exact.ppf(q)) for q in (0.05, 0.5, 0.95)]
    np.testing.assert_allclose(fractions, [0.05, 0.5, 0.95], atol=4 * 0.5 / np.sqrt(effective))
    assert np.isfinite(chain.log_posterior).all()


def test_two_modes_get_their_masses(make_pipeline, sample, gaussian_density, tmp_path):
    """Modes 6 sigma apart with masses 3:1; the walkers start from the prior, three to one the other way."""
    left = gaussian_density(np.array([-3.0, 0.0]), np.eye(2))
    right = gaussian_density(np.array([3.0, 0.0]), np.eye(2))

    def density(points):
        return np.logaddexp(np.log(0.75) + left(points), np.log(0.25) + right(points))

    rng = np.random.default_rng(9)
    start = rng.normal(size=(64, 2))
    start[:, 0] += np.where(np.arange(64) < 48, 3.0, -3.0)
    np.savetxt(tmp_path / "start.txt", start)
    pipeline, ini, _ = make_pipeline(density, TWO)
    chain = sample(
        tmp_path / "fit.txt", pipeline, ini, "ensemble",
        walkers=64, nsteps=500, start_points=tmp_path / "start.txt", max_samples=6000,
    )  # fmt: skip
    assert chain.metadata["converged"] == "1"
    samples, state = kept_samples(chain)
    effective = len(samples) / state.autocorrelation_time[0]
    assert effective > 500
    assert np.mean(samples[:, 0] < 0) == pytest.approx(0.75, abs=4 * np.sqrt(0.19 / effective))


def test_nan_is_never_accepted(make_pipeline, sample, gaussian_density, tmp_path):
    inner = two_dimensional(gaussian_density)

    def density(points):
        return np.where(points[:, 0] > 1.0, np.nan, inner(points))

    pipeline, ini, _ = make_pipeline(density, TWO)
    chain = sample(
        tmp_path / "fit.txt", pipeline, ini, "ensemble", convergence="F", samples=300, walkers=32, random_start="T"
    )
    assert np.isfinite(chain.log_posterior).all()
    assert chain.samples[:, 0].max() <= 1.0
    assert chain.n_rows == 300 * 32


def test_number_of_steps_without_convergence(make_pipeline, sample, gaussian_density, tmp_path):
    pipeline, ini, _ = make_pipeline(two_dimensional(gaussian_density), TWO)
    options = {"convergence": "F", "samples": 130, "nsteps": 50, "walkers": 16}
    chain = sample(tmp_path / "fit.txt", pipeline, ini, "ensemble", **options)
    assert chain.n_rows == 130 * 16
    assert chain.sampler == "emcee"
    assert chain.metadata["stopped_by"] == "samples"
    assert float(chain.metadata["mean_acceptance_fraction"]) > 0.2
    again = sample(tmp_path / "again.txt", pipeline, ini, "ensemble", **options)
    np.testing.assert_array_equal(chain.samples, again.samples)
    other = sample(tmp_path / "other.txt", pipeline, ini, "ensemble", seed=2, **options)
    assert not np.array_equal(chain.samples, other.samples)


def test_stops_after_some_seconds(make_pipeline, sample, gaussian_density, tmp_path):
    pipeline, ini, _ = make_pipeline(two_dimensional(gaussian_density), TWO)
    chain = sample(
        tmp_path / "fit.txt", pipeline, ini, "ensemble",
        autocorrelation_times=1e9, max_samples=10**7, max_seconds=0.4, nsteps=100000, walkers=16,
    )  # fmt: skip
    assert chain.metadata["stopped_by"] == "max_seconds"
    assert chain.metadata["converged"] == "0"
    assert 0 < chain.n_rows < 10**6
    assert chain.n_rows % 16 == 0


def test_resume_continues_the_chain(make_pipeline, sample, gaussian_density, tmp_path):
    path = tmp_path / "fit.txt"
    pipeline, ini, _ = make_pipeline(two_dimensional(gaussian_density), TWO)
    options = {"convergence": "F", "nsteps": 20, "walkers": 16}
    first = sample(path, pipeline, ini, "ensemble", samples=60, **options)
    # Killed in the middle of a line of step 51.
    text = path.read_text().split("#mean_acceptance")[0].splitlines(keepends=True)
    header = [line for line in text if line.startswith("#")]
    rows = [line for line in text if not line.startswith("#")]
    path.write_text("".join(header + rows[: 50 * 16 + 3]) + rows[50 * 16 + 3][:20])
    resume = {"resume": "T"}
    second = sample(path, pipeline, ini, "ensemble", seed=2, runtime=resume, samples=100, **options)
    assert second.n_rows == 100 * 16
    assert second.complete
    np.testing.assert_array_equal(second.samples[: 50 * 16], first.samples[: 50 * 16])
    last, after = second.samples[49 * 16 : 50 * 16], second.samples[50 * 16 : 51 * 16]
    stayed = np.all(last == after, axis=1)
    assert 0 < stayed.sum() < 16
    # A finished chain is left as it is.
    third = sample(path, pipeline, ini, "ensemble", seed=3, runtime=resume, samples=100, **options)
    np.testing.assert_array_equal(third.samples, second.samples)
    with pytest.raises(ChainError, match="16 walkers of 2 parameters; this run has 32 of 2"):
        sample(path, pipeline, ini, "ensemble", runtime=resume, samples=100, **{**options, "walkers": 32})


def test_resume_without_a_row_starts_anew(make_pipeline, sample, gaussian_density, tmp_path):
    path = tmp_path / "fit.txt"
    path.write_text("#toy--a\ttoy--b\tEXTRA--FIRST_SQUARED\tprior\tpost\n#sampler=emcee\n#walkers=16\n0.1\t0.")
    pipeline, ini, _ = make_pipeline(two_dimensional(gaussian_density), TWO)
    chain = sample(
        path, pipeline, ini, "ensemble", runtime={"resume": "T"}, convergence="F", samples=20, nsteps=20, walkers=16
    )
    assert chain.n_rows == 20 * 16
    assert chain.complete
    assert chain.values_ini


def test_walkers_start_over_dispersed_about_a_covariance(make_pipeline, sample, gaussian_density, tmp_path):
    covariance = np.array([[0.01, 0.005], [0.005, 0.04]])
    np.savetxt(tmp_path / "cov.txt", covariance)
    pipeline, ini, _ = make_pipeline(lambda x: np.zeros(len(x)), TWO)
    # Walkers that move by next to nothing: the first step shows where they were.
    chain = sample(
        tmp_path / "fit.txt", pipeline, ini, "ensemble", convergence="F", samples=1, nsteps=1, walkers=1000,
        a=1.000001, moves="stretch", covmat=tmp_path / "cov.txt", overdispersion=2.0,
    )  # fmt: skip
    np.testing.assert_allclose(chain.samples.mean(axis=0), [0.5, -0.5], atol=0.05)
    np.testing.assert_allclose(np.cov(chain.samples, rowvar=False), 4 * covariance, rtol=0.2, atol=0.003)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"walkers": 3}, "walkers = 3 is too few for 2 sampled parameters"),
        ({"nsteps": 0}, "nsteps = 0 must be positive"),
        ({"moves": "stretsh"}, "unknown move 'stretsh'"),
    ],
)
def test_wrong_options(make_pipeline, sample, gaussian_density, tmp_path, options, message):
    pipeline, ini, _ = make_pipeline(two_dimensional(gaussian_density), TWO)
    with pytest.raises(ConfigError, match=message):
        sample(tmp_path / "fit.txt", pipeline, ini, "ensemble", **options)
