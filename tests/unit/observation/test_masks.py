"""Masks: which lines, where they are, how wide."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.observation.masks import (
    emission_lines,
    keep_emission_lines,
    keep_sky_lines,
    keep_telluric,
    sky_lines,
    telluric_bands,
)

C = 299792.458


def test_balmer_lines_are_where_the_rydberg_formula_puts_them():
    rydberg = 109677.583  # hydrogen, cm^-1
    names = {
        3: "Halpha",
        4: "Hbeta",
        5: "Hgamma",
        6: "Hdelta",
        7: "Hepsilon",
        8: "H8",
        9: "H9",
        10: "H10",
        11: "H11",
    }
    found = {line.name: line.wavelength for line in emission_lines()}
    for level, name in names.items():
        assert found[name] == pytest.approx(1e8 / (rydberg * (0.25 - level**-2)), rel=2e-5), name


def test_air_wavelengths_of_the_handbooks_come_out():
    """Vacuum wavelengths of the table against the familiar ones in air, which give the lines their names."""
    from orchestrator.physics.wavelength import vacuum_to_air

    in_air = {
        "[OII]3727": 3726.03,
        "[NeIII]3870": 3868.76,
        "[OIII]4364": 4363.21,
        "HeII4687": 4685.71,
        "[OIII]4960": 4958.91,
        "[OIII]5008": 5006.84,
        "[NI]5199": 5197.90,
        "[NII]5756": 5754.59,
        "HeI5877": 5875.62,
        "NaI5892": 5889.95,
        "[OI]6302": 6300.30,
        "[SIII]6314": 6312.06,
        "[OI]6366": 6363.78,
        "[NII]6550": 6548.05,
        "[NII]6585": 6583.45,
        "HeI6680": 6678.15,
        "[SII]6718": 6716.44,
        "[SII]6733": 6730.82,
        "[ArIII]7138": 7135.79,
        "[SIII]9071": 9068.6,
    }
    found = {line.name: line.wavelength for line in emission_lines()}
    for name, wavelength in in_air.items():
        assert float(vacuum_to_air(found[name])) == pytest.approx(wavelength, abs=0.06), name


def test_names_say_the_wavelength():
    for line in emission_lines():
        digits = "".join(c for c in line.name.rpartition("]")[2] if c.isdigit())
        if len(digits) == 4:
            assert abs(float(digits) - line.wavelength) < 1.0, line.name


def test_width_in_velocity():
    wavelength = np.arange(6600.0, 7400.0, 0.1)
    kept = keep_emission_lines(wavelength, redshift=0.05, half_width_kms=500.0, names=["Halpha"])
    velocity = C * (wavelength / (6564.614 * 1.05) - 1.0)
    assert np.array_equal(kept, np.abs(velocity) > 500.0)


def test_width_in_wavelength_and_pad():
    wavelength = np.arange(6500.0, 6650.0, 0.1)
    kept = keep_emission_lines(wavelength, half_width=10.0, pad=2.5, names=["Halpha"])
    assert np.array_equal(kept, np.abs(wavelength - 6564.614) > 12.5)


def test_default_masks_the_strong_lines_and_little_else():
    wavelength = np.arange(3700.0, 8900.0, 0.5)
    kept = keep_emission_lines(wavelength)
    for strong in (3728.5, 4341.7, 4862.7, 5008.2, 6564.6, 6585.3, 6732.7):
        assert not kept[np.argmin(np.abs(wavelength - strong))]
    assert 0.8 < kept.mean() < 0.95
    assert kept[np.argmin(np.abs(wavelength - 5180.0))]  # Mg b


def test_interstellar_sodium_on_demand():
    sodium = np.array([5891.583, 5897.558])
    assert keep_emission_lines(sodium, half_width=2.0).all()
    assert not keep_emission_lines(sodium, half_width=2.0, interstellar=True).any()
    assert keep_emission_lines([6564.6], half_width=2.0, names=["Hbeta"]).all()


def test_sky_lines_are_in_vacuum_and_observed():
    found = {line.name: line.wavelength for line in sky_lines()}
    assert found["[OI]5577"] == pytest.approx(5578.887, abs=0.01)
    wavelength = np.array([5578.9, 5593.0, 5600.0])
    assert keep_sky_lines(wavelength).tolist() == [False, True, True]
    assert keep_sky_lines(wavelength, pad=5.0).tolist() == [False, False, True]


def test_telluric_bands():
    wavelength = np.array([6800.0, 6870.0, 7000.0, 7605.0, 8000.0, 9300.0])
    assert keep_telluric(wavelength).tolist() == [True, False, True, False, True, False]
    assert keep_telluric([6855.0], pad=10.0).tolist() == [False]
    assert all(band.start < band.end for band in telluric_bands())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: keep_emission_lines(w, half_width_kms=-1.0), "half_width_kms = -1.0"),
        (lambda w: keep_emission_lines(w, half_width=np.nan), "half_width = nan"),
        (lambda w: keep_emission_lines(w, pad=-2.0), "pad = -2.0; expected 0 or more"),
        (lambda w: keep_emission_lines(w, half_width=1.0, half_width_kms=1.0), "not both"),
        (lambda w: keep_emission_lines(w, names=["Halpa"]), "'Halpa' is not known; did you mean 'Halpha'"),
        (lambda w: keep_sky_lines(w, pad=-1.0), "sky_line_pad"),
        (lambda w: keep_telluric(w, pad=-1.0), "telluric_pad"),
    ],
)
def test_wrong_options_are_refused(call, message):
    with pytest.raises(DataError, match=message):
        call(np.array([5000.0, 5001.0]))


def test_tables_are_valid_ecsv():
    from importlib.resources import files

    from astropy.table import Table

    folder = files("orchestrator.observation") / "data"
    lengths = {
        name: len(Table.read(str(folder / name), format="ascii.ecsv"))
        for name in ("emission_lines.ecsv", "sky_lines.ecsv", "telluric_bands.ecsv")
    }
    assert lengths["emission_lines.ecsv"] == len(emission_lines())
    assert lengths["sky_lines.ecsv"] == len(sky_lines())
    assert lengths["telluric_bands.ecsv"] == len(telluric_bands())


def test_sky_lines_are_where_the_noise_of_a_real_spectrum_peaks(example_data):
    """The sky is the noise: centroids of its peaks in the DESI spectrum against the wavelengths of the table."""
    from orchestrator.observation.read_spectrum import read_spectrum

    spectrum = read_spectrum(example_data / "desi_galaxy.fits.gz", redshift=0.0)
    good = spectrum.good_pixels
    wavelength, sigma = spectrum.wavelength[good], spectrum.uncertainty[good]
    offsets, heights = [], []
    for line in sky_lines():
        near = np.abs(wavelength - line.wavelength) < 2.0
        if near.sum() < 4 or line.name.startswith("NaI"):
            continue
        level = np.median(sigma[np.abs(wavelength - line.wavelength) < 15.0])
        excess = np.clip(sigma[near] - level, 0.0, None)
        heights.append(sigma[near].max() / level)
        offsets.append((excess * wavelength[near]).sum() / excess.sum() - line.wavelength)
    assert len(offsets) > 35
    assert np.median(np.abs(offsets)) < 0.2
    assert np.max(np.abs(offsets)) < 0.6  # pixels are 0.8 A wide, and some lines have a faint neighbour
    assert np.mean(np.array(heights) > 1.5) > 0.9


def test_the_lists_hold_what_the_peer_masks():
    from orchestrator.physics.wavelength import air_to_vacuum

    gas = "3726.03 3728.82 4101.74 4340.47 4363.21 4861.33 4958.91 5006.84 5199.0 5875.62 6300.30 6363.78 6548.05"
    gas += " 6562.80 6583.45 6716.44 6730.82 7135.79"
    known = np.array([line.wavelength for line in emission_lines()])
    for wavelength in air_to_vacuum([float(word) for word in gas.split()]):
        assert np.abs(known - wavelength).min() < 1.5
    sky = np.array([line.wavelength for line in sky_lines()])
    for wavelength in air_to_vacuum([5577.34, 5890.0, 5896.0, 6300.30, 6363.78]):
        assert np.abs(sky - wavelength).min() < 0.2
    assert len(telluric_bands()) == 9


def test_ties_point_at_stronger_lines_of_the_list():
    lines = {line.name: line for line in emission_lines()}
    tied = [line for line in lines.values() if line.tied_to]
    assert len(tied) == 6
    for line in tied:
        assert lines[line.tied_to].tied_to is None
        assert 2.0 < line.ratio < 5.0
        assert line.name.split("]")[0] == line.tied_to.split("]")[0]
