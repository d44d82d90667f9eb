"""Star-formation histories: the mass formed as a function of cosmic time.

A model is an immutable object; the values of its parameters are arguments, arrays of shape (n_points,).
All share the chemical enrichment Z(t) = Z_today * (M(t) / M(today))^alpha. Times are cosmic times in Gyr
since the big bang, `today` is the age of the universe at the galaxy's redshift
(`orchestrator.physics.cosmology.age_of_universe`). Names and ranges of the parameters are BESTA's.

A point outside a model's support (`valid` is False) has NaN everywhere: the caller makes it -inf.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.physics import sfh_kernels
from orchestrator.physics.cosmology import age_of_universe
from orchestrator.physics.parameter import Parameter
from orchestrator.physics.sfh_base import SECTION, SFHValues, StarFormationHistory
from orchestrator.physics.sfh_kernels import SFHShape

__all__ = [
    "SECTION",
    "SFH_MODELS",
    "DelayedTauSFH",
    "ExponentialSFH",
    "FixedMassFracSFH",
    "LogNormalSFH",
    "StarFormationHistory",
    "build_sfh",
    "parse_sfh_args",
]

Array = NDArray[np.float64]
# Beyond these the model is a burst at the big bang or of a constant slope to all digits of the light.
_LOGTAU_SUPPORT = (-4.0, 6.0)
_SCALE_SUPPORT = (1e-3, 1e3)


@dataclass(frozen=True)
class _TauSFH(StarFormationHistory):
    """Common part of the models with one e-folding time, `logtau` = log10(tau / Gyr)."""

    _kind: ClassVar[int]

    def _own_parameters(self) -> tuple[Parameter, ...]:
        meaning = "logarithm (base 10) of the e-folding time of the star-formation rate"
        return (Parameter(SECTION, "logtau", -1.0, 0.5, 1.7, "log10(Gyr)", meaning),)

    def _own_valid(self, arrays: Mapping[str, Array], today: float) -> NDArray[np.bool_]:  # noqa: ARG002
        logtau = arrays["logtau"]
        return (logtau >= _LOGTAU_SUPPORT[0]) & (logtau <= _LOGTAU_SUPPORT[1])

    def _shape(self, arrays: Mapping[str, Array], today: float) -> SFHShape:  # noqa: ARG002
        return _analytic_shape(self._kind, 10.0 ** arrays["logtau"], arrays["logtau"])


@dataclass(frozen=True)
class ExponentialSFH(_TauSFH):
    """Exponentially declining rate: M(t) proportional to 1 - exp(-t/tau)."""

    name: ClassVar[str] = "ExponentialSFH"
    _kind: ClassVar[int] = sfh_kernels.EXPONENTIAL

    def _rate(self, times: Array, arrays: Mapping[str, Array], today: float) -> Array:
        tau = 10.0 ** arrays["logtau"][:, None]
        return np.exp(-times / tau) / (-np.expm1(-today / tau) * tau)


@dataclass(frozen=True)
class DelayedTauSFH(_TauSFH):
    """Delayed exponential: M(t) proportional to 1 - exp(-t/tau) (t + tau)/tau, a rate t exp(-t/tau)."""

    name: ClassVar[str] = "DelayedTauSFH"
    _kind: ClassVar[int] = sfh_kernels.DELAYED

    def _rate(self, times: Array, arrays: Mapping[str, Array], today: float) -> Array:
        tau = 10.0 ** arrays["logtau"][:, None]
        norm = sfh_kernels.norms(self._kind, today, tau.ravel(), tau.ravel())[:, None]
        return times * np.exp(-times / tau) / (tau**2 * norm)


@dataclass(frozen=True)
class LogNormalSFH(StarFormationHistory):
    """Log-normal rate (Gladders et al. 2013, ApJ 770, 64): M(t) proportional to Phi(ln(t/t0) / scale)."""

    name: ClassVar[str] = "LogNormalSFH"
    _alpha_range: ClassVar[tuple[float, float, float]] = (0.0, 1.0, 10.0)

    def _own_parameters(self) -> tuple[Parameter, ...]:
        return (
            Parameter(SECTION, "t0", 0.1, 3.0, 30.0, "Gyr", "median cosmic time of star formation"),
            Parameter(SECTION, "scale", 0.1, 0.5, 3.0, "", "standard deviation in ln(time)"),
        )

    def _own_valid(self, arrays: Mapping[str, Array], today: float) -> NDArray[np.bool_]:
        scale, t0 = arrays["scale"], arrays["t0"]
        inside = (scale >= _SCALE_SUPPORT[0]) & (scale <= _SCALE_SUPPORT[1]) & (t0 > 0.0)
        # 30 standard deviations before the median nothing representable has formed
        ln_t0 = np.log(np.where(inside, t0, today))
        return inside & (np.log(today) - ln_t0 > -30.0 * np.where(inside, scale, 1.0))

    def _shape(self, arrays: Mapping[str, Array], today: float) -> SFHShape:  # noqa: ARG002
        return _analytic_shape(sfh_kernels.LOG_NORMAL, np.log(arrays["t0"]), arrays["scale"])

    def _rate(self, times: Array, arrays: Mapping[str, Array], today: float) -> Array:
        ln_t0, scale = np.log(arrays["t0"]), arrays["scale"]
        norm = sfh_kernels.norms(sfh_kernels.LOG_NORMAL, today, ln_t0, scale)[:, None]
        z = (np.log(times) - ln_t0[:, None]) / scale[:, None]
        return np.exp(-0.5 * z**2) / (np.sqrt(2.0 * np.pi) * scale[:, None] * times * norm)


@dataclass(frozen=True)
class FixedMassFracSFH(StarFormationHistory):
    """Free times at which fixed fractions of the mass had formed, joined by a monotone cubic.

    The cubic is that of Fritsch & Butland (1984, SIAM J. Sci. Stat. Comput. 5, 300) through (0, 0),
    (t_i, fraction_i) and (today, 1). The times must increase strictly and lie inside (0, today).

    Attributes
    ----------
    mass_fraction : tuple of float
        Fractions inside (0, 1); sorted on creation.

    Raises
    ------
    ConfigError
        No fraction, one outside (0, 1), or two that are equal to the four decimals of their names.
    """

    mass_fraction: tuple[float, ...] = ()
    name: ClassVar[str] = "FixedMassFracSFH"

    def __post_init__(self) -> None:
        """Sort and check the fractions."""
        super().__post_init__()
        fractions = tuple(sorted(float(fraction) for fraction in self.mass_fraction))
        advice = "give increasing mass fractions inside (0, 1), such as SFHArgs = 0.1, 0.5, 0.9"
        if not fractions:
            msg = f"{self.name} got no mass fraction: {advice}"
            raise ConfigError(msg)
        if not all(0.0 < fraction < 1.0 for fraction in fractions):
            msg = f"{self.name} got the mass fractions {fractions!r}, not all inside (0, 1): {advice}"
            raise ConfigError(msg)
        object.__setattr__(self, "mass_fraction", fractions)
        if len(set(self._time_names)) < len(fractions):
            msg = f"{self.name} got the mass fractions {fractions!r}, two of which are equal: {advice}"
            raise ConfigError(msg)

    def breakpoints(self, values: SFHValues, today: float | None = None) -> Array:
        """Return the times of the knots, shape (n_points, n_fractions), Gyr."""
        arrays, inside, _ = self._prepare(values, today)
        times = np.stack([arrays[name] for name in self._time_names], axis=1)
        times[~inside] = np.nan
        return times

    def mass_weighted_age(self, values: SFHValues, today: float | None = None) -> Array:
        """Return the mean age of the stars weighted by the mass formed, Gyr, shape (n_points,); exact."""
        shape, inside, _ = self.shape(values, today)
        width = np.diff(shape.knots, axis=1)
        middle = 0.5 * (shape.values[1:] + shape.values[:-1])
        younger = np.sum(width * middle - width**2 * np.diff(shape.slopes, axis=1) / 12.0, axis=1)
        return np.where(inside, shape.knots[:, -1] - younger, np.nan)

    @cached_property
    def _time_names(self) -> tuple[str, ...]:
        return tuple(f"t_at_frac_{fraction:.4f}" for fraction in self.mass_fraction)

    def _own_parameters(self) -> tuple[Parameter, ...]:
        return tuple(
            Parameter(
                SECTION,
                name,
                1e-3,
                min(max(fraction, 2e-3), 0.998) * self.today,
                0.999 * self.today,
                "Gyr",
                f"cosmic time at which the fraction {fraction:.4f} of the mass had formed",
            )
            for name, fraction in zip(self._time_names, self.mass_fraction, strict=True)
        )

    def _own_valid(self, arrays: Mapping[str, Array], today: float) -> NDArray[np.bool_]:
        times = [arrays[name] for name in self._time_names]
        inside = (times[0] > 0.0) & (times[-1] < today)
        for earlier, later in zip(times[:-1], times[1:], strict=True):
            inside &= earlier < later
        return inside

    def _shape(self, arrays: Mapping[str, Array], today: float) -> SFHShape:
        # Knots of Y(lookback): the mirror image of M(t), exact for young ages.
        names = self._time_names
        lookback = np.empty((arrays[names[0]].size, len(names) + 2))
        lookback[:, 0], lookback[:, -1] = 0.0, today
        for k, name in enumerate(reversed(names), 1):
            lookback[:, k] = today - arrays[name]
        young = np.array([0.0, *(1.0 - fraction for fraction in reversed(self.mass_fraction)), 1.0])
        unused = arrays[names[0]]
        slopes = sfh_kernels.pchip_slopes(lookback, young)
        return SFHShape(sfh_kernels.TABLE, unused, unused, lookback, young, slopes)

    def _rate(self, times: Array, arrays: Mapping[str, Array], today: float) -> Array:
        shape = self._shape(arrays, today)
        return sfh_kernels.pchip_evaluate(shape.knots, shape.values, shape.slopes, today - times, True)


def _analytic_shape(kind: int, first: Array, second: Array) -> SFHShape:
    no_knots = np.zeros((first.size, 2))
    return SFHShape(kind, first, second, no_knots, no_knots[0], no_knots)


SFH_MODELS: dict[str, type[StarFormationHistory]] = {
    model.name: model for model in (ExponentialSFH, DelayedTauSFH, LogNormalSFH, FixedMassFracSFH)
}
"""Name in a configuration (`SFHModel`) to class."""


def build_sfh(
    name: str, args: str | float | Iterable[object] | None = None, today: float | None = None
) -> StarFormationHistory:
    """Build a star-formation history by name.

    Parameters
    ----------
    name : str
        One of `SFH_MODELS`.
    args : str, float or iterable of these, optional
        `SFHArgs` of a configuration: the mass fractions of FixedMassFracSFH, nothing for the others.
    today : float, optional
        Age of the universe at the galaxy's redshift, Gyr; that of redshift 0 by default.

    Returns
    -------
    StarFormationHistory

    Raises
    ------
    ConfigError
        Unknown name, or arguments that the model does not take.
    """
    if name not in SFH_MODELS:
        msg = f"SFHModel={name!r} is not a star-formation history{nearest_known(str(name), SFH_MODELS)}"
        raise ConfigError(msg)
    numbers = parse_sfh_args(args)
    now = float(age_of_universe(0.0)) if today is None else float(today)
    if name == FixedMassFracSFH.name:
        return FixedMassFracSFH(now, mass_fraction=numbers)
    if numbers:
        msg = f"SFHArgs={args!r} found, but {name} takes no arguments: remove SFHArgs"
        raise ConfigError(msg)
    return SFH_MODELS[name](now)


def parse_sfh_args(value: str | float | Iterable[object] | None) -> tuple[float, ...]:
    """Return the numbers in `SFHArgs` as it may stand in a configuration or an ini file.

    Parameters
    ----------
    value : str, float, iterable of these or None
        ``[0.1, 0.5]``, ``"0.1, 0.5"``, ``"[0.1 0.5]"``, 0.5, ``["0.1, 0.5"]``, None or "".

    Returns
    -------
    tuple of float

    Raises
    ------
    ConfigError
        Something in it is not a finite number.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        words: Iterable[object] = [w for w in re.split(r"[\s,;]+", value.strip().strip("[]()").strip()) if w]
    elif isinstance(value, (int, float, np.number)):
        words = [value]
    elif isinstance(value, Iterable):
        return tuple(number for entry in value for number in parse_sfh_args(entry))  # type: ignore[arg-type]
    else:
        words = [value]
    numbers = []
    for word in words:
        try:
            number = float(word)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            number = np.nan
        if not np.isfinite(number):
            msg = f"SFHArgs={value!r} holds {word!r} where a number is expected; write it as 0.1, 0.5, 0.9"
            raise ConfigError(msg)
        numbers.append(number)
    return tuple(numbers)
