"""Input files that cannot be fitted are found before anything starts."""

from __future__ import annotations

import dataclasses

import pytest

from orchestrator.config.check import build_stages, check_inputs


@pytest.fixture(autouse=True)
def _no_libraries(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_DATA", str(tmp_path / "no libraries"))


def inputs_of(config, directory, **options):
    (stage,) = build_stages([config], directory=directory)
    (module,) = stage.modules
    changed = dataclasses.replace(module, options={**module.options, **options})
    return check_inputs([dataclasses.replace(stage, modules=(changed,))])


def test_a_library_that_is_not_here(kin_dust, tmp_path):
    (fault,) = inputs_of(kin_dust, tmp_path)
    assert fault.startswith("stage 1: [KinDust] SSP library 'MIUSCAT' is not on this machine")


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"wlUnits": "Angstrm"}, "Angstrm"), ({"fluxUnits": "1e-16 erg / (s cm2 Angstrom2)"}, "Angstrom2")],
)
def test_wrong_units(kin_dust, tmp_path, options, expected):
    faults = inputs_of(kin_dust, tmp_path, **options)
    assert len(faults) == 2
    assert expected in faults[1]


def test_a_spectrum_without_a_usable_pixel(kin_dust, spectrum, tmp_path):
    spectrum.write_text("\n".join(f"{3500 + i} nan 1" for i in range(20)))
    assert len(inputs_of(kin_dust, tmp_path)) == 2


def test_the_same_input_is_reported_once(kin_dust, tmp_path):
    other = {**kin_dust, "output": {"filename": "other"}}
    assert len(check_inputs(build_stages([kin_dust, other], directory=tmp_path))) == 1


def test_photometry_with_an_unknown_filter(joint, photometry, tmp_path):
    del joint["FullSpectralFit_blue"]
    joint["pipeline"]["modules"] = "SFHPhotometry"
    photometry.write_text("no_such_filter 1 0.1\n")
    faults = inputs_of(joint, tmp_path)
    assert any("[SFHPhotometry]" in fault and "no_such_filter" in fault for fault in faults)
