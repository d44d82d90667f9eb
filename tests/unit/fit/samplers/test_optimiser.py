from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import StageError
from orchestrator.fit.samplers.multistart import Peak, choose_starts, climb, polish

TWO = {"a": "-10 0.5 10", "b": "-10 -0.5 10"}


def test_peak_and_covariance_of_a_gaussian(make_pipeline, sample, eight, tmp_path):
    density, mean, covariance, values = eight
    pipeline, ini, module = make_pipeline(density, values)
    chain = sample(tmp_path / "fit.txt", pipeline, ini, "multistart", output_covmat=tmp_path / "cov.txt")
    best = chain.samples[-1]
    assert np.all(np.diff(chain.log_posterior) >= 0)
    offset = best - mean
    assert offset @ np.linalg.solve(covariance, offset) < 0.003
    assert chain.sampler == "maxlike"
    assert chain.log_posterior[-1] == pytest.approx(float(density(mean[None])[0]) - 8 * np.log(20), abs=2e-3)
    found = np.loadtxt(tmp_path / "cov.txt")
    relative = np.linalg.eigvals(np.linalg.solve(covariance, found)).real
    np.testing.assert_allclose(relative, 1.0, atol=0.02)
    assert np.mean(module.batches) > 10


def test_peak_beyond_the_limits_is_found_on_them(make_pipeline, sample, gaussian_density, tmp_path):
    covariance = np.array([[1.0, 0.9], [0.9, 1.0]])
    density = gaussian_density(np.array([-1.0, 0.0]), covariance)
    pipeline, ini, _ = make_pipeline(density, {"a": "0 0.5 10", "b": "-10 3 10"})
    chain = sample(tmp_path / "fit.txt", pipeline, ini, "multistart", output_covmat=tmp_path / "cov.txt")
    np.testing.assert_allclose(chain.samples[-1], [0.0, 0.9], atol=0.02)
    assert chain.samples.min() >= 0
    found = np.loadtxt(tmp_path / "cov.txt")
    assert np.linalg.eigvalsh(found).min() > 0
    # Conditional width of b; a falls off within the order of its truncated width.
    assert np.sqrt(found[1, 1]) == pytest.approx(np.sqrt(1 - 0.81), rel=1.0)
    assert 0.05 < np.sqrt(found[0, 0]) < 1.0


def test_priors_count_unless_they_are_left_out(make_pipeline, sample, gaussian_density, tmp_path):
    density = gaussian_density(np.zeros(2), np.eye(2))
    pipeline, ini, _ = make_pipeline(density, TWO, {"a": "gaussian 2.0 1.0"})
    with_prior = sample(tmp_path / "a.txt", pipeline, ini, "multistart")
    without = sample(tmp_path / "b.txt", pipeline, ini, "multistart", max_posterior="F")
    np.testing.assert_allclose(with_prior.samples[-1], [1.0, 0.0], atol=0.02)
    np.testing.assert_allclose(without.samples[-1], [0.0, 0.0], atol=0.02)


def bimodal(gaussian_density):
    low = gaussian_density(np.array([-5.0, -5.0]), 0.3 * np.eye(2))
    high = gaussian_density(np.array([6.0, 4.0]), 0.1 * np.eye(2))
    return lambda points: np.logaddexp(low(points), high(points))


def test_the_higher_of_two_modes_is_found_from_the_lower(make_pipeline, sample, gaussian_density, tmp_path):
    values = {"a": "-10 -5.5 10", "b": "-10 -5.2 10"}
    pipeline, ini, _ = make_pipeline(bimodal(gaussian_density), values)
    chain = sample(tmp_path / "fit.txt", pipeline, ini, "multistart")
    np.testing.assert_allclose(chain.samples[-1], [6.0, 4.0], atol=0.02)
    np.testing.assert_allclose(chain.samples[0], [-5.0, -5.0], atol=0.1)
    alone = sample(tmp_path / "alone.txt", pipeline, ini, "multistart", starts=0)
    np.testing.assert_allclose(alone.samples, [[-5.0, -5.0]], atol=0.02)


