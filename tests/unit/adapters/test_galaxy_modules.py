"""GalaxySpectra and GalaxyPhotometry: BESTA's options and names of dust give what ours give."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cosmosis.datablock import DataBlock
from small_library import write_library

from orchestrator.config.module_options import MODULES
from orchestrator.errors import ConfigError

REDSHIFT = 0.04
BANDS = {"u": 4300.0, "g": 4700.0, "r": 5100.0, "i": 5500.0}
SHARED = {
    ("stars.sfh", "logtau"): 0.4,
    ("stars.sfh", "ism_metallicity_today"): 0.015,
    ("stars.sfh", "alpha_powerlaw"): 0.6,
    ("kinematics", "los_vel"): 60.0,
    ("kinematics", "los_sigma"): 140.0,
    ("kinematics", "los_h3"): 0.02,
    ("kinematics", "los_h4"): 0.01,
}
PAIRS = {"GalaxySpectra": "FullSpectralFit", "GalaxyPhotometry": "SFHPhotometry"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("galaxy")
    write_library(path / "toy.npz")
    rng = np.random.default_rng(3)
    lines = []
    for band, centre in BANDS.items():
        np.savetxt(path / f"{band}.txt", [[centre - 180, 0.0], [centre, 1.0], [centre + 180, 0.0]])
        lines.append(f"{path / band}.txt {10 + rng.normal():.4f} 0.5\n")
    (path / "photometry.txt").write_text("".join(lines))
    wave = (1 + REDSHIFT) * np.exp(np.arange(np.log(4100.0), np.log(5500.0), 60.0 / 299792.458))
    noise = rng.normal(0, 0.05, len(wave))
    np.savetxt(path / "spectrum.txt", np.column_stack([wave, 1 + noise, np.full(len(wave), 0.05)]))
    np.savetxt(path / "lsf.txt", [[3000.0, 2.6 * (1 + REDSHIFT)], [9000.0, 2.6 * (1 + REDSHIFT)]])
    return path


@pytest.fixture(autouse=True)
def _private_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(folder / "cache"))


def build(name: str, folder: Path, **choices: Any) -> Any:
    options: dict[str, Any] = {
        "redshift": REDSHIFT, "SSPModel": str(folder / "toy.npz"), "SFHModel": "ExponentialSFH",
        "ssp_compression_error": 0,
    }
    if name.endswith("Photometry"):
        options |= {"inputPhotometry": str(folder / "photometry.txt"), "fluxUnits": "uJy"}
    else:
        options |= {
            "inputSpectrum": str(folder / "spectrum.txt"),
            "fluxUnits": "1e-16 erg / (s cm2 Angstrom)",
            "wlRange": [4100.0, 5500.0],
            "lsf": str(folder / "lsf.txt"),
        }
    module = importlib.import_module(f"orchestrator.modules.{MODULES[name].file}").module
    return module(options | choices)


def likelihood(module: Any, values: dict[tuple[str, str], float]) -> float:
    block = DataBlock()
    for (section, name), value in values.items():
        block[section, name] = value
    assert module.execute(block) == 0
    return float(block["likelihoods", module.like_name])


@pytest.mark.parametrize("name", list(PAIRS))
@pytest.mark.parametrize("a_v", [0.0, 1.0, 3.0])
def test_dust_under_bestas_names_is_that_of_our_modules(name: str, a_v: float, folder: Path) -> None:
    """D5: the peer's likelihood is the same for all of these."""
    galaxy = build(name, folder, DustAttenuation=True)
    ours = build(PAIRS[name], folder, ExtinctionLaw="ccm89")
    found = likelihood(galaxy, SHARED | {("dust_attenuation", "a_v"): a_v})
    assert found == pytest.approx(likelihood(ours, SHARED | {("dust.extinction", "a_v"): a_v}), rel=1e-8)
    other = likelihood(galaxy, SHARED | {("dust_attenuation", "a_v"): a_v + 0.3})
    assert abs(other - found) > 1e-3


