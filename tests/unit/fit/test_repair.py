from __future__ import annotations

import numpy as np
import pytest

from orchestrator.fit.chain import read_chain
from orchestrator.fit.repair import repair_chain


def steps(n_rows):
    return np.arange(2.0 * n_rows).reshape(-1, 2) + 0.125, -np.arange(float(n_rows))


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_torn_line_and_incomplete_step_are_removed(write_chain, cut):
    samples, post = steps(10)
    path = write_chain(samples, post, walkers=4, tail="")
    path.write_text(path.read_text()[:-cut])
    assert repair_chain(path) == 8
    np.testing.assert_array_equal(read_chain(path).samples, samples[:8])
    assert path.read_text().endswith("\n")


def test_closing_lines_are_removed_and_the_header_stays(write_chain):
    path = write_chain(*steps(8), walkers=4, tail="#evaluations=8\n#complete=1\n")
    header = read_chain(path).params_ini
    assert repair_chain(path) == 8
    chain = read_chain(path)
    assert not chain.complete
    assert chain.params_ini == header


def test_glued_rows_end_the_chain(write_chain):
    samples, post = steps(12)
    path = write_chain(samples, post, walkers=4)
    lines = path.read_text().splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    lines[first + 5] = lines[first + 5].rstrip("\n") + "7.0\n"
    lines[first + 6] = "1.0\t" + lines[first + 6]
    path.write_text("".join(lines))
    assert repair_chain(path) == 4


def test_whole_file_is_untouched(write_chain):
    path = write_chain(*steps(8), walkers=4, tail="")
    before, inode = path.read_bytes(), path.stat().st_ino
    repair_chain(path)
    assert path.read_bytes() == before
    assert path.stat().st_ino == inode


def test_file_without_a_whole_step_is_removed(write_chain, tmp_path):
    path = write_chain(*steps(3), walkers=4, tail="")
    assert repair_chain(path) == 0
    assert not path.exists()
    assert repair_chain(tmp_path / "absent.txt") == 0
