from __future__ import annotations

import copy

import pytest

from orchestrator.errors import ConfigError
from orchestrator.production.plan import Plan
from orchestrator.production.records import StagePlan, Target
from orchestrator.production.target_config import seed_of, stage_sections, target_seed

KINEMATICS = StagePlan(
    "kinematics",
    sections={
        "runtime": {"sampler": "maxlike ensemble"},
        "ensemble": {"max_samples": 400},
        "pipeline": {"modules": "KinDust"},
        "KinDust": {
            "inputSpectrum": "{spectrum}",
            "redshift": "{redshift}",
            "mask": "masks/{target}.txt",
            "wlRange": ["{low}", 9000.0],
            "SSPModel": "MIUSCAT",
        },
        "values": {"kinematics": {"los_vel": "-200 {velocity:.1f} 200"}},
    },
    recipes=({"runtime": {"sampler": "maxlike emcee"}, "KinDust": {"SSPMODEL": "PopStar"}},),
)
COLOURS = StagePlan(
    "colours", "function", {"function": {"call": "a.b:c"}, "options": {"band": "g", "z": "{redshift}"}}
)
PLAN = Plan("survey", (KINEMATICS, COLOURS), seed=3, table_folder="/data/tables", folder="/survey/production")
VALUES = {"spectrum": "spectra/a.fits", "redshift": 0.05, "low": 3700, "velocity": 12.345}
TARGET = Target("NGC 1", VALUES)


def sections_of(target=TARGET, stage=KINEMATICS, plan=PLAN, recipe=0):
    return stage_sections(plan, stage, target, recipe=recipe, output="/scratch/fit")


def test_placeholders_keep_their_type_and_texts_are_formatted():
    module = sections_of()["KinDust"]
    assert module["redshift"] == 0.05
    assert module["wlRange"] == [3700, 9000.0]
    assert sections_of()["values"]["kinematics"]["los_vel"] == "-200 12.3 200"


def test_files_are_relative_to_the_table_or_to_the_production():
    module = sections_of()["KinDust"]
    assert module["inputSpectrum"] == "/data/tables/spectra/a.fits"
    assert module["mask"] == "/survey/production/masks/NGC 1.txt"
    assert module["SSPModel"] == "MIUSCAT"


def test_output_values_and_seed_are_set():
    sections = sections_of()
    assert sections["output"] == {"filename": "/scratch/fit"}
    assert sections["pipeline"]["values"] == "/scratch/fit_parameters.ini"
    assert sections["runtime"]["seed"] == seed_of(PLAN, "NGC 1", "kinematics")


def test_neither_plan_nor_earlier_sections_change():
    before = copy.deepcopy(KINEMATICS.sections)
    first = sections_of()
    first["KinDust"]["wlRange"].append(1)
    first["values"]["kinematics"]["los_vel"] = "0"
    assert before == KINEMATICS.sections
    assert sections_of()["KinDust"]["wlRange"] == [3700, 9000.0]
    assert sections_of()["values"]["kinematics"]["los_vel"] == "-200 12.3 200"


def test_overrides_of_the_target_win_and_keep_the_spelling():
    target = Target(
        "b",
        VALUES,
        {
            "KinDust.sspmodel": "PopStar",
            "kinematics.values.kinematics.los_sigma": "10 50 90",
            "KinDust.mask": "m.txt",
        },
    )
    sections = sections_of(target)
    assert sections["KinDust"]["SSPModel"] == "PopStar"
    assert "sspmodel" not in sections["KinDust"]
    assert sections["KinDust"]["mask"] == "/data/tables/m.txt"
    assert sections["values"]["kinematics"] == {"los_vel": "-200 12.3 200", "los_sigma": "10 50 90"}


def test_an_alias_names_the_same_option():
    target = Target("b", VALUES, {"KinDust.input_spectrum": "x.fits"})
    module = sections_of(target)["KinDust"]
    assert module["inputSpectrum"] == "/data/tables/x.fits"
    assert "input_spectrum" not in module


def test_a_recipe_changes_options_and_seed():
    sections = sections_of(recipe=1)
    assert sections["runtime"]["sampler"] == "maxlike emcee"
    assert sections["KinDust"]["SSPModel"] == "PopStar"
    assert "SSPMODEL" not in sections["KinDust"]
    assert sections["runtime"]["seed"] != sections_of()["runtime"]["seed"]


def test_variants_come_before_the_own_overrides():
    axes = {"library": {"popstar": {"KinDust.SSPModel": "PopStar", "kinematics.ensemble.max_samples": 10}}}
    plan = Plan("survey", (KINEMATICS, COLOURS), axes=axes)
    values = {**VALUES, "library": "popstar"}
    sections = sections_of(Target("a/library=popstar", values), plan=plan)
    assert sections["KinDust"]["SSPModel"] == "PopStar"
    assert sections["ensemble"] == {"max_samples": 10}
    own = Target("a/library=popstar", values, {"KinDust.SSPModel": "BC03"})
    assert sections_of(own, plan=plan)["KinDust"]["SSPModel"] == "BC03"


def test_a_missing_value_leaves_the_option_out_but_not_in_a_text():
    assert sections_of(Target("b", {**VALUES, "redshift": None}))["KinDust"]["redshift"] is None
    with pytest.raises(ConfigError, match=r"target 'b', \[values\] kinematics.los_vel.*'velocity' has no value"):
        sections_of(Target("b", {**VALUES, "velocity": None}))


def test_function_stages_have_options():
    target = Target("b", VALUES, {"colours.band": "r"})
    assert sections_of(target, COLOURS) == {"function": {"call": "a.b:c"}, "options": {"band": "r", "z": 0.05}}


def test_an_override_that_matches_nothing_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'KinDust'"):
        sections_of(Target("b", VALUES, {"KinDusty.redshift": 1}))
    with pytest.raises(ConfigError, match="stage 'kinematics' has no section 'emcee_'"):
        sections_of(Target("b", VALUES, {"kinematics.emcee_.walkers": 1}))


def test_seeds_differ_between_targets_stages_and_productions():
    seeds = {
        seed_of(plan, target, stage)
        for plan in (PLAN, Plan("survey", PLAN.stages, seed=4))
        for target in ("a", "b")
        for stage in ("kinematics", "colours")
    }
    assert len(seeds) == 8
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_the_seed_axis_sets_the_seed():
    plan = Plan("survey", PLAN.stages, seed=1, axes={"seed": None})
    first, second = (Target(f"a/seed={seed}", {"seed": seed}) for seed in (1, 2))
    assert target_seed(plan, "kinematics", first) == seed_of(plan, "a", "kinematics")
    assert target_seed(plan, "kinematics", second) == seed_of(Plan("", (), seed=2), "a", "kinematics")


def test_a_seed_of_the_user_stays():
    stage = StagePlan("fit", sections={"runtime": {"sampler": "maxlike", "seed": 7}})
    assert sections_of(stage=stage, plan=Plan("p", (stage,)))["runtime"]["seed"] == 7
