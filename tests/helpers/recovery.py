"""Recovery of known parameters by every module, through `MainPipeline`.

The truth of each mock is drawn from the prior of the fit. Then, whatever the data, ``(posterior mean - truth) /
posterior width`` has mean 0 and mean square 1 over mocks if the posterior is right: the prior's pull towards its
middle is part of the posterior, and needs no allowance.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator import MainPipeline
from orchestrator.config.module_options import MODULES

__all__ = ["CASES", "Case", "Pulls", "fit_mock", "recovery", "write_data"]

REDSHIFT = 0.05
SFH = {
    "stars.sfh/logtau": (-0.3, 1.0), "stars.sfh/ism_metallicity_today": (0.01, 0.03),
    "stars.sfh/alpha_powerlaw": (0.2, 1.5),
}  # fmt: skip
KINEMATICS = {"kinematics/los_vel": (-200.0, 200.0), "kinematics/los_sigma": (120.0, 300.0)}
ROUND = {"kinematics/los_h3": (0.0, 0.0), "kinematics/los_h4": (0.0, 0.0)}
GALAXY_DUST = {"dust_attenuation/a_v": (0.1, 1.5)}
DUST = {"dust.extinction/a_v": (0.1, 1.5)}
COMMON: dict[str, Any] = {"SSPModel": "MIUSCAT", "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89"}
ENSEMBLE = {
    "walkers": 64, "nsteps": 50, "max_samples": 5000, "autocorrelation_times": 25, "max_rhat": 1.03,
}  # fmt: skip
"""Some 1600 effective samples: the error of a mean is 3 % of the posterior's width."""
SPECTRUM = {**COMMON, "redshift": REDSHIFT, "fluxUnits": "1e-16 erg / (s cm2 Angstrom)"}
BANDS = ("sdss2010-u", "sdss2010-g", "sdss2010-r", "sdss2010-i", "sdss2010-z", "twomass-J", "twomass-H", "twomass-Ks")
PHOTOMETRY = {**COMMON, "SSPModel": "PopStar", "redshift": REDSHIFT, "fluxUnits": "uJy"}


@dataclass(frozen=True)
class Case:
    """One module and the ranges of its parameters, from which truths are drawn too.

    Attributes
    ----------
    module : str
    options : dict
    ranges : dict of str to (float, float)
        ``section/name`` to the ends of a flat prior; equal ends fix the parameter.
    kind : {'spectrum', 'photometry', 'none'}
        Of the data.
    maker : str
        Module whose model makes the data; its parameters are those of `ranges` and of `making`.
    maker_options, making : dict
        Further options and ranges of the maker.
    signal_to_noise : float
    """

    module: str
    options: Mapping[str, Any]
    ranges: Mapping[str, tuple[float, float]]
    kind: str = "spectrum"
    maker: str = ""
    maker_options: Mapping[str, Any] = field(default_factory=dict)
    making: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    signal_to_noise: float = 30.0
    ensemble: Mapping[str, Any] = field(default_factory=dict)
    """Further options of the sampler."""


