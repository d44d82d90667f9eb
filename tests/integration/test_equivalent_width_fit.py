"""A fit of line indices from start to end: measured in a spectrum, and from a table."""

from __future__ import annotations

import numpy as np
import pytest
from orchestrator.modules.equivalent_width_fit import EquivalentWidthFitModule
from small_library import write_library

from orchestrator import MainPipeline
from orchestrator.errors import ConfigError

TRUTH = {("stars.sfh", "logtau"): 0.4, ("emission", "ew_hbeta"): 1.0}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    write_library(tmp_path / "toy.npz")
    return tmp_path


def config(folder, sampler, **options):
    return {
        "runtime": {"sampler": sampler, "seed": 2},
        "maxlike": {"method": "Nelder-Mead", "tolerance": 1e-4},
        "emcee": {"walkers": 16, "samples": 60, "nsteps": 30},
        "output": {"filename": str(folder / f"fit_{sampler.split()[-1]}")},
        "pipeline": {"modules": "EquivalentWidthFit"},
        "EquivalentWidthFit": {
            "SSPModel": str(folder / "toy.npz"), "SFHModel": "ExponentialSFH", "los_sigma": 100.0,
            "ew_names": "HdeltaA HgammaA Hbeta Mgb Fe5270 Fe5335 Fe5406", **options,
        },
        "values": {
            "stars.sfh": {"logtau": "-1 0 1.5", "ism_metallicity_today": 0.015, "alpha_powerlaw": 0.6},
            "emission": {"ew_hbeta": "0 0.3 10"},
        },
    }  # fmt: skip


def mock_table(folder):
    """Indices of the model itself, with small errors."""
    names = config(folder, "maxlike")["EquivalentWidthFit"]["ew_names"].split()
    path = folder / "indices.txt"
    path.write_text("".join(f"{name} 0 0.01\n" for name in names))
    options = config(folder, "maxlike", inputIndices=str(path), index_resolution=5.0, balmer_emission="T")
    module = EquivalentWidthFitModule(options["EquivalentWidthFit"])
    fixed = {("stars.sfh", "ism_metallicity_today"): 0.015, ("stars.sfh", "alpha_powerlaw"): 0.6}
    values = module.make_observable({**TRUTH, **fixed})
    path.write_text("".join(f"{name} {value:.8f} 0.01\n" for name, value in zip(names, values, strict=True)))
    return options


def test_table_of_indices_is_recovered(folder):
    mock_table(folder)
    given = config(folder, "maxlike emcee", inputIndices=str(folder / "indices.txt"), index_resolution=5.0,
                   balmer_emission="T")  # fmt: skip
    (result,) = MainPipeline([given]).run(plot_result=True)
    for key, value in TRUTH.items():
        summary = result.summary[key[1]]
        assert abs(result.best_fit.values[key] - value) < 5 * summary.std
        assert 0 < summary.std < 0.2
    assert result.figures["EquivalentWidthFit"].stat().st_size > 10_000


def test_spectrum_is_measured_and_fitted(folder):
    wave = np.arange(4000.0, 5600.0, 0.8) * 1.01
    rng = np.random.default_rng(1)
    flux = 1 + 0.01 * rng.standard_normal(len(wave))
    np.savetxt(folder / "galaxy.txt", np.column_stack([wave, flux, np.full(len(wave), 0.01)]))
    given = config(folder, "maxlike", inputSpectrum=str(folder / "galaxy.txt"), redshift=0.01,
                   fluxUnits="1e-16 erg / (s cm2 Angstrom)", wlRange=[4010, 5400])  # fmt: skip
    (result,) = MainPipeline([given]).run()
    assert np.isfinite(result.best_fit.log_likelihood)
    assert any("Fe5406 is not fitted" in flag for flag in result.flags)


def test_faults_are_found_before_anything_starts(folder):
    (folder / "bad.txt").write_text("Hbeta 1.5\n")
    table = {"inputIndices": str(folder / "bad.txt"), "index_resolution": "lick", "balmer_emission": "T"}
    given = config(folder, "maxlike", **table, ew_names="Hbeta")
    with pytest.raises(ConfigError, match="expected three columns"):
        MainPipeline([given]).run()
    missing = config(folder, "maxlike", **table)
    del missing["EquivalentWidthFit"]["los_sigma"]
    with pytest.raises(ConfigError, match="los_sigma is missing"):
        MainPipeline([missing]).run()
