"""The CosmoSIS side of a fit of the stellar spectrum: FullSpectralFit and SFHSpectra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.adapters.cosmosis_module import CosmosisModule
from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.shared_kinematics import SharedKinematics
from orchestrator.forward_model.spectrum_fit import SpectrumFit, prepare_spectrum_fit
from orchestrator.forward_model.stellar_spectrum import StellarSpectrumModel
from orchestrator.physics.amplitude import Parabola
from orchestrator.physics.parameter import ParameterValues

__all__ = ["SpectrumModule"]

FloatArray = NDArray[np.float64]


class SpectrumModule(CosmosisModule):
    """A module whose data are one spectrum and whose model is a stellar population."""

    fit: SpectrumFit
    model: StellarSpectrumModel

    def prepare(self) -> None:
        """Read the spectrum and prepare the templates."""
        self.fit = prepare_spectrum_fit(self.options)
        self.model = self.fit.model
        self._shared = SharedKinematics(self.model)
        if self._fits_kinematics:
            self.fit.resolution.check(self.fit.resolution.unresolved_limit, self.options.input_spectrum.name)

    def evaluate_batch(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate many points; kinematics and dust that a values file fixes are prepared once."""
        return self._shared.log_likelihood(parameters, before)

    @property
    def _fits_kinematics(self) -> bool:
        return self.model.basis_rfft is not None

    def make_observable(self, block: Any, parse: bool = False) -> FloatArray:
        """Return the model flux on the pixels that the templates cover, erg/s/cm2/Angstrom, shape (n_covered,)."""
        del parse
        flux, _ = self.model.model_spectrum(self.read_parameters(block))
        return flux[0]

    def flags(self, solution: Any) -> tuple[str, ...]:
        """Say where a fitted dispersion is below what data and templates resolve."""
        if not self._fits_kinematics:
            return ()
        return self.fit.resolution.flags(float(self.read_parameters(solution)["kinematics", "los_sigma"][0]))

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
        flux, polynomial = self.model.model_spectrum(parameters, self.joint_mass(solution))
        spectrum, pixels = self.fit.spectrum, self.model.pixels
        covered = pixels.covered
        good = pixels.good_pixels[covered]
        beta = float(parameters["noise", "beta"][0]) if self.model.sampled_noise else 1.0
        residual = pixels.flux - flux[0][good]
        n_free = sum(p.lower != p.upper for p in self.parameters)
        n_free += len(self.model.polynomials) - 1 if self.model.polynomial_mode == "profiled" else 0
        data = SpectrumFigureData(
            wavelength=self.fit.covered_wavelength,
            flux=spectrum.flux[covered],
            uncertainty=spectrum.uncertainty[covered],
            good_pixels=good,
            model=flux[0],
            continuum=polynomial[0] if self.model.polynomial_mode != "none" else None,
            redshift=spectrum.redshift,
            chi2=float((beta * residual**2 * pixels.inverse_variance).sum()),
            n_degrees_of_freedom=int(good.sum()) - n_free,
            noise_scale=float(beta**-0.5),
            title=f"{self.alias}: {spectrum.name}",
            annotations=(f"SSPs: {self.fit.resolution.library_name}", f"SFH: {self.options.sfh_model}"),
        )
        return plot_spectrum(data, Path(figname or f"{self.alias}_best_fit_solution.png"))
