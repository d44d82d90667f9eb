from __future__ import annotations

import numpy as np
import pytest

from orchestrator.report.calibration_figure import plot_calibration


@pytest.mark.parametrize("n_parameters", [1, 4, 9])
def test_a_figure_for_any_number_of_parameters(n_parameters, tmp_path):
    rng = np.random.default_rng(1)
    ranks = {f"gaussian--x_{i}": rng.random(50) for i in range(n_parameters)}
    tarp = {"prior": rng.random(50), "posterior": rng.random(50)}
    path = plot_calibration(ranks, tarp, tmp_path / "figure.png", title="a stage")
    assert path == tmp_path / "figure.png"
    assert path.stat().st_size > 20_000
