r"""Spectra rebinned to pixels uniform in ln(wavelength), their noise propagated.

An output pixel is the mean of the flux density over it, each input pixel counting with the part of it that
lies inside: :math:`g_j = \sum_k a_{jk} f_k`, :math:`\sum_k a_{jk} = 1`. For independent input noise

.. math:: \mathrm{Cov}(g_i, g_j) = \sum_k a_{ik} a_{jk} \sigma_k^2 .

The diagonal becomes the uncertainty, so that pure noise has a chi2 of one per pixel. What lies off the diagonal
a likelihood of independent pixels leaves out: it is stated, with what it does to the errors of a fit.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError
from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT_KMS
from orchestrator.physics.wavelength import log_wavelength_grid, pixel_edges

__all__ = ["NoiseCorrelation", "rebin_to_log"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

_SMALLEST_SHARE = 1e-6
"""Part of an output pixel below which an input pixel does not count, so that rounding masks nothing."""


@dataclass(frozen=True)
class NoiseCorrelation:
    """What rebinning did to the noise.

    Attributes
    ----------
    neighbours : float
        Correlation coefficient of neighbouring good pixels, the mean.
    total : float
        The same summed over all neighbours on either side: noise averaged over many pixels has
        ``1 + total`` times the variance that independent pixels would have.
    """

    neighbours: float
    total: float

    @property
    def error_factor(self) -> float:
        """Factor by which a fit of smooth features underestimates its errors, ``sqrt(1 + total)``."""
        return float(np.sqrt(1.0 + self.total))


def rebin_to_log(
    spectrum: Spectrum, velscale: float | None = None, keep: NDArray[np.bool_] | None = None
) -> Spectrum:
    """Rebin a spectrum to pixels uniform in ln(wavelength).

    Parameters
    ----------
    spectrum : Spectrum
    velscale : float, optional
        Step [km/s]; the median step of the spectrum if left out.
    keep : ndarray of bool (n,), optional
        Pixels that may enter. One that may not, or is not good, takes every output pixel that it touches
        with it.

    Returns
    -------
    Spectrum
        Flux density, uncertainty and weights on the new pixels. ``meta`` has ``noise_correlation``, a
        `NoiseCorrelation`, and ``reach_kms``, how far the centre of an old pixel can be from that of a new one
        that it enters [km/s]. The line-spread function includes the width of the old pixels.

    Raises
    ------
    DataError
        A spectrum shorter than two output pixels, or no output pixel without a bad one.
    """
    edges_in = pixel_edges(spectrum.wavelength)
    own_step = SPEED_OF_LIGHT_KMS * float(np.median(np.diff(np.log(spectrum.wavelength))))
    step = own_step if velscale is None else float(velscale)
    span = SPEED_OF_LIGHT_KMS * float(np.log(edges_in[-1] / edges_in[0]))
    if span < 3.0 * step:
        msg = f"{spectrum.name} spans {span:.4g} km/s; expected at least 3 pixels of velscale = {step:.4g} km/s"
        raise DataError(msg)
    half = np.exp(0.5 * step / SPEED_OF_LIGHT_KMS)
    wavelength = log_wavelength_grid(float(edges_in[0]) * half, float(edges_in[-1]) / half, step)
    edges = np.concatenate([wavelength / half, wavelength[-1:] * half])
    output, source, share = _overlaps(edges_in, edges)
    n_out = len(wavelength)
    enters = spectrum.good_pixels if keep is None else spectrum.good_pixels & keep
    touched = np.bincount(output, weights=~enters[source], minlength=n_out)
    good = touched == 0
    variance = np.where(enters, 1.0 / np.where(enters, spectrum.inverse_variance, 1.0), 0.0)
    weighted = variance / np.where(enters, spectrum.weights, 1.0)
    flux: FloatArray = np.bincount(output, share * spectrum.flux[source], n_out).astype(np.float64)
    own: FloatArray = np.bincount(output, share**2 * variance[source], n_out).astype(np.float64)
    # Weights inflate the noise: the inflated variance is propagated, and its ratio to the true one is the weight.
    inflated = np.bincount(output, share**2 * weighted[source], n_out)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.where(good & (inflated > 0.0), own / inflated, 0.0)
    if not good.any():
        msg = f"{spectrum.name}: every pixel of {step:.4g} km/s holds a masked one; take fit_grid = native"
        raise DataError(msg)
    correlation = _correlation(output, source, share, variance, own, good)
    _report(spectrum, wavelength, good, correlation, step)
    return replace(
        spectrum,
        wavelength=wavelength,
        flux=flux,
        uncertainty=np.sqrt(own),
        good_pixels=good,
        weights=weights,
        lsf_fwhm=_lsf(spectrum, edges_in, wavelength),
        meta={
            **spectrum.meta,
            "fit_grid": "log",
            "velscale": step,
            "reach_kms": 0.5 * (step + SPEED_OF_LIGHT_KMS * float(np.diff(np.log(edges_in)).max())),
            "noise_correlation": correlation,
        },
    )


def _overlaps(
    edges_in: FloatArray, edges_out: FloatArray
) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Return the output pixel, the input pixel, and the part of the former that lies in the latter, per piece."""
    cuts = np.unique(np.concatenate([edges_in, edges_out]))
    cuts = cuts[(cuts >= max(edges_in[0], edges_out[0])) & (cuts <= min(edges_in[-1], edges_out[-1]))]
    middle = 0.5 * (cuts[1:] + cuts[:-1])
    source = np.searchsorted(edges_in, middle) - 1
    output = np.searchsorted(edges_out, middle) - 1
    share = np.diff(cuts) / np.diff(edges_out)[output]
    counts = share > _SMALLEST_SHARE
    output, source, share = output[counts], source[counts], share[counts]
    return output, source, share / np.bincount(output, share)[output]


