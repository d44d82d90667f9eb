"""Expressions over columns, read with Python's own parser and turned into SQL; nothing is evaluated."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

import sqlalchemy as sa

from orchestrator.errors import ConfigError

__all__ = ["ColumnSource", "compile_expression"]

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    # Division by zero is an error in one database and a missing value in the other.
    ast.Div: lambda one, other: one / sa.func.nullif(other, 0.0),
}
_ALLOWED = "Allowed are comparisons, and, or, not, in, is None, + - * /, numbers, texts and names of columns."
_Typed = tuple[Any, str]


class ColumnSource(Protocol):
    """Knows columns by their names."""

    def find(self, name: str) -> tuple[sa.ColumnElement[Any], str]:
        """Return a column and its kind, or raise `ConfigError`."""


def compile_expression(text: str, columns: ColumnSource) -> sa.ColumnElement[bool]:
    """Return a condition in SQL.

    A comparison with a missing value is neither true nor false, as in SQL.

    Parameters
    ----------
    text : str
        As ``0.01 < redshift < 0.1 and history.log_mass > 10``.
    columns : ColumnSource

    Raises
    ------
    ConfigError
        If the text is no expression, holds more than that, or names a column that does not exist.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or str(error)
        hint = " Equality is written ==; and, or, not in lower case." if _looks_like_sql(text) else ""
        msg = f"{text!r} is no expression: {reason}.{hint} {_ALLOWED}"
        raise ConfigError(msg) from None
    try:
        value, kind = _Compiler(text, columns).visit(tree)
    except RecursionError:
        msg = f"{text[:60]!r}... is nested too deeply."
        raise ConfigError(msg) from None
    if kind != "bool":
        msg = f"{text!r} is {_named(kind)}, not a condition that is true or false. {_ALLOWED}"
        raise ConfigError(msg)
    return value if isinstance(value, sa.ColumnElement) else sa.literal(value)


def _looks_like_sql(text: str) -> bool:
    padded = f" {text} "
    return any(f" {word} " in padded for word in ("AND", "OR", "NOT", "IN", "IS", "=", "<>"))


def _named(kind: str) -> str:
    return {"text": "a text", "bool": "true or false", "none": "None"}.get(kind, "a number")


class _Compiler:
    """Turns each node into a value of SQL and its kind: bool, text, int, float or none."""

    def __init__(self, text: str, columns: ColumnSource) -> None:
        self.text = text
        self.columns = columns

    def visit(self, node: ast.expr) -> _Typed:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            self._refuse(node)
        return method(node)

    def _refuse(self, node: ast.AST) -> NoReturn:
        part = ast.get_source_segment(self.text.strip(), node) or type(node).__name__
        msg = f"{part!r} in {self.text!r} is not allowed. {_ALLOWED}"
        raise ConfigError(msg)

    def _find(self, name: str) -> _Typed:
        try:
            return self.columns.find(name)
        except ConfigError as error:
            msg = f"In {self.text!r}: {error}"
            raise ConfigError(msg) from None

    def _name(self, node: ast.Name) -> _Typed:
        return self._find(node.id)

    def _attribute(self, node: ast.Attribute) -> _Typed:
        if not isinstance(node.value, ast.Name):
            self._refuse(node)
        return self._find(f"{node.value.id}.{node.attr}")

    def _constant(self, node: ast.Constant) -> _Typed:
        value = node.value
        if value is None:
            return sa.null(), "none"
        if isinstance(value, bool):
            return (sa.true() if value else sa.false()), "bool"
        kind = {int: "int", float: "float", str: "text"}.get(type(value))
        if kind is None:
            self._refuse(node)
        return sa.literal(value), kind

    def _boolop(self, node: ast.BoolOp) -> _Typed:
        join = sa.and_ if isinstance(node.op, ast.And) else sa.or_
        return join(*[self._condition(value) for value in node.values]), "bool"

    def _condition(self, node: ast.expr) -> Any:
        value, kind = self.visit(node)
        if kind != "bool":
            part = ast.get_source_segment(self.text.strip(), node)
            msg = f"In {self.text!r}: {part!r} is {_named(kind)}, not true or false; compare it."
            raise ConfigError(msg)
        return value

    def _unaryop(self, node: ast.UnaryOp) -> _Typed:
        if isinstance(node.op, ast.Not):
            return sa.not_(self._condition(node.operand)), "bool"
        if isinstance(node.op, ast.Invert):
            self._refuse(node)
        value, kind = self._number(node.operand)
        return (-value if isinstance(node.op, ast.USub) else value), kind

    def _number(self, node: ast.expr) -> _Typed:
        value, kind = self.visit(node)
        if kind not in ("int", "float"):
            part = ast.get_source_segment(self.text.strip(), node)
            msg = f"In {self.text!r}: {part!r} is {_named(kind)}; a number is expected there."
            raise ConfigError(msg)
        return value, kind

    def _binop(self, node: ast.BinOp) -> _Typed:
        combine = _ARITHMETIC.get(type(node.op))
        if combine is None:
            self._refuse(node)
        (left, left_kind), (right, right_kind) = self._number(node.left), self._number(node.right)
        whole = left_kind == right_kind == "int" and not isinstance(node.op, ast.Div)
        if isinstance(node.op, ast.Div):
            left = sa.cast(left, sa.Double)
        return combine(left, right), "int" if whole else "float"

    def _compare(self, node: ast.Compare) -> _Typed:
        parts = []
        left = node.left
        for word, right in zip(node.ops, node.comparators, strict=True):
            parts.append(self._compared(node, left, word, right))
            left = right
        return sa.and_(*parts), "bool"

    def _compared(self, node: ast.Compare, left: ast.expr, word: ast.cmpop, right: ast.expr) -> Any:
        value, kind = self.visit(left)
        if isinstance(word, ast.In | ast.NotIn):
            return self._contained(node, value, kind, word, right)
        other, other_kind = self.visit(right)
        if "none" in (kind, other_kind):
            if not isinstance(word, ast.Is | ast.IsNot | ast.Eq | ast.NotEq):
                self._refuse(node)
            value = other if kind == "none" else value
            return value.is_(None) if isinstance(word, ast.Is | ast.Eq) else value.is_not(None)
        compare = _COMPARISONS.get(type(word))
        if compare is None:
            self._refuse(node)
        self._check_kinds(node, kind, other_kind)
        return compare(value, other)

    def _contained(self, node: ast.Compare, value: Any, kind: str, word: ast.cmpop, right: ast.expr) -> Any:
        if not isinstance(right, ast.List | ast.Tuple | ast.Set) or not right.elts:
            self._refuse(node)
        members = []
        for element in right.elts:
            member, member_kind = self.visit(element)
            self._check_kinds(node, kind, member_kind)
            members.append(member)
        return value.in_(members) if isinstance(word, ast.In) else value.not_in(members)

    def _check_kinds(self, node: ast.AST, one: str, other: str) -> None:
        same = {"int": "number", "float": "number"}
        if same.get(one, one) != same.get(other, other):
            part = ast.get_source_segment(self.text.strip(), node)
            msg = f"In {self.text!r}: {part!r} compares {_named(one)} with {_named(other)}, which is never true."
            raise ConfigError(msg)
