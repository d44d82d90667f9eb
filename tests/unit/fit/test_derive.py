"""Rows that represent a posterior, and the tables of derived quantities on disk."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from orchestrator.errors import ChainError
from orchestrator.fit.chain import read_chain
from orchestrator.fit.derive import posterior_rows
from orchestrator.fit.derived_parameters import (
    Bands,
    DerivedParameters,
    DerivedSummary,
    FormationHistoryBands,
    tables_match,
)
from orchestrator.fit.moments import used_rows
from orchestrator.fit.summary import summarize_results


def chain_of(write_chain, n_rows, **keywords):
    samples = np.random.default_rng(5).normal(size=(n_rows, 2))
    chain = read_chain(write_chain(samples, -0.5 * (samples**2).sum(axis=1), **keywords))
    return chain, summarize_results(chain)


def test_few_rows_are_all_taken(write_chain):
    chain, summary = chain_of(write_chain, 300)
    rows, weights = posterior_rows(chain, summary)
    np.testing.assert_array_equal(rows, np.flatnonzero(used_rows(chain, summary.convergence)))
    np.testing.assert_allclose(weights, 1 / len(rows))


def test_many_rows_are_thinned_without_a_bias(write_chain):
    chain, summary = chain_of(write_chain, 6400, walkers=32)
    rows, weights = posterior_rows(chain, summary, most=1000)
    assert len(rows) == 1000
    assert len(np.unique(rows % 32)) == 32, "no walker is left out"
    np.testing.assert_array_equal(posterior_rows(chain, summary, most=1000)[0], rows)
    used = used_rows(chain, summary.convergence)
    mean = weights @ chain.samples[rows]
    np.testing.assert_allclose(mean, chain.samples[used].mean(axis=0), atol=4 / np.sqrt(1000))


def test_weights_are_honoured(write_chain):
    weight = np.random.default_rng(2).exponential(size=5000) ** 3
    chain, summary = chain_of(write_chain, 5000, sampler="nautilus", columns={"weight": weight})
    rows, weights = posterior_rows(chain, summary, most=1000)
    assert len(rows) < 1000, "a heavy row is taken several times"
    assert weights.sum() == pytest.approx(1)
    counts = weights * 1000
    assert np.abs(counts - 1000 * chain.weights[rows]).max() <= 1 + 1e-9
    everything = chain.weights @ chain.samples
    np.testing.assert_allclose(weights @ chain.samples[rows], everything, atol=0.15)


def test_an_optimiser_has_no_posterior(write_chain):
    chain, summary = chain_of(write_chain, 30, sampler="maxlike")
    rows, weights = posterior_rows(chain, summary)
    assert len(rows) == len(weights) == 0


def test_derived_parameters_survive_the_disk(tmp_path):
    rows = (
        DerivedSummary("stellar_mass", "log10(Msun)", 'the "mass"', 10.1, 10.2, 0.1, 10.2, 10.1, 10.3, 10.0, 10.4),
        DerivedSummary("metallicity", "", "only the best fit", -2.0),
    )
    meta = {"results": "fit.txt", "best_log_posterior": -1234.567890123, "n_rows": 17}
    written = DerivedParameters(rows, {"surviving_stellar_mass": "nobody knows: it is so"}, 12, meta)
    path = written.write(tmp_path / "table.ecsv")
    found = DerivedParameters.read(path)
    assert found.rows[0] == rows[0]
    assert found["metallicity"].best_fit == -2.0
    assert np.isnan(found["metallicity"].median)
    assert found["metallicity"].unit == ""
    assert (found.unavailable, found.n_samples, found.meta) == (written.unavailable, 12, meta)
    assert tables_match(found.meta, -1234.567890123, 17)
    assert not tables_match(found.meta, -1234.6, 17)
    assert not tables_match(found.meta, -1234.567890123, 18)
    with pytest.raises(KeyError, match="did you mean 'stellar_mass'"):
        found["stelar_mass"]
    with pytest.raises(KeyError, match="nobody knows"):
        found["surviving_stellar_mass"]
    assert written.to_table()["median"][0] == 10.2


def test_a_history_survives_the_disk_and_has_units(tmp_path):
    rng = np.random.default_rng(1)
    edges = np.linspace(0, 13, 5)
    bands = [Bands(*np.sort(rng.random((6, 4)), axis=0)) for _ in range(3)]
    history = FormationHistoryBands(edges[1:], edges[:-1], *bands, "1 / yr", 3, {"n_rows": 4})
    found = FormationHistoryBands.read(history.write(tmp_path / "history.ecsv"))
    assert (found.rate_unit, found.n_samples, found.today, found.meta) == ("1 / yr", 3, 13.0, {"n_rows": 4})
    np.testing.assert_allclose(found.log10_metallicity.upper_95, bands[2].upper_95, rtol=1e-9)
    for table in (history.to_table(), Table.read(tmp_path / "history.ecsv", format="ascii.ecsv")):
        assert str(table["lookback_start"].unit) == "Gyr"
        assert str(table["sfr_median"].unit) == "1 / yr"
        assert table["mass_fraction_lower_68"].description.endswith("16th percentile")


def test_another_table_is_refused(tmp_path):
    path = tmp_path / "other.ecsv"
    Table({"name": ["a", ""], "x": [1.0, np.nan]}).write(path, format="ascii.ecsv")
    with pytest.raises(ChainError, match="has no column 'unit'"):
        DerivedParameters.read(path)
    path.write_text("no table\n")
    with pytest.raises(ChainError, match=r"other\.ecsv' cannot be read"):
        FormationHistoryBands.read(path)
