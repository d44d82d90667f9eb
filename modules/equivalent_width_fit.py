"""CosmoSIS module EquivalentWidthFit: star-formation history from line-strength indices, with emission.

The indices are measured in a spectrum, with their full covariance, or read from a table. Reads ``stars.sfh/*``,
``dust.extinction/a_v`` (with ``ExtinctionLaw``), ``emission/ew_hbeta, ew_oiii, ew_ni`` (with ``balmer_emission``,
``oiii_emission``, ``ni_emission``) and ``emission/a_v_gas`` (with ``gas_extinction``). Writes
``likelihoods/<like_name>`` and the derived quantities among ``extra_output`` that need no mass: indices do not depend
on it, and what other modules of the stage say about it passes by.
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.index_module import IndexModule


class EquivalentWidthFitModule(IndexModule):
    """Fit stellar populations to equivalent widths, molecular indices and breaks."""

    name = "EquivalentWidthFit"


setup, execute, cleanup = cosmosis_functions(EquivalentWidthFitModule)
module = EquivalentWidthFitModule
