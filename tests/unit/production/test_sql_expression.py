"""Conditions become SQL and nothing else; what they select is compared with Python's own answer."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.errors import ConfigError
from orchestrator.production.selection import KnownColumns, Selection, target_condition
from orchestrator.production.sql_expression import compile_expression

ROWS = [
    {"redshift": 0.05, "n": 3, "kind": "elliptical", "good": True},
    {"redshift": 0.5, "n": 0, "kind": "spiral", "good": False},
    {"redshift": -0.001, "n": 7, "kind": "it's", "good": True},
]
KINDS = {"redshift": "float", "n": "int", "kind": "text", "good": "bool"}
TYPES = {"float": sa.Double, "int": sa.Integer, "text": sa.Text, "bool": sa.Boolean}
TABLE = sa.Table("row", sa.MetaData(), *[sa.Column(name, TYPES[kind]) for name, kind in KINDS.items()])


class Columns:
    def find(self, name):
        if name not in KINDS:
            msg = f"no column {name}"
            raise ConfigError(msg)
        return TABLE.c[name], KINDS[name]


@pytest.fixture(scope="module")
def rows():
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        TABLE.metadata.create_all(connection)
        connection.execute(sa.insert(TABLE), ROWS)
        yield connection
    engine.dispose()


def selected(connection, text):
    found = connection.execute(sa.select(TABLE).where(compile_expression(text, Columns())))
    return [dict(row._mapping) for row in found]


@pytest.mark.parametrize(
    "text",
    [
        "redshift < 0.1 and n > 0",
        "0 < redshift <= 0.5",
        "not (good or n == 0)",
        "n / 2 > 1.2",
        "n - 1 == 2 or -redshift > 0",
        "kind in ('spiral', \"it's\")",
        "kind not in ['spiral']",
        "good",
        "not good and True",
        "kind == 'elliptical' or redshift * 2 + 1 >= 2",
        "redshift is not None",
        "(n + 1) * 2 == 8",
    ],
)
def test_selects_what_python_selects(rows, text):
    expected = [row for row in ROWS if eval(text, {}, dict(row))]
    assert selected(rows, text) == expected


comparisons = st.builds(
    "{} {} {}".format,
    st.sampled_from(["redshift", "n", "n + 1", "redshift * 3", "-n"]),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.sampled_from(["0", "0.5", "n", "3", "redshift", "1 - n"]),
)
conditions = st.recursive(
    comparisons | st.sampled_from(["good", "kind == 'spiral'"]),
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
    | st.builds("not ({})".format, inner),
    max_leaves=5,
)


@settings(deadline=None)
@given(text=conditions)
@example(text="not (n < 3 and good)")
def test_any_condition_selects_what_python_selects(rows, text):
    assert selected(rows, text) == [row for row in ROWS if eval(text, {}, dict(row))]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("__import__('os').system('x')", "not allowed"),
        ("n.__class__ == 1", "no column"),
        ("(lambda: 1)() == 1", "not allowed"),
        ("[x for x in n] == 1", "not allowed"),
        ("n ** 2 > 1", "'n ** 2'"),
        ("f'{n}' == 'x'", "not allowed"),
        ("n in other", "not allowed"),
        ("n in ()", "not allowed"),
        ("n is 3", "not allowed"),
        ("kind < None", "not allowed"),
        ("b'x' == kind", "not allowed"),
        ("n = 3", "written =="),
        ("n > 3 AND good", "lower case"),
        ("n", "a number, not a condition"),
        ("n and good", "compare it"),
        ("kind > 3", "compares a text with a number"),
        ("good == 1", "compares true or false with a number"),
        ("kind + 1 == 2", "a number is expected"),
        ("-kind == 2", "a number is expected"),
        ("", "no expression"),
        ("(" * 500 + "n" + ")" * 500, ""),
        ("not " * 3000 + "good", ""),
        ("redshif < 1", "no column redshif"),
    ],
)
def test_everything_else_is_refused(text, part):
    with pytest.raises(ConfigError, match=".*") as raised:
        compile_expression(text, Columns())
    assert part in str(raised.value)


KNOWN = KnownColumns({"redshift": "float"}, {"history": {"log_mass": "float"}, "colours": {"g_r": "float"}})


@pytest.mark.parametrize(
    ("where", "part"),
    [
        ("redshif > 1", "did you mean 'redshift'?"),
        ("log_mass > 1", "did you mean 'history.log_mass'?"),
        ("histroy.log_mass > 1", "did you mean 'history'?"),
        ("history.log_mas > 1", "did you mean 'log_mass'?"),
    ],
)
def test_an_unknown_name_gets_the_nearest(where, part):
    with pytest.raises(ConfigError) as raised:
        target_condition(Selection(where=where), KNOWN, sa.column("target_id"))
    assert part in str(raised.value)


def test_an_empty_selection_restricts_nothing():
    assert target_condition(Selection(), KNOWN, sa.column("target_id")) is None
