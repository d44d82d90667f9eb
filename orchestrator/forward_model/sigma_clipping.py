"""Cosmic rays and other sharp artefacts in a spectrum, found in the data alone, before any fit.

A cosmic ray stands out from its surroundings, as a line of the gas or of the stars may; but it is sharper than
anything that came through the spectrograph. A pixel is clipped where both are so: it lies `threshold` standard
deviations from a running median, and the flux falls to its neighbours by more than the line-spread function
allows, by as many standard deviations. Real features, emission or absorption, narrow or strong, fall by less.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.constants import FWHM_PER_SIGMA

__all__ = ["DEFAULT_WINDOW", "clip_cosmic_rays", "cosmic_ray_pixels"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

DEFAULT_WINDOW = 11
"""Pixels of the running median: wider than a line, narrower than the shape of the continuum."""

SMALLEST_WINDOW = 11
"""In a narrower window the median of a line is as high as its flanks, and nothing tells it from a cosmic ray."""

_MOST_PIXELS = 3  # in a row that one cosmic ray fills in an extracted spectrum
_GROWTH_THRESHOLD = 2.5  # standard deviations at which a pixel beside a clipped one goes with it
_SCATTER_WINDOW = 101  # pixels over which the true scatter about the running median is measured
_LSF_MARGIN = 0.8  # a feature may be this much narrower than the stated line-spread function
_LSF_UNKNOWN = 0.85  # dispersion in pixels where none is stated: a FWHM of two pixels, the coarsest sampling
_MOST_PASSES = 4


def clip_cosmic_rays(spectrum: Spectrum, threshold: float, window: int = DEFAULT_WINDOW) -> Spectrum:
    """Return the spectrum with its cosmic rays marked as bad pixels, and say in the log which.

    Parameters
    ----------
    spectrum : Spectrum
    threshold : float
        Standard deviations.
    window : int
        Pixels of the running median, odd.

    Returns
    -------
    Spectrum
        ``meta`` has ``n_clipped``.
    """
    clipped = cosmic_ray_pixels(spectrum, threshold, window)
    number = int(clipped.sum())
    where = ", ".join(f"{wave:.1f}" for wave in spectrum.wavelength[clipped][:12])
    logger.info(
        "%s: %d of %d good pixels clipped as cosmic rays (sigma_clip = %g)%s",
        spectrum.name, number, int(spectrum.good_pixels.sum()), threshold,
        f" at {where}{' ...' if number > 12 else ''} A" if number else "",
    )  # fmt: skip
    return replace(
        spectrum,
        good_pixels=spectrum.good_pixels & ~clipped,
        meta={**spectrum.meta, "sigma_clip": threshold, "n_clipped": number},
    )


def cosmic_ray_pixels(spectrum: Spectrum, threshold: float, window: int = DEFAULT_WINDOW) -> BoolArray:
    """Return True for the good pixels that hold a cosmic ray.

    Parameters
    ----------
    spectrum : Spectrum
    threshold : float
        Standard deviations, both from the running median and beyond what the line-spread function allows.
        Uncertainties that understate the scatter about the median are enlarged to it.
    window : int
        Pixels of the running median, odd, `SMALLEST_WINDOW` or more.

    Returns
    -------
    ndarray of bool (n,)

    Raises
    ------
    ValueError
        A threshold that is not positive, or a window that is even or too narrow.
    """
    if not threshold > 0.0 or window < SMALLEST_WINDOW or window % 2 == 0:
        least = f"an odd one from {SMALLEST_WINDOW}"
        msg = f"threshold = {threshold!r}, window = {window!r}; expected a positive threshold and {least}"
        raise ValueError(msg)
    found = np.zeros(spectrum.wavelength.shape, dtype=bool)
    if len(found) < window:
        return found
    sharpest = _LSF_MARGIN * _lsf_pixels(spectrum)
    lowest_flanks = [_lowest_flank(length, sharpest, window) for length in range(1, _MOST_PIXELS + 1)]
    for _ in range(_MOST_PASSES):
        good = spectrum.good_pixels & ~found
        median = _running_median(spectrum.flux, good, window)
        residual = np.where(good, spectrum.flux - median, 0.0)
        noise = np.where(good, spectrum.uncertainty, 1.0)
        noise = noise * _excess_scatter(residual / noise, good)
        new = np.zeros(found.shape, dtype=bool)
        for sign in (1.0, -1.0):
            new |= _too_sharp(sign * spectrum.flux, sign * median, noise, good, lowest_flanks, threshold)
        new |= _beside(new, found, residual / noise, good)
        if not new.any():
            break
        found |= new
    return found


def _lsf_pixels(spectrum: Spectrum) -> FloatArray:
    """Return the dispersion of the line-spread function in pixels, shape (n,)."""
    if spectrum.lsf_fwhm is None:
        return np.full(spectrum.wavelength.shape, _LSF_UNKNOWN)
    sigma = spectrum.lsf_fwhm / FWHM_PER_SIGMA / np.gradient(spectrum.wavelength)
    return np.where(sigma > 0.3, sigma, _LSF_UNKNOWN)


def _running_median(values: FloatArray, good: BoolArray, window: int) -> FloatArray:
    """Return the median of the good pixels in a window about each pixel; the pixel's own value if there are none."""
    half = window // 2
    marked = np.pad(np.where(good, values, np.nan), half, constant_values=np.nan)
    views = sliding_window_view(marked, window)
    empty = ~np.isfinite(views).any(axis=1)
    result = values.copy()
    result[~empty] = np.nanmedian(views[~empty], axis=1)
    return result


