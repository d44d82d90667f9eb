"""What a sampler process imports, imported once; and how to see that it has changed since."""

from __future__ import annotations

import configparser
import contextlib
import importlib
import os
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["changed_file", "import_everything", "import_for_figures", "shadowed_name"]

Stamps = dict[str, tuple[int, int]]

_PACKAGES = (
    "orchestrator.physics",
    "orchestrator.observation",
    "orchestrator.ssp_libraries",
    "orchestrator.forward_model",
    "orchestrator.adapters",
)
_MODULES = (
    "cosmosis.main",
    "orchestrator.fit.sampler_steps",
    # Not the files that define samplers: a sampler exists in a stage only if its ini file asks for it.
    "orchestrator.fit.samplers.batch_posterior",
    "orchestrator.fit.samplers.moves",
    "orchestrator.fit.samplers.multistart",
    "orchestrator.fit.samplers.stopping",
    "orchestrator.fit.samplers.vector_prior",
    "orchestrator.fit.samplers.walkers",
    "emcee",
    "scipy.optimize",
    "scipy.stats",
    "astropy.table",
    "astropy.io.fits",
    "astropy.io.ascii",
    # CosmoSIS writes the state of the repository that it runs in.
    "dulwich.repo",
    "dulwich.config",
    "dulwich.worktree",
    "encodings.ascii",
)


_FOR_FIGURES = (
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "orchestrator.fit.reader",
    "orchestrator.fit.stage_result",
)


def import_everything() -> Stamps:
    """Import what the stages need, and load the compiled kernels that are in numba's cache.

    A module that cannot be imported is left to the stage that needs it.

    Returns
    -------
    dict
        Modification time (ns) and size of our files, taken before they were imported, and of the front file
        of every other package.
    """
    before = _stamps(_own_files())
    for name in _MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name in _PACKAGES:
        _import_all_of(name)
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("orchestrator.physics."):
            _load_kernels(module)
    return _stamps_of_imported(before)


def import_for_figures() -> Stamps:
    """Import what the figures of a stage need; return the stamps as `import_everything` does."""
    before = _stamps(_own_files())
    for name in _FOR_FIGURES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    _import_all_of("orchestrator.report")
    return _stamps_of_imported(before)


def _import_all_of(name: str) -> None:
    package = importlib.import_module(name)
    for entry in pkgutil.iter_modules(package.__path__, f"{name}."):
        with contextlib.suppress(ImportError):
            importlib.import_module(entry.name)


def _stamps_of_imported(before: Stamps) -> Stamps:
    files = {name: module.__file__ for name, module in list(sys.modules.items()) if _has_file(module)}
    ours = {file: before[file] for file in files.values() if file in before}
    return _stamps(file for name, file in files.items() if "." not in name and file) | ours


def _own_files() -> Iterator[str]:
    for name in ("orchestrator", "orchestrator.modules"):
        for folder in importlib.import_module(name).__path__:
            yield from map(str, Path(folder).rglob("*.py"))


def _has_file(module: ModuleType) -> bool:
    return isinstance(getattr(module, "__file__", None), str)


def _stamps(files: Iterator[str]) -> Stamps:
    stamps = {}
    for file in files:
        with contextlib.suppress(OSError):
            status = os.stat(file)
            stamps[file] = (status.st_mtime_ns, status.st_size)
    return stamps


def changed_file(stamps: Mapping[str, tuple[int, int]]) -> str:
    """Return the first file that is not what was imported, empty if there is none."""
    now = _stamps(iter(stamps))
    return next((file for file, stamp in stamps.items() if now.get(file) != stamp), "")


def _load_kernels(module: ModuleType) -> None:
    """Load what numba's cache on disk holds for the functions of a module; nothing is compiled.

    Numba loads a kernel at its first call. Which signatures it has cached is known to the cache only, and not
    by a public name: where that differs, the stages load their kernels themselves.
    """
    for function in list(vars(module).values()):
        cache = getattr(function, "_cache", None)
        if not hasattr(cache, "_cache_file") or getattr(function, "__module__", "") != module.__name__:
            continue
        with contextlib.suppress(AttributeError, TypeError, ValueError, OSError):
            for signature in _cached_signatures(cache, function.targetctx.codegen()):
                function.compile(signature)


def _cached_signatures(cache: Any, generator: Any) -> list[Any]:
    """Return the signatures that were compiled for this processor: a home folder may serve several kinds."""
    return [key[0] for key in cache._cache_file._load_index() if key == cache._index_key(key[0], generator)]


def shadowed_name(params: str) -> str:
    """Find a file beside the modules of an ini file that has the name of something imported here.

    CosmoSIS puts the folder of a module file first on the search path and imports the file by its bare name;
    so it finds the file's neighbours. What is imported already under such a name would be taken instead.

    Parameters
    ----------
    params : str
        CosmoSIS ini file.

    Returns
    -------
    str
        The name; empty if there is none, or if the file cannot be read (the launcher then says why).
    """
    from cosmosis.runtime.config import Inifile

    try:
        ini = Inifile(params, print_include_messages=False)
        files = [ini.get(section, "file", fallback="") for section in ini.sections()]
    except (configparser.Error, OSError, ValueError):
        return ""
    for folder in {Path(file).parent for file in files if file}:
        with contextlib.suppress(OSError):
            for path in folder.iterdir():
                name = path.name.split(".")[0]
                loaded = sys.modules.get(name)
                is_python = path.suffix in (".py", ".so") or (path / "__init__.py").is_file()
                if loaded is not None and is_python and not _lies_in(loaded, folder):
                    return name
    return ""


def _lies_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and folder.resolve() in Path(file).resolve().parents
