"""A small SSP library in the documented simple layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_library(path: Path) -> None:
    """3 metallicities x 10 ages, 50 lines of FWHM 2.5 Angstrom."""
    rng = np.random.default_rng(41)
    wave, ages = np.arange(3900.0, 5700.0, 1.0), np.linspace(6.6, 10.2, 10)
    centres = rng.uniform(3910, 5690, 50)
    young, old = rng.uniform(0, 0.3, (2, 50))
    lines = np.exp(-0.5 * ((wave - centres[:, None]) * 2.3548 / 2.5) ** 2)
    t = ((ages - 6.6) / 3.6)[None, :, None]
    metal = np.arange(3)[:, None, None]
    depth = (1 - t) * young + t * old * (1 + 0.4 * metal)
    flux = 1e-2 * 10 ** (-2 * t) * (wave / 5000) ** (-2.5 + 3 * t + 0.4 * metal) * (1 - depth @ lines).clip(0.05)
    np.savez(
        path,
        wavelength=wave,
        log10_age_yr=ages,
        metallicity=[0.004, 0.02, 0.05],
        flux=flux,
        lsf_fwhm=2.5,
        surviving_fraction=np.linspace(0.95, 0.55, 10) * np.ones((3, 1)),
        medium="vacuum",
        name="toy",
    )
