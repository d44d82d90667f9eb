"""From the options to the spectrum that is fitted: clipping, masks, grid; and pure noise through all of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator.config.module_options import parse_options
from orchestrator.errors import ConfigError
from orchestrator.forward_model.observed_spectrum import measure_lines_of_fit, observed_spectrum, selected_pixels

C = 299792.458
UNIT = 1e-16
LINEAR = np.arange(4000.0, 5500.0, 1.0)
LOGARITHMIC = np.exp(np.arange(np.log(4000.0), np.log(5500.0), 69.0 / C))


def write(path: Path, wavelength, flux, error) -> Path:
    np.savetxt(path, np.column_stack([wavelength, flux, np.broadcast_to(error, np.shape(flux))]), fmt="%.12g")
    return path


def options(path: Path, **given):
    base = {"inputSpectrum": str(path), "fluxUnits": f"{UNIT} erg / (s cm2 Angstrom)", "SSPModel": "toy"}
    return parse_options("KinDust", base | given)


def chi2_per_pixel(path: Path, **given) -> float:
    """Of a model of zero, as the likelihood counts it."""
    chosen = options(path, **given)
    spectrum = observed_spectrum(chosen)
    good = selected_pixels(chosen, spectrum) & spectrum.good_pixels
    weighted = spectrum.inverse_variance * spectrum.weights
    return float((spectrum.flux[good] ** 2 * weighted[good]).sum() / spectrum.weights[good].sum())


PATHS = {
    "native": {},
    "air": {"wlMedium": "air"},
    "masks": {"mask_telluric": True, "mask_sky_lines": True, "mask_emission_lines": True, "redshift": 0.1},
    "clipped": {"sigma_clip": 6.0},
    "log, own step": {"fit_grid": "log"},
    "log, finer": {"fit_grid": "log", "velscale": 30.0},
    "log, 100 km/s": {"fit_grid": "log", "velscale": 100.0},
    "log, 300 km/s": {"fit_grid": "log", "velscale": 300.0, "wlMedium": "air"},
    "log, masks": {"fit_grid": "log", "velscale": 80.0, "mask_emission_lines": True, "sigma_clip": 6.0},
}


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("grid", ["linear", "logarithmic"])
def test_pure_noise_has_a_chi2_of_one(name, grid, tmp_path):
    wavelength = LINEAR if grid == "linear" else LOGARITHMIC
    rng = np.random.default_rng(17)
    error = 1.0 + 0.5 * np.sin(wavelength / 30.0)
    chi2 = []
    # More seeds where there are fewer pixels.
    for seed in range(60 if "300" in name else 20):
        path = write(tmp_path / f"{seed}.txt", wavelength, error * rng.standard_normal(len(wavelength)), error)
        chi2.append(chi2_per_pixel(path, **PATHS[name]))
    assert np.mean(chi2) == pytest.approx(1.0, abs=0.03)


def test_pure_noise_with_weights(tmp_path):
    rng = np.random.default_rng(18)
    weights = np.where(np.arange(len(LINEAR)) % 300 < 150, 1.0, 0.3)
    weights[::40] = 0.0
    np.savetxt(tmp_path / "weights.txt", weights)
    for given in ({}, {"fit_grid": "log", "velscale": 90.0}):
        chi2 = []
        for seed in range(25):
            path = write(tmp_path / f"{seed}.txt", LINEAR, rng.standard_normal(len(LINEAR)), 1.0)
            chi2.append(chi2_per_pixel(path, mask=str(tmp_path / "weights.txt"), **given))
        assert np.mean(chi2) == pytest.approx(1.0, abs=0.03), given


def test_a_masked_line_does_not_reach_the_log_grid(tmp_path):
    flux = np.ones(len(LINEAR))
    inside = np.abs(LINEAR / 4862.683 - 1) < 600 / C
    flux[inside] = 1e4
    path = write(tmp_path / "line.txt", LINEAR, flux, 0.1)
    chosen = options(path, fit_grid="log", velscale=150.0, mask_emission_lines=True)
    spectrum = observed_spectrum(chosen)
    keep = selected_pixels(chosen, spectrum) & spectrum.good_pixels
    assert spectrum.flux[keep] == pytest.approx(UNIT, rel=1e-9)
    assert spectrum.good_pixels.all()  # the line itself is still there to be measured


def test_the_users_list_is_masked(tmp_path):
    path = write(tmp_path / "flat.txt", LINEAR, np.ones(len(LINEAR)), 0.1)
    (tmp_path / "mine.txt").write_text("start end medium frame\n4500 4510 vacuum observed\n")
    chosen = options(path, mask_lines_file=str(tmp_path / "mine.txt"), redshift=0.1)
    keep = selected_pixels(chosen, observed_spectrum(chosen))
    assert np.flatnonzero(~keep).tolist() == list(range(500, 511))


def test_clipping_happens_before_rebinning(tmp_path):
    flux = np.ones(len(LINEAR))
    flux[700] = 500.0
    path = write(tmp_path / "ray.txt", LINEAR, flux, 0.1)
    spectrum = observed_spectrum(options(path, sigma_clip=6, fit_grid="log", velscale=100.0))
    assert spectrum.meta["n_clipped"] == 1
    assert spectrum.flux[spectrum.good_pixels] == pytest.approx(UNIT, rel=1e-9)
    assert 1 <= (~spectrum.good_pixels).sum() <= 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sigma_clip_window": 21}, "no effect without sigma_clip"),
        ({"sigma_clip": 6, "sigma_clip_window": 20}, "odd number"),
        ({"sigma_clip": 0}, "sigma_clip"),
        ({"fit_grid": "logarithmic"}, "fit_grid"),
    ],
)
def test_faults_in_the_options(given, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        options(tmp_path / "none.txt", **given)


def test_lines_of_a_fit_use_masked_lines_but_no_sky_and_no_bad_pixel(tmp_path):
    stars = np.full(len(LINEAR), 2.0)
    gas = 5.0 / (np.sqrt(2 * np.pi) * 3.0) * np.exp(-0.5 * ((LINEAR - 4862.683) / 3.0) ** 2)
    flux = stars + gas
    flux[1400] = np.nan
    path = write(tmp_path / "gas.txt", LINEAR, flux, 0.05)
    (tmp_path / "mine.txt").write_text("start end medium\n5000 5015 vacuum\n")
    chosen = options(path, mask_emission_lines=True, mask_lines_file=str(tmp_path / "mine.txt"))
    spectrum = observed_spectrum(chosen)
    covered = LINEAR < 5450.0
    result = measure_lines_of_fit(spectrum, chosen, covered, stars[covered] * UNIT, noise_factor=2.0)
    assert result["Hbeta"].flux == pytest.approx(5.0 * UNIT, rel=2e-3)
    assert result["[OIII]5008"].status == "not covered"
    assert result.noise_factor == 2.0


def test_correlated_noise_enlarges_the_errors_of_lines(tmp_path):
    """Over noise seeds, fluxes measured on a fine log grid scatter by no more than they claim."""
    rng = np.random.default_rng(5)
    pulls = []
    for seed in range(40):
        noise = rng.standard_normal(len(LINEAR))
        path = write(tmp_path / f"{seed}.txt", LINEAR, 50.0 + noise, 1.0)
        chosen = options(path, fit_grid="log", velscale=40.0)
        spectrum = observed_spectrum(chosen)
        every = np.ones(len(spectrum.flux), dtype=bool)
        lines = ["Hbeta", "[OIII]4364", "[OIII]5008", "Hgamma"]
        model = np.full(len(spectrum.flux), 50.0 * UNIT)
        result = measure_lines_of_fit(spectrum, chosen, every, model, lines=lines, dispersion=250.0)
        pulls += [line.signal_to_noise for line in result.lines]
    assert 0.85 < np.std(pulls) < 1.15
