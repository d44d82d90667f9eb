"""Kinematics and dust that stay the same from call to call are taken out of the work.

A values file can fix parameters that a module would sample; the module learns of it only from the values that
it gets. Once enough points have shared their kinematics, the templates are convolved for these once, and once
they have shared the dust too, nothing of the pixels is left but a small table.
"""

from __future__ import annotations

from collections import OrderedDict

from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.fixed_spectrum import fix_kinematics_and_dust
from orchestrator.forward_model.general_spectrum import GeneralSpectrumModel
from orchestrator.forward_model.spectrum_model import KINEMATICS, StellarSpectrumModel
from orchestrator.physics.amplitude import Parabola
from orchestrator.physics.parameter import ParameterValues

__all__ = ["SharedKinematics"]

_WORTHWHILE = 64
"""Points that must share their kinematics in a row: preparing them costs as much as about so many points."""

_KEPT = 2

Key = tuple[float | None, ...]
Model = StellarSpectrumModel | GeneralSpectrumModel


class SharedKinematics:
    """Evaluates a model, with shared kinematics and dust prepared once.

    Parameters
    ----------
    model : StellarSpectrumModel or GeneralSpectrumModel
        With free kinematics; a model with fixed ones is used as it is.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._prepared: OrderedDict[Key, Model] = OrderedDict()
        self._in_a_row: dict[str, tuple[Key, int]] = {}

    def log_likelihood(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate as :meth:`StellarSpectrumModel.log_likelihood` does."""
        return self.model_for(parameters).log_likelihood(parameters, before)

    def model_for(self, parameters: ParameterValues) -> Model:
        """Return the model to evaluate these points with; it gives the same numbers, to rounding."""
        if self.model.basis_rfft is None:
            return self.model
        kinematics = tuple(_shared(parameters, "kinematics", name) for name in KINEMATICS)
        if None in kinematics:
            self._in_a_row.clear()
            return self.model
        n_points = len(parameters["kinematics", KINEMATICS[0]])
        dust = self._shared_dust(parameters)
        if dust is not None:
            found = self._find("dust", (*kinematics, dust), n_points, parameters)
            if found is not None:
                return found
        return self._find("kinematics", (*kinematics, None), n_points, parameters) or self.model

    def _shared_dust(self, parameters: ParameterValues) -> float | None:
        """Return the A_V that all points share, 0 without dust; None where it differs or has to stay free."""
        if isinstance(self.model, GeneralSpectrumModel):
            return None
        return 0.0 if self.model.attenuation_good is None else _shared(parameters, "dust.extinction", "a_v")

    def _find(self, what: str, key: Key, n_points: int, parameters: ParameterValues) -> Model | None:
        """Return the model prepared for these values; prepare it where enough points have had them in a row."""
        if key in self._prepared:
            self._prepared.move_to_end(key)
            return self._prepared[key]
        last, count = self._in_a_row.get(what, (key, 0))
        count = n_points + (count if last == key else 0)
        self._in_a_row[what] = (key, count)
        if count < _WORTHWHILE or not self.model.in_support(parameters).all():
            return None
        first = {name: value[:1] for name, value in parameters.items()}
        if isinstance(self.model, GeneralSpectrumModel):
            self._prepared[key] = self.model.with_fixed_kinematics(first)
        else:
            self._prepared[key] = fix_kinematics_and_dust(self.model, first, dust=what == "dust")
        while len(self._prepared) > _KEPT:
            self._prepared.popitem(last=False)
        return self._prepared[key]


def _shared(parameters: ParameterValues, section: str, name: str) -> float | None:
    """Return the value that all points share; None if they differ or it is NaN."""
    values = parameters[section, name]
    first = float(values[0]) if len(values) else float("nan")
    if first != first or (len(values) > 1 and (values != first).any()):
        return None
    return first
