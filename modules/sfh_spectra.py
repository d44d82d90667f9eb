"""CosmoSIS module SFHSpectra: star-formation history from a spectrum, kinematics and dust fixed.

Kinematics and dust are the options ``los_vel``, ``los_sigma``, ``los_h3``, ``los_h4`` and ``a_v``, which an earlier
stage hands over; the templates are convolved and dimmed once, in set-up. Reads ``stars.sfh/*`` (with
``log10_stellar_mass`` for ``amplitude = sampled``), ``legendre/legendre_1`` ... (with ``legendre_deg`` and
``legendre_mode = sampled``; the default solves them inside) and of the section ``noise`` the parameters of
``NoiseModel``; ``legendre_section`` and ``noise_section`` name other sections. Writes ``likelihoods/<like_name>``,
``extra/stellar_mass`` (log10 of the mass formed, Msun), ``extra/surviving_stellar_mass`` (where the SSP library
knows it), the derived quantities among ``extra_output``, and ``joint_amplitude/*`` for the next module.
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.spectrum_module import SpectrumModule


class SFHSpectraModule(SpectrumModule):
    """Fit stellar populations to a spectrum of known kinematics."""

    name = "SFHSpectra"


setup, execute, cleanup = cosmosis_functions(SFHSpectraModule)
module = SFHSpectraModule
