"""The log-likelihood with compressed templates against the exact one, through the whole model.

Data are a mock galaxy with noise, masked pixels and its own kinematics and dust; the points are held-out draws
of the whole prior, so nearly all of them are far from the data, where errors of the basis meet large residuals.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from orchestrator.forward_model.pixels import FittedPixels, ModelGrid, model_grid
from orchestrator.forward_model.prepared_templates import prepare_templates
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.forward_model.stellar_spectrum import StellarSpectrumModel, prepare_stellar_spectrum
from orchestrator.physics.attenuation import attenuation_curve
from orchestrator.physics.sfh import SFH_MODELS, MassBinsSFH, build_sfh
from orchestrator.physics.wavelength import prepare_projection
from orchestrator.ssp_libraries.library import SSPLibrary
from orchestrator.ssp_libraries.load import load_library

pytestmark = pytest.mark.library("PopStar")

TODAY = 13.0
N_DRAWS = 1000
HISTORIES = [(name, model.example) for name, model in SFH_MODELS.items()]
LIMITS = {50: 0.01, 200: 0.05}


@pytest.fixture(scope="module")
def library() -> SSPLibrary:
    return load_library("PopStar", None, ("cha",))


@pytest.fixture(scope="module", autouse=True)
def one_cache(library: SSPLibrary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The exact templates are the same for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def prior_draws(population: StellarPopulation, n: int, seed: int) -> dict[tuple[str, str], np.ndarray]:
    """Uniform over the valid part of the ranges, written independently of the draws behind the basis.

    Masses of bins, of which a box is hardly ever valid, are Dirichlet.
    """
    rng = np.random.default_rng(seed)
    sfh = population.sfh
    own = {p.name: rng.uniform(p.lower, p.upper, 20 * n) for p in sfh.parameters}
    times = [name for name in own if name.startswith("t_at")]
    ordered = np.sort([own[name] for name in times], axis=0) if times else []
    own |= dict(zip(times, ordered, strict=True))
    if isinstance(sfh, MassBinsSFH):
        own |= sfh.values_of_masses(rng.dirichlet(np.ones(len(sfh.bin_names) + 1), 20 * n))
    inside = sfh.valid(own)
    for parameter in sfh.parameters:
        inside &= (own[parameter.name] >= parameter.lower) & (own[parameter.name] <= parameter.upper)
    own = {name: values[inside][:n] for name, values in own.items()}
    assert len(own["alpha_powerlaw"]) == n
    draws = {("stars.sfh", name): value for name, value in own.items()}
    ranges = {"los_vel": (-300, 300), "los_sigma": (30, 350), "los_h3": (-0.15, 0.15), "los_h4": (-0.15, 0.15)}
    draws |= {("kinematics", name): rng.uniform(*limits, n) for name, limits in ranges.items()}
    return draws | {("dust.extinction", "a_v"): rng.uniform(0, 3, n)}


def build(
    library: SSPLibrary, grid: ModelGrid, pixels: FittedPixels, population: StellarPopulation, **options: Any
) -> StellarSpectrumModel:
    templates = prepare_templates(
        library,
        grid,
        lsf_fwhm=None,
        compression_error=options["error"],
        population=population,
        signal_to_noise=float(np.sqrt((pixels.flux**2 * pixels.inverse_variance).sum() / len(grid.wavelength))),
    )
    curve = attenuation_curve("ccm89", pixels.wavelength)
    return prepare_stellar_spectrum(
        population, pixels, templates,
        attenuation=(curve, curve), legendre_degree=options["degree"], legendre_bounds=None, legendre_scale=None,
        covered_wavelength=pixels.wavelength, polynomial_mode="profiled", amplitude_mode="profiled",
        flux_per_luminosity=1.0, sampled_noise=False,
    )  # fmt: skip


def mock(library: SSPLibrary, population: StellarPopulation, signal_to_noise: float, seed: int) -> tuple:
    """Grid and pixels of a galaxy at a draw of the prior; noise of constant S/N, one pixel in eight masked."""
    rng = np.random.default_rng(seed)
    wavelength = 3500.0 * np.exp(np.arange(5600) * 50.0 / 299792.458)
    grid = model_grid(wavelength, 50.0, (float(library.wavelength[0]), float(library.wavelength[-1])))
    keep = np.ones(len(wavelength), dtype=bool)
    for start in rng.integers(0, len(wavelength), 14):
        keep[start : start + 50] = False
    wavelength = wavelength[keep]
    projection = prepare_projection(grid.wavelength, wavelength)
    nothing = FittedPixels(keep, wavelength, wavelength * 0 + 1, wavelength * 0 + 1, projection, projection, keep)
    truth = prior_draws(population, 1, seed)
    exact = build(library, grid, nothing, population, error=0.0, degree=0)
    flux = exact.model_spectrum(truth, np.ones(1))[0][0]
    uncertainty = flux / signal_to_noise
    flux = flux + rng.normal(0.0, uncertainty)
    return grid, FittedPixels(keep, wavelength, flux, uncertainty**-2.0, projection, projection, keep)


@pytest.mark.parametrize("signal_to_noise", [50, 200])
@pytest.mark.parametrize(("name", "args"), HISTORIES, ids=[name for name, _ in HISTORIES])
def test_worst_error_over_draws_of_the_prior(
    library: SSPLibrary, name: str, args: tuple, signal_to_noise: int, record_property: Any
) -> None:
    population = StellarPopulation.of_library(build_sfh(name, list(args), TODAY), library)
    points = prior_draws(population, N_DRAWS, seed=77)
    worst = {}
    for seed, degree in ((1, 0), (2, 6)):
        grid, pixels = mock(library, population, signal_to_noise, seed)
        compressed, exact = (
            build(library, grid, pixels, population, error=error, degree=degree) for error in (1e-5, 0.0)
        )
        assert len(compressed.coefficients.T) <= len(exact.coefficients) // 2
        one, other = (model.log_likelihood(points).log_likelihood for model in (compressed, exact))
        assert np.isfinite(other).all()
        worst[degree] = float(np.abs(one - other).max())
    record_property("worst", worst)
    record_property("rank", compressed.coefficients.shape[1])
    assert max(worst.values()) < LIMITS[signal_to_noise]
