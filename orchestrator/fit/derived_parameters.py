"""The posterior of the derived quantities and of the star-formation history: records and their tables."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.text_files import write_atomically
from orchestrator.errors import ChainError, nearest_known

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Bands", "DerivedParameters", "DerivedSummary", "FormationHistoryBands", "tables_match"]

FloatArray = NDArray[np.float64]

_BAND_MEANINGS = {
    "best_fit": "at the best fit",
    "median": "median",
    "lower_68": "16th percentile",
    "upper_68": "84th percentile",
    "lower_95": "2.5th percentile",
    "upper_95": "97.5th percentile",
}


@dataclass(frozen=True)
class DerivedSummary:
    """Posterior of one derived quantity; NaN where nothing was sampled.

    Attributes
    ----------
    name, unit, description : str
    best_fit, mean, std, median : float
    lower_68, upper_68, lower_95, upper_95 : float
        16th, 84th, 2.5th and 97.5th percentiles.
    """

    name: str
    unit: str
    description: str
    best_fit: float
    mean: float = math.nan
    std: float = math.nan
    median: float = math.nan
    lower_68: float = math.nan
    upper_68: float = math.nan
    lower_95: float = math.nan
    upper_95: float = math.nan


@dataclass(frozen=True)
class DerivedParameters:
    """Posterior of all derived quantities of a stage.

    Attributes
    ----------
    rows : tuple of DerivedSummary
    unavailable : mapping of str to str
        Quantities that cannot be given, and why.
    n_samples : int
        Samples of the posterior that were used; 0 where only the best fit is known.
    meta : mapping
        What else the table says: the results file and its best log-posterior, the module, the SSP library,
        the light that weights.
    """

    rows: tuple[DerivedSummary, ...]
    unavailable: Mapping[str, str] = field(default_factory=dict)
    n_samples: int = 0
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> DerivedSummary:
        """Return one quantity by name; a KeyError says why it is not there."""
        for row in self.rows:
            if row.name == name:
                return row
        reason = self.unavailable.get(name)
        known = nearest_known(name, [row.name for row in self.rows])
        msg = f"{name} is not available: {reason}" if reason else f"no derived quantity {name!r}{known}"
        raise KeyError(msg)

    def to_table(self) -> Table:
        """Return an astropy table, one row per quantity."""
        from astropy.table import Table

        names = [f.name for f in fields(DerivedSummary)]
        return Table({name: [getattr(row, name) for row in self.rows] for name in names}, meta=self._meta())

    def write(self, path: Path) -> Path:
        """Write the table as ECSV and return its path."""
        return _write(path, self.to_table())

    @classmethod
    def read(cls, path: Path) -> DerivedParameters:
        """Read a table that `write` has written.

        Raises
        ------
        ChainError
            If it is none.
        """
        table = _read(path, [f.name for f in fields(DerivedSummary)])
        meta = dict(table.meta)
        numbers = [f.name for f in fields(DerivedSummary) if f.name not in ("name", "unit", "description")]
        rows = tuple(
            DerivedSummary(
                _text(row["name"]),
                _text(row["unit"]),
                _text(row["description"]),
                **{name: float(row[name]) for name in numbers},
            )
            for row in table
        )
        return cls(rows, dict(meta.pop("unavailable", {})), int(meta.pop("n_samples", 0)), meta)

    def _meta(self) -> dict[str, Any]:
        return {**self.meta, "n_samples": self.n_samples, "unavailable": dict(self.unavailable)}


@dataclass(frozen=True)
class Bands:
    """Posterior of a function of time; NaN where nothing was sampled but for `best_fit`.

    Attributes
    ----------
    best_fit, median, lower_68, upper_68, lower_95, upper_95 : ndarray, shape (n_steps,)
    """

    best_fit: FloatArray
    median: FloatArray
    lower_68: FloatArray
    upper_68: FloatArray
    lower_95: FloatArray
    upper_95: FloatArray

    @property
    def is_sampled(self) -> bool:
        """Whether there is more than the best fit."""
        return bool(np.isfinite(self.median).any())


@dataclass(frozen=True)
class FormationHistoryBands:
    """The reconstructed star-formation history with credible bands, point by point in lookback time.

    Attributes
    ----------
    lookback_start, lookback_end : ndarray, shape (n_steps,)
        Each step in lookback time, Gyr, start before end; the first step ends today.
    rate : Bands
        Mean star-formation rate of each step, in `rate_unit`.
    mass_fraction : Bands
        Fraction of the mass formed by the end of each step.
    log10_metallicity : Bands
        log10 of the metal mass fraction of the stars that form at the end of each step.
    rate_unit : str
        ``Msun / yr``, or ``1 / yr`` (per mass formed) where the data say nothing about the mass.
    n_samples : int
        Samples of the posterior that were used; 0 where only the best fit is known.
    meta : mapping
        As in `DerivedParameters`.
    """

    lookback_start: FloatArray
    lookback_end: FloatArray
    rate: Bands
    mass_fraction: Bands
    log10_metallicity: Bands
    rate_unit: str = "Msun / yr"
    n_samples: int = 0
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def today(self) -> float:
        """Age of the universe at the galaxy, Gyr."""
        return float(self.lookback_start[-1])

    def to_table(self) -> Table:
        """Return an astropy table with units, one row per step."""
        from astropy.table import Table

        return Table(self._columns(), meta=self._meta())

    def write(self, path: Path) -> Path:
        """Write the table as ECSV and return its path."""
        return _write(path, self.to_table())

    @classmethod
    def read(cls, path: Path) -> FormationHistoryBands:
        """Read a table that `write` has written.

        Raises
        ------
        ChainError
            If it is none.
        """
        names = [f"{quantity}_{band}" for quantity in _QUANTITIES for band in _BAND_MEANINGS]
        table = _read(path, ["lookback_start", "lookback_end", *names])
        column = {name: np.asarray(table[name], dtype=float) for name in table.colnames}
        bands = {q: Bands(**{band: column[f"{q}_{band}"] for band in _BAND_MEANINGS}) for q in _QUANTITIES}
        meta = dict(table.meta)
        unit, n_samples = str(meta.pop("rate_unit", "")), int(meta.pop("n_samples", 0))
        start, end = column["lookback_start"], column["lookback_end"]
        return cls(
            start, end, bands["sfr"], bands["mass_fraction"], bands["log10_metallicity"], unit, n_samples, meta
        )

    def _meta(self) -> dict[str, Any]:
        return {**self.meta, "rate_unit": self.rate_unit, "n_samples": self.n_samples}

    def _columns(self) -> list[Any]:
        from astropy.table import Column

        def column(values: FloatArray, name: str, unit: str, meaning: str) -> Any:
            return Column(values, name, unit=unit or None, description=meaning)

        columns = [
            column(self.lookback_start, "lookback_start", "Gyr", "lookback time at which the step begins"),
            column(self.lookback_end, "lookback_end", "Gyr", "lookback time at which the step ends"),
        ]
        meanings = {
            "sfr": (self.rate, self.rate_unit, "mean star-formation rate of the step"),
            "mass_fraction": (self.mass_fraction, "", "fraction of the mass formed by the end of the step"),
            "log10_metallicity": (
                self.log10_metallicity,
                "",
                "log10 of the metal mass fraction of the stars that form at the end of the step",
            ),
        }
        for quantity, (bands, unit, meaning) in meanings.items():
            columns += [
                column(getattr(bands, band), f"{quantity}_{band}", unit, f"{meaning}: {text}")
                for band, text in _BAND_MEANINGS.items()
            ]
        return columns


_QUANTITIES = ("sfr", "mass_fraction", "log10_metallicity")


def tables_match(meta: Mapping[str, Any], log_posterior: float, n_rows: int) -> bool:
    """Tell whether a table was made of a chain of so many rows with this best log-posterior."""
    same = math.isclose(float(meta.get("best_log_posterior", math.nan)), log_posterior, rel_tol=1e-9, abs_tol=1e-9)
    return same and int(meta.get("n_rows", -1)) == n_rows


def _write(path: Path, table: Table) -> Path:
    """Write a table as ECSV; the file appears whole."""
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    write_atomically(path, text.getvalue())
    return path


def _read(path: Path, names: list[str]) -> Any:
    from astropy.table import Table

    try:
        table = Table.read(path, format="ascii.ecsv")
    except (OSError, ValueError) as error:
        msg = f"{str(path)!r} cannot be read: {error}. Remove it to read the results without it."
        raise ChainError(msg) from error
    missing = [name for name in names if name not in table.colnames]
    if missing:
        msg = f"{str(path)!r} has no column {missing[0]!r}; it is no table of this kind. Remove it."
        raise ChainError(msg)
    return table


def _text(value: Any) -> str:
    # an empty cell reads back as a masked one
    return "" if np.ma.is_masked(value) else str(value)
