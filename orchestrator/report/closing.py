"""What a finished stage leaves beside its chain: figures, derived quantities, emission lines, goodness of fit.

::

    python -m orchestrator.report.closing PARAMS.ini ORDER

All of it needs the modules of the stage, rebuilt. That happens in a process of its own, as the sampling does: a
module that crashes or hangs takes a figure with it, never the user's notebook or the finished chain. ``ORDER`` is a
JSON object, the fields of `Order`; what was made is in the file that it names.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.config.text_files import write_atomically
from orchestrator.errors import StageError
from orchestrator.fit.module_file import NoModuleClassError
from orchestrator.fit.process import ProcessLost, TimedOut
from orchestrator.fit.stage_result import StageResult, read_products
from orchestrator.fit.warm import run_warm
from orchestrator.stage import Stage

__all__ = ["Order", "close_stage", "main"]

logger = logging.getLogger(__name__)

PROGRAM = "orchestrator.report.closing"


@dataclass(frozen=True)
class Order:
    """What to make.

    Attributes
    ----------
    results : str
        Results file of the stage.
    products : str
        JSON file for the list of what was made.
    figures, lines : dict of str to str
        Module to the file of its best-fit figure, and of its table of emission lines.
    history_figure : str
        File of the figure of the star-formation history; empty for none.
    derived : bool
        Whether tables of derived quantities are wanted.
    """

    results: str
    products: str
    figures: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, str] = field(default_factory=dict)
    history_figure: str = ""
    derived: bool = True


def close_stage(result: StageResult, plot_result: bool) -> StageResult:
    """Make what belongs to a finished stage, in a process of its own; a failure is reported and loses nothing.

    Parameters
    ----------
    result : StageResult
    plot_result : bool
        Whether figures are drawn.

    Returns
    -------
    StageResult
        With figures and goodness of fit.
    """
    if result.best_fit is None or result.summary is None:
        return result
    order = _order(result.stage, plot_result)
    if not order.figures and all(module.class_name is None for module in result.stage.modules):
        return result  # a user's own modules have no tables of ours
    Path(order.products).unlink(missing_ok=True)
    made, complaint = _carry_out(order, result.stage)
    while complaint and made.get("drawing"):
        # the module that crashed takes its own figure along; the others are drawn by a new process
        crashed = made.pop("drawing")
        made["problems"].append(f"no figure of {crashed}: {complaint}")
        if crashed not in order.figures:
            break  # the last figure, of the history
        names = list(order.figures)
        left = {name: order.figures[name] for name in names[names.index(crashed) + 1 :]}
        order = replace(order, figures=left, lines={}, derived=False)
        again, complaint = _carry_out(order, result.stage)
        made["figures"] |= again["figures"]
        made["problems"] += again["problems"]
        made["drawing"] = again.get("drawing")
    made.pop("drawing", None)
    write_atomically(Path(order.products), json.dumps(made, indent=1) + "\n")
    products = read_products(result.stage.paths)
    for problem in products.problems:
        logger.warning("stage %s: %s", result.name, problem)
    if complaint and not products.problems:
        logger.warning("figures and tables of stage %s are not complete: %s", result.name, complaint)
    return replace(result, figures=products.figures, goodness=products.goodness)


def _carry_out(order: Order, stage: Stage) -> tuple[dict[str, Any], str]:
    """Carry out an order in a process of its own; return its record, and how the process ended if not well."""
    command = [sys.executable, "-P", "-m", PROGRAM, str(stage.paths.params), json.dumps(asdict(order))]
    limit = stage.sections.get("runtime", {}).get("timeout")
    complaint = ""
    try:
        code = run_warm(command, stage.paths.log, append=True, timeout=float(limit) if limit else None)
    except (TimedOut, ProcessLost, OSError, StageError) as error:
        complaint = str(error)
    else:
        if code != 0:
            ending = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            complaint = f"its process {ending}; see {stage.paths.log}"
    try:
        record: dict[str, Any] = json.loads(Path(order.products).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = {}
    return {"figures": {}, "goodness": {}, "problems": [], **record}, complaint


def _order(stage: Stage, plot_result: bool) -> Order:
    with_lines = [module.name for module in stage.modules if module.options.get("measure_emission_lines")]
    return Order(
        results=str(stage.paths.chain),
        products=str(stage.paths.products),
        figures={m.name: str(_figure_path(stage, m.name)) for m in stage.modules} if plot_result else {},
        lines={name: str(stage.paths.emission_lines(name)) for name in with_lines},
        history_figure=str(stage.formation_history_figure) if plot_result else "",
        derived=bool(stage.sections.get("output", {}).get("derived", True)),
    )


def _figure_path(stage: Stage, module: str) -> Path:
    """Return the user's ``output.figurename``, or the name made in `StagePaths`; one per module."""
    if stage.figure_name is None:
        return stage.paths.figure(module)
    chosen = Path(stage.figure_name)
    return chosen if len(stage.modules) == 1 else chosen.with_name(f"{chosen.stem}_{module}{chosen.suffix}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out an order; return 0, or 1 if the modules cannot be rebuilt."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s: %(message)s")
    work = _Closing(Order(**json.loads(words[1])))
    made = work.modules_are_built()
    if made:
        work.tables()
        work.figures()
    work.write()
    sys.stdout.flush()
    return 0 if made else 1


class _Closing:
    """The work on one order; what fails is noted and the rest goes on."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.drawn: dict[str, str] = {}
        self.goodness: dict[str, dict[str, float]] = {}
        self.problems: list[str] = []
        self.modules: dict[str, Any] = {}
        self.block: Any = None

    def write(self, drawing: str | None = None) -> None:
        """Write what was made so far, and what is about to be drawn, which a module can crash in."""
        record = {"figures": self.drawn, "goodness": self.goodness, "problems": self.problems}
        if drawing is not None:
            record["drawing"] = drawing
        write_atomically(Path(self.order.products), json.dumps(record, indent=1) + "\n")

    def modules_are_built(self) -> bool:
        """Rebuild the modules and evaluate them at the best fit."""
        from orchestrator.fit.reader import Reader
        from orchestrator.fit.summary import summarize_results

        def build() -> None:
            self.reader = Reader.from_results_file(self.order.results)
            self.summary = summarize_results(self.reader.chain)
            row = self.summary.best_fit.row
            self.block = self.reader.solution_to_datablock(self.reader.solution_to_dict(row))
            for name in self.reader.modules:
                try:
                    self.modules[name] = self.reader.get_module(name)
                except NoModuleClassError as error:  # a user's own module of functions: the others can be drawn
                    if name in self.order.figures:
                        self.problems.append(f"no figure of {name}: {error}")
            for module in self.modules.values():
                module.execute(self.block)  # in order, so that each figure shows the mass that all data share

        return self._attempt("the modules cannot be rebuilt for figures and tables", build)

    def tables(self) -> None:
        """Write derived quantities and emission lines, and note the goodness of the fit."""
        from orchestrator.fit.derive import write_derived
        from orchestrator.stage import StagePaths

        if self.order.derived:
            paths = StagePaths(Path(self.order.results))
            self._attempt(
                "no derived quantities", lambda: write_derived(self.summary, self.reader, self.modules, paths)
            )
        for name, path in self.order.lines.items():
            self._attempt(f"no emission lines of {name}", partial(self._lines, name, Path(path)))
        for name, module in self.modules.items():
            if callable(getattr(module, "goodness_of_fit", None)):
                self._attempt(f"no goodness of fit of {name}", partial(self._goodness, name, module))

    def figures(self) -> None:
        """Draw what was ordered."""
        for name, path in self.order.figures.items():
            if name not in self.modules:
                continue  # said when it was built
            self.write(drawing=name)
            self._attempt(f"no figure of {name}", partial(self._draw, name, path))
        if self.order.history_figure:
            self.write(drawing="the star-formation history")
            self._attempt("no figure of the star-formation history", self._draw_history)

    def _attempt(self, failure: str, work: Callable[[], object]) -> bool:
        """Do a part of the work; a failure of any kind is noted, with its traceback in the log."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a module may raise anything, and its figure is not worth the fit
            logger.exception("%s", failure)
            self.problems.append(f"{failure}: {type(error).__name__}: {error}")
            return False
        return True

    def _lines(self, name: str, path: Path) -> None:
        self.modules[name].measure_emission_lines(self.block).write(path)
        logger.info("emission lines of %s are in %s", name, path.name)

    def _goodness(self, name: str, module: Any) -> None:
        self.goodness[name] = asdict(module.goodness_of_fit(self.block))

    def _draw(self, name: str, path: str) -> None:
        self.modules[name].plot_solution(self.block, figname=path)
        folder = Path(self.order.products).parent
        drawn = Path(path)
        self.drawn[name] = str(drawn.relative_to(folder) if drawn.is_relative_to(folder) else drawn)

    def _draw_history(self) -> None:
        from orchestrator.fit.stage_result import load_run
        from orchestrator.report.sfh_figure import plot_formation_history

        result = load_run(self.order.results)
        if result.formation_history is not None:
            path = Path(self.order.history_figure)
            plot_formation_history(result.formation_history, path, derived=result.derived, title=result.name)


if __name__ == "__main__":
    sys.exit(main())
