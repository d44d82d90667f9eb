"""SpectraRedshiftFit and GaussianTarget through the whole pipeline, as a user runs them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import QTable
from orchestrator.modules.full_spectral_fit import FullSpectralFitModule
from orchestrator.modules.gaussian_target import GaussianTargetModule
from small_library import write_library

from orchestrator import MainPipeline, Reader

TRUE = 0.0727
UNIT = "1e-16 erg / (s cm2 Angstrom)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A library and a mock galaxy at `TRUE` with S/N 25, from FullSpectralFit."""
    path = tmp_path_factory.mktemp("redshift")
    write_library(path / "library.npz")
    wave = np.arange(4550.0, 5750.0, 1.2)
    np.savetxt(path / "flat.dat", np.column_stack([wave, np.ones_like(wave), np.full_like(wave, 0.1)]))
    full = FullSpectralFitModule({
        "inputSpectrum": str(path / "flat.dat"), "fluxUnits": UNIT, "redshift": TRUE, "SFHModel": "ExponentialSFH",
        "SSPModel": str(path / "library.npz"), "ExtinctionLaw": "ccm89",
    })  # fmt: skip
    truth = {
        ("stars.sfh", "logtau"): 0.6, ("stars.sfh", "ism_metallicity_today"): 0.02,
        ("stars.sfh", "alpha_powerlaw"): 0.5,
        ("kinematics", "los_vel"): 0.0, ("kinematics", "los_sigma"): 100.0, ("kinematics", "los_h3"): 0.0,
        ("kinematics", "los_h4"): 0.0, ("dust.extinction", "a_v"): 0.3, ("extra", "stellar_mass"): 9.6,
    }  # fmt: skip
    flux = full.make_observable(truth)
    flux = flux / flux.mean()
    noise = np.random.default_rng(2).normal(0, 0.04, len(flux))
    np.savetxt(path / "galaxy.dat", np.column_stack([wave, flux + noise, np.full_like(wave, 0.04)]))
    return path


def redshift_stage(folder, name, sampler, **options):
    settings = {
        "maxlike": {"method": "Nelder-Mead", "maxiter": 150, "tolerance": 1e-2},
        "emcee": {"walkers": 24, "samples": 60, "nsteps": 30},
    }
    return {
        "runtime": {"sampler": sampler, "seed": 3},
        **{word: settings[word] for word in sampler.split()},
        "output": {"filename": str(folder / name)},
        "pipeline": {"modules": "SpectraRedshiftFit", "extra_output": "extra/redshift extra/stellar_mass"},
        "SpectraRedshiftFit": {
            "inputSpectrum": str(folder / "galaxy.dat"), "fluxUnits": UNIT, "SSPModel": str(folder / "library.npz"),
            "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89", "z_min": 0.05, "z_max": 0.1, **options,
        },
    }  # fmt: skip


@pytest.mark.parametrize("suffix", ["ecsv", "fits"])
def test_maximised(folder, suffix, monkeypatch):
    monkeypatch.chdir(folder)
    (result,) = MainPipeline(
        [redshift_stage(folder, f"maximised_{suffix}", "maxlike", save_z_loglike=f"profile.{suffix}")]
    ).run(plot_result=True)
    table = Reader.from_results_file(folder / f"maximised_{suffix}.txt").results_table
    columns = {name.lower(): float(table[name][-1]) for name in table.colnames}
    found = columns["extra--redshift"]
    assert abs(found - TRUE) < 1.5e-4
    assert not [flag for flag in result.flags if "edge" in flag or "second peak" in flag]
    profile = QTable.read(folder / f"profile.{suffix}")
    assert str(profile["stellar_mass"].unit) == "solMass"
    top = int(np.argmax(profile["log_likelihood"]))
    assert abs(float(profile["redshift"][top]) - found) < 3e-4
    assert float(profile["log_likelihood"][top]) <= columns["like"] + 1e-6
    figure = result.figures["SpectraRedshiftFit"]
    assert figure.is_file()
    assert figure.with_name(f"{figure.stem}_redshift{figure.suffix}").is_file()


def test_redshift_is_written_where_the_peer_writes_it(folder, monkeypatch):
    monkeypatch.chdir(folder)
    stage = redshift_stage(folder, "section", "maxlike")
    stage["pipeline"]["extra_output"] = "redshift/redshift"
    MainPipeline([stage]).run()
    table = Reader.from_results_file(folder / "section.txt").results_table
    (name,) = [name for name in table.colnames if name.lower() == "redshift--redshift"]
    assert abs(float(table[name][-1]) - TRUE) < 1.5e-4


def test_sampled_and_at_the_edge(folder, monkeypatch):
    monkeypatch.chdir(folder)
    stages = [
        redshift_stage(folder, "sampled", "maxlike emcee", redshift_mode="sampled", z_min=0.0717, z_max=0.0737),
        redshift_stage(folder, "edge", "maxlike", z_min=0.0735, z_max=0.1),
    ]
    first, second = MainPipeline(stages).run()
    redshift = first.summary["redshift"]
    assert abs(redshift.median - TRUE) < 4 * (redshift.upper_68 - redshift.lower_68) / 2
    assert 1e-6 < redshift.upper_68 - redshift.lower_68 < 3e-4
    assert any("at the edge of z_min..z_max" in flag for flag in second.flags)


def test_no_pixel_at_every_redshift_is_refused_before_anything_runs(folder, monkeypatch):
    from orchestrator.errors import ConfigError

    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match=r"at every redshift from 0 to 1"):
        MainPipeline([redshift_stage(folder, "nothing", "maxlike", z_min=0.0, z_max=1.0)]).run()


def test_gaussian_target_gives_its_moments_back(tmp_path):
    options = {"mean": [1.0, -2.0], "sigma": [0.5, 0.1], "correlation": 0.8}
    (result,) = MainPipeline([{
        "runtime": {"sampler": "emcee", "seed": 5},
        "emcee": {"walkers": 48, "samples": 900, "nsteps": 100},
        "output": {"filename": str(tmp_path / "known")},
        "pipeline": {"modules": "GaussianTarget"},
        "GaussianTarget": options,
    }]).run(plot_result=True)  # fmt: skip
    mixture = GaussianTargetModule(options).model.mixture
    samples = result.chain.samples[len(result.chain.samples) // 3 :]
    assert samples.mean(axis=0) == pytest.approx(mixture.mean, abs=0.06)
    assert np.corrcoef(samples.T)[0, 1] == pytest.approx(0.8, abs=0.06)
    assert samples.std(axis=0) == pytest.approx(np.sqrt(np.diag(mixture.covariance)), rel=0.12)
    assert result.figures["GaussianTarget"].is_file()
