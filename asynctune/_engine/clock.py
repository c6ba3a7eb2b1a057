"""Search time: seconds during which the search was open, continued from the last record when it is opened again."""

from __future__ import annotations

import time

__all__ = ["SearchClock"]


class SearchClock:
    """Counts on from `start`, by the monotonic clock: the time of day may jump, this does not."""

    def __init__(self, start: float = 0.0) -> None:
        self._start = start
        self._since = time.monotonic()

    def now(self) -> float:
        """Search time, in seconds."""
        return self._start + (time.monotonic() - self._since)  # in this order it is never before `start`
