"""Layouts of other packages that are recognised by their keys: pPXF's npz and DSPS's HDF5.

pPXF (Cappellari 2023, MNRAS 526, 3273; ``ppxf.sps_util.sps_lib``): ``templates`` (n_wave, n_age, n_met) [Lsun /
Angstrom per Msun formed], ``lam`` [Angstrom], ``ages`` [Gyr], ``metals`` [M/H], ``fwhm`` [Angstrom] and, if present,
``masses`` (n_age, n_met): stars and remnants per mass formed. It does not state its medium.

DSPS (Hearin et al. 2023, MNRAS 521, 1741; ``dsps.data_loaders.load_ssp_data``): ``ssp_lgmet`` log10 of Z,
``ssp_lg_age_gyr``, ``ssp_wave`` [Angstrom], ``ssp_flux`` (n_met, n_age, n_wave) [Lsun / Hz / Msun formed]. Its files
come from FSPS, so in vacuum; they state no resolution.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.ssp_libraries.fsps_library import FSPS_PIECES
from orchestrator.ssp_libraries.library import SOLAR_METALLICITY
from orchestrator.ssp_libraries.resolution import fwhm_of_pieces

__all__ = ["UNSTATED", "from_foreign_layout"]

UNSTATED = "unstated"
"""Medium of a file that does not tell: its lines do (`medium_check.settled_medium`)."""

_PPXF_KEYS = frozenset({"templates", "lam", "ages", "metals", "fwhm"})
_DSPS_KEYS = frozenset({"ssp_lgmet", "ssp_lg_age_gyr", "ssp_wave", "ssp_flux"})

logger = logging.getLogger(__name__)


def from_foreign_layout(content: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Return the content in the keys of `simple_layout`, unchanged where it is in none of these layouts."""
    if set(content) >= _PPXF_KEYS:
        return _from_ppxf(content)
    if set(content) >= _DSPS_KEYS:
        return _from_dsps(content, path)
    return content


def _from_ppxf(content: Mapping[str, Any]) -> dict[str, Any]:
    converted: dict[str, Any] = {
        "wavelength": content["lam"],
        "log10_age_yr": np.log10(np.asarray(content["ages"], dtype=np.float64)) + 9.0,
        "metallicity": SOLAR_METALLICITY * 10.0 ** np.asarray(content["metals"], dtype=np.float64),
        "flux": np.ascontiguousarray(np.asarray(content["templates"]).T),  # (met, age, wave)
        "lsf_fwhm": content["fwhm"],
        "medium": UNSTATED,
    }
    if "masses" in content:
        converted["surviving_fraction"] = np.asarray(content["masses"], dtype=np.float64).T
    return converted


def _from_dsps(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    from orchestrator.physics.constants import SPEED_OF_LIGHT_ANGSTROM

    wavelength = np.asarray(content["ssp_wave"], dtype=np.float64)
    flux = np.array(content["ssp_flux"])
    flux *= (SPEED_OF_LIGHT_ANGSTROM / wavelength**2).astype(flux.dtype)
    logger.info(
        "%s is in DSPS's layout, which states no resolution: taken as that of FSPS with MILES (FWHM 2.54 A at "
        "3525-7500 A, else two sampling steps); SSPLSF replaces it",
        path,
    )
    return {
        "wavelength": wavelength,
        "log10_age_yr": np.asarray(content["ssp_lg_age_gyr"], dtype=np.float64) + 9.0,
        "metallicity": 10.0 ** np.asarray(content["ssp_lgmet"], dtype=np.float64),
        "flux": flux,
        "lsf_fwhm": fwhm_of_pieces(wavelength, FSPS_PIECES),
        "medium": "vacuum",
    }
