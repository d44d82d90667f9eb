"""A stored fit made of numbers, as a fit would leave it."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from orchestrator.fit.derived_parameters import Bands, DerivedParameters, DerivedSummary, FormationHistoryBands
from orchestrator.production.work.stored_fit import StoredFit, history_entries, without_nan

HEADER = """#sampler=emcee
#n_varied=2
#walkers=4
#samples=5
## START_OF_PARAMS_INI
## [runtime]
## sampler = emcee
## [pipeline]
## modules = Toy
## [Toy]
## file = /nowhere/toy.py
## END_OF_PARAMS_INI
## START_OF_VALUES_INI
## [toy]
## a = -10.0 1.0 10.0
## b = -10.0 -1.0 10.0
## END_OF_VALUES_INI"""


def bands(rng, n=30):
    return Bands(*rng.random((6, n)).astype(np.float32).astype(float))


def a_stored_fit(seed=1, stage="population", n_rows=20, n_pixels=400):
    rng = np.random.default_rng(seed)
    chain = rng.standard_normal((n_rows, 5)) * [1, 1e-8, 1e12, 3, 3]
    chain[3, 4] = -np.inf
    edges = np.linspace(0, 13.7, 31)
    meta = {"results": f"{stage}.txt", "n_rows": n_rows, "best_log_posterior": float(chain[:, 4].max())}
    history = FormationHistoryBands(
        edges[1:], edges[:-1], bands(rng), bands(rng), bands(rng), "Msun / yr", n_rows, meta
    )
    rows = (
        DerivedSummary("stellar_mass", "log10(Msun)", "a mass", 10.25, *rng.random(7)),
        DerivedSummary("t50", "Gyr", "a time", 3.5),
    )
    derived = DerivedParameters(rows, {"t90": "because"}, n_rows, meta)
    wavelength = np.linspace(4000, 5000, n_pixels, dtype=np.float32)
    model = {
        "wavelength": wavelength,
        "flux": rng.random(n_pixels).astype(np.float32) * np.float32(1e-16),
        "fitted": rng.random(n_pixels) > 0.1,
    }
    return StoredFit(
        stage=stage,
        columns={"b": 1.5, "nothing": None, "verdict": "ok"},
        chain_columns=("toy--a", "toy--b", "extra--MASS", "prior", "post"),
        chain=chain,
        header=HEADER,
        footer="#complete=1\n#flag_1=[Toy] unresolved: it is",
        documents={"config": {"stage": stage, "seed": seed}, "best_fit": {"kind": "max_posterior"}},
        models={"Toy": model, "SFHPhotometry_b": {"band": np.array([b"u", b"gr"]), "model": np.array([1.0, 2.0])}},
        derived=without_nan(asdict(derived)),
        history=history_entries(history),
    )


def assert_same_fit(found, expected):
    assert (found.stage, found.columns, found.documents) == (expected.stage, expected.columns, expected.documents)
    assert found.lines.to_text() == expected.lines.to_text()
    assert found.derived == expected.derived
    assert set(found.models) == set(expected.models)
    for module, arrays in expected.models.items():
        assert set(found.models[module]) == set(arrays)
        for name, array in arrays.items():
            assert found.models[module][name].dtype == array.dtype
            np.testing.assert_array_equal(found.models[module][name], array)
    if expected.history is not None:
        for name in ("edges", "bands"):
            np.testing.assert_array_equal(found.history[name], expected.history[name])
