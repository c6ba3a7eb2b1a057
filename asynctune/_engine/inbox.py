"""Where everything that is heard waits for the oracle coroutine. Belongs to the event loop."""

from __future__ import annotations

import asyncio

from asynctune._machine.stimuli import Stimulus

__all__ = ["Inbox"]


class Inbox:
    """Stimuli, in the order in which they were heard."""

    def __init__(self) -> None:
        self._stimuli: list[Stimulus] = []
        self._waiter: asyncio.Future[None] | None = None

    def put(self, stimulus: Stimulus) -> None:
        """Something was heard."""
        self._stimuli.append(stimulus)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until there is something."""
        if not self._stimuli:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def take(self) -> list[Stimulus]:
        """All that was heard since the last time."""
        taken, self._stimuli = self._stimuli, []
        return taken
