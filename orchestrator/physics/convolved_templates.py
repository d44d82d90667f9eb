"""Templates convolved with an LOSVD, on demand, and the adjoint of that operation.

A fit with non-negative weights uses few of many templates. Only those are convolved; the products of a
spectrum with *all* convolved templates (the gradient with respect to their weights) come from correlating
the one spectrum with the LOSVD instead of convolving every template.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from orchestrator.physics.losvd import convolve_templates, rfft_templates
from orchestrator.physics.wavelength import CubicProjection, apply_projection

__all__ = ["TemplateBank", "convolve_and_project", "convolved_products", "prepare_template_bank"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True)
class TemplateBank:
    """Templates on the model grid, ready for convolution in Fourier space.

    Attributes
    ----------
    padded : ndarray, shape (n_templates, n_fft)
        Templates; beyond the grid their ends are joined, because the transform is periodic.
    transforms : ndarray of complex, shape (n_templates, n_fft // 2 + 1)
        Their real Fourier transforms.
    n_grid, n_fft : int
        Pixels of the model grid, and of the transform.
    """

    padded: FloatArray = field(repr=False)
    transforms: ComplexArray = field(repr=False)
    n_grid: int
    n_fft: int


def prepare_template_bank(templates: FloatArray) -> TemplateBank:
    """Pad and transform templates.

    Parameters
    ----------
    templates : ndarray, shape (n_templates, n_grid)
        On a grid uniform in ln(wavelength).

    Raises
    ------
    ValueError
        If `templates` is not a two-dimensional array with at least one row.
    """
    if templates.ndim != 2 or templates.shape[0] == 0:
        msg = f"templates has shape {templates.shape}; expected (n_templates, n_grid), at least one template"
        raise ValueError(msg)
    transforms, n_fft = rfft_templates(templates)
    return TemplateBank(fft.irfft(transforms, n_fft, axis=1), transforms, templates.shape[1], n_fft)


def convolve_and_project(
    bank: TemplateBank, transforms: ComplexArray, losvd: ComplexArray, projection: CubicProjection
) -> FloatArray:
    """Convolve and project onto the observed pixels.

    Parameters
    ----------
    bank : TemplateBank
    transforms : ndarray of complex, shape (n, n_fft // 2 + 1)
        Rows of the bank's transforms.
    losvd : ndarray of complex, shape (n_fft // 2 + 1,)
        Transform of the LOSVD (see :func:`orchestrator.physics.losvd.losvd_rfft`).
    projection : CubicProjection
        From the model grid to the observed pixels.

    Returns
    -------
    ndarray, shape (n, n_pixels)
    """
    return apply_projection(projection, convolve_templates(transforms, losvd, bank.n_fft, bank.n_grid))


def convolved_products(
    bank: TemplateBank, spectrum: FloatArray, losvd: ComplexArray, projection: CubicProjection
) -> FloatArray:
    """Return the product of a spectrum with every template convolved and projected.

    Equal to ``convolve_and_project(bank, bank.transforms, ...) @ spectrum`` without making that matrix.

    Parameters
    ----------
    spectrum : ndarray, shape (n_pixels,)
        On the observed pixels.

    Returns
    -------
    ndarray, shape (n_templates,)
    """
    if projection.identity:
        on_grid = np.bincount(projection.first, weights=spectrum, minlength=bank.n_fft)
    else:
        taps = projection.first[:, None] + np.arange(4)
        shares = projection.weights * spectrum[:, None]
        on_grid = np.bincount(taps.ravel(), weights=shares.ravel(), minlength=bank.n_fft)
    correlated = fft.irfft(fft.rfft(on_grid) * np.conj(losvd), bank.n_fft)
    return np.asarray(bank.padded @ correlated)
