"""An oracle's process, as the search holds it: a guard, the process below it, and a socket to that.

Its calls block, and belong to one thread. `wake` alone may be called from any other.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

from asynctune._engine.guarded import Guard, start_guard
from asynctune._engine.tail import tail_of
from asynctune._runner.framing import Frames
from asynctune._runner.logs import open_log
from asynctune.errors import PluginError

__all__ = ["CHILD", "LENGTH", "OracleProcess", "WokenError"]

CHILD = "asynctune._engine.apart.child:serve"
#: What goes there is ours, and may be of any length: an oracle can have been given a lot.
LENGTH = struct.Struct(">Q")
_CHUNK = 65536


class WokenError(Exception):
    """Nobody waits for the answer any more."""


class OracleProcess:
    """A process for an oracle. `start` it; and whatever comes of it, `close` it.

    Args:
        log: where it writes what it has for stdout and stderr; its directories are made. If that cannot be, it is not kept.
        temporary: whether the log is removed with the search, so that there is no use in naming it.
    """

    def __init__(self, log: Path | None, *, temporary: bool = False) -> None:
        self._log, self._temporary = log, temporary
        self._guard: Guard | None = None
        self._outgoing = bytearray()
        self._frames = Frames()
        self._ready: deque[bytes] = deque()
        # A socket and not a descriptor: whoever wakes us too late finds it closed, and not somebody else's file.
        self._bell, self._rope = socket.socketpair()
        self._rope.setblocking(False)

    def __repr__(self) -> str:
        return f"<OracleProcess {'not running' if self._guard is None else self._guard.process.pid}>"

    def start(self) -> None:
        """Start it.

        Raises:
            PluginError: the system has no room for it.
        """
        output = self._output()
        try:
            self._guard = start_guard(CHILD, output)
        except OSError as error:
            raise PluginError(f"no process can be started for the oracle: {error}") from error
        finally:
            os.close(output)
        self._guard.control.setblocking(False)

    def _output(self) -> int:
        with suppress(OSError):
            if self._log is not None:
                return open_log(str(self._log))
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def send(self, body: bytes) -> None:
        """Send this, now or while something is awaited. Never waits.

        Raises:
            EOFError: if it has ended.
        """
        self._outgoing += LENGTH.pack(len(body)) + body
        self._write()

    def receive(self, until: float) -> bytes | None:
        """The next that it says, waiting for it.

        Args:
            until: by the clock of `time.monotonic`, when to wait no longer, and return None.

        Raises:
            EOFError: if it has ended.
            WireError: if it says what is no frame.
            WokenError: if somebody has called `wake`.
        """
        assert self._guard is not None  # noqa: S101
        control = self._guard.control
        while not self._ready:
            poll = select.poll()
            poll.register(self._bell, select.POLLIN)
            poll.register(control, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
            wait = min(max(0.0, until - time.monotonic()), 3600.0)
            events = dict(poll.poll(wait * 1000))
            if self._bell.fileno() in events:
                raise WokenError
            event = events.get(control.fileno(), 0)
            if event & select.POLLOUT:
                self._write()
            if event & ~select.POLLOUT:
                self._read(control)
            if not event and time.monotonic() >= until:
                return None
        return self._ready.popleft()

    def _write(self) -> None:
        assert self._guard is not None  # noqa: S101
        try:
            while self._outgoing:
                del self._outgoing[: self._guard.control.send(self._outgoing[: 16 * _CHUNK])]
        except BlockingIOError:
            return
        except OSError as error:
            raise EOFError("the oracle's process has ended") from error

    def _read(self, control: socket.socket) -> None:
        try:
            data = control.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            raise EOFError("the oracle's process has ended")
        self._ready.extend(self._frames.feed(data))

    def wake(self) -> None:
        """End the waiting, now and for ever. From any thread."""
        with suppress(OSError):
            self._rope.send(b".")

    def how_it_ended(self) -> str:
        """Once it has ended: how, the last lines that it wrote, and where to look for more."""
        assert self._guard is not None  # noqa: S101
        said = b""
        with suppress(OSError):
            self._guard.lifeline.settimeout(5)
            while data := self._guard.lifeline.recv(64):
                said += data
        how = "was killed with all that watched over it"
        with suppress(ValueError):
            code = int(said)
            how = f"exited with {code}" if code >= 0 else f"was killed by signal {-code}"
            how += " (the system may have run out of memory)" if code == -9 else ""
        wrote = "" if self._log is None else tail_of(self._log)
        where = "" if self._log is None or self._temporary else f"; what it wrote is in {self._log}"
        return f"its process {how}{where}" + (f". It wrote last:\n{wrote}" if wrote else "")

    def close(self) -> None:
        """Kill it, with all that it has started, and wait until nothing is left of it."""
        guard, self._guard = self._guard, None
        if guard is not None:
            with suppress(OSError):  # it has ended
                # Shut down and not only closed: a process that the service has forked may hold the same socket.
                guard.lifeline.shutdown(socket.SHUT_RDWR)
            guard.process.wait()
            os.close(guard.watch)
            guard.lifeline.close()
            guard.control.close()
        self._bell.close()
        self._rope.close()
