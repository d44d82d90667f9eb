"""Fits of line indices: the model against spectra summed by hand, likelihood, emission, refusals, recovery."""

from __future__ import annotations

import extinction
import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.stats import multivariate_normal

from orchestrator.config.module_options import MODULES, parse_options
from orchestrator.errors import ConfigError, DataError
from orchestrator.forward_model.index_fit import prepare_index_fit
from orchestrator.observation.line_indices import gas_lines, line_indices
from orchestrator.physics.index_bands import line_in_pixels, measure_indices

C = 299792.458
Z = 0.03
DATA_FWHM = 3.1
SIGMA = 120.0
NAMES = "Dn4000 HdeltaA HgammaA Hbeta Fe5015 Mg2 Mgb Fe5270 Fe5335"
VALUES = {
    ("stars.sfh", "logtau"): 0.4,
    ("stars.sfh", "ism_metallicity_today"): 0.015,
    ("stars.sfh", "alpha_powerlaw"): 0.6,
    ("dust.extinction", "a_v"): 0.5,
    ("emission", "ew_hbeta"): 1.5,
    ("emission", "ew_oiii"): 2.0,
    ("emission", "ew_ni"): 0.4,
    ("emission", "a_v_gas"): 1.2,
}
ALL_EMISSION = {"oiii_emission": "T", "ni_emission": "T", "gas_extinction": "T"}


def points(n=1, **changes):
    return {
        key: np.broadcast_to(np.asarray(changes.get(key[1], value), dtype=float), (n,)).copy()
        for key, value in VALUES.items()
    }


class Bench:
    """Spectra of a synthetic library on disk, and fits of them."""

    def __init__(self, folder, toolbox):
        self.folder, self.toolbox = folder, toolbox
        self.library = toolbox.synthetic_library(np.arange(3600.0, 5600.0, 0.9), 110, 2.5)
        self.file = toolbox.write_library(self.library, folder / "library.npz")
        self.wavelength = (1 + Z) * np.exp(np.arange(np.log(3720.0), np.log(5480.0), 60.0 / C))
        np.savetxt(folder / "lsf.txt", [[3000.0, DATA_FWHM * (1 + Z)], [9000.0, DATA_FWHM * (1 + Z)]])
        self.rest_edges = np.exp(np.arange(np.log(3720.0) - 30 / C, np.log(5480.0) + 60 / C, 60.0 / C))
        self.rest_edges = self.rest_edges[: len(self.wavelength) + 1]

    def write(self, flux, error, name="spectrum", good=None):
        good = np.ones(len(self.wavelength), dtype=bool) if good is None else good
        columns = np.broadcast_arrays(self.wavelength, flux, error)
        np.savetxt(self.folder / f"{name}.txt", np.column_stack(columns)[good], fmt="%.12g")
        return self.folder / f"{name}.txt"

    def options(self, **changes):
        given = {
            "inputSpectrum": str(self.folder / "spectrum.txt"), "fluxUnits": "1e-16 erg / (s cm2 Angstrom)",
            "redshift": Z, "lsf": str(self.folder / "lsf.txt"), "SSPModel": str(self.file),
            "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89", "los_sigma": SIGMA, "ew_names": NAMES,
        }  # fmt: skip
        return {key: value for key, value in (given | changes).items() if value is not None}

    def fit(self, **changes):
        return prepare_index_fit(parse_options("EquivalentWidthFit", self.options(**changes)))

    def by_hand(self, today, **changes):
        """A spectrum per Msun in the pixels: SSPs, Gaussian in real space every 4 km/s, dust, emission lines."""
        p = {name: changes.get(name, value) for (_, name), value in VALUES.items()}
        p |= {"los_vel": 0.0, "los_h3": 0.0, "los_h4": 0.0, "los_sigma": SIGMA}
        flux = self.toolbox.brute_flux(
            self.library, self.rest_edges, today=today, factor=1.0, data_fwhm=DATA_FWHM,
            **{k: p[k] for k in self.toolbox.TRUTH},
        )  # fmt: skip
        return flux + self.emission(flux, p)

    def emission(self, stars, p):
        centres = 0.5 * (self.rest_edges[1:] + self.rest_edges[:-1])
        heads = {"balmer": (4862.683, "ew_hbeta"), "oiii": (5008.24, "ew_oiii"), "ni": (5199.349, "ew_ni")}
        total = np.zeros_like(stars)
        for line in gas_lines():
            if line.wavelength > 5400:
                continue
            head, name = heads[line.group]
            beside = [(centres > head + a) & (centres < head + b) for a, b in ((-60, -20), (20, 60))]
            continuum = np.mean([stars[side].mean() for side in beside])
            k = extinction.ccm89(np.array([line.wavelength, head]), p["a_v_gas"], 3.1)
            flux = p[name] * continuum * line.ratio * 10 ** (-0.4 * (k[0] - k[1]))
            width = np.hypot(DATA_FWHM / 2.354820045, SIGMA / C * line.wavelength)
            total += flux * line_in_pixels(self.rest_edges, line.wavelength, width)
        return total


