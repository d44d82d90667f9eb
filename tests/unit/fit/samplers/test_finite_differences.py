from __future__ import annotations

import numpy as np
import pytest

from orchestrator.fit.samplers.finite_differences import (
    conditional_widths,
    covariance_at_peak,
    derivatives,
    hessian,
    steps_from,
)


def quartic(points):
    """Gradient and Hessian are known: a sum of powers and one mixed term."""
    x, y, z = points.T
    return -(x**2) - 3 * y**2 - 0.5 * z**2 - x * y + 0.2 * x**3


POINT = np.array([0.3, 0.6, 0.5])
GRADIENT = np.array([-0.6 - 0.6 + 0.6 * 0.09, -3.6 - 0.3, -0.5])
CURVATURE = np.array([-2 + 1.2 * 0.3, -6.0, -1.0])


def test_gradient_and_curvature_of_a_polynomial():
    found = derivatives(quartic, POINT, np.full(3, 1e-3))
    np.testing.assert_allclose(found.gradient, GRADIENT, atol=1e-6)
    np.testing.assert_allclose(found.curvature, CURVATURE, atol=1e-4)
    assert found.best_value >= found.value


@pytest.mark.parametrize("face", [0.0, 1.0])
def test_second_order_at_a_face_without_leaving_the_cube(face):
    seen = []

    def recorded(points):
        seen.append(points)
        return -3 * points[:, 0] ** 2 + 2 * points[:, 0] + points[:, 1]

    found = derivatives(recorded, np.array([face, 0.5]), np.full(2, 0.01))
    np.testing.assert_allclose(found.gradient, [2 - 6 * face, 1.0], atol=1e-9)
    np.testing.assert_allclose(found.curvature, [-6.0, 0.0], atol=1e-7)
    assert seen[0].min() >= 0
    assert seen[0].max() <= 1


def test_edge_of_the_support_is_differentiated_from_within():
    def edge(points):
        return np.where(points[:, 0] > 0.5, -np.inf, 3 * points[:, 0])

    found = derivatives(edge, np.array([0.5]), np.array([0.01]))
    np.testing.assert_allclose(found.gradient, [3.0])
    assert np.isnan(found.curvature[0])
    assert steps_from(found.curvature, np.array([0.01]))[0] == 0.01


def test_hessian_of_a_polynomial():
    expected = np.diag(-CURVATURE)
    expected[0, 1] = expected[1, 0] = 1.0
    np.testing.assert_allclose(hessian(quartic, POINT, np.full(3, 1e-3)), expected, atol=1e-3)


@pytest.mark.parametrize("width", [1e-6, 1e-3, 0.1])
def test_widths_are_found_over_decades(width):
    def density(points):
        return 1e4 - 0.5 * ((points[:, 0] - 0.4) / width) ** 2

    found = conditional_widths(density, np.array([0.4]), np.eye(1), np.array([1e-2]))
    assert found[0] == pytest.approx(width, rel=1e-2)


def test_a_flat_direction_is_as_wide_as_the_cube():
    def density(points):
        return -0.5 * ((points[:, 0] - 0.4) / 0.01) ** 2

    covariance = covariance_at_peak(density, np.array([0.4, 0.5]))
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), [0.01, np.sqrt(1 / 12)], rtol=1e-2)


def test_covariance_of_a_correlated_gaussian(gaussian_density):
    rng = np.random.default_rng(4)
    root = rng.normal(size=(6, 6))
    widths = np.geomspace(1e-4, 0.02, 6)
    correlation = root @ root.T + 0.05 * np.eye(6)
    scale = np.sqrt(np.diag(correlation))
    expected = correlation / np.outer(scale, scale) * np.outer(widths, widths)
    mean = np.full(6, 0.5)
    found = covariance_at_peak(gaussian_density(mean, expected), mean)
    # One standard deviation along every direction, also the one that correlations make shortest.
    relative = np.linalg.eigvals(np.linalg.solve(expected, found)).real
    np.testing.assert_allclose(relative, 1.0, atol=0.01)


def test_covariance_at_a_face_is_positive_definite_and_of_the_right_size():
    """The density falls linearly from the face along one axis, as a Gaussian along the other."""

    def density(points):
        return -points[:, 0] / 0.05 - 0.5 * ((points[:, 1] - 0.5) / 0.02) ** 2

    covariance = covariance_at_peak(density, np.array([0.0, 0.5]))
    assert np.linalg.eigvalsh(covariance).min() > 0
    widths = np.sqrt(np.diag(covariance))
    assert widths[1] == pytest.approx(0.02, rel=0.02)
    assert 0.01 < widths[0] < 0.1
