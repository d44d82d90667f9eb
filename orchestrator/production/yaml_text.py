"""YAML read strictly and written so that it reads back the same.

As PyYAML's safe loader, but: a name that is given twice is refused, ``1e-3`` is a number, and ``10:00:00`` and
``2024-01-01`` stay text.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import ConfigError

__all__ = ["parse_yaml", "read_yaml", "render_yaml"]

_FLOAT = re.compile(
    r"""[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+
    |\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?)|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)""",
    re.VERBOSE,
)
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F_]+|0b[01_]+")
_CHANGED = ("tag:yaml.org,2002:float", "tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp")


def _resolvers(base: Any) -> dict[str, list[tuple[str, Any]]]:
    """Return the rules by which plain words become numbers, with ours in place of YAML 1.1's."""
    rules = {
        first: [(tag, pattern) for tag, pattern in entries if tag not in _CHANGED]
        for first, entries in base.yaml_implicit_resolvers.items()
    }
    for tag, pattern, firsts in ((_CHANGED[0], _FLOAT, "-+0123456789."), (_CHANGED[1], _INT, "-+0123456789")):
        anchored = re.compile(f"^(?:{pattern.pattern})$", re.VERBOSE)
        for first in firsts:
            rules.setdefault(first, []).append((tag, anchored))
    return rules


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _resolvers(yaml.SafeLoader)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a name that is given twice."""
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                problem = f"{key!r} is given a second time (first in line {seen[key]})"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if isinstance(key, Hashable):
                seen[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = _resolvers(yaml.SafeDumper)

    def ignore_aliases(self, _data: Any) -> bool:
        """Write equal parts in full: references are hard to read."""
        return True


def parse_yaml(text: str, source: str = "YAML") -> Any:
    """Return the content of a YAML text.

    Parameters
    ----------
    text : str
    source : str
        Its name in messages.

    Raises
    ------
    ConfigError
        With line and column of what cannot be read.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = " ".join(filter(None, [error.context, error.problem]))
        msg = f"{source}{place}: {problem}{_hint(problem)}"
    except yaml.YAMLError as error:
        msg = f"{source}: {' '.join(str(error).split())}"
    except RecursionError:
        msg = f"{source}: nested too deeply"
    raise ConfigError(msg)


def _hint(problem: str) -> str:
    if "\\t" in problem:
        return "; indent with blanks, not with tabs"
    if "mapping values are not allowed" in problem or "found unhashable key" in problem:
        return "; put a text that holds ': ' or begins with '{' in quotes"
    return ""


def read_yaml(path: str | Path) -> Any:
    """Return the content of a YAML file.

    Raises
    ------
    ConfigError
        If it cannot be read, with line and column.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        msg = f"cannot read {str(path)!r}: {error.strerror or error}"
        raise ConfigError(msg) from None
    except UnicodeDecodeError:
        msg = f"cannot read {str(path)!r}: it is no text in UTF-8"
        raise ConfigError(msg) from None
    return parse_yaml(text, str(path))


def render_yaml(content: Any) -> str:
    """Return plain content as YAML that `parse_yaml` reads back the same, in the given order."""
    text = _dumped(content, allow_unicode=True)
    # PyYAML loses some rare line breaks of Unicode; escaped they stay.
    return text if parse_yaml(text) == content else _dumped(content, allow_unicode=False)


def _dumped(content: Any, *, allow_unicode: bool) -> str:
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=allow_unicode, width=110))
