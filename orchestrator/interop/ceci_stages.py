"""The command of our stages in ceci, which ends all ranks when one has failed.

::

    python -m orchestrator.interop.ceci_stages [MODULE.]NAME --targets=... --config=...

ceci itself lets the other ranks wait for ever.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

from ceci import PipelineStage

from orchestrator.errors import OrchestratorError

__all__ = ["main"]


def main() -> int:
    """Run the stage that the command line names; return the exit code."""
    sys.path[:0] = [os.getcwd()] if os.getcwd() not in sys.path else []
    try:
        return int(PipelineStage.main() or 0)
    except BaseException as error:
        if isinstance(error, SystemExit) and not error.code:
            raise
        if isinstance(error, OrchestratorError):
            sys.stderr.write(f"error: {error}\n")
        else:
            traceback.print_exc()
        sys.stderr.flush()
        sys.stdout.flush()
        _abort()
        return error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1


def _abort() -> None:
    """End the other ranks."""
    mpi: Any = sys.modules.get("mpi4py.MPI")
    if mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized() and mpi.COMM_WORLD.Get_size() > 1:
        mpi.COMM_WORLD.Abort(1)


if __name__ == "__main__":
    sys.exit(main())
