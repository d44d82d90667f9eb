"""Mock data of a pipeline: the forward model of its own modules and noise of the observed errors, as files.

Each input file of a pipeline is simulated once, by the last stage that reads it, and every stage that reads it gets
the same mock file. Where the stellar mass is no sampled parameter it is set such that the data are as significant,
over all of them, as the observed ones: that is the prior under which a profiled mass is calibrated. With a
marginalised mass the prior is uniform in the mass, which favours light histories at a given flux; truths are then
drawn with that weight.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.module_options import MODULES, parse_options
from orchestrator.errors import ConfigError
from orchestrator.stage import ModuleSection, Stage
from orchestrator.validation.makers import Distortion, Maker, Source, make_maker, source_of
from orchestrator.validation.prior_draws import Key, PipelinePrior, prior_of_pipeline

__all__ = ["Mock", "Simulator", "simulating_modules"]

FloatArray = NDArray[np.float64]

CANDIDATES = 256
"""Draws of the prior among which one inside the support of the models is chosen."""
ROUNDS = 40
NOTHING = Distortion()


@dataclass(frozen=True)
class Mock:
    """One mock.

    Attributes
    ----------
    truth : Mapping of (section, name) to float
        Every parameter, those that are fixed included.
    log10_mass : float or None
        Of the stellar mass that the data were made with; None where no module has one.
    options : Mapping of Source to Mapping
        What replaces the options of a module that reads a source.
    """

    truth: Mapping[Key, float]
    log10_mass: float | None
    options: Mapping[Source, Mapping[str, Any]]


class Simulator:
    """Makes mock data of a pipeline.

    Parameters
    ----------
    stages : sequence of Stage
        Validated stages, whose modules and data say what mocks are like.
    distortion : Distortion
        For a test with data that the model cannot describe.

    Attributes
    ----------
    prior : PipelinePrior
    sources : tuple of Source
        Input files that are simulated.

    Raises
    ------
    ConfigError
        If a module's data cannot be simulated.
    """

    def __init__(self, stages: Sequence[Stage], distortion: Distortion = NOTHING) -> None:
        self.prior: PipelinePrior = prior_of_pipeline(stages)
        self.distortion = distortion
        self._sections = simulating_modules(stages)
        self.sources = tuple(dict.fromkeys(source for _, source in self._sections))
        self._makers = [self._build(section, source, {}) for section, source in self._sections]
        self._depends = [_options_that_parameters_set(section, self.prior) for section, _ in self._sections]
        modes = {maker.amplitude_mode for maker in self._makers} - {"none"}
        self.amplitude_mode = modes.pop() if modes else "none"
        significance = sum(maker.squared_significance() for maker in self._makers if maker.amplitude_mode != "none")
        self.significance = float(np.sqrt(max(significance, 1.0)))

    def simulate(self, generator: np.random.Generator, folder: Path) -> Mock:
        """Draw a truth and write its data.

        Parameters
        ----------
        generator : numpy.random.Generator
        folder : Path
            Exists; the files are written there.
        """
        truth = self._truth(generator)
        makers = [
            self._build(section, source, {name: truth[key] for name, key in depends.items()}) if depends else maker
            for (section, source), maker, depends in zip(self._sections, self._makers, self._depends, strict=True)
        ]
        point = {key: np.array([value]) for key, value in truth.items()}
        mass = self._mass(makers, point)
        options: dict[Source, dict[str, Any]] = {}
        for source in self.sources:
            own = [maker for maker, (_, other) in zip(makers, self._sections, strict=True) if other == source]
            options[source] = own[0].write(own, point, mass, generator, folder, self.distortion)
        log10_mass = float(np.log10(mass)) if self.amplitude_mode != "none" else None
        return Mock(truth, log10_mass, options)

    def _truth(self, generator: np.random.Generator) -> dict[Key, float]:
        """Draw parameters inside the support of all models, with the weight that a marginalised mass implies."""
        for _ in range(ROUNDS):
            drawn = self.prior.draw(CANDIDATES, generator)
            weights = self._weights(drawn)
            if weights.sum() > 0:
                index = int(generator.choice(CANDIDATES, p=weights / weights.sum()))
                return {key: float(values[index]) for key, values in drawn.items()}
        msg = (
            f"none of {ROUNDS * CANDIDATES} draws of the prior lies in the support of the models; narrow the ranges "
            "in the values file, or choose a prior of the history (sfh_prior) of which every value is possible"
        )
        raise ConfigError(msg)

    def _weights(self, drawn: Mapping[Key, FloatArray]) -> FloatArray:
        inside = np.ones(CANDIDATES, dtype=bool)
        curvature: FloatArray | None = None
        before = None
        for maker in self._makers:
            supported, joint = maker.support(drawn, before)
            inside &= supported
            if joint is not None:
                before, curvature = joint, joint.curvature
        if self.amplitude_mode != "marginalised" or curvature is None:
            return inside.astype(float)
        inside &= curvature > 0
        return np.where(inside, np.where(inside, curvature, 1.0) ** -0.5, 0.0)

    def _mass(self, makers: Sequence[Maker], point: Mapping[Key, FloatArray]) -> float:
        if self.amplitude_mode == "none":
            return 1.0
        if self.amplitude_mode == "sampled":
            return float(10.0 ** point["stars.sfh", "log10_stellar_mass"][0])
        total = sum(maker.squared_per_mass(point) for maker in makers if maker.amplitude_mode != "none")
        return float(self.significance / np.sqrt(total))

    @staticmethod
    def _build(section: ModuleSection, source: Source, extra: Mapping[str, Any]) -> Maker:
        declaration = MODULES[str(section.class_name)]
        module_class = importlib.import_module(f"orchestrator.modules.{declaration.file}").module
        options = {key: value for key, value in section.options.items() if key.lower() != "file"}
        return make_maker(module_class, {**options, **extra}, source, section.name)


def simulating_modules(stages: Sequence[Stage]) -> list[tuple[ModuleSection, Source]]:
    """Return the modules that make the data, in their order within a stage: those of the last stage per source.

    Raises
    ------
    ConfigError
        If there is a module whose data cannot be simulated.
    """
    chosen: dict[Source, list[ModuleSection]] = {}
    faults = []
    for stage in stages:
        own: dict[Source, list[ModuleSection]] = {}
        for section in stage.modules:
            if section.class_name is None:
                faults.append(
                    f"stage {stage.name!r}: [{section.name}] is a module of your own, whose data cannot be "
                    "simulated; describe under `truth:` a pipeline of this package's modules for the same files"
                )
                continue
            source = source_of(section)
            if source is None:
                faults.append(
                    f"stage {stage.name!r}: the data of [{section.name}] cannot be simulated; describe under "
                    "`truth:` a pipeline of spectral fits or SFHPhotometry that makes the same files"
                )
                continue
            own.setdefault(source, []).append(section)
        chosen.update(own)
    if faults:
        raise ConfigError(faults)
    return [(section, source) for source, sections in chosen.items() for section in sections]


def _options_that_parameters_set(section: ModuleSection, prior: PipelinePrior) -> dict[str, Key]:
    """Return the options of a module that have the name of a parameter of another module (``los_sigma``)."""
    class_name = str(section.class_name)
    options = parse_options(class_name, section.options, section.name, quiet=True)
    declared = {(p.section, p.name) for p in MODULES[class_name].declared_parameters(options)}
    spellings = MODULES[class_name].options.spellings()
    return {spellings[key[1]]: key for key in prior.ranges if key[1] in spellings and key not in declared}
