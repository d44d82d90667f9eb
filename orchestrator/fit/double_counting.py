"""Data that would count twice: a prior taken from a stage that has read the same file."""

from __future__ import annotations

from orchestrator.stage import Stage

__all__ = ["counted_twice", "data_of"]

_DATA = ("inputspectrum", "inputphotometry", "inputindices")


def data_of(stage: Stage) -> frozenset[str]:
    """Return what a stage's modules read as data: files, with the row where one is given."""
    found = set()
    for module in stage.modules:
        options = {key.lower(): value for key, value in module.options.items()}
        row = options.get("inputspectrumrow")
        found |= {
            f"{options[name]}" + (f" row {row}" if name == "inputspectrum" and row is not None else "")
            for name in _DATA
            if options.get(name)
        }
    return frozenset(found)


def counted_twice(name: str, receiving: Stage, giving: Stage) -> str:
    """Return the sentence to say when `receiving` takes a prior of a parameter from `giving`; empty if all is well.

    Parameters
    ----------
    name : str
        The parameter, ``section--name``.
    receiving, giving : Stage
    """
    shared = sorted(data_of(receiving) & data_of(giving))
    if not shared:
        return ""
    return (
        f"the prior of {name} comes from stage {giving.name!r}, which has read the same data ({', '.join(shared)}): "
        "they count twice, and the posterior of this parameter is too narrow, by up to a factor of the root of 2. "
        "Use 'start' or 'fix', or give the stages different data"
    )
