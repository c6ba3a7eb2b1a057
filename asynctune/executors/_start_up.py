"""How long a zygote may take to load what its search needs. It is one process, and one is replaced by another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from asynctune._engine.tail import stacks_in

__all__ = ["StartUp"]

_WRITES_WITHIN = 0.25  # seconds that a process has to write its stacks


class StartUp:
    """Waits for one zygote after the other.

    Args:
        seconds: that each may take; None for as long as it likes.
        log: where its stacks are written to.
        dump: has it write them.
        late: called with where it was, when its time is over.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        seconds: float | None,
        log: Path,
        dump: Callable[[], None],
        late: Callable[[str], None],
    ) -> None:
        self._loop, self._seconds, self._log, self._dump, self._late = loop, seconds, log, dump, late
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """One was started."""
        self.over()
        if self._seconds is not None:
            self._timer = self._loop.call_later(self._seconds, self._time_is_over)

    def over(self) -> None:
        """It is ready, or gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_over(self) -> None:
        self._dump()
        self._timer = self._loop.call_later(_WRITES_WITHIN, lambda: self._late(stacks_in(self._log)))
