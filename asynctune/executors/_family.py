"""The guard and the root zygote, as the executor holds them: started by one exec, spoken to through one socket, and ended, with
everything below them, by closing another.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from asynctune._engine.guarded import start_guard
from asynctune._runner.orders import Attach, Detach, Dump, FromRoot, Prepare, RootReady, SearchEnded, ToRoot
from asynctune._runner.weights import session_nice
from asynctune.errors import ExecutorError, WireError
from asynctune.executors._post import Post
from asynctune.wire import decode, encode

__all__ = ["Family"]

_FIRST = "asynctune._runner.zygote:root"
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
        #: A memory file with what the guard and the root write to stderr.
        self._errors = -1
        try:
            self._errors = os.memfd_create("asynctune-stderr", os.MFD_CLOEXEC)
            guard = start_guard(_FIRST, self._errors)
        except OSError as error:
            if self._errors >= 0:
                os.close(self._errors)
            raise ExecutorError(f"the process that watches over the runners cannot be started: {error}") from error
        self._guard, self._watch, self._lifeline = guard.process, guard.watch, guard.lifeline
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
