"""CosmoSIS pipelines around functions, and runs of one sampler on them, all within this process."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cosmosis.main import run_cosmosis
from cosmosis.output.text_output import TextColumnOutput
from cosmosis.runtime import logs
from cosmosis.runtime.config import Inifile
from cosmosis.runtime.module import FunctionModule
from cosmosis.runtime.pipeline import LikelihoodPipeline

from orchestrator.fit.chain import Chain, read_chain
from orchestrator.fit.samplers import plugin, stock_names
from orchestrator.forward_model.evaluation import Evaluation

# CosmoSIS's samplers may be restored by a test; ours have their own names in any case.
assert plugin.EnsembleSampler.name == "ensemble"


@pytest.fixture(autouse=True)
def _stock_samplers_and_quiet():
    logs.set_verbosity("muted")
    stock_names.restore_stock_samplers()
    yield
    stock_names.restore_stock_samplers()


class FunctionLikelihood:
    """A module around a vectorised function of the parameters in the section ``toy``."""

    def __init__(self, function: Callable, names: list[str], fault: float = 0.0) -> None:
        self.function, self.names, self.fault = function, names, fault
        self.like_name = "toy_like"
        self.batches: list[int] = []

    def evaluate_batch(self, parameters, before):
        assert before is None
        points = np.column_stack([parameters["toy", name] for name in self.names])
        self.batches.append(len(points))
        return Evaluation(self.function(points) + self.fault, extra={"first_squared": points[:, 0] ** 2})

    def log_likelihood_batch(self, parameters):
        return self.evaluate_batch(parameters, None).log_likelihood

    def execute(self, block):
        points = np.array([[block["toy", name] for name in self.names]])
        block["likelihoods", "toy_like"] = float(self.function(points)[0])
        block["extra", "first_squared"] = float(points[0, 0] ** 2)
        return 0


class OneByOne(FunctionLikelihood):
    """The same without batches."""

    log_likelihood_batch = None
    evaluate_batch = None


def toy_pipeline(
    function, values: dict[str, str], priors: dict[str, str] | None = None, *, batched=True, fault=0.0, sections=None
):
    """Return a pipeline, its values as an Inifile, and the module."""
    kind = FunctionLikelihood if batched else OneByOne
    names = list(values)
    module = kind(function, names, fault)
    step = FunctionModule("toy", lambda _: module, lambda block, data: data.execute(block))
    pipeline_section = {"modules": "toy", "likelihoods": "toy", "extra_output": "extra/first_squared"}
    ini = Inifile({"runtime": {"sampler": "test"}, "pipeline": pipeline_section, **(sections or {})})
    values_ini = Inifile({"toy": values})
    pipeline = LikelihoodPipeline(
        ini, values=values_ini, priors=Inifile({"toy": priors}) if priors else [], modules=[step]
    )
    return pipeline, values_ini, module


def run_sampler(path: Path, pipeline, values, sampler: str, *, seed=1, runtime=None, **options) -> Chain:
    """Run one sampler in this process and read its results file."""
    importlib.import_module("orchestrator.fit.samplers.plugin")
    np.random.seed(seed)  # noqa: NPY002 - what CosmoSIS's samplers draw from
    ini = {
        "runtime": {"sampler": sampler, "verbosity": "muted", **(runtime or {})},
        "pipeline": {"modules": "toy", "likelihoods": "toy", "extra_output": "extra/first_squared"},
        sampler: {key: str(value) for key, value in options.items()},
    }
    output = TextColumnOutput(str(path), resume=(runtime or {}).get("resume") == "T")
    try:
        run_cosmosis(Inifile(ini), pipeline=pipeline, values=values, priors=pipeline.priors_files, output=output)
    finally:
        output._file.close()  # CosmoSIS leaves it open when a sampler raises
    return read_chain(path)


@pytest.fixture
def make_pipeline():
    return toy_pipeline


@pytest.fixture
def sample():
    return run_sampler


def gaussian(mean, covariance):
    """Vectorised log-density of a Gaussian, normalised."""
    precision = np.linalg.inv(covariance)
    norm = -0.5 * np.linalg.slogdet(2 * np.pi * np.asarray(covariance))[1]

    def log_density(points):
        offset = points - mean
        return norm - 0.5 * np.einsum("ij,jk,ik->i", offset, precision, offset)

    return log_density


@pytest.fixture
def gaussian_density():
    return gaussian


def eight_dimensional():
    """Mean and covariance of a correlated Gaussian: widths from 0.02 to 1, correlations to 0.95."""
    rng = np.random.default_rng(8)
    root = rng.normal(size=(8, 8))
    correlation = root @ root.T + 0.5 * np.eye(8)
    scale = np.sqrt(np.diag(correlation))
    widths = np.geomspace(0.02, 1.0, 8)
    covariance = correlation / np.outer(scale, scale) * np.outer(widths, widths)
    return rng.uniform(-1, 1, 8), covariance


@pytest.fixture
def eight():
    """Density, mean, covariance and values of an 8-D Gaussian far within its bounds."""
    mean, covariance = eight_dimensional()
    values = {f"p{i}": f"-10 {0.3 * (-1) ** i} 10" for i in range(8)}
    return gaussian(mean, covariance), mean, covariance, values
