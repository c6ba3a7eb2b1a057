"""Time that somebody has, by the event loop's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Allowance"]


class Allowance:
    """So many seconds, after which `over` is called, once. They pass only between `go_on` and `hold`.

    Args:
        seconds: None for no end.
        over: called by the loop.
    """

    def __init__(self, seconds: float | None, over: Callable[[], None]) -> None:
        self._seconds, self._over = seconds, over
        self._left = seconds
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def go_on(self) -> None:
        """Let time pass."""
        if self._left is not None and self._timer is None:
            loop = asyncio.get_running_loop()
            self._since = loop.time()
            self._timer = loop.call_later(self._left, self._over)

    def hold(self) -> None:
        """Let no time pass."""
        if self._left is not None and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._left = max(0.0, self._left - (asyncio.get_running_loop().time() - self._since))

    def renew(self) -> None:
        """All of it is there again; whether it passes stays as it is."""
        passes = self._timer is not None
        self.hold()
        self._left = self._seconds
        if passes:
            self.go_on()
