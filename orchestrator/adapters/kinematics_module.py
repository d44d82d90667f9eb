"""The CosmoSIS side of a kinematic fit: KinDust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.adapters.cosmosis_module import CosmosisModule
from orchestrator.forward_model.data_noise import only_beta, pixel_noise
from orchestrator.forward_model.emission_line_table import EmissionLineMeasurements
from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.goodness import Goodness
from orchestrator.forward_model.kinematics import KinematicsModel
from orchestrator.forward_model.kinematics_setup import prepare_kinematics_model
from orchestrator.forward_model.observed_spectrum import measure_lines_of_fit
from orchestrator.forward_model.predicted_data import PredictedData
from orchestrator.forward_model.spectrum_fit import (
    library_of,
    observed_spectrum,
    selected_pixels,
    with_ssp_lsf,
)
from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.amplitude import Parabola
from orchestrator.physics.parameter import ParameterValues

__all__ = ["KinematicsModule"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class _KinematicsLikelihood:
    """The kinematics model as a likelihood that has no stellar mass to share."""

    kinematics: KinematicsModel

    def log_likelihood(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate `n_points` parameter sets; what other modules say about the mass is passed over."""
        del before
        return Evaluation(log_likelihood=self.kinematics.log_likelihood(parameters))


class KinematicsModule(CosmosisModule):
    """A module whose template weights are solved inside, at each point."""

    spectrum: Spectrum
    kinematics: KinematicsModel

    def prepare(self) -> None:
        """Read the spectrum and prepare the templates."""
        options = self.options
        self.spectrum = observed_spectrum(options)
        self.kinematics = prepare_kinematics_model(
            self.spectrum,
            with_ssp_lsf(library_of(options), options),
            keep=selected_pixels(options, self.spectrum),
            velscale=options.velscale,
            multiplicative_degree=options.multiplicative_degree,
            additive_degree=options.additive_degree,
            legendre_bounds=options.legendre_bounds,
            legendre_scale=options.legendre_scale,
            template_weights=options.template_weights,
            moments=options.moments,
            extinction_law=options.extinction_law,
            r_v=options.r_v,
            name=options.input_spectrum.name,
        )
        if not only_beta(options):
            noise = pixel_noise(options, self.kinematics.pixels, self.spectrum.redshift)
            self.kinematics = replace(self.kinematics, noise=noise)
        self.model = _KinematicsLikelihood(self.kinematics)
        self.kinematics.resolution.check(self.kinematics.resolution.unresolved_limit, options.input_spectrum.name)

    def make_observable(self, block: Any, parse: bool = False) -> FloatArray:
        """Return the model flux on the pixels that the templates cover, erg/s/cm2/Angstrom, shape (n_covered,)."""
        del parse
        return self.kinematics.model_flux(self.read_parameters(block)).flux[0]

    def flags(self, solution: Any) -> tuple[str, ...]:
        """Say where the dispersion found is below what data and templates resolve."""
        sigma = float(self.read_parameters(solution)["kinematics", "los_sigma"][0])
        return self.kinematics.resolution.flags(sigma)

    def measure_emission_lines(self, solution: Any, **choices: Any) -> EmissionLineMeasurements:
        """Measure the emission lines that the best fit of the stars leaves.

        Parameters
        ----------
        solution : DataBlock or Mapping of (section, name) to float
        **choices
            See `orchestrator.forward_model.emission_lines.measure_emission_lines`: ``lines``, ``kinematics``,
            ``dispersion``, ``detection``.
        """
        parameters = self.read_parameters(solution)
        covered = self.kinematics.pixels.covered
        return measure_lines_of_fit(
            self.spectrum,
            self.options,
            covered,
            self.kinematics.model_flux(parameters).flux[0],
            noise_factor=self.kinematics.noise_scale(parameters, self.spectrum.uncertainty[covered]),
            velocity=float(parameters["kinematics", "los_vel"][0]),
            **choices,
        )

    def goodness_of_fit(self, solution: Any) -> Goodness:
        """Return chi2 with the errors of the file, of the fitted pixels at a solution.

        Weights of templates do not count as free parameters: few of them are above zero, and which is up to the data.
        """
        fit = self.kinematics.model_flux(self.read_parameters(solution))
        pixels = self.kinematics.pixels
        residual = pixels.flux - fit.flux[0][pixels.good_pixels[pixels.covered]]
        return Goodness(float((residual**2 * pixels.inverse_variance).sum()), len(residual), self._n_free)

    def predicted_data(self, solution: Any) -> PredictedData:
        """Return the fitted pixels, their model and their noise at a solution."""
        parameters = self.read_parameters(solution)
        fit, pixels = self.kinematics.model_flux(parameters), self.kinematics.pixels
        good = pixels.good_pixels[pixels.covered]
        stated, noise = pixels.inverse_variance**-0.5, self.kinematics.noise
        scale = self.kinematics.noise_scale(parameters, self.spectrum.uncertainty[pixels.covered])
        nu = None
        if noise is not None and noise.student:
            nu = float(parameters["noise", "nu"][0]) if noise.nu is None else noise.nu
        return PredictedData(
            kind="spectrum",
            wavelength=self.spectrum.rest_wavelength[pixels.covered][good] * (1 + self.spectrum.redshift),
            flux=pixels.flux,
            stated=stated,
            model=fit.flux[0][good],
            noise=stated * np.broadcast_to(scale, good.shape)[good],
            unit="erg/s/cm2/Angstrom",
            nu=nu,
            dependent="the weights of the templates are solved from all pixels at once",
            correlated=noise is not None and noise.kernel is not None,
        )

    @property
    def _n_free(self) -> int:
        return sum(p.lower != p.upper for p in self.parameters) + self.options.multiplicative_degree

    def plot_solution(self, solution: Any, figname: str | Path | None = None) -> Path:
        """Draw spectrum, model, masked regions and residuals.

        Parameters
        ----------
        solution : DataBlock or Mapping of (section, name) to float
        figname : path, optional
            ``<alias>_best_fit_solution.png`` in the working folder if left out.
        """
        from orchestrator.report.spectrum_figure import SpectrumFigureData, plot_spectrum

        parameters = self.read_parameters(solution)
        fit = self.kinematics.model_flux(parameters)
        covered = self.kinematics.pixels.covered
        uncertainty = self.spectrum.uncertainty[covered]
        noise_scale = self.kinematics.noise_scale(parameters, uncertainty)
        typical = float(np.median(noise_scale[self.kinematics.pixels.good_pixels[covered]]))
        beta = 1.0 if self.kinematics.noise is not None else typical**-2
        data = SpectrumFigureData(
            wavelength=self.spectrum.rest_wavelength[covered],
            flux=self.spectrum.flux[covered],
            uncertainty=uncertainty * (noise_scale / typical),
            good_pixels=self.kinematics.pixels.good_pixels[covered],
            model=fit.flux[0],
            continuum=fit.polynomial[0] if self.options.multiplicative_degree else None,
            redshift=self.spectrum.redshift,
            chi2=float(beta * fit.chi2[0]),
            n_degrees_of_freedom=fit.n_good - self._n_free,
            noise_scale=typical,
            title=f"{self.alias}: {self.spectrum.name}",
            annotations=_annotations(parameters),
        )
        return plot_spectrum(data, Path(figname or f"{self.alias}_best_fit_solution.png"))


def _annotations(parameters: Mapping[tuple[str, str], FloatArray]) -> tuple[str, ...]:
    value = {name: float(array[0]) for (_, name), array in parameters.items()}
    return (
        f"$V = {value['los_vel']:.0f}$, $\\sigma = {value['los_sigma']:.0f}$ km s$^{{-1}}$",
        f"$h_3 = {value['los_h3']:.3f}$, $h_4 = {value['los_h4']:.3f}$",
    )
