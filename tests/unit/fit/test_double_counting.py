"""A prior from a stage that has read the same data says that they count twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.fit.double_counting import counted_twice, data_of
from orchestrator.stage import ModuleSection, Stage, StagePaths


def stage(name: str, **options: object) -> Stage:
    module = ModuleSection("FullSpectralFit", "FullSpectralFit", Path("module.py"), options)
    return Stage(name, StagePaths(Path(f"{name}.txt")), ("ensemble",), (module,), {})


def test_the_same_file_counts_twice_however_the_option_is_spelled():
    first, second = stage("kin", inputSpectrum="/data/a.dat"), stage("sfh", INPUTSPECTRUM="/data/a.dat")
    sentence = counted_twice("kinematics--los_vel", second, first)
    assert "kinematics--los_vel" in sentence
    assert "'kin'" in sentence
    assert "/data/a.dat" in sentence
    assert "'start' or 'fix'" in sentence


@pytest.mark.parametrize(
    "other",
    [
        {"inputSpectrum": "/data/b.dat"},
        {"inputPhotometry": "/data/bands.dat"},
        {"inputSpectrum": "/data/a.dat", "inputSpectrumRow": 3},
        {"SSPDir": "/data/a.dat"},
    ],
)
def test_other_data_do_not(other):
    first = stage("kin", inputSpectrum="/data/a.dat")
    assert counted_twice("kinematics--los_vel", stage("sfh", **other), first) == ""


def test_rows_of_one_file_are_different_data():
    rows = [data_of(stage("a", inputSpectrum="/s.fits", inputSpectrumRow=row)) for row in (1, 2)]
    assert rows[0] != rows[1]
