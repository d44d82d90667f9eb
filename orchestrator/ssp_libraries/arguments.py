"""``SSPModelArgs``: what may be chosen within one library, by position or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import LibraryError, nearest_known

__all__ = ["NEBULAR", "Argument", "parse_arguments"]


@dataclass(frozen=True)
class Argument:
    """One choice.

    Attributes
    ----------
    name : str
    choices : mapping of str to str
        Accepted spelling, in lower case, to the value that it means.
    default : str
        One of the values.
    """

    name: str
    choices: Mapping[str, str]
    default: str

    @property
    def values(self) -> tuple[str, ...]:
        """The distinct values, in the order of their declaration."""
        return tuple(dict.fromkeys(self.choices.values()))


_TRUE, _FALSE = ("True", "true", "t", "1", "yes"), ("False", "false", "f", "0", "no")
NEBULAR = Argument(
    "nebular",
    {word.lower(): _TRUE[0] for word in _TRUE} | {word.lower(): _FALSE[0] for word in _FALSE},
    default=_FALSE[0],
)
"""Whether the nebular continuum is added to the stars."""


def parse_arguments(library: str, args: Sequence[str], known: Sequence[Argument]) -> dict[str, str]:
    """Return the value of every argument of a library.

    Parameters
    ----------
    library : str
        For messages.
    args : sequence of str
        ``value`` by position, or ``name=value``; case matters not.
    known : sequence of Argument
        In the order of their positions.

    Raises
    ------
    LibraryError
        An argument or a value that is not known.
    """
    if args and not known:
        msg = f"SSPModelArgs {', '.join(args)!r}: {library} takes no arguments; leave SSPModelArgs out"
        raise LibraryError(msg)
    by_name = {argument.name.lower(): argument for argument in known}
    values = {argument.name: argument.default for argument in known}
    for position, word in enumerate(args):
        name, separator, value = word.partition("=")
        if not separator:
            name, value = (known[position].name if position < len(known) else ""), word
        argument = by_name.get(name.strip().lower())
        if argument is None:
            expected = ", ".join(f"{each.name}={'|'.join(each.values)}" for each in known)
            msg = f"SSPModelArgs of {library}: {word!r} is not known; expected {expected}"
            raise LibraryError(msg)
        chosen = argument.choices.get(value.strip().lower())
        if chosen is None:
            hint = nearest_known(value.strip().lower(), argument.choices)
            msg = (
                f"SSPModelArgs of {library}: {argument.name} is {value.strip()!r}; "
                f"expected {' or '.join(argument.values)}{hint}"
            )
            raise LibraryError(msg)
        values[argument.name] = chosen
    return values
