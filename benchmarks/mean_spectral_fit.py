"""A negative control for study_calibration.py: FullSpectralFit with the mean of the pixels' log-likelihoods, as the
public peer has it, in place of their sum."""

from dataclasses import replace

from orchestrator.modules.full_spectral_fit import FullSpectralFitModule

from orchestrator.adapters.cosmosis_module import cosmosis_functions


class MeanSpectralFitModule(FullSpectralFitModule):
    """The log-likelihood divided by the number of pixels."""

    def evaluate_batch(self, parameters, before=None):
        """Evaluate many points."""
        evaluation = super().evaluate_batch(parameters, before)
        return replace(evaluation, log_likelihood=evaluation.log_likelihood / len(self.model.pixels.flux))


setup, execute, cleanup = cosmosis_functions(MeanSpectralFitModule)
module = MeanSpectralFitModule
