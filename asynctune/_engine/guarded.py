"""Starting a process of ours under a guard: by one exec, in a session of its own, spoken to through one socket, and ended, with
everything below it, by closing another.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

__all__ = ["Guard", "start_guard"]

# With -P, nothing that lies in the working directory can stand in the place of a module of the standard library. The package is
# found where ours is; then its place leaves the path again.
_GUARD = (
    "import importlib, sys, typing; sys.path.insert(0, sys.argv[1]); import asynctune; del sys.path[0]; "
    "from asynctune._runner.guard import guard; guard(*map(int, sys.argv[2:5]), sys.argv[5])"
)


class Guard(NamedTuple):
    """A guard that was started, and what it is held by; the socket ends are ours.

    Args:
        process: the guard.
        watch: readable when it has ended, whatever the host does with SIGCHLD; then it can be reaped without waiting.
        lifeline: its end is the guard's order to kill everything below it. Through it the guard says how its first child ended.
        control: to the first child.
    """

    process: subprocess.Popen[bytes]
    watch: int
    lifeline: socket.socket
    control: socket.socket


def start_guard(first: str, output: int) -> Guard:
    """Start a guard, whose first child runs `first`.

    Args:
        first: "module:function"; called with the guard's pid and a socket, in a process that has imported next to nothing.
        output: descriptor of where both write what they have for stdout and stderr.

    Raises:
        OSError: if the system has no room for it.
    """
    with ExitStack() as undo, ExitStack() as theirs:
        ends = []
        for _ in ("lifeline", "control"):
            our, their = socket.socketpair()
            undo.enter_context(our)
            theirs.enter_context(their)
            ends.append((our, their.fileno()))
        numbers = [number for _, number in ends]
        package = str(Path(__file__).parents[2])
        process = subprocess.Popen(
            [
                *(sys.executable, *_interpreter_flags(), "-P", "-c", _GUARD, package),
                *(*map(str, (os.getpid(), *numbers)), first),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=numbers,
            start_new_session=True,
        )
        undo.callback(process.wait)
        undo.callback(process.kill)
        watch = os.pidfd_open(process.pid)
        undo.pop_all()
        return Guard(process, watch, ends[0][0], ends[1][0])


def _interpreter_flags() -> list[str]:
    """What this interpreter was started with (-O, -W, -X, ...)."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    return flags
