"""The figure of a target whose density is known: its marginals, and a solution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.physics.gaussian_mixture import GaussianMixture
from orchestrator.report.style import BLACK, RED, new_figure, paper_style, save_figure

__all__ = ["plot_marginals"]

_MOST = 6
_REACH = 4.5  # standard deviations


def plot_marginals(
    mixture: GaussianMixture, solution: NDArray[np.float64], path: str | Path, title: str = ""
) -> Path:
    """Draw the marginal density of the first coordinates.

    Parameters
    ----------
    mixture : GaussianMixture
    solution : ndarray, shape (n,)
        Marked in each panel.
    path : str or Path
        File to write; the suffix chooses the format.
    title : str

    Returns
    -------
    Path
        The file, written whole.
    """
    count = min(len(solution), _MOST)
    with paper_style():
        figure = new_figure(height=2.2)
        panels = figure.subplots(1, count, squeeze=False)[0]
        for i, axes in enumerate(panels):
            means = mixture.means[:, i]
            sigmas = np.sqrt(mixture.covariances[:, i, i])
            low, high = (means - _REACH * sigmas).min(), (means + _REACH * sigmas).max()
            x = np.linspace(low, high, 400)
            terms = np.exp(-0.5 * ((x[:, None] - means) / sigmas) ** 2) / (sigmas * np.sqrt(2 * np.pi))
            axes.plot(x, terms @ mixture.weights, color=BLACK, linewidth=0.9)
            if low <= solution[i] <= high:
                axes.axvline(solution[i], color=RED, linewidth=0.9, ls="--")
            axes.set_xlim(low, high)
            axes.set_ylim(bottom=0)
            axes.set_yticks([])
            axes.set_xlabel(rf"$x_{{{i + 1}}}$ = {solution[i]:.4g}")
        panels[0].set_ylabel("Density")
        panels[0].set_title(title, loc="left")
        return save_figure(figure, path)
