"""Productions of a few quick targets, and the functions of their stages."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

from orchestrator.production.plan import Plan, to_json
from orchestrator.production.records import ChunkOrder, StagePlan, Target, TaskOrder, TaskRecord, Work
from orchestrator.production.work.function_stage import Value
from orchestrator.production.work.journal import RecordFrame, read_journal

TOY = Path(__file__).resolve().parents[1] / "integration" / "toy_modules" / "gaussian.py"


def a_function(name, stage="first", **changes):
    """A function stage that calls one of the functions below."""
    options = changes.pop("options", {})
    sections = {"function": {"call": f"work_orders:{name}"}, "options": options}
    return StagePlan(stage, "function", sections, **changes)


def a_fit(stage="fit", sampler="emcee", *, module=None, **changes):
    """A fit of the toy module, a Gaussian in two dimensions."""
    settings = {"maxlike": {"tolerance": 1e-4}, "emcee": {"walkers": 16, "samples": 40, "nsteps": 20}}
    toy = {"file": str(TOY), "parameters": "toy/a toy/b", "centre": [2.0, -3.0], "sigma": [0.5, 0.1]}
    own = {**toy, **(module or {})}
    sections = {
        "runtime": {"sampler": sampler},
        **{word: settings[word] for word in sampler.split() if word in settings},
        "pipeline": {"modules": "Toy", "likelihoods": "gaussian", "extra_output": "extra/radius"},
        "Toy": own,
        "values": {"toy": {"a": "-10 1 10", "b": "-10 -1 10"}},
        **changes.pop("sections", {}),
    }
    return StagePlan(stage, "fit", sections, **changes)


def a_production(folder, *stages, **settings):
    """Write the plan of a production; return it."""
    settings.setdefault("scratch", str(folder / "scratch"))
    plan = Plan("test", tuple(stages), folder=str(folder), **settings)
    file = folder / plan.file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(to_json(plan))
    return plan


def a_work(plan, number, stages=None, **changes):
    """All stages of one target."""
    values = changes.pop("values", {})
    overrides = changes.pop("overrides", {})
    names = [stage.name for stage in plan.stages] if stages is None else stages
    tasks = changes.pop("tasks", tuple(TaskOrder(name) for name in names))
    return Work(number, Target(f"g{number}", {"number": number, **values}, overrides), tasks, **changes)


def an_order(folder, plan, works, chunk="1-1", **changes):
    return ChunkOrder(chunk, str(folder), plan.file, tuple(works), **changes)


def records_of(folder, report) -> list[TaskRecord]:
    """The records of a chunk."""
    return records_in(Path(folder) / report.journal)


def records_in(journal) -> list[TaskRecord]:
    """The records of a journal."""
    return [frame.record for frame in read_journal(journal) if isinstance(frame, RecordFrame)]


def summary_of(records):
    """Target and stage to outcome and class of error."""
    return {(r.target_id, r.stage): r.error_class or r.outcome for r in records}


# --- functions of stages ---
def double(target, options, upstream):
    return {"twice": 2 * target["number"], "name_length": len(target["target"])}


def worked(target, options, upstream):
    return {"length": len(target["target"])}


def described(target, options, upstream):
    return {"mass": Value(10.5, "dex(Msun)", "a mass", "Stars"), "word": "x", "fine": True, "nothing": None}


def from_upstream(target, options, upstream):
    (row,) = upstream.values()
    return {"sum": row["twice"] + options.get("add", 0)}


def best_b_of_fit(target, options, upstream):
    (row,) = upstream.values()
    return {"b_found": row["b_best_fit"], "own_process": os.getpid()}


def misbehave(target, options, upstream):
    """Do what the target's column `deed` says."""
    deed = target.get("deed", "nothing")
    if deed == "hang":
        while True:
            time.sleep(0.01)
    if deed == "segfault":
        ctypes.string_at(0)
    if deed == "exit":
        os._exit(7)
    if deed == "system exit":
        raise SystemExit(3)
    if deed == "raise":
        print("something before the end")  # noqa: T201
        msg = "no such galaxy"
        raise ValueError(msg)
    if deed == "memory":
        held = [bytearray(50_000_000) for _ in range(200)]
        return {"held": len(held)}
    if deed == "say process":
        Path(options["file"]).write_text(str(os.getpid()))
        time.sleep(60)
    return {"process": os.getpid()}


def fail_and_die_later(target, options, upstream):
    """Fail; the fitter answers that, and is killed before it says that the next stage waits for this one."""
    from orchestrator.production.work import fit_target

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    fit_target.Skipped = die
    msg = "no such galaxy"
    raise ValueError(msg)


def rest(target, options, upstream):
    time.sleep(options["seconds"])
    return {"rested": options["seconds"]}


def best_of_second(target, options, upstream):
    return {"logtau_found": upstream["second"]["logtau_best_fit"]}
