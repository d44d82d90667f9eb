"""Attenuation laws against the package they come from, and their behaviour outside its range."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.physics.attenuation import LAWS, attenuation_curve, default_r_v, transmission

WIDE = np.geomspace(100.0, 2e6, 4000)


@pytest.mark.parametrize("law", LAWS)
def test_curve_is_that_of_the_package_where_the_law_is_defined(law: str) -> None:
    extinction = pytest.importorskip("extinction")
    wavelength = np.linspace(1250.0, 21500.0, 300)
    expected = (
        extinction.fm07(wavelength, 1.0)
        if law == "fm07"
        else getattr(extinction, law)(wavelength, 1.0, default_r_v(law))
    )
    assert attenuation_curve(law, wavelength) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_one_magnitude_in_v(law: str) -> None:
    assert attenuation_curve(law, [5500.0])[0] == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("law", LAWS)
def test_finite_never_negative_and_falling_redwards_of_the_bump(law: str) -> None:
    curve = attenuation_curve(law, WIDE)
    assert np.isfinite(curve).all()
    assert curve.min() >= 0.0
    assert curve.max() < 10.0
    optical_and_infrared = attenuation_curve(law, np.geomspace(2600.0, 1e6, 3000))
    # the two polynomials of Calzetti et al. meet at 6300 Angstrom with a step of 0.004
    assert np.diff(optical_and_infrared).max() < 5e-3
    assert attenuation_curve(law, [1e6])[0] < 0.01


@pytest.mark.parametrize("law", LAWS)
def test_value_at_the_lyman_limit_is_held_bluewards(law: str) -> None:
    blue = attenuation_curve(law, np.array([91.0, 500.0, 912.0]))
    assert np.all(blue == blue[2])
    assert blue[2] > attenuation_curve(law, [1500.0])[0]


def test_calzetti_is_steeper_for_a_smaller_r_v() -> None:
    assert default_r_v("calzetti00") == 4.05
    steep = attenuation_curve("calzetti00", [1500.0], 2.5)[0]
    assert steep > attenuation_curve("calzetti00", [1500.0])[0] + 0.5


def test_law_of_fixed_r_v_refuses_another() -> None:
    assert attenuation_curve("fm07", [3000.0], 3.1) == pytest.approx(attenuation_curve("fm07", [3000.0]))
    with pytest.raises(DataError, match="fm07"):
        attenuation_curve("fm07", [3000.0], 4.0)


def test_unknown_law_names_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'calzetti00'"):
        attenuation_curve("calzetti2000", [5000.0])


def test_transmission_is_the_definition_of_the_magnitude() -> None:
    curve = np.array([0.0, 1.0, 2.5])
    expected = [[1.0, 1.0, 1.0], [1.0, 10.0**-0.4, 0.1], [1.0, 10.0**-0.8, 0.01]]
    assert transmission(np.array([0.0, 1.0, 2.0]), curve) == pytest.approx(np.array(expected), rel=1e-14)


def test_no_law_is_no_dust() -> None:
    curve = attenuation_curve(None, WIDE)
    assert np.all(transmission(np.array([0.0, 3.0]), curve) == 1.0)