@pytest.fixture(scope="module")
def shop(tmp_path_factory, toolbox):
    bench = Bench(tmp_path_factory.mktemp("indices"), toolbox)
    bench.write(1.0, 0.02)
    return bench


@pytest.fixture(scope="module")
def full(shop):
    """All parameters, data made by the model itself with noise."""
    shop.write(1.0, 0.02)
    today = shop.fit(**ALL_EMISSION).model.population.sfh.today
    flux = shop.by_hand(today)
    flux = flux / flux.mean()
    error = 0.02 * np.ones_like(flux)
    shop.write(flux + error * np.random.default_rng(3).standard_normal(len(flux)), error, "full")
    return shop.fit(**ALL_EMISSION, inputSpectrum=str(shop.folder / "full.txt"))


def measured(shop, flux, names=NAMES, **keywords):
    good = np.ones(len(flux), dtype=bool)
    indices = [line_indices()[name] for name in names.split()]
    return measure_indices(indices, shop.rest_edges, flux, np.full(len(flux), 1e-4), good, **keywords).values


TOLERANCE = {"Angstrom": 0.012, "mag": 5e-4, "ratio": 1.5e-3}


@pytest.mark.parametrize(
    "changes", [{}, {"a_v": 0.0}, {"a_v": 1.9, "a_v_gas": 0.0}, {"logtau": -0.5, "ism_metallicity_today": 0.03}]
)
def test_model_is_that_of_a_spectrum_summed_by_hand(shop, full, changes):
    expected = measured(shop, shop.by_hand(full.model.population.sfh.today, **changes))
    found = full.model.model_indices(points(**changes))[0]
    allowed = np.array([TOLERANCE[line_indices()[name].unit] for name in NAMES.split()])
    np.testing.assert_array_less(np.abs(found - expected), allowed)


def test_emission_is_large_enough_to_be_tested(shop, full):
    with_gas, without = full.model.model_indices(points(2, ew_hbeta=[1.5, 0], ew_oiii=[2, 0], ew_ni=[0.4, 0]))
    changed = dict(zip(NAMES.split(), without - with_gas, strict=True))
    assert changed["Hbeta"] == pytest.approx(1.5, abs=0.25)
    assert changed["Fe5015"] > 1.0
    assert changed["Mgb"] < -0.1  # [N I] lies in its red continuum
    assert changed["HgammaA"] > 0.3


def test_dust_beyond_the_table_is_exact(full):
    table = full.model.table
    assert table.max_error < 1e-8
    _, weights = full.model.population.weights(points())
    inside = table.stellar_integrals(weights, np.array([4.9999]))
    exact = np.stack([weights[0] @ light.integrals(np.array([4.9999]))[0] for light in table.light])
    np.testing.assert_allclose(inside[0], exact, atol=1e-7 * np.abs(exact[:, :1]).max())
    outside = full.model.model_indices(points(2, a_v=[5.0, 5.0001]))
    np.testing.assert_allclose(outside[0], outside[1], atol=1e-3)
    assert np.abs(outside[0] - outside[1]).max() > 1e-9


def test_likelihood_is_the_normalised_gaussian(full):
    data = full.model.data
    model = full.model.model_indices(points())[0]
    expected = multivariate_normal(model, data.covariance).logpdf(data.values)
    assert full.model.log_likelihood(points()).log_likelihood[0] == pytest.approx(expected, rel=1e-10)
    assert abs(np.corrcoef(data.covariance)[5, 6]) > 0.1


