"""The cosmology against astropy and against the limits known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.physics.cosmology import age_of_universe, luminosity_distance_cm

REDSHIFTS = np.array([1e-6, 1e-4, 0.003, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0, 1000.0])


@pytest.mark.parametrize(("h0", "omega_m"), [(70.0, 0.28), (67.4, 0.315)])
def test_age_and_distance_agree_with_astropy(h0: float, omega_m: float) -> None:
    cosmology = pytest.importorskip("astropy.cosmology").FlatLambdaCDM(h0, omega_m)
    assert age_of_universe(REDSHIFTS, h0, omega_m) == pytest.approx(cosmology.age(REDSHIFTS).value, rel=1e-9)
    expected = cosmology.luminosity_distance(REDSHIFTS).to_value("cm")
    assert luminosity_distance_cm(REDSHIFTS, h0, omega_m) == pytest.approx(expected, rel=1e-8)


def test_default_age_today_is_that_of_besta() -> None:
    assert float(age_of_universe(0.0)) == pytest.approx(13.728, abs=5e-4)


def test_universe_of_matter_alone_has_its_closed_form() -> None:
    hubble_time = 977.7922216807891 / 70.0
    assert age_of_universe(3.0, omega_m=1.0) == pytest.approx(2.0 / 3.0 * hubble_time / 8.0, rel=1e-12)
    closed = 2.0 * 299792.458 / 70.0 * (1.0 - 1.0 / 2.0) * 4.0 * 3.0856775814913673e24
    assert luminosity_distance_cm(3.0, omega_m=1.0) == pytest.approx(closed, rel=1e-12)


def test_distance_follows_the_hubble_law_at_small_redshift() -> None:
    z = 1e-8
    hubble_law = z * 299792.458 / 70.0 * 3.0856775814913673e24
    assert luminosity_distance_cm(z) == pytest.approx(hubble_law, rel=1e-7)
    assert float(luminosity_distance_cm(0.0)) == 0.0


@pytest.mark.parametrize("redshift", [-1.0, np.nan, np.inf])
def test_impossible_redshift_is_refused(redshift: float) -> None:
    with pytest.raises(DataError, match="redshift"):
        age_of_universe([0.1, redshift])
    with pytest.raises(DataError, match="redshift"):
        luminosity_distance_cm(redshift)


def test_impossible_constants_are_refused() -> None:
    with pytest.raises(ValueError, match="omega_m"):
        age_of_universe(0.1, omega_m=0.0)
    with pytest.raises(ValueError, match="h0"):
        luminosity_distance_cm(0.1, h0=-70.0)
