"""The CosmoSIS side of the fit of a redshift: SpectraRedshiftFit."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.adapters.cosmosis_module import CosmosisModule, _put
from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.goodness import Goodness
from orchestrator.forward_model.redshift_model import RedshiftModel, RedshiftProfile
from orchestrator.forward_model.redshift_setup import RedshiftFit, prepare_redshift_fit
from orchestrator.physics.amplitude import Parabola
from orchestrator.physics.parameter import ParameterValues

__all__ = ["RedshiftModule", "write_profile"]

FloatArray = NDArray[np.float64]

AMBIGUOUS = 10.0
"""A second peak whose log-likelihood is lower by less than this is flagged."""


class RedshiftModule(CosmosisModule):
    """A module whose data are one spectrum of unknown redshift."""

    fit: RedshiftFit
    model: RedshiftModel

    def prepare(self) -> None:
        """Read the spectrum and prepare the templates for all trial redshifts."""
        self.fit = prepare_redshift_fit(self.options)
        self.model = self.fit.model
        self._best: tuple[float, dict[tuple[str, str], FloatArray]] | None = None

    def evaluate_batch(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate many points, and remember the best one for the profile."""
        parameters = self.under_own_names(parameters)
        evaluation = self.model.log_likelihood(parameters, before)
        if self.options.save_z_loglike is not None:
            self._remember(parameters, evaluation.log_likelihood)
        return evaluation

    def execute(self, block: Any) -> int:
        """Evaluate one point of a CosmoSIS run; a redshift that was maximised over goes to ``redshift/redshift``."""
        parameters = self.read_parameters(block)
        evaluation = self.evaluate_batch(parameters, self._joint_before(block))
        _put(block, "likelihoods", self.like_name, evaluation.log_likelihood[0])
        self._write_extra(block, evaluation)
        if self.model.maximised:
            _put(block, "redshift", "redshift", evaluation.extra["redshift"][0])
        return 0

    def make_observable(self, block: Any, parse: bool = False) -> FloatArray:
        """Return the model flux from the first to the last fitted pixel, erg/s/cm2/Angstrom, shape (n_covered,).

        With ``use_features`` its continuum is included.
        """
        del parse
        parameters = self.read_parameters(block)
        redshift, mass, _ = self._solution(parameters, self.joint_mass(block))
        return self._model_flux(parameters, redshift, mass)[0]

    def flags(self, solution: Any) -> tuple[str, ...]:
        """Say where a redshift is at the edge of its range, or not the only possible one."""
        parameters = self.read_parameters(solution)
        if self.options.save_z_loglike is not None:
            self._best = (np.inf, {key: value.copy() for key, value in parameters.items()})
        redshift, _, evaluation = self._solution(parameters)
        grid = self.model.grid
        near = 0.5 * grid.step * (1 + redshift)
        found = []
        if redshift - grid.z_min < near or grid.z_max - redshift < near:
            found.append(
                f"at the edge of z_min..z_max: {redshift:.5f} of {grid.z_min:g} to {grid.z_max:g}; widen it"
            )
        second = evaluation.extra.get("second_redshift", np.array([np.nan]))[0]
        if np.isfinite(second) and evaluation.extra["second_lower_by"][0] < AMBIGUOUS:
            found.append(
                f"second peak: redshift = {second:.5f} has a log-likelihood only "
                f"{evaluation.extra['second_lower_by'][0]:.1f} below that of {redshift:.5f}"
            )
        return tuple(found)

    def goodness_of_fit(self, solution: Any) -> Goodness:
        """Return chi2 with the errors of the file, of the fitted pixels at a solution."""
        parameters = self.read_parameters(solution)
        redshift, mass, _ = self._solution(parameters, self.joint_mass(solution))
        drawn = self._figure_data(parameters, redshift, mass)
        n_data = int(drawn.good_pixels.sum())
        return Goodness(drawn.chi2 * drawn.noise_scale**2, n_data, n_data - drawn.n_degrees_of_freedom)

    def cleanup(self) -> None:
        """Write ln L as a function of redshift at the best point: that of the chain, or the best one seen."""
        if self.options.save_z_loglike is not None and self._best is not None:
            write_profile(self.model.profile(self._best[1]), self.options.save_z_loglike, self._description())

    def plot_solution(self, solution: Any, figname: str | Path | None = None) -> Path:
        """Draw the spectrum at the best redshift; beside it, in ``<name>_redshift``, the profile over redshift.

        Parameters
        ----------
        solution : DataBlock or Mapping of (section, name) to float
        figname : path, optional
            ``<alias>_best_fit_solution.png`` in the working folder if left out.
        """
        from orchestrator.report.redshift_figure import RedshiftFigureData, plot_redshift
        from orchestrator.report.spectrum_figure import plot_spectrum

        path = Path(figname or f"{self.alias}_best_fit_solution.png")
        parameters = self.read_parameters(solution)
        redshift, mass, evaluation = self._solution(parameters, self.joint_mass(solution))
        profile = self.model.profile(parameters)
        second = float(evaluation.extra.get("second_redshift", np.array([np.nan]))[0])
        data = RedshiftFigureData(
            redshift=profile.redshift,
            log_likelihood=profile.log_likelihood,
            best=redshift,
            uncertainty=float(evaluation.extra.get("redshift_error", np.array([np.nan]))[0]),
            second=second if np.isfinite(second) else None,
            title=f"{self.alias}: {self.fit.spectrum.name}",
        )
        plot_redshift(data, path.with_name(f"{path.stem}_redshift{path.suffix or '.png'}"))
        return plot_spectrum(self._figure_data(parameters, redshift, mass), path)

    # ---- helpers ----------------------------------------------------------------------------------------
    def _solution(
        self, parameters: ParameterValues, joint_mass: FloatArray | None = None
    ) -> tuple[float, float, Evaluation]:
        """Return redshift, mass (that of a joint fit where given) and evaluation of one point."""
        evaluation = self.model.log_likelihood(parameters)
        assert evaluation.amplitude is not None
        mass = evaluation.amplitude if joint_mass is None else joint_mass
        return float(evaluation.extra["redshift"][0]), float(mass[0]), evaluation

    def _model_flux(
        self, parameters: ParameterValues, redshift: float, mass: float
    ) -> tuple[FloatArray, FloatArray | None]:
        """Return model, polynomial included, and polynomial on the covered pixels; None without polynomial."""
        model, likelihood = self.model, self.model.likelihood
        position = self.fit.covered_position
        flux = model.model_spectrum(parameters, redshift, position, np.array([mass]))
        if likelihood.kind not in ("sampled", "profiled"):
            return flux, None
        polynomial = model.polynomial(parameters, redshift, self.fit.spectrum.wavelength[self.fit.covered], mass)
        return flux * polynomial, polynomial

    def _figure_data(self, parameters: ParameterValues, redshift: float, mass: float) -> Any:
        from orchestrator.report.spectrum_figure import SpectrumFigureData

        fit, spectrum, covered = self.fit, self.fit.spectrum, self.fit.covered
        good = fit.good_pixels[covered]
        flux, model = spectrum.flux[covered].copy(), self._model_flux(parameters, redshift, mass)
        drawn = model[0]
        if fit.continuum is not None:
            flux[good] -= fit.continuum.of(flux[good])
            drawn = np.full(len(flux), np.nan)
            drawn[good] = model[0][good] - fit.continuum.of(model[0][good])
            flux[~good] = np.nan
        note = () if fit.continuum is None else ("continuum taken off",)
        beta = float(parameters["noise", "beta"][0]) if self.model.likelihood.sampled_noise else 1.0
        weight = (spectrum.inverse_variance * spectrum.weights)[covered][good]
        n_free = sum(p.lower != p.upper for p in self.parameters) + int(self.model.maximised)
        n_free += len(self.model.likelihood.degrees) - 1 if self.model.likelihood.kind == "profiled" else 0
        n_free += len(fit.continuum.basis) if fit.continuum is not None else 0
        return SpectrumFigureData(
            wavelength=spectrum.wavelength[covered] / (1 + redshift),
            flux=flux,
            uncertainty=spectrum.uncertainty[covered],
            good_pixels=good,
            model=drawn,
            continuum=model[1],
            redshift=redshift,
            chi2=float((beta * (flux[good] - drawn[good]) ** 2 * weight).sum()),
            n_degrees_of_freedom=int(good.sum()) - n_free,
            noise_scale=float(beta**-0.5),
            title=f"{self.alias}: {spectrum.name}",
            annotations=(f"z = {redshift:.5f}", f"SSPs: {fit.library_name}", *note),
        )

    def _remember(self, parameters: ParameterValues, log_likelihood: FloatArray) -> None:
        best = int(np.argmax(log_likelihood))
        height = float(log_likelihood[best])
        if np.isfinite(height) and (self._best is None or height > self._best[0]):
            self._best = (height, {key: np.array([value[best]]) for key, value in parameters.items()})

    def _description(self) -> dict[str, str]:
        return {
            "spectrum": self.fit.spectrum.name,
            "SSP library": self.fit.library_name,
            "SFH model": self.options.sfh_model,
            "log-likelihood": "natural logarithm, other parameters at the best point",
        }


def write_profile(profile: RedshiftProfile, path: Path, description: dict[str, str]) -> Path:
    """Write a profile as FITS (suffix ``.fits``) or as ECSV, whole or not at all.

    Parameters
    ----------
    profile : RedshiftProfile
    path : Path
    description : dict of str to str
        Kept in the header.
    """
    from astropy import units
    from astropy.table import QTable

    best = int(np.argmax(profile.log_likelihood))
    table = QTable(
        {
            "redshift": profile.redshift * units.dimensionless_unscaled,
            "log_likelihood": profile.log_likelihood * units.dimensionless_unscaled,
            "stellar_mass": profile.stellar_mass * units.Msun,
        }
    )
    is_fits = path.suffix.lower() in (".fits", ".fit")
    note = {"best redshift": float(profile.redshift[best]), **description}
    table.meta = {"comments": [f"{key}: {value}" for key, value in note.items()]} if is_fits else note
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        table.write(temporary, format="fits" if is_fits else "ascii.ecsv")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
