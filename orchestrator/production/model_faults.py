"""What pydantic finds wrong, as sentences: where, what was found, what was expected, the nearest known name."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from orchestrator.errors import nearest_known

__all__ = ["faults_of"]

_LONGEST = 60


def faults_of(error: ValidationError, model: type[BaseModel], place: str = "") -> list[str]:
    """Turn pydantic's report into sentences, one per faulty entry.

    Parameters
    ----------
    error : ValidationError
    model : type
        The model that was validated; its fields are the known names.
    place : str
        Where the model stands in the run file, such as ``site``.

    Returns
    -------
    list of str
    """
    faults: dict[str, str] = {}
    for entry in error.errors(include_url=False):
        names = [part for part in entry["loc"] if not (isinstance(part, str) and "[" in part)]
        name = str(names[0]) if names else ""
        where = ".".join(filter(None, [place, *map(str, names[:1])])) or "run file"
        faults.setdefault(where, _sentence(entry, where, name, model, place))
    return list(faults.values())


def _sentence(entry: Any, where: str, name: str, model: type[BaseModel], place: str) -> str:
    message = entry["msg"].removeprefix("Value error, ")
    if entry["type"] == "extra_forbidden":
        return f"{place or 'run file'}: unknown entry {name!r}{nearest_known(name, model.model_fields)}"
    if entry["type"] != "value_error":  # a sentence of pydantic's; ours may begin with a name
        message = message[:1].lower() + message[1:]
    if entry["type"] == "missing":
        return f"{place or 'run file'}: entry {name!r} is missing ({_description(model, name)})"
    found = "" if not name else f" = {_shortened(entry['input'])}"
    described = _description(model, name)
    return f"{where}{found}: {message}" + (f" ({described})" if described else "")


def _description(model: type[BaseModel], name: str) -> str:
    field = model.model_fields.get(name)
    return "" if field is None or not field.description else field.description.rstrip(".")


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
