"""CosmoSIS module GalaxySpectra: FullSpectralFit with BESTA's names of dust.

Reads and writes what FullSpectralFit does, but for the dust: ``dust_attenuation/a_v`` (with ``DustAttenuation`` or
``ExtinctionLaw``), ``dust_attenuation/a_v_birth_cloud`` (with ``CharlotFall00Attenuation``), and
``dust_attenuation.curve/r_v, delta, bump, slope``. ``r_v`` may be left out of a values file and has the law's value
then. The parameters of ``DustEmission`` are accepted and held: the dust emits nothing in an optical spectrum.
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.galaxy_names import GalaxyNames
from orchestrator.adapters.spectrum_module import SpectrumModule


class GalaxySpectraModule(GalaxyNames, SpectrumModule):
    """Fit stellar populations, kinematics and dust to a spectrum, under BESTA's names."""

    name = "GalaxySpectra"


setup, execute, cleanup = cosmosis_functions(GalaxySpectraModule)
module = GalaxySpectraModule
