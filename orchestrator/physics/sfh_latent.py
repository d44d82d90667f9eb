"""Piece-wise star-formation histories in latent parameters, of which every value is a possible history.

The parameters of a piece-wise history have to be in order, or to add up to less than one: a box of them is mostly
impossible. Here the sampled numbers are free, and a map of `orchestrator.physics.simplex` turns them into the parts
of the history: the masses of its bins, or, where the fractions of the mass are fixed, the durations between them.

=============  ==================================================  =================================================
`prior`        latent parameters                                   a uniform prior over their ranges is
=============  ==================================================  =================================================
`softmax`      ``softmax_1`` ... from -5 to 5                      broad and even-handed, in no simple form
`dirichlet`    ``dirichlet_1`` ... from 0 to 1                     Dirichlet with one concentration for all parts
`continuity`   ``continuity_1`` ... from 0 to 1                    Student t in the steps of the logarithm of the rate
=============  ==================================================  =================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ConfigError
from orchestrator.physics import simplex
from orchestrator.physics.parameter import Parameter
from orchestrator.physics.sfh_base import SECTION, SFHValues, StarFormationHistory
from orchestrator.physics.sfh_kernels import SFHShape
from orchestrator.physics.sfh_mass_bins import MassBinsSFH
from orchestrator.physics.sfh_table import FixedMassFracSFH

__all__ = ["LATENT_PRIORS", "LatentSFH", "with_prior"]

Array = NDArray[np.float64]

LATENT_PRIORS = ("softmax", "dirichlet", "continuity")
_REACH = 5.0  # of the logits: parts that differ by a factor of exp(5) = 150 either way
_SHARED = ("ism_metallicity_today", "alpha_powerlaw")


@dataclass(frozen=True)
class LatentSFH(StarFormationHistory):
    """A piece-wise history in latent parameters.

    Attributes
    ----------
    base : MassBinsSFH or FixedMassFracSFH
    prior : {'softmax', 'dirichlet', 'continuity'}
    concentration : float
        Of the Dirichlet prior.
    scale, degrees : float
        Width in dex and degrees of freedom of the continuity prior.

    Raises
    ------
    ConfigError
        If the history has no parts, or no bins of time for a continuity prior.
    """

    base: StarFormationHistory
    prior: str
    concentration: float = 1.0
    scale: float = 0.3
    degrees: float = 2.0
    name: ClassVar[str] = "LatentSFH"

    def __post_init__(self) -> None:
        """Check that the history and the prior fit together."""
        super().__post_init__()
        has_bins = isinstance(self.base, MassBinsSFH)
        if not has_bins and (self.prior == "continuity" or not isinstance(self.base, FixedMassFracSFH)):
            needed = "bins of time" if self.prior == "continuity" else "parts"
            msg = (
                f"SFHModel = {self.base.name} has no {needed} for sfh_prior = {self.prior}; choose a history with "
                "bins (FixedTimeSFH, FixedCosmicTimeSFH) or sfh_prior = ranges"
            )
            raise ConfigError(msg)

    def physical(self, values: SFHValues, today: float | None = None) -> dict[str, Array]:
        """Return the parameters of `base` for latent ones, each of shape (n_points,).

        Outside the support of the latent parameters the result has no meaning.
        """
        arrays = self._arrays(values)
        return self._physical(arrays, self._today(today))

    def latent(self, values: SFHValues, today: float | None = None) -> dict[str, Array]:
        """Return the latent parameters for those of `base`, the inverse of `physical`."""
        now = self._today(today)
        if isinstance(self.base, MassBinsSFH):
            parts = self.base.masses(values, now)
        else:
            times = self.base.breakpoints(values, now)
            ends = np.concatenate([np.zeros((len(times), 1)), times, np.full((len(times), 1), now)], axis=1)
            parts = np.diff(ends, axis=1) / now
        columns = self._maps(now)[1](parts)
        names = dict(zip(self._latent_names, np.ascontiguousarray(columns.T), strict=True))
        return names | {name: np.atleast_1d(np.asarray(values[name], dtype=float)) for name in _SHARED}

    def breakpoints(self, values: SFHValues, today: float | None = None) -> Array:
        """Return the cosmic times at which the star-formation rate is not smooth, (n_points, n_breaks)."""
        arrays, inside, now = self._prepare(values, today)
        times = self.base.breakpoints(self._physical(arrays, now), now)
        return np.where(inside[:, None], times, np.nan)

    @cached_property
    def _latent_names(self) -> tuple[str, ...]:
        n_latent = len(self.base.parameters) - len(_SHARED)
        return tuple(f"{self.prior}_{i}" for i in range(1, n_latent + 1))

    def _own_parameters(self) -> tuple[Parameter, ...]:
        start = {p.name: p.start for p in self.base.parameters}
        at_start = self.latent(start)
        low, high = (-_REACH, _REACH) if self.prior == "softmax" else (0.0, 1.0)
        meaning = f"latent number {{}} of the {self.prior} prior of {self.base.name}"
        return tuple(
            Parameter(SECTION, name, low, float(np.clip(at_start[name][0], low, high)), high, "", meaning.format(i))
            for i, name in enumerate(self._latent_names, 1)
        )

    def _own_valid(self, arrays: Mapping[str, Array], today: float) -> NDArray[np.bool_]:
        inside = np.isfinite(arrays["alpha_powerlaw"])
        if self.prior != "softmax":
            for name in self._latent_names:
                inside = inside & (arrays[name] > 0.0) & (arrays[name] < 1.0)
        # what rounds to no mass, or to no time, is no history
        with np.errstate(all="ignore"):
            return np.asarray(inside & self.base.valid(self._physical(arrays, today, inside), today))

    def _physical(
        self, arrays: Mapping[str, Array], today: float, inside: NDArray[np.bool_] | None = None
    ) -> dict[str, Array]:
        latent = np.stack([arrays[name] for name in self._latent_names], axis=1)
        if inside is not None:
            latent = np.where(inside[:, None] & np.isfinite(latent), latent, 0.5)
        parts = self._maps(today)[0](latent)
        if isinstance(self.base, MassBinsSFH):
            values = self.base.values_of_masses(parts, today)
        else:
            names = (p.name for p in self.base.parameters)
            times = today * np.cumsum(parts[:, :-1], axis=1)
            values = dict(zip(names, np.ascontiguousarray(times.T), strict=False))
        return values | {name: arrays[name] for name in _SHARED}

    def _maps(self, today: float) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
        """Return the map from latent numbers to parts, and its inverse."""
        if self.prior == "softmax":
            return simplex.softmax_parts, simplex.softmax_logits
        if self.prior == "dirichlet":
            alpha = self.concentration
            return (
                lambda latent: simplex.dirichlet_parts(latent, alpha),
                lambda parts: simplex.dirichlet_quantiles(parts, alpha),
            )
        assert isinstance(self.base, MassBinsSFH)
        widths = -np.diff([today, *self.base.edges(today), 0.0])
        return (
            lambda latent: simplex.continuity_parts(latent, widths, self.scale, self.degrees),
            lambda parts: simplex.continuity_quantiles(parts, widths, self.scale, self.degrees),
        )

    def _shape(self, arrays: Mapping[str, Array], today: float) -> SFHShape:
        return self.base._shape(self._physical(arrays, today), today)

    def _rate(self, times: Array, arrays: Mapping[str, Array], today: float) -> Array:
        return self.base._rate(times, self._physical(arrays, today), today)

    def _mean_time(self, arrays: Mapping[str, Array], today: float) -> Array:
        return self.base._mean_time(self._physical(arrays, today), today)


def with_prior(
    history: StarFormationHistory, prior: str, concentration: float = 1.0, scale: float = 0.3, degrees: float = 2.0
) -> StarFormationHistory:
    """Return a history in latent parameters; the history itself for the prior ``ranges``.

    Parameters
    ----------
    history : StarFormationHistory
    prior : {'ranges', 'softmax', 'dirichlet', 'continuity'}
    concentration, scale, degrees : float
        See `LatentSFH`.

    Raises
    ------
    ConfigError
        If history and prior do not fit together.
    """
    if prior == "ranges":
        return history
    return LatentSFH(history.today, history, prior, concentration, scale, degrees)
