"""CosmoSIS module GalaxyPhotometry: SFHPhotometry with BESTA's names of dust.

Reads ``stars.sfh/*``, ``dust_attenuation/a_v`` and ``dust_attenuation.curve/r_v`` (with ``DustAttenuation``),
``dust.dust_sed_component/t_dust, alpha, beta, lam0`` (with ``DustEmission``) and the parameters of the noise.
Writes ``likelihoods/<like_name>`` and ``extra/stellar_mass`` (log10 of the mass formed, Msun).
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.galaxy_names import GalaxyNames
from orchestrator.adapters.photometry_module import PhotometryModule


class GalaxyPhotometryModule(GalaxyNames, PhotometryModule):
    """Fit stellar populations and dust to broadband photometry, under BESTA's names."""

    name = "GalaxyPhotometry"


setup, execute, cleanup = cosmosis_functions(GalaxyPhotometryModule)
module = GalaxyPhotometryModule
