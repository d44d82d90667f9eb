"""The star-formation histories by name, and their arguments as they stand in a configuration.

What every history offers is in `orchestrator.physics.sfh_base`; the models are in `sfh_parametric`, `sfh_table`
and `sfh_mass_bins`. Names, parameters and ranges are BESTA's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.physics.cosmology import age_of_universe
from orchestrator.physics.sfh_base import SECTION, StarFormationHistory
from orchestrator.physics.sfh_mass_bins import (
    FixedCosmicTimeSFH,
    FixedTime_sSFR_SFH,
    FixedTimeSFH,
    FlexibleCosmicTimeSFH,
    MassBinsSFH,
)
from orchestrator.physics.sfh_parametric import (
    DelayedTauQuenchedSFH,
    DelayedTauSFH,
    ExponentialQuenchedSFH,
    ExponentialSFH,
    LogNormalQuenchedSFH,
    LogNormalSFH,
)
from orchestrator.physics.sfh_table import FixedMassFracSFH

__all__ = [
    "SECTION",
    "SFH_MODELS",
    "DelayedTauQuenchedSFH",
    "DelayedTauSFH",
    "ExponentialQuenchedSFH",
    "ExponentialSFH",
    "FixedCosmicTimeSFH",
    "FixedMassFracSFH",
    "FixedTimeSFH",
    "FixedTime_sSFR_SFH",
    "FlexibleCosmicTimeSFH",
    "LogNormalQuenchedSFH",
    "LogNormalSFH",
    "MassBinsSFH",
    "StarFormationHistory",
    "build_sfh",
    "parse_sfh_args",
    "split_sfh_args",
]

SFHArguments = str | float | Iterable[object] | Mapping[str, object] | None

SFH_MODELS: dict[str, type[StarFormationHistory]] = {
    model.name: model
    for model in (
        ExponentialSFH,
        ExponentialQuenchedSFH,
        DelayedTauSFH,
        DelayedTauQuenchedSFH,
        LogNormalSFH,
        LogNormalQuenchedSFH,
        FixedMassFracSFH,
        FixedTimeSFH,
        FixedTime_sSFR_SFH,
        FixedCosmicTimeSFH,
        FlexibleCosmicTimeSFH,
    )
}
"""Name in a configuration (`SFHModel`) to class."""


def build_sfh(name: str, args: SFHArguments = None, today: float | None = None) -> StarFormationHistory:
    """Build a star-formation history by name.

    Parameters
    ----------
    name : str
        One of `SFH_MODELS`.
    args : str, float, iterable of these or mapping, optional
        `SFHArgs` of a configuration: numbers and ``name=number``, as the fields of the model. The parametric
        models take none.
    today : float, optional
        Age of the universe at the galaxy's redshift, Gyr; that of redshift 0 by default.

    Returns
    -------
    StarFormationHistory

    Raises
    ------
    ConfigError
        Unknown name, or arguments that the model does not take.
    """
    if name not in SFH_MODELS:
        msg = f"SFHModel={name!r} is not a star-formation history{nearest_known(str(name), SFH_MODELS)}"
        raise ConfigError(msg)
    model = SFH_MODELS[name]
    now = float(age_of_universe(0.0)) if today is None else float(today)
    numbers, keywords = split_sfh_args(args)
    if not model.numbers:
        if numbers or keywords:
            msg = f"SFHArgs={args!r} found, but {name} takes no arguments: remove SFHArgs"
            raise ConfigError(msg)
        return model(now)
    fields: dict[str, object] = {}
    for keyword, given in keywords.items():
        known = (model.numbers, *model.keywords)
        if keyword not in known:
            msg = f"SFHArgs={args!r}: {name} takes no {keyword!r}{nearest_known(keyword, known)}"
            raise ConfigError(msg)
        if keyword == model.numbers:
            if numbers:
                msg = f"SFHArgs={args!r}: {keyword!r} is given by name and by numbers before it: give it once"
                raise ConfigError(msg)
            numbers = given
        else:
            fields[keyword] = _only(given, keyword, args)
    fields[model.numbers] = _only(numbers, model.numbers, args) if model is FlexibleCosmicTimeSFH else numbers
    return model(now, **fields)


def _only(numbers: tuple[float, ...], name: str, args: SFHArguments) -> float:
    if len(numbers) != 1:
        msg = f"SFHArgs={args!r}: {name!r} takes one number, found {len(numbers)}; give {name}=number"
        raise ConfigError(msg)
    return numbers[0]


def parse_sfh_args(value: SFHArguments) -> tuple[float, ...]:
    """Return the numbers in `SFHArgs` as it may stand in a configuration or an ini file.

    Parameters
    ----------
    value : str, float, iterable of these or None
        ``[0.1, 0.5]``, ``"0.1, 0.5"``, ``"[0.1 0.5]"``, 0.5, ``["0.1, 0.5"]``, None or "".

    Returns
    -------
    tuple of float

    Raises
    ------
    ConfigError
        Something in it is not a finite number.
    """
    numbers, keywords = split_sfh_args(value)
    if keywords:
        msg = f"SFHArgs={value!r} holds {next(iter(keywords))!r} where only numbers are expected"
        raise ConfigError(msg)
    return numbers


def split_sfh_args(value: SFHArguments) -> tuple[tuple[float, ...], dict[str, tuple[float, ...]]]:
    """Return the numbers in `SFHArgs` and those that follow a name.

    Parameters
    ----------
    value : str, float, iterable of these, mapping or None
        As for `parse_sfh_args`, and ``"0.1, 0.5, logmass_min=-5"``, ``["0.1", "logmass_min = -5"]``,
        ``"lookback_time_bins=[0.1 0.5]"``, ``{"lookback_time_bins": [0.1, 0.5]}``.

    Returns
    -------
    numbers : tuple of float
    keywords : dict of str to tuple of float

    Raises
    ------
    ConfigError
        Something in it is not a finite number, or a name stands twice.
    """
    numbers: list[float] = []
    keywords: dict[str, list[float]] = {}
    here = numbers
    words = list(_words(value))
    for i, word in enumerate(words):
        if word == "=":
            continue
        if i + 1 < len(words) and words[i + 1] == "=":
            if str(word) in keywords:
                msg = f"SFHArgs={value!r} holds {word!r} twice: give it once"
                raise ConfigError(msg)
            here = keywords.setdefault(str(word), [])
            continue
        here.append(_number(word, value))
    return tuple(numbers), {name: tuple(given) for name, given in keywords.items()}


def _number(word: object, value: SFHArguments) -> float:
    try:
        number = float(word)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        msg = f"SFHArgs={value!r} holds {word!r} where a number is expected; write it as 0.1, 0.5, 0.9"
        raise ConfigError(msg)
    return number


def _words(value: object) -> Iterator[object]:
    """Flatten everything to numbers, names and equal signs."""
    if value is None:
        return
    if isinstance(value, str):
        yield from re.findall(r"=|[^\s,;=\[\]()'\"]+", value)
    elif isinstance(value, Mapping):
        for name, given in value.items():
            yield from (str(name), "=")
            yield from _words(given)
    elif isinstance(value, Iterable):
        for entry in value:
            yield from _words(entry)
    else:
        yield value
