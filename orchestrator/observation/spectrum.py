"""An observed spectrum as a frozen record in which no bad pixel can do harm."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.errors import DataError

__all__ = ["FLUX_UNIT", "Spectrum", "check_wavelength", "spectrum_from_arrays"]

FLUX_UNIT = "erg / (s cm2 Angstrom)"

logger = logging.getLogger(__name__)


def _read_only(values: ArrayLike, dtype: type = np.float64) -> NDArray[Any]:
    array: NDArray[Any] = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


@dataclass(frozen=True)
class Spectrum:
    """One observed spectrum. All arrays are read-only copies.

    A pixel whose flux is not finite, whose uncertainty is not finite and positive, or whose weight is zero is
    never good. Flux and uncertainty of every pixel that is not good are replaced by 0 and infinity, so that a
    masked cosmic ray cannot leak into anything computed from them.

    Attributes
    ----------
    wavelength : ndarray (n,)
        Observed frame, vacuum [Angstrom], strictly increasing.
    flux, uncertainty : ndarray (n,)
        Flux density and its standard deviation [erg/s/cm2/Angstrom].
    good_pixels : ndarray of bool (n,)
    weights : ndarray (n,)
        Factor on the inverse variance, 0 or more; `inverse_variance` does not include it.
    lsf_fwhm : ndarray (n,) or None
        FWHM of the line-spread function in the observed frame [Angstrom].
    redshift : float
    name : str
    flux_unit : str
    meta : Mapping
        What the file says beyond this.
    """

    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    good_pixels: NDArray[np.bool_]
    weights: NDArray[np.float64]
    lsf_fwhm: NDArray[np.float64] | None = None
    redshift: float = 0.0
    name: str = "spectrum"
    flux_unit: str = FLUX_UNIT
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Keep read-only copies and check that they belong together."""
        wavelength = _read_only(self.wavelength)
        for name in ("flux", "uncertainty", "good_pixels", "weights", "lsf_fwhm"):
            value = getattr(self, name)
            if value is not None and np.shape(value) != wavelength.shape:
                msg = (
                    f"{name} has shape {np.shape(value)}; expected that of the wavelengths, "
                    f"{wavelength.shape}"
                )
                raise ValueError(msg)
        flux = np.asarray(self.flux, dtype=np.float64)
        uncertainty = np.asarray(self.uncertainty, dtype=np.float64)
        weights = np.asarray(self.weights, dtype=np.float64)
        if not np.all(np.isfinite(weights) & (weights >= 0.0)):
            msg = "weights must be finite and not negative"
            raise ValueError(msg)
        usable = np.isfinite(flux) & np.isfinite(uncertainty) & (uncertainty > 0.0) & (weights > 0.0)
        good = np.asarray(self.good_pixels, dtype=bool) & usable
        object.__setattr__(self, "wavelength", wavelength)
        object.__setattr__(self, "flux", _read_only(np.where(good, flux, 0.0)))
        object.__setattr__(self, "uncertainty", _read_only(np.where(good, uncertainty, np.inf)))
        object.__setattr__(self, "good_pixels", _read_only(good, bool))
        object.__setattr__(self, "weights", _read_only(weights))
        if self.lsf_fwhm is not None:
            object.__setattr__(self, "lsf_fwhm", _read_only(self.lsf_fwhm))
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    @property
    def rest_wavelength(self) -> NDArray[np.float64]:
        """Vacuum wavelength in the rest frame [Angstrom], shape (n,)."""
        return self.wavelength / (1.0 + self.redshift)

    @property
    def lsf_fwhm_rest(self) -> NDArray[np.float64] | None:
        """FWHM of the line-spread function in the rest frame [Angstrom], shape (n,): divided by 1 + z."""
        return None if self.lsf_fwhm is None else self.lsf_fwhm / (1.0 + self.redshift)

    @property
    def inverse_variance(self) -> NDArray[np.float64]:
        """Inverse variance without the weights, shape (n,); 0 where a pixel is not good."""
        return 1.0 / self.uncertainty**2  # infinite where not good


def check_wavelength(wavelength: NDArray[np.float64], name: str) -> None:
    """Raise a DataError unless wavelengths are one row of finite, positive, strictly increasing values."""
    if wavelength.ndim != 1 or wavelength.size < 2:
        msg = (
            f"{name}: found wavelengths of shape {wavelength.shape}; expected one row of at least two pixels"
        )
        raise DataError(msg)
    if not np.all(np.isfinite(wavelength)) or np.any(wavelength <= 0.0):
        where = int(np.flatnonzero(~(np.isfinite(wavelength) & (wavelength > 0.0)))[0])
        msg = (
            f"{name}: wavelength {float(wavelength[where])!r} at pixel {where}; expected finite positive "
            "values"
        )
        raise DataError(msg)
    if np.any(np.diff(wavelength) <= 0.0):
        where = int(np.flatnonzero(np.diff(wavelength) <= 0.0)[0])
        msg = (
            f"{name}: wavelengths must increase strictly; found {float(wavelength[where])!r} followed by "
            f"{float(wavelength[where + 1])!r} at pixel {where}; sort the spectrum and merge repeated pixels"
        )
        raise DataError(msg)


