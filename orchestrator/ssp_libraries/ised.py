"""The text form of the models of Bruzual & Charlot, ``*.ised_ASCII`` (also with ``.gz``).

Vectors, each led by its length, over as many lines as it takes: the ages [yr]; then five or six lines of words and
numbers on the mass function (five for Chabrier, six for Salpeter); the wavelengths [Angstrom]; for each age the
spectrum [Lsun / Angstrom / Msun formed], followed by a short vector of index strengths; then vectors of one value per
age. The same in the releases of 2003, 2013 and 2016.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError

__all__ = ["IsedFile", "read_ised_ascii"]

_FEWEST_WAVELENGTHS = 100


@dataclass(frozen=True)
class IsedFile:
    """The populations of one metallicity.

    Attributes
    ----------
    age_yr : ndarray (n_age,)
        The first may be 0.
    wavelength : ndarray (n_wave,)
        As it stands in the file, Angstrom.
    flux : ndarray (n_age, n_wave)
        Lsun / Angstrom / Msun formed.
    """

    age_yr: NDArray[np.float64]
    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]


class _Vectors:
    """Takes vectors off lines of text, without holding more than one of them."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._waiting: list[NDArray[np.float64]] = []

    def _more(self, line: str | None = None) -> None:
        text = next(self._lines) if line is None else line
        self._waiting.append(np.array(text.split(), dtype=np.float64))

    def take(self, number: int) -> NDArray[np.float64]:
        while sum(part.size for part in self._waiting) < number:
            self._more()
        values = np.concatenate(self._waiting)
        self._waiting = [values[number:]]
        return values[:number]

    def vector(self) -> NDArray[np.float64]:
        length = float(self.take(1)[0])
        if length != int(length) or length < 0:
            msg = f"expected the length of a vector, found {length:g}"
            raise ValueError(msg)
        return self.take(int(length))

    def skip_words(self) -> None:
        """Pass over the lines up to the one that leads the wavelengths: a whole number, larger than any before."""
        self._waiting = []
        for line in self._lines:
            first = line.split(maxsplit=1)[:1]
            if first and first[0].isdigit() and int(first[0]) >= _FEWEST_WAVELENGTHS:
                self._more(line)
                return
        msg = "no vector of wavelengths after the ages"
        raise ValueError(msg)


def read_ised_ascii(path: Path) -> IsedFile:
    """Read one file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    LibraryError
        The file ends too early or does not follow the layout.
    """
    open_text = gzip.open if path.name.endswith(".gz") else open
    try:
        with open_text(path, "rt", encoding="ascii") as file:
            vectors = _Vectors(iter(file))
            ages = vectors.vector()
            vectors.skip_words()
            wavelength = vectors.vector()
            flux = np.empty((ages.size, wavelength.size))
            for spectrum in flux:
                spectrum[:] = vectors.vector()
                vectors.vector()  # the strengths of indices
    except (OSError, ValueError, EOFError, StopIteration) as error:
        why = str(error) or "it ends too early"
        msg = f"{str(path)!r} cannot be read as an ised_ASCII file of Bruzual & Charlot ({why})"
        raise LibraryError(msg) from error
    return IsedFile(ages, wavelength, flux)
