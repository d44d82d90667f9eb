"""Stages run in children of a server: what a fresh process guarantees holds there too."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config.check import build_stages, stage_values
from orchestrator.errors import StageError
from orchestrator.fit import runner, server_link, warm
from orchestrator.fit.runner import run_stage
from orchestrator.fit.server_imports import changed_file

MODULE = """
import ctypes, os, signal, subprocess, sys, time
OFFSET = 0.0

def setup(options):
    return options["module_options", "trap"]

def execute(block, trap):
    print("printed by the module", flush=trap != "segfault")
    if trap == "segfault":
        sys.stdout.flush()
        ctypes.string_at(0)
    if trap == "exit":
        os._exit(9)
    if trap == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if trap == "raise":
        raise RuntimeError("on purpose")
    if trap in ("hang", "stubborn"):
        if trap == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "60"])
        print("processes", os.getpid(), child.pid, flush=True)
        time.sleep(60)
    if trap == "talk":
        os.write(1, b"written to 1\\n")
        os.write(2, b"written to 2\\n")
        subprocess.run(["echo", "from a grandchild"])
        print("stdin", repr(sys.stdin.read()), "folder", os.getcwd(), "mark", os.environ.get("MARK"))
        print("last words")
    block["likelihoods", "gaussian_like"] = -0.5 * (block["toy", "a"] - 2.0) ** 2 + OFFSET
    block["extra", "radius"] = OFFSET
    return 0
"""


@pytest.fixture
def make_stage(make_config, tmp_path):
    """A function that returns a stage of the module above."""
    module = tmp_path / "toy_of_warm_stages.py"
    module.write_text(MODULE)

    def make(name, trap="no", sampler="test", *, file=module, timeout=None, n_cores=1):
        config = make_config(tmp_path / name, sampler, file=str(file), trap=trap, values={"toy": {"a": "-10 1 10"}})
        (stage,) = build_stages([config], [1])
        runtime = {**stage.sections["runtime"], **({"timeout": timeout} if timeout else {})}
        return replace(stage, sections={**stage.sections, "runtime": runtime}, n_cores=n_cores)

    return make


def run(stage):
    return run_stage(stage, stage_values(stage))


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition, seconds=60.0):
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)
    return condition()


def processes_in(log):
    """The child and the grandchild that the module wrote down; None before it has."""
    for line in log.read_text().splitlines() if log.exists() else ():
        if line.startswith("processes "):
            return [int(word) for word in line.split()[1:]]
    return None


@pytest.fixture
def hanging(make_stage):
    """A stage that hangs, in a thread; its processes and what it raised."""
    stage = make_stage("hanging", "hang")
    raised = []

    def work():
        try:
            run(stage)
        except StageError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert wait_for(lambda: processes_in(stage.paths.log))
    yield stage, processes_in(stage.paths.log), thread, raised
    for process in processes_in(stage.paths.log):
        if is_alive(process):
            os.kill(process, signal.SIGKILL)
    thread.join(20)


def imports_of(log):
    return [line.split("|")[-1].strip() for line in log.read_text().splitlines() if "import time:" in line]


def test_a_warm_stage_imports_little(make_stage, monkeypatch):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    stages = [make_stage(f"stage{number}", sampler="maxlike") for number in range(3)]
    for stage in stages[:2]:
        run(stage)
    monkeypatch.setenv(warm.SWITCH, "0")
    run(stages[2])
    first, second, cold = (imports_of(stage.paths.log) for stage in stages)
    assert {"cosmosis.main", "scipy.stats", "toy_of_warm_stages"} <= set(cold)
    assert len(second) < 0.05 * len(cold)
    assert set(second) <= set(first)
    assert "toy_of_warm_stages" in second  # the user's own file is read by every stage
    assert {name for name in second if name.startswith(("cosmosis", "scipy", "numpy", "astropy"))} == set()


@pytest.mark.parametrize(
    ("trap", "exit_code", "reason"),
    [
        ("segfault", -signal.SIGSEGV, "signal 11"),
        ("exit", 9, "exit code 9"),
        ("kill", -signal.SIGKILL, "signal 9"),
        ("raise", 3, r"\[Toy\] raised RuntimeError .*on purpose"),
    ],
)
def test_a_module_takes_nothing_down_but_its_child(make_stage, trap, exit_code, reason):
    run(make_stage("before"))
    server = warm.server_process()
    with pytest.raises(StageError, match=reason) as caught:
        run(make_stage("trapped", trap))
    assert caught.value.exit_code == exit_code
    assert "printed by the module" in caught.value.log_file.read_text()
    run(make_stage("after"))
    assert warm.server_process() == server
    assert is_alive(server)


@pytest.mark.parametrize("trap", ["hang", "stubborn"])
def test_timeout_ends_child_and_grandchild(make_stage, trap):
    run(make_stage("before"))
    server = warm.server_process()
    stage = make_stage("trapped", trap, timeout=1.5)
    with pytest.raises(StageError, match=r"stopped after 1\.5 s, as runtime\.timeout says"):
        run(stage)
    assert not any(is_alive(process) for process in processes_in(stage.paths.log))
    run(make_stage("after"))
    assert warm.server_process() == server


@pytest.fixture
def interruptible():
    """Python's own handler of an interruption: a run in the background of a shell inherits that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "exception"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_interruption_of_this_process_ends_the_stage(make_stage, number, exception):
    stage = make_stage("trapped", "hang")

    def interrupt():
        wait_for(lambda: processes_in(stage.paths.log))
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt).start()
    with pytest.raises(exception):
        run(stage)
    assert not any(is_alive(process) for process in processes_in(stage.paths.log))
    run(make_stage("after"))


