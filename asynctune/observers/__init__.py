"""Observers listen: they read the events of a search by cursor, may have side effects, and cannot hurt it.

Pass them as `observers=[...]`. Each name is fetched from its module when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asynctune.observers.base import Observer, Watched
    from asynctune.observers.csv import CSV
    from asynctune.observers.display import Display
    from asynctune.observers.jsonlines import JSONLines
    from asynctune.observers.logging import Logging
    from asynctune.observers.tensorboard import TensorBoard

__all__ = ["CSV", "Display", "JSONLines", "Logging", "Observer", "TensorBoard", "Watched"]

_HOME: Final = {
    "CSV": "csv",
    "Display": "display",
    "JSONLines": "jsonlines",
    "Logging": "logging",
    "Observer": "base",
    "TensorBoard": "tensorboard",
    "Watched": "base",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'asynctune.observers' has no attribute {name!r}")
    value = getattr(import_module(f"asynctune.observers.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
