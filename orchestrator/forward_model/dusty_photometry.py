"""Band fluxes through dust whose law is free, that lies in two places, or that emits in the infrared.

The whole spectrum is made for each point, on the wavelengths that a band or the balance of energy needs. One screen
with a fixed law does not need this: :class:`orchestrator.physics.photometry.BandTable` is faster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.dust_parameters import SECTION
from orchestrator.forward_model.dust_model import DustModel
from orchestrator.physics.dust_emission import EMISSION_PARAMETERS, EMISSION_SECTION, casey2012, emission_grid
from orchestrator.physics.parameter import ParameterValues

__all__ = ["DustyLight", "InfraredEmission"]

FloatArray = NDArray[np.float64]

_POINTS_AT_ONCE = 64
"""Bounds the memory of a batch; larger blocks are not faster."""


@dataclass(frozen=True)
class InfraredEmission:
    """The light of the dust itself.

    Attributes
    ----------
    functional : ndarray, shape (n_bands, n_grid)
        Band fluxes of a spectrum in Lsun/Angstrom on `emission_grid`.
    energy : ndarray, shape (n_wave,) or None
        Weights of the integral of a stellar spectrum; None where the luminosity is a parameter.
    """

    functional: FloatArray
    energy: FloatArray | None

    def spectrum(self, parameters: ParameterValues, absorbed: FloatArray) -> FloatArray:
        """Return the emission on `emission_grid`, Lsun/Angstrom per Msun formed, shape (n_points, n_grid).

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
        absorbed : ndarray, shape (n_points,)
            Lsun per Msun formed.
        """
        values = list(_emission_values(parameters, len(absorbed)).values())
        luminosity = absorbed
        if self.energy is None:
            luminosity = 10.0 ** parameters[EMISSION_SECTION, "log10_lum_ir"]
        if all((value == value[0]).all() for value in values):  # one shape for all points
            values = [value[:1] for value in values]
        return luminosity[:, None] * casey2012(emission_grid(), *values)


@dataclass(frozen=True)
class DustyLight:
    """SSPs on the wavelengths that are needed, the dust in front of them, and its emission.

    Attributes
    ----------
    wavelength : ndarray, shape (n_wave,)
        Rest frame, Angstrom.
    flux : ndarray, shape (n_ssp, n_wave)
        Lsun/Angstrom per Msun.
    functional : ndarray, shape (n_bands, n_wave)
        Band fluxes of a stellar spectrum.
    dust : DustModel or None
        With the wavelengths of `flux` under the key 'good'; None for no attenuation.
    emission : InfraredEmission or None
    plain_r_v : float or None
        R_V for which a `BandTable` gives the same; None if none does.
    """

    wavelength: FloatArray
    flux: FloatArray
    functional: FloatArray
    dust: DustModel | None
    emission: InfraredEmission | None
    plain_r_v: float | None = None

    def is_plain(self, parameters: ParameterValues) -> bool:
        """Return whether all points have the R_V of a table."""
        if self.plain_r_v is None:
            return False
        return (SECTION, "r_v") not in parameters or bool((parameters[SECTION, "r_v"] == self.plain_r_v).all())

    def band_fluxes(self, parameters: ParameterValues, weights: FloatArray) -> FloatArray:
        """Return the flux in every band, erg/s/cm2/Hz per Msun formed, shape (n_points, n_bands)."""
        found = []
        for start in range(0, len(weights), _POINTS_AT_ONCE):
            part = slice(start, start + _POINTS_AT_ONCE)
            own = {key: values[part] for key, values in parameters.items()}
            found.append(self._band_fluxes(own, weights[part]))
        return np.concatenate(found) if found else np.zeros((0, len(self.functional)))

    def spectrum(self, parameters: ParameterValues, weights: FloatArray, wavelength: FloatArray) -> FloatArray:
        """Return the spectrum of the first point as it leaves the galaxy, Lsun/Angstrom per Msun formed.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
        weights : ndarray, shape (n_points, n_ssp)
        wavelength : ndarray, shape (n_out,)
            Where the emission of the dust is wanted, Angstrom; see :func:`figure_grid`.
        """
        first = {key: values[:1] for key, values in parameters.items()}
        stars, absorbed = self._stars(first, weights[:1])
        found = np.interp(wavelength, self.wavelength, stars[0], right=0.0)
        if self.emission is not None:
            emitted = self.emission.spectrum(first, absorbed)[0]
            found += np.interp(wavelength, emission_grid(), emitted, left=0.0, right=0.0)
        return found

    def valid(self, parameters: ParameterValues) -> NDArray[np.bool_]:
        """Return which points have possible dust, shape (n_points,)."""
        n_points = len(next(iter(parameters.values())))
        valid = np.ones(n_points, dtype=bool) if self.dust is None else self.dust.valid(parameters)
        if self.emission is not None:
            for values in _emission_values(parameters, n_points).values():
                valid &= np.isfinite(values) & (values > 0)
        return valid

    def harmless(self, parameters: ParameterValues, valid: NDArray[np.bool_]) -> ParameterValues:
        """Return the parameters with possible values of dust where a point has none."""
        if valid.all():
            return parameters
        usual = {p: 1.0 for p in parameters if p[0] == EMISSION_SECTION}
        usual |= {(EMISSION_SECTION, name): entry[1] for name, entry in EMISSION_PARAMETERS.items()}
        usual |= {(p.section, p.name): p.start for p in (self.dust.parameters if self.dust is not None else ())}
        return {key: np.where(valid, x, usual[key]) if key in usual else x for key, x in parameters.items()}

    def _band_fluxes(self, parameters: ParameterValues, weights: FloatArray) -> FloatArray:
        stars, absorbed = self._stars(parameters, weights)
        fluxes = stars @ self.functional.T
        if self.emission is not None:
            fluxes += self.emission.spectrum(parameters, absorbed) @ self.emission.functional.T
        return fluxes

    def _stars(self, parameters: ParameterValues, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the spectrum that leaves the galaxy, shape (n_points, n_wave), and the luminosity absorbed."""
        if self.dust is None:
            return self._light(weights), np.zeros(len(weights))
        old, young = self.dust.factors(parameters, "good")
        energy = None if self.emission is None else self.emission.energy
        if young is None or self.dust.young is None:
            light = self._light(weights)
            passing = light * old
            absorbed = np.zeros(len(weights)) if energy is None else (light - passing) @ energy
            return passing, absorbed
        in_clouds = self._light(np.where(self.dust.young, weights, 0.0))
        outside = self._light(np.where(self.dust.young, 0.0, weights))
        passing = outside * old + in_clouds * young
        absorbed = np.zeros(len(weights)) if energy is None else (in_clouds + outside - passing) @ energy
        return passing, absorbed

    def _light(self, weights: FloatArray) -> FloatArray:
        # a star-formation history is a line through ages and metallicities: most SSPs have no mass
        used = np.flatnonzero((weights != 0.0).any(axis=0))
        if 2 * len(used) < weights.shape[1]:
            return np.asarray(weights[:, used] @ self.flux[used])
        return np.asarray(weights @ self.flux)


def _emission_values(parameters: ParameterValues, n_points: int) -> dict[str, FloatArray]:
    """Return the parameters of the emission; those that were left out at their usual values."""
    return {
        name: parameters.get((EMISSION_SECTION, name), np.full(n_points, entry[1]))
        for name, entry in EMISSION_PARAMETERS.items()
    }
