"""The quantities that follow from the parameters of a star-formation history: names, units and meanings.

This is the one list of them. `orchestrator.forward_model.derived` computes them; a configuration may ask for
any of them as extra output (``extra/<name>``), and after a run all of them are in a table beside the chain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from orchestrator.errors import nearest_known

__all__ = [
    "DERIVED_QUANTITIES",
    "LOWEST_SPECIFIC_RATE",
    "NO_MASS",
    "DerivedQuantity",
    "derived_names",
    "unavailable_quantities",
    "unknown_extra_outputs",
]

LOWEST_SPECIFIC_RATE = 1e-16
"""Rates below this part of the mass formed per year are given as this: no data tell them from none, and the
logarithm of an exponential tail would otherwise rule every mean."""

NO_MASS = "the data say nothing about the mass"
"""Why there is no mass and no rate where no data set is a flux."""

_MASS, _SURVIVING, _LIGHT = "mass", "surviving", "light"


@dataclass(frozen=True)
class DerivedQuantity:
    """One derived quantity.

    Attributes
    ----------
    name : str
        In the section ``extra`` of a DataBlock, and in tables.
    unit : str
        Empty for a pure number.
    meaning : str
        One line for tables and documentation.
    needs : str
        What the SSP library must have: ``mass`` (spectra per mass formed), ``surviving`` (that and the
        surviving fraction) or ``light`` (nothing but spectra).
    scales_with_mass : bool
        Whether it needs the mass of the galaxy, of which data without fluxes say nothing.
    """

    name: str
    unit: str
    meaning: str
    needs: str = _MASS
    scales_with_mass: bool = False


_FLOOR = f"not below {LOWEST_SPECIFIC_RATE:g} per yr of the mass formed"

DERIVED_QUANTITIES: dict[str, DerivedQuantity] = {
    quantity.name: quantity
    for quantity in (
        DerivedQuantity(
            "stellar_mass", "log10(Msun)", "log10 of the stellar mass formed", scales_with_mass=True
        ),
        DerivedQuantity(
            "surviving_stellar_mass",
            "log10(Msun)",
            "log10 of the mass that survives today, in stars and in what remnants the library counts",
            _SURVIVING,
            scales_with_mass=True,
        ),
        DerivedQuantity(
            "log10_sfr_10myr",
            "log10(Msun/yr)",
            f"log10 of the mean star-formation rate of the last 10 Myr, {_FLOOR}",
            scales_with_mass=True,
        ),
        DerivedQuantity(
            "log10_sfr_100myr",
            "log10(Msun/yr)",
            f"log10 of the mean star-formation rate of the last 100 Myr, {_FLOOR}",
            scales_with_mass=True,
        ),
        DerivedQuantity(
            "log10_ssfr_100myr",
            "log10(1/yr)",
            f"log10 of the mean star-formation rate of the last 100 Myr per mass formed, {_FLOOR}",
        ),
        DerivedQuantity("mass_weighted_age", "Gyr", "mean age of the stars, weighted by the mass formed"),
        DerivedQuantity(
            "light_weighted_age", "Gyr", "mean age of the stars, weighted by their light before dust", _LIGHT
        ),
        DerivedQuantity(
            "mass_weighted_log10_metallicity",
            "",
            "mean log10 of the metal mass fraction of the stars, weighted by the mass formed, "
            "within the library's metallicities",
        ),
        DerivedQuantity(
            "light_weighted_log10_metallicity",
            "",
            "mean log10 of the metal mass fraction of the stars, weighted by their light before dust",
            _LIGHT,
        ),
        DerivedQuantity("t50", "Gyr", "cosmic time at which half of the mass had formed"),
        DerivedQuantity("t90", "Gyr", "cosmic time at which 90 % of the mass had formed"),
        DerivedQuantity("t50_lookback", "Gyr", "lookback time at which half of the mass had formed"),
        DerivedQuantity("t90_lookback", "Gyr", "lookback time at which 90 % of the mass had formed"),
    )
}
"""Name to quantity."""


def derived_names(extra_output: Iterable[str]) -> tuple[str, ...]:
    """Return the derived quantities among extra outputs.

    Parameters
    ----------
    extra_output : iterable of str
        As in ``pipeline.extra_output``: ``section/name``.
    """
    pairs = (word.lower().partition("/") for word in extra_output)
    return tuple(name for section, _, name in pairs if section == "extra" and name in DERIVED_QUANTITIES)


def unknown_extra_outputs(extra_output: Iterable[str], written: Collection[str] = ()) -> list[str]:
    """Return a sentence for every extra output ``extra/<name>`` that is no derived quantity.

    Parameters
    ----------
    extra_output : iterable of str
        As in ``pipeline.extra_output``: ``section/name``; those of other sections are passed over.
    written : collection of str
        Further names that the modules write into the section ``extra``.
    """
    known = {*DERIVED_QUANTITIES, *written}
    faults = []
    for word in extra_output:
        section, _, name = word.lower().partition("/")
        if section == "extra" and name not in known:
            hint = nearest_known(name, known)
            faults.append(f"[pipeline] extra_output: there is no quantity {name!r} to write to extra{hint}")
    return faults


def unavailable_quantities(
    library_name: str, *, mass_normalised: bool, has_surviving_fraction: bool
) -> dict[str, str]:
    """Return the quantities that an SSP library cannot give, with the reason as a sentence.

    Parameters
    ----------
    library_name : str
        For the sentence.
    mass_normalised : bool
        Whether its spectra are per mass formed.
    has_surviving_fraction : bool
        Whether it knows the surviving fraction of the mass.
    """
    reasons: dict[str, str] = {}
    for quantity in DERIVED_QUANTITIES.values():
        if quantity.needs != _LIGHT and not mass_normalised:
            reasons[quantity.name] = (
                f"the spectra of {library_name} have no common mass scale, so masses, rates and everything "
                "weighted by mass have no meaning"
            )
        elif quantity.needs == _SURVIVING and not has_surviving_fraction:
            reasons[quantity.name] = f"{library_name} does not say which fraction of the mass survives"
    return reasons
