"""Options of GaussianTarget."""

from __future__ import annotations

import pytest

from orchestrator.config.module_options import MODULES, parse_options
from orchestrator.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mean": [0, 1, 2], "sigma": [1, 2]}, "sigma has 2 values for 3 dimensions; give 1 or 3"),
        ({"sigma": -1}, "must be positive"),
        ({"mean": [0, 0, 0], "correlation": -0.9}, "smallest eigenvalue"),
        ({"second_weight": 0.3}, "without second_mean"),
        ({"second_mean": [1, 2], "second_weight": 1.0}, "less than 1"),
        ({"means": [1]}, "mean"),
    ],
)
def test_faults(options, words):
    with pytest.raises(ConfigError, match=words):
        parse_options("GaussianTarget", options)


def test_text_of_an_ini_file_and_ranges():
    options = parse_options("GaussianTarget", {"mean": "1, -2", "sigma": 0.5, "second_mean": [5.0, -2.0]})
    assert options.mean == (1.0, -2.0)
    first, second = MODULES["GaussianTarget"].declared_parameters(options)
    assert (first.section, first.name, first.lower, first.upper) == ("gaussian", "x_1", -4.0, 10.0)
    assert (second.name, second.lower, second.upper) == ("x_2", -7.0, 3.0)
    assert first.start != 1.0