@pytest.mark.parametrize("name", list(PAIRS))
def test_r_v_counts_where_it_is_given(name: str, folder: Path) -> None:
    galaxy = build(name, folder, DustAttenuation=True)
    point = SHARED | {("dust_attenuation", "a_v"): 1.0}
    without = likelihood(galaxy, point)
    assert likelihood(galaxy, point | {("dust_attenuation.curve", "r_v"): 3.1}) == pytest.approx(without, rel=1e-9)
    steeper = likelihood(galaxy, point | {("dust_attenuation.curve", "r_v"): 2.2})
    ours = build(PAIRS[name], folder, ExtinctionLaw="ccm89", r_v=2.2)
    assert steeper == pytest.approx(likelihood(ours, SHARED | {("dust.extinction", "a_v"): 1.0}), rel=1e-6)
    assert abs(steeper - without) > 1e-3


@pytest.mark.parametrize("name", list(PAIRS))
def test_a_block_with_the_other_spelling_is_refused(name: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match="dust_attenuation/a_v has no value"):
        likelihood(build(name, folder, DustAttenuation=True), SHARED | {("dust.extinction", "a_v"): 1.0})


def test_a_batch_by_declared_names_is_its_points(folder: Path) -> None:
    module = build("GalaxyPhotometry", folder, DustAttenuation="T", DustEmission="T", birth_cloud="T")
    rng = np.random.default_rng(1)
    points = {
        (p.section, p.name): rng.uniform(p.lower, p.upper, 6) if p.lower < p.upper else np.full(6, p.start)
        for p in module.parameters
    }
    batch = module.log_likelihood_batch(points)
    for i in range(6):
        one = likelihood(module, {key: float(values[i]) for key, values in points.items()})
        assert one == pytest.approx(batch[i], rel=1e-9)


@pytest.mark.parametrize("name", list(PAIRS))
def test_figure(name: str, folder: Path, tmp_path: Path) -> None:
    choices = {"DustEmission": True} if name == "GalaxyPhotometry" else {}
    module = build(name, folder, DustAttenuation=True, **choices)
    point = SHARED | {("dust_attenuation", "a_v"): 0.7}
    assert module.plot_solution(point, tmp_path / "figure.png").stat().st_size > 10_000
    assert np.isfinite(module.make_observable(point)).all()


def test_galactic_foreground_reaches_both(folder: Path) -> None:
    for name in PAIRS:
        point = SHARED | {("dust_attenuation", "a_v"): 0.5}
        plain = build(name, folder, DustAttenuation="T", r_v=3.1).make_observable(point)
        dimmed = build(name, folder, DustAttenuation="T", r_v=3.1, galactic_e_bv=0.4, amplitude="profiled")
        shape = dimmed.make_observable(point) / plain
        # the mass follows the data, so only the slope is left: redder with dust in front
        assert shape[-1] / shape[0] > 1.05


@pytest.mark.parametrize(
    "choices",
    [
        {"r_v_free": "T", "birth_cloud": "T", "birth_cloud_age": 30.0},
        {"ExtinctionLaw": "noll09", "delta_free": "T", "bump_free": "T"},
        {"ExtinctionLaw": "power_law", "slope_free": "T"},
    ],
)
def test_every_parameter_of_dust_changes_the_likelihood_of_a_spectrum(choices: dict[str, Any], folder: Path) -> None:
    module = build("FullSpectralFit", folder, **{"ExtinctionLaw": "ccm89"} | choices)
    start = {(p.section, p.name): p.start for p in module.parameters} | {("stars.sfh", "logtau"): 1.5}
    reference = likelihood(module, start)
    assert np.isfinite(reference)
    dust = [key for key in start if key[0] == "dust.extinction"]
    assert len(dust) == 3 if "slope_free" not in choices else 2
    for key in dust:
        assert abs(likelihood(module, start | {key: start[key] + 0.2}) - reference) > 1e-4, key
