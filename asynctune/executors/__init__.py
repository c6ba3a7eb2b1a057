"""Executors: where runners live.

Each is fetched from its module when it is first asked for, so that asking for one does not import what only another needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asynctune.executors.base import Capabilities, Executor
    from asynctune.executors.inline import InlineExecutor
    from asynctune.executors.local import LocalExecutor

__all__ = ["Capabilities", "Executor", "InlineExecutor", "LocalExecutor"]

_HOME: Final = {
    "Capabilities": "base",
    "Executor": "base",
    "InlineExecutor": "inline",
    "LocalExecutor": "local",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'asynctune.executors' has no attribute {name!r}")
    value = getattr(import_module(f"asynctune.executors.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
