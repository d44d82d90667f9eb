"""The batch samplers on the modules of this package: same posterior as CosmoSIS's own path, point for point."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cosmosis.runtime import logs
from cosmosis.runtime.config import Inifile
from cosmosis.runtime.pipeline import LikelihoodPipeline

from orchestrator.fit.chain import read_chain
from orchestrator.fit.convergence import convergence
from orchestrator.fit.samplers.batch_posterior import BatchPosterior
from orchestrator.paths import module_file

TRUTH = {
    ("stars.sfh", "logtau"): 0.4,
    ("stars.sfh", "ism_metallicity_today"): 0.02,
    ("stars.sfh", "alpha_powerlaw"): 0.6,
    ("kinematics", "los_vel"): 40.0,
    ("kinematics", "los_sigma"): 150.0,
    ("kinematics", "los_h3"): 0.02,
    ("kinematics", "los_h4"): 0.01,
    ("dust.extinction", "a_v"): 0.3,
}
VALUES = {
    "stars.sfh": {"logtau": "-1 0.3 1.7", "ism_metallicity_today": "0.005 0.015 0.08", "alpha_powerlaw": "0 0.5 3"},
    "kinematics": {"los_vel": "-200 0 200", "los_sigma": "80 120 300", "los_h3": "-0.2 0 0.2", "los_h4": "0.01"},
    "dust.extinction": {"a_v": "0 0.2 2"},
}
PRIORS = {"dust.extinction": {"a_v": "exponential 0.5"}, "stars.sfh": {"ism_metallicity_today": "gaussian 0.02 0.01"}}
BANDS = ("sdss2010-g", "sdss2010-r", "sdss2010-i", "wise2010-W1")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> dict[str, dict[str, str]]:
    """A mock spectrum and photometry of one galaxy of 1e10 Msun, and the options of their modules."""
    from orchestrator.modules.full_spectral_fit import FullSpectralFitModule
    from orchestrator.modules.sfh_photometry import SFHPhotometryModule

    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(11)
    common = {"SSPModel": "PopStar", "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89", "redshift": "0.05"}
    spectrum = {
        **common, "SSPModelArgs": "cha", "inputSpectrum": str(folder / "spectrum.dat"), "wlRange": "4500 5600",
        "velscale": "70", "fluxUnits": "1e-16 erg/s/cm2/Angstrom",
    }  # fmt: skip
    photometry = {
        **common, "SSPModelArgs": "cha", "inputPhotometry": str(folder / "bands.txt"), "fluxUnits": "uJy",
    }  # fmt: skip
    wavelength = np.exp(np.arange(np.log(4600.0), np.log(5950.0), 70 / 299792.458))
    np.savetxt(folder / "spectrum.dat", np.column_stack([wavelength, wavelength * 0 + 1, wavelength * 0 + 0.1]))
    (folder / "bands.txt").write_text("".join(f"{name} 100 5\n" for name in BANDS))
    truth = {key: np.array([value]) for key, value in TRUTH.items()}
    module = FullSpectralFitModule(spectrum)
    flux = 1e16 * module.model.model_spectrum(truth, np.array([1e10]))[0][0]
    covered = module.fit.covered_wavelength * 1.05
    noisy = flux * (1 + rng.normal(0, 0.02, len(flux)))
    np.savetxt(folder / "spectrum.dat", np.column_stack([covered, noisy, 0.02 * flux]))
    bands = 1e29 * SFHPhotometryModule(photometry).model.model_fluxes(truth, np.array([1e10]))[0]
    lines = [f"{n} {f * (1 + 0.03 * rng.normal()):.6f} {0.03 * f:.6f}\n" for n, f in zip(BANDS, bands, strict=True)]
    (folder / "bands.txt").write_text("".join(lines))
    return {"FullSpectralFit": spectrum, "SFHPhotometry": photometry}


def make_ini(data, names: str, extra: str, **sections) -> Inifile:
    content = {
        "runtime": {"sampler": "test", "verbosity": "muted"},
        "pipeline": {"modules": names, "likelihoods": names, "extra_output": extra},
        **sections,
    }
    for name in names.split():
        file = {"FullSpectralFit": "full_spectral_fit", "SFHPhotometry": "sfh_photometry"}[name]
        content[name] = {"file": str(module_file(file)), **data[name]}
    return Inifile(content)


@pytest.mark.library("PopStar")
@pytest.mark.parametrize("names", ["FullSpectralFit", "SFHPhotometry", "FullSpectralFit SFHPhotometry"])
def test_the_posterior_is_that_of_cosmosis(data, names):
    logs.set_verbosity("muted")
    extra = "extra/stellar_mass extra/surviving_stellar_mass dust.extinction/a_v"
    sections = VALUES if "Full" in names else ("stars.sfh", "dust.extinction")
    values = {section: VALUES[section] for section in sections}
    pipeline = LikelihoodPipeline(make_ini(data, names, extra), values=Inifile(values), priors=Inifile(PRIORS))
    posterior = BatchPosterior(pipeline)
    rng = np.random.default_rng(1)
    low, high = pipeline.min_vector(), pipeline.max_vector()
    points = low + (high - low) * rng.uniform(-0.01, 1.01, (60, len(low)))
    results = [pipeline.run_results(point) for point in points]
    batch = posterior(points)
    assert posterior.batched
    assert 30 < np.isfinite(batch.log_posterior).sum() < 60
    np.testing.assert_allclose(batch.log_posterior, [r.post for r in results], rtol=1e-9)
    np.testing.assert_allclose(batch.extra, [r.extra for r in results], rtol=1e-9)
    pipeline.cleanup()


@pytest.mark.library("PopStar")
def test_optimiser_and_ensemble_under_the_stock_command(data, tmp_path):
    """The command `cosmosis` with our plug-in: peak, covariance, converged chain, postprocess."""
    with (tmp_path / "values.ini").open("w") as stream:
        Inifile(VALUES).write(stream)
    ini = make_ini(
        data, "FullSpectralFit", "extra/stellar_mass",
        multistart={"output_covmat": "cov.txt"},
        ensemble={"walkers": "48", "nsteps": "50", "max_samples": "400", "autocorrelation_times": "20"},
        output={"filename": "fit.txt"},
    )  # fmt: skip
    ini.set("runtime", "sampler", "multistart ensemble")
    # CosmoSIS splits this option at blanks, which the folder of the package may hold; that of the test does not.
    plug_in = tmp_path / "plug_in.py"
    plug_in.write_text("from orchestrator.fit.samplers.plugin import *\n")
    ini.set("runtime", "import_samplers", str(plug_in))
    ini.set("pipeline", "values", "values.ini")
    with (tmp_path / "fit.ini").open("w") as stream:
        ini.write(stream)
    run = subprocess.run(
        [sys.executable, "-m", "cosmosis.main", "fit.ini"], cwd=tmp_path, capture_output=True, text=True, timeout=180
    )
    assert run.returncode == 0, run.stdout + run.stderr
    chain = read_chain(tmp_path / "fit.txt")
    state = convergence(chain)
    samples = chain.samples[state.burn_in * chain.n_walkers :]
    pulls = [
        (TRUTH[name] - column.mean()) / column.std()
        for name, column in zip(chain.parameters, samples.T, strict=True)
    ]
    assert np.abs(pulls).max() < 4.0, pulls
    # The covariance at the peak is that of the posterior, to the degree that it is Gaussian.
    assert chain.names[3:6] == ("kinematics--los_vel", "kinematics--los_sigma", "kinematics--los_h3")
    widths = np.sqrt(np.diag(np.loadtxt(tmp_path / "cov.txt")))[3:6]
    np.testing.assert_allclose(widths, samples[:, 3:6].std(axis=0), rtol=0.35)
    assert chain.extra["extra--stellar_mass"][-1] == pytest.approx(10.0, abs=0.3)
    best = read_chain(tmp_path / "fit.multistart.txt")
    assert best.log_posterior[-1] > chain.log_posterior.max() - 0.5
    post = subprocess.run(
        [sys.executable, "-m", "cosmosis.postprocess", "fit.txt", "--no-plots", "--burn", "0.3", "-o", "post"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert post.returncode == 0, post.stdout + post.stderr
    means = (tmp_path / "post" / "means.txt").read_text()
    assert "kinematics--los_vel" in means


def test_a_pool_of_processes_samples_the_same_gaussian(tmp_path):
    """The toy module has no batches: its points are shared among two forked processes."""
    script = f"""