def test_the_optimiser_hands_over_to_the_ensemble(make_pipeline, eight, tmp_path):
    """In one chained run of CosmoSIS: peak and covariance become the walkers, and no burn-in is left."""
    from cosmosis.main import run_cosmosis
    from cosmosis.runtime.config import Inifile

    from orchestrator.fit.chain import read_chain

    density, mean, covariance, values = eight
    pipeline, ini, _ = make_pipeline(density, values)
    np.random.seed(4)  # noqa: NPY002 - what CosmoSIS's samplers draw from
    sections = {
        "runtime": {"sampler": "multistart ensemble", "verbosity": "muted"},
        "pipeline": {"modules": "toy"},
        "output": {"filename": str(tmp_path / "fit.txt")},
        "multistart": {"output_ini": str(tmp_path / "best.ini")},
        "ensemble": {"samples": "20", "nsteps": "20", "convergence": "F", "overdispersion": "1.0"},
    }
    run_cosmosis(Inifile(sections), pipeline=pipeline, values=ini, priors=[])
    chain = read_chain(tmp_path / "fit.txt")
    offset = chain.samples[:128] - mean
    chi2 = np.einsum("ij,ij->i", offset, np.linalg.solve(covariance, offset.T).T)
    assert chi2.mean() == pytest.approx(8.0, abs=1.6)
    best = Inifile(str(tmp_path / "best.ini"))
    start = [float(best.get("toy", f"p{i}").split()[1]) for i in range(8)]
    np.testing.assert_allclose(start, mean, atol=0.02)
    assert read_chain(tmp_path / "fit.multistart.txt").complete


def test_a_narrow_curved_valley():
    """Rosenbrock's function, a million times steeper across than along."""

    def density(points):
        x, y = 4 * points.T - 2
        return -1e3 * (y - x**2) ** 2 - (1 - x) ** 2

    start = np.array([0.1, 0.9])
    peak = polish(density, climb(density, start, max_iterations=200), tolerance=1e-6)
    np.testing.assert_allclose(4 * peak.point - 2, [1.0, 1.0], atol=1e-2)
    assert peak.value > -1e-4


def test_a_kink_is_climbed_by_the_simplex():
    def density(points):
        return -np.abs(points[:, 0] - 0.3) * 50 - np.abs(points[:, 1] - points[:, 0]) * 80

    start = Peak(np.array([0.5, 0.52]), float(density(np.array([[0.5, 0.52]]))[0]))
    peak = polish(density, start, tolerance=1e-3)
    np.testing.assert_allclose(peak.point, [0.3, 0.3], atol=2e-3)


def test_a_support_with_an_edge_does_not_stop_the_climb():
    def density(points):
        inside = points.sum(axis=1) < 1.2
        return np.where(inside, -50 * ((points - [0.8, 0.7]) ** 2).sum(axis=1), -np.inf)

    peak = polish(density, climb(density, np.array([0.1, 0.1]), max_iterations=100), tolerance=1e-4)
    assert peak.value > -50 * 2 * 0.15**2 - 0.05


def test_starts_are_apart_and_best_first():
    points = np.array([[0.1, 0.1], [0.11, 0.1], [0.9, 0.9], [0.5, 0.5]])
    values = np.array([5.0, 4.0, 3.0, -np.inf])
    np.testing.assert_array_equal(choose_starts(points, values, 2), points[[0, 2]])
    np.testing.assert_array_equal(choose_starts(points, values, 5), points[[0, 2, 1]])


def test_no_posterior_anywhere(make_pipeline, sample, tmp_path):
    pipeline, ini, _ = make_pipeline(lambda x: np.full(len(x), -np.inf), TWO)
    with pytest.raises(StageError, match="no finite posterior, neither at the start values nor in 256 draws"):
        sample(tmp_path / "fit.txt", pipeline, ini, "multistart")


def test_drop_in_for_the_stock_samplers(make_pipeline, sample, eight, tmp_path):
    import importlib

    from cosmosis.samplers.sampler import Sampler

    from orchestrator.fit.samplers import stock_names

    stock = dict(Sampler.registry)
    assert stock["emcee"].__module__.startswith("cosmosis.")
    importlib.reload(stock_names)
    assert Sampler.registry["emcee"].__module__ == stock_names.__name__
    assert Sampler.registry["ensemble"] is stock["ensemble"]
    density, _, _, values = eight
    pipeline, ini, module = make_pipeline(density, values)
    chain = sample(tmp_path / "fit.txt", pipeline, ini, "emcee", walkers=32, samples=50, nsteps=25)
    assert chain.n_rows == 50 * 32
    assert max(module.batches) == 32
    assert chain.sampler == "emcee"
    assert sample(tmp_path / "best.txt", pipeline, ini, "maxlike", tolerance=1e-3).complete
    stock_names.restore_stock_samplers()
    assert Sampler.registry["emcee"] is stock["emcee"]
    assert Sampler.registry["maxlike"] is stock["maxlike"]
