"""Quick stages of the real modules, and what a refusal must look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator import MainPipeline
from orchestrator.errors import ConfigError

BROKEN_MODULE = """
def setup(options):
    return options["Mine", "when"] if options.has_value("Mine", "when") else options["module_options", "when"]

def execute(block, when):
    if when == "execute":
        raise RuntimeError("the lamp went out")
    block["likelihoods", "mine_like"] = -0.5 * block["mine", "x"] ** 2
    return 0
"""


def write_spectrum(path, *, flux=None, error=None):
    """Write 600 pixels of a red continuum with a line; arrays or numbers may replace flux and error."""
    rng = np.random.default_rng(4)
    wavelength = np.linspace(4100.0, 5300.0, 600)
    line = 1.0 - 0.3 * np.exp(-0.5 * ((wavelength - 4861.0) / 5.0) ** 2)
    shape = 0.5 * (wavelength / 4700.0) ** 0.3 * line
    shape = shape + 0.02 * rng.standard_normal(600)
    flux = shape if flux is None else flux(shape)
    error = np.full(600, 0.02) if error is None else error
    np.savetxt(path, np.column_stack([wavelength, flux, error]))
    return path


def full_fit(output, library, sampler="maxlike", **options):
    settings = {"maxlike": {"maxiter": 30}, "emcee": {"walkers": 16, "samples": 4, "nsteps": 2}}
    return {
        "runtime": {"sampler": sampler},
        **{word: settings[word] for word in sampler.split() if word in settings},
        "output": {"filename": str(output)},
        "pipeline": {"modules": "FullSpectralFit", "values": f"{output}_start.ini"},
        "FullSpectralFit": {
            "inputSpectrum": "galaxy.dat",
            "SSPModel": str(library),
            "SFHModel": "ExponentialSFH",
            "fluxUnits": "1e-16 erg / (s cm2 Angstrom)",
            "redshift": 0.01,
            "velscale": 80.0,
            **options,
        },
    }


def own_module(folder, output, when):
    """A stage with a user's own module, which raises in 'setup' or 'execute'."""
    path = folder / "mine.py"
    path.write_text(BROKEN_MODULE)
    return {
        "runtime": {"sampler": "maxlike"},
        "maxlike": {"maxiter": 20},
        "output": {"filename": output},
        "pipeline": {"modules": "Mine", "likelihoods": "mine"},
        "Mine": {"file": str(path), "when": when},
        "values": {"mine": {"x": "-1 0.3 1"}},
    }


def refusal(configs, folder=None, **keywords):
    """Start a pipeline that must be refused; return the message after checking that nothing ran."""
    folder = Path.cwd() if folder is None else folder
    before = {path for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError) as caught:
        MainPipeline(configs if isinstance(configs, list) else [configs], **keywords).run()
    new = {path for path in folder.rglob("*") if path.is_file()} - before
    assert not new, "a run that is refused writes nothing"
    message = str(caught.value)
    assert "Traceback" not in message
    return message


def one_fault(configs, **keywords):
    message = refusal(configs, **keywords)
    assert message.startswith("stage 1: "), message
    assert "faults in the configuration" not in message, message
    return message
