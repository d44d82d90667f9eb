"""CosmoSIS module SFHPhotometry: star-formation history and dust from broadband photometry.

Reads

- ``stars.sfh/*``: the parameters of ``SFHModel``, or the latent ones of ``sfh_prior``; ``log10_stellar_mass`` with
  ``amplitude = sampled``
- ``dust.extinction/a_v`` (with ``ExtinctionLaw``), ``r_v, delta, bump, slope`` (each where freed: ``r_v_free`` ...)
  and ``a_v_birth_cloud`` (with ``birth_cloud``)
- ``dust.dust_sed_component/t_dust, alpha, beta, lam0`` (with ``DustEmission``; held where a values file leaves them
  out) and ``log10_lum_ir`` (with ``DustCalorimetric = F``)
- ``noise/beta, log10_jitter, fractional, nu``: those of ``NoiseModel``, in the section that ``noise_section`` names

Writes ``likelihoods/<like_name>``, ``extra/stellar_mass`` (log10 of the mass formed, Msun),
``extra/surviving_stellar_mass`` (where the SSP library knows it), the derived quantities among ``extra_output``, and
``joint_amplitude/*``, which carries what the data so far say about the mass to the next module.
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.photometry_module import PhotometryModule


class SFHPhotometryModule(PhotometryModule):
    """Fit stellar populations to broadband photometry."""

    name = "SFHPhotometry"


setup, execute, cleanup = cosmosis_functions(SFHPhotometryModule)
module = SFHPhotometryModule
