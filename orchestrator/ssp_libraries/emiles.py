"""Reader of E-MILES (Vazdekis et al. 2016, MNRAS 463, 3409; Rock et al. 2016, A&A 589, A73).

One FITS image per population, ``E<imf><slope>Z<m|p><[M/H]>T<age/Gyr>_<iTp|iPp>0.00_baseFe.fits`` (MILES' naming:
``ku`` Kroupa universal, ``ch`` Chabrier, ``un`` unimodal, ``bi`` bimodal; ``iTp`` BaSTI, ``iPp`` Padova 2000): air
wavelengths in linear steps, Lsun / Angstrom / Msun formed. MILES' table of masses, if it lies beside
(``out_mass_*.txt``), gives the surviving fraction: its columns 1 to 4 and 6 are the mass function, its slope, [M/H],
the age and the mass in stars and remnants.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.arguments import Argument
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES
from orchestrator.ssp_libraries.grid import PopulationFile, PopulationGrid, assemble_grid
from orchestrator.ssp_libraries.library import SSPLibrary
from orchestrator.ssp_libraries.reader import Reader, Values
from orchestrator.ssp_libraries.resolution import fwhm_of_dispersion

__all__ = ["READER", "read_emiles"]

_FILE_NAME = re.compile(
    r"E(?:ku|ch|un|bi)\d\.\d\dZ(?P<sign>[mp])(?P<m_h>\d\.\d\d)T(?P<age>\d\d\.\d{4})_i[TP]p\d\.\d\d_baseFe\.fits$"
)
# Metallicities of the isochrones themselves; [M/H] of the two sets does not refer to the same solar value.
_BASTI = {-2.27: 1e-4, -1.79: 3e-4, -1.49: 6e-4, -1.26: 1e-3, -0.96: 2e-3, -0.66: 4e-3}
_BASTI |= {-0.35: 8e-3, -0.25: 0.01, 0.06: 0.0198, 0.15: 0.024, 0.26: 0.03, 0.40: 0.04}
_PADOVA = {-2.32: 1e-4, -1.71: 4e-4, -1.31: 1e-3, -0.71: 4e-3, -0.40: 8e-3, 0.0: 0.019, 0.22: 0.03}
_METALLICITY = {"BASTI": _BASTI, "PADOVA00": _PADOVA}
_SOLAR = 0.019
_ISOCHRONE_IN_NAME = {"BASTI": "iTp", "PADOVA00": "iPp"}
_IMF_IN_NAME = {"KROUPA_UNIVERSAL": "ku", "CHABRIER": "ch", "UNIMODAL": "un", "BIMODAL": "bi"}
_IMF_CHOICES = {imf.lower(): imf for imf in _IMF_IN_NAME} | {"kroupa": "KROUPA_UNIVERSAL"}
_SLOPES = tuple(f"{slope:.2f}" for slope in (0.3, 0.5, 0.8, 1.0, 1.3, 1.5, 1.8, 2.0, 2.3, 2.5, 2.8, 3.0, 3.3, 3.5))
_SLOPE_CHOICES = {slope: slope for slope in _SLOPES} | {slope.rstrip("0"): slope for slope in _SLOPES}
_MASS_TABLE = "out_mass_*.txt"


def _population(path: Path, isochrone: str) -> PopulationFile:
    match = _FILE_NAME.search(path.name)
    if match is None:
        msg = f"{str(path)!r}: the name does not follow 'Eku1.30Zp0.06T10.0000_iTp0.00_baseFe.fits' of E-MILES"
        raise LibraryError(msg)
    m_h = float(match["m_h"]) * (-1.0 if match["sign"] == "m" else 1.0)
    z = _METALLICITY[isochrone].get(m_h, _SOLAR * 10.0**m_h)
    return PopulationFile(path, metallicity=z, age_gyr=float(match["age"]))


def _lsf(wavelength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the FWHM that Vazdekis et al. (2016) give for each range."""
    fixed = np.array([3.0, 5.0, 2.51])[np.searchsorted((3060.0, 3541.0), wavelength)]
    return np.where(wavelength < 8950.0, fixed, fwhm_of_dispersion(wavelength, 60.0))


def _surviving(paths: Sequence[Path], values: Values, grid: PopulationGrid) -> NDArray[np.float64] | None:
    """Return the mass in stars and remnants, shape (n_met, n_age); None where a population is not in the table."""
    tables = sorted(paths[0].parent.glob(_MASS_TABLE))
    if not tables:
        return None
    found = {}
    for line in tables[0].read_text(encoding="latin-1").splitlines():
        words = line.split()
        if len(words) < 6 or words[0].lower() != _IMF_IN_NAME[values["imf"]]:
            continue
        try:
            slope, m_h, age, mass = (float(words[k]) for k in (1, 2, 3, 5))
        except ValueError as error:
            msg = f"{str(tables[0])!r}: {line.strip()!r} is not a row of MILES' table of masses ({error})"
            raise LibraryError(msg) from error
        if abs(slope - float(values["slope"])) < 0.005:
            z = _METALLICITY[values["iso"]].get(round(m_h, 2), _SOLAR * 10.0**m_h)
            found[round(z, 7), round(age, 4)] = mass
    keys = [[(round(float(z), 7), round(float(age), 4)) for age in grid.age_gyr] for z in grid.metallicity]
    if any(key not in found for row in keys for key in row):
        msg = f"{str(tables[0])!r} lacks the mass of some population; take the table of these isochrones or remove it"
        raise LibraryError(msg)
    return np.array([[found[key] for key in row] for row in keys])


def read_emiles(paths: Sequence[Path], values: Values, checksum: str) -> SSPLibrary:
    """Read the library.

    Parameters
    ----------
    paths : sequence of Path
        All files of one mass function and one set of isochrones.
    values : mapping
        ``iso``, ``imf`` and ``slope``.
    checksum : str

    Raises
    ------
    LibraryError
        A file that does not follow the layout, or a population that is missing from the grid.
    """
    from orchestrator.physics.wavelength import air_to_vacuum

    grid = assemble_grid([_population(path, values["iso"]) for path in paths], "EMILES")
    air = grid.wavelength
    entry = KNOWN_LIBRARIES["EMILES"]
    return SSPLibrary(
        name=entry.name,
        wavelength=air_to_vacuum(air),
        log10_age_yr=np.log10(grid.age_gyr) + 9.0,
        metallicity=grid.metallicity,
        flux=grid.flux,
        lsf_fwhm=_lsf(air),
        surviving_fraction=_surviving(paths, values, grid),
        mass_normalised=True,
        citation=entry.citation,
        licence=entry.licence,
        checksum=checksum,
        medium="air",
        initial_mass_function=f"{values['imf'].capitalize().replace('_', ' ')}, slope {values['slope']}",
        resolution=entry.resolution,
    )


def _patterns(values: Values) -> tuple[str, ...]:
    imf, isochrone = _IMF_IN_NAME[values["imf"]], _ISOCHRONE_IN_NAME[values["iso"]]
    return (f"E{imf}{values['slope']}Z*T*_{isochrone}0.00_baseFe.fits",)


READER = Reader(
    arguments=(
        Argument("iso", {"basti": "BASTI", "padova00": "PADOVA00"}, default="BASTI"),
        Argument("imf", _IMF_CHOICES, default="KROUPA_UNIVERSAL"),
        Argument("slope", _SLOPE_CHOICES, default="1.30"),
    ),
    patterns=_patterns,
    read=read_emiles,
    beside=lambda paths: tuple(sorted(paths[0].parent.glob(_MASS_TABLE))[:1]),
)
