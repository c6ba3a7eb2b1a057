"""Frames: four bytes of length, then that many bytes. Knows nothing of what is inside.

What comes in is untrusted. A frame that claims to be longer than the cap is refused by its length alone, before a byte of it is
kept, so nobody can make us hold more than the cap.
"""

from __future__ import annotations

import socket
import struct
from collections import deque

from asynctune.errors import WireError

__all__ = ["CAP", "Frames", "Line", "frame", "sendable"]

CAP = 8 * 1024 * 1024
_LENGTH = struct.Struct(">I")
_CHUNK = 65536


def sendable(body: bytes) -> bytes:
    """`body` itself.

    Raises:
        WireError: if it is over the cap of 8 MiB.
    """
    if len(body) > CAP:
        raise WireError(f"a message of {len(body)} bytes is over the limit of {CAP} bytes")
    return body


def frame(body: bytes) -> bytes:
    """The frame that carries `body`. Raises what `sendable` does."""
    return _LENGTH.pack(len(sendable(body))) + body


class Frames:
    """Cuts a stream of bytes, as they arrive, into the bodies of its frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def __repr__(self) -> str:
        return f"<Frames, {len(self._buffer)} bytes of an unfinished one>"

    @property
    def torn(self) -> bool:
        """Whether a frame was begun and not finished."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that `data` completes.

        Raises:
            WireError: if a frame claims to be over the cap. Nothing more can be read from this stream.
        """
        # Nearly always one whole frame arrives at once, and needs no buffer.
        if not self._buffer and len(data) >= 4 and len(data) - 4 == _LENGTH.unpack_from(data)[0] <= CAP:
            return [data[4:]]
        self._buffer += data
        bodies = []
        start = 0
        while len(self._buffer) - start >= 4:
            length = _LENGTH.unpack_from(self._buffer, start)[0]
            if length > CAP:
                raise WireError(f"a frame of {length} bytes is over the limit of {CAP} bytes")
            if len(self._buffer) - start - 4 < length:
                break
            bodies.append(bytes(self._buffer[start + 4 : start + 4 + length]))
            start += 4 + length
        del self._buffer[:start]
        return bodies


class Line:
    """The runner's end of its channel: blocking, one frame at a time.

    We keep a socket object and not a bare descriptor: if a trial closes every descriptor and opens a file that gets our number,
    `send` refuses to write into that file.

    Args:
        channel: the descriptor of a connected stream socket; this object's from now on. It can also come later.
    """

    _channel: socket.SocketType

    def __init__(self, channel: int | None = None) -> None:
        self._frames = Frames()
        self._ready: deque[bytes] = deque()
        if channel is not None:
            self.connect(channel)

    def connect(self, channel: int) -> None:
        """Use the socket of this descriptor."""
        # The plain type: what `socket.socket` adds to it costs a fresh fork dearly, and is not needed here.
        self._channel = socket.SocketType(socket.AF_UNIX, socket.SOCK_STREAM, 0, channel)

    def fileno(self) -> int:
        """For those who wait in an event loop."""
        return self._channel.fileno()

    def send(self, *bodies: bytes) -> None:
        """Send these, waiting until they are taken.

        Raises:
            WireError: if one is over the cap; then none was sent.
            OSError: if the other end is gone.
        """
        self._channel.sendall(b"".join(map(frame, bodies)))

    def receive(self) -> bytes:
        """The next body, waiting for it.

        Raises:
            EOFError: if the other end is gone.
            WireError: if what comes is no frame.
        """
        while not self._ready:
            self._take(0)
        return self._ready.popleft()

    def receive_nowait(self) -> bytes | None:
        """The next body, or None if there is none yet. Raises what `receive` does."""
        if not self._ready:
            try:
                self._take(socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
        return self._ready.popleft() if self._ready else None

    def _take(self, flags: int) -> None:
        try:
            data = self._channel.recv(_CHUNK, flags)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError("the search has closed the channel")
        self._ready.extend(self._frames.feed(data))
