"""The attenuation laws that can be named, where each is defined, and what is free in it.

Curves are those of the packages `extinction` and `dust_extinction`, under their names there, and the laws of
galaxies that are made of Calzetti's by a slope and a bump. The packages are imported when a law is evaluated.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError, nearest_known

__all__ = ["DUST_LAWS", "LAWS", "SHAPES", "DustLaw", "dust_law"]

FloatArray = NDArray[np.float64]

LYMAN_LIMIT = 912.0
"""Angstrom; bluewards gas absorbs what dust leaves."""

_MILKY_WAY_R_V = 3.1
_INFRARED_SLOPE = -1.61  # Cardelli, Clayton & Mathis 1989, eq. 2
_EVERYWHERE = 1e12

SHAPES: dict[str, tuple[float, float, float, str]] = {
    "delta": (-1.0, 0.0, 0.4, "slope of the attenuation law relative to that of Calzetti et al. (2000)"),
    "bump": (0.0, 1.0, 6.0, "strength of the bump at 2175 Angstrom; the Milky Way has about 3"),
    "slope": (-2.0, -0.7, -0.2, "exponent of the attenuation law, a power law of the wavelength"),
}
"""Shape parameters of the laws that have them: lower limit, value if nothing is said, upper limit, meaning."""


@dataclass(frozen=True)
class DustLaw:
    """One attenuation law.

    Attributes
    ----------
    name : str
    reference : str
    package : str
        Where its curve is from: ``extinction``, a module of ``dust_extinction``, or ``here``.
    lower, upper : float
        Wavelengths between which its authors define it, Angstrom.
    r_v : float
        A_V / E(B-V) that it is used with if nothing is said.
    r_v_range : (float, float) or None
        Where A_V / E(B-V) can be; None if it cannot be chosen.
    shapes : tuple of str
        Keys of `SHAPES` that it has.
    continues : bool
        Whether it is continued outside its range by the rules of `evaluate`; if not, wavelengths there are refused.
    """

    name: str
    reference: str
    package: str
    lower: float
    upper: float
    r_v: float = _MILKY_WAY_R_V
    r_v_range: tuple[float, float] | None = None
    shapes: tuple[str, ...] = ()
    continues: bool = True

    def evaluate(self, wavelength: FloatArray, r_v: float) -> FloatArray:
        """Return A(lambda) / A_V, shape (n_wave,); of a law with shapes, the part without them.

        Bluewards of its range a law of `dust_extinction` keeps the value at the end of it, redwards it falls as
        wavelength to the power -1.61. Those of `extinction` go on as the package continues them. All of them keep
        their value at 912 Angstrom bluewards of it.
        """
        wavelength = np.maximum(np.ascontiguousarray(wavelength, dtype=np.float64), LYMAN_LIMIT)
        if self.package == "here":
            return _calzetti(wavelength) if "delta" in self.shapes else np.ones_like(wavelength)
        if self.package == "extinction":
            return self._of_extinction(wavelength, r_v)
        # a wavelength at the end of the range must not fall outside by rounding
        inside = np.clip(wavelength, self.lower * (1 + 1e-9), self.upper * (1 - 1e-9))
        curve = self._of_dust_extinction(inside, r_v)
        return np.where(wavelength > self.upper, curve * (wavelength / self.upper) ** _INFRARED_SLOPE, curve)

    def check_range(self, low: float, high: float) -> str | None:
        """Say how far wavelengths from `low` to `high` Angstrom leave the range of the law; None if they do not.

        Raises
        ------
        DataError
            If the law is not continued there.
        """
        margin = 1e-9
        outside = [f"{low:.5g}"] if low < self.lower * (1 - margin) else []
        outside += [f"{high:.5g}"] if high > self.upper * (1 + margin) else []
        if not outside:
            return None
        text = (
            f"the law {self.name} is defined from {self.lower:.5g} to {self.upper:.5g} Angstrom, and is needed at "
            f"{' and '.join(outside)}"
        )
        if not self.continues:
            msg = f"{text} (rest frame): choose a law of a wider range, such as 'G23', or fit another range"
            raise DataError(msg)
        return f"{text}: it is continued there"

    def _of_extinction(self, wavelength: FloatArray, r_v: float) -> FloatArray:
        import extinction

        if self.r_v_range is None:
            return np.asarray(extinction.fm07(wavelength, 1.0), dtype=np.float64)
        return np.asarray(getattr(extinction, self.name)(wavelength, 1.0, r_v), dtype=np.float64)

    def _of_dust_extinction(self, wavelength: FloatArray, r_v: float) -> FloatArray:
        from importlib import import_module

        # astropy.modeling comes with it: 0.5 s
        class_name, _, model = self.name.partition("-")
        law = getattr(import_module(f"dust_extinction.{self.package}"), class_name)
        made = law(Rv=r_v) if self.r_v_range is not None else law(model) if model else law()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numbers without a unit are taken as 1 / micron, as they are meant
            return np.asarray(made(1e4 / wavelength), dtype=np.float64)


def _calzetti(wavelength: FloatArray) -> FloatArray:
    """Return the curve of Calzetti et al. (2000) with R_V = 4.05, zero where it would be negative."""
    law = DUST_LAWS["calzetti00"]
    return np.maximum(law.evaluate(wavelength, law.r_v), 0.0)


def _dust_extinction_laws() -> list[DustLaw]:
    """Laws of dust_extinction; their ranges are those of the package (a test compares)."""
    milky_way = (2.0, 6.0)
    by_r_v = (
        ("CCM89", "Cardelli et al. 1989, ApJ 345, 245", 1000.0, 1e4 / 0.3, milky_way, True),
        ("O94", "O'Donnell 1994, ApJ 422, 158", 1000.0, 1e4 / 0.3, milky_way, True),
        ("F99", "Fitzpatrick 1999, PASP 111, 63", 1000.0, 1e4 / 0.3, milky_way, True),
        ("F04", "Fitzpatrick 2004, ASPC 309, 33", 1000.0, 1e4 / 0.3, milky_way, True),
        ("VCG04", "Valencic et al. 2004, ApJ 616, 912", 1250.0, 1e4 / 3.3, milky_way, False),
        ("GCC09", "Gordon et al. 2009, ApJ 705, 1320", 1e4 / 11, 1e4 / 3.3, milky_way, False),
        ("M14", "Maiz Apellaniz et al. 2014, A&A 564, A63", 1e4 / 3.3, 1e4 / 0.3, milky_way, False),
        ("F19", "Fitzpatrick et al. 2019, ApJ 886, 108", 1e4 / 8.7, 1e4 / 0.3, milky_way, True),
        ("D22", "Decleir et al. 2022, ApJ 930, 15", 8000.0, 40000.0, (2.5, 5.5), False),
        ("G23", "Gordon et al. 2023, ApJ 950, 86", 912.0, 320000.0, (2.3, 5.6), True),
    )
    averages = (
        ("RL85_MWGC", "Rieke & Lebofsky 1985, ApJ 288, 618", 12500.0, 130000.0, 3.09, False),
        ("RRP89_MWGC", "Rieke et al. 1989, ApJ 336, 752", 9000.0, 130000.0, 3.09, False),
        ("B92_MWAvg", "Bastiaansen 1992, A&AS 93, 449", 3402.0, 7873.0, 3.1, False),
        ("G03_SMCBar", "Gordon et al. 2003, ApJ 594, 279", 1000.0, 1e4 / 0.3, 2.74, True),
        ("G03_LMCAvg", "Gordon et al. 2003, ApJ 594, 279", 1000.0, 1e4 / 0.3, 3.41, True),
        ("G03_LMC2", "Gordon et al. 2003, ApJ 594, 279", 1000.0, 1e4 / 0.3, 2.76, True),
        ("I05_MWAvg", "Indebetouw et al. 2005, ApJ 619, 931", 12400.0, 77600.0, 3.1, False),
        ("CT06_MWGC", "Chiar & Tielens 2006, ApJ 637, 774", 12400.0, 270000.0, 3.1, False),
        ("CT06_MWLoc", "Chiar & Tielens 2006, ApJ 637, 774", 12400.0, 270000.0, 3.1, False),
        ("GCC09_MWAvg", "Gordon et al. 2009, ApJ 705, 1320", 912.0, 1e4 / 0.3, 3.1, True),
        ("F11_MWGC", "Fritz et al. 2011, ApJ 737, 73", 12820.0, 190620.0, 3.1, False),
        ("G21_MWAvg", "Gordon et al. 2021, ApJ 916, 33", 10000.0, 320000.0, 3.17, False),
        ("D22_MWAvg", "Decleir et al. 2022, ApJ 930, 15", 8000.0, 50000.0, 3.12, False),
        ("G24_SMCAvg", "Gordon et al. 2024, ApJ 970, 51", 1000.0, 1e4 / 0.3, 3.02, True),
        ("G24_SMCBumps", "Gordon et al. 2024, ApJ 970, 51", 1000.0, 1e4 / 0.3, 2.55, True),
        ("C25_M31Avg", "Clayton et al. 2025", 1000.0, 1e4 / 0.3, 3.2, True),
        ("G26_M33Avg", "Gordon et al. 2026", 1000.0, 1e4 / 0.3, 4.66, True),
    )
    grains = (
        ("DBP90-MWRV31", "Desert et al. 1990, A&A 237, 215", 918.0, 1e9, 3.1),
        ("WD01-MWRV31", "Weingartner & Draine 2001, ApJ 548, 296", 100.0, 1e8, 3.1),
        ("WD01-MWRV40", "Weingartner & Draine 2001, ApJ 548, 296", 100.0, 1e8, 4.0),
        ("WD01-MWRV55", "Weingartner & Draine 2001, ApJ 548, 296", 100.0, 1e8, 5.5),
        ("WD01-LMCAvg", "Weingartner & Draine 2001, ApJ 548, 296", 100.0, 1e8, 3.1),
        ("WD01-LMC2", "Weingartner & Draine 2001, ApJ 548, 296", 100.0, 1e8, 3.1),
        ("WD01-SMCBar", "Weingartner & Draine 2001, ApJ 548, 296", 100.0, 1e8, 3.1),
        ("D03-MWRV31", "Draine 2003, ARA&A 41, 241", 1.0, 1e8, 3.1),
        ("D03-MWRV40", "Draine 2003, ARA&A 41, 241", 1.0, 1e8, 4.0),
        ("D03-MWRV55", "Draine 2003, ARA&A 41, 241", 1.0, 1e8, 5.5),
        ("ZDA04-BARE-GR-S", "Zubko et al. 2004, ApJS 152, 211", 10.0, 1e8, 3.1),
        ("C11-MWRV31", "Compiegne et al. 2011, A&A 525, A103", 400.0, 1e9, 3.1),
        ("J13-MWRV31", "Jones et al. 2013, A&A 558, A62", 400.0, 1e9, 3.1),
        ("HD23-MWRV31", "Hensley & Draine 2023, ApJ 948, 55", 1000.0, 3e8, 3.1),
        ("Y24-MWRV31", "Ysard et al. 2024, A&A 684, A34", 400.0, 1e9, 3.1),
    )
    laws = [
        DustLaw(name, reference, "parameter_averages", low, high, 3.1, limits, (), wide)
        for name, reference, low, high, limits, wide in by_r_v
    ]
    laws += [
        DustLaw(name, reference, "averages", low, high, r_v, continues=wide)
        for name, reference, low, high, r_v, wide in averages
    ]
    laws += [
        DustLaw(name, reference, "grain_models", low, high, r_v) for name, reference, low, high, r_v in grains
    ]
    return laws


def _laws() -> dict[str, DustLaw]:
    free = (1.0, 10.0)
    screens = [
        DustLaw("calzetti00", "Calzetti et al. 2000, ApJ 533, 682", "extinction", 1200.0, 22000.0, 4.05, free),
        DustLaw("ccm89", "Cardelli et al. 1989, ApJ 345, 245", "extinction", 1000.0, 1e4 / 0.3, 3.1, free),
        DustLaw("fitzpatrick99", "Fitzpatrick 1999, PASP 111, 63", "extinction", 910.0, 60000.0, 3.1, free),
        DustLaw("fm07", "Fitzpatrick & Massa 2007, ApJ 663, 320", "extinction", 910.0, 60000.0),
        DustLaw("odonnell94", "O'Donnell 1994, ApJ 422, 158", "extinction", 1000.0, 1e4 / 0.3, 3.1, free),
    ]
    galaxies = [
        DustLaw("kriek13", "Kriek & Conroy 2013, ApJ 775, L16", "here", 1200.0, 22000.0, 4.05, None, ("delta",)),
        DustLaw("noll09", "Noll et al. 2009, A&A 507, 1793", "here", 1200.0, 22000.0, 4.05, None, ("delta", "bump")),
        DustLaw("salim18", "Salim et al. 2018, ApJ 859, 11", "here", 1200.0, 22000.0, 4.05, None, ("delta", "bump")),
        DustLaw("power_law", "Charlot & Fall 2000, ApJ 539, 718", "here", 0.0, _EVERYWHERE, 3.1, None, ("slope",)),
    ]
    return {law.name: law for law in [*screens, *galaxies, *_dust_extinction_laws()]}


DUST_LAWS: dict[str, DustLaw] = _laws()

LAWS: tuple[str, ...] = tuple(DUST_LAWS)
"""Names of all laws."""


def dust_law(name: str) -> DustLaw:
    """Return the law of a name.

    Raises
    ------
    DataError
        Naming the nearest known law.
    """
    if name not in DUST_LAWS:
        msg = f"ExtinctionLaw = {name!r} is not an attenuation law{nearest_known(str(name), LAWS)}"
        raise DataError(msg)
    return DUST_LAWS[name]
