"""Mean absorption of the light of galaxies by intergalactic hydrogen."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["igm_transmission"]

FloatArray = NDArray[np.float64]

_LYMAN_LIMIT = 912.0  # Angstrom; as Madau has it
_RYDBERG = 911.753  # Angstrom
_MADAU_LINES = ((1216.0, 3.6e-3), (1026.0, 1.7e-3), (973.0, 1.2e-3), (950.0, 9.3e-4))

# Inoue et al. 2014, Table 2: amplitudes of the Lyman lines from 2 to 40 in the first range of redshift. Those of the
# later ranges follow, as the optical depth is continuous there.
_FOREST = (
    16897.6, 4692.29, 2238.98, 1319.01, 870.656, 617.843, 460.924, 356.887,
    284.278, 231.771, 192.348, 162.155, 138.498, 119.611, 104.314, 91.7397,
    81.2784, 72.5069, 65.0549, 58.6816, 53.1918, 48.4261, 44.274, 40.6311,
    37.3821, 34.5377, 31.9891, 29.711, 27.6635, 25.8178, 24.1479, 22.6347,
    21.2567, 19.9967, 18.8476, 17.7928, 16.8222, 15.9286, 15.0996,
)  # 1e-6
_DAMPED = (
    161.698, 154.539, 149.767, 146.031, 142.893, 140.159, 137.714, 135.495,
    133.452, 131.561, 129.785, 128.117, 126.54, 125.041, 123.614, 122.248,
    120.938, 119.681, 118.469, 117.298, 116.167, 115.071, 114.011, 112.983,
    111.972, 111.002, 110.051, 109.125, 108.22, 107.337, 106.473, 105.629,
    104.802, 103.991, 103.198, 102.42, 101.657, 100.908, 100.168,
)  # 1e-6
_FOREST_RANGES = ((1.0, 2.2, 1.2, -0.325), (2.2, 5.7, 3.7, 2.55e-2), (5.7, np.inf, 5.5, 5.22e-4))
"""1 + z from and to, exponent of the lines, amplitude of the continuum (eq. 21, 25 to 27)."""
_DAMPED_RANGES = ((1.0, 3.0, 2.0, 0.211, 7.66e-2), (3.0, np.inf, 3.0, 4.7e-2, 1.78e-2))
"""The same of the damped systems, with two amplitudes of the continuum (eq. 22, 28, 29)."""


def igm_transmission(wavelength: ArrayLike, redshift: float, model: str) -> FloatArray:
    """Return the mean fraction of light that intergalactic hydrogen lets pass.

    Parameters
    ----------
    wavelength : array_like, shape (n_wave,)
        Observed frame, Angstrom. Where absorbers would need a negative redshift only their lines are left out.
    redshift : float
        Of the galaxy.
    model : {'none', 'madau1995', 'inoue2014'}

    Returns
    -------
    ndarray, shape (n_wave,)
    """
    observed = np.asarray(wavelength, dtype=np.float64)
    if model == "none" or redshift <= 0:
        return np.ones_like(observed)
    depth = _madau1995(observed, redshift) if model == "madau1995" else _inoue2014(observed, redshift)
    return np.asarray(np.exp(-depth))


def _madau1995(observed: FloatArray, redshift: float) -> FloatArray:
    """Effective optical depth of Madau (1995, ApJ 441, 18): his eq. 12 and 15, continuum from footnote 3."""
    depth = np.zeros_like(observed)
    for line, strength in _MADAU_LINES:
        seen = (observed > line) & (observed < line * (1 + redshift))
        depth += np.where(seen, strength * (observed / line) ** 3.46, 0.0)
    emitted, absorbed = 1 + redshift, np.clip(observed / _LYMAN_LIMIT, 1.0, 1 + redshift)
    continuum = (
        0.25 * absorbed**3 * (emitted**0.46 - absorbed**0.46)
        + 9.4 * absorbed**1.5 * (emitted**0.18 - absorbed**0.18)
        - 0.7 * absorbed**3 * (absorbed**-1.32 - emitted**-1.32)
        - 0.023 * (emitted**1.68 - absorbed**1.68)
    )
    return np.asarray(depth + np.maximum(continuum, 0.0))


def _inoue2014(observed: FloatArray, redshift: float) -> FloatArray:
    """Mean optical depth of Inoue et al. (2014, MNRAS 442, 1805): forest and damped systems, lines and continuum."""
    depth = np.zeros_like(observed)
    for level, forest, damped in zip(range(2, 41), _FOREST, _DAMPED, strict=True):
        line = _RYDBERG * level**2 / (level**2 - 1)
        ratio = observed / line
        seen = (ratio > 1) & (ratio < 1 + redshift)
        ratio = np.where(seen, ratio, 1.0)
        first, second, third = (ratio**power for power in (1.2, 3.7, 5.5))
        second, third = second * 2.2**-2.5, third * 2.2**-2.5 * 5.7**-1.8
        lines = forest * np.where(ratio < 2.2, first, np.where(ratio < 5.7, second, third))
        lines += damped * np.where(ratio < 3.0, ratio**2, ratio**3 / 3.0)
        depth += np.where(seen, 1e-6 * lines, 0.0)
    return depth + _inoue_continuum(np.clip(observed / _RYDBERG, 1.0, 1 + redshift), 1 + redshift)


def _inoue_continuum(absorbed: FloatArray, emitted: float) -> FloatArray:
    """Continuum of both, from 1 + z = `absorbed`, where the light is at the Lyman limit, to the galaxy."""
    depth = np.zeros_like(absorbed)
    for low, high, power, amplitude in _FOREST_RANGES:
        start, end = np.clip(absorbed, low, high), min(max(emitted, low), high)
        depth += amplitude * absorbed**2.1 * (end ** (power - 2.1) - start ** (power - 2.1))
    for low, high, power, first, second in _DAMPED_RANGES:
        start, end = np.clip(absorbed, low, high), min(max(emitted, low), high)
        depth += first * (end**power - start**power)
        depth -= second * absorbed**-0.3 * (end ** (power + 0.3) - start ** (power + 0.3))
    return depth
