"""CosmoSIS module GalaxyPhotometry: SFHPhotometry with BESTA's names of dust.

Reads and writes what SFHPhotometry does, but for the dust: ``dust_attenuation/a_v`` (with ``DustAttenuation`` or
``ExtinctionLaw``), ``dust_attenuation/a_v_birth_cloud`` (with ``CharlotFall00Attenuation``), and
``dust_attenuation.curve/r_v, delta, bump, slope``. ``r_v`` may be left out of a values file and has the law's value
then.
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.galaxy_names import GalaxyNames
from orchestrator.adapters.photometry_module import PhotometryModule


class GalaxyPhotometryModule(GalaxyNames, PhotometryModule):
    """Fit stellar populations and dust to broadband photometry, under BESTA's names."""

    name = "GalaxyPhotometry"


setup, execute, cleanup = cosmosis_functions(GalaxyPhotometryModule)
module = GalaxyPhotometryModule
