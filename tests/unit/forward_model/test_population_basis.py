"""The basis of histories and its stated error."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from smooth_library import GRID, TODAY, population_of, prepared, smooth_library

from orchestrator.forward_model.array_cache import load_statement, store_arrays
from orchestrator.forward_model.population_basis import (
    allowed_error,
    population_basis,
    signal_to_noise_class,
)
from orchestrator.forward_model.prepared_templates import PreparedTemplates, prepare_templates
from orchestrator.forward_model.sfh_draws import draw_histories, drawn_ranges, outside_ranges
from orchestrator.physics.sfh import build_sfh
from orchestrator.ssp_libraries.library import SSPLibrary


@pytest.fixture(scope="module")
def library() -> SSPLibrary:
    return smooth_library()


@pytest.fixture(scope="module")
def templates(library: SSPLibrary, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedTemplates]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepared(library)


# ---- draws -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "args"),
    [("ExponentialSFH", ()), ("DelayedTauSFH", ()), ("LogNormalSFH", ()), ("FixedMassFracSFH", (0.1, 0.5, 0.9))],
)
@pytest.mark.parametrize("at_edges", [True, False])
def test_draws_are_valid_and_cover_the_declared_ranges(name: str, args: tuple, at_edges: bool) -> None:
    sfh = build_sfh(name, list(args), TODAY)
    draws = draw_histories(sfh, 2000, np.random.default_rng(1), at_edges=at_edges)
    own = {p.name: draws[p.section, p.name] for p in sfh.parameters}
    assert sfh.valid(own).all()
    assert outside_ranges(drawn_ranges(sfh), draws) is None
    for parameter in sfh.parameters:
        if parameter.unit != "Gyr":  # ordered times cannot all reach both ends
            assert own[parameter.name].min() < parameter.lower + 0.01 * (parameter.upper - parameter.lower)
            assert own[parameter.name].max() > parameter.upper - 0.01 * (parameter.upper - parameter.lower)
    if args:
        times = np.stack([own[f"t_at_frac_{fraction:.4f}"] for fraction in args])
        assert (np.diff(times, axis=0) > 0).all()


def test_outside_ranges_are_the_points_beyond_an_end() -> None:
    ranges = (("logtau", -1.0, 1.0), ("alpha_powerlaw", 0.0, 3.0))
    values = {
        ("stars.sfh", "logtau"): np.array([-1.0, 1.0, 1.1, np.nan]),
        ("stars.sfh", "alpha_powerlaw"): np.array([0.0, -0.1, 1.0, 1.0]),
    }
    found = outside_ranges(ranges, values)
    assert found is not None
    assert found.tolist() == [False, True, True, False]
    for i, expected in enumerate([None, True, True, None]):
        one = outside_ranges(ranges, {key: value[i : i + 1] for key, value in values.items()})
        assert one is None if expected is None else one is not None and one[0]


# ---- the basis ---------------------------------------------------------------------------------------------
def test_classes_of_signal_to_noise_are_powers_of_two_above() -> None:
    assert [signal_to_noise_class(x) for x in (0.0, 16.0, 16.1, 50.0, 64.0, 200.0)] == [16, 16, 32, 64, 64, 256]
    assert allowed_error(64) == 0.01
    assert allowed_error(256) < 0.05


def test_basis_is_orthonormal_smaller_and_states_its_error(
    library: SSPLibrary, templates: dict[str, PreparedTemplates]
) -> None:
    compressed, exact = templates["compressed"], templates["exact"]
    basis = np.asarray(compressed.basis.basis)
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-10)
    assert len(basis) <= 100
    assert 0 < compressed.delta_log_likelihood < 0.01
    assert (compressed.n_draws, compressed.signal_to_noise) == (1000, 64)
    assert exact.delta_log_likelihood == 0.0
    assert exact.exact is None
    # The coefficients are the projection of the SSPs: nothing of the basis is left in the residual.
    spectra = np.asarray(exact.basis.coefficients @ exact.basis.basis)
    residual = spectra - compressed.basis.coefficients @ basis
    assert np.abs(residual @ basis.T).max() < 1e-10 * np.abs(spectra).max()


def test_better_data_need_a_larger_basis(library: SSPLibrary, templates: dict[str, PreparedTemplates]) -> None:
    spectra = np.asarray(templates["exact"].basis.basis)
    ranks = []
    for signal_to_noise in (16, 64, 256):
        found = population_basis(spectra, population_of(library), GRID.wavelength, signal_to_noise)
        assert found is not None
        ranks.append(len(found.basis))
        assert found.delta_log_likelihood < allowed_error(signal_to_noise)
    assert ranks[0] < ranks[1] < ranks[2]


def test_spectra_without_structure_in_common_stay_exact(library: SSPLibrary) -> None:
    noise = np.random.default_rng(2).uniform(0.5, 1.5, (200, 900))
    assert population_basis(noise, population_of(library), GRID.wavelength, 256) is None


def test_exact_fall_back_is_remembered(
    library: SSPLibrary, own_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []
    monkeypatch.setattr(
        "orchestrator.forward_model.prepared_templates.population_basis", lambda *_: calls.append(1)
    )
    arguments: dict[str, Any] = {
        "lsf_fwhm": None, "compression_error": 1e-5, "population": population_of(library), "signal_to_noise": 900.0,
    }  # fmt: skip
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            found = prepare_templates(library, GRID, **arguments)
    assert len(calls) == 1
    assert len(found.basis.basis) == 200
    assert found.ranges == ()
    assert "stay exact" in caplog.text


def test_statement_is_stored_with_the_arrays(library: SSPLibrary, own_cache: Path) -> None:
    arguments: dict[str, Any] = {"lsf_fwhm": None, "compression_error": 1e-5, "signal_to_noise": 20.0}
    first = prepare_templates(library, GRID, population=population_of(library), **arguments)
    file = next(own_cache.rglob("statement.json"))
    content = json.loads(file.read_text())
    assert content["delta_log_likelihood"] == first.delta_log_likelihood
    assert content["rank"] == len(first.basis.basis)
    second = prepare_templates(library, GRID, population=population_of(library), **arguments)
    assert isinstance(second.basis.basis, np.memmap)
    assert (second.delta_log_likelihood, second.n_draws) == (first.delta_log_likelihood, 1000)
    folders = {path.parent for path in own_cache.rglob("basis.npy")}
    # the same class shares, another class or history does not
    prepare_templates(library, GRID, population=population_of(library), **(arguments | {"signal_to_noise": 30.0}))
    assert {path.parent for path in own_cache.rglob("basis.npy")} == folders
    prepare_templates(library, GRID, population=population_of(library, "DelayedTauSFH"), **arguments)
    prepare_templates(library, GRID, population=population_of(library), **(arguments | {"signal_to_noise": 40.0}))
    assert len({path.parent for path in own_cache.rglob("basis.npy")}) == len(folders) + 2
    file.write_text("{")
    again = prepare_templates(library, GRID, population=population_of(library), **arguments)
    assert again.delta_log_likelihood == first.delta_log_likelihood


def test_a_statement_that_is_no_mapping_is_not_one(own_cache: Path) -> None:
    store_arrays("key", {"a": np.zeros(2)}, {"x": 1.0})
    assert load_statement("key") == {"x": 1.0}
    next(own_cache.rglob("statement.json")).write_text("[1]")
    assert load_statement("key") is None
    assert load_statement("another") is None
