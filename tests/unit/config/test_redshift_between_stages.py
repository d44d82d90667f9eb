"""A redshift that an earlier stage has is not forgotten in a later one."""

from __future__ import annotations

import pytest

from orchestrator.config.check import build_stages
from orchestrator.errors import ConfigError


def fault(configs, directory):
    with pytest.raises(ConfigError) as caught:
        build_stages(configs, directory=directory)
    return str(caught.value)


@pytest.fixture
def stages(kin_dust, sfh_spectra):
    kin_dust["KinDust"]["redshift"] = 0.05
    sfh_spectra["SFHSpectra"].pop("redshift", None)
    return [kin_dust, sfh_spectra]


def test_a_later_stage_without_redshift(stages, tmp_path):
    expected = "stage 2: [SFHSpectra] redshift is missing: an earlier stage has 0.05; give it here too"
    assert expected in fault(stages, tmp_path)
    for redshift in (0.05, 0.0):
        stages[1]["SFHSpectra"]["redshift"] = redshift
        assert len(build_stages(stages, directory=tmp_path)) == 2


def test_a_redshift_that_was_maximised_over(stages, kin_dust, tmp_path):
    search = {key: kin_dust["KinDust"][key] for key in ("inputSpectrum", "SSPModel")}
    search |= {"SFHModel": "ExponentialSFH", "z_min": 0.0, "z_max": 0.1}
    first = {**kin_dust, "output": {"filename": "results/search"}, "SpectraRedshiftFit": search}
    first["pipeline"] = {"modules": "SpectraRedshiftFit", "values": "search.ini"}
    del first["KinDust"], kin_dust["KinDust"]["redshift"]
    message = fault([first, kin_dust], tmp_path)
    assert "stage 2: [KinDust] redshift is missing: SpectraRedshiftFit hands it over with redshift_mode" in message
    first["SpectraRedshiftFit"] = {**search, "redshift_mode": "sampled"}
    assert len(build_stages([first, kin_dust], directory=tmp_path)) == 2
    kin_dust["handover"] = {"redshift": "none"}
    assert "[KinDust] redshift is missing" in fault([first, kin_dust], tmp_path)