import numpy as np
from cosmosis.main import run_cosmosis
from cosmosis.runtime.config import Inifile
from orchestrator.fit.fork_pool import ForkPool
import orchestrator.fit.samplers.plugin
np.random.seed(1)
toy = {str(Path(__file__).parent / "toy_modules" / "gaussian.py")!r}
ini = Inifile({{
    "runtime": {{"sampler": "ensemble", "verbosity": "muted"}},
    "output": {{"filename": "fit.txt"}},
    "pipeline": {{"modules": "Toy", "likelihoods": "gaussian", "extra_output": "extra/radius"}},
    "Toy": {{"file": toy, "parameters": "toy/a toy/b", "centre": "2.0 -3.0", "sigma": "0.5 0.1"}},
    "ensemble": {{"walkers": "16", "samples": "300", "nsteps": "100", "convergence": "F"}},
}})
values = Inifile({{"toy": {{"a": "-10 1 10", "b": "-10 -1 10"}}}})
run_cosmosis(ini, values=values, pool=ForkPool(2))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    chain = read_chain(tmp_path / "fit.txt")
    samples = chain.samples[convergence(chain).burn_in * 16 :]
    np.testing.assert_allclose(samples.mean(axis=0), [2.0, -3.0], atol=0.15)
    np.testing.assert_allclose(samples.std(axis=0), [0.5, 0.1], rtol=0.2)
    assert chain.complete
