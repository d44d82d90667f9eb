"""A production: one pipeline over many targets, in one folder, continued by the same call."""

from __future__ import annotations

import contextlib
import logging
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config.text_files import write_atomically
from orchestrator.errors import ProductionError
from orchestrator.production.breaker import Breaker
from orchestrator.production.driver import Drive, Driven, drive
from orchestrator.production.engine.allocation import end_of_allocation
from orchestrator.production.intake import Intake
from orchestrator.production.ledger.ledger import Ledger, open_ledger
from orchestrator.production.outcome import RunOutcome, Updated
from orchestrator.production.plan import Plan, plan_of, stage_hash, to_json
from orchestrator.production.progress_bar import progress_bar
from orchestrator.production.provenance import code_commit, versions
from orchestrator.production.reconcile import reconcile
from orchestrator.production.records import State
from orchestrator.production.resolved_file import write_resolved
from orchestrator.production.run_file import RunFile, read_run_file
from orchestrator.production.selection import EVERYTHING, Selection
from orchestrator.production.stopping import Stopping
from orchestrator.production.targets import read_targets

if TYPE_CHECKING:
    from astropy.table import Table

    from orchestrator.production.status_records import Preview, StatusTable, TargetStory, TargetWhy
    from orchestrator.production.submitting import Submitted

__all__ = ["Production"]

logger = logging.getLogger(__name__)

Watch = Callable[[Driven], None]


