"""The last rites: what a process does that held others, when all is over."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from asynctune._runner.families import end_all
from asynctune._runner.linux import children

__all__ = ["last_rites"]

_DEADLINE = 5.0


def last_rites() -> None:
    """Kill and reap every child, with all that is below it, and what falls to us when they are gone, until there is none or 5 s
    have passed."""
    deadline = time.monotonic() + _DEADLINE
    # Those that we have made ourselves do not multiply, and the kernel ends what hangs on them. So they are not stopped first:
    # if we were killed before we had killed them, nobody would ever let them go on.
    for pid in children():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    while time.monotonic() < deadline:
        end_all(children)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            time.sleep(0.001)
            continue
        return
