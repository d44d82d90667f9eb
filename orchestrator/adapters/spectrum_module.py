"""The CosmoSIS side of a fit of the stellar spectrum: FullSpectralFit and SFHSpectra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.adapters.cosmosis_module import CosmosisModule
from orchestrator.forward_model.goodness import Goodness
from orchestrator.physics.parameter import ParameterValues

if TYPE_CHECKING:
    from orchestrator.forward_model.emission_line_table import EmissionLineMeasurements
    from orchestrator.forward_model.evaluation import Evaluation
    from orchestrator.forward_model.general_spectrum import GeneralSpectrumModel
    from orchestrator.forward_model.predicted_data import PredictedData
    from orchestrator.forward_model.spectrum_fit import SpectrumFit
    from orchestrator.forward_model.stellar_spectrum import StellarSpectrumModel
    from orchestrator.physics.amplitude import Parabola

__all__ = ["SpectrumModule"]

FloatArray = NDArray[np.float64]


class SpectrumModule(CosmosisModule):
    """A module whose data are one spectrum and whose model is a stellar population."""

    fit: SpectrumFit
    model: StellarSpectrumModel | GeneralSpectrumModel

    def prepare(self) -> None:
        """Read the spectrum and prepare the templates."""
        from orchestrator.forward_model.general_spectrum import GeneralSpectrumModel
        from orchestrator.forward_model.shared_kinematics import SharedKinematics
        from orchestrator.forward_model.spectrum_fit import prepare_spectrum_fit

        self.fit = prepare_spectrum_fit(self.options)
        self.model = self.fit.model
        self._shared = SharedKinematics(self.model)
        self.has_limits = isinstance(self.model, GeneralSpectrumModel) and self.model.noise.student
        if self._fits_kinematics:
            self.fit.resolution.check(self.fit.resolution.unresolved_limit, self.options.input_spectrum.name)

    def evaluate_batch(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate many points; kinematics and dust that a values file fixes are prepared once."""
        return self._shared.log_likelihood(self.under_own_names(parameters), before)

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
        flux, _ = self.model.model_spectrum(parameters, self.joint_mass(solution))
        fixed = float(getattr(self.options, "los_vel", 0.0))
        velocity = parameters.get(("kinematics", "los_vel"), np.array([fixed]))
        spectrum, pixels = self.fit.spectrum, self.model.pixels
        residual = pixels.flux - flux[0][pixels.good_pixels[pixels.covered]]
        noise_scale, _ = self._noise_found(parameters, spectrum.uncertainty[pixels.covered], residual)
        from orchestrator.forward_model.observed_spectrum import measure_lines_of_fit

        return measure_lines_of_fit(
            spectrum,
            self.options,
            pixels.covered,
            flux[0],
            noise_factor=noise_scale,
            velocity=float(velocity[0]),
            **choices,
        )

    def goodness_of_fit(self, solution: Any) -> Goodness:
        """Return chi2 with the errors of the file, of the fitted pixels at a solution."""
        parameters = self.read_parameters(solution)
        flux, _ = self.model.model_spectrum(parameters, self.joint_mass(solution))
        pixels = self.model.pixels
        residual = pixels.flux - flux[0][pixels.good_pixels[pixels.covered]]
        return Goodness(float((residual**2 * pixels.inverse_variance).sum()), len(residual), self._n_free)

    def predicted_data(self, solution: Any) -> PredictedData:
        """Return the fitted pixels, their model and their noise at a solution."""
        from orchestrator.forward_model.general_spectrum import GeneralSpectrumModel
        from orchestrator.forward_model.predicted_data import PredictedData

        parameters = self.read_parameters(solution)
        flux, _ = self.model.model_spectrum(parameters, self.joint_mass(solution))
        spectrum, pixels = self.fit.spectrum, self.model.pixels
        good = pixels.good_pixels[pixels.covered]
        scale, _ = self._noise_found(parameters, spectrum.uncertainty[pixels.covered], pixels.flux - flux[0][good])
        stated = pixels.inverse_variance**-0.5
        noise = self.model.noise if isinstance(self.model, GeneralSpectrumModel) else None
        nu = None
        if noise is not None and noise.student:
            nu = float(parameters["noise", "nu"][0]) if noise.nu is None else noise.nu
        return PredictedData(
            kind="spectrum",
            wavelength=self.fit.covered_wavelength[good] * (1 + spectrum.redshift),
            flux=pixels.flux,
            stated=stated,
            model=flux[0][good],
            noise=stated * scale[good],
            unit="erg/s/cm2/Angstrom",
            nu=nu,
            dependent=self._why_dependent(noise is not None and noise.kernel is not None),
            correlated=noise is not None and noise.kernel is not None,
        )

    def _why_dependent(self, correlated: bool) -> str:
        """Say why the likelihood of the pixels is no product; empty if it is."""
        if correlated:
            return "the noise is a Gaussian process"
        if "marginalised" in (self.options.amplitude, self.model.polynomial_mode):
            return "mass or polynomial are marginalised inside the likelihood"
        return ""

    @property
    def _n_free(self) -> int:
        """Parameters that follow the data: sampled, solved inside, and the mass."""
        solved = len(self.model.polynomials) - 1 if self.model.polynomial_mode == "profiled" else 0
        mass = self.options.amplitude != "sampled"
        return sum(p.lower != p.upper for p in self.parameters) + solved + mass

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
        uncertainty = spectrum.uncertainty[covered]
        noise_scale, chi2 = self._noise_found(parameters, uncertainty, pixels.flux - flux[0][good])
        typical = float(np.median(noise_scale[good]))
        data = SpectrumFigureData(
            wavelength=self.fit.covered_wavelength,
            flux=spectrum.flux[covered],
            uncertainty=uncertainty * (noise_scale / typical),
            good_pixels=good,
            model=flux[0],
            continuum=polynomial[0] if self.model.polynomial_mode != "none" else None,
            redshift=spectrum.redshift,
            chi2=chi2,
            n_degrees_of_freedom=int(good.sum()) - self._n_free,
            noise_scale=typical,
            title=f"{self.alias}: {spectrum.name}",
            annotations=(f"SSPs: {self.fit.resolution.library_name}", f"SFH: {self.options.sfh_model}"),
        )
        return plot_spectrum(data, Path(figname or f"{self.alias}_best_fit_solution.png"))

    def _noise_found(
        self, parameters: ParameterValues, uncertainty: FloatArray, residual: FloatArray
    ) -> tuple[FloatArray, float]:
        """Return the factors on the stated errors that the noise model means, shape (n_covered,), and chi2."""
        from orchestrator.forward_model.general_spectrum import GeneralSpectrumModel

        if isinstance(self.model, GeneralSpectrumModel):
            usable = np.isfinite(uncertainty) & (uncertainty > 0)
            stated = np.where(usable, uncertainty, 1.0)
            level = self.model.noise_level(parameters, stated)[0]
            return np.where(usable, level / stated, 1.0), float(self.model.chi2(parameters, residual[None])[0])
        beta = float(parameters["noise", "beta"][0]) if self.model.sampled_noise else 1.0
        chi2 = float((beta * residual**2 * self.model.pixels.inverse_variance).sum())
        return np.full(len(uncertainty), beta**-0.5), chi2
