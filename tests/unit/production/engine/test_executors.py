"""Which engine a word of the site gives, and what is said when it gives none."""

from __future__ import annotations

import os
import re
import sys
import tomllib
import types
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError

import pytest

from orchestrator.errors import ProductionError
from orchestrator.production.engine import executors
from orchestrator.production.engine.executors import PINNED_PARSL, Serial, open_executor
from orchestrator.production.site import Site


@pytest.fixture
def user_module(monkeypatch):
    module = types.ModuleType("user_engine")
    monkeypatch.setitem(sys.modules, "user_engine", module)
    return module


def refusal(site: Site, folder) -> str:
    with pytest.raises(ProductionError) as caught, open_executor(site, production=folder):
        pass
    return str(caught.value)


def test_serial_runs_here_and_keeps_errors_in_the_future():
    with Serial() as executor:
        assert executor.submit(os.getpid).result() == os.getpid()
        assert isinstance(executor.submit(int, "x").exception(), ValueError)


def test_serial_lets_an_interrupt_through():
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Serial().submit(interrupt)


def test_a_factory_gets_the_options_of_the_site(user_module, tmp_path):
    user_module.threads = lambda n: ThreadPoolExecutor(n)
    site = Site(executor="user_engine:threads", factory_options={"n": 1})
    with open_executor(site, production=tmp_path) as executor:
        assert isinstance(executor, Executor)
        assert executor.submit(abs, -2).result() == 2
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, -2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("no_such_module_here:factory", {}, "'no_such_module_here', which cannot be imported.*PYTHONPATH"),
        ("user_engine:thread", {}, "no function 'thread'; did you mean 'threads'"),
        ("user_engine:threads", {"m": 1}, "does not take site.factory_options.*'m'"),
        ("user_engine:number", {}, "returned a int; expected a concurrent.futures.Executor"),
        ("user_engine:nothing", {}, "gave a NoneType, which has no `submit`"),
    ],
)
def test_a_factory_that_is_none(user_module, tmp_path, name, options, message):
    user_module.threads = lambda n=1: ThreadPoolExecutor(n)
    user_module.number = lambda: 3
    user_module.nothing = nullcontext
    assert re.search(message, refusal(Site(executor=name, factory_options=options), tmp_path))


def test_another_version_of_parsl_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(executors, "PINNED_PARSL", "1.2.3")
    text = refusal(Site(executor="slurm"), tmp_path)
    assert "tested with parsl 1.2.3, found" in text
    assert "parsl==1.2.3" in text


def test_a_missing_parsl_is_named_with_its_cure(monkeypatch, tmp_path):
    def nothing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(executors, "version", nothing)
    text = refusal(Site(executor="allocation"), tmp_path)
    assert "needs Parsl, which is not installed" in text
    assert "galaxy-orchestrator[slurm]" in text


def test_the_pin_is_that_of_the_package(project_root):
    extras = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert f"parsl=={PINNED_PARSL}" in extras["slurm"]


def test_only_one_file_imports_parsl(project_root):
    folder = project_root / "orchestrator"
    importing = [
        file.name
        for file in folder.rglob("*.py")
        if any(line.startswith(("import parsl", "from parsl")) for line in file.read_text().splitlines())
    ]
    assert importing == ["parsl_engine.py"]


def test_an_allocation_outside_of_slurm_is_refused(monkeypatch, tmp_path):
    monkeypatch.delenv("SLURM_JOB_NUM_NODES", raising=False)
    assert "inside sbatch or salloc" in refusal(Site(executor="allocation"), tmp_path)


def test_a_folder_that_parsl_cannot_take_is_refused(tmp_path):
    assert "no blanks or special characters" in refusal(Site(executor="slurm"), tmp_path / "a b")


def test_a_machine_without_slurm_is_told_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "is this a machine of the cluster?" in refusal(Site(executor="slurm"), tmp_path)


def test_workers_use_one_thread_each_and_the_driver_gets_its_settings_back(monkeypatch, tmp_path):
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with open_executor(Site(executor="serial"), production=tmp_path):
        assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("1", "3")
    assert "OMP_NUM_THREADS" not in os.environ
