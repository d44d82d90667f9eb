"""From the options of a module to the noise model of its data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.noise_options import NoiseOptions
from orchestrator.forward_model.pixels import FittedPixels
from orchestrator.physics.constants import SPEED_OF_LIGHT_KMS
from orchestrator.physics.correlated_noise import Kernel
from orchestrator.physics.noise_models import NoiseModel, smooth_level
from orchestrator.physics.parameter import ParameterValues

__all__ = ["HARMLESS_NOISE", "band_noise", "noise_values", "only_beta", "pixel_noise"]

FloatArray = NDArray[np.float64]

SECTION = "noise"
"""Section under which models know the noise; the section of the values file is the adapter's business."""

HARMLESS_NOISE = {"beta": 1.0, "nu": 5.0}
"""Where points outside the support are evaluated; 0 for the other parameters."""


def only_beta(options: NoiseOptions) -> bool:
    """Whether the noise is as stated, or scaled as a whole: what the sums of the fast model express."""
    return options.noise_model in (None, "MultiplicativeNoiseModel") and not options.noise_fractional


def noise_values(
    noise: NoiseModel, parameters: ParameterValues, possible: NDArray[np.bool_] | None = None
) -> Mapping[str, FloatArray]:
    """Return the noise parameters by name, each of shape (n_points,); harmless where a point is not `possible`."""
    values = {name: parameters[SECTION, name] for name in noise.parameters}
    if possible is None or possible.all():
        return values
    return {name: np.where(possible, value, HARMLESS_NOISE.get(name, 0.0)) for name, value in values.items()}


def pixel_noise(options: NoiseOptions, pixels: FittedPixels, redshift: float) -> NoiseModel:
    """Return the noise model of the fitted pixels of a spectrum."""
    position = None
    if options.noise_model == "GaussianProcess":
        observed = pixels.wavelength * (1 + redshift)
        angstrom = options.noise_gp_axis == "Angstrom"
        position = observed if angstrom else SPEED_OF_LIGHT_KMS * np.log(observed)
    return _noise(options, pixels.inverse_variance, smooth_level(pixels.flux), position)


def band_noise(options: NoiseOptions, flux: FloatArray, uncertainty: FloatArray) -> NoiseModel:
    """Return the noise model of bands, shape (n_bands,); the fractional term follows each band's own flux."""
    return _noise(options, uncertainty**-2.0, np.abs(flux), None)


def _noise(
    options: NoiseOptions, inverse_variance: FloatArray, level: FloatArray, position: FloatArray | None
) -> NoiseModel:
    chosen = options.noise_model
    return NoiseModel(
        inverse_variance=inverse_variance,
        level=level,
        beta=options.samples_beta,
        jitter=chosen in ("AdditiveNoiseModel", "JitterNoiseModel"),
        fractional=options.noise_fractional,
        student=chosen == "StudentT",
        nu=options.noise_nu,
        kernel=Kernel(options.noise_kernel, options.noise_gp_quality) if chosen == "GaussianProcess" else None,
        position=position,
    )