def _correlation(
    output: NDArray[np.int64],
    source: NDArray[np.int64],
    share: FloatArray,
    variance: FloatArray,
    own: FloatArray,
    good: NDArray[np.bool_],
) -> NoiseCorrelation:
    from scipy.sparse import csr_array

    matrix = csr_array((share, (output, source)), shape=(len(own), len(variance)))
    covariance = (matrix * variance[None, :]) @ matrix.T
    scale = np.divide(1.0, np.sqrt(own), out=np.zeros_like(own), where=good & (own > 0.0))
    correlation = (covariance.multiply(scale[:, None]).multiply(scale[None, :])).tocsr()
    both = good[1:] & good[:-1]
    neighbours = correlation.diagonal(1)[both]
    inner = good.copy()
    inner[0] = inner[-1] = False
    total = np.asarray(correlation.sum(axis=1)).ravel()[inner] - 1.0
    return NoiseCorrelation(
        neighbours=float(np.mean(neighbours)) if neighbours.size else 0.0,
        total=float(np.mean(total)) if total.size else 0.0,
    )


def _lsf(spectrum: Spectrum, edges_in: FloatArray, wavelength: FloatArray) -> FloatArray | None:
    """Return the FWHM at the new pixels, the width of the old pixels added in quadrature."""
    if spectrum.lsf_fwhm is None:
        return None
    pixel = FWHM_PER_SIGMA * np.diff(edges_in) / np.sqrt(12.0)
    return np.interp(wavelength, spectrum.wavelength, np.sqrt(spectrum.lsf_fwhm**2 + pixel**2))


def _report(
    spectrum: Spectrum,
    wavelength: FloatArray,
    good: NDArray[np.bool_],
    correlation: NoiseCorrelation,
    step: float,
) -> None:
    level = logging.WARNING if correlation.error_factor > 1.05 else logging.INFO
    logger.log(
        level,
        "%s: rebinned from %d to %d pixels of %.4g km/s, %d of them good; neighbouring pixels are correlated by "
        "%.2f, which the likelihood leaves out: errors from smooth features are too small by a factor of %.2f "
        "(fit_grid = native has no such error)",
        spectrum.name, spectrum.wavelength.size, wavelength.size, step, int(good.sum()),
        correlation.neighbours, correlation.error_factor,
    )  # fmt: skip
