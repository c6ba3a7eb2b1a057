"""Packages whose names are fetched from their modules when they are first asked for.

The front door does the same by itself: whoever imports asynctune imports that one file, and not even this one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy"]


def lazy(package: str, home: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a package. They are for Python alone: to a type checker, a module that has a
    `__getattr__` has every name, also the misspelled.

    Args:
        package: its `__name__`.
        home: its names, each with the module of it where it is.
    """

    def fetched(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{home[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return fetched, lambda: sorted(home)
