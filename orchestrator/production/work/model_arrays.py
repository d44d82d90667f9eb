"""Data and best-fit model of each module of a fit as arrays, from the modules that have just been used.

======================  ==============================================================================================
spectra                 ``wavelength`` (observed frame, vacuum, Angstrom), ``flux``, ``error``, ``model``
                        (erg/s/cm2/Angstrom), ``fitted`` (bool) on the pixels that the model covers
photometry              ``band``, ``wavelength`` (effective, observed frame, Angstrom), ``flux``, ``error``, ``model``
                        (erg/s/cm2/Hz), ``upper_limit``, ``lower_limit`` (bool)
indices                 ``index``, ``value``, ``error``, ``model`` (Angstrom, mag or ratio)
any other module        ``model``, what its ``make_observable`` returns
======================  ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["model_arrays"]

Arrays = dict[str, NDArray[Any]]
_SMALL, _LARGE = 1e-30, 1e30


def model_arrays(module: Any, block: Any) -> Arrays:
    """Return data and model of one module at one point.

    Parameters
    ----------
    module : CosmosisModule
        Of the run.
    block : DataBlock
        The point, executed, so that modules share one stellar mass.

    Returns
    -------
    dict of str to ndarray
        In single precision. Empty for a module that has no model to show.
    """
    for name, reader in _readers().items():
        if any(base.__name__ == name for base in type(module).__mro__):
            return {key: _compact(array) for key, array in reader(module, block).items()}
    if callable(getattr(module, "make_observable", None)):
        return {"model": _compact(np.asarray(module.make_observable(block)))}
    return {}


def _readers() -> dict[str, Callable[[Any, Any], Arrays]]:
    """By the name of a module's base: CosmoSIS loads module files a second time, under other names."""
    return {
        "SpectrumModule": _spectrum,
        "KinematicsModule": _kinematics,
        "RedshiftModule": _redshift,
        "PhotometryModule": _photometry,
        "IndexModule": _indices,
    }


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in single precision where their size allows it: 0.02 km/s in a wavelength."""
    if array.dtype != np.float64:
        return array
    size = np.abs(array[np.isfinite(array) & (array != 0)])
    fits = size.size == 0 or (size.min() > _SMALL and size.max() < _LARGE)
    return array.astype(np.float32) if fits else array


def _pixels(spectrum: Any, covered: NDArray[np.bool_], model: NDArray[Any], fitted: NDArray[np.bool_]) -> Arrays:
    return {
        "wavelength": spectrum.wavelength[covered],
        "flux": spectrum.flux[covered],
        "error": spectrum.uncertainty[covered],
        "model": model,
        "fitted": fitted[covered],
    }


def _spectrum(module: Any, block: Any) -> Arrays:
    flux, _ = module.model.model_spectrum(module.read_parameters(block), module.joint_mass(block))
    pixels = module.model.pixels
    return _pixels(module.fit.spectrum, pixels.covered, flux[0], pixels.good_pixels)


def _kinematics(module: Any, block: Any) -> Arrays:
    fit, pixels = module.kinematics.model_flux(module.read_parameters(block)), module.kinematics.pixels
    return _pixels(module.spectrum, pixels.covered, fit.flux[0], pixels.good_pixels)


def _redshift(module: Any, block: Any) -> Arrays:
    fit = module.fit
    return _pixels(fit.spectrum, fit.covered, module.make_observable(block), fit.good_pixels)


def _photometry(module: Any, block: Any) -> Arrays:
    data, parameters = module.model.photometry, module.read_parameters(block)
    mass = module.joint_mass(block)
    model = module.make_observable(block) if mass is None else module.model.model_fluxes(parameters, mass)[0]
    return {
        "band": np.array(data.filter_names, dtype=np.bytes_),
        "wavelength": np.asarray(module.fit.effective_wavelength),
        "flux": data.flux,
        "error": data.uncertainty,
        "model": model,
        "upper_limit": data.is_upper_limit,
        "lower_limit": data.is_lower_limit,
    }


def _indices(module: Any, block: Any) -> Arrays:
    data = module.model.data
    return {
        "index": np.array(data.names, dtype=np.bytes_),
        "value": data.values,
        "error": np.sqrt(np.diag(data.covariance)),
        "model": module.make_observable(block),
    }
