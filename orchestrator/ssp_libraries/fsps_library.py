"""Populations computed by FSPS through python-fsps (https://dfm.io/python-fsps), where it is installed.

What is used of its interface: ``StellarPopulation(zcontinuous=0, sfh=0, imf_type, add_neb_emission)``, its parameter
``zmet`` (1 to the number of metallicities), ``get_spectrum(tage=0)`` with all ages in Lsun/Hz per Msun formed,
``stellar_mass`` (with remnants), ``log_age`` (yr), ``zlegend`` (mass fractions), ``libraries``, and in newer versions
``resolutions`` (dispersion in km/s, negative where it is a guess). FSPS gives vacuum wavelengths.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.arguments import NEBULAR, Argument
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES
from orchestrator.ssp_libraries.library import SSPLibrary
from orchestrator.ssp_libraries.reader import Reader, Values
from orchestrator.ssp_libraries.resolution import MILES_FWHM, fwhm_of_dispersion, fwhm_of_pieces

__all__ = ["FSPS_PIECES", "READER", "compute_fsps", "is_installed"]

FSPS_PIECES = ((3525.0, 7500.0, MILES_FWHM),)
"""Where FSPS's usual stars are MILES, and its resolution there."""
_IMF_TYPE = {"salpeter": 0, "chabrier": 1, "kroupa": 2}


def is_installed() -> bool:
    """Return whether python-fsps can be found; it is not imported."""
    return importlib.util.find_spec("fsps") is not None


def _fsps() -> Any:
    how = f"{KNOWN_LIBRARIES['FSPS'].source}. SPS_HOME is {os.environ.get('SPS_HOME')!r}"
    try:
        import fsps
    except ModuleNotFoundError as error:
        msg = f"SSP library 'FSPS' is computed by python-fsps, which is not installed: {how}"
        raise LibraryError(msg) from error
    except (ImportError, RuntimeError, OSError, KeyError) as error:
        msg = f"SSP library 'FSPS': python-fsps is installed but does not start ({error}): {how}"
        raise LibraryError(msg) from error
    return fsps


def _fingerprint() -> str:
    """Return version and compilation of FSPS: isochrones and stars are chosen when it is compiled."""
    fsps = _fsps()
    folder = Path(fsps.__file__).parent
    compiled = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in sorted(folder.glob("*.so"))]
    return repr(["FSPS", getattr(fsps, "__version__", ""), os.environ.get("SPS_HOME"), compiled])


def _lsf(population: Any, wavelength: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
    try:
        sigma = np.abs(np.asarray(population.resolutions, dtype=np.float64))
    except AttributeError:
        sigma = np.zeros(0)
    if sigma.shape == wavelength.shape and np.all(np.isfinite(sigma)) and np.any(sigma > 0.0):
        return fwhm_of_dispersion(wavelength, sigma), "as FSPS states it"
    return fwhm_of_pieces(wavelength, FSPS_PIECES), "FWHM 2.54 A at 3525 - 7500 A, else two sampling steps"


def compute_fsps(*, imf: str, nebular: bool, checksum: str) -> SSPLibrary:
    """Compute the populations of all metallicities; this takes minutes the first time.

    Parameters
    ----------
    imf : {'chabrier', 'kroupa', 'salpeter'}
    nebular : bool
        Add FSPS's nebular emission, lines included.
    checksum : str

    Raises
    ------
    LibraryError
        python-fsps is not installed, or FSPS's data are not there.
    """
    from orchestrator.physics.constants import SPEED_OF_LIGHT_ANGSTROM

    population = _fsps().StellarPopulation(
        zcontinuous=0, sfh=0, imf_type=_IMF_TYPE[imf], add_neb_emission=nebular
    )
    metallicity = np.array(population.zlegend, dtype=np.float64)
    flux: NDArray[np.float64] = np.empty(0)
    surviving: list[NDArray[np.float64]] = []
    wavelength: NDArray[np.float64] = np.empty(0)
    for i in range(metallicity.size):
        population.params["zmet"] = i + 1
        wave, spectra = population.get_spectrum(tage=0.0)
        if i == 0:
            wavelength = np.array(wave, dtype=np.float64)
            flux = np.empty((metallicity.size, *np.shape(spectra)))
        np.multiply(spectra, SPEED_OF_LIGHT_ANGSTROM / wavelength**2, out=flux[i])
        surviving.append(np.array(population.stellar_mass, dtype=np.float64))
    fwhm, resolution = _lsf(population, wavelength)
    entry = KNOWN_LIBRARIES["FSPS"]
    return SSPLibrary(
        name=entry.name,
        wavelength=wavelength,
        log10_age_yr=np.array(population.log_age, dtype=np.float64),
        metallicity=metallicity,
        flux=flux,
        lsf_fwhm=fwhm,
        surviving_fraction=np.clip(surviving, 0.0, 1.0),
        mass_normalised=True,
        citation=f"{entry.citation}; {_libraries(population)}",
        licence=entry.licence,
        checksum=checksum,
        initial_mass_function=imf.capitalize(),
        resolution=resolution,
    )


def _libraries(population: Any) -> str:
    words = [word.decode() if isinstance(word, bytes) else str(word) for word in getattr(population, "libraries", ())]
    return f"compiled with {', '.join(words) or 'unknown libraries'}"


def _read(_paths: Sequence[Path], values: Values, checksum: str) -> SSPLibrary:
    return compute_fsps(imf=values["imf"], nebular=values["nebular"] == "True", checksum=checksum)


READER = Reader(
    arguments=(Argument("imf", {imf: imf for imf in ("chabrier", "kroupa", "salpeter")}, "chabrier"), NEBULAR),
    patterns=lambda _values: (),
    read=_read,
    fingerprint=_fingerprint,
)