def test_a_killed_server_is_a_failed_stage_and_the_next_one_works(make_stage, hanging):
    _, (child, grandchild), thread, raised = hanging
    server = warm.server_process()
    os.kill(server, signal.SIGKILL)
    thread.join(15)
    assert "ended unexpectedly" in str(raised[0])
    assert shlex.split(raised[0].command)[0] == sys.executable
    assert not is_alive(child)
    assert not is_alive(grandchild)
    run(make_stage("after"))
    assert warm.server_process() not in (None, server)


def test_a_server_killed_between_stages_is_replaced(make_stage, caplog):
    run(make_stage("before"))
    server = warm.server_process()
    os.kill(server, signal.SIGKILL)
    assert wait_for(lambda: not is_alive(server))
    run(make_stage("after"))
    assert warm.server_process() not in (None, server)
    assert "from scratch" not in caplog.text


def test_without_a_server_the_stage_runs_from_scratch(make_stage, monkeypatch, caplog):
    warm.stop_server()
    monkeypatch.setattr(server_link, "START_SECONDS", 0.0)
    stage = make_stage("cold")
    run(stage)
    assert caplog.text.count("the sampler process starts from scratch") == 1
    assert stage.paths.log.read_text().count("printed by the module") >= 1
    assert warm.server_process() is None


