"""Attenuation laws against the packages they come from, closed forms, and their behaviour outside the range."""

from __future__ import annotations

from importlib import import_module

import astropy.units as u
import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.physics.attenuation import (
    SCHLAFLY_FINKBEINER,
    attenuation_curve,
    default_r_v,
    galactic_transmission,
    prepare_curve,
    transmission,
)
from orchestrator.physics.dust_laws import DUST_LAWS
from orchestrator.physics.dust_laws import LAWS as ALL_LAWS

WIDE = np.geomspace(100.0, 2e6, 4000)
LAWS = tuple(name for name, law in DUST_LAWS.items() if law.package == "extinction")
OTHER_PACKAGE = tuple(name for name, law in DUST_LAWS.items() if law.package not in ("extinction", "here"))
FREE_R_V = tuple(name for name, law in DUST_LAWS.items() if law.r_v_range)


def of_dust_extinction(name, **choices):
    class_name, _, model = name.partition("-")
    law = getattr(import_module(f"dust_extinction.{DUST_LAWS[name].package}"), class_name)
    return law(model) if model else law(**choices)


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


# ---- the laws of dust_extinction ------------------------------------------------------------------------------
@pytest.mark.parametrize("law", OTHER_PACKAGE)
def test_range_and_r_v_are_those_of_dust_extinction(law: str) -> None:
    theirs, ours = of_dust_extinction(law), DUST_LAWS[law]
    assert (1e4 / theirs.x_range[1], 1e4 / theirs.x_range[0]) == pytest.approx((ours.lower, ours.upper), rel=1e-9)
    limits = getattr(theirs, "Rv_range", None)
    assert (tuple(limits) if limits else None) == ours.r_v_range
    assert float(theirs.Rv.value if limits else theirs.Rv) == ours.r_v


# two of its laws call another one without a unit
@pytest.mark.filterwarnings("ignore:x has no units")
@pytest.mark.parametrize("law", OTHER_PACKAGE)
def test_curve_is_that_of_dust_extinction(law: str) -> None:
    own = DUST_LAWS[law]
    low, high = max(own.lower, 912.0), min(own.upper, 1e7)
    wavelength = np.geomspace(low * 1.001, high * 0.999, 200)
    expected = np.maximum(of_dust_extinction(law)(wavelength * u.AA), 0.0)
    assert attenuation_curve(law, wavelength) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("law", [name for name in OTHER_PACKAGE if DUST_LAWS[name].continues])
def test_continued_laws_are_finite_fall_to_the_red_and_stay_to_the_blue(law: str) -> None:
    own = DUST_LAWS[law]
    curve = attenuation_curve(law, WIDE)
    assert np.isfinite(curve).all()
    assert curve.min() >= 0.0
    edge = max(own.lower, 912.0)
    assert attenuation_curve(law, [edge / 2])[0] == pytest.approx(attenuation_curve(law, [edge])[0], rel=1e-6)
    if own.upper < 1e6:
        ends = attenuation_curve(law, [own.upper, 10 * own.upper])
        assert ends[1] == pytest.approx(10**-1.61 * ends[0], rel=1e-6)


def test_a_law_of_the_ultraviolet_only_is_refused_in_the_visual() -> None:
    assert attenuation_curve("VCG04", [1500.0, 3000.0]).min() > 1.0
    with pytest.raises(DataError, match=r"VCG04 is defined from 1250 to 3030\.3 Angstrom, and is needed at 5000"):
        attenuation_curve("VCG04", [1500.0, 5000.0])
    assert np.isfinite(attenuation_curve("VCG04", [1500.0, 5000.0], beyond=True)).all()


def test_both_packages_agree_on_the_same_law() -> None:
    wavelength = np.linspace(1300.0, 30000.0, 500)
    for ours, theirs in (("ccm89", "CCM89"), ("odonnell94", "O94"), ("fitzpatrick99", "F99")):
        for r_v in (2.3, 3.1, 5.0):
            difference = attenuation_curve(ours, wavelength, r_v) - attenuation_curve(theirs, wavelength, r_v)
            # anchors of Fitzpatrick's spline are not quite the same
            assert np.abs(difference).max() < (1e-3 if ours != "fitzpatrick99" else 0.06)


# ---- free R_V and shapes --------------------------------------------------------------------------------------
@pytest.mark.parametrize("law", FREE_R_V)
def test_free_r_v_is_the_curve_of_each_r_v(law: str) -> None:
    own = DUST_LAWS[law]
    low, high = own.r_v_range
    wavelength = np.geomspace(max(own.lower, 912.0) * 1.001, min(own.upper, 3e4) * 0.999, 150)
    values = np.array([low, 0.7 * low + 0.3 * high, own.r_v, high])
    found = prepare_curve(law, wavelength, free=["r_v"])({"r_v": values})
    expected = np.stack([attenuation_curve(law, wavelength, r_v) for r_v in values])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.ptp(found, axis=0).max() > 0.01


