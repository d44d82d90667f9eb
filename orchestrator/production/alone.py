"""One stage of one target alone: the same options and seeds as in the production, without its ledger.

::

    python -m orchestrator.production.alone PRODUCTION TARGET STAGE [--recipe N] [--output FOLDER]

Fit stages run through `MainPipeline`, after the fit stages that they need, and leave all their files; a function or
command gets the files and columns that the ledger has, and what it gives is printed.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import OrchestratorError, ProductionError, nearest_known
from orchestrator.production.ledger.ledger import open_ledger
from orchestrator.production.one_stage import run_stage
from orchestrator.production.plan import Plan, plan_of
from orchestrator.production.records import StagePlan, Target
from orchestrator.production.run_file import read_run_file
from orchestrator.production.stage_of_target import given_in_production
from orchestrator.production.target_config import stage_sections
from orchestrator.production.targets import folder_name

__all__ = ["alone_command", "needed_fits", "run_alone"]


def alone_command(production: str | Path, target: str, stage: str, recipe: int = 0) -> str:
    """Return the shell command that does one task alone."""
    words = [sys.executable, "-m", "orchestrator.production.alone", str(production), target, stage]
    return shlex.join([*words, *(["--recipe", str(recipe)] if recipe else [])])


def needed_fits(plan: Plan, stage: StagePlan) -> list[StagePlan]:
    """Return the fit stages that a stage needs, directly or through others, and itself if it is one; in order."""
    wanted = {stage.name}
    for each in reversed(plan.stages):
        if each.name in wanted:
            wanted |= set(each.needs)
    return [each for each in plan.stages if each.name in wanted and each.kind == "fit"]


def run_alone(
    production: str | Path, target_name: str, stage_name: str, *, recipe: int = 0, output: Path | None = None
) -> int:
    """Do one task alone; return 0, or 1 if it failed.

    Parameters
    ----------
    production : path
        Folder of the production.
    target_name, stage_name : str
    recipe : int
        Of the stage itself.
    output : Path, optional
        Folder for the files; ``alone/TARGET`` in the current folder if left out.

    Raises
    ------
    OrchestratorError
        If there is no such target or stage, or its configuration is at fault.
    """
    run_file = read_run_file(production, look=False)
    plan = plan_of(run_file)
    names = [stage.name for stage in plan.stages]
    if stage_name not in names:
        msg = f"there is no stage {stage_name!r}{nearest_known(stage_name, names)}"
        raise ProductionError(msg)
    stage = plan.stage(stage_name)
    if stage.kind != "fit":
        plan.add_python_path()
        folder = output or Path("alone") / folder_name(target_name)
        folder.mkdir(parents=True, exist_ok=True)
        given = given_in_production(run_file, plan, stage, target_name, folder)
        sys.stdout.write(run_stage(stage, ["--output", str(folder)], given) + "\n")
        return 0
    with open_ledger(run_file.ledger_url, read_only=True) as ledger:
        found = ledger.target(target_name)
    if found is None:
        msg = f"there is no target {target_name!r} in {run_file.name}"
        raise ProductionError(msg)
    target = found[1]
    return _fit(plan, stage, target, recipe, output or Path("alone") / folder_name(target_name))


def _fit(plan: Plan, stage: StagePlan, target: Target, recipe: int, output: Path) -> int:
    from orchestrator.main_pipeline import MainPipeline

    fits = needed_fits(plan, stage)
    output.mkdir(parents=True, exist_ok=True)
    configs = [
        stage_sections(
            plan, each, target, recipe=recipe if each is stage else 0, output=(output / each.name).absolute()
        )
        for each in fits
    ]
    return MainPipeline(configs, [each.n_cores for each in fits]).execute_all(plot_result=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and do the task."""
    parser = argparse.ArgumentParser(prog="python -m orchestrator.production.alone", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("production")
    parser.add_argument("target")
    parser.add_argument("stage")
    parser.add_argument("--recipe", type=int, default=0)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    try:
        return run_alone(given.production, given.target, given.stage, recipe=given.recipe, output=given.output)
    except OrchestratorError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
