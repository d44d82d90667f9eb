"""The likelihood with a basis of histories, with fixed kinematics, and with kinematics that stay the same."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from smooth_library import NUMBERS, make_model, point, prepared, smooth_library, varied

from orchestrator.forward_model.prepared_templates import PreparedTemplates
from orchestrator.forward_model.shared_kinematics import SharedKinematics
from orchestrator.forward_model.stellar_spectrum import fix_kinematics_and_dust
from orchestrator.physics.amplitude import Parabola
from orchestrator.physics.spectrum_sums import dust_blocks, slope_and_curvature
from orchestrator.physics.wavelength import apply_projection, prepare_projection
from orchestrator.ssp_libraries.library import SSPLibrary


@pytest.fixture(scope="module")
def library() -> SSPLibrary:
    return smooth_library()


@pytest.fixture(scope="module")
def templates(library: SSPLibrary, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedTemplates]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepared(library)


# ---- the likelihood ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("degree", [0, 4])
def test_likelihood_is_that_of_the_exact_templates(
    library: SSPLibrary, templates: dict[str, PreparedTemplates], degree: int
) -> None:
    compressed, exact = (make_model(library, templates[name], degree) for name in ("compressed", "exact"))
    points = varied(400)
    difference = compressed.log_likelihood(points).log_likelihood - exact.log_likelihood(points).log_likelihood
    assert np.abs(difference).max() < 0.01
    assert np.abs(difference).max() > 0.0


def test_histories_outside_the_ranges_are_exact(
    library: SSPLibrary, templates: dict[str, PreparedTemplates], caplog: pytest.LogCaptureFixture
) -> None:
    compressed, exact = (make_model(library, templates[name]) for name in ("compressed", "exact"))
    points = varied(6)
    points["stars.sfh", "logtau"][[1, 4]] = [-3.5, 4.0]
    before = Parabola(*np.random.default_rng(5).uniform(1, 2, (3, 6)))
    with caplog.at_level(logging.WARNING):
        found, expected = (model.log_likelihood(points, before) for model in (compressed, exact))
        compressed.log_likelihood(points)
    assert caplog.text.count("exact ones") == 1
    np.testing.assert_allclose(found.log_likelihood[[1, 4]], expected.log_likelihood[[1, 4]], atol=1e-7)
    np.testing.assert_allclose(found.log_likelihood, expected.log_likelihood, atol=0.01)
    for name in ("constant", "slope", "curvature"):
        np.testing.assert_allclose(getattr(found.joint, name), getattr(expected.joint, name), rtol=1e-6)
    np.testing.assert_allclose(found.amplitude, expected.amplitude, rtol=1e-4)
    one = {key: value[1:2] for key, value in points.items()}
    np.testing.assert_allclose(compressed.model_spectrum(one)[0], exact.model_spectrum(one)[0], rtol=1e-12)
    fixed = fix_kinematics_and_dust(compressed, point())
    np.testing.assert_allclose(
        fixed.log_likelihood(points).log_likelihood[[1, 4]],
        fix_kinematics_and_dust(exact, point()).log_likelihood(points).log_likelihood[[1, 4]],
        rtol=1e-10,
    )


@pytest.mark.parametrize("signal_to_noise", [50.0, 1000.0])
def test_table_without_pixels_is_the_sum_over_pixels(
    library: SSPLibrary, templates: dict[str, PreparedTemplates], signal_to_noise: float
) -> None:
    """To 1e-6 where sums of 1e9 cancel."""
    model = make_model(library, templates["compressed"], sn=signal_to_noise)
    fixed = fix_kinematics_and_dust(model, point())
    assert fixed.parabola_table is not None
    points = varied(50, fixed=("a_v", *NUMBERS))
    found = fixed.log_likelihood(points)
    flux = model.model_spectrum(points, found.amplitude)[0].astype(np.longdouble)
    pixels = model.pixels
    chi2 = ((pixels.flux - flux) ** 2 * pixels.inverse_variance).sum(axis=1)
    size = float((pixels.flux**2 * pixels.inverse_variance).sum())
    expected = (pixels.log_normalisation - 0.5 * chi2).astype(float)
    np.testing.assert_allclose(found.log_likelihood, expected, rtol=0, atol=max(1e-6, 3e-15 * size))
    direct = replace(fixed, parabola_table=None).log_likelihood(points)
    np.testing.assert_allclose(found.amplitude, direct.amplitude, rtol=1e-10)


@pytest.mark.parametrize("mode", ["profiled", "sampled"])
def test_polynomials_are_fitted_with_fixed_kinematics(
    library: SSPLibrary, templates: dict[str, PreparedTemplates], mode: str
) -> None:
    model = make_model(library, templates["compressed"], 2, mode)
    points = varied(20, fixed=("a_v", *NUMBERS)) | {
        ("legendre", f"legendre_{i}"): np.linspace(-0.1, 0.1, 20) * i for i in (1, 2)
    }
    for dust in (True, False):
        fixed = fix_kinematics_and_dust(model, point(), dust=dust)
        assert fixed.parabola_table is None
        np.testing.assert_allclose(
            fixed.log_likelihood(points).log_likelihood, model.log_likelihood(points).log_likelihood, rtol=1e-9
        )


# ---- kinematics that stay the same -------------------------------------------------------------------------
def test_shared_kinematics_are_prepared_once(
    library: SSPLibrary, templates: dict[str, PreparedTemplates]
) -> None:
    model = make_model(library, templates["compressed"])
    shared = SharedKinematics(model)
    everything, kinematics, nothing = (
        varied(64, fixed=fixed, seed=7) for fixed in (("a_v", *NUMBERS), tuple(NUMBERS), ())
    )
    for points, has_table, is_fixed in ((everything, True, True), (kinematics, False, True), (nothing, False, False)):
        chosen = shared.model_for(points)
        assert (chosen.parabola_table is not None) == has_table
        assert (chosen.basis_rfft is None) == is_fixed
        assert shared.model_for(points) is chosen
        np.testing.assert_allclose(
            shared.log_likelihood(points).log_likelihood, model.log_likelihood(points).log_likelihood, rtol=1e-9
        )


def test_single_points_are_prepared_for_after_a_while(
    library: SSPLibrary, templates: dict[str, PreparedTemplates]
) -> None:
    model = make_model(library, templates["compressed"])
    shared = SharedKinematics(model)
    assert all(shared.model_for(point(a_v=0.01 * i)) is model for i in range(63))
    assert shared.model_for(point(a_v=0.9)).fixed_basis is not None
    assert shared.model_for(point(los_vel=41.0)) is model


@pytest.mark.parametrize("changes", [{"los_sigma": -5.0}, {"los_sigma": np.nan}, {"a_v": -1.0}, {"los_h4": -1.9}])
def test_impossible_kinematics_are_not_prepared_for(
    library: SSPLibrary, templates: dict[str, PreparedTemplates], changes: dict[str, float]
) -> None:
    shared = SharedKinematics(make_model(library, templates["compressed"]))
    assert np.isneginf(shared.log_likelihood(point(100, **changes)).log_likelihood).all()
    assert np.isfinite(shared.log_likelihood(point(100)).log_likelihood).all()


def test_memory_of_prepared_kinematics_is_bounded(
    library: SSPLibrary, templates: dict[str, PreparedTemplates]
) -> None:
    shared = SharedKinematics(make_model(library, templates["compressed"]))
    first = shared.model_for(point(64))
    for velocity in (10.0, 20.0, 30.0):
        shared.model_for(point(64, los_vel=velocity))
    assert len(shared._prepared) == 2
    assert shared.model_for(point(64)) is not first


# ---- sums without stored pixels ----------------------------------------------------------------------------
@pytest.mark.parametrize("shift", [1.0, 1.00007], ids=["aligned", "interpolated"])
@pytest.mark.parametrize("steep", [0.0, 1.3, 200.0], ids=["no dust", "dust", "a cliff of dust"])
def test_sums_are_those_over_stored_pixels(shift: float, steep: float) -> None:
    """200 is steeper than the series of the exponential reaches within a block."""
    rng = np.random.default_rng(4)
    grid = 4000.0 * np.exp(np.arange(500) * 2e-4)
    wave = grid[7:-9][rng.random(484) > 0.2] * shift
    projection = prepare_projection(grid, wave)
    assert projection.identity == (shift == 1.0)
    spectra, a_v = rng.uniform(1, 2, (5, 500)), rng.uniform(0, 3, 5)
    factor, data, weight = rng.uniform(0.5, 1.5, (5, len(wave))), rng.normal(size=len(wave)), rng.random(len(wave))
    curve = (wave / 4200.0) ** -steep if steep else None
    flux = apply_projection(projection, spectra) * factor
    if curve is not None:
        flux = flux * 10 ** (-0.4 * a_v[:, None] * curve)
    found = slope_and_curvature(
        spectra, projection, None if curve is None else a_v, dust_blocks(curve, len(wave)), factor, data, weight
    )
    np.testing.assert_allclose(found[0], flux @ data, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(found[1], flux**2 @ weight, rtol=1e-12)
