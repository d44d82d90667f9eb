"""Figures of posteriors and predictions: what is drawn is what was sampled."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.fit.chain import read_chain
from orchestrator.fit.prior_density import prior_curves
from orchestrator.fit.summary import summarize_results
from orchestrator.forward_model.predicted_data import PredictedData
from orchestrator.report.posterior_figures import plot_posteriors, plot_predictions

VALUES = "[toy]\na = -2.0 0.0 2.0\nb = 0.5 1.0 4.0\n"


@pytest.fixture
def chain(tmp_path):
    rng = np.random.default_rng(2)
    rows = np.column_stack([0.3 * rng.standard_normal(800), 1.0 + rng.random(800)])
    header = "#toy--a\ttoy--b\tprior\tpost\n#sampler=emcee\n#n_varied=2\n#walkers=8\n"
    for name, text in (
        ("PARAMS", "[runtime]\nsampler = emcee\n[pipeline]\nmodules = Toy\n"),
        ("VALUES", VALUES),
        ("PRIORS", "[toy]\na = gaussian 0 0.5\nb = oneoverx 0.5 4\n"),
    ):
        header += f"## START_OF_{name}_INI\n" + "".join(f"## {line}\n" for line in text.splitlines())
        header += f"## END_OF_{name}_INI\n"
    lines = ["\t".join(map(str, [*row, -1.0, -0.5 * float(row[0] ** 2)])) for row in rows.tolist()]
    path = tmp_path / "fit.txt"
    path.write_text(header + "\n".join(lines) + "\n#complete=1\n")
    return read_chain(path)


def test_priors_are_densities_of_their_kind(chain):
    curves = prior_curves(chain)
    for values, density in curves.values():
        assert np.trapezoid(density, values) == pytest.approx(1.0)
    values, density = curves["toy", "a"]
    assert np.interp(0.5, values, density) / np.interp(0.0, values, density) == pytest.approx(np.exp(-0.5), rel=1e-3)
    values, density = curves["toy", "b"]
    assert np.interp(1.0, values, density) / np.interp(2.0, values, density) == pytest.approx(2.0, rel=1e-3)


def test_posteriors_are_drawn_with_their_priors(chain, tmp_path):
    path = plot_posteriors(chain, summarize_results(chain), tmp_path / "p.png", title="a_b & 50 %")
    assert path.read_bytes().startswith(b"\x89PNG")


def points(kind, n=60, n_samples=30):
    rng = np.random.default_rng(1)
    wavelength = np.linspace(4000.0, 7000.0, n) if kind == "spectrum" else np.geomspace(4000.0, 4e4, n)
    wavelength = np.where(np.arange(n) > n // 2, wavelength + 300.0, wavelength)
    truth = np.linspace(1.0, 2.0, n) * 1e-28
    noise = np.full(n, 5e-30)
    flux = truth + noise * rng.standard_normal(n)
    limit = None
    if kind == "photometry":
        limit = np.zeros(n)
        limit[0], limit[1] = 1.0, -1.0
    return [
        PredictedData(
            kind, wavelength, flux, noise, truth * (1 + 0.01 * rng.standard_normal()), noise, "erg/s/cm2/Hz",
            names=tuple(f"b{i}" for i in range(n)) if kind == "photometry" else (), limit=limit,
        )
        for _ in range(n_samples)
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "n"), [("spectrum", 60), ("photometry", 6)])
def test_predictions_are_drawn(kind, n, tmp_path):
    assert plot_predictions(points(kind, n), tmp_path / "p.png").stat().st_size > 10_000


def test_scores_are_standard_normal_also_for_heavy_tails():
    rng = np.random.default_rng(3)
    n = 20_000
    flat = np.zeros(n)
    heavy = PredictedData("spectrum", flat, rng.standard_t(3.0, n), flat + 1, flat, flat + 1, "", nu=3.0)
    assert heavy.scores.std() == pytest.approx(1.0, abs=0.02)
    assert np.abs(heavy.scores).max() < 6
    # the density that the log-likelihood is the logarithm of integrates to one
    x = np.linspace(-400, 400, 400_001)
    density = PredictedData("spectrum", 0 * x, x, 0 * x + 1, 0 * x, 0 * x + 2.0, "", nu=3.0).log_likelihood
    assert np.trapezoid(np.exp(density), x) == pytest.approx(1.0, abs=1e-4)
