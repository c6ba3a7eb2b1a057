"""A trial in the search's own loop, and the line between the two, which is no pipe."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asynctune._runner.account import Account
from asynctune._runner.async_trial import AsyncTrial
from asynctune._runner.framing import Line
from asynctune.executors.base import Listener
from asynctune.messages import FromRunner, MetricsReported, ParametersDeclared, ToRunner
from asynctune.wire import decode, encode

__all__ = ["Desk", "DeskTrial"]


class Desk(Line):
    """A line without a pipe: what the trial sends is heard at once, what it is sent waits here."""

    def __init__(self, listener: Listener) -> None:  # and nothing of Line's, which is about a socket
        self._listener = listener
        self._bodies: deque[bytes] = deque()
        self._reader: asyncio.Future[None] | None = None
        #: Whether anybody wants to know what the trial says.
        self.is_heard = True

    def send(self, *bodies: bytes) -> None:
        for body in bodies if self.is_heard else ():
            message = decode(body, FromRunner)
            if isinstance(message, MetricsReported | ParametersDeclared):
                self._listener.heard(message)

    def say(self, messages: Sequence[FromRunner]) -> None:
        """Send these."""
        self.send(*(encode(message, FromRunner) for message in messages))

    def receive_nowait(self) -> bytes | None:
        return self._bodies.popleft() if self._bodies else None

    def put(self, message: ToRunner) -> None:
        """Send the trial something."""
        self._bodies.append(encode(message, ToRunner))
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def readable(self) -> None:
        """Wait until the trial was sent something."""
        self._reader = asyncio.get_running_loop().create_future()
        await self._reader


class DeskTrial(AsyncTrial):
    """A trial in the search's own loop."""

    def __init__(self, account: Account, desk: Desk, directory: Path, data: Mapping[str, Any]) -> None:
        super().__init__(account, str(directory), data)
        self._desk = desk

    async def _readable(self) -> None:
        await self._desk.readable()
