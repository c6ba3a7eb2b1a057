"""Search time: seconds during which the search was open, continued from the last record when it is opened again."""

from __future__ import annotations

from collections.abc import Callable

from asynctune._engine.threads import SYSTEM

__all__ = ["SearchClock"]


class SearchClock:
    """Counts on from `start`, by the monotonic clock: the time of day may jump, this does not. While the machine is
    suspended, it stands still."""

    def __init__(self, start: float = 0.0, monotonic: Callable[[], float] = SYSTEM.now) -> None:
        self._start = start
        self._monotonic = monotonic
        self._since = monotonic()

    def now(self) -> float:
        """Search time, in seconds."""
        return self._start + (self._monotonic() - self._since)  # in this order it is never before `start`
