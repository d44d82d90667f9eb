"""Kinematics against pPXF: mocks with known truth, and real MaNGA spectra.

Run it where ``ppxf`` is installed::

    python benchmarks/study_kinematics.py mocks --number 100 --sigma 150
    python benchmarks/study_kinematics.py manga path/to/MaNGA_test_spectra.fits.gz

Both codes get the same templates, matched to the same resolution, the same pixels and the same polynomial.
The mocks are made from the library at its own sampling by a convolution in real space on a finer grid, from a
star-formation history between the nodes of the library, so that neither code can find its own arithmetic in
the data.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from orchestrator.forward_model.kinematics import KinematicsModel
from orchestrator.forward_model.kinematics_setup import prepare_kinematics_model
from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.losvd import gauss_hermite_losvd
from orchestrator.physics.wavelength import SPEED_OF_LIGHT_KMS, pixel_edges, rebin_flux_density
from orchestrator.ssp_libraries.library import SSPLibrary
from orchestrator.ssp_libraries.load import load_library

FloatArray = NDArray[np.float64]

NAMES = ("los_vel", "los_sigma", "los_h3", "los_h4")
WAVE_RANGE = (3700.0, 8900.0)
VELSCALE = SPEED_OF_LIGHT_KMS * np.log(10.0) * 1e-4
OVERSAMPLING = 4
PPXF_HERMITE_PRIOR = 1.0 / np.sqrt(0.49 * 500.0)
"""Width of the Gaussian prior on h3 and h4 that pPXF's default penalty amounts to at chi2 = 1 per pixel.

