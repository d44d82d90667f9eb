"""FSPS through a stand-in of python-fsps, and files of DSPS, which are made of the same."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.catalogue import known_library
from orchestrator.ssp_libraries.load import load_library, state_of

LIGHT = 2.99792458e18
WAVE = np.array([3000.0, 4000.0, 5000.0, 5400.0, 5500.0, 6000.0, 8000.0])

STAND_IN = '''
"""The part of python-fsps's interface that is used (src/fsps/fsps.py of dfm/python-fsps)."""
import numpy as np
__version__ = "0.4"
WAVE = np.array([3000.0, 4000.0, 5000.0, 5400.0, 5500.0, 6000.0, 8000.0])

class StellarPopulation:
    def __init__(self, zcontinuous, sfh, imf_type, add_neb_emission):
        assert (zcontinuous, sfh) == (0, 0)
        self.params = {"zmet": 1}
        self.scale = 10.0 * imf_type + (1000.0 if add_neb_emission else 0.0)
        self.zlegend = np.array([0.01, 0.02])
        self.log_age = np.array([6.0, 8.0, 10.0])
        self.libraries = (b"mist", b"miles", b"DL07")
    def get_spectrum(self, tage):
        assert tage == 0
        ages = np.arange(1.0, 4.0)[:, None]
        return WAVE, (self.scale + self.params["zmet"]) * 1e-5 * ages * WAVE**2 / 2.99792458e18
    @property
    def stellar_mass(self):
        return np.array([1.0, 0.8, 0.5]) / self.params["zmet"]
'''
STATED = "    @property\n    def resolutions(self):\n        return np.full(WAVE.size, -50.0)\n"


@pytest.fixture
def stand_in(folders, monkeypatch):
    def install(content):
        import sys

        (folders / "site" / "fsps").mkdir(parents=True)
        (folders / "site" / "fsps" / "__init__.py").write_text(content)
        monkeypatch.syspath_prepend(folders / "site")
        monkeypatch.delitem(sys.modules, "fsps", raising=False)

    yield install
    import sys

    sys.modules.pop("fsps", None)


def test_fsps(stand_in):
    stand_in(STAND_IN)
    assert state_of(known_library("fsps")) == "python-fsps is installed"
    library = load_library("FSPS")
    assert library.metallicity.tolist() == [0.01, 0.02]
    assert library.log10_age_yr.tolist() == [6.0, 8.0, 10.0]
    np.testing.assert_array_equal(library.wavelength, WAVE)
    np.testing.assert_allclose(library.flux[1, 2], 12.0 * 3.0 * 1e-5)  # Chabrier is type 1
    np.testing.assert_allclose(library.surviving_fraction[1], [0.5, 0.4, 0.25])
    np.testing.assert_allclose(library.lsf_fwhm[1:5], 2.54)
    assert library.lsf_fwhm[-1] == pytest.approx(4000.0)
    assert "mist, miles" in library.citation
    np.testing.assert_allclose(load_library("FSPS", args="kroupa").flux[0, 0], 21.0 * 1e-5)
    assert load_library("FSPS", args="imf=salpeter, nebular=T").flux[0, 0, 0] == pytest.approx(1001.0 * 1e-5)


def test_fsps_that_states_its_resolution(stand_in):
    stand_in(STAND_IN + STATED)
    library = load_library("FSPS")
    np.testing.assert_allclose(library.lsf_fwhm, 50.0 * 2.3548 / 299792.458 * WAVE, rtol=1e-4)
    assert library.resolution == "as FSPS states it"


def test_fsps_that_is_not_installed(folders, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "fsps", None)
    with pytest.raises(LibraryError, match="python-fsps, which is not installed.*SPS_HOME.*pip install fsps"):
        load_library("FSPS")


def test_fsps_without_its_data(stand_in):
    stand_in("raise RuntimeError('You need to have the SPS_HOME environment variable')\n")
    with pytest.raises(LibraryError, match="installed but does not start .You need to have the SPS_HOME"):
        load_library("FSPS")


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_dsps_layout(folders, caplog, kind):
    import h5py

    level = np.arange(1.0, 7.0).reshape(2, 3, 1) * 1e-5
    with h5py.File(folders / "ssp_data_fsps.h5", "w") as file:
        file["ssp_lgmet"] = np.log10([0.01, 0.02])
        file["ssp_lg_age_gyr"] = np.array([-3.0, -1.0, 1.0])
        file["ssp_wave"] = WAVE
        file["ssp_flux"] = (level * WAVE**2 / LIGHT).astype(kind)
    with caplog.at_level(logging.INFO):
        library = load_library("ssp_data_fsps.h5", folders)
    np.testing.assert_allclose(library.flux, np.broadcast_to(level, (2, 3, WAVE.size)), rtol=1e-6)
    assert library.flux.dtype == kind
    np.testing.assert_allclose(library.log10_age_yr, [6.0, 8.0, 10.0])
    np.testing.assert_allclose(library.metallicity, [0.01, 0.02])
    np.testing.assert_array_equal(library.wavelength, WAVE)
    assert library.medium == "vacuum"
    np.testing.assert_allclose(library.lsf_fwhm[1:5], 2.54)
    assert "states no resolution" in caplog.text
