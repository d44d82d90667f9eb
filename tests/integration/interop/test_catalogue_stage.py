"""Our stages in ceci: fits of a catalogue, in one process and under MPI, killed, resumed, failing, and with RAIL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
import yaml
from ceci_toys import MARK, environment, processes_of, run_command, wait_until
from small_library import write_library

from orchestrator.fit.mpi import find_mpiexec
from orchestrator.interop.catalogue_run import CatalogueRun, Order
from orchestrator.interop.ranks import Ranks

pytestmark = pytest.mark.timeout(300)
STAGES = '''
import os, time
from orchestrator.interop.as_ceci import as_ceci

FIT = {
    "runtime": {"sampler": "maxlike emcee"},
    "emcee": {"walkers": 16, "samples": 30, "nsteps": 10},
    "pipeline": {"modules": "GaussianTarget"},
    "GaussianTarget": {"mean": ["{x}", "{y}"], "sigma": 0.5},
}
FitFirst = as_ceci(FIT, name="FitFirst", product="first", samples=True)
SECOND = {**FIT, "runtime": {"sampler": "maxlike"}, "handover": {"gaussian": "prior"}}
FitSecond = as_ceci(SECOND, name="FitSecond", product="second", upstream=[FitFirst])


def step(target, options, upstream):
    with open("executions.txt", "a") as stream:
        stream.write(f"{target['target']} {options['word']}\\n")
    time.sleep(float(os.environ.get("SLOW", "0")))
    if target["target"] in options["bad"]:
        raise ValueError("this target has failed")
    return {"doubled": 2 * float(target["x"]), "process": os.getpid()}


Step = as_ceci({"function": {"call": "our_stages:step"}, "options": {"bad": ["-"], "word": "one"}}, name="Step")
'''


WITH_RAIL = '''
MAGNITUDE = {"mean": ["{mag_i_lsst}", "{redshift}"], "sigma": 1.0}
RailFit = as_ceci({**FIT, "runtime": {"sampler": "maxlike"}, "GaussianTarget": MAGNITUDE}, name="RailFit",
                  targets="photometry", identifier="row")
'''
PHOTOMETRY = '''
from orchestrator.interop.as_ceci import as_ceci

Masses = as_ceci({
    "runtime": {"sampler": "maxlike emcee"},
    "emcee": {"walkers": 16, "samples": 40, "nsteps": 20},
    "pipeline": {"modules": "SFHPhotometry", "extra_output": "extra/stellar_mass"},
    "SFHPhotometry": {"inputPhotometry": "{photometry}", "SSPModel": "MIUSCAT", "SFHModel": "ExponentialSFH",
                      "ExtinctionLaw": "ccm89", "redshift": "{redshift}"},
    "values": {"stars.sfh": {"logtau": "-0.5 0.6 1.5", "ism_metallicity_today": "0.015", "alpha_powerlaw": "0.5"},
               "dust.extinction": {"a_v": "0.3"}},
}, name="Masses")
'''


@pytest.fixture
def folder(tmp_path):
    """A catalogue of eight targets and a module with stages, in a folder whose name has a blank."""
    folder = tmp_path / "a run"
    folder.mkdir()
    (folder / "our_stages.py").write_text(STAGES)
    rows = "".join(f"t{number},{number / 10},{-number / 5}\n" for number in range(8))
    (folder / "targets.csv").write_text(f"name,x,y\n{rows}")
    return folder


def write_pipeline(folder, stages, options, **entries):
    """Write a pipeline file of ceci; paths without a blank are relative, for ceci's sake."""
    content = {
        "modules": "our_stages",
        "python_paths": ["."],
        "launcher": {"name": "mini", "interval": 0.2},
        "site": {"name": "local", "max_threads": 2, "mpi_command": "mpiexec -n"},
        "stages": stages,
        "inputs": {"targets": "targets.csv"},
        "config": "config.yaml",
        "output_dir": "out",
        "log_dir": "logs",
        "resume": True,
        **entries,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(options))
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def stock_ceci(file, *words, **variables):
    """Run the command of ceci; return its exit code and what it prints."""
    command = [str(Path(sys.executable).parent / "ceci"), file.name, *words]
    done = subprocess.run(
        command, env={**environment(file), **variables}, cwd=file.parent, capture_output=True, text=True,
        timeout=200, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def stage_command(name, *words, n_processes=1):
    """Return the command of a stage, as ceci makes it."""
    command = [sys.executable, "-m", "orchestrator.interop.ceci_stages", f"our_stages.{name}", *words]
    return command if n_processes == 1 else [str(find_mpiexec()), "-n", str(n_processes), *command, "--mpi"]


def start(folder, command, **variables):
    """Start a command of a stage in a folder."""
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, env={**os.environ, MARK: str(folder), **variables}, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip


def table(folder, tag):
    """Columns of a product."""
    with h5py.File(folder / "out" / f"{tag}.hdf5") as file:
        return {name: entry.asstr()[:] if entry.dtype.kind == "O" else entry[:] for name, entry in file.items()}


def executions(folder):
    """Targets in the order in which they were carried out."""
    path = folder / "executions.txt"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def test_fits_of_a_catalogue_under_ceci_with_mpi_and_a_handover(folder):
    stages = [{"name": "FitSecond"}, {"name": "FitFirst", "nprocess": 2}]
    options = {"FitFirst": {"GaussianTarget.sigma": 0.25, "isolation": "none"}, "FitSecond": {"isolation": "none"}}
    code, text = stock_ceci(write_pipeline(folder, stages, options))
    assert code == 0, text + (folder / "logs" / "FitFirst.out").read_text()
    first, second = table(folder, "first"), table(folder, "second")
    assert list(first["name"]) == [f"t{number}" for number in range(8)]
    assert set(first["state"]) == {"done"}
    np.testing.assert_allclose(first["x_1_mean"], np.arange(8) / 10, atol=0.25)
    np.testing.assert_allclose(first["x_1_std"], 0.25, rtol=0.4)
    # The prior is the first posterior: the best fit of the second is the mean of both, weighted.
    weight = (1 / first["x_2_std"]) ** 2
    expected = (first["x_2_mean"] * weight - np.arange(8) / 5 / 0.25) / (weight + 4)
    np.testing.assert_allclose(second["x_2_best_fit"], expected, atol=0.05)
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "first.hdf5", "first_samples.journal", "second.hdf5"
    ]  # fmt: skip