def _report_bad_pixels(
    flux: NDArray[np.float64],
    uncertainty: NDArray[np.float64],
    good: NDArray[np.bool_],
    weights: NDArray[np.float64],
    name: str,
) -> None:
    """Log how many pixels are left out and why; invalid values that no mask had announced are a warning."""
    announced = int(np.count_nonzero(~good | (weights == 0.0)))
    open_pixels = good & (weights > 0.0)
    counts = {
        "NaN or infinite flux": int(np.count_nonzero(open_pixels & ~np.isfinite(flux))),
        "NaN or infinite error": int(np.count_nonzero(open_pixels & ~np.isfinite(uncertainty))),
        "zero error": int(np.count_nonzero(open_pixels & (uncertainty == 0.0))),
        "negative error": int(np.count_nonzero(open_pixels & (uncertainty < 0.0))),
    }
    if announced:
        logger.info("%s: %d of %d pixels are masked", name, announced, flux.size)
    found = ", ".join(f"{count} with {reason}" for reason, count in counts.items() if count)
    if found:
        logger.warning(
            "%s: of %d pixels that were not masked, left out now: %s", name, flux.size - announced, found
        )


def spectrum_from_arrays(
    wavelength: ArrayLike,
    flux: ArrayLike,
    uncertainty: ArrayLike,
    *,
    good_pixels: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    lsf_fwhm: ArrayLike | None = None,
    redshift: float = 0.0,
    name: str = "spectrum",
    meta: Mapping[str, Any] | None = None,
) -> Spectrum:
    """Make a spectrum from arrays, with every check that the readers make.

    Parameters
    ----------
    wavelength : array_like (n,)
        Observed frame, vacuum [Angstrom].
    flux, uncertainty : array_like (n,)
        [erg/s/cm2/Angstrom].
    good_pixels : array_like of bool (n,), optional
        All of them if left out.
    weights : array_like (n,), optional
        1 if left out.
    lsf_fwhm : array_like (n,), optional
        Observed frame [Angstrom].
    redshift : float
    name : str
        For messages and titles.
    meta : Mapping, optional

    Returns
    -------
    Spectrum

    Raises
    ------
    DataError
        Wavelengths that are not positive and strictly increasing, arrays of other lengths, a redshift of -1
        or less, a line-spread function that is not finite and not negative, or not one pixel that can be
        used.
    """
    waves = np.asarray(wavelength, dtype=np.float64)
    check_wavelength(waves, name)
    fluxes, sigmas = np.asarray(flux, dtype=np.float64), np.asarray(uncertainty, dtype=np.float64)
    good = np.ones(waves.shape, dtype=bool) if good_pixels is None else np.asarray(good_pixels, dtype=bool)
    factors = np.ones(waves.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    widths = None if lsf_fwhm is None else np.asarray(lsf_fwhm, dtype=np.float64)
    for label, array in (("flux", fluxes), ("error", sigmas), ("mask", good), ("weights", factors)):
        if array.shape != waves.shape:
            msg = f"{name}: {label} has {array.size} values; expected {waves.size}, one per wavelength"
            raise DataError(msg)
    if not np.isfinite(redshift) or redshift <= -1.0:
        msg = f"{name}: redshift {redshift!r}; expected a finite value above -1"
        raise DataError(msg)
    if widths is not None and (
        widths.shape != waves.shape or not np.all(np.isfinite(widths) & (widths >= 0.0))
    ):
        msg = f"{name}: the FWHM of the line-spread function must be finite and not negative in every pixel"
        raise DataError(msg)
    _report_bad_pixels(fluxes, sigmas, good, factors, name)
    spectrum = Spectrum(
        waves, fluxes, sigmas, good, factors, widths, float(redshift), name, FLUX_UNIT, dict(meta or {})
    )
    if not spectrum.good_pixels.any():
        raise DataError(_why_nothing_is_left(fluxes, sigmas, good & (factors > 0.0), name))
    return spectrum


def _why_nothing_is_left(
    flux: NDArray[np.float64], uncertainty: NDArray[np.float64], open_pixels: NDArray[np.bool_], name: str
) -> str:
    total = flux.size
    if not open_pixels.any():
        return f"{name}: all {total} pixels are masked; there is nothing to fit"
    if not np.any(np.isfinite(uncertainty[open_pixels]) & (uncertainty[open_pixels] > 0.0)):
        return (
            f"{name}: none of the {int(open_pixels.sum())} unmasked pixels has a finite positive error (all "
            "are zero, "
            "negative, NaN or infinite); expected standard deviations in the third column or as inverse "
            "variance"
        )
    if not np.any(np.isfinite(flux[open_pixels])):
        return f"{name}: the flux of all {int(open_pixels.sum())} unmasked pixels is NaN or infinite"
    return f"{name}: no pixel of {total} has a finite flux and a finite positive error, and is not masked"
