"""The modules of one stage describe one galaxy."""

from __future__ import annotations

import pytest

from orchestrator.config.check import build_stages
from orchestrator.errors import ConfigError


def fault(config, directory, **options):
    config["SFHPhotometry"] = {**config["SFHPhotometry"], **options}
    with pytest.raises(ConfigError) as caught:
        build_stages([config], directory=directory)
    return str(caught.value)


def test_two_histories_in_one_stage(joint, tmp_path):
    build_stages([joint], directory=tmp_path)
    message = fault(joint, tmp_path, SFHModel="FixedTimeSFH", SFHArgs=[1, 3])
    assert "share the star-formation history, but their SFHModel differs: [FullSpectralFit_blue] " in message
    assert "[SFHPhotometry] FixedTimeSFH; set the same in all of them" in message
    assert "SFHArgs" not in message, "one difference is told once"


def test_the_prior_of_the_history_too(joint, tmp_path):
    for section in ("FullSpectralFit_blue", "SFHPhotometry"):
        joint[section] = {**joint[section], "SFHModel": "FixedTimeSFH", "SFHArgs": [1, 3]}
    build_stages([joint], directory=tmp_path)
    message = fault(joint, tmp_path, sfh_prior="dirichlet")
    assert "their sfh_prior differs" in message
    assert "[SFHPhotometry] dirichlet" in message


def test_two_redshifts_in_one_stage(joint, tmp_path):
    redshift = float(joint["FullSpectralFit_blue"].get("redshift", 0.0))
    message = fault(joint, tmp_path, redshift=redshift + 0.05)
    assert "describe one galaxy, but their redshift differs" in message
    joint["SFHPhotometry"]["redshift"] = redshift + 0.002  # frames and calibrations may differ
    build_stages([joint], directory=tmp_path)