def test_killed_in_the_middle_and_resumed(folder):
    (folder / "out").mkdir()
    words = ("--targets=targets.csv", "--step=out/step.hdf5", "--isolation=none")
    command = stage_command("Step", *words, n_processes=2)
    process = start(folder, command, SLOW="0.7")
    wait_until(lambda: len(executions(folder)) >= 4)
    for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        one.kill()
    process.wait()
    wait_until(lambda: not processes_of(folder / "-"), 20)
    before = len(executions(folder))
    assert not (folder / "out" / "step.hdf5").exists()
    done = subprocess.run(stage_command("Step", *words), cwd=folder, capture_output=True, text=True, check=True)
    again = len(executions(folder)) - before
    assert 0 < again <= 8 - before + 2, "only what the two ranks were at is done twice"
    assert f"8 targets: {again} tasks done now, {8 - again} before, 0 failed" in done.stdout
    found = table(folder, "step")
    np.testing.assert_allclose(found["doubled"], np.arange(8) / 5)
    assert len(set(found["process"])) > 1
    assert not list((folder / "out").glob("inprogress*"))


def test_options_decide_what_is_kept_of_an_unfinished_run(folder):
    (folder / "out").mkdir()
    words = ("--targets=targets.csv", "--step=out/step.hdf5", "--isolation=none", "--max_failed=0.1")
    (folder / "config.yaml").write_text(yaml.safe_dump({"Step": {"options.bad": ["t1", "t5"]}}))
    command = stage_command("Step", *words, "--config=config.yaml")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "2 of 8 targets have failed, more than max_failed = 0.1 allows; the first: ValueError" in done.stderr
    assert "Traceback" not in done.stderr.partition("error: ")[2]
    done = subprocess.run([*command, "--max_failed=0.5"], cwd=folder, capture_output=True, text=True, check=True)
    assert "0 tasks done now, 6 before, 2 failed" in done.stdout, "those that have failed are tried again, no other"
    found = table(folder, "step")
    assert list(found["name"][found["state"] == "failed"]) == ["t1", "t5"]
    assert set(found["error"]) == {"", "ValueError: this target has failed"}
    assert np.isnan(found["doubled"][[1, 5]]).all()


def test_a_rank_that_fails_ends_the_others(folder):
    (folder / "out").mkdir()
    (folder / "targets.csv").write_text("other,x\na,1\n")
    command = stage_command("Step", "--targets=targets.csv", "--step=out/step.hdf5", n_processes=2)
    process = start(folder, command)
    assert process.wait(60) != 0
    assert "there is no column 'name'" in (folder / "log.txt").read_text()
    wait_until(lambda: not processes_of(folder / "-"), 20)


