"""A pipeline in the manner of Astra: a function per spectrum, a typed result with flags, and a summary."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from orchestrator.observation.read_spectrum import read_spectrum
from orchestrator.production.stage_types import Column, Flag, Flagged, InputFile, Table, Target


@dataclass(frozen=True)
class Rocket:
    snr: Annotated[float, Column("", "median signal-to-noise per pixel")]
    d4000: Annotated[float, Column("", "narrow 4000 A break")]
    low_snr: Annotated[bool, Flag("signal-to-noise below the limit")] = False


@dataclass(frozen=True)
class Summary:
    n_good: Annotated[int, Column("", "spectra without a flag")]
    median_d4000: Annotated[float, Column("", "median break of these")]


def rocket(target: Target, *, spectrum: InputFile, least_snr: float = 3.0) -> Rocket | Flagged[Rocket]:
    """Measure the break at 4000 A."""
    data = read_spectrum(spectrum, row=target["row"], redshift=target["redshift"])
    wavelength = data.wavelength / (1 + target["redshift"])
    snr = float(np.median((data.flux / data.uncertainty)[data.good_pixels]))
    blue, red = (data.good_pixels & (wavelength > low) & (wavelength < low + 100) for low in (3850, 4000))
    result = Rocket(snr, float(data.flux[red].mean() / data.flux[blue].mean()))
    return result if snr >= least_snr else Flagged(result, ("low_snr",), f"signal-to-noise {snr:.1f}")


def summary(*, rocket: Table) -> Summary:
    """Summarise the breaks."""
    good = rocket[~rocket["low_snr"] & (rocket["flags"] == 0)]
    return Summary(len(good), float(np.median(good["d4000"])))
