"""Reading and writing of values and priors files, in the grammar of CosmoSIS.

CosmoSIS reads ini files with the standard ``configparser``: ``;`` and ``#`` after a blank begin a
comment, ``$NAME`` is replaced from the environment, ``%include file`` puts in another file, names are
lower-cased and the last of two equal names wins. The same rules hold here, except that what CosmoSIS
accepts without a word and does not mean what it seems (two equal names, a ``[DEFAULT]`` section that
leaks into all others) is a fault.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from orchestrator.errors import ConfigError

__all__ = ["ParsedText", "parse_entries", "parse_sections", "passing_files", "read_sections", "write_atomically"]

Entry = TypeVar("Entry")

_passing: ContextVar[bool] = ContextVar("_passing", default=False)

_HEADER = re.compile(r"\[(?P<name>.+)\]")
_ENTRY = re.compile(r"(?P<name>[^\s=:;#][^=:]*?)\s*[=:]")


@dataclass(frozen=True)
class ParsedText:
    """Sections of an ini text.

    Attributes
    ----------
    sections : dict of str to dict of str to str
        Section to (lower-case) name to text.
    lines : dict of (str, str) to int
        Line of each entry; entries of an included file have none.
    faults : list of str
        What is wrong with the text as a whole.
    """

    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    lines: dict[tuple[str, str], int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def where(self, source: str, section: str, name: str) -> str:
        """Return ``file, line n: [section] name`` for a message."""
        line = self.lines.get((section, name))
        place = f"{source}, line {line}" if line else source
        return f"{place}: [{section}] {name}"


def read_sections(path: Path) -> ParsedText:
    """Read an ini file; a file that cannot be read gives a fault.

    Parameters
    ----------
    path : Path
        File to read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return ParsedText(faults=[f"cannot read {str(path)!r}: {error}"])
    return parse_sections(text, str(path))


def parse_sections(text: str, source: str) -> ParsedText:
    """Parse an ini text.

    Parameters
    ----------
    text : str
        The text.
    source : str
        Its name in messages.
    """
    lines, faults = _scan(text, source)
    try:
        parser = _parser(text)
        sections = {name: dict(parser.items(name)) for name in parser.sections()}
    except (configparser.Error, ValueError, OSError) as error:
        hint = "; write a per cent sign as %%" if isinstance(error, configparser.InterpolationError) else ""
        message = " ".join(str(error).split())
        return ParsedText(lines=lines, faults=[*faults, f"{source}: {message}{hint}"])
    if parser.defaults():
        faults.append(
            f"{source}: the entries of a [DEFAULT] section go into every other section; name the one they "
            "are for"
        )
    return ParsedText(sections, lines, faults)


def _parser(text: str) -> configparser.ConfigParser:
    """Return a parser that has read `text` by CosmoSIS's rules."""
    if any(line.lower().startswith("%include") for line in text.split("\n")):
        from cosmosis.runtime.config import Inifile

        return Inifile.from_lines(text.split("\n"), print_include_messages=False)
    parser = configparser.ConfigParser(strict=False, inline_comment_prefixes=(";", "#"))
    parser.read_string("\n".join(os.path.expandvars(line) for line in text.split("\n")))
    return parser


def _scan(text: str, source: str) -> tuple[dict[tuple[str, str], int], list[str]]:
    """Find the line of every entry, and the names that are given twice in a section."""
    lines: dict[tuple[str, str], int] = {}
    faults = []
    section = ""
    for number, line in enumerate(text.split("\n"), 1):
        if line[:1].isspace():
            continue  # continues the entry above
        if header := _HEADER.match(line):
            section = header["name"]
        elif entry := _ENTRY.match(line):
            key = (section, entry["name"].lower())
            if key in lines:
                faults.append(
                    f"{source}, line {number}: [{section}] {key[1]} is given a second time (first in line "
                    f"{lines[key]}); keep one"
                )
            lines[key] = number
    return lines, faults


@contextlib.contextmanager
def passing_files() -> Iterator[None]:
    """Within this context files need not survive a power cut: making each last takes longer than a quick fit."""
    token = _passing.set(True)
    try:
        yield
    finally:
        _passing.reset(token)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that it is there as a whole or not at all; missing folders are made.

    Parameters
    ----------
    path : Path
        File to write or replace.
    text : str
        Its content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            if not _passing.get():
                stream.flush()
                os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def parse_entries(
    parsed: ParsedText, source: str, parse: Callable[[str], Entry | str]
) -> dict[str, dict[str, Entry]]:
    """Turn the texts of a file into entries.

    Parameters
    ----------
    parsed : ParsedText
    source : str
        Name of the file, for messages.
    parse : callable
        Text to entry, or to a sentence that says what is wrong with it.

    Raises
    ------
    ConfigError
        With every malformed entry.
    """
    faults = list(parsed.faults)
    sections: dict[str, dict[str, Entry]] = {}
    for section, texts in parsed.sections.items():
        sections[section] = {}
        for name, text in texts.items():
            entry = parse(text)
            if isinstance(entry, str):
                faults.append(f"{parsed.where(source, section, name)} = {text!r}: {entry}")
            else:
                sections[section][name] = entry
    if faults:
        raise ConfigError(faults)
    return sections
