"""AB zero points of the units in which photometry comes."""

from __future__ import annotations

import re

import numpy as np

__all__ = ["ab_zero_point"]

# AB magnitude of one unit: m = zero point - 2.5 log10(flux); Oke & Gunn (1983).
_CGS_ZERO_POINT = -48.60
_ZERO_POINTS = {
    "erg/s/cm2/hz": _CGS_ZERO_POINT,
    "jy": 8.90,
    "mjy": 16.40,
    "ujy": 23.90,
    "microjansky": 23.90,
    "njy": 31.40,
    "maggy": 0.0,
    "maggies": 0.0,
    "nanomaggy": 22.5,
    "nanomaggies": 22.5,
    "nmgy": 22.5,
    "w/m2/hz": -56.10,
}


def ab_zero_point(unit: str) -> float | None:
    """Return the AB magnitude of one unit of flux density.

    Parameters
    ----------
    unit : str
        For example ``uJy`` or ``1e-29 erg/s/cm2/Hz``.

    Returns
    -------
    float or None
        None where the unit is not a known flux per frequency.
    """
    text = unit.strip().replace("\u00b5", "u").replace("\u03bc", "u")
    factor = 1.0
    if match := re.match(r"(\d+\.?\d*(?:[eE][-+]?\d+)?)[\s*]*(?=[A-Za-z])", text):
        factor, text = float(match[1]), text[match.end() :]
    text = re.sub(r"\^|\*\*", "", text).lower()
    text = re.sub(r"erg s-1 cm-2 hz-1", "erg/s/cm2/hz", text).replace(" ", "")
    text = re.sub(r"erg/\(?s\*?cm2\*?hz\)?", "erg/s/cm2/hz", text)
    text = text.replace("erg/cm2/s/hz", "erg/s/cm2/hz")
    zero_point = _ZERO_POINTS.get(text)
    return None if zero_point is None or factor <= 0 else zero_point - 2.5 * float(np.log10(factor))
