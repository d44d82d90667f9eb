"""Recovered 68 % intervals contain the truth in 68 % of mocks.

One free parameter at a time, flat prior, 100 noise realisations at a signal-to-noise ratio of 30. With a true
coverage of 68.3 % the count is binomial with a standard deviation of 4.7: 55 to 81 is within 2.8 of them. A mean
in place of the sum of the log-likelihoods, a variance that is resampled like a flux, or weights that count twice
all fall outside.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.config.module_options import MODULES

LIGHT_SPEED = 299792.458
REDSHIFT = 0.04
SIGNAL_TO_NOISE = 30.0
N_MOCKS = 100
N_GRID = 141
REACH = {"logtau": 20.0, "photometry_logtau": 20.0}
"""Half width of the grid in sigma where it is not 8: bursts of any short duration look alike, a skewed posterior."""
SEED = 20240
BANDS = {"u": 3700.0, "g": 4500.0, "r": 5300.0, "i": 6100.0, "z": 6900.0}
TRUTH = {
    ("stars.sfh", "logtau"): 0.4,
    ("stars.sfh", "ism_metallicity_today"): 0.015,
    ("stars.sfh", "alpha_powerlaw"): 0.6,
    ("stars.sfh", "log10_stellar_mass"): 10.0,
    ("kinematics", "los_vel"): 60.0,
    ("kinematics", "los_sigma"): 140.0,
    ("kinematics", "los_h3"): 0.04,
    ("kinematics", "los_h4"): 0.03,
    ("dust.extinction", "a_v"): 0.5,
}
CASES = {
    "los_vel": ("FullSpectralFit", ("kinematics", "los_vel"), "profiled"),
    "los_sigma": ("FullSpectralFit", ("kinematics", "los_sigma"), "profiled"),
    "a_v": ("FullSpectralFit", ("dust.extinction", "a_v"), "profiled"),
    "logtau": ("FullSpectralFit", ("stars.sfh", "logtau"), "profiled"),
    "log10_stellar_mass": ("FullSpectralFit", ("stars.sfh", "log10_stellar_mass"), "sampled"),
    # Five bands of this library say little about logtau if the mass is free as well: it is fixed here.
    "photometry_logtau": ("SFHPhotometry", ("stars.sfh", "logtau"), "sampled"),
}


@dataclass(frozen=True)
class Mock:
    """Noiseless data of one kind, and how to write noisy ones and build the module that reads them."""

    folder: Path
    module: str
    amplitude: str

    def build(self) -> Any:
        options: dict[str, Any] = {
            "redshift": REDSHIFT,
            "SSPModel": str(self.folder / "toy.npz"),
            "SFHModel": "ExponentialSFH",
            "ExtinctionLaw": "ccm89",
            "amplitude": self.amplitude,
        }
        if self.module == "SFHPhotometry":
            options |= {"inputPhotometry": str(self.folder / "photometry.txt")}
        else:
            options |= {
                "inputSpectrum": str(self.folder / "spectrum.txt"),
                "fluxUnits": "1e-16 erg / (s cm2 Angstrom)",
                "wlRange": [4100.0, 5500.0],
            }
        return importlib.import_module(f"orchestrator.modules.{MODULES[self.module].file}").module(options)

    def write(self, flux: np.ndarray, error: np.ndarray) -> None:
        if self.module == "SFHPhotometry":
            rows = zip(BANDS, flux, error, strict=True)
            lines = [f"{self.folder / band}.txt {f:.12g} {e:.12g}\n" for band, f, e in rows]
            (self.folder / "photometry.txt").write_text("".join(lines))
        else:
            np.savetxt(self.folder / "spectrum.txt", np.column_stack([wavelengths(), flux, error]), fmt="%.12g")

    def noiseless(self) -> np.ndarray:
        """Model at the truth, in the unit of the file."""
        n_data = len(BANDS) if self.module == "SFHPhotometry" else len(wavelengths())
        self.write(np.ones(n_data), np.ones(n_data))
        sampled = Mock(self.folder, self.module, "sampled")
        unit = 1e-29 if self.module == "SFHPhotometry" else 1e-16
        return np.asarray(sampled.build().make_observable(TRUTH) / unit)


def wavelengths() -> np.ndarray:
    """Linear pixels of 1.5 Angstrom: the model is projected onto them."""
    return np.arange(4120.0 * (1 + REDSHIFT), 5480.0 * (1 + REDSHIFT), 1.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("coverage")
    rng = np.random.default_rng(41)
    wave, ages = np.arange(3200.0, 7400.0, 1.0), np.linspace(6.6, 10.2, 12)
    centres = rng.uniform(3910, 5690, 60)
    young, old = rng.uniform(0, 0.35, (2, 60))
    lines = np.exp(-0.5 * ((wave - centres[:, None]) * 2.3548 / 2.5) ** 2)
    t = ((ages - 6.6) / 3.6)[None, :, None]
    metal = np.arange(3)[:, None, None]
    depth = (1 - t) * young + t * old * (1 + 0.4 * metal)
    flux = 1e-2 * 10 ** (-2 * t) * (wave / 5000) ** (-2.5 + 3 * t + 0.4 * metal) * (1 - depth @ lines).clip(0.05)
    np.savez(
        path / "toy.npz",
        wavelength=wave,
        log10_age_yr=ages,
        metallicity=[0.004, 0.02, 0.05],
        flux=flux,
        lsf_fwhm=2.5,
        medium="vacuum",
    )
    for band, centre in BANDS.items():
        np.savetxt(path / f"{band}.txt", [[centre - 300, 0.0], [centre, 1.0], [centre + 300, 0.0]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_CACHE", str(path / "cache"))
        yield path


def at(key: tuple[str, str], values: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """The truth, with one parameter on a grid."""
    return {name: np.full(len(values), value) for name, value in TRUTH.items()} | {key: values}


def expected_width(module: Any, key: tuple[str, str]) -> float:
    """One over the root of the curvature of the log-likelihood of noiseless data at the truth."""
    step = 1e-3 * max(abs(TRUTH[key]), 0.1)
    for _ in range(3):
        low, middle, high = module.log_likelihood_batch(at(key, TRUTH[key] + step * np.array([-1.0, 0.0, 1.0])))
        width = float(step / np.sqrt(2 * middle - low - high))
        step = 0.3 * width
    return width


def interval(grid: np.ndarray, log_likelihood: np.ndarray) -> tuple[float, float]:
    """Central 68.27 % of the posterior under a flat prior."""
    density = np.exp(log_likelihood - log_likelihood.max())
    assert density[[0, -1]].max() < 1e-3, "the grid cuts the posterior"
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(grid))])
    low, high = np.interp([0.158655, 0.841345], cumulative / cumulative[-1], grid)
    return float(low), float(high)


@pytest.mark.parametrize("case", list(CASES))
def test_68_percent_intervals_contain_the_truth_in_68_percent_of_mocks(case: str, folder: Path) -> None:
    name, key, amplitude = CASES[case]
    mock = Mock(folder, name, amplitude)
    flux = mock.noiseless()
    error = flux / SIGNAL_TO_NOISE
    mock.write(flux, error)
    width = expected_width(mock.build(), key)
    reach = REACH.get(case, 8.0)
    grid = TRUTH[key] + np.linspace(-reach, reach, int(N_GRID * reach / 8)) * width
    seeds = [SEED, list(CASES).index(case)]
    limits = []
    for realisation in range(N_MOCKS):
        rng = np.random.default_rng([*seeds, realisation])
        mock.write(flux + rng.normal(0.0, error), error)
        limits.append(interval(grid, mock.build().log_likelihood_batch(at(key, grid))))
    low, high = np.array(limits).T
    contained = int(((low <= TRUTH[key]) & (TRUTH[key] <= high)).sum())
    assert 55 <= contained <= 81
    # The widths are those of the noise, and the centres of symmetric intervals scatter about the truth.
    assert np.median(high - low) / 2 == pytest.approx(width, rel=0.15)
    if case not in REACH:
        assert np.mean(low + high) / 2 == pytest.approx(TRUTH[key], abs=0.4 * width)
