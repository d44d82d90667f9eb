"""Which pixels are fitted, and the grid of the model."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from orchestrator.errors import DataError, LibraryError
from orchestrator.forward_model.pixels import EDGE_KMS, GRID_BUFFER_KMS, fitted_pixels, model_grid
from orchestrator.observation.spectrum import Spectrum, spectrum_from_arrays
from orchestrator.physics.wavelength import apply_projection

LIGHT_SPEED = 299792.458
WIDE = (1000.0, 30000.0)


def log_grid(velscale: float, low: float = 4200.0, high: float = 5300.0) -> np.ndarray:
    return np.exp(np.arange(np.log(low), np.log(high), velscale / LIGHT_SPEED))


def spectrum(wavelength: np.ndarray, redshift: float = 0.0, **fields: Any) -> Spectrum:
    one = np.ones(len(wavelength))
    given = {"flux": one, "uncertainty": 0.1 * one} | fields
    return spectrum_from_arrays(wavelength * (1 + redshift), redshift=redshift, **given)


def all_of(data: Spectrum) -> np.ndarray:
    return np.ones(len(data.wavelength), dtype=bool)


# ---- the grid ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("single_precision", [False, True])
@pytest.mark.parametrize("velscale", [None, 69.0])
def test_logarithmic_data_are_not_interpolated(single_precision: bool, velscale: float | None) -> None:
    """A stored 1e-4 dex grid (69.03 km/s) is used as it is, rounded to 69 or not."""
    data = 10 ** np.arange(3.6, 3.68, 1e-4)
    if single_precision:
        data = data.astype(np.float32).astype(float)
    # 69 instead of 69.03 drifts by 0.3 pixels over 800: too much to be the same grid.
    grid = model_grid(data, velscale, WIDE)
    assert grid.velscale == pytest.approx(1e-4 * np.log(10) * LIGHT_SPEED if velscale is None else 69.0, rel=1e-5)
    assert fitted_pixels(spectrum(data), np.ones(len(data), dtype=bool), grid).to_good.identity is (
        velscale is None
    )


def test_own_velscale_given_to_all_digits_is_the_own_grid() -> None:
    data = log_grid(70.0)
    grid = model_grid(data, 70.000001, WIDE)
    assert fitted_pixels(spectrum(data), np.ones(len(data), dtype=bool), grid).to_good.identity


@pytest.mark.parametrize("velscale", [25.0, 70.0, 123.4])
def test_any_velscale_makes_a_grid_of_that_step(velscale: float) -> None:
    """D18: 70 km/s divides nothing."""
    data = np.arange(4200.0, 5300.0, 1.3)
    grid = model_grid(data, velscale, WIDE)
    np.testing.assert_allclose(np.diff(np.log(grid.wavelength)) * LIGHT_SPEED, velscale, rtol=1e-9)
    assert grid.velscale == pytest.approx(velscale, rel=1e-12)
    # The buffer is there on both sides, to within a pixel.
    for end, edge, sign in ((data[0], grid.wavelength[0], 1), (data[-1], grid.wavelength[-1], -1)):
        reach = sign * np.log(end / edge) * LIGHT_SPEED
        assert GRID_BUFFER_KMS - velscale <= reach <= GRID_BUFFER_KMS * (1 + 1e-9)


def test_linear_data_get_their_finest_step() -> None:
    data = np.arange(4200.0, 5300.0, 1.0)
    assert model_grid(data, None, WIDE).velscale == pytest.approx(LIGHT_SPEED * np.log(5299 / 5298), rel=1e-6)


def test_grid_pixels_lie_wholly_inside_the_templates() -> None:
    data = log_grid(60.0)
    grid = model_grid(data, None, (4300.0, 5000.0))
    half = np.exp(0.5 * grid.velscale / LIGHT_SPEED)
    assert grid.wavelength[0] / half >= 4300.0
    assert grid.wavelength[-1] * half <= 5000.0
    assert grid.wavelength[0] < 4300.0 * half**4


def test_templates_elsewhere_are_an_error_that_names_both_ranges() -> None:
    """D16: none left."""
    with pytest.raises(LibraryError, match=r"6000-7000 A but galaxy 7 has its pixels at 4200-5300 A"):
        model_grid(log_grid(60.0), None, (6000.0, 7000.0), "galaxy 7")


# ---- the pixels --------------------------------------------------------------------------------------------
def test_nothing_happens_to_the_data() -> None:
    """D3: flux and inverse variance enter as they were observed, whatever the grid of the model."""
    rng = np.random.default_rng(0)
    for data in (np.arange(4200.0, 5300.0, 0.5), np.arange(4200.0, 5300.0, 3.0), log_grid(37.0)):
        flux, error = rng.normal(1, 0.1, len(data)), rng.uniform(0.05, 0.2, len(data))
        observed = spectrum(data, 0.1, flux=flux, uncertainty=error)
        for velscale in (None, 50.0, 200.0):
            grid = model_grid(observed.rest_wavelength, velscale, WIDE)
            pixels = fitted_pixels(observed, all_of(observed), grid)
            np.testing.assert_array_equal(pixels.flux, flux)
            np.testing.assert_allclose(pixels.inverse_variance, error**-2.0, rtol=1e-14)
            np.testing.assert_allclose(pixels.wavelength, data, rtol=1e-14)


def test_normalisation_counts_weights_and_errors() -> None:
    data = log_grid(60.0)
    rng = np.random.default_rng(1)
    error, weights = rng.uniform(0.1, 0.3, len(data)), rng.choice([0.0, 0.5, 1.0], len(data))
    observed = spectrum(data, uncertainty=error, weights=weights)
    pixels = fitted_pixels(observed, all_of(observed), model_grid(data, None, WIDE))
    used = weights > 0
    expected = np.log(np.sqrt(weights[used]) / (np.sqrt(2 * np.pi) * error[used])).sum()
    assert pixels.log_normalisation == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(pixels.good_pixels, used)


def test_selection_and_bad_pixels_are_left_out() -> None:
    data = log_grid(60.0)
    flux = np.ones(len(data))
    flux[[20, 21]] = np.nan, np.inf
    good = np.ones(len(data), dtype=bool)
    good[30] = False
    keep = (data > 4300) & (data < 5200)
    observed = spectrum(data, flux=flux, good_pixels=good)
    pixels = fitted_pixels(observed, keep, model_grid(data, None, WIDE))
    expected = keep & np.isfinite(flux) & good
    np.testing.assert_array_equal(pixels.good_pixels, expected)
    assert len(pixels.flux) == expected.sum()
    # Covered pixels include what is masked, for the figure.
    assert pixels.covered.all()


def test_no_good_pixel_is_an_error() -> None:
    data = log_grid(60.0)
    weights = np.where(data < 4400, 0.0, 1.0)
    observed = spectrum(data, weights=weights)
    with pytest.raises(DataError, match="no good pixel of galaxy 7"):
        fitted_pixels(observed, data < 4400, model_grid(data, None, WIDE), "galaxy 7")


def test_pixels_beyond_the_templates_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """D16: a library that ends inside the data."""
    data = log_grid(60.0)
    observed = spectrum(data)
    grid = model_grid(data, None, (4000.0, 5000.0))
    with caplog.at_level(logging.WARNING):
        pixels = fitted_pixels(observed, all_of(observed), grid, "galaxy 7")
    lost = len(data) - len(pixels.flux)
    assert f"galaxy 7: {lost} of {len(data)} good pixels are dropped" in caplog.text
    last = 5000.0 * np.exp(-EDGE_KMS / LIGHT_SPEED)
    assert last * np.exp(-3 * 60 / LIGHT_SPEED) < pixels.wavelength[-1] <= last
    assert pixels.wavelength[0] == data[0]


def test_no_warning_where_nothing_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    data = log_grid(60.0)
    observed = spectrum(data)
    with caplog.at_level(logging.WARNING):
        fitted_pixels(observed, all_of(observed), model_grid(data, None, WIDE))
    assert not caplog.messages


def test_templates_that_reach_only_bad_pixels_are_an_error() -> None:
    data = log_grid(60.0)
    observed = spectrum(data, weights=np.where(data < 5000, 0.0, 1.0))
    with pytest.raises(LibraryError, match="reach none of the"):
        fitted_pixels(observed, all_of(observed), model_grid(data, None, (4000.0, 4800.0)))


@pytest.mark.parametrize("velscale", [None, 60.0, 70.0])
def test_projection_gives_the_model_at_the_pixels(velscale: float | None) -> None:
    """Sampled on the grid and projected, a smooth function is that function at the pixels."""
    data = np.arange(4200.0, 5300.0, 1.7)
    observed = spectrum(data, 0.2)
    grid = model_grid(observed.rest_wavelength, velscale, WIDE)
    pixels = fitted_pixels(observed, all_of(observed), grid)

    def line(wavelength: np.ndarray) -> np.ndarray:
        return 1 - 0.6 * np.exp(-0.5 * (np.log(wavelength / 4800.0) * LIGHT_SPEED / 400.0) ** 2)

    for projection in (pixels.to_good, pixels.to_covered):
        found = apply_projection(projection, line(grid.wavelength)[None, :])[0]
        np.testing.assert_allclose(found, line(data), atol=2e-4)
