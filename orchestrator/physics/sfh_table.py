"""Star-formation histories given by the mass formed at a few times, joined by a monotone cubic.

The cubic is that of Fritsch & Butland (1984, SIAM J. Sci. Stat. Comput. 5, 300) in cosmic time through (0, 0),
the given points and (today, 1).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ConfigError
from orchestrator.physics.parameter import Parameter
from orchestrator.physics.pchip_kernels import pchip_evaluate, pchip_slopes
from orchestrator.physics.sfh_base import SECTION, SFHValues, StarFormationHistory
from orchestrator.physics.sfh_kernels import TABLE, SFHShape

__all__ = ["FixedMassFracSFH", "TableSFH"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TableSFH(StarFormationHistory):
    """A history given by points (lookback time, mass formed since)."""

    @abstractmethod
    def _points(self, arrays: Mapping[str, Array], today: float) -> tuple[Array, Array]:
        """Lookback times from 0 to today and Y there, each of shape (n_points or 1, n_knots)."""

    def breakpoints(self, values: SFHValues, today: float | None = None) -> Array:
        """Return the cosmic times of the points between 0 and today, shape (n_points, n_times), Gyr."""
        arrays, inside, now = self._prepare(values, today)
        times = now - self._points(arrays, now)[0][:, -2:0:-1]
        return np.where(inside[:, None], times, np.nan)

    def _shape(self, arrays: Mapping[str, Array], today: float) -> SFHShape:
        lookback, young = self._points(arrays, today)
        unused = np.zeros(arrays["alpha_powerlaw"].size)
        slopes = pchip_slopes(lookback, young)
        return SFHShape(TABLE, unused, unused, unused, lookback, young, slopes)

    def _rate(self, times: Array, arrays: Mapping[str, Array], today: float) -> Array:
        shape = self._shape(arrays, today)
        return pchip_evaluate(shape.knots, shape.values, shape.slopes, today - times, True)

    def _mean_time(self, arrays: Mapping[str, Array], today: float) -> Array:
        shape = self._shape(arrays, today)
        width = np.diff(shape.knots, axis=1)
        middle = 0.5 * (shape.values[:, 1:] + shape.values[:, :-1])
        # the integral of Y over lookback time, each piece a cubic
        return np.sum(width * middle - width**2 * np.diff(shape.slopes, axis=1) / 12.0, axis=1)


@dataclass(frozen=True)
class FixedMassFracSFH(TableSFH):
    """Free times at which fixed fractions of the mass had formed.

    The times must increase strictly and lie inside (0, today).

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
    numbers: ClassVar[str] = "mass_fraction"
    example: ClassVar[tuple[float, ...]] = (0.25, 0.5, 0.75, 0.9)

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

    def _points(self, arrays: Mapping[str, Array], today: float) -> tuple[Array, Array]:
        # Y(lookback) is the mirror image of M(t), exact for young ages.
        names = self._time_names
        lookback = np.empty((arrays[names[0]].size, len(names) + 2))
        lookback[:, 0], lookback[:, -1] = 0.0, today
        for k, name in enumerate(reversed(names), 1):
            lookback[:, k] = today - arrays[name]
        young = np.array([[0.0, *(1.0 - fraction for fraction in reversed(self.mass_fraction)), 1.0]])
        return lookback, young
