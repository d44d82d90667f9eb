"""CosmoSIS module KinDust: kinematics and dust from a spectrum, template weights and polynomials solved inside.

Reads ``kinematics/los_vel, los_sigma, los_h3, los_h4`` (the last two are 0 with ``moments = 2``),
``dust.extinction/a_v`` (with ``ExtinctionLaw``) and, of the noise, ``noise/beta`` and ``noise/log10_jitter`` (with
``NoiseModel``) and ``noise/fractional`` (with ``noise_fractional``), in the section that ``noise_section`` names.
Writes ``likelihoods/<like_name>`` and nothing else: it has no star-formation history and no mass.
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.kinematics_module import KinematicsModule


class KinDustModule(KinematicsModule):
    """Fit velocity, dispersion, h3, h4 and dust to a spectrum."""

    name = "KinDust"


setup, execute, cleanup = cosmosis_functions(KinDustModule)
module = KinDustModule
