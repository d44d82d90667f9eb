"""Values files: grammar, faults, checks against declarations, and what CosmoSIS reads back."""

from __future__ import annotations

import pytest
from cosmosis.runtime.parameter import Parameter as CosmosisParameter
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.values import (
    ValueEntry,
    ValuesFile,
    check_values,
    complete_values,
    default_values,
    parse_values,
    read_values,
    render_values,
    values_from_mapping,
    write_values,
)
from orchestrator.errors import ConfigError
from orchestrator.physics.parameter import Parameter

SIGMA = Parameter("kinematics", "los_sigma", 10.0, 150.0, 400.0, "km/s", "velocity dispersion")
IDLE = Parameter("dust.extinction", "a_v", 0.0, 0.0, 0.0, "mag", "no law is set")


def test_the_three_forms():
    values = parse_values("[k]\na = 3 ; fixed\nb = 1 3 # a range\nC = 1 1.5 3\n  \n[l]\nd = -1e-3\n")
    assert values.get("k", "a") == ValueEntry.fixed(3.0)
    assert values.get("k", "b") == ValueEntry(1.0, 2.0, 3.0)
    assert values.get("k", "c") == ValueEntry(1.0, 1.5, 3.0)
    assert values.get("l", "d") == ValueEntry.fixed(-1e-3)
    assert values.varied == (("k", "b"), ("k", "c"))


def test_all_faults_at_once_with_their_lines(tmp_path):
    path = tmp_path / "values.ini"
    path.write_text("[k]\na = 3 2 1\nb = 0 5 1\nc = x\nd = 1 2 3 4\ne = 1, 2\nf = nan\na = 1\ng =\n")
    with pytest.raises(ConfigError) as caught:
        read_values(path)
    text = str(caught.value)
    for expected in (
        "line 8: [k] a is given a second time (first in line 2)",
        "line 3: [k] b = '0 5 1': the start 5 is outside the range from 0 to 1",
        "line 4: [k] c = 'x': expected a number (fixed), 'lower upper' or 'lower start upper'",
        "line 5: [k] d = '1 2 3 4': found 4 numbers",
        "line 6: [k] e = '1, 2': expected a number (fixed), 'lower upper' or 'lower start upper', sep",
        "line 7: [k] f = 'nan': the numbers must be finite",
        "line 9: [k] g = '': found 0 numbers",
    ):
        assert expected in text
    assert str(path) in text
    assert len(caught.value.faults) == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[k]\na = 3 2 1\n", "the lower limit 3 is above the upper limit 1"),
        ("a = 1\n", "no section headers"),
        ("[DEFAULT]\nx = 1\n[k]\na = 1\n", r"a \[DEFAULT\] section"),
        ("[k]\na = 1%\n", "write a per cent sign as %%"),
        ("%include nowhere.ini\n[k]\na = 1\n", "non-existent file nowhere.ini"),
    ],
)
def test_faults_of_the_text(text, expected):
    with pytest.raises(ConfigError, match=expected):
        parse_values(text)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot read '.*none.ini'"):
        read_values(tmp_path / "none.ini")


def test_environment_and_include(tmp_path, monkeypatch, capsys):
    (tmp_path / "more.ini").write_text("[l]\nb = 1 2\n")
    monkeypatch.setenv("SIGMA_MAX", "400")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "values.ini").write_text("[k]\na = 10 ${SIGMA_MAX}\n%include more.ini\n")
    values = read_values(tmp_path / "values.ini")
    assert values.get("k", "a") == ValueEntry(10.0, 205.0, 400.0)
    assert values.get("l", "b") == ValueEntry(1.0, 1.5, 2.0)
    assert capsys.readouterr().out == ""


