"""The stage: one CosmoSIS run, validated, with the names of all its files.

Every file name of a stage is made here and nowhere else. A stage is frozen: the steps that follow
(values, ini, run, best fit, handover) make new records and never edit this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["ModuleSection", "Stage", "StagePaths"]


@dataclass(frozen=True)
class StagePaths:
    """The files of one stage; all begin with the name of its output.

    Attributes
    ----------
    chain : Path
        The results file that CosmoSIS writes (``output.filename``, with ``.txt`` where it has no ending).
    """

    chain: Path

    @classmethod
    def from_output(cls, filename: str | Path, directory: Path) -> StagePaths:
        """Resolve ``output.filename`` against `directory`, the folder that the user ran in."""
        chain = directory / Path(filename).expanduser()
        if chain.suffix != ".txt":
            chain = chain.with_name(chain.name + ".txt")
        return cls(chain=chain)

    @property
    def directory(self) -> Path:
        """Folder of the stage's files."""
        return self.chain.parent

    @property
    def name(self) -> str:
        """Name that all files of the stage begin with."""
        return self.chain.name.removesuffix(".txt")

    def _file(self, ending: str) -> Path:
        return self.directory / f"{self.name}{ending}"

    @property
    def params(self) -> Path:
        """The CosmoSIS ini file."""
        return self._file(".ini")

    @property
    def values(self) -> Path:
        """The values file that the run used (the user's, with the handover applied)."""
        return self._file("_values.ini")

    @property
    def priors(self) -> Path:
        """The priors file that the run used; CosmoSIS would split its name at a blank."""
        return self.directory / "_".join(f"{self.name}_priors.ini".split())

    @property
    def log(self) -> Path:
        """Everything that the run printed."""
        return self._file(".log")

    @property
    def config(self) -> Path:
        """The resolved configuration, with versions, seed and the identity of the stage (JSON)."""
        return self._file("_config.json")

    @property
    def best_fit(self) -> Path:
        """Best fit and posterior summary (JSON)."""
        return self._file("_best_fit.json")

    @property
    def diagnostics(self) -> Path:
        """Convergence, acceptance, evaluations and the verdict on the run (JSON)."""
        return self._file("_diagnostics.json")

    @property
    def random_state(self) -> Path:
        """Random numbers' state after the last whole chunk of the chain, for a resume that repeats it (JSON)."""
        return self._file("_random_state.json")

    @property
    def derived_parameters(self) -> Path:
        """Masses, rates, ages and metallicities that follow from the parameters, with their errors (ECSV)."""
        return self._file("_derived_parameters.ecsv")

    @property
    def formation_history(self) -> Path:
        """Reconstructed star-formation history with credible bands (ECSV)."""
        return self._file("_star_formation_history.ecsv")

    @property
    def formation_history_figure(self) -> Path:
        """Figure of the reconstructed star-formation history."""
        return self._file("_star_formation_history.png")

    @property
    def products(self) -> Path:
        """What was made beside the chain, and the goodness of the fit (JSON)."""
        return self._file("_products.json")

    @property
    def handover(self) -> Path:
        """What the stage received from earlier ones (JSON)."""
        return self._file("_handover.json")

    @property
    def start_points(self) -> Path:
        """Starting walkers, all of finite posterior."""
        return self._file("_start_points.txt")

    @property
    def covariance(self) -> Path:
        """Covariance at the maximum, from the optimiser to the sampler after it."""
        return self._file("_covariance.txt")

    @property
    def lock(self) -> Path:
        """Lock that keeps a second run away while this one works."""
        return self._file(".lock")

    def intermediate_chain(self, sampler: str) -> Path:
        """Results file of a sampler that is not the last of the stage, as CosmoSIS names it."""
        return self._file(f".{sampler}.txt")

    def emission_lines(self, module: str) -> Path:
        """Table of the emission lines that one module measured."""
        return self._file(f"_{module}_emission_lines.ecsv")

    def posterior_figure(self, kind: str) -> Path:
        """Figure of the posterior: ``corner``, ``posteriors``, ``trace`` or ``MODULE_predictions``."""
        return self._file(f"_{kind}.png")

    def figure(self, module: str) -> Path:
        """Best-fit figure of one module, named as in BESTA."""
        return self._file(f"_{module}_best_fit_solution.png")


@dataclass(frozen=True)
class ModuleSection:
    """One module of a stage.

    Attributes
    ----------
    name : str
        Section name, ``Class`` or ``Class_suffix``.
    class_name : str or None
        Name of our module that serves it (``FullSpectralFit``); None for a user's own CosmoSIS module.
    file : Path
        File that CosmoSIS loads.
    options : Mapping
        Options to write, already resolved (absolute paths, typed values). Without ``file``.
    """

    name: str
    class_name: str | None
    file: Path
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """One validated stage.

    Attributes
    ----------
    name : str
        Short name for messages: the name of the output.
    paths : StagePaths
    samplers : tuple of str
        CosmoSIS samplers, run one after the other.
    modules : tuple of ModuleSection
        In the order in which CosmoSIS runs them.
    sections : Mapping of str to Mapping
        The other ini sections to write (``runtime``, ``output``, ``pipeline``, one per sampler), resolved.
    n_cores : int
        Processes (1 or more; -1 is already replaced).
    handover : Mapping of str to str
        Rules: section or ``section--name`` (or module option) to ``start``, ``fix``, ``prior`` or ``none``.
    values_file : Path or None
        The user's values file, read and never written once it exists; None if values come inline.
    inline_values : Mapping of str to Mapping
        The ``values`` section of the config: section to name to text.
    priors_file : Path or None
        The user's priors file.
    ini_file : Path or None
        A ready ini file of the user's (``ini_files=``); used instead of a written one.
    figure_name : str or None
        ``output.figurename`` of the user.
    seed : int
        Seed of the run.
    resume : bool
        ``runtime.resume``.
    """

    name: str
    paths: StagePaths
    samplers: tuple[str, ...]
    modules: tuple[ModuleSection, ...]
    sections: Mapping[str, Mapping[str, Any]]
    n_cores: int = 1
    handover: Mapping[str, str] = field(default_factory=dict)
    values_file: Path | None = None
    inline_values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    priors_file: Path | None = None
    ini_file: Path | None = None
    figure_name: str | None = None
    seed: int = 0
    resume: bool = False

    @property
    def formation_history_figure(self) -> Path:
        """Figure of the star-formation history, named after `figure_name` where the user gave one."""
        if self.figure_name is None:
            return self.paths.formation_history_figure
        chosen = Path(self.figure_name)
        return chosen.with_name(f"{chosen.stem}_star_formation_history{chosen.suffix}")
