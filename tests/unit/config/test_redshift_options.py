"""Options of SpectraRedshiftFit: what cannot be is refused with what to do."""

from __future__ import annotations

import pytest

from orchestrator.config.module_options import MODULES, parse_options
from orchestrator.errors import ConfigError
from orchestrator.physics.cosmology import age_of_universe

GIVEN = {"inputSpectrum": "a.txt", "SSPModel": "PopStar", "SFHModel": "ExponentialSFH", "z_min": 0.1, "z_max": 0.4}


def fault(**options):
    with pytest.raises(ConfigError) as caught:
        parse_options("SpectraRedshiftFit", GIVEN | options)
    return str(caught.value)


def names(**options):
    declared = MODULES["SpectraRedshiftFit"].declared_parameters(parse_options("SpectraRedshiftFit", GIVEN | options))
    return {f"{p.section}/{p.name}": p for p in declared}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"z_min": 0.5}, "z_min = 0.5 is not below z_max = 0.4"),
        ({"redshift": 0.2}, "set z_min and z_max"),
        ({"z_step": 0.3}, "set 1 / n"),
        ({"use_features": "T", "legendre_deg": 2}, "set legendre_deg = 0"),
        ({"continuum_knot_spacing": 100}, "without use_features"),
        ({"mask_emission_lines": "F", "emission_line_clip": 6}, "mask_emission_lines = F"),
        ({"NoiseModel": "StudentT"}, "MultiplicativeNoiseModel"),
        ({"noise_fractional": "T"}, "noise_fractional = T changes the weights"),
        ({"measure_emission_lines": "T"}, "FullSpectralFit at the redshift found"),
        ({"redshift_mod": "sampled"}, "redshift_mode"),
    ],
)
def test_faults(options, words):
    assert words in fault(**options)


def test_both_ends_are_required():
    with pytest.raises(ConfigError) as caught:
        parse_options("SpectraRedshiftFit", {key: value for key, value in GIVEN.items() if not key.startswith("z_")})
    message = str(caught.value)
    assert "'z_min' is missing" in message
    assert "'z_max' is missing" in message


def test_peer_spellings_are_read():
    options = parse_options(
        "SpectraRedshiftFit",
        {**GIVEN, "redshift": 0.0, "USE_FEATURES": "F", "save_z_loglike": "p.fits", "wlNormRange": "5000 5100"},
        quiet=True,
    )
    assert not options.use_features  # present, and off


def test_the_redshift_is_a_parameter_only_where_it_is_sampled():
    assert "redshift/redshift" not in names()
    parameter = names(redshift_mode="sampled")["redshift/redshift"]
    assert (parameter.lower, parameter.upper) == (0.1, 0.4)


def test_times_end_at_the_age_of_the_universe_at_the_largest_redshift():
    found = names(SFHModel="FixedMassFracSFH", SFHArgs=[0.5])["stars.sfh/t_at_frac_0.5000"]
    assert found.upper <= float(age_of_universe(0.4))
