"""Extra outputs that do not exist, or that library or data cannot give, are refused with the reason."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from small_library import write_library

from orchestrator.config.extra_outputs import check_extra_outputs, unavailable_outputs
from orchestrator.config.module_options import MODULES
from orchestrator.physics.derived_quantities import DERIVED_QUANTITIES

ALL = [f"extra/{name}" for name in DERIVED_QUANTITIES]


@pytest.fixture
def options(tmp_path):
    """What a module with a star-formation history says about its library."""
    write_library(tmp_path / "toy.npz")
    return {"ssp_model": str(tmp_path / "toy.npz"), "ssp_dir": None, "ssp_model_args": (), "sfh_model": "any"}


def without_fraction(options, tmp_path):
    arrays = dict(np.load(options["ssp_model"]))
    del arrays["surviving_fraction"]
    np.savez(tmp_path / "bare.npz", **arrays)
    return {**options, "ssp_model": str(tmp_path / "bare.npz")}


def test_every_quantity_is_known_in_any_case_and_spelling():
    assert check_extra_outputs(ALL, ["FullSpectralFit"]) == []
    assert check_extra_outputs("Extra/T50, stars.sfh/anything", ["SFHSpectra", "SFHPhotometry"]) == []
    assert check_extra_outputs(None, ["SFHSpectra"]) == []


def test_a_misspelt_quantity_is_refused_with_the_nearest():
    (fault,) = check_extra_outputs("extra/mass_weighted_ages extra/t50", ["KinDust", "SFHSpectra"])
    assert "there is no quantity 'mass_weighted_ages'" in fault
    assert "did you mean 'mass_weighted_age'?" in fault


def test_modules_that_write_more_are_left_to_the_run():
    assert check_extra_outputs("extra/whatever", ["FullSpectralFit", None]) == []
    assert check_extra_outputs("extra/whatever", []) == []


def test_the_listed_modules_exist():
    from orchestrator.config import extra_outputs

    assert set(extra_outputs._ONLY_DERIVED) <= set(MODULES)


def test_what_the_library_cannot_give_is_refused(options, tmp_path):
    full = SimpleNamespace(**options, amplitude="profiled")
    bare = SimpleNamespace(**without_fraction(options, tmp_path), amplitude="profiled")
    assert unavailable_outputs(ALL, {"A": full}) == []
    (fault,) = unavailable_outputs(ALL, {"A": bare})
    assert "extra/surviving_stellar_mass, but toy does not say which fraction of the mass survives" in fault
    assert unavailable_outputs(ALL, {"A": bare, "B": full}) == [], "another module of the stage can"
    assert unavailable_outputs(ALL, {"A": SimpleNamespace(ssp_model="x")}) == []
    missing = SimpleNamespace(**{**options, "ssp_model": "no_such_library"})
    assert unavailable_outputs(ALL, {"A": missing}) == [], "reported with the other inputs"


def test_data_without_fluxes_give_no_mass(options):
    faults = unavailable_outputs("extra/stellar_mass extra/t50", {"A": SimpleNamespace(**options)})
    assert faults == [
        "[pipeline] extra_output asks for extra/stellar_mass, but the data say nothing about the mass; leave it out"
    ]
