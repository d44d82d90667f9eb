"""A basis for the spectra that star-formation histories can make, to a stated error of the log-likelihood.

The spectra of all histories of a model span far fewer dimensions than the SSPs: an orthonormal basis from
draws of the histories (singular value decomposition, each spectrum at unit mean flux) stands for them. What
counts is the log-likelihood, so the rank is chosen with it: mock data at some draws, with noise, are
evaluated at other draws with exact and with compressed spectra and the amplitude profiled. Far from the
best fit the difference is the product of a large residual with a small error, which is zero only where the
noise is uniform (the basis is orthonormal there); data with masked pixels behind dust are checked as well.
Kinematics smooth the errors and polynomials shorten the residuals: both make it smaller.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from orchestrator.forward_model.sfh_draws import draw_histories
from orchestrator.forward_model.stellar_population import StellarPopulation

__all__ = ["PopulationBasis", "allowed_error", "population_basis", "signal_to_noise_class"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

N_TRAINING = 3000
N_HELD_OUT = 1000
_N_MOCKS = 32
_LEAST_CLASS, _BRIGHT_CLASS = 16, 256
_SEED = 20240917
_DIM = 2.0  # mag of A_V, reddening as wavelength^-1.3, in the second check
_N_GAPS, _GAP_FRACTION = 12, 0.06  # masked pixels in the second check
_ROWS = 512
_SAFETY = 0.4
"""What the held-out draws may err by, over what is promised: other data and other draws meet worse corners, by up to
a factor of two (tests/statistical/test_compression.py)."""
_STEP = 1.08  # of the rank, when fresh draws show that it does not suffice


@dataclass(frozen=True)
class PopulationBasis:
    """SSPs as combinations of basis spectra that serve for histories only.

    Attributes
    ----------
    coefficients : ndarray, shape (n_ssp, rank)
    basis : ndarray, shape (rank, n_grid)
        Orthonormal.
    delta_log_likelihood : float
        Largest error of the log-likelihood over the held-out draws and mock data.
    n_draws : int
        Held-out draws behind it.
    signal_to_noise : int
        Root-mean-square signal-to-noise ratio per pixel of the grid for which it holds; the error grows as
        its square.
    """

    coefficients: FloatArray
    basis: FloatArray
    delta_log_likelihood: float
    n_draws: int
    signal_to_noise: int


def signal_to_noise_class(signal_to_noise: float) -> int:
    """Round up to a power of two, so that spectra of similar quality share a basis."""
    return max(_LEAST_CLASS, 2 ** int(np.ceil(np.log2(max(signal_to_noise, 1.0)) - 1e-9)))


def allowed_error(signal_to_noise: int) -> float:
    """Return the largest allowed error of the log-likelihood for a class of signal-to-noise ratio."""
    return 0.01 if signal_to_noise < _BRIGHT_CLASS else 0.03


def population_basis(
    templates: FloatArray, population: StellarPopulation, wavelength: FloatArray, signal_to_noise: int
) -> PopulationBasis | None:
    """Find the smallest sufficient basis.

    Parameters
    ----------
    templates : ndarray, shape (n_ssp, n_grid)
        Exact.
    population : StellarPopulation
        Draws come from the ranges of its parameters (:func:`drawn_ranges`).
    wavelength : ndarray, shape (n_grid,)
        Angstrom.
    signal_to_noise : int
        From :func:`signal_to_noise_class`.

    Returns
    -------
    PopulationBasis or None
        None where no rank up to half the number of SSPs suffices.
    """
    rng = np.random.default_rng(_SEED)
    limit = min(len(templates) // 2, templates.shape[1] // 2)
    # Everything below happens in an orthonormal frame of the templates, exact and ten times smaller.
    scale = np.abs(templates).mean(axis=1)
    scale[scale == 0] = 1.0
    scaled = (templates / scale[:, None]).T  # in Fortran's order, so that the factorisation takes its place
    frame, triangle = linalg.qr(scaled, mode="economic", overwrite_a=True, check_finite=False)
    del scaled
    in_frame = scale[:, None] * triangle.T
    training = _normalised(_draws(population, N_TRAINING, rng, True) @ in_frame, frame)
    _, _, directions = linalg.svd(training, full_matrices=False, check_finite=False)
    metrics = [_metric(frame, weight) for weight in _noise_shapes(wavelength, rng)]
    allowed = allowed_error(signal_to_noise)
    choosing = _Check.prepare(population, in_frame, frame, metrics, directions, signal_to_noise, rng)
    rank = choosing.smallest_rank(0.7 * _SAFETY * allowed, limit)
    while rank is not None and rank <= limit:
        stating = _Check.prepare(population, in_frame, frame, metrics, directions, signal_to_noise, rng)
        error = stating.error(rank)
        if error < _SAFETY * allowed:
            basis = directions[:rank] @ frame.T
            return PopulationBasis(in_frame @ directions[:rank].T, basis, error, N_HELD_OUT, signal_to_noise)
        rank = int(np.ceil(_STEP * rank))
    return None


@dataclass(frozen=True)
class _Check:
    """Mock data and held-out spectra, in the frame of the basis's directions.

    Attributes
    ----------
    spectra : ndarray, shape (n_draws, n)
        Coordinates along the directions; the first `rank` are what the basis keeps.
    weighted_data : list of ndarray, shape (n_mocks, n)
        For each metric, data times the metric.
    metrics : list of ndarray, shape (n, n)
        Sums over pixels with inverse variances as weights.
    """

    spectra: FloatArray
    weighted_data: list[FloatArray]
    metrics: list[FloatArray]

    @classmethod
    def prepare(
        cls,
        population: StellarPopulation,
        in_frame: FloatArray,
        frame: FloatArray,
        metrics: list[FloatArray],
        directions: FloatArray,
        signal_to_noise: int,
        rng: np.random.Generator,
    ) -> _Check:
        spectra = _normalised(_draws(population, N_HELD_OUT, rng, False) @ in_frame, frame) @ directions.T
        turned, weighted = [], []
        for metric in metrics:
            here = directions @ metric @ directions.T
            power = np.einsum("ij,ij->i", spectra @ here, spectra).mean()
            here *= signal_to_noise**2 * len(frame) / power
            values, vectors = linalg.eigh(here, check_finite=False)
            # noise of covariance 1 / metric, seen through the metric
            noise = rng.normal(size=(_N_MOCKS, len(values))) * np.sqrt(np.maximum(values, 0.0))
            turned.append(here)
            weighted.append(spectra[:_N_MOCKS] @ here + noise @ vectors.T)
        return cls(spectra, weighted, turned)

    def error(self, rank: int) -> float:
        """Return the largest change of the log-likelihood over mock data, draws and metrics."""
        kept = self.spectra[:, :rank]
        worst = 0.0
        for data, metric in zip(self.weighted_data, self.metrics, strict=True):
            exact = _profiled(data @ self.spectra.T, self.spectra, metric)
            compressed = _profiled(data[:, :rank] @ kept.T, kept, metric[:rank, :rank])
            worst = max(worst, float(np.abs(compressed - exact).max()))
        return worst

    def smallest_rank(self, allowed: float, limit: int) -> int | None:
        """Return the smallest rank, by bisection, whose error is allowed; None if none up to `limit` is."""
        if limit < 1 or self.error(limit) > allowed:
            return None
        low, high = 0, limit
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.error(middle) <= allowed else (middle, high)
        return high


def _profiled(product: FloatArray, spectra: FloatArray, metric: FloatArray) -> FloatArray:
    """Return ``(d.m)^2 / (2 m.m)``, the log-likelihood at the best amplitude, but for its constant."""
    square = np.einsum("ij,ij->i", spectra @ metric, spectra)
    return 0.5 * np.maximum(product, 0.0) ** 2 / square


def _draws(population: StellarPopulation, n_draws: int, rng: np.random.Generator, at_edges: bool) -> FloatArray:
    _, weights = population.weights(draw_histories(population.sfh, n_draws, rng, at_edges=at_edges))
    return weights


def _normalised(in_frame: FloatArray, frame: FloatArray) -> FloatArray:
    """Scale spectra, given in the frame, to unit mean flux."""
    return in_frame / (in_frame @ frame.mean(axis=0))[:, None]


def _metric(frame: FloatArray, weight: FloatArray) -> FloatArray:
    total = np.zeros((frame.shape[1], frame.shape[1]))
    for start in range(0, len(frame), _ROWS):  # in parts: the weighted frame is as large as the library
        part = frame[start : start + _ROWS]
        total += (part.T * weight[start : start + _ROWS]) @ part
    return total


def _noise_shapes(wavelength: FloatArray, rng: np.random.Generator) -> list[FloatArray]:
    """Return weights of the pixels: all alike, and those of a dusty galaxy with gaps in the data."""
    n_grid = len(wavelength)
    dusty = 10 ** (-0.8 * _DIM * (wavelength / 5500.0) ** -1.3)
    width = max(int(_GAP_FRACTION * n_grid / _N_GAPS), 1)
    for start in rng.integers(0, n_grid, _N_GAPS):
        dusty[start : start + width] = 0.0
    return [np.ones(n_grid), dusty / dusty.max()]
