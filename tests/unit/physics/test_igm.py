"""Absorption between the galaxies against the formulas of the papers, range by range."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.physics.igm import igm_transmission


def depth(wavelength: float, redshift: float, model: str) -> float:
    return float(-np.log(igm_transmission(np.array([wavelength]), redshift, model)[0]))


def test_madau_lines_and_continuum() -> None:
    # between Lyman beta and alpha of the galaxy only Lyman alpha absorbs
    assert depth(4500.0, 3.0, "madau1995") == pytest.approx(0.0036 * (4500 / 1216) ** 3.46, rel=1e-12)
    assert depth(4000.0, 3.0, "madau1995") == pytest.approx(
        0.0036 * (4000 / 1216) ** 3.46 + 0.0017 * (4000 / 1026) ** 3.46, rel=1e-12
    )
    x, e = 3000 / 912, 4.0
    lines = sum(a * (3000 / w) ** 3.46 for w, a in ((1216, 3.6e-3), (1026, 1.7e-3), (973, 1.2e-3), (950, 9.3e-4)))
    continuum = 0.25 * x**3 * (e**0.46 - x**0.46) + 9.4 * x**1.5 * (e**0.18 - x**0.18)
    continuum -= 0.7 * x**3 * (x**-1.32 - e**-1.32) + 0.023 * (e**1.68 - x**1.68)
    assert depth(3000.0, 3.0, "madau1995") == pytest.approx(lines + continuum, rel=1e-12)


@pytest.mark.parametrize(
    ("wavelength", "redshift", "forest", "damped"),
    [
        (2500.0, 1.2, (1.690e-2, 1.2), (1.617e-4, 2.0)),
        (4500.0, 3.0, (2.354e-3, 3.7), (5.390e-5, 3.0)),
        (8000.0, 6.0, (1.026e-4, 5.5), (5.390e-5, 3.0)),
    ],
)
def test_inoue_lyman_alpha(wavelength: float, redshift: float, forest: tuple, damped: tuple) -> None:
    """Eq. 21 and 22 with Table 2, where only Lyman alpha absorbs."""
    ratio = wavelength / 1215.67
    expected = forest[0] * ratio ** forest[1] + damped[0] * ratio ** damped[1]
    assert depth(wavelength, redshift, "inoue2014") == pytest.approx(expected, rel=2e-3)


def inoue_continuum(x: float, z: float) -> float:
    """Eq. 25 to 29 as printed."""
    e = 1 + z
    if z < 1.2:
        forest = 0.325 * (x**1.2 - e**-0.9 * x**2.1)
    elif z < 4.7:
        forest = 2.55e-2 * e**1.6 * x**2.1 + 0.325 * x**1.2 - 0.25 * x**2.1 if x < 2.2 else (
            2.55e-2 * (e**1.6 * x**2.1 - x**3.7)
        )
    elif x < 2.2:
        forest = 5.22e-4 * e**3.4 * x**2.1 + 0.325 * x**1.2 - 3.14e-2 * x**2.1
    elif x < 5.7:
        forest = 5.22e-4 * e**3.4 * x**2.1 + 0.218 * x**2.1 - 2.55e-2 * x**3.7
    else:
        forest = 5.22e-4 * (e**3.4 * x**2.1 - x**5.5)
    if z < 2:
        damped = 0.211 * e**2 - 7.66e-2 * e**2.3 * x**-0.3 - 0.135 * x**2
    elif x < 3:
        damped = 0.634 + 4.7e-2 * e**3 - 1.78e-2 * e**3.3 * x**-0.3 - 0.135 * x**2 - 0.291 * x**-0.3
    else:
        damped = 4.7e-2 * e**3 - 1.78e-2 * e**3.3 * x**-0.3 - 2.92e-2 * x**3
    return forest + damped


@pytest.mark.parametrize(("x", "z"), [(1.5, 1.0), (1.8, 3.5), (3.5, 3.5), (1.9, 6.0), (4.0, 6.0), (6.5, 6.0)])
def test_inoue_continuum(x: float, z: float) -> None:
    from orchestrator.physics.igm import _inoue_continuum

    found = float(_inoue_continuum(np.array([x]), 1 + z)[0])
    # the printed coefficients have three digits, and large terms cancel
    assert found == pytest.approx(inoue_continuum(x, z), abs=0.02)


@pytest.mark.parametrize("model", ["madau1995", "inoue2014"])
def test_nothing_redwards_of_lyman_alpha_and_more_at_higher_redshift(model: str) -> None:
    wavelength = np.linspace(950.0, 12000.0, 2000)
    for redshift in (0.5, 2.0, 4.0, 6.5):
        passing = igm_transmission(wavelength, redshift, model)
        assert ((passing > 0) & (passing <= 1)).all()
        assert (passing[wavelength > 1216.1 * (1 + redshift)] == 1.0).all()
        assert passing[wavelength < 1215 * (1 + redshift)][-1] < 1.0
    assert depth(1180 * 7.0, 6.0, model) > 2 * depth(1180 * 5.0, 4.0, model)
    assert (igm_transmission(wavelength, 0.0, model) == 1).all()
    assert (igm_transmission(wavelength, 3.0, "none") == 1).all()
