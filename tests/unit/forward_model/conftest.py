"""A small synthetic SSP library, mock spectra on disk, and an independent model to compare with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import extinction
import numpy as np
import pytest

from orchestrator.config.module_options import parse_options
from orchestrator.forward_model.spectrum_fit import SpectrumFit, prepare_spectrum_fit
from orchestrator.ssp_libraries.library import SSPLibrary

LIGHT_SPEED = 299792.458
FLUX_UNIT = 1e-16
FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))
LIBRARY_FWHM = 2.5
TRUTH = {
    "logtau": 0.4,
    "ism_metallicity_today": 0.015,
    "alpha_powerlaw": 0.6,
    "los_vel": 60.0,
    "los_sigma": 140.0,
    "los_h3": 0.06,
    "los_h4": 0.04,
    "a_v": 0.5,
}
SECTIONS = {
    "los_vel": "kinematics",
    "los_sigma": "kinematics",
    "los_h3": "kinematics",
    "los_h4": "kinematics",
    "a_v": "dust.extinction",
    "beta": "noise",
}


def section_of(name: str) -> str:
    return "legendre" if name.startswith("legendre_") else SECTIONS.get(name, "stars.sfh")


def at(n_points: int = 1, **changes: Any) -> dict[tuple[str, str], np.ndarray]:
    """Parameters of `n_points` models: the truth, with changes."""
    return {
        (section_of(name), name): np.broadcast_to(np.asarray(value, dtype=float), (n_points,)).copy()
        for name, value in (TRUTH | changes).items()
    }


def synthetic_library(wavelength: np.ndarray, n_lines: int, fwhm: float, seed: int = 21) -> SSPLibrary:
    """3 metallicities x 12 ages: lines and slopes that change smoothly and differently with both."""
    rng = np.random.default_rng(seed)
    ages, metals = np.linspace(6.6, 10.2, 12), np.array([0.004, 0.02, 0.05])
    low, high = wavelength[0], wavelength[-1]
    centres = rng.uniform(low + 10, high - 10, n_lines)
    young, old, enriched = rng.uniform(0.0, 0.25, (3, n_lines))
    profiles = np.exp(-0.5 * ((wavelength - centres[:, None]) * FWHM_PER_SIGMA / fwhm) ** 2)
    flux = np.empty((3, 12, len(wavelength)))
    for i in range(3):
        for j, age in enumerate(ages):
            t = (age - 6.6) / 3.6
            depth = (1 - t) * young + t * old * (1 + 0.8 * i * enriched)
            slope = (wavelength / 5000.0) ** (-2.5 + 3.0 * t + 0.4 * i)
            flux[i, j] = 1e-2 * 10 ** (-2.0 * t) * slope * (1 - depth @ profiles).clip(0.02)
    return SSPLibrary(
        name="synthetic",
        wavelength=wavelength,
        log10_age_yr=ages,
        metallicity=metals,
        flux=flux,
        lsf_fwhm=np.full(len(wavelength), fwhm),
        surviving_fraction=np.linspace(0.95, 0.55, 12) * np.ones((3, 1)),
        mass_normalised=True,
        citation="none",
        licence="none",
        checksum=f"synthetic-{seed}-{len(wavelength)}-{fwhm}",
    )


def write_library(library: SSPLibrary, path: Path, medium: str = "vacuum") -> Path:
    np.savez(
        path,
        wavelength=library.wavelength,
        log10_age_yr=library.log10_age_yr,
        metallicity=library.metallicity,
        flux=library.flux,
        lsf_fwhm=library.lsf_fwhm,
        surviving_fraction=library.surviving_fraction,
        medium=medium,
        name=library.name,
    )
    return path


def brute_weights(library: SSPLibrary, today: float, parameters: dict[str, float]) -> np.ndarray:
    """Masses of the SSPs of an exponential history, star by star: 200 000 stars of equal mass."""
    tau = 10 ** parameters["logtau"]
    formed_before = (np.arange(200_000) + 0.5) / 200_000
    time = -tau * np.log1p(formed_before * np.expm1(-today / tau))
    ln_age = np.log10((today - time) * 1e9)
    ln_metals = np.log(parameters["ism_metallicity_today"]) + parameters["alpha_powerlaw"] * np.log(formed_before)
    weights = np.zeros(library.flux.shape[:2])
    shares = []
    for value, nodes in ((ln_metals, np.log(library.metallicity)), (ln_age, library.log10_age_yr)):
        position = np.interp(value, nodes, np.arange(len(nodes)))
        below = np.minimum(position.astype(int), len(nodes) - 2)
        shares.append((below, position - below))
    (met, met_share), (age, age_share) = shares
    for i in (0, 1):
        for j in (0, 1):
            share = (met_share if i else 1 - met_share) * (age_share if j else 1 - age_share)
            np.add.at(weights, (met + i, age + j), share)
    return weights / len(formed_before)


def brute_flux(
    library: SSPLibrary,
    rest_edges: np.ndarray,
    *,
    today: float,
    factor: float,
    data_fwhm: float = LIBRARY_FWHM,
    **changes: float,
) -> np.ndarray:
    """Flux per Msun in pixels: sum of SSPs, LSF and LOSVD in real space every 4 km/s, dust by magnitudes."""
    p = TRUTH | changes
    step = 4.0
    grid = np.exp(np.arange(np.log(library.wavelength[0]), np.log(library.wavelength[-1]), step / LIGHT_SPEED))
    mixture = np.tensordot(brute_weights(library, today, p), library.flux, 2)
    flux = np.interp(grid, library.wavelength, mixture)
    extra = np.sqrt(data_fwhm**2 - LIBRARY_FWHM**2) / FWHM_PER_SIGMA  # Angstrom
    if extra > 0:
        blurred = np.empty_like(flux)
        for i, centre in enumerate(grid):
            near = slice(max(i - 120, 0), i + 121)
            kernel = np.exp(-0.5 * ((grid[near] - centre) / extra) ** 2) * grid[near]
            blurred[i] = (kernel * flux[near]).sum() / kernel.sum()
        flux = blurred
    velocity = np.arange(-2000.0, 2000.1, step)
    y = (velocity - p["los_vel"]) / p["los_sigma"]
    losvd = np.exp(-0.5 * y**2) * (
        1
        + p["los_h3"] * (2 * np.sqrt(2) * y**3 - 3 * np.sqrt(2) * y) / np.sqrt(6)
        + p["los_h4"] * (4 * y**4 - 12 * y**2 + 3) / np.sqrt(24)
    )
    flux = np.convolve(flux, losvd / losvd.sum(), mode="same")
    # Mean over each pixel.
    fine = rest_edges[:-1, None] + np.diff(rest_edges)[:, None] * np.linspace(0, 1, 9)
    sampled = np.interp(fine, grid, flux)
    mean = np.trapezoid(sampled, fine, axis=1) / np.diff(rest_edges)
    centres = np.sqrt(rest_edges[1:] * rest_edges[:-1])
    curve = extinction.ccm89(centres, 1.0, 3.1)
    return factor * mean * 10 ** (-0.4 * p["a_v"] * curve)


@dataclass(frozen=True)
class SpectrumBench:
    """Writes spectra and prepares fits of them with the synthetic library."""

    folder: Path
    library: SSPLibrary
    library_file: Path
    redshift: float = 0.04

    def log_pixels(self, velscale: float = 60.0, low: float = 4150.0, high: float = 5330.0) -> np.ndarray:
        """Observed wavelengths whose rest frame is uniform in the logarithm."""
        return (1 + self.redshift) * np.exp(np.arange(np.log(low), np.log(high), velscale / LIGHT_SPEED))

    def linear_pixels(self, step: float = 1.0, low: float = 4150.0, high: float = 5330.0) -> np.ndarray:
        return np.arange(low * (1 + self.redshift), high * (1 + self.redshift), step)

    def write(self, wavelength: np.ndarray, flux: np.ndarray, error: np.ndarray | float, name: str) -> Path:
        path = self.folder / f"{name}.txt"
        columns = np.broadcast_arrays(wavelength, flux / FLUX_UNIT, np.asarray(error) / FLUX_UNIT)
        np.savetxt(path, np.column_stack(columns), fmt="%.17g")
        return path

    def prepare(self, path: Path, module: str = "FullSpectralFit", **options: Any) -> SpectrumFit:
        given: dict[str, Any] = {
            "inputSpectrum": str(path),
            "fluxUnits": "1e-16 erg / (s cm2 Angstrom)",
            "redshift": self.redshift,
            "SSPModel": str(self.library_file),
            "SFHModel": "ExponentialSFH",
            "ExtinctionLaw": "ccm89",
        } | options
        given = {name: value for name, value in given.items() if value is not None}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ORCHESTRATOR_CACHE", str(self.folder / "cache"))
            return prepare_spectrum_fit(parse_options(module, given))

    def fit(
        self,
        wavelength: np.ndarray,
        flux: np.ndarray,
        error: np.ndarray | float,
        name: str = "spectrum",
        **options: Any,
    ) -> SpectrumFit:
        return self.prepare(self.write(wavelength, flux, error, name), **options)

    def noiseless(self, wavelength: np.ndarray, mass: float = 1e10, **changes: float) -> np.ndarray:
        """The model at the truth in every pixel of `wavelength`, from the code under test."""
        extra = {name: value for name, value in changes.items() if name in TRUTH}
        unit = np.full(len(wavelength), FLUX_UNIT)
        fit = self.fit(wavelength, unit, FLUX_UNIT, "noiseless")
        assert fit.model.pixels.covered.all()
        return fit.model.model_spectrum(at(**extra), np.array([mass]))[0][0]

    def mock(self, wavelength: np.ndarray, signal_to_noise: float = 50.0, seed: int = 1) -> tuple:
        """Noisy flux and its uncertainty."""
        flux = self.noiseless(wavelength)
        error = np.full(len(flux), flux.mean() / signal_to_noise)
        return flux + np.random.default_rng(seed).normal(0.0, error), error

    def moved(self, **changes: Any) -> SpectrumBench:
        return replace(self, **changes)


@dataclass(frozen=True)
class Toolbox:
    """The functions above for the test modules, which cannot import this file."""

    at = staticmethod(at)
    brute_flux = staticmethod(brute_flux)
    brute_weights = staticmethod(brute_weights)
    synthetic_library = staticmethod(synthetic_library)
    write_library = staticmethod(write_library)
    section_of = staticmethod(section_of)
    TRUTH = TRUTH


@pytest.fixture(scope="session")
def toolbox() -> Toolbox:
    return Toolbox()


@pytest.fixture(scope="session")
def synthetic() -> SSPLibrary:
    """1500 pixels of 1 Angstrom with 70 lines."""
    return synthetic_library(np.arange(4000.0, 5500.0, 1.0), 70, LIBRARY_FWHM)


@pytest.fixture(scope="session")
def bench(synthetic: SSPLibrary, tmp_path_factory: pytest.TempPathFactory) -> SpectrumBench:
    folder = tmp_path_factory.mktemp("spectra")
    return SpectrumBench(folder, synthetic, write_library(synthetic, folder / "synthetic.npz"))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for one test."""
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
