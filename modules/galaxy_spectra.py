"""CosmoSIS module GalaxySpectra: FullSpectralFit with BESTA's names of dust.

Reads ``stars.sfh/*``, ``kinematics/los_vel, los_sigma, los_h3, los_h4``, ``dust_attenuation/a_v`` and
``dust_attenuation.curve/r_v`` (with ``DustAttenuation``), ``legendre/legendre_i`` and the parameters of the noise.
Writes ``likelihoods/<like_name>`` and ``extra/stellar_mass`` (log10 of the mass formed, Msun).
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.galaxy_names import GalaxyNames
from orchestrator.adapters.spectrum_module import SpectrumModule


class GalaxySpectraModule(GalaxyNames, SpectrumModule):
    """Fit stellar populations, kinematics and dust to a spectrum, under BESTA's names."""

    name = "GalaxySpectra"


setup, execute, cleanup = cosmosis_functions(GalaxySpectraModule)
module = GalaxySpectraModule
