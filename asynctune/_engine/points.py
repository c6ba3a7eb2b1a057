"""Named points in the life of a search, at which a test can look on, or end the process: see `asynctune.testing.killing`.

A search tells nobody of them otherwise, and nothing outside the process can make it: a point that nobody listens at costs the
call of an empty function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, TypeAlias

__all__ = ["Point", "PointListener", "listening", "reach"]


class Point(Enum):
    """A point that a search passes, most of them again and again.

    OPENED: its records were read and told to the machine; nothing was written yet.
    WRITING: records and rows are in a transaction that is not committed (in a directory only).
    WRITTEN: they are committed, and the head mark is one commit old (in a directory only).
    COMMITTED: all of it is durable, and nobody was told.
    TOLD: the reports among them are answered; nothing else was done.
    STARTING: a launch was recorded, and is about to begin.
    DELETING: a checkpoint that nobody needs is about to be deleted.
    CLOSING: the journal is about to be closed.
    """

    OPENED = "opened"
    WRITING = "writing"
    WRITTEN = "written"
    COMMITTED = "committed"
    TOLD = "told"
    STARTING = "starting"
    DELETING = "deleting"
    CLOSING = "closing"


PointListener: TypeAlias = Callable[[Point, Any], None]
_listeners: list[PointListener] = []


def reach(point: Point, what: Any = None) -> None:
    """A search has come to `point`; `what` is what it has in hand there (at CLOSING the journal)."""
    for listener in _listeners:
        listener(point, what)


@contextmanager
def listening(listener: PointListener) -> Iterator[None]:
    """Have `listener` called at every point of every search, in the thread that comes to it. It must not raise."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
