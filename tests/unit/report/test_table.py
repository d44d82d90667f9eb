import math

import pytest

from orchestrator.report.table import ResultRow, format_value, format_value_mathtext, results_table


@pytest.mark.parametrize(
    ("value", "minus", "plus", "expected"),
    [
        (116.234, 4.123, 4.123, "116.2 ± 4.1"),
        (0.3212, 0.042, 0.113, "0.321 -0.042 +0.113"),
        (1.0, 0.0996, 0.0996, "1.00 ± 0.10"),  # rounds up to the next decade
        (1234.0, 234.0, 234.0, "1230 ± 230"),
        (0.0123, 0.00994, 0.00994, "0.0123 ± 0.0099"),
        (-0.004, 0.5, 0.5, "0.00 ± 0.50"),  # no negative zero
        (-12.34, 0.56, 0.78, "-12.34 -0.56 +0.78"),
        (1.2345e10, 2.0e8, 2.0e8, "(1.234 ± 0.020)e10"),
        (5.0e-5, 1.2e-5, 1.2e-5, "(5.0 ± 1.2)e-5"),
        (3.0, 0.0, 0.0, "3"),
        (3.25, math.nan, math.nan, "3.25"),
        (math.nan, 1.0, 1.0, "nan"),
        (10.0, 1e-9, 1.5, "10.000 -0.000 +1.500"),  # a vanishing side does not ask for nine decimals
        (10.0, math.nan, 1.5, "10.0 -? +1.5"),
    ],
)
def test_digits_follow_the_uncertainty(value, minus, plus, expected):
    assert format_value(value, minus, plus) == expected


def test_mathtext_variant():
    assert format_value_mathtext(0.3212, 0.042, 0.113) == "$0.321_{-0.042}^{+0.113}$"
    assert format_value_mathtext(1.2345e10, 2e8, 2e8) == r"$(1.234\pm 0.020)\times 10^{10}$"


def test_table_rounds_the_best_fit_like_the_median_and_aligns():
    table = results_table([
        ResultRow("kinematics", "los_vel", 12.1234, 12.345, 3.01, 2.81),
        ResultRow("dust.extinction", "a_v", 0.31234, 0.32, 0.042, 0.11, flags=("at the edge",)),
    ], title="Spectrum 1")  # fmt: skip
    title, heading, rule, first, second = table.split("\n")
    assert title == "Spectrum 1"
    assert first.split() == ["los_vel", "km/s", "12.1", "12.3", "-3.0", "+2.8"]
    assert second.split()[2:6] == ["0.312", "0.320", "-0.042", "+0.110"]
    assert second.endswith("at the edge")
    assert heading.index("median") + len("median") == first.index("12.3") + len("12.3")
    assert set(rule) == {"-"}


def test_unresolved_value_is_a_limit_and_never_a_number():
    row = ResultRow("kinematics", "los_sigma", 39.0, 38.0, 3.0, 3.0, upper_limit=62.04)
    line = results_table([row]).split("\n")[-1]
    assert "< 62" in line
    assert "39" not in line
    assert "38" not in line


def test_columns_without_content_are_left_out():
    heading = results_table([ResultRow("x", "y", best_fit=1.5)]).split("\n")[0]
    assert heading.split() == ["parameter", "best", "fit"]
