"""The figure of a profile over redshift, and that of a Gaussian target."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.physics.gaussian_mixture import GaussianMixture
from orchestrator.report.gaussian_figure import plot_marginals
from orchestrator.report.redshift_figure import RedshiftFigureData, plot_redshift


def profile(n=300):
    z = np.linspace(0.1, 0.2, n)
    return z, 4000.0 - 0.5 * ((z - 0.14) / 1e-3) ** 2


@pytest.mark.parametrize("change", [{}, {"uncertainty": 1e-3, "second": 0.18}, {"best": 0.1, "uncertainty": 2e-4}])
def test_a_profile_is_drawn(tmp_path, change):
    z, value = profile()
    data = RedshiftFigureData(z, value, **{"best": 0.14, **change})
    assert plot_redshift(data, tmp_path / "profile.png").stat().st_size > 5000


def test_an_impossible_profile_is_drawn_and_a_wrong_one_refused(tmp_path):
    z, value = profile()
    value[:100] = -np.inf
    plot_redshift(RedshiftFigureData(z, value, 0.14, 1e-3), tmp_path / "half.png")
    plot_redshift(RedshiftFigureData(z, np.full(300, -np.inf), 0.14), tmp_path / "none.png")
    with pytest.raises(ValueError, match="shape"):
        RedshiftFigureData(z, value[1:], 0.14)


def test_marginals_are_drawn(tmp_path):
    target = GaussianMixture(np.array([0.5, 0.5]), np.array([[0.0, 1], [9, 1]]), np.array([np.eye(2)] * 2))
    path = plot_marginals(target, np.array([0.1, 70.0]), tmp_path / "target.png", "target")
    assert path.stat().st_size > 5000
