"""What is kept of a fit comes back as it was: as arrays, as files, and as the objects of a fit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from stored_fits import HEADER, a_stored_fit, assert_same_fit

from orchestrator.errors import ChainError, ProductionError
from orchestrator.fit.chain import read_chain
from orchestrator.fit.stage_result import load_run
from orchestrator.production.work.chain_lines import ChainLines, chain_lines
from orchestrator.production.work.frames import arrays_of, blob_of
from orchestrator.production.work.stored_fit import stored_from_arrays


def test_arrays_bring_it_back():
    stored = a_stored_fit()
    assert_same_fit(stored_from_arrays(arrays_of(blob_of(stored.arrays()))), stored)


def test_a_fit_without_history_or_models_too():
    from dataclasses import replace

    stored = replace(a_stored_fit(), history=None, derived=None, models={})
    found = stored_from_arrays(arrays_of(blob_of(stored.arrays())))
    assert_same_fit(found, stored)
    assert found.formation_history is None
    assert found.derived_parameters is None


def test_arrays_of_something_else_are_refused():
    with pytest.raises(ProductionError, match="not the samples of a fit"):
        stored_from_arrays({"chain": np.zeros((2, 2))})


def test_a_results_file_is_written_again_byte_for_byte(tmp_path):
    rows = "0.1\t-1e-08\t1e+16\t-inf\t2.0\n123456789.123456789\t5e-324\tnan\t0.30000000000000004\t-0.0"
    text = f"#toy--a\ttoy--b\textra--MASS\tprior\tpost\n{HEADER}\n{rows}\n#complete=1\n"
    text = text.replace("123456789.123456789", "123456789.12345679")
    path = tmp_path / "fit.txt"
    path.write_text(text)
    assert chain_lines(read_chain(path)).to_text() == text


def test_one_file_per_process_becomes_one(tmp_path):
    columns = "#toy--a\ttoy--b\textra--MASS\tprior\tpost"
    for number in (1, 2):
        rows = "".join(f"{number}.0\t{row}.0\t0.0\t0.0\t1.0\n" for row in range(3))
        header = HEADER.replace("emcee", "metropolis")
        (tmp_path / f"fit_{number}.txt").write_text(f"{columns}\n{header}\n{rows}#complete=1\n")
    chain = read_chain(tmp_path / "fit.txt")
    again = tmp_path / "again.txt"
    again.write_text(chain_lines(chain).to_text())
    found = read_chain(again)
    np.testing.assert_array_equal(found.samples, chain.samples)
    assert (found.n_walkers, found.complete) == (chain.n_walkers, True)


def test_the_files_are_those_that_the_fit_readers_read(tmp_path):
    stored = a_stored_fit()
    result = load_run(stored.write_directory(tmp_path / "a b"))
    np.testing.assert_array_equal(result.chain.samples, stored.chain[:, :2])
    assert result.chain.column("extra--mass")[5] == stored.chain[5, 2]
    assert result.derived["stellar_mass"].best_fit == 10.25
    assert np.isnan(result.derived["t50"].median)
    assert result.derived.unavailable == {"t90": "because"}
    np.testing.assert_allclose(result.formation_history.rate.median, stored.history["bands"][0, 1])
    assert any("unresolved" in flag for flag in result.flags)
    assert json.loads((tmp_path / "a b" / "population_config.json").read_text())["seed"] == 1
    assert stored.reader(tmp_path / "c").modules == ["Toy"]


def test_lines_without_a_header():
    lines = ChainLines(("a", "post"), np.array([[1.0, 2.0]]), "", "")
    assert lines.to_text() == "#a\tpost\n1.0\t2.0\n"


def test_a_results_file_that_has_gone_says_so(tmp_path):
    stored = a_stored_fit()
    chain = read_chain(stored.write_directory(tmp_path))
    chain.path.unlink()
    with pytest.raises(ChainError, match="does not exist"):
        chain_lines(chain)
