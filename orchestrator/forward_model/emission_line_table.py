"""The record of measured emission lines, and the table that is written of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["EmissionLineMeasurement", "EmissionLineMeasurements"]

_COLUMNS = (
    ("name", None, "line; the sum of both where two are not told apart"),
    ("wavelength", "Angstrom", "rest frame, vacuum"),
    ("flux", "erg / (s cm2)", "observed frame, not corrected for dust"),
    ("flux_error", "erg / (s cm2)", "standard deviation"),
    ("equivalent_width", "Angstrom", "rest frame, positive in emission"),
    ("equivalent_width_error", "Angstrom", "standard deviation, from that of the flux"),
    ("velocity", "km / s", "c ln(wavelength ratio) relative to the redshift"),
    ("velocity_error", "km / s", "NaN where it was not fitted"),
    ("dispersion", "km / s", "standard deviation of the line; see lsf_removed"),
    ("dispersion_error", "km / s", "NaN where it was not fitted"),
    ("signal_to_noise", "", "flux over its error"),
    ("upper_limit", "erg / (s cm2)", "of the flux of lines that are not detected"),
    ("continuum", "erg / (s cm2 Angstrom)", "median of the stellar model about the blend"),
    ("reduced_chi2", "", "of the blend; above 1 the errors are too small"),
    ("blend", None, "lines of the same number were fitted together; 0 if not covered"),
    ("tied_to", None, "line whose flux fixes this one's"),
    ("status", None, "detected, upper limit, or not covered"),
)

_NUMBERS = [name for name, unit, _ in _COLUMNS if unit is not None and name != "wavelength"]


@dataclass(frozen=True)
class EmissionLineMeasurement:
    """One line. Attributes are the columns of the table; NaN where a line is not covered."""

    name: str
    wavelength: float
    flux: float
    flux_error: float
    equivalent_width: float
    equivalent_width_error: float
    velocity: float
    velocity_error: float
    dispersion: float
    dispersion_error: float
    signal_to_noise: float
    upper_limit: float
    continuum: float
    reduced_chi2: float
    blend: int
    tied_to: str | None
    status: str

    @classmethod
    def not_covered(cls, name: str, wavelength: float) -> EmissionLineMeasurement:
        """Return the record of a line without enough good pixels."""
        nothing: dict[str, Any] = dict.fromkeys(_NUMBERS, float("nan"))
        return cls(name=name, wavelength=wavelength, blend=0, tied_to=None, status="not covered", **nothing)


@dataclass(frozen=True)
class EmissionLineMeasurements:
    """All lines of one spectrum.

    Attributes
    ----------
    lines : tuple of EmissionLineMeasurement
        In order of wavelength.
    redshift : float
    kinematics : str
        ``shared`` or ``per_blend``.
    kinematics_measured : bool
        False where no line was bright enough, and all have the velocity and dispersion that were given.
    detection : float
        Signal-to-noise ratio from which a line counts as detected.
    noise_factor : float
        By which the fit enlarged the uncertainties, its median over pixels.
    lsf_removed : bool
        Whether dispersions are the gas's own; if not, they include the instrument's.
    name : str
    """

    lines: tuple[EmissionLineMeasurement, ...]
    redshift: float
    kinematics: str
    kinematics_measured: bool
    detection: float
    noise_factor: float
    lsf_removed: bool
    name: str

    def __getitem__(self, name: str) -> EmissionLineMeasurement:
        """Return the line of this name.

        Raises
        ------
        KeyError
            With the nearest known name.
        """
        from orchestrator.errors import nearest_known

        for line in self.lines:
            if line.name == name:
                return line
        msg = f"line {name!r} was not measured{nearest_known(name, [line.name for line in self.lines])}"
        raise KeyError(msg)

    def to_table(self) -> Any:
        """Return an astropy QTable, one row per line, with units and descriptions."""
        from astropy import units
        from astropy.table import QTable

        table = QTable()
        for name, unit, description in _COLUMNS:
            values = [getattr(line, name) for line in self.lines]
            if name == "tied_to":
                values = ["" if value is None else value for value in values]
            table[name] = values if unit is None else np.array(values, dtype=np.float64) * units.Unit(unit)
            table[name].info.description = description
        table.meta = {
            "spectrum": self.name,
            "redshift": float(self.redshift),
            "kinematics": self.kinematics,
            "kinematics_measured": bool(self.kinematics_measured),
            "detection": float(self.detection),
            "noise_factor": float(self.noise_factor),
            "lsf_removed": bool(self.lsf_removed),
        }
        return table

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the table as ECSV and return its path; an older one is replaced."""
        target = Path(path)
        self.to_table().write(target, format="ascii.ecsv", overwrite=True)
        return target
