from __future__ import annotations

import dataclasses
import time

import pytest

from orchestrator.fit.identity import changed_parts
from orchestrator.production.canonical import canonical_text, digest
from orchestrator.production.identity import MISSING, input_paths, key_parts, task_key
from orchestrator.production.plan import Plan, from_json, to_json
from orchestrator.production.records import StagePlan, Target

KINEMATICS = StagePlan(
    "kinematics",
    sections={
        "runtime": {"sampler": "maxlike ensemble"},
        "ensemble": {"max_samples": 400},
        "pipeline": {"modules": "KinDust", "quiet": "T"},
        "KinDust": {
            "inputSpectrum": "{spectrum}", "redshift": "{redshift}", "velscale": 70.0, "wlRange": ["{low}", 9000],
        },
        "values": {"kinematics": {"los_vel": "-200 {velocity} 200"}},
    },
)  # fmt: skip
HISTORY = StagePlan("history", sections={"SFHSpectra": {"SSPModel": "NoSuchLibrary"}}, needs=("kinematics",))
COLOURS = StagePlan("colours", "function", {"function": {"call": "a:b"}, "options": {"table": "{spectrum}"}})
PLAN = Plan("p", (KINEMATICS, HISTORY, COLOURS), table_folder="/data", folder="/work")
TARGET = Target("a", {"spectrum": "a.fits", "redshift": 0.1, "low": 3700, "velocity": 5, "ra": 1.0})
CHECKSUMS = {"/data/a.fits": "abc"}


def key(stage=KINEMATICS, target=TARGET, checksums=CHECKSUMS, upstream=None, plan=PLAN):
    return task_key(plan, stage, target, checksums, upstream or {"kinematics": "k"})


def with_section(section, **options):
    sections = {**KINEMATICS.sections, section: {**KINEMATICS.sections.get(section, {}), **options}}
    stage = dataclasses.replace(KINEMATICS, sections=sections)
    return stage, dataclasses.replace(PLAN, stages=(stage, HISTORY, COLOURS))


def with_value(**values):
    return Target("a", {**TARGET.values, **values})


def test_the_key_is_the_digest_of_its_parts():
    for stage in PLAN.stages:
        parts = key_parts(PLAN, stage, TARGET, CHECKSUMS, {"kinematics": "k"})
        assert key(stage) == digest(canonical_text(parts))
        assert len(key(stage)) == 32


@pytest.mark.parametrize(
    "changed",
    [
        {"target": with_value(redshift=0.2)},
        {"target": with_value(velocity=6)},
        {"target": with_value(low=3701)},
        {"target": Target("b", TARGET.values)},
        {"target": Target("a", TARGET.values, {"KinDust.velscale": 71.0})},
        {"checksums": {"/data/a.fits": "other"}},
        {"checksums": {}},
        {"plan": dataclasses.replace(PLAN, seed=2)},
    ],
)
def test_what_changes_the_result_changes_the_key(changed):
    assert key(**changed) != key()


@pytest.mark.parametrize(
    ("section", "options"),
    [("ensemble", {"max_samples": 500}), ("KinDust", {"velscale": 71}), ("values", {"dust": {"a_v": "0 1 2"}})],
)
def test_options_change_the_key(section, options):
    stage, plan = with_section(section, **options)
    assert key(stage, plan=plan) != key()


@pytest.mark.parametrize(
    ("section", "options"),
    [
        ("pipeline", {"quiet": "F", "timing": "T"}),
        ("runtime", {"resume": "T", "verbosity": "noisy"}),
        ("KinDust", {"logging_file": "x.log"}),
        ("KinDust", {"velscale": 70.0}),
    ],
)
def test_what_only_changes_the_output_does_not_change_the_key(section, options):
    stage, plan = with_section(section, **options)
    assert key(stage, plan=plan) == key()


def test_limits_site_and_folders_are_no_part_of_it():
    stage = dataclasses.replace(KINEMATICS, time_limit=1.0, retries={"unknown": 3}, n_cores=4, max_failed=0.1)
    plan = dataclasses.replace(PLAN, stages=(stage, HISTORY, COLOURS), isolation="none", mpi_command="srun {ranks}")
    assert key(stage, plan=plan) == key()
    moved = dataclasses.replace(PLAN, table_folder="/elsewhere", folder="/other")
    assert key(plan=moved, checksums={"/elsewhere/a.fits": "abc"}) == key()


def test_an_override_that_says_the_same_keeps_the_key():
    assert key(target=Target("a", TARGET.values, {"KinDust.REDSHIFT": 0.1})) == key()


def test_recipes_count():
    stage = dataclasses.replace(KINEMATICS, recipes=({"KinDust": {"redshift": "{ra}"}},))
    plan = dataclasses.replace(PLAN, stages=(stage, HISTORY, COLOURS))
    assert key(stage, plan=plan) != key()
    assert key(stage, plan=plan, target=with_value(ra=2.0)) != key(stage, plan=plan)
    assert key(target=with_value(ra=2.0)) == key()


def test_upstream_keys_count_for_stages_that_need_them():
    assert key(HISTORY, upstream={"kinematics": "l"}) != key(HISTORY)
    assert key(upstream={"kinematics": "l"}) == key()
    with pytest.raises(KeyError):
        task_key(PLAN, HISTORY, TARGET, {}, {})


def test_a_function_depends_on_the_whole_row():
    assert key(COLOURS, target=with_value(ra=2.0)) != key(COLOURS)


def test_files_are_found():
    assert [str(path) for path in input_paths(PLAN, KINEMATICS, TARGET)] == ["/data/a.fits"]
    assert input_paths(PLAN, HISTORY, TARGET) == []


def test_a_file_of_a_function_counts_if_it_is_there(tmp_path):
    spectrum = tmp_path / "a.fits"
    spectrum.write_text("x")
    plan = dataclasses.replace(PLAN, table_folder=str(tmp_path))
    assert input_paths(plan, COLOURS, TARGET) == [spectrum]
    first = key(COLOURS, plan=plan, checksums={str(spectrum): "1"})
    assert first != key(COLOURS, plan=plan, checksums={str(spectrum): "2"})


def test_a_library_that_is_not_here_is_missing():
    parts = key_parts(PLAN, HISTORY, TARGET, {}, {"kinematics": "k"})
    assert parts["SSP libraries"] == {"SFHSpectra": [MISSING, None]}


def test_parts_say_what_differs():
    old = key_parts(PLAN, KINEMATICS, TARGET, CHECKSUMS, {})
    new = key_parts(PLAN, KINEMATICS, with_value(redshift=0.2), {"/data/a.fits": "other"}, {})
    assert changed_parts(old, new) == ["[KinDust]: redshift", "input files: KinDust.inputspectrum"]


def test_driver_and_worker_agree():
    read = from_json(to_json(PLAN), "/work")
    assert key(read.stages[0], plan=read) == key()


def test_keys_are_fast():
    values = dict(TARGET.values)
    targets = [Target(str(number), {**values, "redshift": number / 1e4}) for number in range(3000)]
    key(target=targets[0])
    best = min(_seconds(targets) for _ in range(3))
    assert best / len(targets) < 1e-4  # 3e-5 on a quiet core


def _seconds(targets):
    start = time.process_time()
    for target in targets:
        task_key(PLAN, KINEMATICS, target, CHECKSUMS, {})
    return time.process_time() - start
