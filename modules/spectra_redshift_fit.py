"""CosmoSIS module SpectraRedshiftFit: the redshift of a galaxy, and its star-formation history, from a spectrum.

Reads ``stars.sfh/*``, ``dust.extinction/a_v`` (with ``ExtinctionLaw``), ``legendre/legendre_i`` (with
``legendre_deg``), ``noise/beta`` (with ``NoiseModel``) and, with ``redshift_mode = sampled``,
``redshift/redshift``. Writes ``likelihoods/<like_name>``, ``extra/stellar_mass`` (log10 of the mass formed, Msun),
``extra/redshift``, and where the redshift is maximised over ``redshift/redshift``, ``extra/redshift_error`` (at fixed
other parameters), ``extra/second_redshift`` and ``extra/second_lower_by`` (the next peak, and by how much its
log-likelihood is lower).

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
