"""The stellar population: from the parameters of a star-formation history to the masses of the SSPs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.physics.parameter import ParameterValues
from orchestrator.physics.sfh_base import SECTION, StarFormationHistory
from orchestrator.physics.ssp_weights import SSPGrid, prepare_ssp_grid, project_valid
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["StellarPopulation"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class StellarPopulation:
    """An SFH model and the SSP grid that it is projected on.

    Attributes
    ----------
    sfh : StarFormationHistory
        Knows the age of the universe at the galaxy.
    grid : SSPGrid
        Ages and metallicities of the library.
    surviving : ndarray, shape (n_met * n_age,), or None
        Surviving mass fraction of each SSP.
    """

    sfh: StarFormationHistory
    grid: SSPGrid
    surviving: FloatArray | None

    @classmethod
    def of_library(cls, sfh: StarFormationHistory, library: SSPLibrary) -> StellarPopulation:
        """Project `sfh` onto the ages and metallicities of `library`."""
        fraction = library.surviving_fraction
        return cls(
            sfh=sfh,
            grid=prepare_ssp_grid(library.log10_age_yr, library.metallicity, sfh.today),
            surviving=None if fraction is None else np.asarray(fraction, dtype=float).ravel(),
        )

    def weights(self, parameters: ParameterValues) -> tuple[NDArray[np.bool_], FloatArray]:
        """Return which points are inside the support, and the mass fraction of each SSP.

        Returns
        -------
        valid : ndarray of bool, shape (n_points,)
        weights : ndarray, shape (n_points, n_met * n_age)
            Sums to one for valid points and is zero for the others.
        """
        own = {p.name: parameters[SECTION, p.name] for p in self.sfh.parameters}
        valid, by_age = project_valid(self.grid, self.sfh, own)
        weights = by_age.reshape(len(valid), -1)
        if not valid.all():
            weights = np.where(valid[:, None], weights, 0.0)
        return valid, weights

    def surviving_fraction(self, weights: FloatArray) -> FloatArray | None:
        """Return surviving over formed mass, shape (n_points,); None where the library does not say."""
        return None if self.surviving is None else weights @ self.surviving
