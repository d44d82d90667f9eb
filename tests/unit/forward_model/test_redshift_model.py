"""SpectraRedshiftFit's model against FullSpectralFit at known redshifts, brute force, and its own two modes."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from orchestrator.config.module_options import MODULES, parse_options
from orchestrator.errors import DataError, LibraryError
from orchestrator.forward_model.redshift_setup import prepare_redshift_fit
from orchestrator.physics.amplitude import Parabola

POINT = {
    ("stars.sfh", "logtau"): 0.4,
    ("stars.sfh", "ism_metallicity_today"): 0.015,
    ("stars.sfh", "alpha_powerlaw"): 0.6,
    ("dust.extinction", "a_v"): 0.5,
    ("noise", "beta"): 0.8,
    ("legendre", "legendre_1"): 0.1,
    ("legendre", "legendre_2"): -0.05,
    ("stars.sfh", "log10_stellar_mass"): 10.05,
}
STILL = {("kinematics", name): 0.0 for name in ("los_vel", "los_h3", "los_h4")} | {("kinematics", "los_sigma"): 100.0}
TRUE = 0.0403
Z_RANGE = {"z_min": 0.03, "z_max": 0.05}
KINDS = {
    "plain": {},
    "sampled": {"legendre_deg": 2},
    "profiled": {"legendre_deg": 2, "legendre_mode": "profiled"},
    "features": {"use_features": True, "continuum_knot_spacing": 150.0},
}
PIXELS = {"aligned": "log_pixels", "not aligned": "linear_pixels"}


def arrays(n=1, **changes):
    values = POINT | {key: changes.pop(key[1]) for key in [*POINT, ("redshift", "redshift")] if key[1] in changes}
    assert not changes
    return {key: np.broadcast_to(np.asarray(value, dtype=float), (n,)).copy() for key, value in values.items()}


@pytest.fixture(scope="module")
def observed(bench):
    """Pixels and a noisy spectrum at `TRUE`, from FullSpectralFit; by whether they are on a logarithmic grid."""
    found = {}
    for name, kind in PIXELS.items():
        there = bench.moved(redshift=TRUE)
        wave = getattr(there, kind)(low=4250.0, high=5220.0)
        unit = np.full(len(wave), 1e-16)
        full = there.fit(wave, unit, 1e-16, f"flat_{kind}").model
        point = {key: np.array([v]) for key, v in (POINT | STILL).items()}
        flux = full.model_spectrum(point, np.array([1e10]))[0][0]
        error = np.full(len(wave), flux.mean() / 40)
        noisy = flux + np.random.default_rng(5).normal(0, error)
        found[name] = (bench.write(wave, noisy, error, f"redshift_{kind}"), wave)
    return found


@pytest.fixture(scope="module")
def prepare(bench):
    def function(path, **options):
        given = {
            "inputSpectrum": str(path), "fluxUnits": "1e-16 erg / (s cm2 Angstrom)",
            "SSPModel": str(bench.library_file),
            "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89", "los_sigma": 100.0, **Z_RANGE,
        } | options  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ORCHESTRATOR_CACHE", str(bench.folder / "cache"))
            return prepare_redshift_fit(parse_options("SpectraRedshiftFit", given))

    return function


@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize("kind", ["plain", "sampled", "profiled"])
def test_at_one_redshift_it_is_full_spectral_fit(bench, observed, prepare, pixels, kind):
    path, wave = observed[pixels]
    bounds = {"legendre_bounds": (wave[0], wave[-1])}
    rest = {"legendre_bounds": (wave[0] / (1 + TRUE), wave[-1] / (1 + TRUE))} if kind != "plain" else {}
    noise = {"NoiseModel": "MultiplicativeNoiseModel"}
    mine = prepare(path, redshift_mode="sampled", **KINDS[kind], **noise, **(bounds if rest else {})).model
    full = bench.moved(redshift=TRUE).prepare(path, **KINDS[kind], **noise, **rest).model
    found = mine.log_likelihood(arrays(redshift=TRUE))
    expected = full.log_likelihood({key: np.array([v]) for key, v in (POINT | STILL).items()})
    assert found.log_likelihood[0] == pytest.approx(expected.log_likelihood[0], abs=1.0)
    assert found.amplitude[0] == pytest.approx(expected.amplitude[0], rel=1e-3)
    assert found.surviving_fraction[0] == pytest.approx(expected.surviving_fraction[0], abs=2e-4)


@pytest.mark.parametrize("amplitude", ["profiled", "marginalised", "sampled"])
def test_mass_is_that_of_the_distance_of_the_trial_redshift(bench, observed, prepare, amplitude):
    path, _ = observed["aligned"]
    for redshift in (0.0352, TRUE, 0.0488):
        mine = prepare(path, redshift_mode="sampled", amplitude=amplitude).model
        full = bench.moved(redshift=redshift).prepare(path, amplitude=amplitude).model
        found = mine.log_likelihood(arrays(redshift=redshift))
        expected = full.log_likelihood({key: np.array([v]) for key, v in (POINT | STILL).items()})
        assert found.amplitude[0] == pytest.approx(expected.amplitude[0], rel=2e-3)
        assert found.log_likelihood[0] == pytest.approx(expected.log_likelihood[0], rel=1e-3)


@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize("kind", KINDS)
def test_maximised_is_the_maximum_of_sampled(observed, prepare, pixels, kind):
    path, _ = observed[pixels]
    best = prepare(path, **KINDS[kind]).model.log_likelihood(arrays())
    dense = prepare(path, redshift_mode="sampled", **KINDS[kind]).model
    redshift = np.linspace(0.03, 0.05, 801)
    coarse = dense.log_likelihood(arrays(801, redshift=redshift)).log_likelihood
    near = redshift[np.argmax(coarse)] + np.linspace(-3e-5, 3e-5, 201)
    fine = dense.log_likelihood(arrays(201, redshift=near))
    assert best.log_likelihood[0] == pytest.approx(fine.log_likelihood.max(), abs=1e-2)
    assert best.extra["redshift"][0] == pytest.approx(near[np.argmax(fine.log_likelihood)], abs=2e-6)
    # The uncertainty is that of the parabola at the top.
    error = best.extra["redshift_error"][0]
    lower = dense.log_likelihood(arrays(2, redshift=best.extra["redshift"][0] + error * np.array([-1, 1])))
    assert fine.log_likelihood.max() - lower.log_likelihood == pytest.approx([0.5, 0.5], abs=0.1)
    assert abs(best.extra["redshift"][0] - TRUE) < 4 * error


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_points_one_by_one(observed, prepare, kind):
    path, _ = observed["not aligned"]
    model = prepare(path, NoiseModel="MultiplicativeNoiseModel", **KINDS[kind]).model
    rng = np.random.default_rng(1)
    many = arrays(70, logtau=rng.uniform(-1, 1.7, 70), a_v=rng.uniform(0, 2, 70), beta=rng.uniform(0.5, 2, 70))
    many["dust.extinction", "a_v"][3] = -1.0
    many["stars.sfh", "logtau"][7] = np.nan
    together = model.log_likelihood(many)
    for i in (0, 3, 7, 42, 69):
        alone = model.log_likelihood({key: value[i : i + 1] for key, value in many.items()})
        assert together.log_likelihood[i] == pytest.approx(alone.log_likelihood[0], rel=1e-12)
    assert np.isneginf(together.log_likelihood[[3, 7]]).all()
    assert np.isfinite(np.delete(together.log_likelihood, [3, 7])).all()


def test_every_parameter_and_choice_counts(observed, prepare):
    path, _ = observed["aligned"]
    for kind, choice in KINDS.items():
        for mode in ("sampled", "maximised"):
            options = {"redshift_mode": mode, "NoiseModel": "MultiplicativeNoiseModel", "amplitude": "sampled"}
            parsed = {"inputSpectrum": "a", "SSPModel": "b", "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89"}
            declared = MODULES["SpectraRedshiftFit"].declared_parameters(
                parse_options("SpectraRedshiftFit", parsed | Z_RANGE | options | choice)
            )
            model = prepare(path, **options, **choice).model
            start = arrays(redshift=TRUE)
            base = model.log_likelihood(start).log_likelihood[0]
            for parameter in declared:
                key = parameter.section, parameter.name
                step = 0.05 * (parameter.upper - parameter.lower)
                moved = model.log_likelihood({**start, key: start[key] + step}).log_likelihood[0]
                assert abs(moved - base) > 1e-3, (kind, mode, key)


def test_joint_mass_of_other_data(observed, prepare):
    model = prepare(observed["aligned"][0]).model
    alone = model.log_likelihood(arrays())
    mass = alone.amplitude[0]
    sharp = Parabola(np.array([-3.0]), np.array([2 * mass / 1e9]), np.array([1 / 1e9]))  # twice the mass, +- 3e4
    joint = model.log_likelihood(arrays(), sharp)
    assert joint.amplitude[0] == pytest.approx(2 * mass, rel=1e-3)
    expected = joint.joint.at(joint.amplitude)[0] - sharp.at(np.array([2 * mass]))[0]
    assert joint.log_likelihood[0] == pytest.approx(expected, abs=1e-3)
    assert joint.log_likelihood[0] < alone.log_likelihood[0]


def test_the_edge_of_the_range_is_a_maximum_without_wrapping_around(observed, prepare):
    path, _ = observed["aligned"]
    below = prepare(path, z_min=0.0405, z_max=0.05).model
    above = prepare(path, z_min=0.03, z_max=0.0401).model
    low, high = below.log_likelihood(arrays()), above.log_likelihood(arrays())
    assert low.extra["redshift"][0] == pytest.approx(0.0405, abs=1e-12)
    assert high.extra["redshift"][0] == pytest.approx(0.0401, abs=1e-12)
    for model, edge, found in ((below, 0.0405, low), (above, 0.0401, high)):
        whole = prepare(path, redshift_mode="sampled").model
        whole_at = whole.log_likelihood(arrays(redshift=edge)).log_likelihood[0]
        assert found.log_likelihood[0] == pytest.approx(whole_at, abs=0.15)  # other nodes of the age of the universe
        assert len(model.grid.position) == len(whole.grid.position)


def test_profile_is_the_likelihood_at_each_redshift(observed, prepare):
    path, _ = observed["not aligned"]
    profile = prepare(path).model.profile(arrays())
    sampled = prepare(path, redshift_mode="sampled").model
    values = sampled.log_likelihood(arrays(len(profile.redshift), redshift=profile.redshift))
    assert profile.log_likelihood == pytest.approx(values.log_likelihood, rel=1e-12)
    assert profile.stellar_mass == pytest.approx(values.amplitude, rel=1e-12)
    assert (profile.redshift[0], profile.redshift[-1]) == (pytest.approx(0.03), 0.05)


def test_finer_steps_change_nothing_but_the_grid(observed, prepare):
    path, _ = observed["aligned"]
    one, four = prepare(path), prepare(path, z_step=0.25)
    assert four.model.grid.n_trials == pytest.approx(4 * one.model.grid.n_trials, abs=8)
    assert four.model.grid.aligned
    first, second = one.model.log_likelihood(arrays()), four.model.log_likelihood(arrays())
    assert first.extra["redshift"][0] == pytest.approx(second.extra["redshift"][0], abs=3e-6)
    assert first.log_likelihood[0] == pytest.approx(second.log_likelihood[0], abs=0.5)


def test_the_same_pixels_at_every_redshift(bench, observed, prepare, caplog):
    path, wave = observed["aligned"]
    edge = np.exp(800.0 / 299792.458)
    with caplog.at_level(logging.WARNING):
        fit = prepare(path, z_min=0.0, z_max=0.15)
    low, high = bench.library.wavelength[0] * 1.15 * edge, bench.library.wavelength[-1] / edge
    inside = (wave >= low) & (wave <= high)
    assert np.array_equal(fit.good_pixels, inside)
    assert f"{int((~inside).sum())} of {len(wave)} good pixels are dropped at every trial redshift" in caplog.text
    assert fit.model.log_likelihood(arrays()).extra["redshift"][0] == pytest.approx(TRUE, abs=5e-4)
    with pytest.raises(LibraryError, match="at every redshift from 0 to 1"):
        prepare(path, z_min=0.0, z_max=1.0)


def test_compressed_templates_give_the_likelihood_of_the_exact_ones(bench, observed, prepare, monkeypatch, caplog):
    from orchestrator.forward_model import redshift_templates

    path, _ = observed["aligned"]
    exact = prepare(path).model
    monkeypatch.setattr(redshift_templates, "_FEW", 10)
    monkeypatch.setattr(redshift_templates, "_FORMAT", "a test")
    small = prepare(path).model
    if small.templates.make_exact is None:
        pytest.skip("no smaller basis for these 36 templates")
    inside, outside = arrays(logtau=1.0), arrays(logtau=3.5)
    both = {key: np.concatenate([inside[key], outside[key]]) for key in inside}
    found, expected = small.log_likelihood(both), exact.log_likelihood(both)
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, abs=0.03)
    assert "outside the ranges of the compressed templates" in caplog.text


def test_nodes_follow_age_and_resolution(bench, prepare, observed):
    path, wave = observed["aligned"]
    lsf = bench.folder / "lsf.txt"
    np.savetxt(lsf, np.column_stack([wave, 2.8 + 2.5 * (wave / wave[0] - 1) ** 2 * 4]))
    fit = prepare(path, lsf=str(lsf), z_min=0.0, z_max=0.06, los_sigma=20.0)
    assert len(fit.model.templates.lsf_shift) > 1
    assert fit.lsf_error < 0.01
    assert len(prepare(path, z_min=0.0, z_max=0.06).model.templates.lsf_shift) == 1  # no resolution is known
    assert len(fit.model.templates.age_shift) == 2
    # In a universe of one age the populations are those of the full fit (tested above) at any redshift between.
    with_lsf = bench.moved(redshift=TRUE).prepare(path, lsf=str(lsf)).model
    mine = prepare(path, lsf=str(lsf), z_min=0.0, z_max=0.06, redshift_mode="sampled").model
    found = mine.log_likelihood(arrays(redshift=TRUE)).log_likelihood[0]
    expected = with_lsf.log_likelihood({key: np.array([v]) for key, v in (POINT | STILL).items()})
    assert found == pytest.approx(expected.log_likelihood[0], abs=1.5)


def test_emission_lines_are_masked_wherever_they_are(bench, observed, prepare):
    path, wave = observed["not aligned"]
    flux, error = np.loadtxt(path, usecols=(1, 2), unpack=True) * 1e-16
    spiked = flux.copy()
    for centre in (4600.0, 5008.0):
        spiked += 3 * flux.mean() * np.exp(-0.5 * ((wave - centre) / 2.0) ** 2)
    with_lines = bench.write(wave, spiked, error, "spiked")
    fit = prepare(with_lines, emission_line_half_width=400.0)
    gone = ~fit.good_pixels
    assert gone[np.abs(wave - 4600.0) < 8].all()
    assert gone[np.abs(wave - 5008.0) < 8].all()
    assert gone.sum() < 60
    assert fit.model.log_likelihood(arrays()).extra["redshift"][0] == pytest.approx(TRUE, abs=2e-4)
    assert prepare(with_lines, mask_emission_lines=False).good_pixels.all()


def test_too_many_knots_are_refused(observed, prepare):
    with pytest.raises(DataError, match="continuum_knot_spacing larger"):
        prepare(observed["aligned"][0], use_features=True, continuum_knot_spacing=1.0)
