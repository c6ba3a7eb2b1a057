"""The search's end of a socket: frames in and out, on the event loop, without a task.

Nothing here waits. What cannot be sent at once is kept and sent when the other end has room; what comes is handed on in order.
All of it belongs to the loop's thread, but for `send_at_once`.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import os
import socket
import threading
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from asynctune._runner.framing import Frames, frame
from asynctune.errors import WireError

__all__ = ["Correspondent", "Post"]

_CHUNK = 65536
_WHOLE = 2048  # bytes


class Correspondent(Protocol):
    """Who gets the post."""

    def heard(self, body: bytes) -> None:
        """A frame came."""

    def hung_up(self, error: WireError | None) -> None:
        """Nothing more will come: the other end is gone, or what it sent is no frame. Called once, and not after `close`."""


class Post:
    """A connected stream socket.

    Args:
        loop: the running one.
        sock: becomes this object's, and non-blocking.
        correspondent: gets what comes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, correspondent: Correspondent) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._sock = sock
        self._correspondent = correspondent
        self._frames = Frames()
        self._unsent: deque[tuple[bytes, Sequence[int]]] = deque()
        self._open = True
        # Of the socket's writing side and of its end: a descriptor that was closed may be somebody else's by now.
        self._guard = threading.Lock()
        # By number: a loop that is asked about a socket object makes a text of it first.
        self._descriptor = sock.fileno()
        loop.add_reader(self._descriptor, self._readable)

    def __repr__(self) -> str:
        return f"<Post {'open' if self._open else 'closed'}, {len(self._unsent)} frames unsent>"

    @property
    def unsent(self) -> int:
        """How many frames wait for room."""
        return len(self._unsent)

    def send(self, body: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a frame, and descriptors beside it, which become this object's to close. Lost if the other end is gone.

        Raises:
            WireError: if it is over the cap.
        """
        data = frame(body)
        with self._guard:
            if self._unsent or not self._open:
                self._keep(data, descriptors)
            elif (rest := self._try_send(data, descriptors)) is not None:
                self._keep(*rest)

    def send_at_once(self, body: bytes) -> bool:
        """Send a frame, from any thread, if that can be done now; whether it was. Never half of one."""
        if len(body) > _WHOLE:
            return False
        data = frame(body)
        with self._guard:
            if self._unsent or not self._open:
                return False
            rest = self._try_send(data, ())
            if rest is not None and len(rest[0]) < len(data):  # Linux takes it together or not at all; who emulates it may not
                self._unsent.append(rest)
                self._loop.call_soon_threadsafe(self._write_on)
                return True
            return rest is None

    def _write_on(self) -> None:
        if self._open and self._unsent:
            self._loop.add_writer(self._descriptor, self._writable)

    def drain(self) -> None:
        """Take in everything that has arrived, now."""
        while self._open and self._readable():
            pass

    def close(self) -> None:
        """Close the socket; nothing is heard after that."""
        with self._guard:
            if self._open:
                self._open = False
                self._loop.remove_reader(self._descriptor)
                if self._unsent:
                    self._loop.remove_writer(self._descriptor)
                self._sock.close()
            while self._unsent:
                _close_all(self._unsent.popleft()[1])

    def _readable(self) -> bool:
        """Read once; whether there may be more."""
        try:
            data = self._sock.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if not data:
            self._hang_up(None)
            return False
        try:
            bodies = self._frames.feed(data)
        except WireError as error:
            self._hang_up(error)
            return False
        for body in bodies:
            if self._open:
                self._correspondent.heard(body)
        return True

    def _hang_up(self, error: WireError | None) -> None:
        self.close()
        self._correspondent.hung_up(error)

    def _keep(self, data: bytes, descriptors: Sequence[int]) -> None:
        if not self._open:
            _close_all(descriptors)
            return
        if not self._unsent:
            self._loop.add_writer(self._descriptor, self._writable)
        self._unsent.append((data, descriptors))

    def _writable(self) -> None:
        with self._guard:
            while self._unsent:
                rest = self._try_send(*self._unsent[0])
                if rest is not None:
                    self._unsent[0] = rest
                    return
                self._unsent.popleft()
            self._loop.remove_writer(self._descriptor)

    def _try_send(self, data: bytes, descriptors: Sequence[int]) -> tuple[bytes, Sequence[int]] | None:
        """What is left to send, or None."""
        try:
            if descriptors:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
                sent = self._sock.sendmsg([data], [rights])
            else:
                sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return data, descriptors
        except OSError as error:
            if error.errno == errno.ETOOMANYREFS:
                return data, descriptors
            sent = len(data)  # the other end is gone: reading will say so
        _close_all(descriptors)
        return None if sent == len(data) else (data[sent:], ())


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
