"""The small pieces: functions as stages, what an error means, names of columns and folders, captured output."""

from __future__ import annotations

import ctypes
import errno
import os
import resource

import numpy as np
import pytest
from astropy import units
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import (
    ConfigError,
    DataError,
    HandoverError,
    LibraryError,
    ProductionError,
    StageError,
)
from orchestrator.fit.launch import StartPointError
from orchestrator.production.columns import Column
from orchestrator.production.records import ErrorClass, Target
from orchestrator.production.work.capture import captured, end_of_log
from orchestrator.production.work.failures import NoResultError, classify
from orchestrator.production.work.fit_columns import column_name, unit_text
from orchestrator.production.work.function_stage import Value, call_function
from orchestrator.production.work.input_files import InputFiles
from orchestrator.production.work.limits import limited_memory, memory_in_use
from orchestrator.production.work.places import target_folder

FOUND = {}


def returns(target, options, upstream):
    return FOUND["value"]


def echo(target, options, upstream):
    return {"name": target["target"], "z": target["redshift"], "add": options["add"], "up": upstream["a"]["x"]}


def call(value, **options):
    FOUND["value"] = value
    sections = {"function": {"call": f"{__name__}:returns", **options}}
    return call_function(sections, Target("g"), {})


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    """pytest imports this file under a name that only itself knows."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


def test_a_function_sees_row_options_and_upstream():
    sections = {"function": {"call": f"{__name__}:echo", "add": 1}, "options": {"add": 2}}
    row = call_function(sections, Target("g7", {"redshift": 0.5}), {"a": {"x": 9}})
    assert row.values == {"name": "g7", "z": 0.5, "add": 2, "up": 9}
    assert [column.kind for column in row.columns.values()] == ["text", "float", "int", "int"]


def test_values_declare_their_columns():
    row = call({"m": Value(np.float32(1.5), "mag", "a magnitude", "Colours"), "l": 3 * units.km, "n": np.int64(3)})
    assert row.columns["m"] == Column("m", "float", "mag", "a magnitude", "Colours")
    assert (row.values["m"], row.columns["l"].unit, row.values["n"]) == (1.5, "km", 3)
    assert row.columns["n"].kind == "int"


def test_what_is_missing_is_missing():
    row = call({"a": float("nan"), "b": None, "c": Value(None, kind="int"), "d": np.bool_(True)})
    assert row.values == {"a": None, "c": None, "d": True}
    assert row.columns["c"].kind == "int"
    assert row.columns["d"].kind == "bool"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "returned list, expected a mapping"),
        ({"Big Name": 1}, "column 'Big Name'"),
        ({"seed": 1}, "every result has one of that name"),
        ({"x": [1, 2]}, "returned list for 'x'"),
        ({"x": np.zeros(3)}, "returned ndarray for 'x'"),
    ],
)
def test_what_cannot_be_columns_is_refused(value, message):
    with pytest.raises(ConfigError, match=message):
        call(value)


@pytest.mark.parametrize("name", ["no_such_module:f", "math:nothing", "math", "math:pi"])
def test_a_function_that_is_none_is_refused(name):
    with pytest.raises(ConfigError, match=name.split(":")[0]):
        call_function({"function": {"call": name}}, Target("g"), {})


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), ErrorClass.OUT_OF_MEMORY),
        (caused(StartPointError("x"), MemoryError()), ErrorClass.OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "full"), ErrorClass.LOST),
        (OSError(errno.ESTALE, "stale"), ErrorClass.LOST),
        (DataError("no good pixel"), ErrorClass.BAD_INPUT),
        (caused(StartPointError("[M] cannot be set up"), DataError("no good pixel")), ErrorClass.BAD_INPUT),
        (ConfigError("mine: wrong redshift"), ErrorClass.BAD_INPUT),
        (ConfigError(["mine: wrong redshift", "walkers = 2 is too few"]), ErrorClass.UNKNOWN),
        (ConfigError("walkers = 2 is too few"), ErrorClass.UNKNOWN),
        (LibraryError("there is no library"), ErrorClass.UNKNOWN),
        (LibraryError("mine: the library does not reach it"), ErrorClass.BAD_INPUT),
        (StartPointError("The posterior is not finite at the start point"), ErrorClass.NUMERICAL),
        (caused(StartPointError("[M] raised ValueError: not finite"), ValueError()), ErrorClass.UNKNOWN),
        (StageError("The sampler maxlike ended without a single finite posterior"), ErrorClass.NUMERICAL),
        (NoResultError("none of 3 points"), ErrorClass.NUMERICAL),
        (HandoverError("the rule matches nothing"), ErrorClass.UNKNOWN),
        (ProductionError("samples are gone"), ErrorClass.UNKNOWN),
        (SystemExit(3), ErrorClass.CRASH),
        (ValueError("shapes differ"), ErrorClass.UNKNOWN),
    ],
)
def test_errors_have_a_class(error, expected):
    assert classify(error, lambda text: text.startswith("mine")).error_class == expected


def test_messages_name_the_kind_of_an_error_that_is_not_ours():
    assert classify(ValueError("shapes differ"), bool).message == "ValueError: shapes differ"
    long = classify(ValueError("x" * 5000 + "the end"), bool).message
    assert len(long) <= 2000
    assert long.endswith("the end")


@given(st.text(max_size=30))
def test_names_of_columns_are_plain(text):
    name = column_name(text)
    assert name
    assert name == name.lower()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert not name[0].isdigit()


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("", ("", "")),
        ("km/s", ("km / s", "")),
        ("log10(Msun)", ("dex(solMass)", "")),
        ("log10(Msun/yr)", ("dex(solMass / yr)", "")),
        ("log10(1/yr)", ("dex(1 / yr)", "")),
        ("furlongs per moon", ("", " [furlongs per moon]")),
    ],
)
def test_units_are_those_of_astropy(unit, expected):
    assert unit_text(unit) == expected
    units.Unit(expected[0])


@given(st.lists(st.text(min_size=0, max_size=8), min_size=1, max_size=3))
def test_no_name_leads_out_of_its_folder(parts):
    folder = target_folder("/".join(parts))
    assert folder.startswith("targets/")
    assert not {"", ".", ".."} & set(folder.split("/"))
    assert "\0" not in folder


def test_names_keep_their_own_folders():
    names = ["a", "a/b", "a%2Fb", "a b/seed=1", ".", "..", "", "%"]
    assert len({target_folder(name) for name in names}) == len(names)
    assert target_folder("8485-1901/seed=1") == "targets/8485-1901/seed=1"


def test_output_of_any_language_is_captured(tmp_path, capfd):
    log = tmp_path / "log"
    with captured(log):
        os.write(2, b"from a descriptor\n")
        ctypes.CDLL(None).system(b"echo from a child")
    os.write(1, b"after\n")
    lines = end_of_log(log).splitlines()
    assert {"from a descriptor", "from a child"} <= set(lines)
    assert capfd.readouterr() == ("after\n", "")


def test_the_end_of_a_log_is_short(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(5000)))
    assert end_of_log(log).splitlines()[-1] == "line 4999"
    assert len(end_of_log(log).splitlines()) == 60
    assert end_of_log(tmp_path / "none") == ""


def test_a_file_is_read_again_when_it_has_changed(tmp_path):
    path = tmp_path / "spectrum.dat"
    path.write_text("one")
    files = InputFiles()
    (first,) = files.of([path, tmp_path / "missing"])
    assert files.of([path]) == (first,)
    path.write_text("two")
    os.utime(path, ns=(1, 2))
    (second,) = files.of([path])
    assert second.checksum != first.checksum
    assert second.mtime_ns == 2


def test_an_allocation_over_the_limit_fails_and_the_limit_goes():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limited_memory(memory_in_use() / 1024**2 + 100):
        small = bytearray(20_000_000)
        with pytest.raises(MemoryError):
            bytearray(400_000_000)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert len(small) == 20_000_000
    assert len(bytearray(400_000_000)) == 400_000_000
