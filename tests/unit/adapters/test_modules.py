"""The CosmoSIS modules: built from dictionaries and DataBlocks, executed, drawn, and run in one pipeline."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cosmosis.datablock import DataBlock
from cosmosis.runtime.module import Module
from small_library import write_library

from orchestrator.config.module_options import MODULES
from orchestrator.errors import ConfigError

LIGHT_SPEED = 299792.458
REDSHIFT = 0.04
MICROJANSKY = 1e-29
BANDS = {"u": 4300.0, "g": 4700.0, "r": 5100.0, "i": 5500.0}
VALUES = {
    ("stars.sfh", "logtau"): 0.4,
    ("stars.sfh", "ism_metallicity_today"): 0.015,
    ("stars.sfh", "alpha_powerlaw"): 0.6,
    ("kinematics", "los_vel"): 60.0,
    ("kinematics", "los_sigma"): 140.0,
    ("kinematics", "los_h3"): 0.0,
    ("kinematics", "los_h4"): 0.0,
    ("dust.extinction", "a_v"): 0.5,
    ("dust_attenuation", "a_v"): 0.5,  # its name in the Galaxy modules
    ("dust_attenuation.curve", "r_v"): 3.1,
}
NAMES = ("KinDust", "FullSpectralFit", "SFHSpectra", "SFHPhotometry", "GalaxyPhotometry")


@pytest.fixture(autouse=True)
def _private_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(folder / "cache"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Library, filters, and data that the models themselves made, with noise."""
    path = tmp_path_factory.mktemp("modules")
    write_library(path / "toy.npz")
    for band, centre in BANDS.items():
        np.savetxt(path / f"{band}.txt", [[centre - 180, 0.0], [centre, 1.0], [centre + 180, 0.0]])
    wave = (1 + REDSHIFT) * np.exp(np.arange(np.log(4100.0), np.log(5500.0), 60.0 / LIGHT_SPEED))
    np.savetxt(path / "lsf.txt", [[3000.0, 2.6 * (1 + REDSHIFT)], [9000.0, 2.6 * (1 + REDSHIFT)]])
    rng = np.random.default_rng(42)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_CACHE", str(path / "cache"))
        write_spectrum(path, wave, np.ones(len(wave)), np.ones(len(wave)))
        (path / "photometry.txt").write_text("".join(f"{path / band}.txt 1 1\n" for band in BANDS))
        options = {"amplitude": "sampled"}
        point = {**VALUES, ("stars.sfh", "log10_stellar_mass"): 10.0}
        flux = build("FullSpectralFit", path, **options).make_observable(point) / 1e-16
        write_spectrum(path, wave, flux * (1 + rng.normal(0, 0.02, len(flux))), 0.02 * flux)
        bands = build("SFHPhotometry", path, **options).make_observable(point) / MICROJANSKY
        bands = bands * (1 + rng.normal(0, 0.02, len(bands)))
        rows = [f"{path / band}.txt {f:.10g} {0.02 * f:.10g}\n" for band, f in zip(BANDS, bands, strict=True)]
        (path / "photometry.txt").write_text("".join(rows))
    return path


def write_spectrum(path: Path, *columns: np.ndarray) -> None:
    np.savetxt(path / "spectrum.txt", np.column_stack(columns), fmt="%.12g")


def options_of(name: str, folder: Path, **changes: Any) -> dict[str, Any]:
    """Options in BESTA's spelling."""
    options: dict[str, Any] = {"redshift": REDSHIFT, "SSPModel": str(folder / "toy.npz"), "ExtinctionLaw": "ccm89"}
    if name.endswith("Photometry"):
        options |= {"inputPhotometry": str(folder / "photometry.txt"), "fluxUnits": "uJy"}
    else:
        options |= {
            "inputSpectrum": str(folder / "spectrum.txt"),
            "fluxUnits": "1e-16 erg / (s cm2 Angstrom)",
            "wlUnits": "Angstrom",
            "wlRange": [4100.0, 5500.0],
            "lsf": str(folder / "lsf.txt"),
        }
    if name != "KinDust":
        options |= {"SFHModel": "ExponentialSFH"}
    if name == "SFHSpectra":
        options |= {"los_vel": 60.0, "los_sigma": 140.0, "a_v": 0.5}
    return {key: value for key, value in (options | changes).items() if value is not None}


