"""CosmoSIS module FullSpectralFit: star-formation history, kinematics and dust from a spectrum.

Reads

- ``stars.sfh/*``: the parameters of ``SFHModel``, or the latent ones of ``sfh_prior``; ``log10_stellar_mass`` with
  ``amplitude = sampled``
- ``kinematics/los_vel, los_sigma, los_h3, los_h4``
- ``dust.extinction/a_v`` (with ``ExtinctionLaw``), ``r_v, delta, bump, slope`` (each where freed: ``r_v_free`` ...)
  and ``a_v_birth_cloud`` (with ``birth_cloud``)
- ``legendre/legendre_1`` ... (with ``legendre_deg`` and ``legendre_mode = sampled``)
- ``noise/beta, log10_jitter, fractional, nu, log10_gp_sigma, log10_gp_scale``: those of ``NoiseModel``

``legendre_section`` and ``noise_section`` name other sections; in a joint fit each data set has its own. Writes
``likelihoods/<like_name>``, ``extra/stellar_mass`` (log10 of the mass formed, Msun),
``extra/surviving_stellar_mass`` (where the SSP library knows it) and the derived quantities among ``extra_output``;
``joint_amplitude/*`` carries what the data so far say about the mass to the next module.
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.spectrum_module import SpectrumModule


class FullSpectralFitModule(SpectrumModule):
    """Fit stellar populations, kinematics and dust to a spectrum."""

    name = "FullSpectralFit"


setup, execute, cleanup = cosmosis_functions(FullSpectralFitModule)
module = FullSpectralFitModule
