"""The guard and the root zygote, as the executor holds them: started by one exec, spoken to through one socket, and ended, with
everything below them, by closing another.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

from asynctune._runner.orders import Attach, Detach, Dump, FromRoot, Prepare, RootReady, SearchEnded, ToRoot
from asynctune._runner.weights import session_nice
from asynctune.errors import ExecutorError, WireError
from asynctune.executors._post import Post
from asynctune.wire import decode, encode

__all__ = ["Family"]

# With -P, nothing that lies in the working directory can stand in the place of a module of the standard library. The package is
# found where ours is; then its place leaves the path again.
_GUARD = (
    "import importlib, sys, typing; sys.path.insert(0, sys.argv[1]); import asynctune; del sys.path[0]; "
    "from asynctune._runner.guard import guard; guard(*map(int, sys.argv[2:5]))"
)
_LAST_WORDS = 4000


class Family:
    """A guard, its root zygote, and all that descends from them.

    Args:
        loop: the running one.
        preload: what the root imports.
        nice: added to its nice value, and so to that of all that it forks.
        said: hears the root.
        gone: called once, when no process of it is left, with what it last wrote to stderr.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        preload: tuple[str, ...],
        nice: int,
        *,
        said: Callable[[RootReady | SearchEnded], None],
        gone: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._said = said
        self._gone = gone
        try:
            guard = _start_guard()
        except OSError as error:
            raise ExecutorError(f"the process that watches over the runners cannot be started: {error}") from error
        self._guard, self._watch, self._errors, self._lifeline = guard.process, guard.watch, guard.errors, guard.lifeline
        loop.add_reader(self._watch, self._ended)
        self._root = Post(loop, guard.control, self)
        path = tuple(os.path.abspath(entry) for entry in sys.path if isinstance(entry, str))
        self.send(Prepare(preload=preload, sys_path=path, nice=nice, session_nice=session_nice() + nice))

    def __repr__(self) -> str:
        return f"<Family of guard {self._guard.pid}, {'gone' if self._watch < 0 else 'alive'}>"

    @property
    def pid(self) -> int:
        """The guard's."""
        return self._guard.pid

    def send(self, order: Prepare | Attach | Detach | Dump, descriptors: tuple[int, ...] = ()) -> None:
        """Tell the root. The descriptors become this object's to close."""
        self._root.send(encode(order, ToRoot), descriptors)

    def entrust(self, directory: Path) -> None:
        """Have the guard remove this temporary directory of ours, if this process ends before it is taken back."""
        self._tell(b"+" + os.fsencode(directory))

    def take_back(self, directory: Path) -> None:
        """The directory is no affair of the guard's any more."""
        self._tell(b"-" + os.fsencode(directory))

    def _tell(self, word: bytes) -> None:
        with suppress(OSError):  # it is on its way out, or has not read for ages
            self._lifeline.send(word + b"\0", socket.MSG_DONTWAIT)

    def close(self) -> None:
        """Kill everything, at once. `gone` will be called."""
        if self._watch >= 0:
            self._tell(b".")
            # Shut down and not only closed: a process that the service has forked may hold the same socket.
            try:
                self._lifeline.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def heard(self, body: bytes) -> None:
        """The root spoke."""
        try:
            message: Any = decode(body, FromRoot)
        except WireError:  # of the root's making or not: it is of no use any more, and its end will be seen
            self.close()
        else:
            self._said(message)

    def hung_up(self, error: WireError | None) -> None:
        """The root is gone, or talks nonsense; without it the rest is of no use."""
        self.close()

    def _ended(self) -> None:
        self._loop.remove_reader(self._watch)
        os.close(self._watch)
        self._watch = -1
        self._guard.wait()
        self._root.drain()
        self._root.close()
        self._lifeline.close()
        size = os.fstat(self._errors).st_size
        words = os.pread(self._errors, _LAST_WORDS, max(0, size - _LAST_WORDS)).decode("utf-8", "replace").strip()
        os.close(self._errors)
        self._gone(words)


class _Guard(NamedTuple):
    process: subprocess.Popen[bytes]
    #: Readable when it has ended, whatever the host does with SIGCHLD; then it can be reaped without waiting.
    watch: int
    #: A memory file with what the guard and the root write to stderr.
    errors: int
    #: Our ends of its own socket and of the root's.
    lifeline: socket.socket
    control: socket.socket


def _start_guard() -> _Guard:
    with ExitStack() as undo, ExitStack() as theirs:
        errors = os.memfd_create("asynctune-stderr", os.MFD_CLOEXEC)
        undo.callback(os.close, errors)
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
                *map(str, (os.getpid(), *numbers)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            pass_fds=numbers,
            start_new_session=True,
        )
        undo.callback(process.wait)
        undo.callback(process.kill)
        watch = os.pidfd_open(process.pid)
        undo.pop_all()
        return _Guard(process, watch, errors, ends[0][0], ends[1][0])


def _interpreter_flags() -> list[str]:
    """What this interpreter was started with (-O, -W, -X, ...)."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    return flags