def class_of(name: str) -> Any:
    return importlib.import_module(f"orchestrator.modules.{MODULES[name].file}").module


def build(name: str, folder: Path, **changes: Any) -> Any:
    return class_of(name)(options_of(name, folder, **changes))


def block_of(values: dict[tuple[str, str], float] = VALUES, **changes: float) -> DataBlock:
    """A CosmoSIS block of the values; changes by the name of the parameter."""
    block = DataBlock()
    for (section, name), value in values.items():
        block[section, name] = changes.get(name, value)
    return block


@pytest.fixture(scope="module", params=NAMES)
def module(request: pytest.FixtureRequest, folder: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_CACHE", str(folder / "cache"))
        return build(request.param, folder)


def evaluate(module: Any, block: DataBlock) -> float:
    assert module.execute(block) == 0
    return float(block["likelihoods", module.like_name])


# ---- options -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_all_spellings_of_the_options_are_the_same(name: str, folder: Path) -> None:
    plain = options_of(name, folder)
    module_class = class_of(name)
    parsed = module_class.parse_options(plain)
    assert parsed.redshift == REDSHIFT
    assert module_class.parse_options({name: plain, "pipeline": {"modules": name}}) == parsed
    assert module_class.parse_options({key.lower(): value for key, value in plain.items()}) == parsed
    block = DataBlock()
    for key, value in plain.items():
        block["module_options", key] = value
    assert module_class.parse_options(block) == parsed
    from cosmosis.datablock import SectionOptions

    assert module_class.parse_options(SectionOptions(block)) == parsed


@pytest.mark.parametrize("name", NAMES)
def test_options_are_not_modified(name: str, folder: Path) -> None:
    nested = {name: options_of(name, folder)}
    before = {key: dict(value) for key, value in nested.items()}
    class_of(name)(nested)
    assert nested == before


@pytest.mark.parametrize("name", NAMES)
def test_a_misspelled_option_is_an_error_with_the_nearest(name: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown option 'redshft'.*did you mean 'redshift'"):
        build(name, folder, redshft=0.1)


# ---- likelihood --------------------------------------------------------------------------------------------
def test_execute_writes_what_the_batch_says(module: Any) -> None:
    rng = np.random.default_rng(0)
    points = {key: value + 0.05 * rng.normal(size=5) * (abs(value) + 0.1) for key, value in VALUES.items()}
    batch = module.log_likelihood_batch(points)
    assert batch.shape == (5,)
    assert len(set(batch.tolist())) == 5
    for i in range(5):
        block = block_of({key: float(value[i]) for key, value in points.items()})
        assert evaluate(module, block) == pytest.approx(batch[i], rel=1e-10)


def test_executing_twice_gives_the_same(module: Any) -> None:
    block = block_of()
    first = evaluate(module, block)
    assert evaluate(module, block) == pytest.approx(first, rel=1e-12)


@pytest.mark.parametrize("amplitude", ["profiled", "marginalised", "sampled"])
@pytest.mark.parametrize("name", ["FullSpectralFit", "SFHPhotometry"])
def test_a_block_used_again_for_other_values_is_as_good_as_new(name: str, amplitude: str, folder: Path) -> None:
    """What the first call left in the block is not data that count again."""
    module = build(name, folder, amplitude=amplitude)
    values = {**VALUES, ("stars.sfh", "log10_stellar_mass"): 10.0}
    block, fresh = block_of(values), block_of(values, logtau=0.9)
    evaluate(module, block)
    block["stars.sfh", "logtau"] = 0.9
    assert evaluate(module, block) == pytest.approx(evaluate(module, fresh), rel=1e-10)
    assert block["extra", "stellar_mass"] == pytest.approx(fresh["extra", "stellar_mass"], rel=1e-10)


def test_the_truth_is_likely_and_near_the_noise(module: Any) -> None:
    """Residuals at the truth are the 2 % noise that was put in."""
    best = evaluate(module, block_of())
    worse = {"KinDust": "los_vel", "FullSpectralFit": "los_vel"}.get(module.name, "logtau")
    changed = {"los_vel": 160.0, "logtau": 1.2}[worse]
    assert evaluate(module, block_of(**{worse: changed})) < best - 5


def test_make_observable_is_the_model_of_the_data(module: Any, folder: Path) -> None:
    found = module.make_observable(block_of())
    np.testing.assert_array_equal(module.make_observable(block_of(), parse=True), found)
    np.testing.assert_array_equal(module.make_observable(VALUES), found)
    if module.name.endswith("Photometry"):
        rows = [line.split() for line in (folder / "photometry.txt").read_text().splitlines()]
        data = np.array([float(row[1]) for row in rows]) * MICROJANSKY
    else:
        data = np.loadtxt(folder / "spectrum.txt")[:, 1] * 1e-16
    assert found.shape == data.shape
    assert (found / data - 1).std() == pytest.approx(0.02, rel=0.1 if len(data) > 100 else 0.8)


def test_mass_is_in_the_block_formed_and_surviving(module: Any) -> None:
    block = block_of()
    module.execute(block)
    if module.name == "KinDust":
        assert not block.has_section("extra")
        return
    assert block["extra", "stellar_mass"] == pytest.approx(10.0, abs=0.01)
    lost = block["extra", "surviving_stellar_mass"] - block["extra", "stellar_mass"]
    assert np.log10(0.55) < lost < np.log10(0.95)


def test_a_missing_parameter_is_named(module: Any) -> None:
    """The message says what is missing and where; CosmoSIS's own ends up in the log of a run."""
    names = {"KinDust": ("kinematics", "los_sigma"), "FullSpectralFit": ("kinematics", "los_sigma")}
    missing = names.get(module.name, ("stars.sfh", "logtau"))
    values = {key: value for key, value in VALUES.items() if key != missing}
    for block in (block_of(values), values):
        with pytest.raises(ConfigError, match=rf"{missing[0]}.*{missing[1]}"):
            module.read_parameters(block)


def test_a_parameter_without_effect_may_be_missing(folder: Path) -> None:
    values = {key: value for key, value in VALUES.items() if key[0] != "dust.extinction"}
    module = build("FullSpectralFit", folder, ExtinctionLaw=None)
    assert np.isfinite(evaluate(module, block_of(values)))


def test_every_declared_parameter_is_read_from_the_block(module: Any) -> None:
    block = block_of()
    reference = evaluate(module, block)
    for parameter in module.parameters:
        if parameter.lower == parameter.upper:
            continue
        value = VALUES[parameter.section, parameter.name]
        changed = evaluate(module, block_of(**{parameter.name: value * 1.1 + (0.05 if value == 0 else 0)}))
        assert changed != reference, f"{parameter.name} has no effect on {module.name}"


def test_like_name_of_alias_and_option(folder: Path) -> None:
    options = options_of("SFHPhotometry", folder)
    module_class = class_of("SFHPhotometry")
    assert module_class(options).like_name == "SFHPhotometry_like"
    assert module_class(options, alias="SFHPhotometry_faint").like_name == "SFHPhotometry_faint_like"
    assert module_class(options | {"like_name": "desi"}).like_name == "desi_like"
    assert module_class(options | {"like_name": "desi_like"}).like_name == "desi_like"


# ---- CosmoSIS loads them -----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_cosmosis_loads_the_file_of_get_path(name: str, folder: Path, capsys: pytest.CaptureFixture) -> None:
    path = class_of(name).get_path()
    assert Path(path).is_file()
    section = f"{name}_one"
    loaded = Module(section, path)
    config = DataBlock()
    config[section, "file"] = path
    for key, value in options_of(name, folder, like_name="data").items():
        config[section, key] = value
    loaded.setup(config)
    block = block_of()
    assert loaded.execute(block) == 0
    expected = block_of()
    direct = build(name, folder)
    assert block["likelihoods", "data_like"] == pytest.approx(evaluate(direct, expected), rel=1e-12)
    loaded.cleanup()
    # CosmoSIS prints a warning for each option that a module does not read.
    assert "never used" not in capsys.readouterr().out


# ---- figures -----------------------------------------------------------------------------------------------
def test_plot_solution_writes_a_png(module: Any, tmp_path: Path) -> None:
    block = block_of()
    module.execute(block)
    target = tmp_path / "a figure.png"
    assert Path(module.plot_solution(block, figname=target)) == target
    content = target.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000


def test_plot_solution_takes_a_mapping_and_names_its_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build("SFHPhotometry", folder).plot_solution(VALUES)
    assert (tmp_path / "SFHPhotometry_best_fit_solution.png").is_file()


# ---- two modules in one pipeline ---------------------------------------------------------------------------
@pytest.mark.parametrize("amplitude", ["profiled", "marginalised", "sampled"])
@pytest.mark.parametrize("order", [("FullSpectralFit", "SFHPhotometry"), ("SFHPhotometry", "FullSpectralFit")])
def test_two_modules_share_one_mass(order: tuple[str, str], amplitude: str, folder: Path) -> None:
    modules = [build(name, folder, amplitude=amplitude) for name in order]
    values = {**VALUES, ("stars.sfh", "log10_stellar_mass"): 10.01, ("dust.extinction", "a_v"): 0.7}
    block = block_of(values)
    total = sum(evaluate(module, block) for module in modules)
    alone = []
    for module in modules:
        own = block_of(values)
        evaluate(module, own)
        alone.append(10 ** own["extra", "stellar_mass"])
    shared = 10 ** block["extra", "stellar_mass"]

    by_mass = [build(name, folder, amplitude="sampled") for name in order]

    def direct(masses: np.ndarray) -> np.ndarray:
        points = {key: np.full(len(masses), value) for key, value in values.items()}
        points["stars.sfh", "log10_stellar_mass"] = np.log10(masses)
        return sum(module.log_likelihood_batch(points) for module in by_mass)

    if amplitude == "sampled":
        assert shared == pytest.approx(10**10.01, rel=1e-12)
        assert total == pytest.approx(direct(np.array([shared]))[0], rel=1e-12)
        return
    assert min(alone) < shared < max(alone)
    # A parabola in the mass through three points is exact.
    masses = shared * np.array([0.99, 1.0, 1.01])
    a, b, _ = np.polyfit(masses / shared - 1, direct(masses), 2)
    assert -b / (2 * a) == pytest.approx(0.0, abs=1e-6)
    expected = direct(np.array([shared]))[0]
    if amplitude == "marginalised":
        expected += 0.5 * np.log(np.pi / -a) + np.log(shared)
    assert total == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("last", ["SFHPhotometry", "FullSpectralFit"])
def test_limits_count_in_any_order_or_are_refused(last: str, folder: Path) -> None:
    """A limit is no parabola in the mass: a module with limits that is not the last needs care."""
    table = folder / "limits.txt"
    rows = (folder / "photometry.txt").read_text().splitlines()
    name, flux, _ = rows[0].split()
    # A limit 30 % below the truth pulls the mass that the other data want.
    table.write_text("\n".join([f"{name} {0.7 * float(flux)} {0.02 * float(flux)} upper", *rows[1:]]) + "\n")
    photometry = {"inputPhotometry": str(table)}
    order = sorted(("SFHPhotometry", "FullSpectralFit"), key=lambda module: module == last)

    def make(name: str, **changes: Any) -> Any:
        return build(name, folder, **(photometry if name == "SFHPhotometry" else {}), **changes)

    block = block_of()
    try:
        total = sum(evaluate(make(name), block) for name in order)
    except ConfigError:
        return
    masses = 10 ** np.linspace(9.9, 10.05, 3001)
    points = {key: np.full(len(masses), value) for key, value in VALUES.items()}
    points["stars.sfh", "log10_stellar_mass"] = np.log10(masses)
    direct = sum(make(name, amplitude="sampled").log_likelihood_batch(points) for name in order)
    best = int(np.argmax(direct))
    assert total == pytest.approx(direct[best], abs=0.05)
    assert 10 ** block["extra", "stellar_mass"] == pytest.approx(masses[best], rel=2e-4)


def test_surviving_mass_belongs_to_the_shared_mass(folder: Path) -> None:
    """Also where the second module's library does not know the surviving fraction."""
    with np.load(folder / "toy.npz") as file:
        content = {key: file[key] for key in file.files if key != "surviving_fraction"}
    np.savez(folder / "no_fraction.npz", **content)
    block = block_of(a_v=0.9)
    build("SFHPhotometry", folder).execute(block)
    before = block["extra", "surviving_stellar_mass"] - block["extra", "stellar_mass"]
    own = block["extra", "stellar_mass"]
    build("FullSpectralFit", folder, SSPModel=str(folder / "no_fraction.npz")).execute(block)
    assert abs(block["extra", "stellar_mass"] - own) > 1e-4
    after = block["extra", "surviving_stellar_mass"] - block["extra", "stellar_mass"]
    assert after == pytest.approx(before, abs=1e-9)


def test_figure_of_a_joint_fit_shows_the_shared_mass(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.report import photometry_figure

    drawn: list[Any] = []
    monkeypatch.setattr(photometry_figure, "plot_photometry", lambda data, path: drawn.append(data) or path)
    photometry = build("SFHPhotometry", folder)
    block = block_of()
    block["extra", "stellar_mass"] = 10.3
    photometry.plot_solution(block, tmp_path / "figure.png")
    own = photometry.make_observable(block_of()) / MICROJANSKY
    mass = block_of()
    photometry.execute(mass)
    np.testing.assert_allclose(drawn[0].model_flux / own, 10 ** (10.3 - mass["extra", "stellar_mass"]), rtol=1e-9)


# ---- KinDust -----------------------------------------------------------------------------------------------
def test_a_dispersion_below_the_resolution_is_flagged(folder: Path) -> None:
    module = build("KinDust", folder)
    limit = 2.6 / 2.3548 / np.sqrt(4100.0 * 5500.0) * LIGHT_SPEED
    assert module.flags(block_of(los_sigma=1.1 * limit)) == ()
    flags = module.flags(block_of(los_sigma=0.9 * limit))
    assert len(flags) == 1
    assert f"los_sigma = {0.9 * limit:.0f} km/s" in flags[0]
    assert "upper limit" in flags[0]


@pytest.mark.parametrize(
    "changes", [{"legendre_deg": 6}, {"legendre_deg": 3, "legendre_bounds": [4500.0, 5000.0]}], ids=str
)
def test_polynomial_options_reach_kin_dust(folder: Path, changes: dict[str, Any]) -> None:
    plain = evaluate(build("KinDust", folder, legendre_deg=3), block_of())
    assert evaluate(build("KinDust", folder, **changes), block_of()) != pytest.approx(plain, abs=1e-3)


def test_legendre_scale_reaches_kin_dust_or_is_refused(folder: Path) -> None:
    """An accepted option must have an effect."""
    plain = evaluate(build("KinDust", folder, legendre_deg=3), block_of())
    try:
        scaled = build("KinDust", folder, legendre_deg=3, legendre_scale=200.0)
    except ConfigError:
        return
    assert evaluate(scaled, block_of()) != pytest.approx(plain, abs=1e-3)


@pytest.mark.library("PopStar")
def test_popstar_warns_that_it_resolves_no_dispersion(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        module = build("KinDust", folder, SSPModel="PopStar")
    assert "templates of PopStar do not resolve a dispersion" in caplog.text
    assert module.flags(block_of(los_sigma=300.0))


@pytest.mark.library("MIUSCAT")
def test_miuscat_does_not_warn(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        module = build("KinDust", folder, SSPModel="MIUSCAT")
    assert "do not resolve" not in caplog.text
    assert module.flags(block_of(los_sigma=150.0)) == ()
