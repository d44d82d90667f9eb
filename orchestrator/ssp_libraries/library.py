"""One SSP library as a frozen record, and the checks that every library must pass."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError

__all__ = ["SOLAR_METALLICITY", "SSPLibrary", "check_library", "separate_repeated_wavelengths"]

SOLAR_METALLICITY = 0.02
"""Mass fraction of metals of the Sun used to turn a tabulated [M/H] into Z = 0.02 x 10**[M/H]."""

_REPEATED_WAVELENGTH_NUDGE = 1e-6
# Interpolating libraries ring slightly below zero where the stars emit nothing; more than this is a fault.
_NEGATIVE_FLUX_TOLERANCE = 1e-3


@dataclass(frozen=True)
class SSPLibrary:
    """A grid of simple stellar populations. All arrays are read-only float64, but for `flux`.

    Attributes
    ----------
    name : str
    wavelength : ndarray (n_wave,)
        Vacuum wavelength [Angstrom], strictly increasing.
    log10_age_yr : ndarray (n_age,)
        log10 of the age in years, strictly increasing.
    metallicity : ndarray (n_met,)
        Mass fraction of metals Z, strictly increasing.
    flux : ndarray (n_met, n_age, n_wave)
        Luminosity density [Lsun / Angstrom / Msun formed]; arbitrary scale where `mass_normalised` is False.
        float32 where the files hold no more than that (it is converted where it is used), else float64.
    lsf_fwhm : ndarray (n_wave,)
        Full width at half maximum of the line-spread function [Angstrom].
    surviving_fraction : ndarray (n_met, n_age) or None
        Mass in stars and remnants per mass formed; None where the library does not say. Where
        `with_remnants` is False the remnants are not in it.
    mass_normalised : bool
        False where spectra carry no mass scale (kinematics only).
    citation, licence : str
    checksum : str
        SHA-256 over the names and contents of the files it was read from.
    medium : {'vacuum', 'air'}
        Medium of the wavelengths as they stand in the files; `wavelength` is vacuum always.
    initial_mass_function : str
        Empty where the files do not say.
    resolution : str
        Where `lsf_fwhm` comes from, in words.
    with_remnants : bool
        Whether `surviving_fraction` counts white dwarfs, neutron stars and black holes.
    """

    name: str
    wavelength: NDArray[np.float64]
    log10_age_yr: NDArray[np.float64]
    metallicity: NDArray[np.float64]
    flux: NDArray[Any]
    lsf_fwhm: NDArray[np.float64]
    surviving_fraction: NDArray[np.float64] | None
    mass_normalised: bool
    citation: str
    licence: str
    checksum: str
    medium: str = "vacuum"
    initial_mass_function: str = ""
    resolution: str = ""
    with_remnants: bool = True

    def __post_init__(self) -> None:
        """Make the arrays read-only, without copying them."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                single = field.name == "flux" and value.dtype == np.float32
                # A view, so that a memory-mapped flux stays on disk until it is used.
                array = np.asarray(value, dtype=np.float32 if single else np.float64).view()
                array.flags.writeable = False
                object.__setattr__(self, field.name, array)


