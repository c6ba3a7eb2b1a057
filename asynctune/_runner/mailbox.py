"""A zygote's end of its control socket: frames in, with the descriptors that travel beside them; frames out."""

from __future__ import annotations

import array
import socket
from collections import deque

from asynctune._runner.framing import Frames, frame

__all__ = ["Mailbox"]

_CHUNK = 65536
_MOST_DESCRIPTORS = 8


class Mailbox:
    """Frames and descriptors. A descriptor arrives with the first byte of the frame that it belongs to, or before.

    Args:
        control: a blocking stream socket; this object owns it.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._frames = Frames()
        self._descriptors: deque[int] = deque()
        self._unsent = bytearray()

    @property
    def is_behind(self) -> bool:
        """Whether there is something that was posted, and not taken yet."""
        return bool(self._unsent)

    def fileno(self) -> int:
        """Readable when `receive` has something."""
        return self._control.fileno()

    def receive(self) -> list[bytes]:
        """The bodies that have become whole; call it when there is something to read.

        Raises:
            EOFError: when the other end is gone.
            WireError: when what comes is no frame.
        """
        # `socket.recv_fds` ignores its flags, and would leave each descriptor open in whatever a trial executes.
        space = socket.CMSG_SPACE(_MOST_DESCRIPTORS * array.array("i").itemsize)
        data, ancillary, _, _ = self._control.recvmsg(_CHUNK, space, socket.MSG_CMSG_CLOEXEC)
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                self._descriptors.extend(numbers)
        if not data:
            raise EOFError("the executor is gone")
        return self._frames.feed(data)

    def take_descriptor(self) -> int:
        """The next descriptor, in the order in which they were sent; the caller's to close."""
        return self._descriptors.popleft()

    def send(self, *bodies: bytes) -> None:
        """Send these, each as a frame, waiting until they are taken."""
        self._control.sendall(b"".join(map(frame, bodies)))

    def post(self, *bodies: bytes) -> None:
        """Send these, each as a frame, as soon as they are taken; waits for nobody, who may be stopped. Not to be mixed with
        `send` while something is behind."""
        self._unsent += b"".join(map(frame, bodies))
        self.catch_up()

    def catch_up(self) -> None:
        """Send what is behind, as far as it is taken now."""
        try:
            while self._unsent:
                del self._unsent[: self._control.send(self._unsent, socket.MSG_DONTWAIT)]
        except BlockingIOError:
            return