CASES: dict[str, Case] = {
    "FullSpectralFit": Case("FullSpectralFit", SPECTRUM, {**SFH, **KINEMATICS, **ROUND, **DUST}),
    "SFHSpectra": Case(
        "SFHSpectra", {**SPECTRUM, "los_sigma": 180.0, "los_vel": 30.0, "a_v": 0.4}, SFH
    ),
    "KinDust": Case(
        "KinDust", {key: value for key, value in SPECTRUM.items() if key != "SFHModel"}
        | {"moments": 2, "wlRange": [4500.0, 5900.0]},  # 200 template weights are solved at each point
        {**KINEMATICS, **ROUND, **DUST}, maker="FullSpectralFit", making=SFH,
        ensemble={"walkers": 24},
    ),
    "SFHPhotometry": Case("SFHPhotometry", PHOTOMETRY, {**SFH, **DUST}, kind="photometry"),
    "GalaxySpectra": Case(
        "GalaxySpectra", {**SPECTRUM, "legendre_deg": 0}, {**SFH, **KINEMATICS, **ROUND, **GALAXY_DUST}
    ),
    "GalaxyPhotometry": Case(
        "GalaxyPhotometry", {**PHOTOMETRY, "birth_cloud": "T"},
        {**SFH, **GALAXY_DUST, "dust_attenuation/a_v_birth_cloud": (0.0, 1.0)}, kind="photometry",
    ),
    "SpectraRedshiftFit": Case(
        "SpectraRedshiftFit",
        {key: value for key, value in SPECTRUM.items() if key != "redshift"}
        | {"z_min": 0.045, "z_max": 0.055, "redshift_mode": "sampled", "los_sigma": 180.0},
        {"redshift/redshift": (0.047, 0.053), **SFH, **DUST},
    ),
    "EquivalentWidthFit": Case(
        "EquivalentWidthFit",
        {**SPECTRUM, "los_sigma": 180.0, "ew_names": "HdeltaA HgammaA Hbeta Mgb Fe5270 Fe5335"},
        {**SFH, **DUST, "emission/ew_hbeta": (0.0, 0.0)}, maker="FullSpectralFit",
        making={"kinematics/los_vel": (0.0, 0.0), "kinematics/los_sigma": (180.0, 180.0), **ROUND},
    ),
    "FixedTimeSFH, Dirichlet": Case(
        "FullSpectralFit",
        {**SPECTRUM, "SFHModel": "FixedTimeSFH", "SFHArgs": [0.3, 1.0, 4.0], "sfh_prior": "dirichlet"},
        {**{f"stars.sfh/dirichlet_{i}": (0.0, 1.0) for i in (1, 2, 3)},
         "stars.sfh/ism_metallicity_today": (0.01, 0.03), "stars.sfh/alpha_powerlaw": (0.2, 1.5),
         **KINEMATICS, **ROUND, **DUST},
    ),
    "jitter": Case(
        "FullSpectralFit", {**SPECTRUM, "NoiseModel": "JitterNoiseModel"},
        {**SFH, **KINEMATICS, **ROUND, **DUST, "noise/beta": (0.6, 1.6), "noise/log10_jitter": (-1.0, 0.0)},
    ),
    "GaussianTarget": Case(
        "GaussianTarget", {"mean": [1.0, -2.0], "sigma": [0.5, 2.0]},
        {"gaussian/x_1": (-5.0, 5.0), "gaussian/x_2": (-12.0, 12.0)}, kind="none",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Pulls:
    """What many mocks say.

    Attributes
    ----------
    names : tuple of str
    pulls : ndarray, shape (n_mocks, n_parameters)
    n_flagged : int
        Fits with too few effective samples or with points that failed; they are counted all the same.
    """

    names: tuple[str, ...]
    pulls: np.ndarray
    n_flagged: int

    def table(self) -> dict[str, dict[str, float]]:
        """Return mean, its standard error as expected (one over the root of n), and scatter of each parameter."""
        n = len(self.pulls)
        return {
            name: {
                "mean": float(pulls.mean()),
                "standard_errors": float(pulls.mean() * np.sqrt(n)),
                "scatter": float(pulls.std()),
            }
            for name, pulls in zip(self.names, self.pulls.T, strict=True)
        }


def recovery(case: Case, seeds: range, folder: Path) -> Pulls:
    """Fit one mock per seed."""
    fits = [fit_mock(case, seed, folder) for seed in seeds]
    names = tuple(fits[0][0])
    return Pulls(names, np.array([[pulls[name] for name in names] for pulls, _ in fits]), sum(bad for _, bad in fits))


def fit_mock(case: Case, seed: int, folder: Path) -> tuple[dict[str, float], bool]:
    """Draw a truth, make data, fit them; return the pull of each free parameter and whether the fit is flagged."""
    rng = np.random.default_rng([seed, zlib.crc32(case.module.encode())])
    here = folder / f"{case.module}_{seed}"
    here.mkdir(parents=True, exist_ok=True)
    truth = {key: float(rng.uniform(*ends)) for key, ends in {**case.ranges, **case.making}.items()}
    if case.kind == "none":  # the module's own density takes the place of data
        ends = zip(case.options["mean"], case.options["sigma"], strict=True)
        truth = dict(zip(truth, (mean + sigma * rng.standard_normal() for mean, sigma in ends), strict=True))
    data_options = write_data(case, truth, here, rng)
    result = _fit(case, {**case.options, **data_options}, here, seed)
    pulls = {}
    for key, (low, high) in case.ranges.items():
        if low < high:
            found = result.summary[key.replace("/", "--")]
            pulls[key] = (found.mean - truth[key]) / found.std
    return pulls, any(flag.startswith(("few_samples", "failed")) for flag in result.flags)


def _fit(case: Case, options: Mapping[str, Any], here: Path, seed: int) -> Any:
    values: dict[str, dict[str, str]] = {}
    for key, (low, high) in case.ranges.items():
        section, _, name = key.partition("/")
        text = f"{low} {0.5 * (low + high)} {high}" if low < high else str(low)
        values.setdefault(section, {})[name] = text
    config = {
        "runtime": {"sampler": "multistart ensemble", "seed": seed},
        "ensemble": {**ENSEMBLE, **case.ensemble},
        "output": {"filename": str(here / "fit"), "derived": "F"},
        "pipeline": {"modules": case.module},
        case.module: dict(options),
        "values": values,
    }
    (result,) = MainPipeline([config]).run()
    return result


def write_data(case: Case, truth: Mapping[str, float], here: Path, rng: np.random.Generator) -> dict[str, str]:
    """Write mock data of a known truth into a folder; return the option that names them."""
    if case.kind == "none":
        return {}
    maker = case.maker or case.module
    options = {**case.options, **case.maker_options}
    if case.maker:
        known = MODULES[maker].options.spellings()
        options = {key: value for key, value in options.items() if key in set(known) | set(known.values())}
        options["SFHModel"] = "ExponentialSFH"
    write = _write_photometry if case.kind == "photometry" else _write_spectrum
    file, model = write(here, None, None)
    key = "inputPhotometry" if case.kind == "photometry" else "inputSpectrum"
    module_class = importlib.import_module(f"orchestrator.modules.{MODULES[maker].file}").module
    module = module_class({**options, key: str(file)})
    block = {tuple(name.split("/")): value for name, value in truth.items()}
    flux = module.make_observable(block)
    if case.kind == "spectrum":
        if hasattr(module.fit, "covered_wavelength"):
            model = module.fit.covered_wavelength * (1 + REDSHIFT)
        else:  # a fit of the redshift knows observed wavelengths only
            model = module.fit.spectrum.wavelength[module.fit.covered]
    flux = flux / np.median(flux)
    error = flux / case.signal_to_noise
    write(here, model, np.column_stack([flux + error * rng.standard_normal(len(flux)), error]))
    return {key: str(file)}


def _write_spectrum(here: Path, wavelength: Any, columns: Any) -> tuple[Path, Any]:
    if wavelength is None:
        wavelength = np.arange(3900.0, 6800.0, 1.5) * (1 + REDSHIFT)
        columns = np.column_stack([np.ones_like(wavelength), np.full_like(wavelength, 1 / 30)])
    np.savetxt(here / "spectrum.dat", np.column_stack([wavelength, columns]))
    return here / "spectrum.dat", wavelength


def _write_photometry(here: Path, names: Any, columns: Any) -> tuple[Path, Any]:
    if columns is None:
        names, columns = BANDS, np.column_stack([np.ones(len(BANDS)), np.full(len(BANDS), 1 / 30)])
    lines = [f"{name} {flux:.10g} {error:.10g}\n" for name, (flux, error) in zip(names, columns, strict=True)]
    (here / "photometry.dat").write_text("".join(lines), encoding="utf-8")
    return here / "photometry.dat", names
