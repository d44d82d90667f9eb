"""Emission lines injected into noise: fluxes, equivalent widths, kinematics and their errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from orchestrator.errors import DataError
from orchestrator.forward_model.emission_lines import measure_emission_lines
from orchestrator.observation.masks import EmissionLine, emission_lines
from orchestrator.physics.wavelength import pixel_edges

C = 299792.458
REDSHIFT = 0.03
VELOCITY, DISPERSION = 35.0, 110.0
RESOLUTION = 1900.0
WAVELENGTH = np.exp(np.arange(np.log(4850.0), np.log(7000.0), 69.03 / C))
LSF = WAVELENGTH / RESOLUTION
CONTINUUM = np.full(WAVELENGTH.shape, 2.0)
SIGMA = np.full(WAVELENGTH.shape, 0.05)
LINES = ("Hbeta", "[OIII]4960", "[OIII]5008", "[OI]6302", "[NII]6550", "Halpha", "[NII]6585")
FLUXES = {
    "Hbeta": 3.0,
    "[OIII]5008": 9.0,
    "[OIII]4960": 9.0 / 2.98,
    "Halpha": 10.0,
    "[NII]6585": 4.0,
    "[NII]6550": 4.0 / 3.05,
}
KNOWN = {line.name: line.wavelength for line in emission_lines()}


def gas(fluxes, velocity=VELOCITY, dispersion=DISPERSION):
    edges, total = pixel_edges(WAVELENGTH), np.zeros(WAVELENGTH.shape)
    for name, flux in fluxes.items():
        centre = KNOWN[name] * (1 + REDSHIFT) * np.exp(velocity / C)
        sigma = np.hypot(centre * dispersion / C, centre / RESOLUTION / (2 * np.sqrt(2 * np.log(2))))
        total += flux * (ndtr((edges[1:] - centre) / sigma) - ndtr((edges[:-1] - centre) / sigma)) / np.diff(edges)
    return total


def measured(flux, **options):
    given = {"redshift": REDSHIFT, "lsf_fwhm": LSF, "lines": LINES} | options
    return measure_emission_lines(WAVELENGTH, flux, SIGMA, CONTINUUM, **given)


def test_without_noise_the_truth_comes_back():
    result = measured(CONTINUUM + gas(FLUXES))
    for name, flux in FLUXES.items():
        line = result[name]
        assert line.flux == pytest.approx(flux, rel=1e-4), name
        assert line.equivalent_width == pytest.approx(flux / 2.0 / (1 + REDSHIFT), rel=1e-4)
        assert line.velocity == pytest.approx(VELOCITY, abs=0.05)
        assert line.dispersion == pytest.approx(DISPERSION, abs=0.1)
        assert line.status == "detected"
    assert result["[OI]6302"].flux == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(("kinematics", "n_seeds"), [("shared", 200), ("per_blend", 60)])
def test_pulls(kinematics, n_seeds):
    """Mean pull within 3 standard errors of zero and scatter 0.9-1.1, of bright and of absent lines."""
    rng = np.random.default_rng(8)
    clean = CONTINUUM + gas(FLUXES)
    pulls = {name: [] for name in (*LINES, "velocity", "dispersion")}
    for _ in range(n_seeds):
        result = measured(clean + SIGMA * rng.standard_normal(len(clean)), kinematics=kinematics)
        for line in result.lines:
            pulls[line.name].append((line.flux - FLUXES.get(line.name, 0.0)) / line.flux_error)
        line = result["Halpha"]
        pulls["velocity"].append((line.velocity - VELOCITY) / line.velocity_error)
        pulls["dispersion"].append((line.dispersion - DISPERSION) / line.dispersion_error)
    for name, values in pulls.items():
        assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(n_seeds), name
        assert abs(np.std(values) - 1) < 3 / np.sqrt(2 * n_seeds), name
    together = np.concatenate([pulls[name] for name in LINES])
    assert 0.9 < np.std(together) < 1.1
    assert abs(np.mean(together)) < 0.1


def test_upper_limits_hold_and_faint_lines_borrow_their_kinematics():
    rng = np.random.default_rng(9)
    truth, above = 0.15, 0
    for _ in range(60):
        flux = CONTINUUM + gas({"Hbeta": truth}) + SIGMA * rng.standard_normal(len(SIGMA))
        result = measured(flux, lines=["Hbeta"], velocity=VELOCITY, dispersion=DISPERSION)
        line = result["Hbeta"]
        assert not result.kinematics_measured
        assert (line.velocity, line.dispersion) == (VELOCITY, DISPERSION)
        assert np.isnan(line.velocity_error)
        above += line.status == "detected" or line.upper_limit > truth
    assert above == 60


def test_doublets_keep_their_ratio_and_share_their_information():
    rng = np.random.default_rng(10)
    result = measured(CONTINUUM + gas(FLUXES) + SIGMA * rng.standard_normal(len(SIGMA)))
    strong, weak = result["[OIII]5008"], result["[OIII]4960"]
    assert strong.flux / weak.flux == pytest.approx(2.98)
    assert strong.signal_to_noise == pytest.approx(weak.signal_to_noise)
    assert (weak.tied_to, strong.tied_to) == ("[OIII]5008", None)
    assert strong.blend == weak.blend
    alone = measured(CONTINUUM + gas(FLUXES), lines=["[OIII]4960", "Halpha"])["[OIII]4960"]
    assert alone.tied_to is None
    assert alone.flux_error > weak.flux_error


def test_a_tie_across_blends_separates_what_overlaps():
    wavelength = np.exp(np.arange(np.log(3800.0), np.log(4050.0), 69.03 / C))
    neon = emission_lines()
    chosen = [line for line in neon if line.name in ("[NeIII]3870", "[NeIII]3969", "Hepsilon")]
    result = measure_emission_lines(
        wavelength, np.ones(len(wavelength)), np.full(len(wavelength), 0.1), np.ones(len(wavelength)), lines=chosen
    )
    assert len({line.blend for line in result.lines}) == 1
    free = measure_emission_lines(
        wavelength,
        np.ones(len(wavelength)),
        np.full(len(wavelength), 0.1),
        np.ones(len(wavelength)),
        lines=[EmissionLine(line.name, line.wavelength) for line in chosen],
    )
    assert result["Hepsilon"].flux_error < 0.97 * free["Hepsilon"].flux_error


def test_each_blend_may_have_its_own_kinematics():
    flux = CONTINUUM + gas({"Hbeta": 5.0}, velocity=-80.0, dispersion=60.0)
    flux += gas({"Halpha": 10.0}, velocity=120.0, dispersion=180.0)
    result = measured(flux, lines=["Hbeta", "Halpha"], kinematics="per_blend")
    assert result["Hbeta"].velocity == pytest.approx(-80.0, abs=1.0)
    assert result["Hbeta"].dispersion == pytest.approx(60.0, abs=1.5)
    assert result["Halpha"].velocity == pytest.approx(120.0, abs=1.0)
    assert result["Halpha"].dispersion == pytest.approx(180.0, abs=1.5)


def test_a_continuum_that_the_stars_miss_does_not_bias_the_flux():
    offset = 0.3 + 1e-4 * (WAVELENGTH - 5800.0)
    assert measured(CONTINUUM + offset + gas(FLUXES))["Halpha"].flux == pytest.approx(10.0, rel=1e-3)


def test_without_an_lsf_the_dispersion_is_the_observed_one():
    result = measured(CONTINUUM + gas(FLUXES), lsf_fwhm=None)
    instrument = C / RESOLUTION / (2 * np.sqrt(2 * np.log(2)))
    assert result["Halpha"].dispersion == pytest.approx(np.hypot(DISPERSION, instrument), rel=2e-3)
    assert not result.lsf_removed


def test_the_noise_factor_scales_the_errors():
    flux = CONTINUUM + gas(FLUXES)
    one, two = measured(flux), measured(flux, noise_factor=np.full(len(flux), 2.0))
    assert two["Halpha"].flux_error == pytest.approx(2 * one["Halpha"].flux_error, rel=1e-3)
    assert two.noise_factor == 2.0


def test_lines_without_pixels_are_named_as_such():
    good = np.abs(WAVELENGTH - KNOWN["Halpha"] * (1 + REDSHIFT)) > 4.0
    flux = np.where(good, CONTINUUM + gas(FLUXES), 1e9)
    result = measured(flux, good_pixels=good, lines=[*LINES, "[OII]3727"])
    assert result["Halpha"].status == result["[OII]3727"].status == "not covered"
    assert np.isnan(result["Halpha"].flux)
    assert result["Hbeta"].flux == pytest.approx(3.0, rel=1e-3)


def test_nan_and_infinite_pixels_do_not_enter():
    flux, sigma = CONTINUUM + gas(FLUXES), SIGMA.copy()
    flux[::50], sigma[::50] = np.nan, np.inf
    result = measure_emission_lines(
        WAVELENGTH, flux, sigma, CONTINUUM, redshift=REDSHIFT, lsf_fwhm=LSF, lines=LINES
    )
    assert result["[OIII]5008"].flux == pytest.approx(9.0, rel=1e-3)


def test_all_lines_of_the_package_and_those_too_close_to_tell_apart():
    names = [line.name for line in measured(CONTINUUM, lines=None).lines]
    assert "HeI3890+H8" in names
    assert "NaI5892" not in names
    assert names.count("Halpha") == 1


def test_the_table_has_units_and_comes_back(tmp_path):
    from astropy import units
    from astropy.table import QTable

    result = measured(CONTINUUM + gas(FLUXES), name="galaxy 7")
    path = result.write(tmp_path / "emission_lines.ecsv")
    table = QTable.read(path)
    assert table["flux"].unit == units.erg / units.s / units.cm**2
    assert table["velocity"].unit == units.km / units.s
    row = list(table["name"]).index("Halpha")
    assert table["flux"][row].value == pytest.approx(10.0, rel=1e-3)
    assert table["equivalent_width"].unit == units.AA
    assert table.meta["redshift"] == REDSHIFT
    assert table.meta["spectrum"] == "galaxy 7"
    assert table["flux"].info.description


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lines": ["Halfa"]}, "'Halfa' is not known.*Halpha"),
        ({"lines": ["Halpha", "Halpha"]}, "given twice"),
        ({"kinematics": "free"}, "kinematics = 'free'"),
        ({"lsf_fwhm": np.ones(3)}, "lsf_fwhm has shape"),
    ],
)
def test_faults_are_named(options, message):
    with pytest.raises(DataError, match=message):
        measured(CONTINUUM, **options)
    with pytest.raises(KeyError, match="Halpha"):
        measured(CONTINUUM)["Halpa"]
