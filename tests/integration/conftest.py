"""Configurations of toy stages."""

from __future__ import annotations

from pathlib import Path

import pytest

TOY = Path(__file__).parent / "toy_modules" / "gaussian.py"
RANGES = {"toy": {"a": "-10 1 10", "b": "-10 -1 10"}}


def toy_config(output, sampler="emcee", *, name="Toy", values=None, runtime=None, sections=None, **options):
    """Return the configuration of one stage with the toy module."""
    settings = {
        "maxlike": {"tolerance": 1e-4},
        "emcee": {"walkers": 16, "samples": 40, "nsteps": 20},
    }
    module = {"file": str(TOY), "parameters": "toy/a toy/b", "centre": [2.0, -3.0], "sigma": [0.5, 0.1]}
    config = {
        "runtime": {"sampler": sampler, **(runtime or {})},
        "output": {"filename": str(output)},
        "pipeline": {"modules": name, "likelihoods": "gaussian", "extra_output": "extra/radius"},
        name: {**module, **options},
        "values": RANGES if values is None else values,
    }
    config.update({word: dict(settings[word]) for word in sampler.split() if word in settings})
    for section, entries in (sections or {}).items():
        config[section] = {**config.get(section, {}), **entries}
    return config


@pytest.fixture
def make_config():
    """The function `toy_config`."""
    return toy_config
