"""Star-formation histories with the masses formed in bins of time as parameters.

The bins go from early to late and the last one ends today. The mass formed by their edges is joined by the
monotone cubic of `orchestrator.physics.sfh_table`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.errors import ConfigError
from orchestrator.physics.parameter import Parameter
from orchestrator.physics.sfh_base import SECTION, SFHValues, StarFormationHistory
from orchestrator.physics.sfh_table import TableSFH

__all__ = [
    "FixedCosmicTimeSFH",
    "FixedTimeSFH",
    "FixedTime_sSFR_SFH",
    "FlexibleCosmicTimeSFH",
    "MassBinsSFH",
]

Array = NDArray[np.float64]
_EXAMPLE_TIMES = (0.1, 0.3, 1.0, 3.0, 7.0)
_YOUNGEST_FLEXIBLE = 0.05  # Gyr
_LEAST_LOG_SSFR = -14.0


@dataclass(frozen=True)
class MassBinsSFH(TableSFH):
    """Common part of the models with the masses formed in bins of time as parameters."""

    @abstractmethod
    def edges(self, today: float | None = None) -> tuple[float, ...]:
        """Lookback times between the bins, Gyr, decreasing."""

    @abstractmethod
    def _young_at_edges(self, arrays: Mapping[str, Array], today: float) -> Array:
        """Y at the edges, shape (n_points, n_edges)."""

    @abstractmethod
    def _values_of_young(self, young: Array, masses: Array, today: float) -> Array:
        """Inverse of `_young_at_edges`, given the masses of the bins, too; shape (n_points, n_edges)."""

    @cached_property
    @abstractmethod
    def bin_names(self) -> tuple[str, ...]:
        """Names of the parameters of the bins, one per edge, from the earliest on."""

    def values_of_masses(self, masses: ArrayLike, today: float | None = None) -> dict[str, Array]:
        """Return the parameters of the bins for given fractions of the mass.

        Parameters
        ----------
        masses : array_like, shape (n_points, n_edges + 1)
            Positive fractions of the mass formed in the bins, from the earliest to the one that ends today.
            Rows are divided by their sums.
        today : float, optional
            Age of the universe, Gyr.

        Returns
        -------
        dict of str to ndarray, shape (n_points,)
        """
        rows = np.atleast_2d(np.asarray(masses, dtype=np.float64))
        rows = rows / rows.sum(axis=1, keepdims=True)
        # from the youngest on, so that small masses of young stars keep their digits
        young = np.cumsum(rows[:, :0:-1], axis=1)[:, ::-1]
        columns = self._values_of_young(young, rows[:, :-1], self._today(today))
        return dict(zip(self.bin_names, np.ascontiguousarray(columns.T), strict=True))

    def masses(self, values: SFHValues, today: float | None = None) -> Array:
        """Return the fractions of the mass formed in the bins, shape (n_points, n_edges + 1); NaN if invalid."""
        arrays, inside, now = self._prepare(values, today)
        young = self._points(arrays, now)[1]
        return np.where(inside[:, None], np.diff(young, axis=1)[:, ::-1], np.nan)

    def _points(self, arrays: Mapping[str, Array], today: float) -> tuple[Array, Array]:
        lookback = np.array([[0.0, *reversed(self.edges(today)), today]])
        young = np.empty((arrays["alpha_powerlaw"].size, lookback.size))
        young[:, 0], young[:, -1] = 0.0, 1.0
        young[:, -2:0:-1] = self._young_at_edges(arrays, today)
        return lookback, young

    def _columns(self, arrays: Mapping[str, Array]) -> Array:
        return np.stack([arrays[name] for name in self.bin_names], axis=1)

    def _own_valid(self, arrays: Mapping[str, Array], today: float) -> NDArray[np.bool_]:
        inside = np.full(arrays["alpha_powerlaw"].size, self.edges(today)[0] < today)
        return inside & self._bins_valid(arrays, today)

    @abstractmethod
    def _bins_valid(self, arrays: Mapping[str, Array], today: float) -> NDArray[np.bool_]:
        """Support in the parameters of the bins."""


def _checked_edges(model: StarFormationHistory, times: Sequence[float], names: str) -> tuple[float, ...]:
    """Sort lookback times, latest bins last, and check them."""
    edges = tuple(sorted((float(time) for time in times), reverse=True))
    advice = f"give lookback times inside (0, {model.today:.4g}) Gyr, such as SFHArgs = 0.1, 0.3, 1, 3"
    if not edges:
        msg = f"{model.name} got no lookback time: {advice}"
        raise ConfigError(msg)
    if not all(0.0 < edge < model.today for edge in edges):
        msg = f"{model.name} got the lookback times {edges!r} Gyr, not all less than the universe's age: {advice}"
        raise ConfigError(msg)
    labels = [names.format(edge, np.log10(edge) + 9.0) for edge in edges]
    if len(set(labels)) < len(labels):
        msg = f"{model.name} got the lookback times {edges!r} Gyr, two of which give one name in {labels!r}: {advice}"
        raise ConfigError(msg)
    return edges


@dataclass(frozen=True)
class FixedTimeSFH(MassBinsSFH):
    """Free masses formed in bins between fixed lookback times; the last bin, up to today, has the rest.

    `logmass_at_{edge}` is the log10 of the fraction of the mass formed in the bin that ends at that lookback
    time. The fractions must not add up to more than 1.

    Attributes
    ----------
    lookback_time_bins : tuple of float
        Gyr, inside (0, today); sorted on creation, earliest first.
    logmass_min : float
        Lower end of the range of each parameter.

    Raises
    ------
    ConfigError
        No time, one outside (0, today), two that are equal to three decimals, or `logmass_min` not negative.
    """

    lookback_time_bins: tuple[float, ...] = ()
    logmass_min: float = -6.0
    name: ClassVar[str] = "FixedTimeSFH"
    numbers: ClassVar[str] = "lookback_time_bins"
    keywords: ClassVar[tuple[str, ...]] = ("logmass_min",)
    example: ClassVar[tuple[float, ...]] = _EXAMPLE_TIMES

    def __post_init__(self) -> None:
        """Sort and check the times."""
        super().__post_init__()
        edges = _checked_edges(self, self.lookback_time_bins, "logmass_at_{0:.3f}")
        object.__setattr__(self, "lookback_time_bins", edges)
        if not (np.isfinite(self.logmass_min) and self.logmass_min < 0.0):
            msg = f"{self.name} got logmass_min={self.logmass_min!r}: give a negative number, such as logmass_min=-6"
            raise ConfigError(msg)

    def edges(self, today: float | None = None) -> tuple[float, ...]:  # noqa: ARG002
        """Lookback times between the bins, Gyr, decreasing."""
        return self.lookback_time_bins

    @cached_property
    def bin_names(self) -> tuple[str, ...]:
        """Names of the parameters of the bins."""
        return tuple(f"logmass_at_{edge:.3f}" for edge in self.lookback_time_bins)

    def _own_parameters(self) -> tuple[Parameter, ...]:
        # start at a constant rate, as far as the range allows
        widths = -np.diff([self.today, *self.lookback_time_bins]) / self.today
        masses = np.maximum(widths, 10.0 ** (0.99 * self.logmass_min))
        masses /= max(1.0, masses.sum() * (1.0 + 1e-6))
        meaning = "log10 of the fraction of the mass formed between the lookback times {:.3f} and {:.3f} Gyr"
        earlier = (self.today, *self.lookback_time_bins)
        return tuple(
            Parameter(SECTION, name, self.logmass_min, float(np.log10(mass)), 0.0, "", meaning.format(begin, end))
            for name, mass, begin, end in zip(
                self.bin_names, masses, earlier, self.lookback_time_bins, strict=False
            )
        )

    def _bins_valid(self, arrays: Mapping[str, Array], today: float) -> NDArray[np.bool_]:  # noqa: ARG002
        total = np.zeros(arrays["alpha_powerlaw"].size)
        for name in self.bin_names:
            total += 10.0 ** np.minimum(arrays[name], 1.0)
        return total <= 1.0

    def _young_at_edges(self, arrays: Mapping[str, Array], today: float) -> Array:  # noqa: ARG002
        formed = np.cumsum(10.0 ** self._columns(arrays), axis=1)
        return np.maximum(1.0 - formed, 0.0)

    def _values_of_young(self, young: Array, masses: Array, today: float) -> Array:  # noqa: ARG002
        return np.log10(masses)


@dataclass(frozen=True)
class FixedTime_sSFR_SFH(MassBinsSFH):  # noqa: N801 - the name in configurations
    """Free mean specific star-formation rates over the last `lookback_time`, each by today's formed mass.

    The mass formed over a shorter time must be smaller, and none more than all.

    Attributes
    ----------
    lookback_time : tuple of float
        Gyr, inside (0, today); sorted on creation, longest first.

    Raises
    ------
    ConfigError
        No time, one outside (0, today), or two that are equal to the digits of their names.
    """

    lookback_time: tuple[float, ...] = ()
    name: ClassVar[str] = "FixedTime_sSFR_SFH"
    numbers: ClassVar[str] = "lookback_time"
    example: ClassVar[tuple[float, ...]] = _EXAMPLE_TIMES

    def __post_init__(self) -> None:
        """Sort and check the times."""
        super().__post_init__()
        edges = _checked_edges(self, self.lookback_time, "logssfr_over_{1:.2f}_logyr")
        object.__setattr__(self, "lookback_time", edges)

    def edges(self, today: float | None = None) -> tuple[float, ...]:  # noqa: ARG002
        """Lookback times between the bins, Gyr, decreasing."""
        return self.lookback_time

    @cached_property
    def bin_names(self) -> tuple[str, ...]:
        """Names of the parameters of the bins."""
        return tuple(f"logssfr_over_{np.log10(edge) + 9.0:.2f}_logyr" for edge in self.lookback_time)

    def _own_parameters(self) -> tuple[Parameter, ...]:
        # start at a constant rate
        start = -9.0 - float(np.log10(self.today))
        unit = "log10(1/yr)"
        meaning = "log10 of the mean star-formation rate of the last {:.3g} Gyr per mass formed by today"
        ends = zip(self.bin_names, self.lookback_time, strict=True)
        return tuple(
            Parameter(SECTION, name, _LEAST_LOG_SSFR, start, -9.0 - float(np.log10(edge)), unit, meaning.format(edge))
            for name, edge in ends
        )

    def _bins_valid(self, arrays: Mapping[str, Array], today: float) -> NDArray[np.bool_]:  # noqa: ARG002
        ends = zip(self.bin_names, self.lookback_time, strict=True)
        logs = [arrays[name] + 9.0 + np.log10(edge) for name, edge in ends]
        # the upper end of the range belongs to it, however its digits round
        inside = logs[0] <= 1e-14
        for longer, shorter in zip(logs[:-1], logs[1:], strict=True):
            inside &= shorter < longer
        return inside

    def _young_at_edges(self, arrays: Mapping[str, Array], today: float) -> Array:  # noqa: ARG002
        young = 10.0 ** (self._columns(arrays) + 9.0) * np.array(self.lookback_time)
        return np.minimum(young, 1.0)

    def _values_of_young(self, young: Array, masses: Array, today: float) -> Array:  # noqa: ARG002
        return np.asarray(np.log10(young / np.array(self.lookback_time)) - 9.0)


@dataclass(frozen=True)
class _SharesSFH(MassBinsSFH):
    """Each parameter is the share that a bin takes of what the earlier bins left."""

    def _shares(self, edges: Sequence[float]) -> tuple[Parameter, ...]:
        meaning = "share of the mass not formed before that forms between the lookback times {:.3f} and {:.3f} Gyr"
        return tuple(
            Parameter(SECTION, name, 0.0, 0.5, 1.0, "", meaning.format(begin, end))
            for name, begin, end in zip(self.bin_names, (self.today, *edges), edges, strict=False)
        )

    def _bins_valid(self, arrays: Mapping[str, Array], today: float) -> NDArray[np.bool_]:  # noqa: ARG002
        inside = np.ones(arrays["alpha_powerlaw"].size, dtype=bool)
        for name in self.bin_names:
            inside &= (arrays[name] >= 0.0) & (arrays[name] <= 1.0)
        return inside

    def _young_at_edges(self, arrays: Mapping[str, Array], today: float) -> Array:  # noqa: ARG002
        return np.asarray(np.cumprod(1.0 - self._columns(arrays), axis=1))

    def _values_of_young(self, young: Array, masses: Array, today: float) -> Array:  # noqa: ARG002
        left = np.concatenate([np.ones((len(young), 1)), young[:, :-1]], axis=1)
        return np.asarray(np.clip(masses / left, 0.0, 1.0), dtype=np.float64)


@dataclass(frozen=True)
class FixedCosmicTimeSFH(_SharesSFH):
    """Shares of the remaining mass formed in bins between fixed lookback times; the last bin has the rest.

    `coeff_at_{edge}`, from 0 to 1, is the share of the bin that ends at that lookback time in the mass that
    had not formed before it. Any combination is a history.

    Attributes
    ----------
    lookback_time_bins : tuple of float
        Gyr, inside (0, today); sorted on creation, earliest first.

    Raises
    ------
    ConfigError
        No time, one outside (0, today), or two that are equal to three decimals.
    """

    lookback_time_bins: tuple[float, ...] = ()
    name: ClassVar[str] = "FixedCosmicTimeSFH"
    numbers: ClassVar[str] = "lookback_time_bins"
    example: ClassVar[tuple[float, ...]] = _EXAMPLE_TIMES

    def __post_init__(self) -> None:
        """Sort and check the times."""
        super().__post_init__()
        edges = _checked_edges(self, self.lookback_time_bins, "coeff_at_{0:.3f}")
        object.__setattr__(self, "lookback_time_bins", edges)

    def edges(self, today: float | None = None) -> tuple[float, ...]:  # noqa: ARG002
        """Lookback times between the bins, Gyr, decreasing."""
        return self.lookback_time_bins

    @cached_property
    def bin_names(self) -> tuple[str, ...]:
        """Names of the parameters of the bins."""
        return tuple(f"coeff_at_{edge:.3f}" for edge in self.lookback_time_bins)

    def _own_parameters(self) -> tuple[Parameter, ...]:
        return self._shares(self.lookback_time_bins)


@dataclass(frozen=True)
class FlexibleCosmicTimeSFH(_SharesSFH):
    """As FixedCosmicTimeSFH with `n_times` edges between today and 0.05 Gyr, spaced evenly in ln(lookback time).

    The parameters are `coeff_1`, the share of the earliest bin, to `coeff_{n_times}`; the bins adapt to the
    age of the universe at the galaxy's redshift.

    Attributes
    ----------
    n_times : int
        Number of parameters, at least 1.

    Raises
    ------
    ConfigError
        `n_times` is not a whole number from 1 to 100.
    """

    n_times: int = 0
    name: ClassVar[str] = "FlexibleCosmicTimeSFH"
    numbers: ClassVar[str] = "n_times"
    example: ClassVar[tuple[float, ...]] = (5.0,)

    def __post_init__(self) -> None:
        """Check the number."""
        super().__post_init__()
        if self.n_times != int(self.n_times) or not 1 <= self.n_times <= 100:
            msg = f"{self.name} got n_times={self.n_times!r}: give a whole number of bins, such as SFHArgs = 5"
            raise ConfigError(msg)
        object.__setattr__(self, "n_times", int(self.n_times))
        if self.today <= _YOUNGEST_FLEXIBLE:
            msg = f"{self.name} needs today > {_YOUNGEST_FLEXIBLE} Gyr, found {self.today!r}"
            raise ConfigError(msg)

    def edges(self, today: float | None = None) -> tuple[float, ...]:
        """Lookback times between the bins, Gyr, decreasing."""
        spaced = np.geomspace(self._today(today), _YOUNGEST_FLEXIBLE, self.n_times + 1)[1:]
        return tuple(float(edge) for edge in spaced)

    @cached_property
    def bin_names(self) -> tuple[str, ...]:
        """Names of the parameters of the bins."""
        return tuple(f"coeff_{i}" for i in range(1, self.n_times + 1))

    def _own_parameters(self) -> tuple[Parameter, ...]:
        return self._shares(self.edges())
