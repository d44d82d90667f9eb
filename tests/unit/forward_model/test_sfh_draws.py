"""Draws of every star-formation history: possible, over the whole ranges, and good for a basis."""

from __future__ import annotations

import numpy as np
import pytest
from sfh_reference import all_models
from smooth_library import TODAY, smooth_library

from orchestrator.forward_model.population_basis import allowed_error, population_basis
from orchestrator.forward_model.sfh_draws import draw_histories, drawn_ranges, outside_ranges
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.physics.sfh import FixedMassFracSFH, MassBinsSFH, StarFormationHistory
from orchestrator.physics.sfh_latent import LatentSFH
from orchestrator.ssp_libraries.library import SSPLibrary

MODELS = [m for m in all_models(TODAY) if not isinstance(m, FixedMassFracSFH)]
LATENT = [
    LatentSFH(TODAY, model, prior)
    for model in MODELS
    if isinstance(model, MassBinsSFH)
    for prior in ("softmax", "dirichlet", "continuity")
]
BIN_MODELS = [model for model in MODELS if isinstance(model, MassBinsSFH)]


def identify(model: StarFormationHistory) -> str:
    return f"{model.base.name}-{model.prior}" if isinstance(model, LatentSFH) else model.name


@pytest.fixture(scope="module")
def library() -> SSPLibrary:
    return smooth_library()


@pytest.mark.parametrize("at_edges", [True, False])
@pytest.mark.parametrize("sfh", [*MODELS, *LATENT], ids=identify)
def test_draws_are_histories_inside_the_drawn_ranges(sfh: StarFormationHistory, at_edges: bool) -> None:
    draws = draw_histories(sfh, 1500, np.random.default_rng(1), at_edges=at_edges)
    own = {p.name: draws[p.section, p.name] for p in sfh.parameters}
    assert all(row.shape == (1500,) for row in own.values())
    assert sfh.valid(own).all()
    assert outside_ranges(drawn_ranges(sfh), draws) is None


@pytest.mark.parametrize("sfh", [*MODELS, *LATENT], ids=identify)
def test_drawn_ranges_hold_the_declared_ones_and_end_inside_the_support(sfh: StarFormationHistory) -> None:
    start = {p.name: p.start for p in sfh.parameters}
    for p, (name, lower, upper) in zip(sfh.parameters, drawn_ranges(sfh), strict=True):
        assert name == p.name
        assert lower <= p.lower < p.upper <= upper
        # a margin, where there is one, is possible
        assert lower == p.lower or sfh.valid({**start, name: lower}).all()
        assert upper == p.upper or sfh.valid({**start, name: upper}).all()


@pytest.mark.parametrize("sfh", [m for m in MODELS if not isinstance(m, MassBinsSFH)], ids=identify)
def test_draws_reach_both_ends_of_each_range(sfh: StarFormationHistory) -> None:
    draws = draw_histories(sfh, 2000, np.random.default_rng(2))
    for p, (_, lower, upper) in zip(sfh.parameters, drawn_ranges(sfh), strict=True):
        values = draws[p.section, p.name]
        assert values.min() < lower + 0.01 * (upper - lower), p.name
        assert values.max() > upper - 0.01 * (upper - lower), p.name


@pytest.mark.parametrize("sfh", BIN_MODELS, ids=identify)
def test_every_bin_is_sometimes_heavy_and_sometimes_light(sfh: MassBinsSFH) -> None:
    draws = draw_histories(sfh, 2000, np.random.default_rng(3))
    masses = sfh.masses({p.name: draws[p.section, p.name] for p in sfh.parameters})
    assert (np.quantile(masses, 0.02, axis=0) < 0.02).all()
    assert (np.quantile(masses, 0.98, axis=0) > 0.4).all()
    # none of the bins dominates the draws
    assert (masses.mean(axis=0) < 0.65).all()


@pytest.mark.parametrize("sfh", MODELS, ids=identify)
def test_basis_holds_for_every_history(sfh: StarFormationHistory, library: SSPLibrary) -> None:
    population = StellarPopulation.of_library(sfh, library)
    spectra = library.flux.reshape(-1, library.flux.shape[-1])[:, ::3]
    found = population_basis(spectra, population, library.wavelength[::3], 64)
    assert found is not None
    assert found.delta_log_likelihood < allowed_error(64)
    assert len(found.basis) < len(spectra) // 2
