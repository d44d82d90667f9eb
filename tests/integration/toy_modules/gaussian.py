"""A CosmoSIS module with a Gaussian likelihood: mean and covariance of its posterior are known."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

MODULE_SECTION = "module_options"


class GaussianModule:
    """Independent Gaussian in each parameter that the option ``parameters`` names."""

    def __init__(self, options, *, alias=None):
        if hasattr(options, "keys") and not isinstance(options, dict):
            options = {name: options[MODULE_SECTION, name] for _, name in options.keys(MODULE_SECTION)}
        self.alias = alias
        self.parameters = [tuple(word.split("/")) for word in options["parameters"].split()]
        self.centre = np.atleast_1d(np.asarray(options["centre"], dtype=float))
        self.sigma = np.atleast_1d(np.asarray(options["sigma"], dtype=float))
        self.like_name = options.get("like_name", "gaussian_like")
        self.delay = float(options.get("delay", 0.0))
        self.trap = str(options.get("trap", "no"))
        self.offset = float(options.get("offset", 0.0))
        self.calls = 0
        if self.trap == "setup" or (self.trap == "setup_rank_1" and _rank() == 1):
            msg = "the toy cannot be set up"
            raise ValueError(msg)

    def residual(self, block):
        values = np.array([block[section, name] for section, name in self.parameters])
        return (values - self.centre - self.offset) / self.sigma

    def execute(self, block):
        self.calls += 1
        if self.delay:
            time.sleep(self.delay)
        residual = self.residual(block)
        self._spring(residual)
        norm = -np.sum(np.log(self.sigma)) - 0.5 * len(residual) * np.log(2 * np.pi)
        value = np.nan if self.trap == "nan" else float(-0.5 * residual @ residual + norm)
        block["likelihoods", self.like_name] = value
        block["extra", "radius"] = float(np.sqrt(residual @ residual))
        return 1 if self.trap == "status" else 0

    def _spring(self, residual):
        if self.trap == "execute" or (self.trap == "execute_rank_1" and _rank() == 1 and self.calls > 3):
            msg = "the toy fails on purpose"
            raise RuntimeError(msg)
        if self.trap == "after_start" and np.any(residual != 0):
            msg = "the toy fails away from its start"
            raise RuntimeError(msg)
        if self.trap == "exit_rank_1" and _rank() == 1 and self.calls > 3:
            raise SystemExit(7)
        if self.trap == "die" and self.calls > 5:
            os._exit(9)

    def flags(self, block):
        return ("the toy is off centre",) if np.max(np.abs(self.residual(block))) > 3 else ()

    def plot_solution(self, block, figname=None):
        if self.trap == "plot":
            msg = "no ink"
            raise RuntimeError(msg)
        Path(figname).write_text(f"{self.alias} {self.residual(block).tolist()}")


def _rank():
    try:
        from mpi4py import MPI
    except ImportError:
        return 0
    return MPI.COMM_WORLD.rank


def setup(options):
    return GaussianModule(options)


def execute(block, module):
    return module.execute(block)


def cleanup(module):
    pass


module = GaussianModule
