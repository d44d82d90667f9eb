"""The CosmoSIS side of a fit of line indices: EquivalentWidthFit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.adapters.cosmosis_module import CosmosisModule
from orchestrator.forward_model.goodness import Goodness
from orchestrator.forward_model.index_fit import IndexFit, prepare_index_fit
from orchestrator.forward_model.index_model import IndexModel
from orchestrator.physics.amplitude import Parabola, no_parabola

__all__ = ["IndexModule"]

FloatArray = NDArray[np.float64]


class IndexModule(CosmosisModule):
    """A module whose data are line indices, measured in a spectrum or given in a table."""

    fit: IndexFit
    model: IndexModel

    def prepare(self) -> None:
        """Read or measure the indices and integrate the SSPs over their bands."""
        self.fit = prepare_index_fit(self.options)
        self.model = self.fit.model

    def make_observable(self, block: Any, parse: bool = False) -> FloatArray:
        """Return the indices of the model in the order of the data, Angstrom, mag or ratio, shape (n_indices,)."""
        del parse
        return self.model.model_indices(self.read_parameters(block))[0]

    def flags(self, solution: Any) -> tuple[str, ...]:
        """Say which of the indices asked for are not in the fit."""
        del solution
        return tuple(f"{name} is not fitted: {reason}" for name, reason in self.fit.not_measured)

    def goodness_of_fit(self, solution: Any) -> Goodness:
        """Return chi2 of the indices at a solution."""
        data = self.model.data
        chi2 = float(data.chi2(self.model.model_indices(self.read_parameters(solution)))[0])
        return Goodness(chi2, len(data.values), sum(p.lower != p.upper for p in self.parameters))

    def plot_solution(self, solution: Any, figname: str | Path | None = None) -> Path:
        """Draw observed and model indices, and their differences in units of the errors.

        Parameters
        ----------
        solution : DataBlock or Mapping of (section, name) to float
        figname : path, optional
            ``<alias>_best_fit_solution.png`` in the working folder if left out.
        """
        from orchestrator.report.index_figure import IndexFigureData, plot_indices

        parameters = self.read_parameters(solution)
        model = self.model.model_indices(parameters)
        data = self.model.data
        stars = None
        if self.model.table.gas is not None:
            dark = {key: np.zeros(1) if key[1].startswith("ew_") else value for key, value in parameters.items()}
            stars = self.model.model_indices(dark)[0]
        n_free = sum(p.lower != p.upper for p in self.parameters)
        figure = IndexFigureData(
            names=data.names,
            units=self.model.table.index_set.units,
            values=data.values,
            errors=np.sqrt(np.diag(data.covariance)),
            model=model[0],
            model_without_emission=stars,
            chi2=float(data.chi2(model)[0]),
            n_degrees_of_freedom=len(data.values) - n_free,
            title=f"{self.alias}: {self.fit.name}",
            annotations=(f"SSPs: {self.fit.library.name}", f"SFH: {self.options.sfh_model}"),
        )
        return plot_indices(figure, Path(figname or f"{self.alias}_best_fit_solution.png"))

    def _joint_before(self, block: Any) -> Parabola:
        """Pass over what earlier modules say about the mass: indices do not depend on it."""
        del block
        return no_parabola(1)