def test_inline_values_in_every_form():
    values = values_from_mapping({"k": {"A": "1 2 3", "b": 4, "c": [1, 2], "d": (0.0, 0.5, 1.0)}})
    assert values.get("k", "a") == ValueEntry(1.0, 2.0, 3.0)
    assert values.get("k", "b") == ValueEntry.fixed(4.0)
    assert values.get("k", "c") == ValueEntry(1.0, 1.5, 2.0)
    assert values.get("k", "d") == ValueEntry(0.0, 0.5, 1.0)
    with pytest.raises(ConfigError, match="expected a dictionary"):
        values_from_mapping({"k": 3})


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(numbers=st.lists(finite, min_size=3, max_size=3).map(sorted))
def test_written_entries_read_back_exactly_here_and_in_cosmosis(numbers):
    entry = ValueEntry(*numbers)
    assert parse_values(f"[k]\na = {entry.text()}\n").get("k", "a") == entry
    start, limits = CosmosisParameter.parse_parameter(entry.text())
    assert start == entry.start
    assert limits == (None if entry.is_fixed else (entry.lower, entry.upper))


@given(value=st.one_of(finite, st.integers(-(10**6), 10**6).map(float)))
def test_a_fixed_value_is_a_double_for_cosmosis(value):
    start, limits = CosmosisParameter.parse_parameter(ValueEntry.fixed(value).text())
    assert limits is None
    assert type(start) is float


def test_every_declared_parameter_must_be_there_and_no_other():
    values = parse_values("[kinematics]\nlos_sgma = 10 150 400\n[dust]\na_v = 0 1\n[empty]\n")
    faults = check_values(values, [SIGMA, IDLE], "values.ini")
    assert faults == [
        "parameter kinematics/los_sigma is missing from values.ini; add to section [kinematics] for example "
        "`los_sigma = 10.0 150.0 400.0` (velocity dispersion [km/s])",
        "values.ini: no module of the stage reads kinematics/los_sgma; did you mean 'los_sigma'?",
        "values.ini: no module of the stage reads section [dust]; known: dust.extinction, kinematics",
    ]
    assert len(check_values(values, [SIGMA, IDLE], allow_other_sections=True)) == 2


def test_a_parameter_without_effect_may_be_left_out_but_not_sampled():
    sigma = "[kinematics]\nlos_sigma = 150\n"
    assert check_values(parse_values(sigma), [SIGMA, IDLE]) == []
    assert check_values(parse_values(sigma + "[dust.extinction]\na_v = 0\n"), [SIGMA, IDLE]) == []
    for text in ("a_v = 0 0.5 2", "a_v = 1"):
        faults = check_values(parse_values(f"{sigma}[dust.extinction]\n{text}\n"), [SIGMA, IDLE])
        assert len(faults) == 1
        assert "has no effect (no law is set)" in faults[0]
    complete = complete_values(parse_values(sigma), [SIGMA, IDLE])
    assert complete.get("dust.extinction", "a_v") == ValueEntry.fixed(0.0)


def test_rendering_explains_and_reads_back(tmp_path):
    values = default_values([SIGMA, IDLE])
    text = render_values(values, [SIGMA, IDLE], "first\nsecond")
    assert text.startswith("; first\n; second\n\n[kinematics]\n; velocity dispersion [km/s]\n")
    assert "\nlos_sigma = 10.0 150.0 400.0\n" in text
    assert parse_values(text) == values
    write_values(tmp_path / "new folder" / "values.ini", values)
    assert read_values(tmp_path / "new folder" / "values.ini") == values
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["values.ini"]


def test_updates_make_a_copy():
    values = default_values([SIGMA])
    updated = values.apply({("kinematics", "los_sigma"): SIGMA_AT_200, ("new", "x"): ValueEntry.fixed(1.0)})
    assert updated.get("kinematics", "los_sigma") == SIGMA_AT_200
    assert updated.get("new", "x") == ValueEntry.fixed(1.0)
    assert values == default_values([SIGMA])
    assert ValuesFile().varied == ()


SIGMA_AT_200 = ValueEntry(10.0, 150.0, 400.0).started_at(200.0)


def test_a_start_stays_inside_the_range():
    assert ValueEntry(10.0, 200.0, 400.0) == SIGMA_AT_200
    assert ValueEntry.fixed(3.0).started_at(5.0) == ValueEntry.fixed(5.0)
    with pytest.raises(ValueError, match="start 500.0 is outside the range from 10.0 to 400.0"):
        SIGMA_AT_200.started_at(500.0)
