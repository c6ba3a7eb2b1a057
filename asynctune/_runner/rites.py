"""The last rites: what a process does that held others, when all is over."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from asynctune._runner.families import end_all
from asynctune._runner.linux import children

__all__ = ["last_rites"]

_ROUNDS = 5000  # in a row, a millisecond or more each, in which nobody has ended


def last_rites() -> None:
    """Kill and reap every child, with all that is below it, and what falls to us when they are gone, until there is none.

    Only if for some seconds none has ended are they left. Where there are thousands, and little of a core is ours, that takes
    its time."""
    # Those that we have made ourselves do not multiply, and the kernel ends what hangs on them. So they are not stopped first:
    # if we were killed before we had killed them, nobody would ever let them go on.
    for pid in children():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    in_vain = 0
    while in_vain < _ROUNDS:
        in_vain += 1
        end_all(children)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                in_vain = 0
        except ChildProcessError:
            return
        time.sleep(0.001)
