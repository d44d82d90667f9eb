"""EquivalentWidthFit as CosmoSIS sees it: blocks, extra outputs, flags, figures, and a joint fit with photometry."""

from __future__ import annotations

import numpy as np
import pytest
from cosmosis.datablock import DataBlock
from orchestrator.modules.equivalent_width_fit import EquivalentWidthFitModule, execute, setup
from orchestrator.modules.galaxy_photometry import GalaxyPhotometryModule
from small_library import write_library

from orchestrator.errors import ConfigError

VALUES = {
    ("stars.sfh", "logtau"): 0.4,
    ("stars.sfh", "ism_metallicity_today"): 0.015,
    ("stars.sfh", "alpha_powerlaw"): 0.6,
    ("emission", "ew_hbeta"): 0.5,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("index_module")
    write_library(path / "toy.npz")
    (path / "indices.txt").write_text("Hbeta 1.5 0.1\nMgb 2.0 0.2\nFe5270 0.5 0.2\nNaD 1.0 0.1\n")
    wave = np.arange(4600.0, 5500.0, 1.0)
    np.savetxt(path / "g.txt", [[4600.0, 0.0], [4900.0, 1.0], [5200.0, 0.0]])
    np.savetxt(path / "r.txt", [[4900.0, 0.0], [5200.0, 1.0], [5500.0, 0.0]])
    (path / "photometry.txt").write_text(f"{path / 'g.txt'} 1 0.1\n{path / 'r.txt'} 0.5 0.1 upper\n")
    np.savetxt(path / "spectrum.txt", np.column_stack([wave, 1 + 1e-4 * (wave - 5000), np.full(len(wave), 0.01)]))
    return path


def options(folder, **changes):
    given = {
        "inputIndices": str(folder / "indices.txt"), "index_resolution": "lick", "los_sigma": 0.0,
        "SSPModel": str(folder / "toy.npz"), "SFHModel": "ExponentialSFH", "balmer_emission": "T",
    }  # fmt: skip
    return {key: value for key, value in (given | changes).items() if value is not None}


def block_of(**changes):
    block = DataBlock()
    for (section, name), value in VALUES.items():
        block[section, name] = changes.get(name, value)
    return block


def test_block_and_batch_agree(folder):
    module = EquivalentWidthFitModule(options(folder))
    block = block_of()
    assert module.execute(block) == 0
    many = {key: np.array([value, value]) for key, value in VALUES.items()}
    np.testing.assert_allclose(module.log_likelihood_batch(many), block["likelihoods", "EquivalentWidthFit_like"])
    assert not block.has_section("extra")
    assert module.make_observable(block).shape == (3,)


def test_setup_from_a_block_as_cosmosis_does(folder):
    given = DataBlock()
    for key, value in options(folder, like_name="ew").items():
        given["module_options", key] = value
    module = setup(given)
    block = block_of()
    assert execute(block, module) == 0
    assert np.isfinite(block["likelihoods", "ew_like"])


def test_what_the_library_does_not_cover_is_flagged(folder):
    flags = EquivalentWidthFitModule(options(folder)).flags(block_of())
    assert len(flags) == 1
    assert flags[0].startswith("NaD is not fitted: it needs 58")


def test_missing_parameter_is_named(folder):
    module = EquivalentWidthFitModule(options(folder))
    block = DataBlock()
    with pytest.raises(ConfigError, match="emission/ew_hbeta has no value"):
        module.execute(block)


def test_figure(folder, tmp_path):
    module = EquivalentWidthFitModule(options(folder), alias="EquivalentWidthFit_galaxy")
    path = module.plot_solution(VALUES, tmp_path / "figure.png")
    assert path.stat().st_size > 10_000


def test_spectrum_without_lsf(folder):
    given = options(
        folder, inputIndices=None, index_resolution=None, inputSpectrum=str(folder / "spectrum.txt"), los_sigma=120.0,
        fluxUnits="1e-16 erg / (s cm2 Angstrom)", ew_names="Hbeta Mgb Fe5270",
    )  # fmt: skip
    module = EquivalentWidthFitModule(given)
    np.testing.assert_allclose(module.model.data.values, 0.0, atol=2e-3)  # a straight line has no lines
    assert np.abs(module.make_observable(VALUES)).max() > 0.05


@pytest.mark.parametrize("indices_first", [True, False])
def test_indices_do_not_touch_the_mass_of_a_joint_fit(folder, indices_first):
    photometry = GalaxyPhotometryModule(
        {"inputPhotometry": str(folder / "photometry.txt"), "SSPModel": str(folder / "toy.npz"),
         "SFHModel": "ExponentialSFH", "redshift": 0.0}
    )  # fmt: skip
    indices = EquivalentWidthFitModule(options(folder))
    alone, block = block_of(), block_of()
    photometry.execute(alone)
    for module in (indices, photometry) if indices_first else (photometry, indices):
        module.execute(block)
    assert block["extra", "stellar_mass"] == alone["extra", "stellar_mass"]
    assert block["likelihoods", "GalaxyPhotometry_like"] == alone["likelihoods", "GalaxyPhotometry_like"]
