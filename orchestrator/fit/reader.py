"""Read the results of a stage, and build its modules again at any of its solutions."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.values import ValuesFile
from orchestrator.errors import ChainError, ConfigError, nearest_known
from orchestrator.fit.best_fit import BestFitKind, best_row
from orchestrator.fit.chain import Chain, read_chain
from orchestrator.fit.embedded import embedded_values
from orchestrator.fit.module_file import load_module_class
from orchestrator.fit.typed_ini import typed_sections

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Reader"]

Solution = dict[str, float]
_KINDS: Mapping[str, BestFitKind] = {"like": "max_likelihood", "post": "max_posterior"}


class Reader:
    """Results of one CosmoSIS run.

    Build it with `from_ini_file` or `from_results_file`.

    Parameters
    ----------
    ini : Mapping of str to Mapping
        Section to option to value.
    results_file : Path
        The results file; read at the first use.
    ini_values : ValuesFile, optional
        The values file; that in the header of the results by default.

    Attributes
    ----------
    ini : dict
        The ini file, typed as CosmoSIS types module options.
    results_file : Path
    """

    def __init__(
        self, ini: Mapping[str, Mapping[str, Any]], results_file: Path, ini_values: ValuesFile | None = None
    ) -> None:
        self.ini = {section: dict(options) for section, options in ini.items()}
        self.results_file = results_file
        self._ini_values = ini_values

    @classmethod
    def from_ini_file(cls, path_to_ini: str | Path) -> Reader:
        """Create a reader from a CosmoSIS ini file; its results are those that ``output.filename`` names.

        Raises
        ------
        ConfigError
            If the file cannot be read or names no results.
        """
        from orchestrator.config.ini import read_ini
        from orchestrator.config.values import read_values

        ini = read_ini(path_to_ini)
        filename = ini.get("output", {}).get("filename")
        if not filename:
            msg = f"The ini file {str(path_to_ini)!r} has no [output] filename, so it names no results."
            raise ConfigError(msg)
        results = Path(str(filename)) if str(filename).endswith(".txt") else Path(f"{filename}.txt")
        if not results.is_absolute() and not results.exists():
            results = Path(path_to_ini).parent / results
        values = ini.get("pipeline", {}).get("values")
        found = Path(str(values)) if values else None
        if found is not None and not found.is_absolute() and not found.exists():
            found = Path(path_to_ini).parent / found
        return cls(ini, results, read_values(found) if found is not None and found.is_file() else None)

    @classmethod
    def from_results_file(cls, path_to_results: str | Path) -> Reader:
        """Create a reader from a results file alone.

        The file that is given is read, and the ini and values files in its header; whatever lies elsewhere
        may have changed or gone since.

        Raises
        ------
        ChainError
            If it cannot be read.
        """
        return cls.from_chain(read_chain(Path(path_to_results)))

    @classmethod
    def from_chain(cls, chain: Chain) -> Reader:
        """Create a reader from a results file that has been read."""
        reader = cls(typed_sections(chain), chain.path, embedded_values(chain))
        reader.__dict__["chain"] = chain
        return reader

    @functools.cached_property
    def chain(self) -> Chain:
        """The results."""
        return read_chain(self.results_file)

    @property
    def ini_values(self) -> ValuesFile:
        """The values file of the run."""
        return self._ini_values if self._ini_values is not None else embedded_values(self.chain)

    @property
    def modules(self) -> list[str]:
        """Sections of the modules, in the order in which they run."""
        return str(self.ini.get("pipeline", {}).get("modules", "")).split()

    module_names = modules

    @property
    def config(self) -> dict[str, dict[str, Any]]:
        """Options of each module."""
        return {name: self.ini.get(name, {}) for name in self.modules}

    @functools.cached_property
    def results_table(self) -> Table:
        """The results as an astropy table with the columns of the file."""
        return self.load_results()

    def load_results(self) -> Table:
        """Return the results as an astropy table, one row per sample; parameters as ``section--name``."""
        from astropy.table import Table

        chain = self.chain
        columns: dict[str, NDArray[np.float64]] = {
            name: chain.samples[:, index] for index, name in enumerate(chain.names)
        }
        columns.update(chain.extra)
        columns.update(prior=chain.log_prior, post=chain.log_posterior)
        if chain.log_likelihood is not None:
            columns["like"] = chain.log_likelihood
        return Table(columns, meta=dict(chain.metadata))

    def get_maxlike_solution(self, log_prob: str = "like", as_datablock: bool = False, **extra: Any) -> Any:
        """Return the solution of maximum likelihood, or of maximum posterior with ``log_prob="post"``.

        Parameters
        ----------
        log_prob : {'like', 'post'}
        as_datablock : bool
            Return a CosmoSIS DataBlock in place of a dict.
        **extra
            Passed to `solution_to_dict`.

        Raises
        ------
        ValueError
            If `log_prob` is neither.
        ChainError
            If no row is finite, or the likelihood is not in the file.
        """
        if log_prob not in _KINDS:
            msg = f"log_prob = {log_prob!r}: expected 'like' or 'post'"
            raise ValueError(msg)
        return self._solution(best_row(self.chain, _KINDS[log_prob]), as_datablock, **extra)

    def get_max_posterior_solution(self, as_datablock: bool = False, **extra: Any) -> Any:
        """Return the solution of maximum posterior; arguments as in `get_maxlike_solution`."""
        return self.get_maxlike_solution("post", as_datablock, **extra)

    def get_top_frac_solutions(
        self, frac: float = 1.0, log_prob: str = "post", as_datablock: bool = False, **extra: Any
    ) -> list[Any]:
        """Return the best solutions, the best one first.

        Parameters
        ----------
        frac : float
            Fraction of the finite rows, above 0 and up to 1; at least one row is returned.
        log_prob : {'post', 'like'}
        as_datablock : bool
        **extra
            Passed to `solution_to_dict`.

        Raises
        ------
        ValueError
            If `frac` is not a fraction.
        """
        if not 0.0 < frac <= 1.0:
            msg = (
                f"frac = {frac!r}: expected a fraction above 0 and up to 1 (get_pct_solutions takes per cent)"
            )
            raise ValueError(msg)
        best_row(self.chain, _KINDS.get(log_prob, "max_posterior"))
        value = np.where(self.chain.finite, self.chain.column(log_prob), -np.inf)
        n_finite = int(np.count_nonzero(self.chain.finite))
        rows = np.argsort(-value, kind="stable")[: max(1, round(frac * n_finite))]
        return [self._solution(int(row), as_datablock, **extra) for row in rows]

    def get_pct_solutions(
        self, pct: float = 99.0, log_prob: str = "post", as_datablock: bool = False, **extra: Any
    ) -> list[Any]:
        """Return the solutions above a percentile of `log_prob`: 99 gives the best 1 per cent."""
        if not 0.0 <= pct < 100.0:
            msg = f"pct = {pct!r}: expected a percentile from 0 to below 100"
            raise ValueError(msg)
        return self.get_top_frac_solutions(1.0 - pct / 100.0, log_prob, as_datablock, **extra)

    def solution_to_dict(
        self,
        sample: int | Mapping[str, float],
        *,
        add_fixed: bool = True,
        extra_params: Mapping[str, float] | None = None,
    ) -> Solution:
        """Return a solution as ``section--name`` to value.

        Parameters
        ----------
        sample : int or Mapping
            Row of the chain, or a solution to complete.
        add_fixed : bool
            Fill in the constants of the values file.
        extra_params : Mapping of str to float, optional
            Further entries, ``section--name`` to value.
        """
        if isinstance(sample, (int, np.integer)):
            values = self.chain.samples[sample]
            solution = {name: float(value) for name, value in zip(self.chain.names, values, strict=True)}
        else:
            solution = {str(name): float(value) for name, value in sample.items()}
        if add_fixed:
            for (section, name), entry in self.ini_values:
                if entry.is_fixed:
                    solution.setdefault(f"{section}--{name}", entry.start)
        solution.update(extra_params or {})
        return solution

    def solution_to_datablock(
        self,
        solution: int | Mapping[str, float],
        add_fixed: bool = True,
        extra_params: Mapping[str, float] | None = None,
    ) -> Any:
        """Return a solution as a CosmoSIS DataBlock, constants filled in; arguments as `solution_to_dict`."""
        from cosmosis.datablock import DataBlock

        block = DataBlock()
        completed = self.solution_to_dict(solution, add_fixed=add_fixed, extra_params=extra_params)
        for key, value in completed.items():
            section, _, name = key.partition("--")
            block.put_double(section, name, float(value))
        return block

    def _solution(self, row: int, as_datablock: bool, **extra: Any) -> Any:
        solution = self.solution_to_dict(row, **extra)
        return self.solution_to_datablock(solution, add_fixed=False) if as_datablock else solution

    def get_module(self, module_name: str) -> Any:
        """Build a module of the run from its section of the ini file.

        Raises
        ------
        ConfigError
            If the run has no such module, or its file defines no module class.
        """
        if module_name not in self.modules:
            msg = f"The run has no module {module_name!r}{nearest_known(module_name, self.modules)}"
            raise ConfigError(msg)
        options = {key: value for key, value in self.ini[module_name].items() if key != "file"}
        return load_module_class(Path(str(self.ini[module_name]["file"])))(options, alias=module_name)

    @property
    def last_module(self) -> Any:
        """The last module of the run, built."""
        if not self.modules:
            msg = f"The run of {str(self.results_file)!r} names no modules."
            raise ChainError(msg)
        return self.get_module(self.modules[-1])
