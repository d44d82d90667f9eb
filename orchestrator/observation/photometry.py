"""Broadband photometry of one object as a frozen record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Photometry"]


@dataclass(frozen=True)
class Photometry:
    """Fluxes in bands. All arrays are read-only copies.

    Attributes
    ----------
    filter_names : tuple of str (n,)
        As `orchestrator.observation.filters.load_filter` takes them.
    flux, uncertainty : ndarray (n,)
        Flux density per frequency and its standard deviation [erg/s/cm2/Hz]. For a limit, the limit and its
        uncertainty.
    is_upper_limit, is_lower_limit : ndarray of bool (n,)
    redshift : float
    name : str
    """

    filter_names: tuple[str, ...]
    flux: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    is_upper_limit: NDArray[np.bool_]
    is_lower_limit: NDArray[np.bool_]
    redshift: float = 0.0
    name: str = "photometry"

    def __post_init__(self) -> None:
        """Keep read-only copies and check that they belong together."""
        object.__setattr__(self, "filter_names", tuple(self.filter_names))
        for name, dtype in (
            ("flux", np.float64),
            ("uncertainty", np.float64),
            ("is_upper_limit", np.bool_),
            ("is_lower_limit", np.bool_),
        ):
            array = np.array(getattr(self, name), dtype=dtype)
            if array.shape != (len(self.filter_names),):
                msg = (
                    f"{name} has shape {array.shape}; expected ({len(self.filter_names)},), one value per "
                    "filter"
                )
                raise ValueError(msg)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if not np.all(np.isfinite(self.flux) & np.isfinite(self.uncertainty) & (self.uncertainty > 0.0)):
            msg = "flux and uncertainty must be finite, and the uncertainty positive"
            raise ValueError(msg)
        if np.any(self.is_upper_limit & self.is_lower_limit):
            msg = "a band cannot be an upper and a lower limit at once"
            raise ValueError(msg)
