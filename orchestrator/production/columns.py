"""The declaration of one column of a result, and the named bits of its flags.

Tables of the ledger, units and comments of exported files and the documentation all come from these declarations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["COMMON_COLUMNS", "FLAGS", "Column", "Flag", "flag_bits", "flag_names"]


@dataclass(frozen=True)
class Column:
    """One column of a result table.

    Attributes
    ----------
    name : str
        Lower-case letters, digits and underscores.
    kind : {'float', 'int', 'text', 'bool'}
        Type of its values; any of them may be missing.
    unit : str
        As astropy reads it, ``dex(Msun)`` included; empty for a pure number.
    description : str
        One line: the comment of the column everywhere.
    group : str
        Heading under which exported files list it.
    """

    name: str
    kind: str
    unit: str = ""
    description: str = ""
    group: str = ""


@dataclass(frozen=True)
class Flag:
    """One named bit of ``flags``.

    Attributes
    ----------
    name : str
    bit : int
        Its value is ``2 ** bit``; never reused for another meaning.
    description : str
    severe : bool
        Whether a result with it is not to be used as it is.
    """

    name: str
    bit: int
    description: str
    severe: bool = False

    @property
    def value(self) -> int:
        """The bit as a number."""
        return 1 << self.bit


FLAGS = (
    Flag("bad_input", 0, "the input cannot be fitted; there are no numbers", severe=True),
    Flag("not_converged", 1, "the sampler had not converged when it stopped", severe=True),
    Flag("few_samples", 2, "too few independent samples for the 95 % interval", severe=True),
    Flag("at_bound", 3, "a parameter lies at the edge of its range"),
    Flag("failed_points", 4, "the model failed at some points"),
    Flag("unresolved", 5, "a dispersion is below what data and templates resolve: an upper limit"),
    Flag("module_remark", 6, "a module has a remark on the result; see 'remarks'"),
    Flag("other_recipe", 7, "the first recipe failed and a later one gave this result"),
    Flag("no_derived", 8, "derived quantities could not be made"),
)
"""Every flag; a bit keeps its meaning for ever."""


def flag_bits(names: Iterable[str]) -> int:
    """Return the number whose bits are these flags.

    Raises
    ------
    KeyError
        If a name is no flag.
    """
    values = {flag.name: flag.value for flag in FLAGS}
    bits = 0
    for name in names:
        bits |= values[name]
    return bits


def flag_names(bits: int) -> tuple[str, ...]:
    """Return the names of the flags that are set."""
    return tuple(flag.name for flag in FLAGS if bits & flag.value)


COMMON_COLUMNS = (
    Column("verdict", "text", "", "ok, or what keeps the result from being trusted", "Quality"),
    Column("flags", "int", "", "bits of named flags", "Quality"),
    Column("remarks", "text", "", "what is not to be taken at face value", "Quality"),
    Column("recipe", "int", "", "recipe of the configuration that gave the result, from 0", "Provenance"),
    Column("seed", "int", "", "seed of the random numbers", "Provenance"),
    Column("version", "text", "", "version of the package that made it", "Provenance"),
    Column("seconds", "float", "s", "wall time of the fit, derived quantities included", "Provenance"),
    Column("overhead_seconds", "float", "s", "wall time around the fit: options, files, summary", "Provenance"),
    Column("cpu_seconds", "float", "s", "processor time of the stage", "Provenance"),
    Column("peak_memory", "float", "Mbyte", "largest memory of the process up to the end of the stage", "Provenance"),
)
"""Columns that every result has, whatever its stage."""
