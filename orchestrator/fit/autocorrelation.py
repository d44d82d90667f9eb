"""Integrated autocorrelation time and effective sample size of an ensemble of Markov chains.

The estimates are those of emcee and, for the effective samples, of Stan and ArviZ; they are computed here because a
production summarises a chain in milliseconds, which neither package does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Autocorrelation", "autocorrelation"]

FloatArray = NDArray[np.float64]

_WINDOW = 5.0
"""The sum over lags ends at so many autocorrelation times (Sokal 1996), as in emcee."""
SHORTEST = 4
"""Fewer steps tell nothing."""


class Autocorrelation(NamedTuple):
    """Times and sizes, each of shape (n_parameters,); NaN where a walker never moved or there are too few steps.

    Attributes
    ----------
    time : ndarray
        Integrated autocorrelation time in steps, the mean over the walkers' autocorrelation functions (emcee).
        Each walker is compared with its own mean, so walkers in different modes do not lengthen it.
    effective_samples : ndarray
        Of all walkers together. Each is compared with the mean of all of them, so walkers that stay apart
        reduce it.
    """

    time: FloatArray
    effective_samples: FloatArray


def autocorrelation(steps: FloatArray) -> Autocorrelation:
    """Measure an ensemble.

    Parameters
    ----------
    steps : ndarray, shape (n_steps, n_walkers, n_parameters)
        After the burn-in.

    Returns
    -------
    Autocorrelation

    References
    ----------
    Goodman & Weare 2010, Comm. App. Math. Comp. Sci. 5, 65 (section 5); Vehtari et al. 2021, Bayesian Analysis 16,
    667, equations 3 and 10 for the effective samples, with the window of the former.
    """
    n_steps, n_walkers, n_parameters = steps.shape
    time, effective = np.full(n_parameters, np.nan), np.full(n_parameters, np.nan)
    if n_steps < SHORTEST:
        return Autocorrelation(time, effective)
    for index in range(n_parameters):  # one at a time: the transforms of a long chain would fill the memory
        values = np.ascontiguousarray(steps[:, :, index].T)
        means = values.mean(axis=1)
        covariance = _autocovariance(values - means[:, None])
        variances = covariance[:, 0]
        if not np.all(variances > 0):
            continue
        time[index] = max(1.0, _time((covariance / variances[:, None]).mean(axis=0)))
        pooled = covariance.mean(axis=0)
        within = pooled[0] * n_steps / (n_steps - 1)
        between = means.var(ddof=1) if n_walkers > 1 else 0.0
        correlation = 1.0 - (within - pooled) / (pooled[0] + between)
        correlation[0] = 1.0
        effective[index] = n_steps * n_walkers / max(1.0, _time(correlation))
    return Autocorrelation(time, effective)


def _autocovariance(residuals: FloatArray) -> FloatArray:
    """Autocovariance of each row at every lag, normalised by the length."""
    n_steps = residuals.shape[1]
    length = 2 ** int(np.ceil(np.log2(2 * n_steps)))
    length = 3 * length // 4 if 3 * length // 4 >= 2 * n_steps else length
    transform = np.fft.rfft(residuals, length, axis=1)
    power = transform.real**2 + transform.imag**2
    return np.fft.irfft(power, length, axis=1)[:, :n_steps] / n_steps


def _time(correlation: FloatArray) -> float:
    """Sum an autocorrelation function up to the first lag beyond the window."""
    times = 2.0 * np.cumsum(correlation) - 1.0
    inside = np.arange(len(times)) < _WINDOW * times
    last = int(np.argmin(inside)) if not inside.all() else len(times) - 1
    return float(times[last])
