"""Conditions over columns, such as ``redshift < 0.1 and n_good > 0``: parsed by Python, then a small subset.

Comparisons (chained too), ``and``, ``or``, ``not``, ``in``, ``is None``, arithmetic, literals and names of columns;
calls, attributes and everything else are refused, so that a run file cannot do anything. A missing value makes a
comparison unknown, as in SQL: neither it nor its negation selects a row.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import ConfigError, nearest_known

__all__ = ["Expression", "parse_expression"]

_Evaluate = Callable[[Mapping[str, Any]], Any]

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda value, options: value in options,
    ast.NotIn: lambda value, options: value not in options,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_SIGNS: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_LITERALS = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Expression:
    """A condition.

    Attributes
    ----------
    text : str
    columns : tuple of str
        Columns that it needs, each once.
    tree : ast.expr
        Its syntax, of the allowed kinds only.
    """

    text: str
    columns: tuple[str, ...]
    tree: ast.expr
    _evaluate: _Evaluate

    def value(self, values: Mapping[str, Any]) -> Any:
        """Return what it is for a row; None if a missing value leaves it unknown.

        Raises
        ------
        ConfigError
            If values are compared that cannot be, such as a text with a number.
        """
        try:
            return self._evaluate(values)
        except TypeError as error:
            found = {column: values.get(column) for column in self.columns}
            msg = f"condition {self.text!r}: {error}, for {found}"
            raise ConfigError(msg) from None

    def matches(self, values: Mapping[str, Any]) -> bool:
        """Whether a row fulfils it; unknown is no."""
        return bool(self.value(values))

    def unknown_columns(self, known: Iterable[str]) -> list[str]:
        """Return a fault for each column that is not among the known ones."""
        known = list(known)
        return [
            f"condition {self.text!r}: there is no column {column!r}{nearest_known(column, known)}"
            for column in self.columns
            if column not in known
        ]


def parse_expression(text: str) -> Expression:
    """Read a condition.

    Parameters
    ----------
    text : str

    Raises
    ------
    ConfigError
        If it is no condition, or holds more than is allowed.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = f" at character {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        msg = f"condition {text!r}: cannot be read{place}; expected for example 'redshift < 0.1 and n_good > 0'"
        raise ConfigError(msg) from None
    columns: dict[str, None] = {}
    try:
        evaluate = _compiled(tree, text, columns)
    except RecursionError:
        msg = "a condition is nested too deeply"
        raise ConfigError(msg) from None
    return Expression(text, tuple(columns), tree, evaluate)


def _compiled(node: ast.expr, text: str, columns: dict[str, None]) -> _Evaluate:
    """Return a function of the row for one node; every other kind of node is refused."""
    if isinstance(node, ast.Constant) and isinstance(node.value, _LITERALS):
        constant = node.value
        return lambda _: constant
    if isinstance(node, ast.Name):
        columns[node.id] = None
        return operator.methodcaller("get", node.id)
    if isinstance(node, (ast.Tuple, ast.List)):
        entries = [_compiled(entry, text, columns) for entry in node.elts]
        return lambda values: [entry(values) for entry in entries]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _negation(_compiled(node.operand, text, columns))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS:
        return _signed(_SIGNS[type(node.op)], _compiled(node.operand, text, columns))
    if isinstance(node, ast.BoolOp):
        parts = [_compiled(part, text, columns) for part in node.values]
        return _all_of(parts) if isinstance(node.op, ast.And) else _any_of(parts)
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        sides = (_compiled(node.left, text, columns), _compiled(node.right, text, columns))
        return _arithmetic(_ARITHMETIC[type(node.op)], *sides)
    if isinstance(node, ast.Compare):
        return _comparison(node, text, columns)
    found = ast.get_source_segment(text.strip(), node) or type(node).__name__
    msg = (
        f"condition {text!r}: {found!r} is not allowed; comparisons, and, or, not, in, arithmetic, numbers, texts "
        "and names of columns are"
    )
    raise ConfigError(msg)


def _comparison(node: ast.Compare, text: str, columns: dict[str, None]) -> _Evaluate:
    sides = [_compiled(side, text, columns) for side in (node.left, *node.comparators)]
    steps = []
    for kind, left, right, written in zip(node.ops, sides, sides[1:], node.comparators, strict=False):
        against_none = isinstance(written, ast.Constant) and written.value is None
        if against_none and isinstance(kind, (ast.Is, ast.Eq)):
            steps.append(_is_missing(left, wanted=True))
        elif against_none and isinstance(kind, (ast.IsNot, ast.NotEq)):
            steps.append(_is_missing(left, wanted=False))
        elif type(kind) not in _COMPARE or (
            isinstance(kind, (ast.In, ast.NotIn)) and not isinstance(written, (ast.Tuple, ast.List))
        ):
            expected = "a list after 'in', and 'is' only before None"
            msg = f"condition {text!r}: expected {expected}"
            raise ConfigError(msg)
        else:
            steps.append(_compared(_COMPARE[type(kind)], left, right))
    return steps[0] if len(steps) == 1 else _all_of(steps)


def _is_missing(part: _Evaluate, *, wanted: bool) -> _Evaluate:
    return lambda values: (part(values) is None) is wanted


def _compared(compare: Callable[[Any, Any], Any], left: _Evaluate, right: _Evaluate) -> _Evaluate:
    def evaluate(values: Mapping[str, Any]) -> Any:
        first, second = left(values), right(values)
        return None if first is None or second is None else compare(first, second)

    return evaluate


def _arithmetic(combine: Callable[[Any, Any], Any], left: _Evaluate, right: _Evaluate) -> _Evaluate:
    def evaluate(values: Mapping[str, Any]) -> Any:
        first, second = left(values), right(values)
        if first is None or second is None:
            return None
        if isinstance(first, str) or isinstance(second, str):
            msg = "arithmetic is for numbers"
            raise TypeError(msg)
        try:
            return combine(first, second)
        except (ZeroDivisionError, OverflowError):
            return None

    return evaluate


def _signed(sign: Callable[[Any], Any], part: _Evaluate) -> _Evaluate:
    def evaluate(values: Mapping[str, Any]) -> Any:
        value = part(values)
        return None if value is None else sign(value)

    return evaluate


def _negation(part: _Evaluate) -> _Evaluate:
    def evaluate(values: Mapping[str, Any]) -> Any:
        value = part(values)
        return None if value is None else not value

    return evaluate


def _all_of(parts: list[_Evaluate]) -> _Evaluate:
    def evaluate(values: Mapping[str, Any]) -> Any:
        found: bool | None = True
        for part in parts:
            value = part(values)
            if value is None:
                found = None
            elif not value:
                return False
        return found

    return evaluate


def _any_of(parts: list[_Evaluate]) -> _Evaluate:
    def evaluate(values: Mapping[str, Any]) -> Any:
        found: bool | None = False
        for part in parts:
            value = part(values)
            if value is None:
                found = None
            elif value:
                return True
        return found

    return evaluate
