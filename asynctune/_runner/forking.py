"""Forking a thousand times a second: what Python does around each fork, done once where that is enough.

`os.fork` runs what modules have registered for it. What `threading`, `random` and `logging` register costs more than the rest
of a fork, and our zygotes need none of it: they have one thread and hold no lock, so there is nothing to make whole again, and
a runner seeds its generators anyway. So a zygote keeps these three aside, and a runner registers them for its trial's forks.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable

__all__ = ["keep_hooks_aside", "register_hooks"]

_KEPT = ("threading", "random", "logging")
_aside: list[dict[str, Callable[[], object]]] = []


def keep_hooks_aside() -> None:
    """In a root zygote, before anything has imported them: import the three modules, and keep what they register."""
    register = os.register_at_fork

    def keep(**hooks: Callable[[], object]) -> None:
        _aside.append(hooks)

    os.register_at_fork = keep  # type: ignore[assignment]
    try:
        for name in _KEPT:
            importlib.import_module(name)
    finally:
        os.register_at_fork = register


def register_hooks() -> None:
    """In a runner: its own forks are as Python means them to be."""
    for hooks in _aside:
        os.register_at_fork(**hooks)
    _aside.clear()
