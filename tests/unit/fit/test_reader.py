from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import ChainError, ConfigError
from orchestrator.fit.module_file import load_module_class
from orchestrator.fit.reader import Reader

SAMPLES = np.array([[1.0, 0.0], [2.0, 0.5], [3.0, 1.0], [4.0, 1.5]])
POST = np.array([-4.0, -3.0, -5.0, -np.inf])
PRIOR = np.array([-3.0, -1.0, -4.5, -6.0])


@pytest.fixture
def reader(write_chain):
    return Reader.from_results_file(write_chain(SAMPLES, POST, prior=PRIOR))


def test_reads_the_file_that_was_given_even_if_renamed(write_chain, tmp_path):
    path = write_chain(SAMPLES, POST)
    write_chain(SAMPLES + 100, POST, name="elsewhere.txt")  # what the ini in the header names
    moved = tmp_path / "deep" / "renamed.txt"
    moved.parent.mkdir()
    path.rename(moved)
    reader = Reader.from_results_file(moved)
    np.testing.assert_array_equal(reader.chain.samples, SAMPLES)
    assert reader.ini_values.get("toy", "c").start == 2.5


def test_ini_is_typed_as_cosmosis_types_it(reader):
    assert reader.modules == ["Toy"]
    assert reader.config == {"Toy": {"file": "toy.py", "order": 3, "filters": "Y"}}
    assert reader.ini["runtime"]["sampler"] == "emcee"


def test_maximum_likelihood_is_not_maximum_posterior(reader):
    assert reader.get_maxlike_solution()["toy--a"] == 3.0
    assert reader.get_maxlike_solution(log_prob="post")["toy--a"] == 2.0
    assert reader.get_max_posterior_solution()["toy--a"] == 2.0
    with pytest.raises(ValueError, match="expected 'like' or 'post'"):
        reader.get_maxlike_solution(log_prob="max")


def test_constants_are_filled_in(reader):
    assert reader.get_max_posterior_solution() == {"toy--a": 2.0, "toy--b": 0.5, "toy--c": 2.5}
    assert reader.solution_to_dict(0, add_fixed=False) == {"toy--a": 1.0, "toy--b": 0.0}
    assert reader.solution_to_dict({"toy--c": 1.0}, extra_params={"x--y": 3.0}) == {
        "toy--c": 1.0,
        "x--y": 3.0,
    }


def test_datablock_holds_doubles(reader):
    block = reader.solution_to_datablock(reader.get_max_posterior_solution())
    assert block.get_double("toy", "a") == 2.0
    assert block.get_double("toy", "c") == 2.5


def test_best_solutions_are_sorted_and_finite(reader):
    assert [s["toy--a"] for s in reader.get_top_frac_solutions(1.0)] == [2.0, 1.0, 3.0]
    assert [s["toy--a"] for s in reader.get_top_frac_solutions(0.34, log_prob="like")] == [3.0]
    assert [s["toy--a"] for s in reader.get_pct_solutions(33.0)] == [2.0, 1.0]
    with pytest.raises(ValueError, match="fraction above 0"):
        reader.get_top_frac_solutions(30)


def test_table_has_the_columns_of_the_file(reader):
    np.testing.assert_array_equal(reader.results_table["toy--b"], SAMPLES[:, 1])
    np.testing.assert_array_equal(reader.results_table["post"], POST)


def test_from_ini_file_finds_results_and_values(write_chain, tmp_path):
    write_chain(SAMPLES, POST)
    (tmp_path / "v.ini").write_text("[toy]\na = 0 1 9\nb = 0 1 9\nc = 7.5\n")
    ini = tmp_path / "fit.ini"
    ini.write_text(
        "[runtime]\nsampler = emcee\n[output]\nfilename = fit\n[pipeline]\nmodules = Toy\nvalues = v.ini\n"
    )
    reader = Reader.from_ini_file(ini)
    assert reader.get_max_posterior_solution() == {"toy--a": 2.0, "toy--b": 0.5, "toy--c": 7.5}


def test_two_module_files_of_one_name_stay_apart(tmp_path):
    for folder, value in (("x", 1), ("y", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.py").write_text(f"class M:\n    value = {value}\nmodule = 'M'\n")
    assert [load_module_class(tmp_path / f / "m.py").value for f in "xy"] == [1, 2]


def test_module_faults_are_named(reader, tmp_path):
    with pytest.raises(ConfigError, match="no module 'Tay'; did you mean 'Toy'"):
        reader.get_module("Tay")
    with pytest.raises(ConfigError, match="does not exist"):
        reader.get_module("Toy")
    (tmp_path / "bare.py").write_text("x = 1\n")
    with pytest.raises(ConfigError, match="no class under the name 'module'"):
        load_module_class(tmp_path / "bare.py")


def test_results_without_a_header(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("#a--b\tpost\n1.0\t2.0\n")
    with pytest.raises(ChainError, match="header"):
        Reader.from_results_file(path)