def separate_repeated_wavelengths(wavelength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move repeated wavelengths apart by one part in a million, keeping the order.

    Tables mark a discontinuity (the Lyman limit at 912 A in PopStar) by giving its wavelength twice; strictly
    increasing wavelengths keep the jump and make interpolation well defined.

    Parameters
    ----------
    wavelength : ndarray (n_wave,)
        Not decreasing [Angstrom].

    Returns
    -------
    ndarray (n_wave,)
    """
    separated = np.array(wavelength, dtype=np.float64)
    for i in np.flatnonzero(np.diff(separated) == 0.0) + 1:
        separated[i] = separated[i - 1] * (1.0 + _REPEATED_WAVELENGTH_NUDGE)
    return separated


def _check_axis(library: SSPLibrary, axis: str, minimum: float) -> None:
    values = getattr(library, axis)
    if values.ndim != 1 or values.size == 0:
        msg = f"SSP library {library.name!r}: {axis} has shape {values.shape}; expected one dimension, not empty"
        raise LibraryError(msg)
    if not np.all(np.isfinite(values)) or values[0] <= minimum:
        msg = f"SSP library {library.name!r}: {axis} holds values that are not finite or not above {minimum}"
        raise LibraryError(msg)
    if np.any(np.diff(values) <= 0.0):
        where = int(np.flatnonzero(np.diff(values) <= 0.0)[0])
        msg = (
            f"SSP library {library.name!r}: {axis} must increase strictly; "
            f"found {float(values[where])!r} followed by {float(values[where + 1])!r} at index {where}"
        )
        raise LibraryError(msg)


def _check_shape(library: SSPLibrary, field: str, expected: tuple[int, ...]) -> None:
    shape = getattr(library, field).shape
    if shape != expected:
        msg = f"SSP library {library.name!r}: {field} has shape {shape}; expected {expected}"
        raise LibraryError(msg)


def _check_spectra(library: SSPLibrary) -> None:
    """Check the flux, one metallicity at a time: no second array of the library's size is made."""
    n_bad = sum(int(np.count_nonzero(~np.isfinite(spectra))) for spectra in library.flux)
    if n_bad:
        msg = f"SSP library {library.name!r}: {n_bad} flux values are NaN or infinite; expected finite values"
        raise LibraryError(msg)
    highest = library.flux.max(axis=-1)
    if np.any(highest <= 0.0):
        i, j = (int(k) for k in np.argwhere(highest <= 0.0)[0])
        msg = (
            f"SSP library {library.name!r}: the spectrum of Z = {library.metallicity[i]:g}, "
            f"log10(age/yr) = {library.log10_age_yr[j]:g} has no positive flux"
        )
        raise LibraryError(msg)
    if np.any(library.flux.min(axis=-1) < -_NEGATIVE_FLUX_TOLERANCE * highest):
        msg = (
            f"SSP library {library.name!r}: flux is negative down to {float(library.flux.min()):.3g}; expected "
            f"non-negative luminosities (-{_NEGATIVE_FLUX_TOLERANCE:g} of the maximum is tolerated)"
        )
        raise LibraryError(msg)


def check_library(library: SSPLibrary) -> SSPLibrary:
    """Return the library unchanged, or say what is wrong with it.

    Parameters
    ----------
    library : SSPLibrary

    Returns
    -------
    SSPLibrary

    Raises
    ------
    LibraryError
        An axis that is empty, not finite or not strictly increasing; sizes that do not agree; flux that is
        not finite, negative by more than 1e-3 of the largest value of its spectrum, or zero throughout a
        spectrum; a surviving fraction outside 0..1; a medium that is neither air nor vacuum.
    """
    if library.medium not in ("air", "vacuum"):
        msg = f"SSP library {library.name!r}: medium is {library.medium!r}; expected 'vacuum' or 'air'"
        raise LibraryError(msg)
    _check_axis(library, "wavelength", 0.0)
    _check_axis(library, "log10_age_yr", -np.inf)
    _check_axis(library, "metallicity", 0.0)
    n_met, n_age, n_wave = library.metallicity.size, library.log10_age_yr.size, library.wavelength.size
    _check_shape(library, "flux", (n_met, n_age, n_wave))
    _check_shape(library, "lsf_fwhm", (n_wave,))
    _check_spectra(library)
    if not np.all(np.isfinite(library.lsf_fwhm)) or np.any(library.lsf_fwhm < 0.0):
        msg = f"SSP library {library.name!r}: lsf_fwhm must be finite and not negative [Angstrom]"
        raise LibraryError(msg)
    if library.surviving_fraction is not None:
        _check_shape(library, "surviving_fraction", (n_met, n_age))
        if not np.all((library.surviving_fraction >= 0.0) & (library.surviving_fraction <= 1.0)):
            msg = f"SSP library {library.name!r}: surviving_fraction must lie within 0..1"
            raise LibraryError(msg)
    return library
