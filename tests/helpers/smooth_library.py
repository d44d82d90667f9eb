"""A library of 200 smooth spectra, models of mock data made with it, and points to evaluate."""

from __future__ import annotations

from typing import Any

import numpy as np

from orchestrator.forward_model.pixels import FittedPixels, ModelGrid
from orchestrator.forward_model.prepared_templates import PreparedTemplates, prepare_templates
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.forward_model.stellar_spectrum import StellarSpectrumModel, prepare_stellar_spectrum
from orchestrator.physics.sfh import build_sfh
from orchestrator.physics.wavelength import prepare_projection
from orchestrator.ssp_libraries.library import SSPLibrary

TODAY = 13.0
GRID = ModelGrid(4000.0 * np.exp(np.arange(900) * 60.0 / 299792.458), 60.0)
NUMBERS = {
    "los_vel": 40.0, "los_sigma": 150.0, "los_h3": 0.03, "los_h4": 0.02,
}  # fmt: skip


def smooth_library() -> SSPLibrary:
    """5 x 40 spectra: a law of power with lines, both smooth functions of age and metallicity."""
    rng = np.random.default_rng(3)
    wavelength = np.arange(3800.0, 5100.0, 1.0)
    ages, metals = np.linspace(6.0, 10.25, 40), np.geomspace(1e-3, 0.05, 5)
    centres, widths = rng.uniform(3800, 5100, 60), rng.uniform(2, 8, 60)
    lines = np.exp(-0.5 * ((wavelength - centres[:, None]) / widths[:, None]) ** 2)
    phase, rate = rng.uniform(0, 2 * np.pi, 60), rng.uniform(0.2, 2.0, (60, 2))
    age, metal = np.meshgrid((ages - 6) / 4.25, np.log(metals / 1e-3) / np.log(50), indexing="xy")
    depth = 0.15 * (1 + np.sin(phase + age[..., None] * rate[:, 0] * 3 + metal[..., None] * rate[:, 1]))
    slope = (wavelength / 4500) ** (-3 + 4 * age[..., None] + metal[..., None])
    flux = 10 ** (-1.5 - 2.5 * age[..., None]) * slope * (1 - depth @ lines).clip(0.02)
    return SSPLibrary(
        "smooth", wavelength, ages, metals, flux, np.full(1300, 2.5), None, True, "none", "none", "smooth-1"
    )


def population_of(library: SSPLibrary, name: str = "ExponentialSFH", args: tuple = ()) -> StellarPopulation:
    return StellarPopulation.of_library(build_sfh(name, list(args), TODAY), library)


def prepared(library: SSPLibrary) -> dict[str, PreparedTemplates]:
    """Templates of the library for an exponential history at S/N 50, compressed and exact."""
    common: dict[str, Any] = {"lsf_fwhm": None, "population": population_of(library), "signal_to_noise": 50.0}
    return {
        "compressed": prepare_templates(library, GRID, compression_error=1e-5, **common),
        "exact": prepare_templates(library, GRID, compression_error=0.0, **common),
    }


def make_model(
    library: SSPLibrary, templates: PreparedTemplates, degree: int = 0, mode: str = "profiled", sn: float = 50.0
) -> StellarSpectrumModel:
    """Data: a mock of the exact templates at one point, with noise."""
    wavelength = GRID.wavelength[40:-40] * (1 + 1e-5)  # not aligned with the grid
    rng = np.random.default_rng(11)
    inverse_variance = rng.uniform(0.5, 2.0, len(wavelength)) * (rng.random(len(wavelength)) > 0.1) + 1e-6
    projection = prepare_projection(GRID.wavelength, wavelength)
    population = population_of(library)
    spectrum = population.weights(point())[1][0] @ np.reshape(library.flux, (200, -1))
    flux = np.interp(wavelength, library.wavelength, spectrum)
    inverse_variance *= (sn / flux) ** 2
    flux = flux + rng.normal(size=len(flux)) * inverse_variance**-0.5 * (inverse_variance > 1.0 / flux**2)
    everything = np.ones(len(wavelength), dtype=bool)
    pixels = FittedPixels(everything, wavelength, flux, inverse_variance, projection, projection, everything)
    curve = (wavelength / 5500) ** -1.3
    return prepare_stellar_spectrum(
        population, pixels, templates,
        attenuation=(curve, curve), legendre_degree=degree, legendre_bounds=None, legendre_scale=None,
        covered_wavelength=wavelength, polynomial_mode=mode, amplitude_mode="profiled",
        flux_per_luminosity=1.0, sampled_noise=False,
    )  # fmt: skip


def point(n: int = 1, **changes: Any) -> dict[tuple[str, str], np.ndarray]:
    values = {"logtau": 0.5, "ism_metallicity_today": 0.02, "alpha_powerlaw": 0.5, "a_v": 0.3, **NUMBERS} | changes
    return {
        (
            "kinematics" if name.startswith("los") else "dust.extinction" if name == "a_v" else "stars.sfh",
            name,
        ): np.broadcast_to(np.asarray(value, dtype=float), (n,)).copy()
        for name, value in values.items()
    }


def varied(n: int, fixed: tuple[str, ...] = (), seed: int = 0) -> dict[tuple[str, str], np.ndarray]:
    rng = np.random.default_rng(seed)
    ranges = {
        "logtau": (-1, 1.7), "ism_metallicity_today": (0.005, 0.05), "alpha_powerlaw": (0, 3), "a_v": (0, 2),
        "los_vel": (-300, 300), "los_sigma": (20, 300), "los_h3": (-0.1, 0.1), "los_h4": (-0.1, 0.1),
    }  # fmt: skip
    return point(n, **{name: rng.uniform(*limits, n) for name, limits in ranges.items() if name not in fixed})
