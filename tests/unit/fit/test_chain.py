from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import ChainError
from orchestrator.fit.chain import read_chain


def test_reads_parameters_statistics_and_header(write_chain):
    samples = np.array([[1.0, 2.0], [3.0, 4.0]])
    path = write_chain(samples, [-7.0, -8.5], columns={"EXTRA--MASS": [10.0, 11.0]})
    chain = read_chain(path)
    assert chain.parameters == (("toy", "a"), ("toy", "b"))
    np.testing.assert_array_equal(chain.samples, samples)
    np.testing.assert_allclose(chain.log_likelihood, [-1.0, -2.5])
    np.testing.assert_array_equal(chain.column("extra/mass"), [10.0, 11.0])
    assert chain.sampler == "emcee"
    assert chain.complete
    assert "order = 3" in chain.params_ini
    assert "c = 2.5" in chain.values_ini


def test_numbers_survive_to_the_last_bit(write_chain):
    samples = np.random.default_rng(1).standard_normal((20, 2))
    np.testing.assert_array_equal(read_chain(write_chain(samples, np.zeros(20))).samples, samples)


def test_markov_chain_rows_weigh_equally_and_infinite_rows_nothing(write_chain):
    chain = read_chain(write_chain(np.zeros((4, 2)), [-1.0, -50.0, -np.inf, -2.0]))
    np.testing.assert_allclose(chain.weights, [1 / 3, 1 / 3, 0.0, 1 / 3])
    assert chain.n_infinite == 1


@pytest.mark.parametrize(
    ("sampler", "columns", "expected"),
    [
        ("dynesty", {"log_weight": [-1000.0, -1000.0 + np.log(3.0)]}, [0.25, 0.75]),
        ("multinest", {"weight": [1.0, 3.0]}, [0.25, 0.75]),
        ("grid", {}, [0.25, 0.75]),
        ("apriori", {}, [0.25, 0.75]),
        ("importance", {"log_weight": [0.0, 0.0], "old_weight": [1.0, 3.0]}, [0.25, 0.75]),
    ],
)
def test_weights_of_samplers_that_weight(write_chain, sampler, columns, expected):
    path = write_chain(np.zeros((2, 2)), [-5.0, -5.0 + np.log(3.0)], sampler=sampler, columns=columns)
    np.testing.assert_allclose(read_chain(path).weights, expected)


def test_nested_sampler_uses_its_last_nsample_rows(write_chain):
    path = write_chain(
        np.zeros((3, 2)),
        np.zeros(3),
        sampler="multinest",
        columns={"weight": [5.0, 1.0, 1.0]},
        tail="#nsample=2\n#complete=1\n",
    )
    np.testing.assert_allclose(read_chain(path).weights, [0.0, 0.5, 0.5])


@pytest.mark.parametrize("cut", [3, 10, 17])
def test_torn_last_line_is_left_out_with_a_warning(write_chain, caplog, cut):
    path = write_chain(np.full((3, 2), 1.25), [-1.0, -2.0, -3.0], tail="")
    path.write_text(path.read_text()[:-cut])
    chain = read_chain(path)
    assert chain.n_rows == 2
    assert not chain.complete
    assert "middle of a line" in caplog.text


def test_glued_row_names_its_number(write_chain):
    path = write_chain(np.zeros((3, 2)), np.zeros(3))
    lines = path.read_text().splitlines(keepends=True)
    index = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    lines[index + 1] = lines[index + 1].rstrip("\n") + lines[index + 1]
    path.write_text("".join(lines))
    with pytest.raises(ChainError, match="Row 2 .* has 7 entries, expected 4"):
        read_chain(path)


@pytest.mark.parametrize(
    ("text", "fault"), [("", "no CosmoSIS"), ("1 2 3\n", "no CosmoSIS"), ("#a--b\tpost\n", "no sample")]
)
def test_what_is_no_chain_is_refused(tmp_path, text, fault):
    path = tmp_path / "x.txt"
    path.write_text(text)
    with pytest.raises(ChainError, match=fault):
        read_chain(path)


def test_missing_file(tmp_path):
    with pytest.raises(ChainError, match="does not exist"):
        read_chain(tmp_path / "none.txt")


def test_chains_of_several_processes_are_joined_step_by_step(write_chain, tmp_path):
    for number, value in ((10, 3.0), (2, 2.0), (1, 1.0)):
        samples = [[value, 0.0], [value + 10, 0.0]]
        write_chain(samples, [-1.0, -1.0], name=f"fit_{number}.txt", sampler="metropolis")
    write_chain([[9.0, 0.0]], [-1.0], name="fit_values.txt", sampler="metropolis")
    chain = read_chain(tmp_path / "fit.txt")
    assert chain.samples[:, 0].tolist() == [1.0, 2.0, 3.0, 11.0, 12.0, 13.0]
    assert chain.n_walkers == 3
