"""The engine of a site: something that takes calls and hands them to workers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from orchestrator.errors import ProductionError, nearest_known
from orchestrator.fit.local_pool import open_local_pool
from orchestrator.fit.mpi import one_thread_each
from orchestrator.production.site import Site

__all__ = ["PINNED_PARSL", "Serial", "open_executor"]

PINNED_PARSL = "2026.10.26"
"""The version that the guards of `parsl_engine` were tested with; as in pyproject.toml."""


class Serial(Executor):
    """Runs every call in this process, while it is submitted."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `concurrent.futures.Executor.submit`; the future that comes back is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as every executor does: it is the caller's
            future.set_exception(error)
        return future


@contextmanager
def open_executor(site: Site, *, production: Path) -> Iterator[Executor]:
    """Start the engine of a site, and end it with everything that it has started.

    Parameters
    ----------
    site : Site
    production : Path
        Folder of the production; the engine's own logs go to ``logs/parsl`` in it.

    Yields
    ------
    Executor
        Application errors are exceptions of the futures and never tried again here; `is_lost` tells apart calls
        whose worker went away.

    Raises
    ------
    ProductionError
        If the engine cannot be started.
    """
    with one_thread_each(), _engine(site, production) as executor:
        yield executor


def _engine(site: Site, production: Path) -> AbstractContextManager[Executor]:
    if site.executor == "serial":
        return Serial()
    if site.executor == "local":
        return open_local_pool(site.n_slots)
    if site.executor in ("allocation", "slurm"):
        _check_parsl(site.executor)
        from orchestrator.production.engine.parsl_engine import open_parsl

        return open_parsl(site, production)
    return _from_factory(site)


def _check_parsl(executor: str) -> None:
    install = f"pip install 'galaxy-orchestrator[slurm]', which brings parsl=={PINNED_PARSL}"
    try:
        found = version("parsl")
    except PackageNotFoundError:
        msg = f"site.executor: {executor!r} needs Parsl, which is not installed; {install}"
        raise ProductionError(msg) from None
    if found != PINNED_PARSL:
        msg = f"site.executor: {executor!r} is tested with parsl {PINNED_PARSL}, found {found}; {install}"
        raise ProductionError(msg)


@contextmanager
def _from_factory(site: Site) -> Iterator[Executor]:
    """Call ``module:factory`` with the site's options."""
    factory = _find_factory(site.executor)
    try:
        made = factory(**site.factory_options)
    except TypeError as error:
        msg = f"site.executor: {site.executor!r} does not take site.factory_options: {error}"
        raise ProductionError(msg) from error
    if not hasattr(made, "__enter__"):
        msg = (
            f"site.executor: {site.executor!r} returned a {type(made).__name__}; expected a "
            "concurrent.futures.Executor, or a context manager of one"
        )
        raise ProductionError(msg)
    with made as executor:
        if not callable(getattr(executor, "submit", None)):
            msg = (
                f"site.executor: the context manager of {site.executor!r} gave a {type(executor).__name__}, which "
                "has no `submit`; expected a concurrent.futures.Executor"
            )
            raise ProductionError(msg)
        yield executor


def _find_factory(name: str) -> Callable[..., Any]:
    module_name, _, function = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        msg = (
            f"site.executor: {name!r} names the module {module_name!r}, which cannot be imported ({error}); install "
            "it, or put its folder on PYTHONPATH"
        )
        raise ProductionError(msg) from error
    factory = getattr(module, function, None)
    if not callable(factory):
        known = [entry for entry in vars(module) if not entry.startswith("_")]
        msg = f"site.executor: module {module_name!r} has no function {function!r}{nearest_known(function, known)}"
        raise ProductionError(msg)
    return factory
