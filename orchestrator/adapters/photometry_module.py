"""The CosmoSIS side of a fit of broadband photometry: SFHPhotometry and GalaxyPhotometry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.adapters.cosmosis_module import CosmosisModule
from orchestrator.forward_model.goodness import Goodness
from orchestrator.forward_model.photometry_fit import PhotometryFit, PhotometryModel, prepare_photometry_fit
from orchestrator.forward_model.predicted_data import PredictedData
from orchestrator.physics.parameter import ParameterValues

__all__ = ["PhotometryModule"]

FloatArray = NDArray[np.float64]

MICROJANSKY = 1e-29
"""erg/s/cm2/Hz"""


class PhotometryModule(CosmosisModule):
    """A module whose data are broadband fluxes and limits."""

    fit: PhotometryFit
    model: PhotometryModel

    def prepare(self) -> None:
        """Read the photometry and integrate the SSPs over the bands."""
        self.fit = prepare_photometry_fit(self.options)
        self.model = self.fit.model
        data = self.model.photometry
        self.has_limits = bool((data.is_upper_limit | data.is_lower_limit).any()) or self.model.noise.student

    def make_observable(self, block: Any, parse: bool = False) -> FloatArray:
        """Return the model flux in every band, erg/s/cm2/Hz, shape (n_bands,)."""
        del parse
        parameters = self.read_parameters(block)
        return self.model.model_fluxes(parameters, self._own_mass(parameters))[0]

    def goodness_of_fit(self, solution: Any) -> Goodness:
        """Return chi2 with the errors of the file, of the bands that are no limits."""
        parameters = self.read_parameters(solution)
        joint = self.joint_mass(solution)
        model = self.model.model_fluxes(parameters, self._own_mass(parameters) if joint is None else joint)[0]
        data = self.model.photometry
        measured = ~(data.is_upper_limit | data.is_lower_limit)
        pull = (data.flux - model)[measured] / data.uncertainty[measured]
        n_free = sum(p.lower != p.upper for p in self.parameters) + (self.options.amplitude != "sampled")
        return Goodness(float((pull**2).sum()), int(measured.sum()), n_free)

    def predicted_data(self, solution: Any) -> PredictedData:
        """Return the bands, their model and their noise at a solution."""
        parameters = self.read_parameters(solution)
        joint = self.joint_mass(solution)
        data, noise = self.model.photometry, self.model.noise
        nu = None
        if noise.student:
            nu = float(parameters["noise", "nu"][0]) if noise.nu is None else noise.nu
        marginalised = self.options.amplitude == "marginalised"
        return PredictedData(
            kind="photometry",
            wavelength=self.fit.effective_wavelength,
            flux=data.flux,
            stated=data.uncertainty,
            model=self.model.model_fluxes(parameters, self._own_mass(parameters) if joint is None else joint)[0],
            noise=self.model.noise_level(parameters)[0],
            unit="erg/s/cm2/Hz",
            names=tuple(data.filter_names),
            nu=nu,
            limit=data.is_upper_limit.astype(float) - data.is_lower_limit,
            dependent="the mass is marginalised inside the likelihood" if marginalised else "",
        )

    def plot_solution(self, solution: Any, figname: str | Path | None = None) -> Path:
        """Draw fluxes, limits, the model SED and residuals.

        Parameters
        ----------
        solution : DataBlock or Mapping of (section, name) to float
        figname : path, optional
            ``<alias>_best_fit_solution.png`` in the working folder if left out.
        """
        from orchestrator.report.photometry_figure import PhotometryFigureData, plot_photometry

        parameters = self.read_parameters(solution)
        joint = self.joint_mass(solution)
        mass = self._own_mass(parameters) if joint is None else joint
        model = self.model.model_fluxes(parameters, mass)[0]
        wavelength, sed = self.fit.spectrum(parameters, mass)
        data = self.model.photometry
        uncertainty = self.model.noise_level(parameters)[0]
        measured = ~(data.is_upper_limit | data.is_lower_limit)
        pull = (data.flux - model)[measured] / uncertainty[measured]
        widened = float(np.median((uncertainty / data.uncertainty)[measured])) if measured.any() else 1.0
        noise = (rf"errors $\times$ {widened:.3g}",) if abs(widened - 1) > 0.005 else ()
        figure = PhotometryFigureData(
            names=tuple(data.filter_names),
            effective_wavelength=self.fit.effective_wavelength,
            bandwidth=self.fit.bandwidth,
            flux=data.flux / MICROJANSKY,
            uncertainty=uncertainty / MICROJANSKY,
            is_upper_limit=data.is_upper_limit,
            is_lower_limit=data.is_lower_limit,
            model_flux=model / MICROJANSKY,
            sed_wavelength=wavelength,
            sed_flux=sed / MICROJANSKY,
            chi2=float((pull**2).sum()),
            title=f"{self.alias}: {data.name}",
            annotations=(*noise, f"SSPs: {self.fit.library.name}", f"SFH: {self.options.sfh_model}"),
        )
        return plot_photometry(figure, Path(figname or f"{self.alias}_best_fit_solution.png"))

    def _own_mass(self, parameters: ParameterValues) -> FloatArray:
        """Return the mass that these data alone say, Msun, shape (1,)."""
        amplitude = self.model.log_likelihood(parameters).amplitude
        assert amplitude is not None
        return amplitude
