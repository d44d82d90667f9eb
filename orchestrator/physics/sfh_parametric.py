"""Star-formation histories with a closed form of the mass formed, and the same ended by quenching.

A quenched history forms stars as its parent does up to `quenching_time` and none later; like every history it
is normalised to the mass formed by today. Whatever holds for the parent until today holds for it until then.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, log_ndtr

from orchestrator.physics import sfh_kernels
from orchestrator.physics.parameter import Parameter
from orchestrator.physics.sfh_base import SECTION, SFHValues, StarFormationHistory
from orchestrator.physics.sfh_kernels import SFHShape

__all__ = [
    "DelayedTauQuenchedSFH",
    "DelayedTauSFH",
    "ExponentialQuenchedSFH",
    "ExponentialSFH",
    "LogNormalQuenchedSFH",
    "LogNormalSFH",
]

Array = NDArray[np.float64]
# Beyond these the model is a burst at the big bang or of a constant slope to all digits of the light.
_LOGTAU_SUPPORT = (-4.0, 6.0)
_SCALE_SUPPORT = (1e-3, 1e3)
_NO_TABLE = np.zeros((1, 2))


@dataclass(frozen=True)
class _ParametricSFH(StarFormationHistory):
    """A history whose rate depends on the cosmic time, up to the end of star formation.

    With `_quenching`, `quenching_time` is a parameter, from `_earliest_quenching` in Gyr on.
    """

    _kind: ClassVar[int]
    _quenching: ClassVar[bool] = False
    _earliest_quenching: ClassVar[float] = 0.0

    def breakpoints(self, values: SFHValues, today: float | None = None) -> Array:
        """Return the quenching times, shape (n_points, 1) or (n_points, 0), Gyr."""
        if not self._quenching:
            return super().breakpoints(values, today)
        arrays, inside, _ = self._prepare(values, today)
        return np.where(inside, arrays["quenching_time"], np.nan)[:, None]

    def _own_parameters(self) -> tuple[Parameter, ...]:
        own = self._rate_parameters()
        if not self._quenching:
            return own
        meaning = "cosmic time at which star formation ends"
        lower = min(self._earliest_quenching, 0.1 * self.today)
        return (
            *own,
            Parameter(SECTION, "quenching_time", lower, 0.5 * self.today, self.today, "Gyr", meaning),
        )

    def _own_valid(self, arrays: Mapping[str, Array], today: float) -> NDArray[np.bool_]:
        inside = self._rate_valid(arrays)
        if self._quenching:
            end = arrays["quenching_time"]
            inside &= (end > 0.0) & (end <= today)
        return self._forming(arrays, self._end(arrays, today), inside)

    def _shape(self, arrays: Mapping[str, Array], today: float) -> SFHShape:
        first, second = self._numbers(arrays)
        start = today - self._end(arrays, today)
        return SFHShape(self._kind, first, second, start, _NO_TABLE, _NO_TABLE, _NO_TABLE)

    def _rate(self, times: Array, arrays: Mapping[str, Array], today: float) -> Array:
        end = self._end(arrays, today)
        norm = sfh_kernels.norms(self._kind, end, *self._numbers(arrays))
        rate = self._rate_unlimited(times, arrays) / norm[:, None]
        return np.where(times <= end[:, None], rate, 0.0)

    def _mean_time(self, arrays: Mapping[str, Array], today: float) -> Array:
        return self._mean_until(arrays, self._end(arrays, today))

    def _end(self, arrays: Mapping[str, Array], today: float) -> Array:
        if self._quenching:
            return arrays["quenching_time"]
        return np.full(arrays["alpha_powerlaw"].size, today)

    # ---- what a family of histories defines -------------------------------------------------------------
    @abstractmethod
    def _rate_parameters(self) -> tuple[Parameter, ...]:
        """Parameters of the rate."""

    @abstractmethod
    def _rate_valid(self, arrays: Mapping[str, Array]) -> NDArray[np.bool_]:
        """Support in the parameters of the rate, a new array."""

    @abstractmethod
    def _numbers(self, arrays: Mapping[str, Array]) -> tuple[Array, Array]:
        """`first` and `second` of the kernels."""

    @abstractmethod
    def _rate_unlimited(self, times: Array, arrays: Mapping[str, Array]) -> Array:
        """Rate normalised to the mass formed in all time, shape (n_points, n_times)."""

    @abstractmethod
    def _mean_until(self, arrays: Mapping[str, Array], end: Array) -> Array:
        """Mean time of the stars formed before `end`, shape (n_points,)."""

    def _forming(
        self,
        arrays: Mapping[str, Array],  # noqa: ARG002
        end: Array,  # noqa: ARG002
        inside: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Return where, of `inside`, a representable part of the mass forms before `end`."""
        return inside


