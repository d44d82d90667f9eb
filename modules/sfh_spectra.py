"""CosmoSIS module SFHSpectra: star-formation history from a spectrum, kinematics and dust fixed.

Kinematics and dust are the options ``los_vel``, ``los_sigma``, ``los_h3``, ``los_h4`` and ``a_v``, which an earlier
stage hands over; the templates are convolved and dimmed once, in set-up. Reads ``stars.sfh/*``,
``legendre/legendre_i`` (with ``legendre_mode = sampled``) and ``noise/beta`` (with ``NoiseModel``). Writes
``likelihoods/<like_name>`` and ``extra/stellar_mass`` (log10 of the mass formed, Msun).
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.spectrum_module import SpectrumModule


class SFHSpectraModule(SpectrumModule):
    """Fit stellar populations to a spectrum of known kinematics."""

    name = "SFHSpectra"


setup, execute, cleanup = cosmosis_functions(SFHSpectraModule)
module = SFHSpectraModule
