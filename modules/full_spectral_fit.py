"""CosmoSIS module FullSpectralFit: star-formation history, kinematics and dust from a spectrum.

Reads ``stars.sfh/*``, ``kinematics/los_vel, los_sigma, los_h3, los_h4``, ``dust.extinction/a_v`` (with
``ExtinctionLaw``), ``legendre/legendre_i`` (with ``legendre_deg``) and ``noise/beta`` (with ``NoiseModel``).
Writes ``likelihoods/<like_name>`` and ``extra/stellar_mass`` (log10 of the mass formed, Msun).
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.spectrum_module import SpectrumModule


class FullSpectralFitModule(SpectrumModule):
    """Fit stellar populations, kinematics and dust to a spectrum."""

    name = "FullSpectralFit"


setup, execute, cleanup = cosmosis_functions(FullSpectralFitModule)
module = FullSpectralFitModule