def test_every_declared_parameter_changes_the_likelihood(shop, full):
    declared = MODULES["EquivalentWidthFit"].declared_parameters(
        parse_options("EquivalentWidthFit", shop.options(**ALL_EMISSION))
    )
    assert {(p.section, p.name) for p in declared} == set(VALUES)
    base = full.model.log_likelihood(points()).log_likelihood[0]
    for p in declared:
        moved = full.model.log_likelihood(points(**{p.name: p.lower + 0.37 * (p.upper - p.lower)})).log_likelihood[0]
        assert abs(moved - base) > 1e-3, p.name


def test_batch_is_its_points_and_bad_points_spoil_none(full):
    a_v = np.array([0.5, -0.1, 1.0, 0.2])
    batch = full.model.log_likelihood(points(4, a_v=a_v, logtau=[0.4, 0.4, np.nan, 1.0])).log_likelihood
    assert np.isneginf(batch[[1, 2]]).all()
    for i in (0, 3):
        single = full.model.log_likelihood(points(a_v=a_v[i], logtau=[0.4, 0, 0, 1.0][i])).log_likelihood[0]
        assert batch[i] == pytest.approx(single, rel=1e-12)


def test_pure_noise_has_a_chi2_of_one(shop, full):
    rng = np.random.default_rng(8)
    flux = shop.by_hand(full.model.population.sfh.today)
    flux, error = flux / flux.mean(), 0.02
    indices = [line_indices()[name] for name in NAMES.split()]
    truth = measured(shop, flux)
    white = []
    for _ in range(300):
        noisy = flux + error * rng.standard_normal(len(flux))
        found = measure_indices(indices, shop.rest_edges, noisy, 0 * flux + error**2, np.ones(len(flux), bool))
        white.append((found.values - truth) @ np.linalg.solve(found.covariance, found.values - truth) / len(truth))
    assert np.mean(white) == pytest.approx(1.0, abs=3.5 * np.sqrt(2 / 9 / 300))


# ---- data ----------------------------------------------------------------------------------------------------
def test_masks_and_gaps_take_indices_out(shop, full, caplog):
    path = shop.folder / "full.txt"
    fit = shop.fit(inputSpectrum=str(path), wlRange=[3720, 5300])
    assert [name for name, _ in fit.not_measured] == ["Mg2", "Fe5270", "Fe5335"]
    assert "pixels are masked" in fit.not_measured[0][1]
    masked = shop.fit(inputSpectrum=str(path), mask_emission_lines="T", emission_line_half_width=400)
    assert {"Hbeta", "Fe5015", "HgammaA"} <= {name for name, _ in masked.not_measured}
    assert "Fe5335" in masked.model.data.names
    wave, flux, error = np.loadtxt(path, unpack=True)
    keep = abs(wave / (1 + Z) - 5280) > 6
    np.savetxt(shop.folder / "gap.txt", np.column_stack([wave, flux, error])[keep])
    gap = shop.fit(inputSpectrum=str(shop.folder / "gap.txt"))
    assert [name for name, _ in gap.not_measured] == ["Fe5270"]
    assert "is not fitted" in caplog.text


def test_velocity_moves_the_bands(shop, full):
    path = str(shop.folder / "full.txt")
    apparent = (1 + Z) * np.exp(300.0 / C) - 1
    moved = shop.fit(inputSpectrum=path, los_vel=300.0, **ALL_EMISSION).model.data
    redshifted = shop.fit(inputSpectrum=path, redshift=apparent, **ALL_EMISSION).model.data
    np.testing.assert_allclose(moved.values, redshifted.values, rtol=1e-9)
    assert np.abs(moved.values - full.model.data.values).max() > 0.1


def test_lick_resolution_of_a_spectrum_and_of_a_table_have_one_model(shop, full):
    spectrum = shop.fit(inputSpectrum=str(shop.folder / "full.txt"), index_resolution="lick", **ALL_EMISSION)
    rows = zip(spectrum.model.data.names, spectrum.model.data.values, strict=True)
    (shop.folder / "table.txt").write_text("".join(f"{name} {value:.8g} 0.1\n" for name, value in rows))
    table = shop.fit(
        inputSpectrum=None, lsf=None, fluxUnits=None, inputIndices=str(shop.folder / "table.txt"),
        index_resolution="lick", balmer_emission="T", **ALL_EMISSION,
    )  # fmt: skip
    np.testing.assert_allclose(table.model.data.values, spectrum.model.data.values, rtol=1e-7)
    np.testing.assert_allclose(np.diag(table.model.data.covariance), 0.01)
    both = [fit.model.model_indices(points())[0] for fit in (spectrum, table)]
    np.testing.assert_allclose(both[0], both[1], atol=0.012)
    fine = full.model.model_indices(points())[0]
    assert np.abs(both[0] - fine).max() > 0.05  # the resolution matters


