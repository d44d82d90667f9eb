"""Dimming of starlight by dust: curves with free or fixed shape, on a grid of wavelengths that stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.errors import DataError
from orchestrator.physics.dust_laws import LAWS, LYMAN_LIMIT, SHAPES, DustLaw, dust_law

__all__ = [
    "LAWS",
    "AttenuationCurve",
    "attenuation_curve",
    "default_r_v",
    "galactic_transmission",
    "prepare_curve",
    "transmission",
]

FloatArray = NDArray[np.float64]

SCHLAFLY_FINKBEINER = 0.86
"""E(B-V) over that of Schlegel, Finkbeiner & Davis (1998): Schlafly & Finkbeiner (2011, ApJ 737, 103)."""

_MAGNITUDE = 0.4 * np.log(10.0)
_V_BAND = 5500.0  # Angstrom
_CALZETTI_R_V = 4.05
_BUMP_CENTRE, _BUMP_WIDTH = 2175.0, 350.0  # Angstrom
_NODE_COUNTS = (2, 4, 6, 8, 12, 16, 24, 32)
_TOLERANCE = 1e-8


def default_r_v(law: str) -> float:
    """Return the A_V / E(B-V) that a law is usually used with: 4.05 for calzetti00, 3.1 for most others."""
    return dust_law(law).r_v


def attenuation_curve(
    law: str | None,
    wavelength: ArrayLike,
    r_v: float | None = None,
    shape: Mapping[str, float | None] | None = None,
    *,
    beyond: bool = False,
) -> FloatArray:
    """Return ``A(lambda) / A_V``.

    Parameters
    ----------
    law : str or None
        One of `LAWS`; None for no dust, which gives zeros.
    wavelength : array_like, shape (n_wave,)
        Rest frame, Angstrom.
    r_v : float, optional
        ``A_V / E(B-V)``; :func:`default_r_v` if left out.
    shape : mapping, optional
        ``delta``, ``bump`` and ``slope`` of the laws that have them.
    beyond : bool
        Also accept wavelengths outside the range of a law that is not continued there, such as those of UV only; for
        a grid that is wider than what counts.

    Returns
    -------
    ndarray, shape (n_wave,)

    Raises
    ------
    DataError
        If the law is unknown, has another ``r_v`` than the one asked for and cannot change it, or is not defined at
        the wavelengths.

    Notes
    -----
    Outside the range of a law its curve goes on as :meth:`DustLaw.evaluate` says; below 912 Angstrom it keeps its
    value at 912 Angstrom. Where a law falls below zero (calzetti00 beyond 2.2 micron) it is held at zero.
    """
    if law is None:
        return np.zeros_like(np.asarray(wavelength, dtype=np.float64))
    fixed = {name: value for name, value in (shape or {}).items() if value is not None}
    if r_v is not None:
        fixed["r_v"] = float(r_v)
    if not beyond and np.size(wavelength):
        dust_law(law).check_range(float(np.min(wavelength)), float(np.max(wavelength)))
    return prepare_curve(law, wavelength, fixed=fixed)({})[0]


def transmission(a_v: ArrayLike, curve: FloatArray) -> FloatArray:
    """Return the fraction of light that passes, ``10**(-0.4 A_V curve)``, shape (n_points, n_wave).

    Parameters
    ----------
    a_v : array_like, shape (n_points,)
        mag.
    curve : ndarray, shape (n_wave,) or (n_points, n_wave)
        From :func:`attenuation_curve` or an `AttenuationCurve`.
    """
    exponent = -_MAGNITUDE * np.asarray(a_v, dtype=np.float64)
    return np.asarray(np.exp(exponent[:, None] * curve))


def galactic_transmission(
    e_bv: float, wavelength: ArrayLike, law: str = "fitzpatrick99", r_v: float | None = None, factor: float = 1.0
) -> FloatArray:
    """Return the fraction of light that the dust of the Galaxy lets pass.

    Parameters
    ----------
    e_bv : float
        E(B-V), mag.
    wavelength : array_like, shape (n_wave,)
        Observed frame, Angstrom.
    law : str
        One of `LAWS`.
    r_v : float, optional
        A_V / E(B-V); that of the law if left out.
    factor : float
        Recalibration of E(B-V), such as `SCHLAFLY_FINKBEINER`.
    """
    ratio = default_r_v(law) if r_v is None else r_v
    curve = attenuation_curve(law, wavelength, r_v, beyond=True)
    return np.asarray(np.exp(-_MAGNITUDE * ratio * e_bv * factor * curve))


@dataclass(frozen=True)
class AttenuationCurve:
    """A law on a grid of wavelengths; from :func:`prepare_curve`.

    Attributes
    ----------
    law : DustLaw
    free : frozenset of str
        What varies from point to point: ``r_v``, ``delta``, ``bump``, ``slope``.
    fixed : mapping of str to float
        Values of what does not.
    series : ndarray, shape (n_nodes, n_wave)
        Chebyshev coefficients in the inverse of R_V, which most laws are linear in; one row if it is fixed.
    log_ratio, profile : ndarray, shape (n_wave,)
        ln(lambda / 5500 Angstrom), and the profile of the bump at 2175 Angstrom.
    """

    law: DustLaw
    free: frozenset[str]
    fixed: Mapping[str, float]
    series: FloatArray
    log_ratio: FloatArray
    profile: FloatArray

    def __call__(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Return ``A(lambda) / A_V``, shape (n_points, n_wave); (1, n_wave) if nothing is free.

        Parameters
        ----------
        values : mapping of str to ndarray, shape (n_points,)
            What is free. Outside the range of the law ``r_v`` is taken as the end of it.
        """
        return np.maximum(self._shaped(values), 0.0)

    def _value(self, name: str, values: Mapping[str, FloatArray]) -> FloatArray:
        given = values[name] if name in self.free else self.fixed.get(name, SHAPES[name][1])
        return np.reshape(np.asarray(given, dtype=np.float64), (-1, 1))

    def _shaped(self, values: Mapping[str, FloatArray]) -> FloatArray:
        if self.law.name == "power_law":
            return np.asarray(np.exp(self._value("slope", values) * self.log_ratio))
        if self.law.shapes:
            return self._modified_calzetti(values)
        if "r_v" not in self.free:
            return self.series
        assert self.law.r_v_range is not None
        x = _scaled_inverse(np.clip(values["r_v"], *self.law.r_v_range), self.law.r_v_range)
        return np.polynomial.chebyshev.chebvander(x, len(self.series) - 1) @ self.series

    def _modified_calzetti(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Noll et al. 2009, eq. 8 to 10; Kriek & Conroy 2013, eq. 3; Salim et al. 2018, eq. 1 and 4."""
        delta = self._value("delta", values)
        tilt = np.exp(delta * self.log_ratio)
        if self.law.name == "salim18":
            ratio = (_CALZETTI_R_V + 1.0) * (4400.0 / _V_BAND) ** delta - _CALZETTI_R_V
            # k_mod = k R_mod / R_Calzetti tilt + D, with R_mod = R_Calzetti / ratio
            return self.series * tilt + self._value("bump", values) * ratio / _CALZETTI_R_V * self.profile
        bump = 0.85 - 1.9 * delta if self.law.name == "kriek13" else self._value("bump", values)
        return (self.series + bump / _CALZETTI_R_V * self.profile) * tilt


def prepare_curve(
    law: str,
    wavelength: ArrayLike,
    *,
    free: Iterable[str] = (),
    fixed: Mapping[str, float] | None = None,
) -> AttenuationCurve:
    """Tabulate a law on a grid of wavelengths.

    Parameters
    ----------
    law : str
        One of `LAWS`.
    wavelength : array_like, shape (n_wave,)
        Rest frame, Angstrom.
    free : iterable of str
        What will vary: ``r_v``, or shapes that the law has.
    fixed : mapping of str to float, optional
        Values of what does not; the usual ones if left out.

    Raises
    ------
    DataError
        If the law is unknown or does not have what should be free or fixed.
    """
    own, fixed = dust_law(law), dict(fixed or {})
    _check_choices(own, frozenset(free), fixed)
    rest = np.maximum(np.ascontiguousarray(wavelength, dtype=np.float64), LYMAN_LIMIT)
    drude = (rest * _BUMP_WIDTH) ** 2
    return AttenuationCurve(
        law=own,
        free=frozenset(free),
        fixed=fixed,
        series=_series_in_r_v(own, rest) if "r_v" in free else own.evaluate(rest, fixed.get("r_v", own.r_v))[None],
        log_ratio=np.log(rest / _V_BAND),
        profile=drude / ((rest**2 - _BUMP_CENTRE**2) ** 2 + drude),
    )


def _check_choices(law: DustLaw, free: frozenset[str], fixed: Mapping[str, float]) -> None:
    choices = {*law.shapes, *(["r_v"] if law.r_v_range else [])}
    r_v = fixed.get("r_v")
    if r_v is not None and law.r_v_range is None and r_v != law.r_v:
        msg = f"ExtinctionLaw = {law.name!r} is defined for r_v = {law.r_v} only, found r_v = {r_v!r}"
        raise DataError(msg)
    if r_v is not None and law.r_v_range is not None and not law.r_v_range[0] <= r_v <= law.r_v_range[1]:
        low, high = law.r_v_range
        msg = f"ExtinctionLaw = {law.name!r} is defined for r_v from {low:g} to {high:g}, found r_v = {r_v!r}"
        raise DataError(msg)
    for name in sorted((free | (set(fixed) - {"r_v"})) - choices):
        having = [other for other in LAWS if name in dust_law(other).shapes or (name == "r_v" and not law.shapes)]
        some = "such as ccm89 or G23" if name == "r_v" else ", ".join(having)
        msg = f"ExtinctionLaw = {law.name!r} has no {name} to choose; laws that have it: {some}"
        raise DataError(msg)


def _scaled_inverse(r_v: FloatArray, limits: tuple[float, float]) -> FloatArray:
    """Return 1 / R_V, mapped so that the limits are 1 and -1."""
    low, high = 1.0 / limits[1], 1.0 / limits[0]
    return (2.0 / r_v - low - high) / (high - low)


def _series_in_r_v(law: DustLaw, wavelength: FloatArray) -> FloatArray:
    """Return Chebyshev coefficients in 1 / R_V, good to 1e-8."""
    assert law.r_v_range is not None
    low, high = 1.0 / law.r_v_range[1], 1.0 / law.r_v_range[0]

    def curves(x: FloatArray) -> FloatArray:
        return np.stack([law.evaluate(wavelength, 1.0 / (0.5 * (low + high + v * (high - low)))) for v in x])

    check = np.array([-0.93, -0.41, 0.17, 0.77])
    exact = curves(check)
    for count in _NODE_COUNTS:
        angle = np.pi * (np.arange(count) + 0.5) / count
        transform = 2.0 / count * np.cos(np.outer(np.arange(count), angle))
        transform[0] *= 0.5
        series = transform @ curves(np.cos(angle))
        error = np.abs(np.polynomial.chebyshev.chebvander(check, count - 1) @ series - exact).max()
        if error < _TOLERANCE:
            return np.asarray(series)
    msg = f"ExtinctionLaw = {law.name!r}: the curve varies with r_v too fast to be tabulated (error {error:.1g})"
    raise DataError(msg)
