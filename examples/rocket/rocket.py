"""A pipeline in the manner of Astra: a function per spectrum, a typed result with flags, and a summary."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from orchestrator.production.stage_types import Column, Flag, Flagged, InputFile, Table, Target


@dataclass(frozen=True)
class Rocket:
    snr: Annotated[float, Column("", "median signal-to-noise per pixel")]
    slope: Annotated[float, Column("1/um", "slope of ln flux with wavelength")]
    low_snr: Annotated[bool, Flag("signal-to-noise below the limit")] = False


@dataclass(frozen=True)
class Summary:
    n_targets: Annotated[int, Column("", "spectra with enough signal")]
    median_slope: Annotated[float, Column("1/um", "median slope of these")]


def rocket(target: Target, *, spectrum: InputFile, least_snr: float = 3.0) -> Rocket | Flagged[Rocket]:
    """Measure the slope of a spectrum."""
    wavelength, flux, error = np.loadtxt(spectrum, unpack=True)[:3]
    good = (flux > 0) & (error > 0)
    if good.sum() < 10:
        return Flagged(None, ("bad_input",), f"{good.sum()} good pixels")
    snr = float(np.median(flux[good] / error[good]))
    slope = np.polyfit(wavelength[good] / 1e4, np.log(flux[good]), 1)[0]
    result = Rocket(snr, float(slope))
    return result if snr >= least_snr else Flagged(result, ("low_snr",), f"signal-to-noise {snr:.1f}")


def summary(*, rocket: Table) -> Summary:
    """Summarise the slopes."""
    good = rocket[~rocket["low_snr"] & (rocket["flags"] == 0)]
    return Summary(len(good), float(np.median(good["slope"])))