def test_smoothed_data_are_the_smoothed_model(shop, full):
    flux = shop.by_hand(full.model.population.sfh.today)
    shop.write(flux / flux.mean(), 0.02, "clean")
    fit = shop.fit(inputSpectrum=str(shop.folder / "clean.txt"), index_resolution=8.4, **ALL_EMISSION)
    difference = np.abs(fit.model.data.values - fit.model.model_indices(points())[0])
    allowed = np.array([TOLERANCE[line_indices()[name].unit] for name in NAMES.split()])
    np.testing.assert_array_less(difference, allowed)


def test_error_floors(shop, full):
    path = str(shop.folder / "full.txt")
    plain = shop.fit(inputSpectrum=path).model.data.covariance
    floors = {"ew_error_floor": 0.3, "mag_error_floor": 0.02, "break_error_floor": 0.05}
    added = np.diag(shop.fit(inputSpectrum=path, **floors).model.data.covariance - plain)
    expected = [{"Angstrom": 0.09, "mag": 4e-4, "ratio": 2.5e-3}[line_indices()[n].unit] for n in NAMES.split()]
    np.testing.assert_allclose(added, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"los_sigma": None}, ConfigError, "los_sigma is missing"),
        ({"lsf": None, "index_resolution": "lick"}, DataError, "line-spread function of .* is not known"),
        ({"ew_names": "NaD TiO1"}, DataError, "none of the indices can be used .NaD: the spectrum covers"),
        ({"ew_names": "Hbeta Fe5270", "wlRange": [5000, 5400]}, ConfigError, "emission has no effect on Fe5270"),
    ],
)
def test_refusals(shop, changes, error, message):
    with pytest.raises(error, match=message):
        shop.fit(**{"balmer_emission": None, **changes})


# ---- recovery ------------------------------------------------------------------------------------------------
def test_recovery_of_history_and_emission(shop, full):
    """30 mocks at S/N 250 per pixel, where errors are small enough to be linear: pulls of two parameters.

    The whole posterior at S/N 30 is tested in tests/statistical/test_recovery.py.
    """
    today = full.model.population.sfh.today
    flux = shop.by_hand(today, a_v=0.0, a_v_gas=0.0, ew_oiii=0.0, ew_ni=0.0)
    flux = flux / flux.mean()
    error = 0.004
    shop.write(flux, error, "mock")
    fit = shop.fit(inputSpectrum=str(shop.folder / "mock.txt"), ExtinctionLaw=None)
    indices = [line_indices()[name] for name in NAMES.split()]
    names = ("logtau", "ew_hbeta")
    truth, scale = np.array([0.4, 1.5]), np.array([0.1, 0.1])
    rng = np.random.default_rng(17)
    pulls = np.array([_pull(fit.model, indices, shop, flux, error, names, truth, scale, rng) for _ in range(30)])
    assert np.abs(pulls.mean(axis=0)).max() < 3 / np.sqrt(30)
    assert (np.abs(pulls.std(axis=0) - 1) < 3.5 / np.sqrt(60)).all()


def _pull(model, indices, shop, flux, error, names, truth, scale, rng):
    noisy = flux + error * rng.standard_normal(len(flux))
    found = measure_indices(indices, shop.rest_edges, noisy, 0 * flux + error**2, np.ones(len(flux), bool))
    data = type(model.data).of(model.data.names, found.values, found.covariance)

    def residuals(u):
        values = {name: truth[i] + u[i] * scale[i] for i, name in enumerate(names)}
        return data.whitening @ (model.model_indices(points(**values))[0] - data.values)

    best = least_squares(residuals, np.full(2, 0.1), diff_step=1e-3)
    # The error is that at the truth: an error taken at each estimate follows its noise and biases the mean pull.
    jacobian = least_squares(residuals, np.zeros(2), diff_step=1e-3, max_nfev=1).jac
    return best.x / np.sqrt(np.diag(np.linalg.inv(jacobian.T @ jacobian)))
