"""Set-up of the light of galaxies in bands: stars, dust, and what lies between the galaxy and us."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.dust_parameters import free_quantities
from orchestrator.config.photometry_options import SFHPhotometryOptions
from orchestrator.forward_model.dust_model import (
    check_range,
    foreground_transmission,
    needs_dust_model,
    screen_of_options,
)
from orchestrator.forward_model.dusty_photometry import DustyLight, InfraredEmission
from orchestrator.forward_model.spectrum_fit import flux_per_luminosity
from orchestrator.observation.filters import Filter
from orchestrator.physics.attenuation import attenuation_curve
from orchestrator.physics.dust_emission import emission_grid, integral_weights
from orchestrator.physics.dust_laws import dust_law
from orchestrator.physics.igm import igm_transmission
from orchestrator.physics.photometry import BandTable, band_flux_weights, band_functional, ssp_band_table
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["on_the_way", "prepare_light", "spectrum_grid"]

FloatArray = NDArray[np.float64]

_STARS_ONLY = 5e4  # Angstrom, rest frame: redwards the attenuation of stars does not matter
_FIRST_ABSORBED, _LAST_ABSORBED = 912.0, 22000.0  # Angstrom: nearly all that dust absorbs
_TAIL = 1e8  # Angstrom
_N_TAIL = 200


def on_the_way(options: SFHPhotometryOptions, observed: FloatArray) -> FloatArray:
    """Return the fraction of light that reaches us from the galaxy, shape (n_wave,).

    Parameters
    ----------
    options : SFHPhotometryOptions
    observed : ndarray, shape (n_wave,)
        Observed frame, Angstrom.
    """
    passing = igm_transmission(observed, options.redshift, options.igm)
    foreground = foreground_transmission(options, observed)
    return passing if foreground is None else passing * foreground


def spectrum_grid(light: DustyLight) -> FloatArray:
    """Return wavelengths for a figure, rest frame, Angstrom: those of the stars and of the dust."""
    if light.emission is None:
        return light.wavelength
    return np.union1d(light.wavelength, emission_grid())


def prepare_light(
    options: SFHPhotometryOptions, library: SSPLibrary, filters: Sequence[Filter], *, whole: bool = False
) -> tuple[BandTable | None, DustyLight | None]:
    """Prepare the band fluxes of the SSPs.

    Parameters
    ----------
    options : SFHPhotometryOptions
    library : SSPLibrary
    filters : sequence of Filter
    whole : bool
        Keep all wavelengths, for a spectrum to show.

    Returns
    -------
    table : BandTable or None
        For one screen with fixed R_V; None where that never is the model.
    light : DustyLight or None
        For everything else; None where the table always serves.

    Raises
    ------
    DataError
        The library does not cover a band, or a law of attenuation not the wavelengths.
    """
    _check_law(options, filters)
    general = needs_dust_model(options) or options.dust_emission
    plain_r_v = _plain_r_v(options)
    table = None
    if not general or plain_r_v is not None:
        table = _band_table(options, library, filters, plain_r_v)
    return table, _dusty_light(options, library, filters, plain_r_v, whole) if general else None


def _plain_r_v(options: SFHPhotometryOptions) -> float | None:
    """Return the R_V that is held where the values file does not give it, if nothing else differs from a screen."""
    if options.r_v_free or options.birth_cloud or options.dust_emission or free_quantities(options) != ("r_v",):
        return None
    return dust_law(options.extinction_law or "").r_v


def _band_table(
    options: SFHPhotometryOptions, library: SSPLibrary, filters: Sequence[Filter], r_v: float | None
) -> BandTable:
    return ssp_band_table(
        library.wavelength,
        library.flux.reshape(-1, library.flux.shape[-1]),
        options.redshift,
        filters,
        attenuation_curve(
            options.extinction_law, library.wavelength, options.r_v if r_v is None else r_v, beyond=True
        ),
        _scale(options),
        on_the_way=on_the_way(options, library.wavelength * (1 + options.redshift)),
        a_v_max=options.a_v_max,
    )


def _dusty_light(
    options: SFHPhotometryOptions,
    library: SSPLibrary,
    filters: Sequence[Filter],
    plain_r_v: float | None,
    whole: bool,
) -> DustyLight:
    wavelength = library.wavelength
    flux = np.asarray(library.flux.reshape(-1, wavelength.size), dtype=np.float64)
    if options.dust_emission:
        wavelength, flux = _with_tail(wavelength, flux)
    observed = wavelength * (1 + options.redshift)
    functional = band_functional(observed, filters) * (_scale(options) * on_the_way(options, observed))
    balance = options.dust_emission and options.dust_calorimetric
    if not (balance or whole):
        seen = (functional != 0.0).any(axis=0)
        wavelength, flux, functional = wavelength[seen], flux[:, seen], functional[:, seen]
    dust = None
    if options.extinction_law is not None:
        ages = np.tile(library.log10_age_yr, len(library.metallicity))
        dust = screen_of_options(options, ages, {"good": wavelength})
    emission = None
    if options.dust_emission:
        emission = InfraredEmission(
            _emission_functional(options, filters), integral_weights(wavelength) if balance else None
        )
    return DustyLight(wavelength, np.ascontiguousarray(flux), functional, dust, emission, plain_r_v)


def _with_tail(wavelength: FloatArray, flux: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Continue spectra as wavelength to the power -4, so that stars are defined wherever dust emits."""
    last = float(wavelength[-1])
    if last >= _TAIL:
        return wavelength, flux
    tail = np.geomspace(last, _TAIL, _N_TAIL)[1:]
    return np.append(wavelength, tail), np.hstack([flux, flux[:, -1:] * (tail / last) ** -4.0])


def _emission_functional(options: SFHPhotometryOptions, filters: Sequence[Filter]) -> FloatArray:
    """Return the band fluxes of a spectrum on `emission_grid`, shape (n_bands, n_grid)."""
    grid = emission_grid()
    # points without emission on either side, so that every band is covered
    padded = np.concatenate([[1.0, grid[0] * (1 - 1e-9)], grid, [grid[-1] * (1 + 1e-9), 1e12]])
    observed = padded * (1 + options.redshift)
    rows = [band_flux_weights(observed, f.wavelength, f.transmission, f.name)[2:-2] for f in filters]
    return np.stack(rows) * (_scale(options) * on_the_way(options, observed[2:-2]))


def _scale(options: SFHPhotometryOptions) -> float:
    return flux_per_luminosity(options.redshift, options.h0, options.omega_m, options.distance_mpc)


def _check_law(options: SFHPhotometryOptions, filters: Sequence[Filter]) -> None:
    """Log that the law is continued at the bands, or refuse it."""
    observed = np.array([f.effective_wavelength for f in filters])
    if options.galactic_e_bv > 0 and (observed < _STARS_ONLY).any():
        check_range(options.galactic_law, observed[observed < _STARS_ONLY])
    if options.extinction_law is None:
        return
    rest = observed / (1 + options.redshift)
    needed = rest[rest < _STARS_ONLY]
    if options.dust_emission and options.dust_calorimetric:
        law = dust_law(options.extinction_law)
        if not law.continues:
            needed = np.append(needed, [_FIRST_ABSORBED, _LAST_ABSORBED])
    if needed.size:
        check_range(options.extinction_law, needed)