def _excess_scatter(ratio: FloatArray, good: BoolArray) -> FloatArray:
    """Return the factor, 1 or more, by which residuals scatter more than their uncertainties say."""
    window = min(_SCATTER_WINDOW, len(ratio) - (len(ratio) + 1) % 2)
    scatter = 1.4826 * _running_median(np.abs(ratio), good, window)
    return np.maximum(scatter, 1.0)


def _shifted(values: NDArray[Any], step: int) -> NDArray[Any]:
    """Return the values `step` pixels further on; zero beyond the ends."""
    if step == 0:
        return values
    result = np.zeros_like(values)
    if step > 0:
        result[:-step] = values[step:]
    else:
        result[-step:] = values[:step]
    return result


def _too_sharp(
    flux: FloatArray,
    median: FloatArray,
    noise: FloatArray,
    good: BoolArray,
    lowest_flanks: list[FloatArray],
    threshold: float,
) -> BoolArray:
    """Return the pixels of positive spikes whose flanks are lower than any real feature has them."""
    found = np.zeros(good.shape, dtype=bool)
    peaks = good & (flux - median > threshold * noise)
    for length, lowest in enumerate(lowest_flanks, 1):
        run = np.stack([_shifted(flux, k) for k in range(length)])
        index = run.argmax(axis=0)[None]

        def at_highest(values: FloatArray, length: int = length, index: NDArray[Any] = index) -> NDArray[Any]:
            shifted = np.stack([_shifted(values, k) for k in range(length)])
            return np.take_along_axis(shifted, index, axis=0)[0]

        # All relative to the median at the highest pixel: it changes fast beside a bright line.
        level, peak_noise = at_highest(median), at_highest(noise)
        height = run.max(axis=0) - level
        left, right = _shifted(flux, -1), _shifted(flux, length)
        flank = np.maximum(left, right) - level
        flank_noise = np.where(left >= right, _shifted(noise, -1), _shifted(noise, length))
        scatter = np.sqrt((lowest * peak_noise) ** 2 + flank_noise**2)
        # Both flanks must be seen: beside a masked pixel a real line may look as sharp.
        seen = (_shifted(good * 1.0, -1) > 0) & (_shifted(good * 1.0, length) > 0)
        seen &= np.all([_shifted(peaks * 1.0, k) > 0 for k in range(length)], axis=0)
        sharp = seen & (lowest * height - flank > 0.5 * threshold * scatter)
        for k in range(length):
            found |= _shifted(sharp * 1.0, -k) > 0
    return found


def _lowest_flank(length: int, sigma: FloatArray, window: int) -> FloatArray:
    """Return the smallest possible ratio of the higher flank to the highest pixel of a run of a Gaussian line.

    Both above the median of the line itself in the window.
    """
    centre = np.linspace(0.0, 0.5 * (length - 1), 9)[:, None] if length > 1 else np.zeros((1, 1))
    pixel = np.arange(length)[:, None, None]
    inside = np.exp(-0.5 * ((pixel - centre) / sigma) ** 2).max(axis=0)
    flank = np.exp(-0.5 * ((centre + 1.0) / sigma) ** 2)
    flank = np.maximum(flank, np.exp(-0.5 * ((length - centre) / sigma) ** 2))
    median = np.exp(-0.5 * (((window // 2 + 1) // 2) / sigma) ** 2)
    return np.asarray(np.maximum((flank - median) / (inside - median), 0.0).min(axis=0))


def _beside(new: BoolArray, found: BoolArray, ratio: FloatArray, good: BoolArray) -> BoolArray:
    """Return pixels next to clipped ones that deviate too: the rest of a cosmic ray."""
    clipped = (new | found) * 1.0
    neighbour = (_shifted(clipped, 1) > 0) | (_shifted(clipped, -1) > 0)
    return neighbour & new.any() & good & ~found & ~new & (np.abs(ratio) > _GROWTH_THRESHOLD)
