"""The vector functions against numpy and scipy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray
from scipy import special

from orchestrator.physics import elementary_functions as functions

RNG = np.random.default_rng(1)
SMALL = RNG.choice([-1.0, 1.0], 4000) * 10.0 ** RNG.uniform(-15.0, 2.8, 4000)


def applied(function: Callable[[float], float], x: NDArray[np.float64]) -> NDArray[np.float64]:
    @njit
    def each(x: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.empty_like(x)
        for i in range(x.size):
            out[i] = function(x[i])
        return out

    return np.asarray(each(x))


@njit
def exp_rest(x: float) -> float:
    return functions.exp_minus_1_and_rest(x)[1]


@pytest.mark.parametrize(("function", "reference", "x", "error"), [
    (functions.exponential, np.exp, RNG.uniform(-700.0, 700.0, 4000), 5e-16),
    (functions.exp_minus_1, np.expm1, SMALL[np.abs(SMALL) < 700.0], 5e-16),
    (functions.logarithm, np.log, 10.0 ** RNG.uniform(-300.0, 300.0, 4000), 5e-16),
    (functions.logarithm, np.log, RNG.uniform(0.3, 3.0, 4000), 1e-15),
    (functions.complementary_error_function, special.erfc, RNG.uniform(-8.0, 5.0, 4000), 5e-15),
    (functions.complementary_error_function, special.erfc, RNG.uniform(5.0, 26.0, 4000), 2e-13),
])  # fmt: skip
def test_functions_are_those_of_the_libraries(
    function: Callable, reference: Callable, x: NDArray[np.float64], error: float
) -> None:
    assert applied(function, x) == pytest.approx(reference(x), rel=error, abs=0.0)


def test_exp_without_its_first_two_terms_keeps_its_digits() -> None:
    x = 10.0 ** RNG.uniform(-12.0, -1.0, 1000)
    terms = sum(x**n / special.factorial(n) for n in range(14, 1, -1))
    assert applied(exp_rest, x) == pytest.approx(terms, rel=1e-15, abs=0.0)
    x = RNG.uniform(0.1, 600.0, 1000)
    assert applied(exp_rest, x) == pytest.approx(np.expm1(x) - x, rel=1e-13)


def test_ends_of_the_ranges() -> None:
    assert applied(functions.exponential, np.array([0.0, -0.0])).tolist() == [1.0, 1.0]
    assert applied(functions.exp_minus_1, np.array([0.0])).tolist() == [0.0]
    assert applied(functions.logarithm, np.array([1.0])).tolist() == [0.0]
    ends = applied(functions.complementary_error_function, np.array([-1e10, 0.0, 1e10]))
    assert ends == pytest.approx([2.0, 1.0, 0.0], abs=1e-15)