@dataclass(frozen=True)
class _TauSFH(_ParametricSFH):
    """Common part of the models with one e-folding time, `logtau` = log10(tau / Gyr).

    The rate is t^(power - 1) exp(-t/tau): mass and mean time are incomplete gamma functions.
    """

    _power: ClassVar[int]

    def _rate_parameters(self) -> tuple[Parameter, ...]:
        meaning = "logarithm (base 10) of the e-folding time of the star-formation rate"
        return (Parameter(SECTION, "logtau", -1.0, 0.5, 1.7, "log10(Gyr)", meaning),)

    def _rate_valid(self, arrays: Mapping[str, Array]) -> NDArray[np.bool_]:
        logtau = arrays["logtau"]
        return (logtau >= _LOGTAU_SUPPORT[0]) & (logtau <= _LOGTAU_SUPPORT[1])

    def _numbers(self, arrays: Mapping[str, Array]) -> tuple[Array, Array]:
        return 10.0 ** arrays["logtau"], arrays["logtau"]

    def _rate_unlimited(self, times: Array, arrays: Mapping[str, Array]) -> Array:
        per_tau = 10.0 ** -arrays["logtau"][:, None]
        return per_tau * (times * per_tau) ** (self._power - 1) * np.exp(-times * per_tau)

    def _mean_until(self, arrays: Mapping[str, Array], end: Array) -> Array:
        tau = 10.0 ** arrays["logtau"]
        u = end / tau
        return self._power * tau * gammainc(self._power + 1, u) / gammainc(self._power, u)


@dataclass(frozen=True)
class ExponentialSFH(_TauSFH):
    """Exponentially declining rate: M(t) proportional to 1 - exp(-t/tau)."""

    name: ClassVar[str] = "ExponentialSFH"
    _kind: ClassVar[int] = sfh_kernels.EXPONENTIAL
    _power: ClassVar[int] = 1


@dataclass(frozen=True)
class ExponentialQuenchedSFH(ExponentialSFH):
    """Exponentially declining rate until `quenching_time`."""

    name: ClassVar[str] = "ExponentialQuenchedSFH"
    _quenching: ClassVar[bool] = True


@dataclass(frozen=True)
class DelayedTauSFH(_TauSFH):
    """Delayed exponential: M(t) proportional to 1 - exp(-t/tau) (t + tau)/tau, a rate t exp(-t/tau)."""

    name: ClassVar[str] = "DelayedTauSFH"
    _kind: ClassVar[int] = sfh_kernels.DELAYED
    _power: ClassVar[int] = 2


@dataclass(frozen=True)
class DelayedTauQuenchedSFH(DelayedTauSFH):
    """Delayed exponential until `quenching_time`."""

    name: ClassVar[str] = "DelayedTauQuenchedSFH"
    _quenching: ClassVar[bool] = True


@dataclass(frozen=True)
class LogNormalSFH(_ParametricSFH):
    """Log-normal rate (Gladders et al. 2013, ApJ 770, 64): M(t) proportional to Phi(ln(t/t0) / scale)."""

    name: ClassVar[str] = "LogNormalSFH"
    _kind: ClassVar[int] = sfh_kernels.LOG_NORMAL
    _alpha_range: ClassVar[tuple[float, float, float]] = (0.0, 1.0, 10.0)

    def _rate_parameters(self) -> tuple[Parameter, ...]:
        return (
            Parameter(SECTION, "t0", 0.1, 3.0, 30.0, "Gyr", "median cosmic time of star formation"),
            Parameter(SECTION, "scale", 0.1, 0.5, 3.0, "", "standard deviation in ln(time)"),
        )

    def _rate_valid(self, arrays: Mapping[str, Array]) -> NDArray[np.bool_]:
        scale = arrays["scale"]
        return (scale >= _SCALE_SUPPORT[0]) & (scale <= _SCALE_SUPPORT[1]) & (arrays["t0"] > 0.0)

    def _forming(
        self, arrays: Mapping[str, Array], end: Array, inside: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        # 30 standard deviations before the median nothing representable has formed
        ratio = np.where(inside, end, 1.0) / np.where(inside, arrays["t0"], 1.0)
        return inside & (np.log(ratio) > -30.0 * np.where(inside, arrays["scale"], 1.0))

    def _numbers(self, arrays: Mapping[str, Array]) -> tuple[Array, Array]:
        return np.log(arrays["t0"]), arrays["scale"]

    def _rate_unlimited(self, times: Array, arrays: Mapping[str, Array]) -> Array:
        scale = arrays["scale"][:, None]
        z = (np.log(times) - np.log(arrays["t0"])[:, None]) / scale
        return np.exp(-0.5 * z**2) / (np.sqrt(2.0 * np.pi) * scale * times)

    def _mean_until(self, arrays: Mapping[str, Array], end: Array) -> Array:
        ln_t0, scale = self._numbers(arrays)
        z = (np.log(end) - ln_t0) / scale
        return np.exp(ln_t0 + 0.5 * scale**2 + log_ndtr(z - scale) - log_ndtr(z))


@dataclass(frozen=True)
class LogNormalQuenchedSFH(LogNormalSFH):
    """Log-normal rate until `quenching_time`."""

    name: ClassVar[str] = "LogNormalQuenchedSFH"
    _quenching: ClassVar[bool] = True
    _earliest_quenching: ClassVar[float] = 0.3
    _alpha_range: ClassVar[tuple[float, float, float]] = (0.0, 0.5, 3.0)

    def _rate_parameters(self) -> tuple[Parameter, ...]:
        today, meaning = self.today, "median cosmic time of star formation if it were not quenched"
        return (
            Parameter(SECTION, "t0", min(0.1, 0.1 * today), 0.5 * today, today, "Gyr", meaning),
            Parameter(SECTION, "scale", 0.1, 3.0, 50.0, "", "standard deviation in ln(time)"),
        )
