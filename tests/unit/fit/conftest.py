"""Results files in CosmoSIS's text format, made without CosmoSIS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

PARAMS = """[runtime]
sampler = {sampler}
[output]
filename = elsewhere.txt
[pipeline]
modules = Toy
values = values.ini
[Toy]
file = toy.py
order = 3
filters = "Y"
[{sampler}]
walkers = {walkers}
"""
VALUES = """[toy]
a = -10.0 0.0 10.0
b = -10.0 0.0 10.0
c = 2.5
"""


def chain_text(
    samples,
    post,
    *,
    sampler="emcee",
    walkers=1,
    columns=None,
    prior=None,
    tail="#complete=1\n",
    values=VALUES,
    metadata="",
):
    """Return the text of a results file; `columns` are further columns by name."""
    samples, post = np.atleast_2d(samples), np.atleast_1d(post)
    prior = np.full(len(post), -6.0) if prior is None else prior
    extra = dict(columns or {})
    names = [f"toy--{'ab'[i]}" for i in range(samples.shape[1])] + [*extra, "prior", "post"]
    table = np.column_stack([samples, *extra.values(), prior, post])
    header = (
        "#"
        + "\t".join(names)
        + f"\n#sampler={sampler}\n#n_varied={samples.shape[1]}\n#walkers={walkers}\n{metadata}"
    )
    for name, text in (
        ("PARAMS", PARAMS.format(sampler=sampler, walkers=walkers)),
        ("VALUES", values),
        ("PRIORS", ""),
    ):
        lines = "".join(f"## {line}\n" for line in text.splitlines())
        header += f"## START_OF_{name}_INI\n{lines}## END_OF_{name}_INI\n"
    rows = "".join("\t".join(str(float(x)) for x in row) + "\n" for row in table)
    return header + rows + tail


@pytest.fixture
def write_chain(tmp_path: Path):
    """Write a results file and return its path."""

    def write(samples, post, name="fit.txt", **keywords):
        path = tmp_path / name
        path.write_text(chain_text(samples, post, **keywords))
        return path

    return write