def test_power_law_of_charlot_and_fall() -> None:
    wavelength = np.array([1100.0, 5500.0, 20000.0])
    assert attenuation_curve("power_law", wavelength) == pytest.approx((wavelength / 5500.0) ** -0.7, rel=1e-12)
    slopes = np.array([-1.3, -0.4])
    found = prepare_curve("power_law", wavelength, free=["slope"])({"slope": slopes})
    assert found == pytest.approx((wavelength / 5500.0) ** slopes[:, None], rel=1e-12)


def calzetti(micron):
    """Calzetti et al. 2000, eq. 4, k(lambda)."""
    blue = 2.659 * (-2.156 + 1.509 / micron - 0.198 / micron**2 + 0.011 / micron**3) + 4.05
    return np.where(micron < 0.63, blue, 2.659 * (-1.857 + 1.040 / micron) + 4.05)


def drude(wavelength, strength):
    return strength * (wavelength * 350.0) ** 2 / ((wavelength**2 - 2175.0**2) ** 2 + (wavelength * 350.0) ** 2)


def test_laws_of_galaxies_are_those_of_the_papers() -> None:
    wavelength = np.linspace(1300.0, 20000.0, 400)
    k, tilt = calzetti(wavelength * 1e-4), wavelength / 5500.0
    delta = -0.3
    expected = (k + drude(wavelength, 0.85 - 1.9 * delta)) * tilt**delta / 4.05
    assert attenuation_curve("kriek13", wavelength, shape={"delta": delta}) == pytest.approx(expected, rel=1e-6)
    expected = (k + drude(wavelength, 2.0)) * tilt**delta / 4.05
    found = attenuation_curve("noll09", wavelength, shape={"delta": delta, "bump": 2.0})
    assert found == pytest.approx(expected, rel=1e-6)
    r_v = 4.05 / (5.05 * (4400.0 / 5500.0) ** delta - 4.05)
    expected = (k * r_v / 4.05 * tilt**delta + drude(wavelength, 2.0)) / r_v
    found = attenuation_curve("salim18", wavelength, shape={"delta": delta, "bump": 2.0})
    assert found == pytest.approx(expected, rel=1e-6)
    plain = attenuation_curve("noll09", wavelength, shape={"delta": 0.0, "bump": 0.0})
    assert plain == pytest.approx(attenuation_curve("calzetti00", wavelength), rel=1e-12)


@pytest.mark.parametrize("law", ["noll09", "salim18"])
def test_free_shapes_are_the_curves_of_each_shape(law: str) -> None:
    shapes = {"delta": np.array([-0.7, 0.0, 0.2]), "bump": np.array([0.0, 1.0, 4.0])}
    found = prepare_curve(law, WIDE, free=list(shapes))(shapes)
    for i in range(3):
        one = attenuation_curve(law, WIDE, shape={name: values[i] for name, values in shapes.items()})
        np.testing.assert_allclose(found[i], one, rtol=1e-12)


def test_what_a_law_does_not_have_is_refused() -> None:
    with pytest.raises(DataError, match="ccm89' has no delta to choose; laws that have it: kriek13, noll09, salim18"):
        attenuation_curve("ccm89", WIDE, shape={"delta": 0.1})
    with pytest.raises(DataError, match=r"'G23' is defined for r_v from 2\.3 to 5\.6, found r_v = 6\.5"):
        attenuation_curve("G23", WIDE, 6.5)
    with pytest.raises(DataError, match="did you mean 'G03_SMCBar'"):
        attenuation_curve("G03_SMCbar2", WIDE)
    assert len(ALL_LAWS) == len(set(ALL_LAWS)) > 45


def test_foreground_is_e_bv_times_r_v_in_the_frame_it_is_given_in() -> None:
    wavelength = np.array([4000.0, 5500.0, 9000.0])
    magnitudes = -2.5 * np.log10(galactic_transmission(0.1, wavelength))
    assert magnitudes == pytest.approx(0.31 * attenuation_curve("fitzpatrick99", wavelength, 3.1), rel=1e-12)
    weaker = -2.5 * np.log10(galactic_transmission(0.1, wavelength, factor=SCHLAFLY_FINKBEINER))
    assert weaker == pytest.approx(0.86 * magnitudes, rel=1e-12)
