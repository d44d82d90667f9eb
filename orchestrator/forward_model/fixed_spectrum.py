"""A spectral model for other templates, or for kinematics and dust that are fixed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from orchestrator.forward_model.prepared_templates import PreparedTemplates
from orchestrator.forward_model.spectrum_model import StellarSpectrumModel
from orchestrator.physics.losvd import rfft_templates
from orchestrator.physics.parameter import ParameterValues

__all__ = ["fix_kinematics_and_dust", "with_templates"]

FloatArray = NDArray[np.float64]


def with_templates(model: StellarSpectrumModel, templates: PreparedTemplates) -> StellarSpectrumModel:
    """Give a model other templates on the same grid, with free kinematics and dust."""
    exact = templates.exact
    basis_rfft, n_fft = rfft_templates(templates.basis.basis)
    basis_rfft *= model.flux_per_luminosity
    return replace(
        model,
        n_fft=n_fft,
        coefficients=np.ascontiguousarray(templates.basis.coefficients),
        basis_rfft=np.ascontiguousarray(basis_rfft),
        fixed_basis=None,
        fixed_covered=None,
        dust_is_fixed=False,
        parabola_table=None,
        ranges=templates.ranges,
        make_exact=None if exact is None else partial(with_templates, model, exact),
    )


def fix_kinematics_and_dust(
    model: StellarSpectrumModel, parameters: ParameterValues, *, dust: bool = True
) -> StellarSpectrumModel:
    """Convolve, dim and project the templates once, for one set of kinematics and dust.

    Parameters
    ----------
    parameters : mapping of (section, name) to ndarray, shape (1,)
        ``kinematics/los_vel, los_sigma, los_h3, los_h4`` and ``dust.extinction/a_v``.
    dust : bool
        False leaves the dust free.
    """
    rank = model.coefficients.shape[1]
    repeated = {key: np.repeat(value, rank) for key, value in parameters.items()}
    plain = replace(model, polynomial_mode="none", dust_is_fixed=not dust)
    fixed = plain._shape(repeated, np.eye(rank))
    table = None
    if dust and model.polynomial_mode == "none":
        table = _parabola_table(model, fixed)
    make_exact = None
    if model.make_exact is not None:
        # through the property, so that models for other kinematics share the transformed templates
        def make_exact() -> StellarSpectrumModel:
            return fix_kinematics_and_dust(model.exact, parameters, dust=dust)

    return replace(
        model,
        basis_rfft=None,
        fixed_basis=np.ascontiguousarray(fixed),
        fixed_covered=np.ascontiguousarray(plain._shape(repeated, np.eye(rank), covered=True)),
        dust_is_fixed=dust,
        parabola_table=table,
        make_exact=make_exact,
        foreground=None,
    )


def _parabola_table(model: StellarSpectrumModel, fixed: FloatArray) -> FloatArray:
    """Return what takes the masses of the SSPs to the likelihood without pixels (see the attribute)."""
    # A triangular factor from the pixels themselves keeps digits that a matrix of products loses.
    factor = linalg.qr((fixed * np.sqrt(model.pixels.inverse_variance)).T, mode="r", check_finite=False)[0]
    factor = factor[: len(fixed)]
    return np.ascontiguousarray(model.coefficients @ np.column_stack([fixed @ model.weighted_data, factor.T]))
