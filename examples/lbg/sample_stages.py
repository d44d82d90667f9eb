"""Three stages of ceci: two written for it, and a fit of ours between them."""

import csv

import h5py
import numpy as np
import yaml
from ceci import PipelineStage
from ceci.file_types import HDFFile, TextFile, YamlFile

from orchestrator.interop.as_ceci import as_ceci


class CsvTable(TextFile):
    """A table with one row per galaxy."""

    suffix = "csv"


class SelectBright(PipelineStage):
    """Keep the galaxies that are bright enough."""

    name = "SelectBright"
    inputs = [("catalogue", CsvTable)]
    outputs = [("bright", CsvTable)]
    config_options = {"faintest": float}

    def run(self):
        with open(self.get_input("catalogue"), newline="") as stream:
            rows = list(csv.DictReader(stream))
        kept = [row for row in rows if float(row["magnitude"]) <= self.config["faintest"]]
        with open(self.get_output("bright"), "w", newline="") as stream:
            table = csv.DictWriter(stream, rows[0])
            table.writeheader()
            table.writerows(kept)


FitPositions = as_ceci(
    {
        "runtime": {"sampler": "maxlike emcee"},
        "emcee": {"walkers": 16, "samples": 40, "nsteps": 20},
        "pipeline": {"modules": "GaussianTarget"},
        "GaussianTarget": {"mean": ["{x}", "{y}"], "sigma": 0.5},
        "stage": {"time_limit": 60},
    },
    name="FitPositions",
    product="positions",
)


class Summary(PipelineStage):
    """Mean and width of the posteriors of all galaxies that were fitted."""

    name = "Summary"
    inputs = [("positions", HDFFile)]
    outputs = [("summary", YamlFile)]
    config_options = {}

    def run(self):
        with h5py.File(self.get_input("positions")) as table:
            done = table["state"].asstr()[:] == "done"
            summary = {"n_fitted": int(done.sum()), "n_failed": int((~done).sum())}
            for name in ("x_1_mean", "x_1_std"):
                summary[name] = round(float(np.mean(table[name][done])), 3)
        with open(self.get_output("summary"), "w") as stream:
            yaml.safe_dump(summary, stream)


if __name__ == "__main__":
    PipelineStage.main()
