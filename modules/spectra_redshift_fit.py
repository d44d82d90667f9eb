"""CosmoSIS module SpectraRedshiftFit: the redshift of a galaxy, and its star-formation history, from a spectrum.

Reads ``stars.sfh/*`` (with ``log10_stellar_mass`` for ``amplitude = sampled``), ``dust.extinction/a_v`` (with
``ExtinctionLaw``), ``legendre/legendre_1`` ... (with ``legendre_deg`` and ``legendre_mode = sampled``),
``noise/beta`` (with ``NoiseModel = MultiplicativeNoiseModel``, the only one here) and, with
``redshift_mode = sampled``, ``redshift/redshift``; ``legendre_section`` and ``noise_section`` name other sections.

Writes ``likelihoods/<like_name>``, ``extra/redshift``, ``extra/stellar_mass`` (log10 of the mass formed, Msun) and
``extra/surviving_stellar_mass`` (where the SSP library knows it), and where the redshift is maximised over
``redshift/redshift``, ``extra/redshift_error`` (at fixed other parameters), ``extra/second_redshift`` and
``extra/second_lower_by`` (the next peak, and by how much its log-likelihood is lower); no other derived quantities,
which are for a known redshift. ``joint_amplitude/*`` carries what the data so far say about the mass.

Times of the history are cosmic times, and the history ends at the age of the universe of the trial redshift. The
mass is that of the trial redshift's luminosity distance.
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.redshift_module import RedshiftModule


class SpectraRedshiftFitModule(RedshiftModule):
    """Find the redshift of a spectrum together with its stellar population."""

    name = "SpectraRedshiftFit"


setup, execute, cleanup = cosmosis_functions(SpectraRedshiftFitModule)
module = SpectraRedshiftFitModule
