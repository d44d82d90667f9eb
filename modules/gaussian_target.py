"""CosmoSIS module GaussianTarget: a likelihood with a known answer, to learn and to test with.

Reads ``gaussian/x_1`` ... ``gaussian/x_n`` and writes ``likelihoods/<like_name>``, nothing else. The likelihood is
the density of a Gaussian with given means, standard deviations and correlations, or of two such modes. With uniform
priors over ranges much wider than the Gaussian the posterior has these means and this covariance, and the evidence is
one over the volume of the ranges::

    from orchestrator import MainPipeline
    MainPipeline([{
        "runtime": {"sampler": "emcee"},
        "emcee": {"walkers": 32, "samples": 500, "nsteps": 100},
        "output": {"filename": "known_answer"},
        "pipeline": {"modules": "GaussianTarget"},
        "GaussianTarget": {"mean": [1.0, -2.0], "sigma": [0.5, 0.1], "correlation": 0.8},
    }]).execute_all()

``second_mean`` adds a second mode, which walkers cannot reach from the first where they are far apart: a lesson about
samplers. The exact moments and the evidence: ``module.model.mixture.mean``, ``.covariance`` and
``module.model.log_evidence(ranges)``.
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.gaussian_module import GaussianModule


class GaussianTargetModule(GaussianModule):
    """Evaluate a Gaussian target."""

    name = "GaussianTarget"


setup, execute, cleanup = cosmosis_functions(GaussianTargetModule)
module = GaussianTargetModule
