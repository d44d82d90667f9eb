"""The CosmoSIS ini file of a stage: written so that CosmoSIS reads back exactly what was meant.

CosmoSIS guesses the types of module options: ``T`` becomes a boolean, ``1e5`` a number and ``a b`` stays
text. Text that it would take for something else is put in double quotes, which it removes. The sections
of CosmoSIS itself (``runtime``, ``output``, ``pipeline`` and the samplers) are read as raw text instead,
where quotes would stay. What no spelling can carry (a line break, `` ;`` and `` #``, which begin a
comment, and a ``$NAME`` that CosmoSIS would replace) is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.config.text_files import write_atomically
from orchestrator.errors import ConfigError
from orchestrator.stage import Stage

__all__ = ["RAW_SECTIONS", "read_ini", "render_ini", "render_section", "write_ini"]

RAW_SECTIONS = ("runtime", "output", "pipeline")
"""Sections that CosmoSIS reads as raw text, beside those of the samplers."""

_BOOLEANS = {"y", "yes", "t", "true", "on", "n", "no", "f", "false", "off"}
_COMMENT = re.compile(r"\s[;#]|^[;#]")
_NAME = re.compile(r"[^\s=:\[\]%;#$][^=:\[\]%;#$\r\n]*")
_HEADING = """; Written by the orchestrator for stage {name}. Run it again with
;   cosmosis {file}
"""


def render_ini(stage: Stage, *, with_priors: bool = False) -> str:
    """Return the text of the CosmoSIS ini file of a stage.

    Parameters
    ----------
    stage : Stage
        The stage; ``pipeline.values`` becomes its own values file.
    with_priors : bool
        Name the stage's own priors file too.

    Raises
    ------
    ConfigError
        Listing every value that an ini file cannot hold.
    """
    faults: list[str] = []
    blocks = [_HEADING.format(name=_comment_text(stage.name), file=_comment_text(stage.paths.params.name))]
    for name, options in stage.sections.items():
        written = dict(options)
        if name == "output":
            written["filename"] = stage.paths.chain
        elif name == "pipeline":
            written["modules"] = " ".join(module.name for module in stage.modules)
            written["values"] = stage.paths.values
            written.pop("priors", None)
            if with_priors:
                written["priors"] = _priors_name(stage.paths.priors)
        raw = name in RAW_SECTIONS or name in stage.samplers
        blocks.append(render_section(name, written, raw=raw, faults=faults))
    for module in stage.modules:
        text = render_section(module.name, {"file": module.file}, raw=True, faults=faults)
        options = {key: value for key, value in module.options.items() if key.lower() != "file"}
        blocks.append(text + render_section("", options, raw=False, faults=faults, place=module.name))
    if faults:
        raise ConfigError(faults)
    return "\n".join(blocks)


def write_ini(stage: Stage, *, with_priors: bool = False) -> Path:
    """Write the CosmoSIS ini file of a stage as a whole and return its path; see `render_ini`."""
    write_atomically(stage.paths.params, render_ini(stage, with_priors=with_priors))
    return stage.paths.params


def render_section(
    name: str, options: Mapping[str, Any], *, raw: bool, faults: list[str], place: str | None = None
) -> str:
    """Return the lines of one section.

    Parameters
    ----------
    name : str
        Name of the section; empty for more lines of the section before.
    options : Mapping
        Option to value. None is left out.
    raw : bool
        CosmoSIS reads the values as raw text and not by guessing their types.
    faults : list of str
        What cannot be written is added here.
    place : str, optional
        Name of the section for messages.
    """
    place = place or name
    lines = []
    if name:
        if _NAME.fullmatch(name) is None:
            faults.append(f"section name {name!r} cannot stand in an ini file; use letters, digits, _ . -")
        lines.append(f"[{name}]")
    for key, value in options.items():
        if value is None:
            continue
        where = f"[{place}] {key}"
        if _NAME.fullmatch(key) is None:
            faults.append(f"{where}: this name cannot stand in an ini file; use letters, digits, _ . and -")
        text = _value_text(value, raw, where, faults)
        lines.append(f"{key} = {text.replace('%', '%%')}")
    return "".join(f"{line}\n" for line in lines)


def _value_text(value: Any, raw: bool, where: str, faults: list[str]) -> str:
    """Return one value as text that reads back as the same value."""
    plain = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(plain, bool):
        return "T" if plain else "F"
    if isinstance(plain, int):
        return str(plain)
    if isinstance(plain, float):
        return repr(plain)
    if isinstance(plain, (list, tuple)):
        return _list_text(plain, raw, where, faults)
    if isinstance(plain, (str, Path)):
        return _quoted(str(plain), raw, where, faults)
    faults.append(f"{where} = {value!r}: an ini file holds text, numbers, booleans and lists of them")
    return ""


def _list_text(values: list[Any] | tuple[Any, ...], raw: bool, where: str, faults: list[str]) -> str:
    if all(isinstance(entry, (int, float)) and not isinstance(entry, bool) for entry in values):
        has_float = any(isinstance(entry, float) for entry in values)
        return " ".join(repr(float(entry)) if has_float else str(entry) for entry in values)
    words = [repr(entry) if isinstance(entry, float) else str(entry) for entry in values]
    nested = any(isinstance(entry, (list, tuple, dict)) for entry in values)
    if nested or any(len(word.split()) != 1 for word in words):
        faults.append(f"{where} = {values!r}: expected a flat list of numbers, or of words without blanks")
    return _quoted(" ".join(words), raw, where, faults)


def _quoted(text: str, raw: bool, where: str, faults: list[str]) -> str:
    """Return `text`, in quotes where CosmoSIS would take it for something else."""
    quote = not raw and _is_mistaken(text)
    written = f'"{text}"' if quote else text
    if "\n" in text or "\r" in text:
        faults.append(f"{where} = {text!r}: an ini file cannot hold a line break in a value; remove it")
    elif _COMMENT.search(written):
        faults.append(f"{where} = {text!r}: ' ;' and ' #' begin a comment in an ini file; rename it")
    elif raw and text != text.strip():
        faults.append(f"{where} = {text!r}: CosmoSIS removes blanks at the ends; remove them")
    if os.path.expandvars(written) != written:
        faults.append(
            f"{where} = {text!r}: CosmoSIS would replace the '$' in it by an environment variable; rename it"
        )
    return written


def _is_mistaken(text: str) -> bool:
    """Whether CosmoSIS would read `text` as something other than this text."""
    if not text or text != text.strip() or text[0] in "\"';#":
        return True
    words = text.split()
    if _is_number(words[0]):
        return True  # numbers, and units such as "1e-16 erg / (s cm2 Angstrom)", which only look like a list
    return text.lower() in _BOOLEANS


def _is_number(word: str) -> bool:
    try:
        complex(word)
    except ValueError:
        return False
    return True


def _priors_name(path: Path) -> str:
    """Return how the priors file is named; CosmoSIS splits the entry at blanks, unlike all others.

    With a blank in the folder it is the bare name, found when CosmoSIS runs in the folder of the stage.
    """
    return path.name if re.search(r"\s", str(path)) else str(path)


def _comment_text(text: str) -> str:
    return " ".join(text.split()).replace("$", "")


def read_ini(path: str | Path) -> dict[str, dict[str, Any]]:
    """Read an ini file with CosmoSIS's own parser.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    dict of str to dict
        Section to (lower-case) option to value: typed as CosmoSIS types module options, and raw text in
        ``runtime``, ``output``, ``pipeline`` and the sections of the samplers. Entries of ``[DEFAULT]``
        are not repeated in the other sections.

    Raises
    ------
    ConfigError
        If the file cannot be read or parsed.
    """
    import configparser

    from cosmosis.runtime.config import Inifile

    try:
        ini = Inifile(str(path), print_include_messages=False)
        raw = {*RAW_SECTIONS, *ini.get("runtime", "sampler", fallback="").split()}
        return {
            section: {
                name: ini.get(section, name) if section in raw else ini.gettyped(section, name)
                for name, _ in ini.items(section, raw=True, defaults=False)
            }
            for section in ini.sections()
        }
    except (OSError, ValueError, configparser.Error) as error:
        msg = f"cannot read the ini file {str(path)!r}: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error
