"""Executors: where runners live.

Each is fetched from its module when it is first asked for, so that asking for one does not import what only another needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynctune.lazy import lazy

if TYPE_CHECKING:
    from asynctune.executors.base import Capabilities, Executor
    from asynctune.executors.external import External, Launch
    from asynctune.executors.inline import InlineExecutor
    from asynctune.executors.local import LocalExecutor
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "Capabilities": "base",
            "Executor": "base",
            "External": "external",
            "InlineExecutor": "inline",
            "Launch": "external",
            "LocalExecutor": "local",
        },
    )

__all__ = ["Capabilities", "Executor", "External", "InlineExecutor", "Launch", "LocalExecutor"]