def test_the_child_and_not_the_server_holds_the_lock(hanging):
    stage, (child, _), _, _ = hanging

    def holds(process):
        return str(stage.paths.lock) in {os.readlink(f) for f in Path(f"/proc/{process}/fd").iterdir()}

    assert holds(child)
    assert not holds(warm.server_process())
    assert not any("socket:" in os.readlink(f) for f in Path(f"/proc/{child}/fd").iterdir())
    with stage.paths.lock.open("rb") as stream, pytest.raises(BlockingIOError):
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    command = Path(f"/proc/{child}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    assert command[:4] == [sys.executable.encode(), b"-P", b"-m", b"orchestrator.fit.launch"]
    assert os.getsid(child) == os.getpgid(child) == child


def test_the_log_is_complete(make_stage, tmp_path, monkeypatch):
    run(make_stage("before"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("MARK", "set after the server began")
    stage = make_stage("talking", "talk")
    run(stage)
    lines = stage.paths.log.read_text().splitlines()
    assert "orchestrator.fit.launch" in lines[0]
    begin = lines.index("printed by the module")
    expected = ["printed by the module", "written to 1", "written to 2", "from a grandchild"]
    assert lines[begin : begin + 4] == expected
    assert lines[begin + 4] == f"stdin '' folder {tmp_path}/elsewhere mark set after the server began"
    assert lines.count("last words") == lines.count("from a grandchild") >= 1


def test_an_edited_module_file_is_read_anew(make_stage, tmp_path):
    def log_likelihood():
        stage = make_stage("edited", sampler="apriori")
        stage = replace(stage, sections={**stage.sections, "apriori": {"nsample": 2}})
        run(stage)
        return [float(line.split()[1]) for line in stage.paths.chain.read_text().splitlines() if line[0] != "#"]

    assert log_likelihood() == [0.0, 0.0]
    server = warm.server_process()
    path = tmp_path / "toy_of_warm_stages.py"
    path.write_text(path.read_text().replace("OFFSET = 0.0", "OFFSET = -7.25"))
    assert log_likelihood() == [-7.25, -7.25]
    assert warm.server_process() == server


def test_a_change_in_what_the_server_imported_starts_another(make_stage, tmp_path, monkeypatch):
    package = tmp_path / "packages" / "dulwich"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    run(make_stage("one"))
    server = warm.server_process()
    run(make_stage("two"))
    assert warm.server_process() == server
    (package / "__init__.py").write_text("CHANGED = True\n")
    run(make_stage("three"))
    assert warm.server_process() != server
    assert wait_for(lambda: not is_alive(server))


IMPORTS = """
import json, sys, time
from orchestrator.fit.server_imports import import_everything
stamps = import_everything()
from orchestrator.physics import losvd
loaded, hits, misses = (len(losvd._transform.signatures), *map(len, losvd._transform.stats[1:]))
print(json.dumps({"files": sorted(stamps), "loaded": loaded, "hits": hits, "misses": misses}))
"""


def test_what_the_server_imports(project_root):
    code = (
        "from orchestrator.physics.losvd import losvd_rfft as f; import numpy as n; z = n.zeros(1); f(64, z, z + 3)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)  # the kernel is in numba's cache now
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True, timeout=120)
    record = json.loads(done.stdout)
    files = set(record["files"])
    assert str(project_root / "orchestrator" / "adapters" / "spectrum_module.py") in files
    assert str(project_root / "orchestrator" / "physics" / "losvd.py") in files
    modules = {str(file) for file in (project_root / "modules").glob("*.py") if file.stem != "__init__"}
    assert modules
    assert files.isdisjoint(modules)  # read by the stages
    assert not any("matplotlib" in file or "speclite" in file or "mpi4py" in file for file in files)
    assert record["loaded"] == record["hits"] >= 1
    assert record["misses"] == 0


def test_a_changed_file_is_found(tmp_path):
    file = tmp_path / "one.py"
    file.write_text("a = 1\n")
    status = file.stat()
    stamps = {str(file): (status.st_mtime_ns, status.st_size)}
    assert changed_file(stamps) == ""
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert changed_file(stamps) == str(file)
    file.unlink()
    assert changed_file(stamps) == str(file)


def test_the_server_may_begin_early(make_stage):
    warm.stop_server()
    assert warm.server_process() is None
    warm.start_server()
    server = warm.server_process()
    run(make_stage("one"))
    assert warm.server_process() == server


def test_a_module_file_with_the_name_of_a_package(make_stage, tmp_path):
    file = tmp_path / "own" / "emcee.py"
    file.parent.mkdir()
    file.write_text(MODULE)
    stage = make_stage("named", file=file)
    run(stage)
    assert "printed by the module" in stage.paths.log.read_text()


def test_stages_in_threads(make_stage):
    run(make_stage("before"))
    server = warm.server_process()
    raised = []

    def work(name, trap):
        try:
            run(make_stage(name, trap))
        except StageError as error:
            raised.append(error.exit_code)

    traps = ["no", "exit", "no", "segfault"]
    threads = [threading.Thread(target=work, args=(f"t{i}", trap)) for i, trap in enumerate(traps)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(raised) == [-signal.SIGSEGV, 9]
    assert warm.server_process() == server
    assert Path(f"/proc/{server}/task/{server}/children").read_text() == ""


def test_a_local_pool_runs_inside_the_child(make_config, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "find_mpiexec", lambda: None)
    (stage,) = build_stages([make_config(tmp_path / "pool", "emcee")], [2])
    record = run(stage)
    assert record.n_rows == 16 * 40
    assert "on a local pool of 2 processes" in record.log.read_text()
    assert Path(f"/proc/{warm.server_process()}/task/{warm.server_process()}/children").read_text() == ""


def test_threads_of_the_user(make_stage, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    stage = make_stage("threads")
    run(stage)
    assert "from scratch: OMP_NUM_THREADS = 2" in caplog.text
    assert "threads in all" not in caplog.text
    assert runner.sampler_environment()["OPENBLAS_NUM_THREADS"] == "2"
    runner._say_threads(replace(stage, n_cores=3))
    assert "n_cores = 3 processes x OMP_NUM_THREADS = 2 is 6 threads in all" in caplog.text


SCRIPT = """
import os, sys
from orchestrator import MainPipeline
from orchestrator.fit import warm
print("begun", os.getpid(), flush=True)
configs = {configs!r}
MainPipeline(configs[:1]).run()
server = warm.server_process()
MainPipeline(configs[1:2]).run()
print("same server", warm.server_process() == server, flush=True)
if os.fork() == 0:
    MainPipeline(configs[:1]).run()
    print("own server", warm.server_process() not in (None, server), flush=True)
    sys.exit(0)
print("child", os.wait()[1], flush=True)
MainPipeline(configs[1:2]).run()
print("same server", warm.server_process() == server, flush=True)
print("server", server, flush=True)
"""


def test_an_unguarded_script_runs_once(make_config, tmp_path):
    configs = [make_config(tmp_path / name, "maxlike") for name in ("one", "two")]
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(configs=configs))
    done = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    words = [line for line in lines if not line.startswith(("begun", "server"))]
    assert words == ["same server True", "own server True", "child 0", "same server True"]
    assert sum(line.startswith("begun") for line in lines) == 1
    assert not is_alive(int(lines[-1].split()[1]))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_parent_goes(make_config, tmp_path, make_stage, number):
    module = make_stage("unused").modules[0].file
    config = make_config(tmp_path / "fit", "test", file=str(module), trap="hang")
    script = f"from orchestrator import MainPipeline; MainPipeline([{config!r}]).execute_all()"
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as parent:
        assert wait_for(lambda: processes_in(tmp_path / "fit.log"), 30)
        processes = processes_in(tmp_path / "fit.log")
        processes.append(int(Path(f"/proc/{processes[0]}/stat").read_text().rpartition(")")[2].split()[1]))
        assert processes[2] != parent.pid
        parent.send_signal(number)
        parent.wait(20)
    assert wait_for(lambda: not any(is_alive(process) for process in processes))
