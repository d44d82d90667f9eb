"""Filters by name, by the SVO spelling and from a file; never from the network."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.observation.filters import Filter, known_filters, load_filter, speclite_name


def test_against_speclite():
    from speclite.filters import load_filter as load_from_speclite

    band = load_filter("sdss2010-r")
    reference = load_from_speclite("sdss2010-r")
    np.testing.assert_array_equal(band.wavelength, reference.wavelength)
    np.testing.assert_array_equal(band.transmission, reference.response)
    # Fukugita et al. 1996: the effective wavelength of SDSS r is 6165 A
    assert band.effective_wavelength == pytest.approx(6165, abs=15)


@pytest.mark.parametrize(
    ("svo", "speclite", "effective"),
    [
        ("SLOAN/SDSS.r", "sdss2010-r", 6165),
        ("WISE/WISE.W1", "wise2010-W1", 33500),
        ("2MASS/2MASS.J", "twomass-J", 12350),
        ("GALEX/GALEX.FUV", "galex-fuv", 1540),
        ("CTIO/DECam.g", "decam2014-g", 4800),
        ("Pan-STARRS/PS1.g", "panstarrs-g", 4850),
    ],
)
def test_svo_spelling(svo, speclite, effective):
    assert speclite_name(svo) == speclite
    band = load_filter(svo)
    assert band.name == svo
    np.testing.assert_array_equal(band.wavelength, load_filter(speclite).wavelength)
    assert band.effective_wavelength == pytest.approx(effective, rel=0.02)


def test_every_known_name_loads():
    names = known_filters()
    assert len(names) > 150
    assert {speclite_name(name) for name in names} <= set(names)
    for name in names[::10]:
        assert load_filter(name).transmission.max() > 0.0


def test_top_hat_in_closed_form(tmp_path):
    path = tmp_path / "top hat.txt"
    wavelength = np.linspace(4000.0, 6000.0, 20001)
    np.savetxt(path, np.array([wavelength, np.full(wavelength.size, 0.5)]).T)
    band = load_filter(path)
    assert band.name == "top hat"
    assert band.effective_wavelength == pytest.approx(2000.0 / np.log(1.5), rel=1e-6)
    assert band.bandwidth == pytest.approx(2000.0)


def test_records_are_read_only():
    band = Filter("x", np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.0]))
    with pytest.raises(ValueError, match="read-only"):
        band.transmission[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        load_filter("sdss2010-r").wavelength[0] = 1.0


def test_no_network_is_touched(monkeypatch):
    """P16: a name that is not known is an error, not a download."""
    import socket

    def refuse(*arguments, **options):
        msg = "the network was asked"
        raise AssertionError(msg)

    monkeypatch.setattr(socket, "socket", refuse)
    assert load_filter("sdss2010-i").name == "sdss2010-i"
    with pytest.raises(DataError, match="never downloaded"):
        load_filter("JWST/NIRCam.F200W")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sdss2010-R", "did you mean 'sdss2010-r'"),
        ("SLOAN/SDSS_r", "did you mean 'SLOAN/SDSS.r'"),
        ("wise-W1", "did you mean 'wise2010-W1'"),
        ("@@", "'sdss2010-r' and 'SLOAN/SDSS.r' are examples"),
        ("./no_such_file.txt", "neither a known name nor an existing file"),
    ],
)
def test_unknown_names(name, hint):
    with pytest.raises(DataError, match="filter .* is neither a known name") as raised:
        load_filter(name)
    assert hint in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("5000\n6000\n7000\n", "expected at least 2"),
        ("5000 1\n6000 1\n", "found 2 points; expected at least 3"),
        ("5000 1\n6000 nan\n7000 1\n", "all finite"),
        ("6000 1\n5000 1\n7000 1\n", "increase strictly"),
        ("-1 1\n5000 1\n7000 1\n", "must be positive"),
        ("5000 0\n6000 0\n7000 0\n", "expected 0 or more, and more somewhere"),
        ("5000 0\n6000 1\n7000 -0.5\n", "transmission between -0.5 and 1"),
    ],
)
def test_bad_filter_files_are_refused(tmp_path, content, message):
    path = tmp_path / "filter.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        load_filter(path)


def test_small_negative_transmission_is_noise(tmp_path):
    path = tmp_path / "filter.txt"
    path.write_text("5000 -0.0001\n6000 1\n7000 0\n")
    assert load_filter(path).transmission.tolist() == [0.0, 1.0, 0.0]