def test_a_stage_that_kills_its_process_leaves_the_other_stages_alone(tmp_path):
    """Stages that do not need it are done, for targets too that it has failed for."""
    (tmp_path / "t.csv").write_text("name,deed\ng0,exit\ng1,nothing\n")
    call = {name: {"stage": {"needs": []}, "function": {"call": f"work_orders:{function}"}}
            for name, function in (("first", "misbehave"), ("second", "worked"))}  # fmt: skip
    content = {"targets": {"table": str(tmp_path / "t.csv"), "identifier": "name"}, "pipeline": call}
    run = CatalogueRun(Order("Both", {**content, "samples": "none"}, tmp_path / "parts", tmp_path), Ranks())
    run.run()
    assert {place: record.error_class or record.outcome for place, record in run.results().items()} == {
        (0, "first"): "crash", (0, "second"): "done", (1, "first"): "done", (1, "second"): "done",
    }  # fmt: skip
    assert (run.n_done, run.n_failed) == (3, 1)


@pytest.mark.parametrize("engine", ["orchestrator", "ceci"])
def test_together_with_stages_of_rail(folder, engine):
    magnitudes = np.random.default_rng(2).uniform(20, 25, 5)
    with h5py.File(folder / "photometry.hdf5", "w") as file:
        for band in "ugrizy":
            file[f"photometry/mag_{band}_lsst"] = magnitudes
        file["photometry/redshift"] = magnitudes / 20
    (folder / "our_stages.py").write_text(STAGES + WITH_RAIL)
    aliases = {"input": "photometry", "model": "pz_model"}
    file = write_pipeline(
        folder,
        [
            {"name": "RailFit", "nprocess": 2 if engine == "orchestrator" else 1},
            {"name": "RandomGaussEstimator", "aliases": {**aliases, "output": "pz"}},
            {"name": "RandomGaussInformer", "aliases": aliases},
        ],
        {
            "global": {"hdf5_groupname": "photometry"},
            "RailFit": {"group": "photometry", "isolation": "none"},
            "RandomGaussEstimator": {"rand_width": 0.03},
        },
        modules="our_stages rail.estimation.algos.random_gauss",
        inputs={"photometry": "photometry.hdf5"},
    )
    if engine == "ceci":
        code, text = stock_ceci(file)
        assert code == 0, text
    else:
        names = ("RailFit", "RandomGaussInformer", "RandomGaussEstimator")
        assert run_command(file) == (0, dict.fromkeys(names, "done"))
        states = {"RailFit": "current", "RandomGaussInformer": "current", "RandomGaussEstimator": "done"}
        assert run_command(file, "RandomGaussEstimator.rand_width=0.05") == (0, states)
    np.testing.assert_allclose(table(folder, "railfit")["x_1_best_fit"], magnitudes, atol=0.05)
    with h5py.File(folder / "out" / "pz.hdf5") as posterior:
        assert posterior["data/loc"].shape == (5, 1)
        width = 0.03 if engine == "ceci" else 0.05
        np.testing.assert_allclose(posterior["data/scale"][:], width * (1 + posterior["data/loc"][:]))


def test_masses_from_photometry(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "libraries").mkdir()
    write_library(folder / "libraries" / "toy.npz")
    for band, centre in {"g": 4500.0, "v": 5000.0, "r": 5400.0}.items():
        np.savetxt(f"{band}.txt", [[centre - 200, 0.0], [centre, 1.0], [centre + 200, 0.0]])
    rows = ["name,photometry,redshift"]
    for number, flux in enumerate((1.0, 10.0, 100.0)):
        bands = (f"./{band}.txt {flux * slope} {flux / 50}\n" for band, slope in (("g", 0.8), ("v", 1), ("r", 1.1)))
        Path(f"bands {number}.txt").write_text("".join(bands))
        rows.append(f"galaxy {number},bands {number}.txt,0.02")
    rows.append("without data,nothing.txt,0.02")
    (folder / "galaxies.csv").write_text("\n".join(rows) + "\n")
    (folder / "our_stages.py").write_text(PHOTOMETRY)
    (folder / "out").mkdir()
    library = "--SFHPhotometry.SSPModel=libraries/toy.npz"
    command = stage_command("Masses", "--targets=galaxies.csv", "--masses=out/masses.hdf5", library)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = table(folder, "masses")
    assert list(found["state"]) == ["done", "done", "done", "failed"]
    assert found["error_class"][3] == "bad_input"
    assert "nothing.txt" in found["error"][3]
    np.testing.assert_allclose(np.diff(found["stellar_mass"][:3]), 1.0, atol=0.05)
    with h5py.File(folder / "out" / "masses.hdf5") as file:
        assert "solMass" in file["stellar_mass"].attrs["unit"]
