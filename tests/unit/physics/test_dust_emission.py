"""Emission of dust against Casey's formula written another way, and its energy."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import constants, units
from astropy.modeling.models import BlackBody
from scipy.integrate import quad

from orchestrator.physics.dust_emission import EMISSION_PARAMETERS, casey2012, emission_grid, integral_weights

USUAL = (35.0, 2.0, 1.5, 200.0)


def formula(micron: float, t_dust: float, alpha: float, beta: float, lam0: float) -> float:
    """Casey 2012, eq. 1, with N_bb of one and the blackbody of astropy, per unit of frequency."""
    planck = BlackBody(temperature=t_dust * units.K)

    def thermal(at: float) -> float:
        frequency = (constants.c / (at * units.um)).to(units.Hz)
        return (1 - np.exp(-((lam0 / at) ** beta))) * planck(frequency).value

    turn = 0.75 / ((26.68 + 6.246 * alpha) ** -2 + (1.905e-4 + 7.243e-5 * alpha) * t_dust)
    return thermal(micron) + thermal(turn) * (micron / turn) ** alpha * np.exp(-((micron / turn) ** 2))


@pytest.mark.parametrize("values", [USUAL, (20.0, 1.5, 2.0, 100.0), (60.0, 2.5, 1.2, 300.0)])
def test_emission_is_the_formula(values: tuple[float, ...]) -> None:
    micron = np.geomspace(3.0, 3000.0, 60)
    expected = np.array([formula(m, *values) / m**2 for m in micron])
    found = casey2012(emission_grid(), *values)[0]
    at = np.exp(np.interp(np.log(micron), np.log(emission_grid() * 1e-4), np.log(found)))
    ratio = at / expected
    np.testing.assert_allclose(ratio / ratio[30], 1.0, rtol=1e-3)


@pytest.mark.parametrize("values", [USUAL, (25.0, 1.0, 2.0, 100.0), (90.0, 3.0, 1.2, 300.0)])
def test_energy_is_one(values: tuple[float, ...]) -> None:
    grid = emission_grid()
    spectrum = casey2012(grid, *values)[0]
    assert np.trapezoid(spectrum, grid) == pytest.approx(1.0, rel=1e-12)
    # the same shape by adaptive quadrature: the grid is fine enough
    reference = np.argmax(spectrum)
    scale = spectrum[reference] / (formula(grid[reference] * 1e-4, *values) / (grid[reference] * 1e-4) ** 2)
    total, _ = quad(
        lambda x: scale * formula(np.exp(x) * 1e-4, *values) / (np.exp(x) * 1e-4) ** 2 * np.exp(x),
        np.log(grid[0]), np.log(grid[-1]), limit=300, epsrel=1e-7,
    )
    assert total == pytest.approx(1.0, rel=1e-3)


def test_a_batch_is_its_single_points_and_each_parameter_changes_the_shape() -> None:
    rng = np.random.default_rng(4)
    draws = [rng.uniform(low, high, 8) for low, _, high, _, _ in EMISSION_PARAMETERS.values()]
    batch = casey2012(emission_grid(), *draws)
    assert (batch >= 0).all()
    for i in range(8):
        np.testing.assert_allclose(batch[i], casey2012(emission_grid(), *(d[i] for d in draws))[0], rtol=1e-12)
    usual = casey2012(emission_grid(), *USUAL)[0]
    for i in range(4):
        changed = [1.2 * value if j == i else value for j, value in enumerate(USUAL)]
        assert np.abs(casey2012(emission_grid(), *changed)[0] / usual - 1).max() > 0.05


def test_weights_integrate_straight_lines() -> None:
    x = np.array([1.0, 2.0, 5.0, 5.5])
    assert (3 * x + 1) @ integral_weights(x) == pytest.approx(1.5 * (5.5**2 - 1) + 4.5)
