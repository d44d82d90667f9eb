"""Legendre polynomials against numpy's and against their orthogonality."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import legendre

from orchestrator.physics.continuum import legendre_basis, legendre_degrees


def test_basis_equals_that_of_numpy() -> None:
    wavelength = np.linspace(3600.0, 9000.0, 777)
    x = (wavelength - 6300.0) / 2700.0
    np.testing.assert_allclose(
        legendre_basis(wavelength, 30), legendre.legvander(x, 30).T, rtol=0, atol=1e-12
    )


def test_basis_is_orthogonal() -> None:
    node, weight = legendre.leggauss(20)
    basis = legendre_basis(5000 + 1000 * node, 10, (4000.0, 6000.0))
    product = (basis * weight) @ basis.T
    np.testing.assert_allclose(product, np.diag(2 / (2 * np.arange(11) + 1)), rtol=0, atol=1e-13)


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_no_degree_vanishes_or_breaks(degree: int) -> None:
    row = legendre_basis(np.linspace(4000.0, 7000.0, 3001), degree)[degree]
    assert row[0] == pytest.approx((-1) ** degree)
    assert row[-1] == pytest.approx(1.0)
    slope = np.diff(row)
    # The steepest slope of P_n is n(n+1)/2 and its steepest change (n-1)n(n+1)(n+2)/8: no step, no kink.
    assert np.abs(slope).max() <= degree * (degree + 1) / 2 * 2 / 3000 * 1.001
    assert np.abs(np.diff(slope)).max() <= (degree + 2) ** 4 / 8 * (2 / 3000) ** 2
    assert np.mean(np.abs(row) > 0.01) > 0.9


def test_bounds_fix_the_range_and_hold_the_ends() -> None:
    wavelength = np.array([3000.0, 4000.0, 5000.0, 6000.0, 7000.0])
    basis = legendre_basis(wavelength, 2, (4000.0, 6000.0))
    np.testing.assert_allclose(basis, [[1, 1, 1, 1, 1], [-1, -1, 0, 1, 1], [1, 1, -0.5, 1, 1]], atol=1e-15)
    np.testing.assert_array_equal(basis, legendre_basis(wavelength, 2, [4000.0, 6000.0]))


def test_scale_leaves_out_the_low_degrees() -> None:
    wavelength = np.linspace(4000.0, 6000.0, 101)
    bounds = (float(wavelength[0]), float(wavelength[-1]))
    assert legendre_degrees(3, bounds, 400.0).tolist() == [0, 5, 6, 7]
    assert legendre_degrees(3, bounds, 1e6).tolist() == [0, 1, 2, 3]
    assert legendre_degrees(0, bounds).tolist() == [0]
    with pytest.raises(ValueError, match="scale is 0.0"):
        legendre_degrees(2, bounds, 0.0)


def test_degree_zero_is_the_constant() -> None:
    np.testing.assert_array_equal(legendre_basis([1.0, 2.0], 0), [[1.0, 1.0]])


@pytest.mark.parametrize(
    ("arguments", "found"),
    [((-1,), "degree is -1"), ((2, (6000.0, 4000.0)), "bounds are 6000.0")],
)
def test_nonsense_is_refused(arguments: tuple, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        legendre_basis([4000.0, 5000.0], *arguments)
