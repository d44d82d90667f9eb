from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import ConfigError
from orchestrator.production.yaml_text import parse_yaml, read_yaml, render_yaml

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
    | st.sampled_from(["1e-3", "10:00:00", "2024-01-01", "yes", "null", "1.5", "0x1f", "~", "{a}", "010", "="])
    | st.sampled_from(["\x85", "\u2028x", "é"])
)  # fmt: skip
CONTENT = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@settings(max_examples=80, deadline=None)
@given(CONTENT)
def test_what_is_written_reads_back_the_same(content):
    assert parse_yaml(render_yaml(content)) == content


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-2.5", -2.5),
        (".5", 0.5),
        ("3", 3),
        ("-3", -3),
        ("10:00:00", "10:00:00"),
        ("2024-01-01", "2024-01-01"),
        ("010", "010"),
        (".inf", math.inf),
        ("true", True),
        ("maxlike emcee", "maxlike emcee"),
    ],
)
def test_plain_words(text, value):
    found = parse_yaml(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


def test_a_name_given_twice_is_refused_with_its_place():
    with pytest.raises(ConfigError, match=r"yaml, line 3, column 1: 'a' is given a second time \(first in line 1"):
        parse_yaml("a: 1\nb: 2\na: 3\n", "run.yaml")


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: [1, 2\nb: 3", "line 2, column 2"), ("a:\n\t- 1", "line 2, column 1"), ("a: b: c", "line 1, column 5")],
)
def test_errors_have_line_and_column(text, place):
    with pytest.raises(ConfigError, match=place):
        parse_yaml(text, "run.yaml")


def test_a_tab_and_an_unquoted_text_get_advice():
    with pytest.raises(ConfigError, match="not with tabs"):
        parse_yaml("a:\n\t- 1")
    with pytest.raises(ConfigError, match="in quotes"):
        parse_yaml("a: b: c")


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['true']", "a: *nothing", "\x00"])
def test_nothing_is_executed_or_guessed(text):
    with pytest.raises(ConfigError):
        parse_yaml(text)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x80")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_yaml(binary)


def test_merge_keys_work():
    assert parse_yaml("base: &b {x: 1, y: 2}\nown:\n  <<: *b\n  y: 3\n")["own"] == {"x": 1, "y": 3}
