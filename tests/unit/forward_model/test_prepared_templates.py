"""Templates on the model grid, and their cache."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.forward_model import prepared_templates
from orchestrator.forward_model.pixels import ModelGrid
from orchestrator.forward_model.prepared_templates import PreparedTemplates, prepare_templates
from orchestrator.ssp_libraries.library import SSPLibrary

LIGHT_SPEED = 299792.458
FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))
GRID = ModelGrid(np.exp(np.arange(np.log(4100.0), np.log(5400.0), 60.0 / LIGHT_SPEED)), 60.0)


@pytest.fixture
def count_work(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often templates were rebinned."""
    calls: list[int] = []
    original = prepared_templates.rebin_flux_density

    def counted(*arguments: Any) -> np.ndarray:
        calls.append(1)
        return original(*arguments)

    monkeypatch.setattr(prepared_templates, "rebin_flux_density", counted)
    return lambda: len(calls)


def prepare(library: SSPLibrary, grid: ModelGrid = GRID, **changes: Any) -> PreparedTemplates:
    return prepare_templates(library, grid, **({"lsf_fwhm": None, "compression_error": 1e-5} | changes))


def spectra(prepared: PreparedTemplates) -> np.ndarray:
    return np.asarray(prepared.basis.coefficients @ prepared.basis.basis)


def test_each_pixel_is_the_mean_of_the_template_in_it(synthetic: SSPLibrary, own_cache: Path) -> None:
    found = spectra(prepare(synthetic, compression_error=0.0)).reshape(3, 12, -1)
    half = 0.5 * 60.0 / LIGHT_SPEED
    for pixel in (0, 333, len(GRID.wavelength) - 1):
        edges = GRID.wavelength[pixel] * np.exp([-half, half])
        fine = np.linspace(*edges, 2001)
        for met, age in ((0, 0), (2, 11)):
            mean = np.trapezoid(np.interp(fine, synthetic.wavelength, synthetic.flux[met, age]), fine)
            assert found[met, age, pixel] == pytest.approx(mean / np.ptp(edges), rel=1e-6)


@pytest.mark.parametrize("allowed", [1e-2, 1e-4, 1e-6])
def test_compression_keeps_every_pixel_of_every_template(
    synthetic: SSPLibrary, own_cache: Path, allowed: float
) -> None:
    exact = spectra(prepare(synthetic, compression_error=0.0))
    compressed = prepare(synthetic, compression_error=allowed)
    error = np.abs(spectra(compressed) - exact).max(axis=1) / exact.mean(axis=1)
    assert error.max() <= allowed
    assert compressed.basis.relative_error == pytest.approx(error.max(), rel=1e-3, abs=1e-12)
    assert len(compressed.basis.basis) < 36 or compressed.basis.relative_error == 0.0


def test_resolution_becomes_that_of_the_data(synthetic: SSPLibrary, own_cache: Path) -> None:
    """One line of Gaussian profile, FWHM 2.5, comes out with the width of the data and the same area."""
    profile = 0.5 * np.exp(-0.5 * ((synthetic.wavelength - 4700) * FWHM_PER_SIGMA / 2.5) ** 2)
    library = replace(synthetic, flux=np.broadcast_to(1 - profile, synthetic.flux.shape), checksum="line")
    fine = ModelGrid(np.exp(np.arange(np.log(4600.0), np.log(4800.0), 15.0 / LIGHT_SPEED)), 15.0)
    for fwhm in (2.5, 4.0, 8.0):
        line = 1 - spectra(prepare(library, fine, lsf_fwhm=np.full(len(fine.wavelength), fwhm)))[0]
        step = np.gradient(fine.wavelength)
        area = (line * step).sum()
        centre = (line * step * fine.wavelength).sum() / area
        sigma = np.sqrt((line * step * (fine.wavelength - centre) ** 2).sum() / area)
        pixel_variance = 4700 / LIGHT_SPEED * 15.0
        # linear interpolation between template pixels of 1 Angstrom adds 1/6 Angstrom^2
        sampling = 1.0 / 6.0 + pixel_variance**2 / 12.0
        assert np.sqrt(sigma**2 - sampling) * FWHM_PER_SIGMA == pytest.approx(fwhm, rel=5e-3)
        assert centre == pytest.approx(4700.0, abs=0.01)
        assert area == pytest.approx(0.5 * 2.5 / FWHM_PER_SIGMA * np.sqrt(2 * np.pi), rel=2e-3)


