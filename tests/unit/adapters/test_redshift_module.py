"""The CosmoSIS side of SpectraRedshiftFit: what it writes, what it flags, what it draws."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import QTable
from cosmosis.datablock import DataBlock
from orchestrator.modules.spectra_redshift_fit import SpectraRedshiftFitModule
from small_library import write_library

UNIT = "1e-16 erg / (s cm2 Angstrom)"
POINT = {
    ("stars.sfh", "logtau"): 0.6,
    ("stars.sfh", "ism_metallicity_today"): 0.02,
    ("stars.sfh", "alpha_powerlaw"): 0.5,
    ("dust.extinction", "a_v"): 0.3,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_library(tmp_path / "library.npz")
    wave = np.arange(4550.0, 5750.0, 1.5)
    np.savetxt("flat.dat", np.column_stack([wave, np.ones_like(wave), np.full_like(wave, 0.05)]))
    return tmp_path


def module(folder, spectrum="flat.dat", **options):
    return SpectraRedshiftFitModule({
        "inputSpectrum": str(folder / spectrum), "fluxUnits": UNIT, "SSPModel": str(folder / "library.npz"),
        "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89", "z_min": 0.06, "z_max": 0.08, **options,
    })  # fmt: skip


def mock(folder, redshift, error=0.02):
    """A spectrum of the module's own model, without noise."""
    flat = module(folder, redshift_mode="sampled")
    flux = flat.make_observable(POINT | {("redshift", "redshift"): redshift})
    wave = flat.fit.spectrum.wavelength[flat.fit.covered]
    np.savetxt("mock.dat", np.column_stack([wave, flux / flux.mean(), np.full_like(flux, error)]))


def block_of(values):
    block = DataBlock()
    for key, value in values.items():
        block[key] = value
    return block


def test_a_point_writes_likelihood_redshift_and_mass(folder):
    mock(folder, 0.0683)
    mine = module(folder, "mock.dat")
    block = block_of(POINT)
    assert mine.execute(block) == 0
    assert mine.execute(block) == 0  # a block may be used again
    assert block["redshift", "redshift"] == pytest.approx(0.0683, abs=2e-5)
    assert block["extra", "redshift"] == block["redshift", "redshift"]
    assert 0 < block["extra", "redshift_error"] < 1e-4
    batch = mine.log_likelihood_batch({key: np.full(3, value) for key, value in POINT.items()})
    assert batch == pytest.approx([block["likelihoods", "SpectraRedshiftFit_like"]] * 3)
    model = mine.make_observable(block)
    data = np.loadtxt("mock.dat")[:, 1] * 1e-16
    assert model == pytest.approx(data, rel=5e-3)
    assert mine.flags(block) == ()
    goodness = mine.goodness_of_fit(block)
    assert goodness.n_free == len(POINT) + 1
    good = mine.fit.good_pixels
    residual = (model - data)[good[mine.fit.covered]] / mine.fit.spectrum.uncertainty[good]
    assert goodness.chi2 == pytest.approx((residual**2).sum(), rel=1e-6)
    assert goodness.n_data == good.sum()


@pytest.mark.parametrize(
    "options", [{}, {"legendre_deg": 2}, {"legendre_deg": 2, "legendre_mode": "profiled"}, {"use_features": "T"}]
)
def test_figures_and_profile(folder, options):
    mock(folder, 0.0683)
    mine = module(folder, "mock.dat", save_z_loglike="profile.ecsv", NoiseModel="MultiplicativeNoiseModel", **options)
    values = POINT | {("noise", "beta"): 1.0, ("legendre", "legendre_1"): 0.0, ("legendre", "legendre_2"): 0.0}
    block = block_of(values)
    mine.execute(block)
    assert mine.plot_solution(block, "best.png").is_file()
    assert (folder / "best_redshift.png").is_file()
    mine.cleanup()
    profile = QTable.read("profile.ecsv")
    assert float(profile["redshift"][np.argmax(profile["log_likelihood"])]) == pytest.approx(0.0683, abs=2e-4)
    data = mine._figure_data(
        mine.read_parameters(block), block["redshift", "redshift"], 10 ** block["extra", "stellar_mass"]
    )
    assert data.chi2 / data.n_degrees_of_freedom < 0.02  # no noise was added


def test_edges_and_second_peaks_are_flagged(folder):
    mock(folder, 0.0683)
    for edge in ({"z_min": 0.0690, "z_max": 0.08}, {"z_min": 0.06, "z_max": 0.0681}):
        mine = module(folder, "mock.dat", **edge)
        block = block_of(POINT)
        mine.execute(block)
        assert any("at the edge of z_min..z_max" in flag for flag in mine.flags(block))
    mock(folder, 0.0683, error=3.0)
    mine = module(folder, "mock.dat", z_min=0.05)
    block = block_of(POINT)
    mine.execute(block)
    assert any("second peak: redshift = " in flag for flag in mine.flags(block))


def test_sampled_redshift_is_read(folder):
    mock(folder, 0.0683)
    mine = module(folder, "mock.dat", redshift_mode="sampled")
    values = {key: np.full(3, value) for key, value in POINT.items()}
    heights = mine.log_likelihood_batch(values | {("redshift", "redshift"): np.array([0.0678, 0.0683, 0.0801])})
    assert heights[1] > heights[0] + 1
    assert np.isneginf(heights[2])  # beyond z_max
