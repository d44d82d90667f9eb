"""The watched process of a worker, which fits: it may hang, crash or run out of memory, and nothing else is lost.

::

    python -P -m orchestrator.production.work.fitter DESCRIPTOR PARENT

Started once per worker by `orchestrator.production.work.supervise`, with everything imported before the first fit. It
ends with its parent: the system sees to that, and a channel that closes does where the system cannot.

Protocol. The first frame to it names production, plan and scratch folder; its answer is ``{"ready": pid}``. Then each
frame to it holds targets, ``{"works": [...]}``; it answers with one frame per stage and one per target.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit what comes until the channel closes."""
    from orchestrator.fit.fork_pool import die_with_parent

    words = sys.argv[1:] if arguments is None else list(arguments)
    die_with_parent()
    if os.getppid() != int(words[1]):
        return 1  # it died before the system knew of us
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")  # to the log of each stage
    from orchestrator.production.work.channel import Channel, ChannelClosedError

    channel = Channel(socket.socket(fileno=int(words[0])))
    try:
        _serve(channel)
    except ChannelClosedError:
        return 0
    return 0


def _serve(channel: object) -> None:
    from orchestrator.fit.server_imports import import_everything
    from orchestrator.production.plan import read_plan
    from orchestrator.production.work.answers import answer_to
    from orchestrator.production.work.channel import Channel
    from orchestrator.production.work.fit_target import Setting, run_target
    from orchestrator.production.work.record_text import work_from

    assert isinstance(channel, Channel)
    first = channel.receive()
    assert first is not None
    order, _ = first
    sys.path += [folder for folder in order["path"] if folder not in sys.path]  # functions that the worker can import
    production = Path(order["production"])
    setting = Setting(read_plan(production, order["plan"]), production, Path(order["scratch"]))
    if any(stage.kind == "fit" for stage in setting.plan.stages):
        import_everything()
        importlib.import_module("orchestrator.production.work.target_fits")
    gc.freeze()  # what stays is not looked through at every collection
    channel.send({"ready": os.getpid()})
    while True:
        received = channel.receive()
        assert received is not None
        for entries in received[0]["works"]:
            for answer in run_target(setting, work_from(entries)):
                channel.send(*answer_to(answer))


if __name__ == "__main__":
    sys.exit(main())
