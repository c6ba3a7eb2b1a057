"""What the engine asks of the system while a search runs: threads, what they wait on, and a clock that never goes back.

An argument of whoever starts a thread or reads the time, so that a simulation can bring threads and a clock of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol

__all__ = ["SYSTEM", "Event", "Queue", "Thread", "Threads"]


class Thread(Protocol):
    """A thread that was started."""

    def join(self) -> None:
        """Wait until it has ended."""


class Queue(Protocol):
    """Passes things on to a thread."""

    def put(self, item: Any) -> None:
        """Add one. Never blocks."""

    def get(self) -> Any:
        """Take the oldest; wait for one."""


class Event(Protocol):
    """Something that happens once."""

    def set(self) -> None:
        """It has happened."""

    def is_set(self) -> bool:
        """Whether it has."""

    def wait(self, timeout: float) -> bool:
        """Wait for it, `timeout` seconds at most. Whether it has happened."""


class Threads(Protocol):
    """Makes all of these."""

    def now(self) -> float:
        """Seconds, from any start. Never goes back."""

    def thread(self, run: Callable[[], None], name: str) -> Thread:
        """A daemon thread in which `run` is called."""

    def queue(self) -> Queue:
        """An empty queue."""

    def event(self) -> Event:
        """An event that has not happened."""


class _System:
    now = staticmethod(time.monotonic)

    @staticmethod
    def queue() -> Queue:
        return SimpleQueue[Any]()

    @staticmethod
    def event() -> Event:
        return threading.Event()

    @staticmethod
    def thread(run: Callable[[], None], name: str) -> Thread:
        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread


SYSTEM: Threads = _System()
