"""Masses, rates, ages, metallicities and formation times that follow from a star-formation history.

Everything is batched and exact for the model: rates, ages and times come from the history itself, and only what
needs the stars of the library (metallicities and whatever light weights) from the masses of the SSPs. Nothing
here is computed during a fit unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError
from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.physics.derived_quantities import (
    DERIVED_QUANTITIES,
    LOWEST_SPECIFIC_RATE,
    unavailable_quantities,
)
from orchestrator.physics.parameter import ParameterValues
from orchestrator.physics.sfh_base import SECTION
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = [
    "VISUAL_RANGE",
    "DerivedModel",
    "FormationHistory",
    "band_luminosity",
    "check_light_range",
    "derived_model",
    "with_derived",
]

FloatArray = NDArray[np.float64]

VISUAL_RANGE = (5000.0, 6000.0)
"""Rest-frame wavelengths, Angstrom, about the V band, whose light weights by default."""

_RATE_SPANS = (0.01, 0.1)  # Gyr
_TIME_FRACTIONS = (0.5, 0.9)
_YEARS_PER_GYR = 1e9
_LEAST_FORMED = 1e-12


@dataclass(frozen=True)
class FormationHistory:
    """Star formation in steps of lookback time, for `n_points` models.

    Attributes
    ----------
    edges : ndarray, shape (n_steps + 1,)
        Lookback times, Gyr, from 0 to the big bang.
    rate : ndarray, shape (n_points, n_steps)
        Mean star-formation rate of each step, Msun/yr.
    mass_fraction : ndarray, shape (n_points, n_steps)
        Fraction of the mass formed by the end of each step (its smaller lookback time).
    log10_metallicity : ndarray, shape (n_points, n_steps)
        log10 of the metal mass fraction of the stars that form at the end of each step; the library's range
        does not limit it. It stays constant before the first 1e-12 of the mass.
    """

    edges: FloatArray
    rate: FloatArray
    mass_fraction: FloatArray
    log10_metallicity: FloatArray


@dataclass(frozen=True)
class DerivedModel:
    """What turns parameters and mass into derived quantities; from `derived_model`.

    Attributes
    ----------
    population : StellarPopulation
    age : ndarray, shape (n_ssp,)
        Ages of the SSPs, Gyr.
    log10_metallicity : ndarray, shape (n_ssp,)
    luminosity : ndarray, shape (n_ssp,)
        Of each SSP in `light_range`, Lsun per Msun formed (any scale if the library has none).
    light_range : (float, float)
        Rest-frame wavelengths, Angstrom.
    unavailable : mapping of str to str
        Quantities that the library cannot give, and why.
    """

    population: StellarPopulation
    age: FloatArray
    log10_metallicity: FloatArray
    luminosity: FloatArray
    light_range: tuple[float, float]
    unavailable: Mapping[str, str]

    @property
    def available(self) -> tuple[str, ...]:
        """Names of the quantities that can be computed, in the order of `DERIVED_QUANTITIES`."""
        return tuple(name for name in DERIVED_QUANTITIES if name not in self.unavailable)

    def evaluate(
        self, names: Iterable[str], parameters: ParameterValues, mass: FloatArray
    ) -> dict[str, FloatArray]:
        """Compute derived quantities.

        Parameters
        ----------
        names : iterable of str
            Of `available`.
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
        mass : ndarray, shape (n_points,)
            Mass formed, Msun.

        Returns
        -------
        dict of str to ndarray, shape (n_points,)
            NaN for points outside the support of the model.

        Raises
        ------
        LibraryError
            If the library cannot give one of them; the message says why.
        """
        wanted = tuple(names)
        for name in wanted:
            if name in self.unavailable:
                msg = f"{name} cannot be derived: {self.unavailable[name]}"
                raise LibraryError(msg)
        groups = {
            "rate": self._rates,
            "age": self._mass_weighted_age,
            "time": self._times,
            "population": self._population,
        }
        found: dict[str, FloatArray] = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            log_mass = np.log10(np.asarray(mass, dtype=float))
            for group in dict.fromkeys(_GROUPS[name] for name in wanted if name != "stellar_mass"):
                found |= groups[group](parameters, log_mass)
            if "stellar_mass" in wanted:
                found["stellar_mass"] = log_mass
        return {name: found[name] for name in wanted}

    def formation_history(
        self, parameters: ParameterValues, mass: FloatArray, n_steps: int = 100
    ) -> FormationHistory:
        """Return star-formation rate, mass fraction and metallicity in steps of lookback time.

        The steps widen with the square of the lookback time: the youngest ones last a million years. The rate is
        the mean of each step, so that it sums up to the mass.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
        mass : ndarray, shape (n_points,)
            Mass formed, Msun.
        n_steps : int
            Number of steps.
        """
        sfh, own = self.population.sfh, self._own(parameters)
        edges = sfh.today * np.linspace(0.0, 1.0, n_steps + 1) ** 2
        younger = sfh.young_mass(edges, own)
        formed = np.clip(1.0 - younger[:, :-1], 0.0, 1.0)
        per_year = np.maximum(np.diff(younger, axis=1), 0.0) / (np.diff(edges) * _YEARS_PER_GYR)
        today = np.reshape(own["ism_metallicity_today"], (-1, 1))
        exponent = np.reshape(own["alpha_powerlaw"], (-1, 1))
        metallicity = np.log10(today) + exponent * np.log10(np.maximum(formed, _LEAST_FORMED))
        return FormationHistory(edges, np.reshape(mass, (-1, 1)) * per_year, formed, metallicity)

    def _own(self, parameters: ParameterValues) -> dict[str, FloatArray]:
        return {p.name: parameters[SECTION, p.name] for p in self.population.sfh.parameters}

    def _rates(self, parameters: ParameterValues, log_mass: FloatArray) -> dict[str, FloatArray]:
        spans = np.minimum(np.array(_RATE_SPANS), self.population.sfh.today)
        young = self.population.sfh.young_mass(spans, self._own(parameters))
        specific = np.log10(np.maximum(young / (spans * _YEARS_PER_GYR), LOWEST_SPECIFIC_RATE))
        return {
            "log10_sfr_10myr": log_mass + specific[:, 0],
            "log10_sfr_100myr": log_mass + specific[:, 1],
            "log10_ssfr_100myr": specific[:, 1],
        }

    def _mass_weighted_age(self, parameters: ParameterValues, _: FloatArray) -> dict[str, FloatArray]:
        return {"mass_weighted_age": self.population.sfh.mass_weighted_age(self._own(parameters))}

    def _times(self, parameters: ParameterValues, _: FloatArray) -> dict[str, FloatArray]:
        sfh = self.population.sfh
        half, most = sfh.formation_time(_TIME_FRACTIONS, self._own(parameters)).T
        return {"t50": half, "t90": most, "t50_lookback": sfh.today - half, "t90_lookback": sfh.today - most}

    def _population(self, parameters: ParameterValues, log_mass: FloatArray) -> dict[str, FloatArray]:
        valid, weights = self.population.weights(parameters)
        weights = np.where(valid[:, None], weights, np.nan)
        light = weights * self.luminosity
        total = light.sum(axis=1)
        found = {
            "mass_weighted_log10_metallicity": weights @ self.log10_metallicity,
            "light_weighted_age": light @ self.age / total,
            "light_weighted_log10_metallicity": light @ self.log10_metallicity / total,
        }
        surviving = self.population.surviving_fraction(weights)
        if surviving is not None:
            found["surviving_stellar_mass"] = log_mass + np.log10(np.maximum(surviving, 1e-300))
        return found


_GROUPS = {
    "log10_sfr_10myr": "rate",
    "log10_sfr_100myr": "rate",
    "log10_ssfr_100myr": "rate",
    "mass_weighted_age": "age",
    "t50": "time",
    "t90": "time",
    "t50_lookback": "time",
    "t90_lookback": "time",
    "surviving_stellar_mass": "population",
    "mass_weighted_log10_metallicity": "population",
    "light_weighted_age": "population",
    "light_weighted_log10_metallicity": "population",
}


def check_light_range(library: SSPLibrary, light_range: tuple[float, float]) -> None:
    """Require a range of wavelengths, rest frame, Angstrom, that a library covers.

    Raises
    ------
    LibraryError
        If it does not.
    """
    (low, high), wave = light_range, library.wavelength
    if not wave[0] <= low < high <= wave[-1]:
        msg = (
            f"light_range = {low:g} {high:g} A: {library.name} covers {wave[0]:g}-{wave[-1]:g} A; choose a range "
            "inside"
        )
        raise LibraryError(msg)


def band_luminosity(library: SSPLibrary, light_range: tuple[float, float]) -> FloatArray:
    """Return the luminosity of each SSP between two wavelengths, Lsun per Msun formed, shape (n_met * n_age,).

    Parameters
    ----------
    library : SSPLibrary
    light_range : (float, float)
        Rest frame, Angstrom, inside the library; its spectra are joined by straight lines.

    Raises
    ------
    LibraryError
        If the library does not cover the range.
    """
    check_light_range(library, light_range)
    low, high = light_range
    wave = library.wavelength
    first, last = np.searchsorted(wave, low, side="right") - 1, np.searchsorted(wave, high) + 1
    part, spectra = wave[first:last], library.flux[..., first:last].reshape(-1, last - first)
    inside = (part > low) & (part < high)
    knots = np.concatenate([[low], part[inside], [high]])
    lower, upper = (_between(part, spectra, edge)[:, None] for edge in (low, high))
    return np.asarray(np.trapezoid(np.concatenate([lower, spectra[:, inside], upper], axis=1), knots, axis=1))


def _between(wavelength: FloatArray, spectra: FloatArray, at: float) -> FloatArray:
    """Return spectra at one wavelength, joined by straight lines, shape (n_spectra,)."""
    right = int(np.clip(np.searchsorted(wavelength, at), 1, len(wavelength) - 1))
    step = (at - wavelength[right - 1]) / (wavelength[right] - wavelength[right - 1])
    return np.asarray((1.0 - step) * spectra[:, right - 1] + step * spectra[:, right], dtype=float)


def derived_model(
    population: StellarPopulation, library: SSPLibrary, light_range: tuple[float, float] | None = None
) -> DerivedModel:
    """Prepare the derived quantities of a population made of the SSPs of `library`.

    Parameters
    ----------
    population : StellarPopulation
        On the ages and metallicities of `library`.
    library : SSPLibrary
    light_range : (float, float), optional
        Rest-frame wavelengths, Angstrom, whose light weights. By default `VISUAL_RANGE` where the library
        covers it, and else all that it covers.

    Raises
    ------
    LibraryError
        If the library does not cover a range that is given.
    """
    ends = (float(library.wavelength[0]), float(library.wavelength[-1]))
    if light_range is None:
        light_range = VISUAL_RANGE if ends[0] <= VISUAL_RANGE[0] and VISUAL_RANGE[1] <= ends[1] else ends
    age = 10.0 ** (library.log10_age_yr - 9.0)
    shape = (library.metallicity.size, library.log10_age_yr.size)
    return DerivedModel(
        population=population,
        age=np.ascontiguousarray(np.broadcast_to(age, shape)).ravel(),
        log10_metallicity=np.repeat(np.log10(library.metallicity), shape[1]),
        luminosity=band_luminosity(library, light_range),
        light_range=light_range,
        unavailable=unavailable_quantities(
            library.name,
            mass_normalised=library.mass_normalised,
            has_surviving_fraction=library.surviving_fraction is not None,
        ),
    )


def with_derived(
    evaluation: Evaluation, derived: DerivedModel, names: Iterable[str], parameters: ParameterValues
) -> Evaluation:
    """Return an evaluation with derived quantities among its extra outputs.

    Parameters
    ----------
    evaluation : Evaluation
        With its mass, that of all data sets so far.
    derived : DerivedModel
        Of the same model.
    names : iterable of str
        Quantities to add.
    parameters : mapping of (section, name) to ndarray, shape (n_points,)
        Those of the evaluation.
    """
    n_points = len(evaluation.log_likelihood)
    mass = np.full(n_points, np.nan) if evaluation.amplitude is None else evaluation.amplitude
    return replace(evaluation, extra={**evaluation.extra, **derived.evaluate(names, parameters, mass)})