Its chi2 grows by the factor 1 + bias**2 (h3**2 + h4**2) with bias**2 = 0.49 * 500 / n_pixels (Cappellari &
Emsellem 2004, PASP 116, 138, section 3.3)."""

BOUNDS = ((-500.0, 500.0), (10.0, 500.0), (-0.3, 0.3), (-0.3, 0.3))


@dataclass(frozen=True)
class Measurement:
    """Velocity, dispersion, h3, h4, their errors scaled by sqrt(chi2 per pixel), and the cost."""

    values: FloatArray
    errors: FloatArray
    reduced_chi2: float
    seconds: float
    evaluations: int


def mock_spectrum(
    library: SSPLibrary, truth: FloatArray, signal_to_noise: float, rng: np.random.Generator
) -> Spectrum:
    """Return a noisy spectrum at redshift 0 with the LSF of the library.

    An old population with an exponential history and a burst, both at metallicities and ages between the
    nodes, under a smooth error of the flux calibration.

    Parameters
    ----------
    library : SSPLibrary
    truth : ndarray, shape (4,)
        Velocity and dispersion in km/s, h3, h4.
    signal_to_noise : float
        Per pixel.
    """
    step = VELSCALE / SPEED_OF_LIGHT_KMS
    n_margin = 60
    n_pixels = int(np.log(WAVE_RANGE[1] / WAVE_RANGE[0]) / step)
    n_fine = (n_pixels + 2 * n_margin) * OVERSAMPLING
    fine_step = step / OVERSAMPLING
    start = np.log(WAVE_RANGE[0]) - (n_margin + 0.5) * step
    fine = np.exp(start + fine_step * (np.arange(n_fine) + 0.5))
    flux = rebin_flux_density(library.wavelength, _off_grid_population(library, rng), pixel_edges(fine))
    reach = int(8 * truth[1] / VELSCALE * OVERSAMPLING) + 40
    velocity = np.arange(-reach, reach + 1) * VELSCALE / OVERSAMPLING
    kernel = gauss_hermite_losvd(velocity, *truth)
    broadened = np.convolve(flux, kernel / kernel.sum(), mode="same")
    pixels = broadened.reshape(-1, OVERSAMPLING).mean(axis=1)[n_margin:-n_margin]
    wavelength = np.exp(np.log(WAVE_RANGE[0]) + step * np.arange(n_pixels))
    x = np.linspace(-1, 1, n_pixels)
    pixels = pixels * (1 + 0.05 * x + 0.03 * np.cos(3 * x)) * 1e-17 / pixels.mean()
    sigma = np.full(n_pixels, pixels.mean() / signal_to_noise)
    return Spectrum(
        wavelength=wavelength,
        flux=pixels + rng.normal(0.0, sigma),
        uncertainty=sigma,
        good_pixels=np.ones(n_pixels, dtype=bool),
        weights=np.ones(n_pixels),
        lsf_fwhm=np.interp(wavelength, library.wavelength, library.lsf_fwhm),
        name="mock",
    )


def _off_grid_population(library: SSPLibrary, rng: np.random.Generator) -> FloatArray:
    age = 10**library.log10_age_yr / 1e9
    first = int(rng.integers(0, len(library.metallicity) - 1))
    share = rng.uniform(0.2, 0.8)
    spectra = (1 - share) * library.flux[first] + share * library.flux[first + 1]
    oldest, timescale = rng.uniform(7.0, 13.0), rng.uniform(0.5, 4.0)
    weights = np.where(age < oldest, np.exp((age - oldest) / timescale), 0.0) * np.gradient(age)
    burst_age = rng.uniform(0.5, 4.0)
    k = int(np.searchsorted(age, burst_age)) - 1
    part = np.log(burst_age / age[k]) / np.log(age[k + 1] / age[k])
    burst = (1 - part) * spectra[k] + part * spectra[k + 1]
    return np.asarray(weights @ spectra / weights.sum() + rng.uniform(0.0, 0.2) * burst)


def parameters_of(point: FloatArray) -> dict[tuple[str, str], FloatArray]:
    """Return the parameters of one model as the model reads them."""
    return {("kinematics", name): np.array([value]) for name, value in zip(NAMES, point, strict=False)}


def fit(
    model: KinematicsModel, *, hermite_prior: float | None = None, with_errors: bool = True
) -> Measurement:
    """Maximise the log-likelihood (and the prior on h3 and h4) from a poor start."""
    n = model.moments
    count = 0

    def cost(point: FloatArray) -> float:
        nonlocal count
        count += 1
        prior = 0.0 if hermite_prior is None else 0.5 * float(np.sum(point[2:] ** 2)) / hermite_prior**2
        return prior - float(model.log_likelihood(parameters_of(point))[0])

    began = time.process_time()
    start = np.array([0.0, 150.0, 0.0, 0.0])[:n]
    simplex = np.vstack([start, start + np.diag([50.0, 50.0, 0.05, 0.05])[:n, :n]])
    options = {"initial_simplex": simplex, "xatol": 0.01, "fatol": 1e-3, "maxiter": 800}
    best = minimize(cost, start, method="Nelder-Mead", bounds=BOUNDS[:n], options=options)
    seconds, evaluations = time.process_time() - began, count
    found = model.model_flux(parameters_of(best.x))
    reduced = float(found.chi2[0]) / found.n_good
    errors = np.full(n, np.nan)
    if with_errors:
        steps = np.array([2.0, 2.0, 0.01, 0.01])[:n]
        errors = np.sqrt(np.abs(np.diagonal(np.linalg.inv(_hessian(cost, best.x, steps)))) * reduced)
    return Measurement(best.x, errors, reduced, seconds, evaluations)


def _hessian(function, point: FloatArray, steps: FloatArray) -> FloatArray:  # type: ignore[no-untyped-def]
    n = len(point)
    result = np.empty((n, n))
    for i in range(n):
        for j in range(i + 1):
            a, b = np.eye(n)[i] * steps[i], np.eye(n)[j] * steps[j]
            terms = [function(point + s * a + t * b) * s * t for s in (1, -1) for t in (1, -1)]
            result[i, j] = result[j, i] = sum(terms) / (4 * steps[i] * steps[j])
    return result


def fit_ppxf(model: KinematicsModel, spectrum: Spectrum, degree: int, bias: float | None) -> Measurement:
    """Fit the same pixels with the same templates by pPXF."""
    from ppxf.ppxf import ppxf

    good = np.flatnonzero(model.pixels.good_pixels)
    span = slice(good[0], good[-1] + 1)
    scale = np.abs(spectrum.flux[good]).mean()
    noise = np.where(np.isfinite(spectrum.uncertainty[span]), spectrum.uncertainty[span], 1e3 * scale) / scale
    began = time.process_time()
    result = ppxf(
        model.bank.padded[:, : model.bank.n_grid].T / scale,
        spectrum.flux[span] / scale,
        noise,
        model.grid.velscale,
        [0.0, 150.0],
        moments=model.moments,
        degree=-1,
        mdegree=degree,
        goodpixels=good - good[0],
        bias=bias,
        quiet=True,
        lam=spectrum.rest_wavelength[span],
        lam_temp=model.grid.wavelength,
    )
    seconds = time.process_time() - began
    return Measurement(
        np.array(result.sol), np.array(result.error) * np.sqrt(result.chi2), float(result.chi2), seconds, 0
    )


def run_mocks(
    library: SSPLibrary, sigma: float, number: int, *, seed: int = 20240, degree: int = 10
) -> dict[str, list[Measurement]]:
    """Fit `number` mocks with each code; return the measurements by code."""
    truth = np.array([30.0, sigma, 0.05, 0.05])
    results: dict[str, list[Measurement]] = {}
    for index in range(number):
        spectrum = mock_spectrum(library, truth, 50.0, np.random.default_rng([seed, index]))
        common = {"wave_range": WAVE_RANGE, "multiplicative_degree": degree}
        exact = prepare_kinematics_model(spectrum, library, template_weights="non_negative", **common)
        eigen = prepare_kinematics_model(spectrum, library, template_weights="marginalised", **common)
        found = {
            "pPXF, default bias": fit_ppxf(exact, spectrum, degree, None),
            "pPXF, bias=0": fit_ppxf(exact, spectrum, degree, 0.0),
            "non-negative": fit(exact),
            "non-negative, prior on h": fit(exact, hermite_prior=PPXF_HERMITE_PRIOR, with_errors=False),
            "marginalised": fit(eigen),
            "marginalised, prior on h": fit(eigen, hermite_prior=PPXF_HERMITE_PRIOR, with_errors=False),
        }
        for code, measurement in found.items():
            results.setdefault(code, []).append(measurement)
    return results


def mocks_table(results: dict[str, list[Measurement]], sigma: float) -> str:
    """Return bias, its error, and scatter of each quantity, by code."""
    truth = np.array([30.0, sigma, 0.05, 0.05])
    number = len(next(iter(results.values())))
    lines = [f"sigma = {sigma:g} km/s, {number} mocks: bias +- error / scatter (scatter / formal error)"]
    for code, measurements in results.items():
        difference = np.array([m.values for m in measurements]) - truth
        errors = np.array([m.errors for m in measurements])
        bias, scatter = difference.mean(axis=0), difference.std(axis=0, ddof=1)
        ratio = (difference / errors).std(axis=0, ddof=1)
        cells = [
            f"{b:+.{d}f}+-{s / np.sqrt(len(difference)):.{d}f}/{s:.{d}f} ({r:.2f})"
            for b, s, r, d in zip(bias, scatter, ratio, (2, 2, 4, 4), strict=True)
        ]
        seconds = np.mean([m.seconds for m in measurements])
        evaluations = np.mean([m.evaluations for m in measurements])
        speed = f"{seconds:.2f} s" + (f", {1e3 * seconds / evaluations:.2f} ms/eval" if evaluations else "")
        lines.append(f"{code:26s} " + "  ".join(cells) + f"  {speed}")
    return "\n".join(lines)


def run_manga(library: SSPLibrary, path: str, rows: tuple[int, ...], moments: int) -> str:
    """Fit real spectra with each code; return a table."""
    from orchestrator.observation.masks import keep_emission_lines
    from orchestrator.observation.read_spectrum import read_spectrum

    lines = [f"moments = {moments}; errors scaled by sqrt(chi2 per pixel)"]
    for row in rows:
        spectrum = read_spectrum(path, row=row, redshift=redshift_of(path, row))
        keep = keep_emission_lines(spectrum.wavelength, redshift=spectrum.redshift, half_width_kms=800.0)
        common = {"wave_range": WAVE_RANGE, "keep": keep, "multiplicative_degree": 10, "moments": moments}
        exact = prepare_kinematics_model(spectrum, library, template_weights="non_negative", **common)
        eigen = prepare_kinematics_model(spectrum, library, template_weights="marginalised", **common)
        found = {
            "pPXF": fit_ppxf(exact, spectrum, 10, None),
            "non-negative": fit(exact),
            "marginalised": fit(eigen),
        }
        for code, m in found.items():
            columns = zip(m.values, m.errors, (1, 1, 3, 3), strict=False)
            pairs = "  ".join(f"{v:.{d}f}+-{e:.{d}f}" for v, e, d in columns)
            flag = " unresolved" if exact.resolution.is_unresolved(m.values[1]) else ""
            speed = f"{1e3 * m.seconds / m.evaluations:.2f} ms/eval" if m.evaluations else ""
            lines.append(
                f"{row} {code:13s} chi2 {m.reduced_chi2:.3f}  {pairs}  {m.seconds:.2f} s {speed}" + flag
            )
    return "\n".join(lines)


def redshift_of(path: str, row: int) -> float:
    """Return the redshift of one spectrum of a MaNGA stack."""
    from astropy.io import fits

    return float(fits.getdata(path, "Z")[row])


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=("mocks", "manga"))
    parser.add_argument("file", nargs="?", help="the stack of MaNGA spectra")
    parser.add_argument("--number", type=int, default=100)
    parser.add_argument("--sigma", type=float, default=150.0)
    parser.add_argument("--moments", type=int, default=4)
    parser.add_argument("--library-folder", help="folder of the MIUSCAT files; found by name if left out")
    chosen = parser.parse_args()
    library = load_library("MIUSCAT", chosen.library_folder)
    if chosen.study == "mocks":
        text = mocks_table(run_mocks(library, chosen.sigma, chosen.number), chosen.sigma)
    else:
        text = run_manga(library, chosen.file, (0, 1, 2, 3, 4, 7), chosen.moments)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
