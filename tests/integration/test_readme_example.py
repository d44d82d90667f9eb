"""The example of the README, run as it stands on a mock galaxy of known parameters."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from orchestrator.modules.full_spectral_fit import FullSpectralFitModule

from orchestrator import Reader, load_run
from orchestrator.fit.chain import read_chain

pytestmark = pytest.mark.library("PopStar")

SIGNAL_TO_NOISE = 30.0
NAME = "full_fit_example"
SHORTER = {'"samples": 100, "nsteps": 100': '"samples": 60, "nsteps": 60'}
TRUTH = {
    ("stars.sfh", "logtau"): 0.7,
    ("stars.sfh", "ism_metallicity_today"): 0.013,
    ("stars.sfh", "alpha_powerlaw"): 0.6,
    ("kinematics", "los_vel"): 40.0,
    ("kinematics", "los_sigma"): 180.0,
    ("kinematics", "los_h3"): 0.0,
    ("kinematics", "los_h4"): 0.0,
    ("dust.extinction", "a_v"): 0.3,
}
METAL_RICH = {
    **TRUTH,
    ("stars.sfh", "logtau"): 0.395,
    ("stars.sfh", "ism_metallicity_today"): 0.027,
    ("kinematics", "los_vel"): 84.0,
    ("dust.extinction", "a_v"): 0.24,
}
"""Further from the default start values than `TRUTH`."""


@pytest.fixture(scope="module")
def readme(project_root):
    return (project_root / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def block(readme):
    """The one block of Python in the README, with fewer samples."""
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    for long, short in SHORTER.items():
        assert code.count(long) == 1
        code = code.replace(long, short)
    return code


@pytest.fixture(scope="module")
def options(block):
    """The module's section in the example."""
    space = {}
    exec(block[: block.index("pipeline = MainPipeline")], space)
    return space["configuration"]["FullSpectralFit"]


def write_mock(folder, options, truth):
    """Write 3400-9200 A of the module's own model at `truth`, mean 10 in the example's unit, with noise."""
    rng = np.random.default_rng(20)
    wavelength = np.arange(3400.0, 9200.0, 2.0)
    flat = folder / "flat.dat"
    np.savetxt(flat, np.column_stack([wavelength, np.ones_like(wavelength), np.full_like(wavelength, 0.03)]))
    without_range = {key: value for key, value in options.items() if key not in ("wlRange", "file")}
    module = FullSpectralFitModule({**without_range, "inputSpectrum": str(flat)})
    flux = module.make_observable(truth)
    flux *= 10.0 / flux.mean()
    error = flux / SIGNAL_TO_NOISE
    noisy = flux + error * rng.standard_normal(len(flux))
    np.savetxt(folder / "my_spectrum.dat", np.column_stack([module.fit.covered_wavelength, noisy, error]))
    flat.unlink()


def run(command, folder, seconds=120):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


def run_example(folder, block):
    script = folder / "example.py"
    script.write_text(f"{block}\nraise SystemExit(status)\n", encoding="utf-8")
    done = run([sys.executable, script.name], folder)
    script.unlink()
    return done


@pytest.fixture(scope="module")
def finished(block, options, tmp_path_factory):
    """The folder in which the example has run, and what it said."""
    folder = tmp_path_factory.mktemp("readme")
    write_mock(folder, options, TRUTH)
    return folder, run_example(folder, block)


def log_likelihood_of(folder, truth):
    """The log-likelihood of the true parameters under the module of the run."""
    module = Reader.from_results_file(folder / f"{NAME}.txt").get_module("FullSpectralFit")
    return module.log_likelihood_batch({key: np.array([value]) for key, value in truth.items()})[0]


def test_it_ends_well_and_says_what_it_found(finished):
    folder, done = finished
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "stars.sfh--logtau" in done.stderr
    assert load_run(folder / f"{NAME}.txt").run.complete


def test_files_are_those_of_the_table(finished, readme):
    folder, _ = finished
    table = readme[readme.index("| file | content |") :].partition("\n\n")[0]
    named = set()
    for row in table.splitlines()[2:]:
        first, second = row.strip("|").split("|")
        names = re.findall(r"`([^`]+)`", first)
        full = [name if name.startswith(NAME) else NAME + name for name in names]
        named.update(full)
        for name in full:
            assert (folder / name).is_file() or " if " in first + second, name
    others = {"values.ini", "my_spectrum.dat"}
    found = {path.name for path in folder.iterdir() if path.is_file()}
    assert found - others - named == set(), "files that the README does not explain"


def test_parameters_agree_with_the_truth(finished):
    folder, _ = finished
    result = load_run(folder / f"{NAME}.txt")
    for (section, name), truth in TRUTH.items():
        posterior = result.summary[f"{section}--{name}"]
        assert posterior.std > 0
        assert abs(posterior.mean - truth) < 5 * posterior.std, (name, posterior.mean, posterior.std)
    sharp = result.summary["stars.sfh--logtau"]
    assert sharp.std < 0.1 * (sharp.upper_limit - sharp.lower_limit)


def test_the_best_fit_is_no_worse_than_the_truth(finished):
    folder, _ = finished
    best = load_run(folder / f"{NAME}.txt").best_fit.log_likelihood
    assert best > log_likelihood_of(folder, TRUTH) - 5.0


def test_noise_is_one_sigma_at_the_best_fit(finished):
    folder, _ = finished
    reader = Reader.from_results_file(folder / f"{NAME}.txt")
    module = reader.get_module("FullSpectralFit")
    pixels = module.model.pixels
    model = module.make_observable(reader.get_maxlike_solution(as_datablock=True))
    residual = pixels.flux - model[pixels.good_pixels[pixels.covered]]
    chi2 = np.sum(residual**2 * pixels.inverse_variance)
    assert chi2 / len(residual) == pytest.approx(1.0, abs=5 * np.sqrt(2 / len(residual)))


def test_postprocess_reads_the_chain(finished, tmp_path):
    folder, _ = finished
    # pip's own scripts do not work in an environment whose path holds a blank.
    command = [sys.executable, "-m", "cosmosis.postprocess", "--no-plots", "-o", str(tmp_path), f"{NAME}.txt"]
    done = run(command, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    means = (tmp_path / "means.txt").read_text()
    assert "stars.sfh--logtau" in means


def test_the_stock_command_repeats_the_run(finished):
    folder, _ = finished
    chain = read_chain(folder / f"{NAME}.txt")
    done = run([sys.executable, "-m", "cosmosis.main", f"{NAME}.ini"], folder)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    again = read_chain(folder / f"{NAME}.txt")
    assert again.complete
    assert again.names == chain.names
    assert again.n_rows == chain.n_rows
    assert again.log_posterior.max() == pytest.approx(chain.log_posterior.max(), abs=15.0)


def test_the_maximum_is_found_from_the_default_start(block, options, tmp_path):
    write_mock(tmp_path, options, METAL_RICH)
    quick = block.replace('"samples": 60, "nsteps": 60', '"samples": 2, "nsteps": 2')
    done = run_example(tmp_path, quick)
    assert done.returncode == 0, done.stderr
    best = load_run(tmp_path / f"{NAME}.txt").best_fit
    assert best.log_likelihood > log_likelihood_of(tmp_path, METAL_RICH) - 5.0, best.values
