"""KinDust and pPXF on the same data: mocks with known truth, and real MaNGA spectra.

The full study is ``benchmarks/study_kinematics.py``; this is its small version.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("ppxf", reason="pPXF is in the optional extra for comparisons")

pytestmark = pytest.mark.library("MIUSCAT")

N_MOCKS = 10
SIGMA = 150.0
TRUTH = np.array([30.0, SIGMA, 0.05, 0.05])

FULL_SCATTER = np.array([2.5, 4.0, 0.012, 0.022])
"""Scatter of pPXF over 30 such mocks with bias=0, in km/s, km/s, none, none."""


@pytest.fixture(scope="module")
def study(project_root: Path) -> ModuleType:
    """The module of the full study."""
    specification = importlib.util.spec_from_file_location(
        "study_kinematics", project_root / "benchmarks" / "study_kinematics.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def library(study: ModuleType) -> object:
    """MIUSCAT."""
    return study.load_library("MIUSCAT")


@pytest.fixture(scope="module")
def measured(study: ModuleType, library: object) -> dict[str, np.ndarray]:
    """Differences from the truth by code, shape (n_mocks, 4)."""
    found: dict[str, list[np.ndarray]] = {"pPXF": [], "non_negative": [], "marginalised": []}
    for index in range(N_MOCKS):
        spectrum = study.mock_spectrum(library, TRUTH, 50.0, np.random.default_rng([7, index]))
        for mode in ("non_negative", "marginalised"):
            model = study.prepare_kinematics_model(
                spectrum,
                library,
                wave_range=study.WAVE_RANGE,
                multiplicative_degree=10,
                template_weights=mode,
            )
            found[mode].append(study.fit(model, with_errors=False).values - TRUTH)
            if mode == "non_negative":
                found["pPXF"].append(study.fit_ppxf(model, spectrum, 10, 0.0).values - TRUTH)
    return {code: np.array(values) for code, values in found.items()}


@pytest.mark.parametrize("mode", ["non_negative", "marginalised"])
def test_bias_is_within_its_monte_carlo_error(measured: dict[str, np.ndarray], mode: str) -> None:
    # 3.5 errors of the mean: with 4 quantities and 2 modes a false alarm in 300 seeds. The floors are the
    # biases of pPXF itself in the full study.
    floor = np.array([1.0, 1.0, 0.003, 0.006])
    assert np.all(np.abs(measured[mode].mean(axis=0)) < 3.5 * FULL_SCATTER / np.sqrt(N_MOCKS) + floor)


@pytest.mark.parametrize("mode", ["non_negative", "marginalised"])
def test_scatter_is_no_worse_than_that_of_ppxf(measured: dict[str, np.ndarray], mode: str) -> None:
    # The noise is shared, so the ratio of the two is known far better than either.
    ours = np.sqrt(np.mean(measured[mode] ** 2, axis=0))
    theirs = np.sqrt(np.mean(measured["pPXF"] ** 2, axis=0))
    correlation = [np.corrcoef(measured[mode][:, k], measured["pPXF"][:, k])[0, 1] for k in range(4)]
    # The logarithm of a ratio of standard deviations of n pairs has the error sqrt((1 - r**2) / (n - 1)).
    error = np.sqrt((1 - np.array(correlation) ** 2) / (N_MOCKS - 1))
    assert np.all(np.log(ours / theirs) < 0.03 + 3 * error)
    assert min(correlation) > 0.8


@pytest.mark.parametrize("row", [1, 3])
def test_real_spectra_agree(study: ModuleType, library: object, example_data: Path, row: int) -> None:
    from orchestrator.observation.masks import keep_emission_lines
    from orchestrator.observation.read_spectrum import read_spectrum

    path = example_data / "manga_spectra.fits.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not among the example data")
    spectrum = read_spectrum(path, row=row, redshift=study.redshift_of(path, row))
    keep = keep_emission_lines(spectrum.wavelength, redshift=spectrum.redshift, half_width_kms=800.0)
    model = study.prepare_kinematics_model(
        spectrum, library, wave_range=study.WAVE_RANGE, keep=keep, multiplicative_degree=10
    )
    ours, theirs = study.fit(model), study.fit_ppxf(model, spectrum, 10, None)
    assert ours.reduced_chi2 == pytest.approx(theirs.reduced_chi2, rel=0.05)
    difference = (ours.values - theirs.values) / np.hypot(ours.errors, theirs.errors)
    # The same data and templates: the difference is far below the error of either.
    assert np.all(np.abs(difference[:2]) < 1.0)
