"""Whether anything is left to fit, seen before any sampler starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from orchestrator.config.module_sections import module_options_of
from orchestrator.errors import OrchestratorError
from orchestrator.forward_model.pixels import fitted_pixels, model_grid
from orchestrator.forward_model.spectrum_fit import library_of, observed_spectrum, selected_pixels
from orchestrator.stage import Stage

__all__ = ["check_selections"]


def check_selections(stages: Sequence[Stage]) -> list[str]:
    """Apply range, masks and the ends of the SSP library to the spectra of stages.

    Parameters
    ----------
    stages : sequence of Stage
        Stages whose input files can be read.

    Returns
    -------
    list of str
        A sentence for each module that no pixel is left for.
    """
    faults = []
    for number, stage in enumerate(stages, 1):
        for section, options in module_options_of(stage).items():
            if hasattr(options, "input_spectrum"):
                try:
                    _select(options)
                except OrchestratorError as error:
                    faults.append(f"stage {number}: [{section}] {error}")
    return faults


def _select(options: Any) -> None:
    spectrum = observed_spectrum(options)
    keep = selected_pixels(options, spectrum)
    library = library_of(options)
    inside = np.flatnonzero(keep)
    rest = spectrum.rest_wavelength[inside[0] : inside[-1] + 1]
    ends = (float(library.wavelength[0]), float(library.wavelength[-1]))
    name = options.input_spectrum.name
    fitted_pixels(spectrum, keep, model_grid(rest, options.velscale, ends, name), name)
