"""Derived quantities against closed forms, sums over single stars and numerical integrals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad

from orchestrator.errors import LibraryError
from orchestrator.forward_model.derived import (
    VISUAL_RANGE,
    DerivedModel,
    band_luminosity,
    derived_model,
    with_derived,
)
from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.physics.derived_quantities import (
    DERIVED_QUANTITIES,
    LOWEST_SPECIFIC_RATE,
    derived_names,
    unavailable_quantities,
    unknown_extra_outputs,
)
from orchestrator.physics.sfh import build_sfh
from orchestrator.ssp_libraries.library import SSPLibrary

TODAY = 13.0
MASS = np.array([3e10])
METALS = {"ism_metallicity_today": 0.02, "alpha_powerlaw": 0.4}
LN10 = np.log(10.0)


def make_library(metallicity: tuple[float, ...] = (1e-9, 1e-4, 0.004, 0.02, 0.05)) -> SSPLibrary:
    """Straight spectra whose level falls with age and metallicity; ages up to 16 Gyr."""
    wave = np.arange(4000.0, 7000.0, 10.0)
    ages, metals = np.linspace(5.5, 10.2, 48), np.array(metallicity)
    level = (10.0**ages / 1e9)[None, :] ** -0.8 * (1.0 + 0.3 * np.log10(metals[:, None] / metals[0]))
    slope = 1.0 + (ages[None, :, None] - 8.0) * (wave - 5500.0) / 5500.0
    return SSPLibrary(
        name="straight",
        wavelength=wave,
        log10_age_yr=ages,
        metallicity=metals,
        flux=np.ascontiguousarray(level[..., None] * slope),
        lsf_fwhm=np.full(len(wave), 2.5),
        surviving_fraction=np.linspace(0.95, 0.55, 48) * np.ones((len(metals), 1)),
        mass_normalised=True,
        citation="none",
        licence="none",
        checksum="straight",
    )


def make_model(name: str = "ExponentialSFH", args: tuple = (), **changes: object) -> DerivedModel:
    library = replace(make_library(), **changes)
    return derived_model(StellarPopulation.of_library(build_sfh(name, list(args), TODAY), library), library)


def point(**values: float | np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=float)) for v in (METALS | values).values()))
    return {("stars.sfh", name): array.copy() for name, array in zip(METALS | values, arrays, strict=True)}


def everything(model: DerivedModel, parameters: dict, mass: np.ndarray = MASS) -> dict[str, float]:
    return {name: float(x[0]) for name, x in model.evaluate(model.available, parameters, mass).items()}


@pytest.mark.parametrize("tau", [0.3, 2.0, 30.0])
def test_an_exponential_history_has_its_closed_forms(tau: float) -> None:
    found = everything(make_model(), point(logtau=np.log10(tau)))
    total = -np.expm1(-TODAY / tau)

    def young(span: float) -> float:
        return np.exp(-TODAY / tau) * np.expm1(span / tau) / total

    mass = np.log10(MASS[0])
    assert found["stellar_mass"] == pytest.approx(mass, abs=1e-12)
    assert found["log10_sfr_10myr"] == pytest.approx(mass + np.log10(max(young(0.01) / 1e7, 1e-16)), abs=1e-6)
    assert found["log10_sfr_100myr"] == pytest.approx(mass + np.log10(max(young(0.1) / 1e8, 1e-16)), abs=1e-6)
    assert found["log10_ssfr_100myr"] == pytest.approx(found["log10_sfr_100myr"] - mass, abs=1e-12)
    mean_time = tau - TODAY * np.exp(-TODAY / tau) / total
    assert found["mass_weighted_age"] == pytest.approx(TODAY - mean_time, rel=1e-6)
    for name, fraction in (("t50", 0.5), ("t90", 0.9)):
        time = -tau * np.log1p(-fraction * total)
        assert found[name] == pytest.approx(time, rel=1e-6)
        assert found[f"{name}_lookback"] == pytest.approx(TODAY - time, rel=1e-6)


def test_a_delayed_history_has_its_closed_forms() -> None:
    tau = 3.0
    found = everything(make_model("DelayedTauSFH"), point(logtau=np.log10(tau)))

    def integral(power: int, low: float, high: float) -> float:
        return quad(lambda t: t**power * np.exp(-t / tau), low, high, epsabs=0, epsrel=1e-12)[0]

    total = integral(1, 0, TODAY)
    assert found["mass_weighted_age"] == pytest.approx(TODAY - integral(2, 0, TODAY) / total, rel=1e-6)
    rate = MASS[0] * integral(1, TODAY - 0.01, TODAY) / total / 1e7
    assert found["log10_sfr_10myr"] == pytest.approx(np.log10(rate), abs=1e-6)
    for name, fraction in (("t50", 0.5), ("t90", 0.9)):
        assert integral(1, 0, found[name]) / total == pytest.approx(fraction, rel=1e-6)


def test_mass_weighted_metallicity_has_its_closed_form() -> None:
    # The mean of ln(Z_today m^alpha) over the mass is ln Z_today - alpha, if the library reaches low enough.
    for name, own in (("ExponentialSFH", {"logtau": 0.3}), ("LogNormalSFH", {"t0": 4.0, "scale": 0.5})):
        for alpha in (0.0, 0.4, 1.0):
            found = everything(make_model(name), point(**own, alpha_powerlaw=alpha))
            expected = np.log10(0.02) - alpha / LN10
            assert found["mass_weighted_log10_metallicity"] == pytest.approx(expected, abs=1e-6)


def test_light_weights_are_those_of_single_stars() -> None:
    """A million stars of equal mass, each the mixture of its four nearest SSPs."""
    tau, library = 4.0, make_library()
    model = make_model()
    formed = (np.arange(1_000_000) + 0.5) / 1_000_000
    time = -tau * np.log1p(formed * np.expm1(-TODAY / tau))
    position = {}
    for axis, value, nodes in (
        ("age", np.log10((TODAY - time) * 1e9), library.log10_age_yr),
        ("metal", np.log(0.02) + 0.4 * np.log(formed), np.log(library.metallicity)),
    ):
        place = np.interp(value, nodes, np.arange(len(nodes)))
        below = np.minimum(place.astype(int), len(nodes) - 2)
        position[axis] = (below, place - below)
    weights = np.zeros(library.flux.shape[:2])
    for i in (0, 1):
        for j in (0, 1):
            (met, met_share), (age, age_share) = position["metal"], position["age"]
            share = (met_share if i else 1 - met_share) * (age_share if j else 1 - age_share)
            np.add.at(weights, (met + i, age + j), share / len(formed))
    fine = np.linspace(*VISUAL_RANGE, 2001)
    light = np.array(
        [[np.trapezoid(np.interp(fine, library.wavelength, s), fine) for s in row] for row in library.flux]
    )
    light *= weights
    found = everything(model, point(logtau=np.log10(tau)))
    ages = 10 ** (library.log10_age_yr - 9)
    assert found["light_weighted_age"] == pytest.approx((light * ages).sum() / light.sum(), rel=1e-4)
    expected = (light * np.log10(library.metallicity)[:, None]).sum() / light.sum()
    assert found["light_weighted_log10_metallicity"] == pytest.approx(expected, rel=1e-4)
    surviving = np.log10((weights * library.surviving_fraction).sum() * MASS[0])
    assert found["surviving_stellar_mass"] == pytest.approx(surviving, abs=1e-4)
    assert found["light_weighted_age"] < 0.8 * found["mass_weighted_age"], "young stars are bright"


def test_the_light_of_a_range_is_the_integral_of_the_spectrum() -> None:
    library = make_library()
    low, high = 5003.0, 5891.5
    found = band_luminosity(library, (low, high)).reshape(5, 48)
    spectrum = library.flux[2, 30]
    expected = quad(lambda w: np.interp(w, library.wavelength, spectrum), low, high, limit=400, epsrel=1e-10)[0]
    assert found[2, 30] == pytest.approx(expected, rel=1e-8)
    whole = (float(library.wavelength[0]), float(library.wavelength[-1]))
    expected = np.trapezoid(library.flux, library.wavelength, axis=-1).ravel()
    np.testing.assert_allclose(band_luminosity(library, whole), expected, rtol=1e-12)


def test_the_light_is_that_of_v_or_of_all_that_the_library_covers() -> None:
    library = make_library()
    population = StellarPopulation.of_library(build_sfh("ExponentialSFH", [], TODAY), library)
    assert derived_model(population, library).light_range == VISUAL_RANGE
    blue = replace(
        library, wavelength=library.wavelength[:150], flux=library.flux[..., :150], lsf_fwhm=library.lsf_fwhm[:150]
    )
    assert derived_model(population, blue).light_range == (4000.0, 5490.0)
    assert derived_model(population, library, (4100.0, 4200.0)).light_range == (4100.0, 4200.0)
    with pytest.raises(LibraryError, match=r"light_range = 3000 5000 A: straight covers 4000-6990 A"):
        derived_model(population, library, (3000.0, 5000.0))


def test_batches_are_points_one_by_one_and_outside_the_support_is_nan() -> None:
    model = make_model("FixedMassFracSFH", (0.3, 0.8))
    rng = np.random.default_rng(3)
    times = np.sort(rng.uniform(0.5, 12.5, (7, 2)), axis=1)
    times[4] = times[4, ::-1]  # out of order
    parameters = point(**{"t_at_frac_0.3000": times[:, 0], "t_at_frac_0.8000": times[:, 1]})
    mass = rng.uniform(1e9, 1e10, 7)
    found = model.evaluate(model.available, parameters, mass)
    for i in range(7):
        one = model.evaluate(model.available, {key: x[i : i + 1] for key, x in parameters.items()}, mass[i : i + 1])
        for name in model.available:
            np.testing.assert_allclose(found[name][i], one[name][0], rtol=1e-12)
            if name != "stellar_mass":
                assert np.isnan(found[name][i]) == (i == 4), name


def test_a_rate_of_nothing_is_the_floor() -> None:
    found = everything(make_model(), point(logtau=-2.0))
    assert found["log10_ssfr_100myr"] == np.log10(LOWEST_SPECIFIC_RATE)
    assert found["log10_sfr_10myr"] == pytest.approx(np.log10(MASS[0] * LOWEST_SPECIFIC_RATE))


def test_a_library_without_a_mass_scale_has_no_masses() -> None:
    model = make_model(mass_normalised=False, surviving_fraction=None)
    assert model.available == ("light_weighted_age", "light_weighted_log10_metallicity")
    with pytest.raises(LibraryError, match="t50 cannot be derived: the spectra of straight have no common"):
        model.evaluate(["t50"], point(logtau=0.3), MASS)
    assert everything(model, point(logtau=0.3))["light_weighted_age"] > 0


def test_a_library_without_a_surviving_fraction_says_so() -> None:
    model = make_model(surviving_fraction=None)
    assert set(model.unavailable) == {"surviving_stellar_mass"}
    assert "does not say which fraction" in model.unavailable["surviving_stellar_mass"]


def test_every_quantity_is_computed_and_named() -> None:
    model = make_model()
    assert model.available == tuple(DERIVED_QUANTITIES)
    evaluation = Evaluation(log_likelihood=np.zeros(1), amplitude=MASS, extra={"other": np.ones(1)})
    extra = with_derived(evaluation, model, ("t50",), point(logtau=0.3)).extra
    assert set(extra) == {"other", "t50"}
    assert derived_names(["extra/T50", "extra/other", "stars.sfh/t90", "extra/t90"]) == ("t50", "t90")
    (fault,) = unknown_extra_outputs(["extra/t50", "extra/log10_sfr_10gyr", "noise/beta"])
    assert "'log10_sfr_10gyr'" in fault
    assert "did you mean 'log10_sfr_10myr'?" in fault
    assert unavailable_quantities("x", mass_normalised=True, has_surviving_fraction=True) == {}


# --- the history


@pytest.mark.parametrize(
    ("name", "args", "own"),
    [
        ("ExponentialSFH", (), {"logtau": 0.4}),
        ("LogNormalSFH", (), {"t0": 5.0, "scale": 0.4}),
        ("FixedMassFracSFH", (0.3, 0.8), {"t_at_frac_0.3000": 4.0, "t_at_frac_0.8000": 4.5}),
    ],
)
def test_the_rates_sum_up_to_the_mass(name: str, args: tuple, own: dict[str, float]) -> None:
    model = make_model(name, args)
    history = model.formation_history(point(**own), MASS)
    width = np.diff(history.edges) * 1e9
    assert history.edges[0] == 0.0
    assert history.edges[-1] == pytest.approx(TODAY)
    np.testing.assert_allclose(history.rate @ width, MASS, rtol=1e-9)
    older = np.cumsum((history.rate * width)[:, ::-1], axis=1)[:, ::-1] / MASS
    np.testing.assert_allclose(history.mass_fraction, older, atol=1e-9)
    sfh = model.population.sfh
    values = {key[1]: x for key, x in point(**own).items()}
    for step in (0, 10, 60):
        low, high = TODAY - history.edges[step + 1], TODAY - history.edges[step]
        nodes, weights = np.polynomial.legendre.leggauss(32)
        at = 0.5 * (low + high) + 0.5 * (high - low) * nodes
        mean = (sfh.star_formation_rate(at, values)[0] @ weights) / 2 * MASS[0] / 1e9
        assert history.rate[0, step] == pytest.approx(mean, rel=1e-4)


def test_the_metallicity_follows_the_mass() -> None:
    model = make_model()
    history = model.formation_history(point(logtau=[0.4, 0.4], alpha_powerlaw=[0.0, 1.5]), np.ones(2))
    np.testing.assert_allclose(history.log10_metallicity[0], np.log10(0.02))
    expected = np.log10(0.02) + 1.5 * np.log10(history.mass_fraction[1])
    np.testing.assert_allclose(history.log10_metallicity[1], expected)
    assert np.isfinite(history.log10_metallicity).all()
