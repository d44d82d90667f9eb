"""CosmoSIS module GalaxyPhotometry: BESTA's name for SFHPhotometry, with the same options and results."""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.photometry_module import PhotometryModule


class GalaxyPhotometryModule(PhotometryModule):
    """Fit stellar populations to broadband photometry, under BESTA's name."""

    name = "GalaxyPhotometry"


setup, execute, cleanup = cosmosis_functions(GalaxyPhotometryModule)
module = GalaxyPhotometryModule
