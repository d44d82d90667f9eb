"""CosmoSIS module SFHPhotometry: star-formation history and dust from broadband photometry.

Reads ``stars.sfh/*``, ``dust.extinction/a_v`` (with ``ExtinctionLaw``) and ``noise/beta`` (with ``NoiseModel``).
Writes ``likelihoods/<like_name>`` and ``extra/stellar_mass`` (log10 of the mass formed, Msun).
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.photometry_module import PhotometryModule


class SFHPhotometryModule(PhotometryModule):
    """Fit stellar populations to broadband photometry."""

    name = "SFHPhotometry"


setup, execute, cleanup = cosmosis_functions(SFHPhotometryModule)
module = SFHPhotometryModule
