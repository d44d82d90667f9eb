"""What every CosmoSIS module of this package shares: options in, DataBlock to arrays, results out.

A module file in ``modules/`` subclasses :class:`CosmosisModule`, names itself, prepares its model and draws
its figure; everything that CosmoSIS wants of it is here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.module_options import MODULES, parse_options
from orchestrator.config.plain import words
from orchestrator.errors import ConfigError
from orchestrator.physics.derived_quantities import derived_names
from orchestrator.physics.parameter import Parameter, ParameterValues

if TYPE_CHECKING:  # models and their kernels take half a second to import: a user's script needs the class first
    from orchestrator.forward_model.derived import DerivedModel
    from orchestrator.forward_model.evaluation import Evaluation
    from orchestrator.physics.amplitude import Parabola

__all__ = ["CosmosisModule", "Likelihood", "cosmosis_functions"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

NUISANCE_SECTIONS = ("legendre", "noise")
"""Sections of which each data set can have its own; the option ``<section>_section`` names it."""

JOINT_SECTION = "joint_amplitude"
"""DataBlock section in which a module tells the next one what the data so far say about the mass."""


_PARABOLA = ("constant", "slope", "curvature")


class Likelihood(Protocol):
    """What a module's model offers."""

    def log_likelihood(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate `n_points` parameter sets."""
        ...


class CosmosisModule:
    """A CosmoSIS module around one model.

    Parameters
    ----------
    options : Mapping, DataBlock or SectionOptions
        The module's section of the ini file, or the same as a dictionary.
    alias : str, optional
        Name of the section, for messages and the default name of the likelihood.

    Raises
    ------
    ConfigError, DataError, LibraryError
        Before any sampling, if options or data cannot be used.
    """

    name: ClassVar[str]
    model: Likelihood
    has_limits: bool = False
    """Whether the likelihood is no parabola in the mass (limits, Student's t noise): no other module can come after
    it and share a mass that is not sampled."""

    def __init__(self, options: Any, *, alias: str | None = None) -> None:
        self.alias = alias or self.name
        self.options = self.parse_options(options)
        self._set_up_logging()
        like_name = self.options.like_name or self.alias
        self.like_name = like_name if like_name.endswith("_like") else f"{like_name}_like"
        self.parameters: tuple[Parameter, ...] = MODULES[self.name].declared_parameters(self.options)
        self.prepare()
        self._asked_for = self._derived_outputs(options)

    def prepare(self) -> None:
        """Read data and templates and set ``self.model``; called once."""
        raise NotImplementedError

    def make_observable(self, block: Any, parse: bool = False) -> FloatArray:
        """Return the model of the data for the parameters in `block`.

        Parameters
        ----------
        block : DataBlock or Mapping of (section, name) to float
        parse : bool
            Accepted as BESTA does; parameters are always read from `block`.
        """
        raise NotImplementedError

    def plot_solution(self, solution: Any, figname: str | Path | None = None) -> Path:
        """Draw data, model and residuals for the parameters in `solution` and return the figure's path."""
        raise NotImplementedError

    def log_likelihood_batch(self, parameters: ParameterValues) -> FloatArray:
        """Return the log-likelihood of many points.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)

        Returns
        -------
        ndarray, shape (n_points,)
        """
        return self.evaluate_batch(parameters).log_likelihood

    def evaluate_batch(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate many points, with what earlier modules of the pipeline say about the mass."""
        return self.model.log_likelihood(self.under_own_names(parameters), before)

    def under_own_names(self, parameters: ParameterValues) -> ParameterValues:
        """Return the parameters in the sections that the model knows.

        The nuisance parameters of a data set may stand in a section of their own (``legendre_red``); for the model
        they are ``legendre`` and ``noise``.
        """
        if not self._renamed:
            return parameters
        found = {known: parameters[given] for given, known in self._renamed.items() if given in parameters}
        return {**parameters, **found} if found else parameters

    @cached_property
    def _renamed(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Parameters whose section is not that of the model, and their name there."""
        sections = {
            getattr(self.options, f"{known}_section"): known
            for known in NUISANCE_SECTIONS
            if getattr(self.options, f"{known}_section", known) != known
        }
        return {
            (parameter.section, parameter.name): (sections[parameter.section], parameter.name)
            for parameter in self.parameters
            if parameter.section in sections
        }

    def evaluate_with_extra(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate many points, with the derived quantities among the ``extra_output`` of the run."""
        evaluation = self.evaluate_batch(parameters, before)
        if not self._asked_for or self.derived is None:
            return evaluation
        from orchestrator.forward_model.derived import with_derived

        return with_derived(evaluation, self.derived, self._asked_for, parameters)

    @cached_property
    def derived(self) -> DerivedModel | None:
        """What follows from the star-formation history; None for a module without one."""
        from orchestrator.forward_model.stellar_population import StellarPopulation

        population = getattr(self.model, "population", None)
        # Not for a population of several ages of the universe, whose redshift is a parameter.
        if type(population) is not StellarPopulation or not hasattr(self.options, "light_range"):
            return None
        from orchestrator.forward_model.derived import derived_model
        from orchestrator.forward_model.spectrum_fit import library_of

        return derived_model(population, library_of(self.options), self.options.light_range)

    def execute(self, block: Any) -> int:
        """Evaluate one point of a CosmoSIS run: read parameters from `block`, write the likelihood there."""
        before = self._joint_before(block)
        evaluation = self.evaluate_with_extra(self.read_parameters(block), before)
        _put(block, "likelihoods", self.like_name, evaluation.log_likelihood[0])
        self._write_extra(block, evaluation)
        return 0

    def cleanup(self) -> None:
        """Release resources; there are none to release."""

    def read_parameters(self, block: Any) -> dict[tuple[str, str], FloatArray]:
        """Return the declared parameters of `block` as arrays of shape (1,).

        A parameter whose declared range is a single value may be missing. Their sections are those that the model
        knows (see :meth:`under_own_names`).

        Raises
        ------
        ConfigError
            Listing every other parameter that is missing.
        """
        values: dict[tuple[str, str], FloatArray] = {}
        missing: list[str] = []
        for parameter in self.parameters:
            key = (parameter.section, parameter.name)
            if _has_value(block, key):
                values[self._renamed.get(key, key)] = np.array([float(block[key])])
            elif parameter.may_be_missing:
                values[self._renamed.get(key, key)] = np.array([parameter.start])
            else:
                missing.append(
                    f"[{self.alias}] parameter {parameter.section}/{parameter.name} has no value "
                    f"({parameter.meaning}); add it to the values file"
                )
        if missing:
            raise ConfigError(missing)
        return values

    @staticmethod
    def joint_mass(block: Any) -> FloatArray | None:
        """Return the mass of a joint fit that `block` carries, Msun, shape (1,); None if it carries none."""
        if not _has_value(block, ("extra", "stellar_mass")):
            return None
        return np.array([10.0 ** float(block["extra", "stellar_mass"])])

    def flags(self, solution: Any) -> tuple[str, ...]:
        """Return sentences about what in this solution should not be taken at face value."""
        del solution
        return ()

    @classmethod
    def get_path(cls) -> str:
        """Return the file that CosmoSIS loads for this module."""
        from orchestrator.paths import module_file

        return str(module_file(MODULES[cls.name].file))

    @classmethod
    def parse_options(cls, options: Any) -> Any:
        """Return the typed options of this module.

        Parameters
        ----------
        options : Mapping, DataBlock or SectionOptions
            A mapping may also hold the options under the name of the module, as BESTA wants them.

        Raises
        ------
        ConfigError
            Listing every fault.
        """
        mapping = _as_mapping(options)
        inner = mapping.get(cls.name)
        return parse_options(cls.name, inner if isinstance(inner, Mapping) else mapping)

    def _derived_outputs(self, options: Any) -> tuple[str, ...]:
        """Return the derived quantities to write, beside the masses that are always written.

        CosmoSIS shows a module the whole ini file; options that come as a dictionary name no outputs.
        """
        block = getattr(options, "block", options)
        if isinstance(block, Mapping) or not block.has_value("pipeline", "extra_output"):
            return ()
        names = set(derived_names(words(block["pipeline", "extra_output"])))
        names -= {"stellar_mass", "surviving_stellar_mass"}
        if not names or self.derived is None:
            return ()
        for name in sorted(names.intersection(self.derived.unavailable)):
            logger.warning("[%s] does not write extra/%s: %s", self.alias, name, self.derived.unavailable[name])
        return tuple(name for name in self.derived.available if name in names)

    def _set_up_logging(self) -> None:
        """Send the package's messages where the options say; CosmoSIS itself shows none below warnings."""
        package_logger = logging.getLogger("orchestrator")
        package_logger.setLevel(self.options.logging_level.upper())
        if self.options.logging_file is None:
            return
        target = str(Path(self.options.logging_file).absolute())
        known = {getattr(handler, "baseFilename", None) for handler in package_logger.handlers}
        if target not in known:
            mode = "w" if self.options.logging_overwrite else "a"
            package_logger.addHandler(logging.FileHandler(target, mode=mode))

    def _joint_before(self, block: Any) -> Parabola:
        """Return what the modules before this one say about the mass.

        A block may be used again: what this module and later ones left there is passed over.
        """
        order = block[JOINT_SECTION, "order"].split() if _has_value(block, (JOINT_SECTION, "order")) else []
        if self.like_name in order:
            order = order[: order.index(self.like_name)]
        if not order:
            from orchestrator.physics.amplitude import no_parabola

            return no_parabola(1)
        last = order[-1]
        closed = _has_value(block, (JOINT_SECTION, f"{last}_closed"))
        if closed and getattr(self.options, "amplitude", "sampled") != "sampled":
            msg = (
                f"[{self.alias}] comes after {last}, whose limits or Student's t noise cannot be handed on; put the "
                "module with limits or NoiseModel = StudentT last, or set amplitude = sampled"
            )
            raise ConfigError(msg)
        from orchestrator.physics.amplitude import Parabola

        return Parabola(*(np.array([block[JOINT_SECTION, f"{last}_{name}"]]) for name in _PARABOLA))

    def _write_joint(self, block: Any, joint: Parabola) -> None:
        """Leave for the next module what the data so far say about the mass."""
        known = _has_value(block, (JOINT_SECTION, "order"))
        order = block[JOINT_SECTION, "order"].split() if known else []
        if self.like_name in order:
            order = order[: order.index(self.like_name)]
        block[JOINT_SECTION, "order"] = " ".join([*order, self.like_name])
        for name in _PARABOLA:
            _put(block, JOINT_SECTION, f"{self.like_name}_{name}", getattr(joint, name)[0])
        if self.has_limits:
            _put(block, JOINT_SECTION, f"{self.like_name}_closed", 1.0)

    def _write_extra(self, block: Any, evaluation: Evaluation) -> None:
        if evaluation.amplitude is not None:
            with np.errstate(divide="ignore"):
                mass = float(np.log10(evaluation.amplitude[0]))
            self._write_surviving(block, evaluation, mass)
            _put(block, "extra", "stellar_mass", mass)
        if evaluation.joint is not None:
            self._write_joint(block, evaluation.joint)
        for name, value in evaluation.extra.items():
            _put(block, "extra", name, value[0])

    @staticmethod
    def _write_surviving(block: Any, evaluation: Evaluation, mass: float) -> None:
        """Write the surviving mass; an earlier module's fraction holds where this library does not know it."""
        if evaluation.surviving_fraction is not None:
            fraction = float(np.log10(max(evaluation.surviving_fraction[0], 1e-300)))
        elif _has_value(block, ("extra", "surviving_stellar_mass")):
            fraction = block["extra", "surviving_stellar_mass"] - block["extra", "stellar_mass"]
        else:
            return
        _put(block, "extra", "surviving_stellar_mass", mass + fraction)


def cosmosis_functions(
    module_class: type[CosmosisModule],
) -> tuple[Callable[[Any], CosmosisModule], Callable[[Any, CosmosisModule], int], Callable[[CosmosisModule], None]]:
    """Return the functions ``setup``, ``execute`` and ``cleanup`` that CosmoSIS looks for in a module file."""

    def setup(options: Any) -> CosmosisModule:
        return module_class(options)

    def execute(block: Any, module: CosmosisModule) -> int:
        return module.execute(block)

    def cleanup(module: CosmosisModule) -> None:
        module.cleanup()

    return setup, execute, cleanup


def _put(block: Any, section: str, name: str, value: float) -> None:
    """Write a number; the typed calls of the DataBlock are several times faster than its item assignment."""
    if block.has_value(section, name):
        block.replace_double(section, name, float(value))
    else:
        block.put_double(section, name, float(value))


def _has_value(block: Any, key: tuple[str, str]) -> bool:
    if isinstance(block, Mapping):
        return key in block
    return bool(block.has_value(*key))


def _as_mapping(options: Any) -> dict[str, Any]:
    """Return options of any accepted kind as a dictionary."""
    if isinstance(options, Mapping):
        return dict(options)
    block = getattr(options, "block", options)  # SectionOptions wraps a DataBlock
    section = getattr(options, "section", "module_options")
    return {name: block[section, name] for _, name in block.keys(section)}
