"""The CosmoSIS side of a likelihood whose answer is known: GaussianTarget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.adapters.cosmosis_module import CosmosisModule
from orchestrator.forward_model.gaussian_target import GaussianTarget, prepare_gaussian_target

__all__ = ["GaussianModule"]


class GaussianModule(CosmosisModule):
    """A module without data."""

    model: GaussianTarget

    def prepare(self) -> None:
        """Make the target."""
        self.model = prepare_gaussian_target(self.options)

    def make_observable(self, block: Any, parse: bool = False) -> NDArray[np.float64]:
        """Return the coordinates of the point, shape (n_dimensions,)."""
        del parse
        parameters = self.read_parameters(block)
        return np.array([parameters[name][0] for name in self.model.names])

    def plot_solution(self, solution: Any, figname: str | Path | None = None) -> Path:
        """Draw the marginal density of each coordinate and where the solution is.

        Parameters
        ----------
        solution : DataBlock or Mapping of (section, name) to float
        figname : path, optional
            ``<alias>_best_fit_solution.png`` in the working folder if left out.
        """
        from orchestrator.report.gaussian_figure import plot_marginals

        mixture = self.model.mixture
        path = Path(figname or f"{self.alias}_best_fit_solution.png")
        return plot_marginals(mixture, self.make_observable(solution), path, self.alias)
