"""Options of BESTA's Galaxy modules: those of FullSpectralFit and SFHPhotometry, with BESTA's switches of dust."""

from __future__ import annotations

from orchestrator.config.dust_options import EmissionOptions, GalaxyDustOptions
from orchestrator.config.photometry_options import SFHPhotometryOptions
from orchestrator.config.spectrum_options import FullSpectralFitOptions

__all__ = ["GalaxyPhotometryOptions", "GalaxySpectraOptions"]


class GalaxySpectraOptions(GalaxyDustOptions, EmissionOptions, FullSpectralFitOptions):
    """Options of GalaxySpectra: FullSpectralFit under BESTA's names of dust."""


class GalaxyPhotometryOptions(GalaxyDustOptions, SFHPhotometryOptions):
    """Options of GalaxyPhotometry: SFHPhotometry under BESTA's names of dust."""
