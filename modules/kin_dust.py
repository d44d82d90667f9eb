"""CosmoSIS module KinDust: kinematics and dust from a spectrum, template weights solved inside.

Reads ``kinematics/los_vel, los_sigma, los_h3, los_h4``, ``dust.extinction/a_v`` (with ``ExtinctionLaw``) and
``noise/beta`` (with ``NoiseModel``). Writes ``likelihoods/<like_name>``.
"""

from orchestrator.adapters.cosmosis_module import cosmosis_functions
from orchestrator.adapters.kinematics_module import KinematicsModule


class KinDustModule(KinematicsModule):
    """Fit velocity, dispersion, h3, h4 and dust to a spectrum."""

    name = "KinDust"


setup, execute, cleanup = cosmosis_functions(KinDustModule)
module = KinDustModule
