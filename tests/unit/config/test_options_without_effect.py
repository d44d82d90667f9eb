"""Options that would change nothing are refused, and BESTA's switches of dust do what they say."""

from __future__ import annotations

import pytest

from orchestrator.config.module_options import parse_options
from orchestrator.errors import ConfigError

SPECTRUM = {"inputSpectrum": "a.dat", "SSPModel": "PopStar", "SFHModel": "ExponentialSFH"}
PHOTOMETRY = {"inputPhotometry": "a.dat", "SSPModel": "PopStar", "SFHModel": "ExponentialSFH"}
CHARLOT_FALL = {"DustAttenuationModel": "CharlotFall00Attenuation"}


def fault(module, **options):
    given = PHOTOMETRY if "Photometry" in module else SPECTRUM
    with pytest.raises(ConfigError) as caught:
        parse_options(module, {**given, **options})
    return str(caught.value)


@pytest.mark.parametrize(
    ("module", "options", "missing"),
    [
        ("FullSpectralFit", {"r_v": 3.1}, "ExtinctionLaw"),
        ("SFHPhotometry", {"a_v_max": 3.1}, "ExtinctionLaw"),
        ("FullSpectralFit", {"telluric_pad": 3}, "mask_telluric = T"),
        ("FullSpectralFit", {"sky_line_pad": 3, "mask_sky_lines": "F"}, "mask_sky_lines = T"),
        ("FullSpectralFit", {"emission_line_half_width": 500}, "mask_emission_lines = T"),
        ("FullSpectralFit", {"legendre_scale": 500}, "a polynomial; set legendre_deg"),
        ("SFHSpectra", {"legendre_bounds": [4000, 5000]}, "a polynomial; set legendre_deg"),
    ],
)
def test_an_option_without_what_it_belongs_to(module, options, missing):
    assert f"{next(iter(options))} has no effect without {missing}" in fault(module, **options)


def test_a_polynomial_of_kin_dust_under_either_name():
    given = {"inputSpectrum": "a.dat", "SSPModel": "PopStar", "legendre_bounds": [4000, 5000]}
    for name in ("legendre_deg", "multiplicative_degree"):
        assert parse_options("KinDust", {**given, name: 3}).multiplicative_degree == 3
    with pytest.raises(ConfigError, match="legendre_bounds has no effect"):
        parse_options("KinDust", given)


def test_charlot_and_fall_with_a_law_alone():
    """DustAttenuation is T where an ExtinctionLaw is given."""
    options = parse_options("GalaxyPhotometry", {**PHOTOMETRY, "ExtinctionLaw": "ccm89", **CHARLOT_FALL})
    assert options.birth_cloud
    assert options.extinction_law == "ccm89"
    assert "needs DustAttenuation = T or an ExtinctionLaw" in fault("GalaxyPhotometry", **CHARLOT_FALL)
    switched_off = {"DustAttenuation": "F", "ExtinctionLaw": "ccm89", "r_v": 3}
    off = parse_options("GalaxyPhotometry", {**PHOTOMETRY, **switched_off})
    assert off.extinction_law is None


def test_a_range_needs_two_numbers():
    for value in ([5000], "5000", [4000, 5000, 6000]):
        assert "wlRange = " in fault("FullSpectralFit", wlRange=value)
        assert "expected two numbers, for example [3500, 9000]" in fault("FullSpectralFit", wlRange=value)


def test_names_of_options_keep_their_capitals():
    assert "] NoiseModel = GaussianProcess is for spectra" in fault("SFHPhotometry", NoiseModel="GaussianProcess")
