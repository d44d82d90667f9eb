"""Dust whose law is free or that lies in two places: the factors by which it dims the stars.

One screen with a fixed law needs none of this: the models take its curve and ``dust.extinction/a_v`` alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.config.dust_options import ForegroundOptions, FreeDustOptions
from orchestrator.config.dust_parameters import SECTION, dust_parameters, free_quantities
from orchestrator.errors import DataError
from orchestrator.physics.attenuation import (
    SCHLAFLY_FINKBEINER,
    AttenuationCurve,
    galactic_transmission,
    prepare_curve,
    transmission,
)
from orchestrator.physics.dust_emission import SHORTEST
from orchestrator.physics.dust_laws import SHAPES, dust_law
from orchestrator.physics.parameter import Parameter, ParameterValues

__all__ = [
    "DustModel",
    "check_no_emission",
    "foreground_transmission",
    "needs_dust_model",
    "prepare_dust_model",
    "screen_of_options",
    "young_stars",
]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_IN_CLOUDS = "a_v_birth_cloud"


@dataclass(frozen=True)
class DustModel:
    """The dust in front of all stars, and more of it in front of the young ones.

    Attributes
    ----------
    parameters : tuple of Parameter
        What it reads, in section ``dust.extinction``.
    screen : mapping of {'good', 'covered'} to AttenuationCurve
        The law in front of all stars.
    clouds : mapping of {'good', 'covered'} to ndarray, shape (n_pixels,), or None
        A(lambda) / A_V of the birth clouds; None without them.
    young : ndarray of bool, shape (n_ssp,), or None
        SSPs behind birth clouds; None without them.
    """

    parameters: tuple[Parameter, ...]
    screen: Mapping[str, AttenuationCurve]
    clouds: Mapping[str, FloatArray] | None = None
    young: BoolArray | None = None

    def valid(self, parameters: ParameterValues) -> BoolArray:
        """Return which points have attenuation that is not negative and a law inside its range, shape (n_points,)."""
        a_v = parameters[SECTION, "a_v"]
        valid = np.isfinite(a_v) & (a_v >= 0)
        if self.clouds is not None:
            extra = parameters[SECTION, _IN_CLOUDS]
            valid &= np.isfinite(extra) & (extra >= 0)
        for name, values in self._free(parameters).items():
            valid &= np.isfinite(values)
            if name == "r_v":
                low, high = self._law.r_v_range or (0.0, np.inf)
                valid &= (values >= low) & (values <= high)
        return valid

    def factors(self, parameters: ParameterValues, which: str) -> tuple[FloatArray, FloatArray | None]:
        """Return the fraction of light that passes.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
        which : {'good', 'covered'}
            The fitted or all covered pixels.

        Returns
        -------
        old : ndarray, shape (n_points, n_pixels)
            For stars outside birth clouds.
        young : ndarray, shape (n_points, n_pixels), or None
            For those inside; None without birth clouds.
        """
        old = transmission(parameters[SECTION, "a_v"], self.screen[which](self._free(parameters)))
        if self.clouds is None:
            return old, None
        return old, old * transmission(parameters[SECTION, _IN_CLOUDS], self.clouds[which])

    @property
    def _law(self) -> Any:
        return next(iter(self.screen.values())).law

    def _free(self, parameters: ParameterValues) -> dict[str, FloatArray]:
        names = next(iter(self.screen.values())).free
        held = {
            p.name: np.full(len(parameters[SECTION, "a_v"]), p.start)
            for p in self.parameters
            if p.optional and (SECTION, p.name) not in parameters
        }
        return {name: held[name] if name in held else parameters[SECTION, name] for name in sorted(names)}


def needs_dust_model(options: Any) -> bool:
    """Return whether the options ask for more than one screen with fixed R_V."""
    if not isinstance(options, FreeDustOptions) or options.extinction_law is None:
        return False
    return bool(free_quantities(options)) or options.birth_cloud or bool(dust_law(options.extinction_law).shapes)


def prepare_dust_model(
    options: Any,
    log10_age_yr: ArrayLike,
    good_wavelength: FloatArray,
    covered_wavelength: FloatArray,
    redshift: float = 0.0,
) -> DustModel | None:
    """Return the dust of a spectrum; None for no dust or one screen with fixed R_V.

    Parameters
    ----------
    options : Options
        Of a spectral module.
    log10_age_yr : array_like, shape (n_ssp,)
        Age of every SSP in the order of the weights: metallicity by metallicity. The ages of one metallicity give
        `young` for these.
    good_wavelength, covered_wavelength : ndarray
        Rest frame, Angstrom.
    redshift : float
        To check the law of the Galaxy, whose dust is in the observed frame.

    Raises
    ------
    DataError
        If a law is not defined at the wavelengths, or emission of dust would be in the spectrum.
    """
    if isinstance(options, ForegroundOptions) and options.galactic_e_bv > 0:
        check_range(options.galactic_law, good_wavelength * (1 + redshift))
    check_no_emission(options, float(covered_wavelength.max()))
    if options.extinction_law is not None:
        check_range(options.extinction_law, good_wavelength)
    if not needs_dust_model(options):
        return None
    return screen_of_options(options, log10_age_yr, {"good": good_wavelength, "covered": covered_wavelength})


def screen_of_options(
    options: FreeDustOptions, log10_age_yr: ArrayLike, wavelengths: Mapping[str, FloatArray]
) -> DustModel:
    """Return the dust of the options on grids of wavelengths, one screen with fixed R_V included.

    Parameters
    ----------
    options : FreeDustOptions
        With an ``ExtinctionLaw``.
    log10_age_yr : array_like, shape (n_ssp,)
    wavelengths : mapping of str to ndarray
        Rest frame, Angstrom.
    """
    assert options.extinction_law is not None
    free = free_quantities(options)
    fixed = {name: float(v) for name in ("r_v", *SHAPES) if (v := getattr(options, name, None)) is not None}
    screen = {key: prepare_curve(options.extinction_law, w, free=free, fixed=fixed) for key, w in wavelengths.items()}
    # the names of the models, whatever the module calls them
    declared = _own_names(dust_parameters(options))
    if not options.birth_cloud:
        return DustModel(declared, screen)
    slope = {"slope": options.birth_cloud_slope} if options.birth_cloud_law == "power_law" else {}
    clouds = {key: prepare_curve(options.birth_cloud_law, w, fixed=slope)({})[0] for key, w in wavelengths.items()}
    return DustModel(declared, screen, clouds, young_stars(options, log10_age_yr))


def check_no_emission(options: Any, reached: float) -> None:
    """Refuse the emission of dust in a spectrum that reaches `reached`, rest frame, Angstrom.

    Raises
    ------
    DataError
        If dust emits there.
    """
    if getattr(options, "dust_emission", False) and reached > SHORTEST:
        msg = (
            f"DustEmission = T: the spectrum reaches {reached:.0f} Angstrom (rest frame), and "
            "the emission of dust from 1 micron is for photometry: set wlRange, or DustEmission = F"
        )
        raise DataError(msg)


def young_stars(options: FreeDustOptions, log10_age_yr: ArrayLike) -> NDArray[np.bool_]:
    """Return which SSPs are in birth clouds, shape (n_ssp,).

    Raises
    ------
    DataError
        If none is.
    """
    young: NDArray[np.bool_] = np.asarray(log10_age_yr, dtype=np.float64) < np.log10(options.birth_cloud_age * 1e6)
    if not young.any():
        youngest = 10 ** float(np.min(log10_age_yr)) / 1e6
        msg = (
            f"birth_cloud_age = {options.birth_cloud_age:g} Myr: the youngest SSP has "
            f"{youngest:.3g} Myr, so a_v_birth_cloud would have no effect; use a library "
            "with younger SSPs, a larger birth_cloud_age, or birth_cloud = F"
        )
        raise DataError(msg)
    return young


def check_range(law: str, wavelength: FloatArray) -> None:
    """Log that a law is continued at the wavelengths of the data, or refuse it.

    Raises
    ------
    DataError
        If the law is not continued outside its range.
    """
    note = dust_law(law).check_range(float(np.min(wavelength)), float(np.max(wavelength)))
    if note is not None:
        _warn_once(note)


@lru_cache(maxsize=64)
def _warn_once(note: str) -> None:
    """Log a note; set-up, figures and derived quantities come by here again and again."""
    logger.warning("%s", note)


def foreground_transmission(options: Any, observed_wavelength: FloatArray) -> FloatArray | None:
    """Return the fraction of light that the dust of the Galaxy lets pass.

    Parameters
    ----------
    options : Options
        Of any module.
    observed_wavelength : ndarray, shape (n_wave,)
        Angstrom.

    Returns
    -------
    ndarray, shape (n_wave,), or None
        None without ``galactic_e_bv``.
    """
    if not isinstance(options, ForegroundOptions) or options.galactic_e_bv == 0:
        return None
    factor = SCHLAFLY_FINKBEINER if options.galactic_e_bv_is_sfd else 1.0
    return galactic_transmission(
        options.galactic_e_bv, observed_wavelength, options.galactic_law, options.galactic_r_v, factor
    )


def _own_names(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    names = ("a_v", _IN_CLOUDS, "r_v", *SHAPES)
    return tuple(replace(p, section=SECTION) for p in parameters if p.name in names and "sed" not in p.section)
