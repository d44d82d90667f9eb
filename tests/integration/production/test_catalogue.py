"""A catalogue from a notebook: a table in, a table of results out, and only what is new is fitted."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units
from astropy.table import Table

from orchestrator import Production, fit_catalogue
from orchestrator.errors import ConfigError, ProductionError

STAGE = {
    "runtime": {"sampler": "maxlike emcee"},
    "emcee": {"walkers": 16, "samples": 60, "nsteps": 30},
    "pipeline": {"modules": "GaussianTarget"},
    "GaussianTarget": {"mean": ["{x}", "{y}"], "sigma": 0.5},
}


def galaxies(n):
    rng = np.random.default_rng(7)
    x, y = rng.uniform(-2.0, 2.0, (2, 6))
    table = Table({"name": [f"g{i}" for i in range(n)], "x": x[:n], "y": y[:n]})
    table["x"].unit = units.Mpc
    return table


def truth_of(name):
    return np.asarray(galaxies(3)["x" if name == "x_1" else "y"])


@pytest.mark.timeout(120)
def test_a_longer_table_fits_only_its_new_rows(tmp_path):
    output = tmp_path / "my fits"
    first = fit_catalogue({"where_is_it": STAGE}, galaxies(2), output=output, progress=False, workers=2)
    again = fit_catalogue({"where_is_it": STAGE}, galaxies(3), output=output, progress=False, workers=2)
    assert list(first["target"]) == ["g0", "g1"]
    assert list(again["target"]) == ["g0", "g1", "g2"]
    for name in ("x_1", "x_2"):
        column = next(column for column in again.colnames if column.endswith(name))
        truth = truth_of(name)
        assert np.all(np.abs(again[column] - truth) < 0.5)
        assert list(again[column][:2]) == list(first[column]), "what was done is not done again"
    with Production(tmp_path / "my fits.yaml").reading() as ledger:
        assert [len(ledger.attempts(f"g{i}")) for i in range(3)] == [1, 1, 1]


@pytest.mark.timeout(120)
def test_the_list_that_main_pipeline_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {**STAGE, "output": {"filename": "./fits/place"}}
    config["pipeline"] = {**STAGE["pipeline"], "values": "./never_written.ini"}
    config["GaussianTarget"] = {"mean": ["{x}", "{y}"], "sigma": np.float64(0.5)}
    results = fit_catalogue([config], galaxies(1), progress=True, executor="serial")
    assert results["place_verdict"][0]
    assert (tmp_path / "catalogue.yaml").is_file()
    assert not (tmp_path / "never_written.ini").exists()
    assert config["output"] == {"filename": "./fits/place"}, "the configuration is only read"


def test_faults_come_before_any_fit(tmp_path):
    wrong = {**STAGE, "GaussianTarget": {"mean": ["{x}", "{nowhere}"], "sigma": 0.5}}
    with pytest.raises(ConfigError, match="nowhere"):
        fit_catalogue({"place": wrong}, galaxies(2), output=tmp_path / "fits", progress=False)
    with pytest.raises(ProductionError, match="two configurations"):
        fit_catalogue([{"output": {"filename": "a"}}] * 2, galaxies(2), output=tmp_path / "fits")
