"""Observers listen: they read the events of a search by cursor, may have side effects, and cannot hurt it.

Pass them as `observers=[...]`. Each name is fetched from its module when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynctune.lazy import lazy

if TYPE_CHECKING:
    from asynctune.observers.base import Observer, Watched
    from asynctune.observers.csv import CSV
    from asynctune.observers.display import Display
    from asynctune.observers.jsonlines import JSONLines
    from asynctune.observers.logging import Logging
    from asynctune.observers.tensorboard import TensorBoard
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "CSV": "csv",
            "Display": "display",
            "JSONLines": "jsonlines",
            "Logging": "logging",
            "Observer": "base",
            "TensorBoard": "tensorboard",
            "Watched": "base",
        },
    )

__all__ = ["CSV", "Display", "JSONLines", "Logging", "Observer", "TensorBoard", "Watched"]
