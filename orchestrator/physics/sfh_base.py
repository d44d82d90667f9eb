"""What every star-formation history offers, and what a model has to define.

A model is an immutable object; the values of its parameters are arguments, arrays of shape (n_points,).
All share the chemical enrichment Z(t) = Z_today * (M(t) / M(today))^alpha. Times are cosmic times in Gyr
since the big bang, `today` is the age of the universe at the galaxy's redshift
(`orchestrator.physics.cosmology.age_of_universe`). Names and ranges of the parameters are BESTA's.

A point outside a model's support (`valid` is False) has NaN everywhere: the caller makes it -inf.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.physics.parameter import Parameter
from orchestrator.physics.sfh_kernels import SFHShape, young_mass

__all__ = ["SECTION", "SFHValues", "StarFormationHistory"]

Array = NDArray[np.float64]
SFHValues = Mapping[str, ArrayLike]
"""Name of a parameter to its values, shape (n_points,) or a number."""

SECTION = "stars.sfh"
_BISECTIONS = 60


@dataclass(frozen=True)
class StarFormationHistory(ABC):
    """What every model offers; a model defines the five methods at the end.

    Attributes
    ----------
    today : float
        Age of the universe at the galaxy's redshift, Gyr. The methods accept another one.
    """

    today: float
    name: ClassVar[str]
    numbers: ClassVar[str] = ""
    """Field that takes the numbers in `SFHArgs`; empty for a model without arguments."""
    keywords: ClassVar[tuple[str, ...]] = ()
    """Further arguments, each `name=number`."""
    example: ClassVar[tuple[float, ...]] = ()
    """Numbers for templates and documentation."""
    _alpha_range: ClassVar[tuple[float, float, float]] = (0.0, 0.5, 3.0)

    def __post_init__(self) -> None:
        """Check `today`."""
        if not (np.isfinite(self.today) and self.today > 0.0):
            msg = f"today={self.today!r} must be a positive number of Gyr"
            raise ValueError(msg)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters in the order in which they are sampled."""
        return (
            *self._own_parameters(),
            Parameter(
                SECTION,
                "ism_metallicity_today",
                0.005,
                0.01,
                0.08,
                "",
                "metal mass fraction of the gas from which stars form today",
            ),
            Parameter(
                SECTION,
                "alpha_powerlaw",
                *self._alpha_range,
                "",
                "exponent of the metallicity as a function of the mass formed",
            ),
        )

    def breakpoints(self, values: SFHValues, today: float | None = None) -> Array:
        """Return the cosmic times at which the star-formation rate is not smooth, (n_points, n_breaks)."""
        arrays, _, _ = self._prepare(values, today)
        return np.empty((arrays["alpha_powerlaw"].size, 0))

    def valid(self, values: SFHValues, today: float | None = None) -> NDArray[np.bool_]:
        """Tell which points are inside the support of the model, shape (n_points,)."""
        return self._inside(self._arrays(values), self._today(today))

    def young_mass(self, lookback: ArrayLike, values: SFHValues, today: float | None = None) -> Array:
        """Return the fraction of the mass formed during the last `lookback` Gyr.

        Keeps its relative accuracy for small `lookback`, where 1 - `cumulative_mass` does not.

        Parameters
        ----------
        lookback : array_like, shape (n_times,) or (n_points, n_times)
            Gyr.
        values : mapping
            Parameter values.
        today : float, optional
            Age of the universe, Gyr.

        Returns
        -------
        ndarray, shape (n_points, n_times)
            NaN where not valid.
        """
        arrays, inside, now = self._prepare(values, today)
        young = self._young(_rows(lookback, inside.size), arrays, now)
        young[~inside] = np.nan
        return young

    def cumulative_mass(self, times: ArrayLike, values: SFHValues, today: float | None = None) -> Array:
        """Return M(t) / M(today), the fraction of the mass formed by the cosmic times.

        Parameters
        ----------
        times : array_like, shape (n_times,) or (n_points, n_times)
            Gyr since the big bang.
        values, today
            As for `young_mass`.

        Returns
        -------
        ndarray, shape (n_points, n_times)
            From 0 to 1; NaN where not valid.
        """
        lookback = self._today(today) - np.asarray(times, dtype=np.float64)
        return np.clip(1.0 - self.young_mass(lookback, values, today), 0.0, 1.0)

    def star_formation_rate(self, times: ArrayLike, values: SFHValues, today: float | None = None) -> Array:
        """Return the star-formation rate per unit of mass formed by `today`, dM/dt / M(today).

        Parameters
        ----------
        times : array_like, shape (n_times,) or (n_points, n_times)
            Gyr since the big bang; the rate is 0 outside (0, today].
        values, today
            As for `young_mass`.

        Returns
        -------
        ndarray, shape (n_points, n_times)
            1/Gyr; NaN where not valid.
        """
        arrays, inside, now = self._prepare(values, today)
        at = _rows(times, inside.size)
        within = (at > 0.0) & (at <= now)
        rate = self._rate(np.where(within, at, now), arrays, now)
        rate = np.where(within, rate, 0.0)
        rate[~inside] = np.nan
        return rate

    def formation_time(self, fraction: ArrayLike, values: SFHValues, today: float | None = None) -> Array:
        """Return the cosmic time at which a fraction of the mass had formed.

        Parameters
        ----------
        fraction : array_like, shape (n_fractions,)
            Such as 0.5 and 0.9, in [0, 1].
        values, today
            As for `young_mass`.

        Returns
        -------
        ndarray, shape (n_points, n_fractions)
            Gyr since the big bang, by bisection; NaN where not valid.
        """
        target = np.atleast_1d(np.asarray(fraction, dtype=np.float64))
        if not np.all((target >= 0.0) & (target <= 1.0)):
            msg = f"fraction={fraction!r} must be in [0, 1]"
            raise ValueError(msg)
        arrays, inside, now = self._prepare(values, today)
        low = np.zeros((inside.size, target.size))
        high = np.full_like(low, now)
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            below = 1.0 - self._young(now - middle, arrays, now) < target
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        times = 0.5 * (low + high)
        times[~inside] = np.nan
        return times

    def mass_weighted_age(self, values: SFHValues, today: float | None = None) -> Array:
        """Return the mean age of the stars weighted by the mass formed, Gyr, shape (n_points,); closed form.

        NaN where not valid.
        """
        arrays, inside, now = self._prepare(values, today)
        return np.where(inside, now - self._mean_time(arrays, now), np.nan)

    def shape(
        self, values: SFHValues, today: float | None = None
    ) -> tuple[SFHShape, NDArray[np.bool_], Mapping[str, Array]]:
        """Return what the compiled kernels need (`orchestrator.physics.ssp_weights`).

        Parameters
        ----------
        values, today
            As for `young_mass`.

        Returns
        -------
        shape : SFHShape
            The models; points outside the support are replaced by the start values.
        valid : ndarray of bool, shape (n_points,)
        arrays : mapping
            Parameter values, each of shape (n_points,), with the same replacement.
        """
        arrays, inside, now = self._prepare(values, today)
        return self._shape(arrays, now), inside, arrays

    # ---- what a model defines -------------------------------------------------------------------------
    @abstractmethod
    def _own_parameters(self) -> tuple[Parameter, ...]:
        """Parameters beside the two of the metallicity."""

    @abstractmethod
    def _own_valid(self, arrays: Mapping[str, Array], today: float) -> NDArray[np.bool_]:
        """Support in these parameters, a new array."""

    @abstractmethod
    def _shape(self, arrays: Mapping[str, Array], today: float) -> SFHShape:
        """Return the models for the kernels; all points are valid here, and below."""

    @abstractmethod
    def _rate(self, times: Array, arrays: Mapping[str, Array], today: float) -> Array:
        """dM/dt / M(today) at times (1 or n_points, n_times) inside (0, today]."""

    @abstractmethod
    def _mean_time(self, arrays: Mapping[str, Array], today: float) -> Array:
        """Mean cosmic time of star formation, weighted by mass, shape (n_points,), Gyr."""

    # ---- helpers --------------------------------------------------------------------------------------
    def _young(self, lookback: Array, arrays: Mapping[str, Array], today: float) -> Array:
        return young_mass(self._shape(arrays, today), lookback, today)

    def _today(self, today: float | None) -> float:
        return self.today if today is None else float(today)

    def _arrays(self, values: SFHValues) -> dict[str, Array]:
        names = [parameter.name for parameter in self.parameters]
        missing = [name for name in names if name not in values]
        if missing:
            faults = [
                f"{self.name} needs the parameter {name!r} of section [{SECTION}], which has no value"
                f"{nearest_known(name, values)}"
                for name in missing
            ]
            raise ConfigError(faults)
        arrays = [np.asarray(values[name], dtype=np.float64) for name in names]
        if all(array.ndim == 1 and array.shape == arrays[0].shape for array in arrays):
            return dict(zip(names, map(np.ascontiguousarray, arrays), strict=True))
        arrays = [np.atleast_1d(array) for array in arrays]
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
        if len(shape) != 1:
            msg = f"parameter values must have shape (n_points,), found {shape}"
            raise ValueError(msg)
        full = [np.ascontiguousarray(np.broadcast_to(array, shape)) for array in arrays]
        return dict(zip(names, full, strict=True))

    def _inside(self, arrays: Mapping[str, Array], today: float) -> NDArray[np.bool_]:
        inside = self._own_valid(arrays, today)
        # a number that is not finite makes the sum so
        inside &= np.isfinite(sum(arrays.values()))
        inside &= arrays["ism_metallicity_today"] > 0.0
        inside &= arrays["alpha_powerlaw"] >= 0.0
        return inside

    def _prepare(
        self, values: SFHValues, today: float | None
    ) -> tuple[dict[str, Array], NDArray[np.bool_], float]:
        """Arrays in which the points outside the support are replaced by the start values."""
        now = self._today(today)
        arrays = self._arrays(values)
        inside = self._inside(arrays, now)
        if not inside.all():
            for parameter in self.parameters:
                scale = now / self.today if parameter.unit == "Gyr" else 1.0
                array = arrays[parameter.name]
                arrays[parameter.name] = np.where(inside, array, parameter.start * scale)
        return arrays, inside, now


def _rows(times: ArrayLike, n_points: int) -> Array:
    rows = np.atleast_2d(np.asarray(times, dtype=np.float64))
    if rows.ndim != 2 or rows.shape[0] not in (1, n_points):
        msg = f"times must have shape (n_times,) or ({n_points}, n_times), found {np.shape(times)}"
        raise ValueError(msg)
    return np.ascontiguousarray(rows)