def test_templates_coarser_than_the_data_stay_and_are_counted(
    synthetic: SSPLibrary, own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lsf = np.where(GRID.wavelength < 4500.0, 1.0, 2.5)
    coarse = int((GRID.wavelength < 4500.0).sum())
    with caplog.at_level(logging.WARNING):
        matched = prepare(synthetic, lsf_fwhm=lsf, compression_error=0.0)
    excess = np.sqrt(2.5**2 - 1.0) / FWHM_PER_SIGMA / 4100.0 * LIGHT_SPEED
    assert f"{coarse} of {len(lsf)} pixels" in caplog.text
    assert f"by up to {excess:.0f} km/s" in caplog.text
    np.testing.assert_allclose(
        spectra(matched), spectra(prepare(synthetic, compression_error=0.0)), rtol=1e-10
    )


def test_second_preparation_reads_the_cache(
    synthetic: SSPLibrary, own_cache: Path, count_work: Callable[[], int]
) -> None:
    lsf = np.full(len(GRID.wavelength), 4.0)
    first = prepare(synthetic, lsf_fwhm=lsf)
    second = prepare(synthetic, lsf_fwhm=lsf.copy())
    assert count_work() == 1
    for name in ("coefficients", "basis"):
        np.testing.assert_array_equal(getattr(second.basis, name), getattr(first.basis, name))
    assert second.basis.relative_error == first.basis.relative_error
    assert isinstance(second.basis.basis, np.memmap)
    assert (second.n_met, second.n_age) == (3, 12)


def test_warning_of_coarse_templates_is_given_from_the_cache_too(
    synthetic: SSPLibrary, own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lsf = np.full(len(GRID.wavelength), 1.0)
    with caplog.at_level(logging.WARNING):
        prepare(synthetic, lsf_fwhm=lsf)
        prepare(synthetic, lsf_fwhm=lsf)
    assert caplog.text.count("is coarser than the data") == 2


@pytest.mark.parametrize("what", ["library", "resolution", "grid", "lsf", "lsf value", "error"])
def test_whatever_matters_is_part_of_the_key(
    synthetic: SSPLibrary, own_cache: Path, count_work: Callable[[], int], what: str
) -> None:
    lsf = np.full(len(GRID.wavelength), 4.0)
    prepare(synthetic, lsf_fwhm=lsf)
    library, grid, options = synthetic, GRID, {"lsf_fwhm": lsf}
    if what == "library":
        library = replace(synthetic, checksum="another file")
    elif what == "resolution":
        library = replace(synthetic, lsf_fwhm=synthetic.lsf_fwhm + 0.1)
    elif what == "grid":
        grid = ModelGrid(GRID.wavelength * (1 + 1e-6), 60.0)
    elif what == "lsf":
        options = {"lsf_fwhm": None}
    elif what == "lsf value":
        options = {"lsf_fwhm": lsf + np.where(GRID.wavelength > 5300, 1e-3, 0.0)}
    else:
        options["compression_error"] = 1e-4
    prepare(library, grid, **options)
    assert count_work() == 2


@pytest.mark.parametrize("damage", ["truncated", "empty", "missing", "text"])
def test_a_broken_cache_is_made_again(
    synthetic: SSPLibrary, own_cache: Path, count_work: Callable[[], int], damage: str
) -> None:
    first = spectra(prepare(synthetic)).copy()
    file = next(own_cache.rglob("basis.npy"))
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "missing":
        file.unlink()
    else:
        file.write_text("this is not an array")
    np.testing.assert_array_equal(spectra(prepare(synthetic)), first)
    prepare(synthetic)
    assert count_work() == 2
