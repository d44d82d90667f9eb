"""JSON that both databases take."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.production.ledger.json_text import clean_text, json_text

NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(VALUES)
def test_what_json_knows_comes_back(value):
    assert json.loads(json_text(value)) == value


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.integers()))
def test_order_of_names_does_not_matter(content):
    assert json_text(content) == json_text(dict(reversed(content.items())))


@pytest.mark.parametrize("missing", [float("nan"), float("inf"), np.float32("nan"), None])
def test_what_is_no_number_is_missing(missing):
    assert json.loads(json_text({"a": missing, "b": [missing]})) == {"a": None, "b": [None]}


def test_numpy_values_become_plain():
    content = {"i": np.int32(3), "f": np.float64(0.5), "b": np.bool_(True), "s": np.str_("x"), "l": np.arange(2)}
    assert json.loads(json_text(content)) == {"i": 3, "f": 0.5, "b": True, "s": "x", "l": [0, 1]}


@settings(deadline=None)
@given(st.text(st.characters(codec=None)))
def test_clean_text_can_be_stored(text):
    clean = clean_text(text)
    assert "\0" not in clean
    assert clean.encode("utf-8").decode() == clean


def test_ordinary_text_is_left_alone():
    assert clean_text("σ = 70 km/s") == "σ = 70 km/s"
    assert clean_text("a\0b\udc80") == "ab?"