class Production:
    """A pipeline over a table of targets.

    Parameters
    ----------
    run_file : path or RunFile
        Run file, or folder of a production.
    settings : sequence of str
        ``name=value`` that change the run file, as on the command line.
    site : str, optional
        Name of a site.

    Raises
    ------
    ConfigError
        Listing every fault of the run file.

    Examples
    --------
    >>> production = Production("run.yaml")  # doctest: +SKIP
    >>> production.run().exit_code  # doctest: +SKIP
    0
    >>> production.results("history")  # doctest: +SKIP
    <Table length=1000> ...
    """

    def __init__(
        self, run_file: str | Path | RunFile, settings: Sequence[str] = (), site: str | None = None
    ) -> None:
        given = run_file if isinstance(run_file, RunFile) else read_run_file(run_file, settings, site)
        self.run_file: RunFile = given

    @property
    def folder(self) -> Path:
        """Folder of the production."""
        return self.run_file.output

    @cached_property
    def plan(self) -> Plan:
        """The stages as workers get them."""
        return plan_of(self.run_file)

    def run(
        self, selection: Selection = EVERYTHING, watch: Watch | None = None, *, progress: bool = False
    ) -> RunOutcome:
        """Do what is not done; the same call continues a run that has ended for whatever reason.

        Parameters
        ----------
        selection : Selection
            Targets and stages to work on.
        watch : callable, optional
            Called with the counts of the run after every commit.
        progress : bool
            Show a bar, in place of `watch`.

        Returns
        -------
        RunOutcome

        Raises
        ------
        ProductionError
            If another driver is at work, or engine or ledger are gone.
        """
        self._refuse_old_folder()
        # The signals are caught from here on: reading ten million rows of a table can be interrupted too.
        end = end_of_allocation() if self.run_file.site.executor == "allocation" else None
        stopping = Stopping(self.folder, end, self.run_file.site.stop_before_end)
        with self._writing() as ledger, stopping:
            self._run_script(self.run_file.pre_script, "pre_script")
            updated = self._update(ledger)
            self._release(ledger, selection)
            with contextlib.ExitStack() as stack:
                if progress:
                    watch = stack.enter_context(progress_bar(lambda: _n_open(ledger, selection)))
                driven = self._drive(ledger, stopping, selection, watch)
            outcome = RunOutcome(driven, ledger.counts(), updated)
            ledger.end_run(ledger.run_id, driven.stopped or ("complete" if outcome.is_complete else "incomplete"))
            if outcome.is_complete and not driven.stopped:
                self._run_script(self.run_file.post_script, "post_script")
        return outcome

    def update(self) -> Updated:
        """Bring the ledger up to date with run file, table and data, and run nothing.

        New rows of the table become new tasks; results that are stale become tasks again.
        """
        with self._writing() as ledger:
            updated = self._update(ledger)
            ledger.end_run(ledger.run_id, "updated")
        return updated

    def retry(self, selection: Selection = EVERYTHING) -> int:
        """Let failed tasks be tried again, those of the selection; return how many."""
        with self._writing() as ledger:
            return ledger.retry(selection)

    def status(self, selection: Selection = EVERYTHING) -> StatusTable:
        """Return how the production stands: counts per stage, rates, errors; tasks for a selection."""
        from orchestrator.production.status import read_status

        return read_status(self.folder, selection)

    def show(self, selection: Selection = EVERYTHING) -> Iterator[TargetStory]:
        """Yield what happened to each target of a selection."""
        from orchestrator.production.story import target_stories

        with self.reading() as ledger:
            yield from target_stories(self.plan, ledger, selection)

    def why(self, selection: Selection = EVERYTHING) -> Iterator[TargetWhy]:
        """Yield what makes each stage of each target of a selection current, stale, missing or failed."""
        from orchestrator.production.why import target_reasons

        with self.reading() as ledger:
            yield from target_reasons(self.plan, ledger, selection)

    def preview(self, action: str, selection: Selection = EVERYTHING) -> Preview:
        """Return what ``run``, ``retry`` or ``update`` would do.

        Raises
        ------
        ConfigError, ProductionError
            As the action itself.
        """
        from orchestrator.production.preview import preview

        return preview(self, action, selection)

    def submit(self, *, dry_run: bool = False) -> Submitted:
        """Write the scripts that run the production as one job, and submit the one for Slurm.

        Raises
        ------
        ProductionError
            If Slurm refuses it.
        """
        from orchestrator.production.submitting import submit

        self._prepare_folder()
        return submit(self.folder, self.run_file.site, dry_run=dry_run)

    def export(
        self,
        path: str | Path,
        stage: str | None = None,
        selection: Selection = EVERYTHING,
        *,
        columns: Sequence[str] | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write results to a FITS, Parquet, ECSV or CSV file, by its ending, and return its path.

        Parameters
        ----------
        path : path
        stage : str, optional
            All stages side by side if left out.
        selection : Selection
        columns : sequence of str, optional
            Only these.
        overwrite : bool
            Replace a file that is there.

        Raises
        ------
        ConfigError, ProductionError
            If the ending is unknown, a column or stage does not exist, or the file is there.
        """
        from orchestrator.production.export import export_results

        with self.reading() as ledger:
            written = export_results(ledger, stage, selection, path, columns=columns, overwrite=overwrite)
        return written.path

    def results(self, stage: str | None = None, selection: Selection = EVERYTHING) -> Table:
        """Return the results of a stage as an astropy table, with units and descriptions; of all if none is named.

        Raises
        ------
        ConfigError
            If there is no such stage.
        """
        from orchestrator.production.export import results_table

        with self.reading() as ledger:
            return results_table(ledger, stage, selection)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Ledger]:
        """Open the ledger to look at it.

        Raises
        ------
        ProductionError
            If the production has not been run yet.
        """
        with open_ledger(self.run_file.ledger_url, read_only=True) as ledger:
            yield ledger

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Ledger]:
        """Open the ledger as its only driver; write down what is about to be done."""
        self._make_folder()
        patience = self.run_file.site.ledger_patience
        with (
            open_ledger(self.run_file.ledger_url, create=True, name=self.run_file.name, patience=patience) as ledger,
            ledger.lock_driver(self.folder / "driver.lock"),
        ):
            self._prepare_folder()
            ledger.register_plan(self.plan.hash, [(stage, stage_hash(stage)) for stage in self.plan.stages])
            ledger.begin_run(
                versions=versions(),
                git_commit=code_commit(),
                seed=self.run_file.seed,
                site=self.run_file.site.model_dump(mode="json", exclude_defaults=True),
            )
            yield ledger

    def _refuse_old_folder(self) -> None:
        if not self.run_file.resume and (self.folder / "run.yaml").exists():
            msg = (
                f"{str(self.folder)!r} holds a production already, and the run file says 'resume: false'; give "
                "'output' another folder, or set 'resume: true' to continue"
            )
            raise ProductionError(msg)

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"the folder of the production {str(self.folder)!r} cannot be made: {error.strerror}"
            raise ProductionError(msg) from error

    def _prepare_folder(self) -> None:
        """Write the resolved run file and the plan."""
        self._make_folder()
        write_resolved(self.run_file)
        path = self.folder / self.plan.file
        if not path.is_file():
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, to_json(self.plan))

    def _update(self, ledger: Ledger) -> Updated:
        """Take in what lies in the spool, then compare everything with what it should be."""
        tally = Driven()
        Intake(ledger, self.folder, self.plan, Breaker(self.plan.stages), tally).take_in_everything()
        ledger.release_running()
        added = ledger.add_targets(read_targets(self.run_file))
        reconciled = reconcile(self.plan, ledger, self.folder)
        updated = Updated(added, reconciled, tally.n_done + tally.n_failed + tally.n_again)
        logger.info("%s", updated.to_text())
        return updated

    def _release(self, ledger: Ledger, selection: Selection) -> None:
        if selection.states:
            ledger.retry(selection)

    def _drive(
        self, ledger: Ledger, stopping: Stopping, selection: Selection, watch: Watch | None
    ) -> Driven:
        chosen = None
        if selection.targets or selection.where or selection.limit is not None:
            chosen = {task.target_id for task in ledger.tasks(selection)}
        setting = Drive(
            folder=self.folder,
            plan=self.plan,
            plan_file=self.plan.file,
            site=self.run_file.site,
            run=ledger.run_id,
            targets=chosen,
            stages=selection.stages,
        )
        return drive(setting, ledger, stopping, watch or (lambda _driven: None))

    def _run_script(self, script: Path | None, name: str) -> None:
        """Run a script of the user's in the folder of the production.

        Raises
        ------
        ProductionError
            If it fails.
        """
        if script is None:
            return
        log = self.folder / "logs" / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        logger.info("%s: %s", name, script)
        with log.open("w", encoding="utf-8") as stream:
            done = subprocess.run(
                ["bash", str(script)], cwd=self.folder, stdout=stream, stderr=subprocess.STDOUT, check=False
            )
        if done.returncode != 0:
            tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
            msg = f"{name} {shlex.quote(str(script))} ended with exit code {done.returncode}; end of {log}:\n{tail}"
            raise ProductionError(msg)


def _n_open(ledger: Ledger, selection: Selection) -> int:
    """Return the number of tasks of a selection that are still to be done."""
    open_ = (State.WAITING, State.READY, State.RUNNING)
    chosen = replace(selection, states=()) if selection.states else selection
    return sum(by.get(state, 0) for by in ledger.counts(chosen).values() for state in open_)
