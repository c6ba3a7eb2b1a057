"""Plugins by their names: ours, and those of installed packages, which register them under an entry point group.

A package says in its `pyproject.toml`, for a class (or a function that takes nothing and returns the plugin):

    [project.entry-points."asynctune.schedulers"]
    behind = "my_package:Behind"
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Final

from asynctune import oracles, schedulers
from asynctune.errors import ConfigurationError
from asynctune.oracles.base import Oracle
from asynctune.schedulers.base import Scheduler

__all__ = ["named"]

_KINDS: Final[Mapping[str, tuple[type, ModuleType, str]]] = {
    "oracle": (Oracle, oracles, "asynctune.oracles"),
    "scheduler": (Scheduler, schedulers, "asynctune.schedulers"),
}


def named(argument: str, name: str) -> Any:
    """A new plugin, by its name: "asha" and "ASHA", "median_stopping" and "MedianStopping" are the same.

    Args:
        argument: what it is given as: "oracle" or "scheduler".
        name: one of ours, or one that an installed package has registered.

    Raises:
        ConfigurationError: there is none of this name, or more than one; it cannot be imported, or is none; or it cannot be
            made without arguments.
    """
    kind, package, group = _KINDS[argument]
    ours = {_plain(each): each for each in package.__all__ if _is_plugin(getattr(package, each), kind)}
    theirs = [point for point in entry_points(group=group) if _plain(point.name) == _plain(name)]
    mine = ours.get(_plain(name))
    if mine is None and not theirs:
        raise ConfigurationError(f"{argument}={name!r}: {_unknown(name, list(ours.values()), group)}")
    claims = ([f"{group}.{mine}"] if mine else []) + [_told(point) for point in theirs]
    if len(set(claims)) > 1:
        raise ConfigurationError(f"{argument}={name!r} can be {' or '.join(claims)}: pass an object of the one that you mean")
    made = getattr(package, mine) if mine is not None else _loaded(argument, theirs[0])
    return _made(argument, name, made, kind, claims[0])


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()


def _is_plugin(value: Any, kind: type) -> bool:
    return isinstance(value, type) and issubclass(value, kind) and not inspect.isabstract(value)


def _told(point: EntryPoint) -> str:
    package = "" if point.dist is None else f" of the package {point.dist.name!r}"
    return f"{point.value}{package}"


def _unknown(name: str, ours: list[str], group: str) -> str:
    installed = [point.name for point in entry_points(group=group)]
    close = get_close_matches(_plain(name), [_plain(each) for each in (*ours, *installed)], n=1)
    meant = next((each for each in (*ours, *installed) if close and _plain(each) == close[0]), None)
    hint = f"did you mean {meant!r}? " if meant else ""
    there = ", ".join(ours) + (f"; and installed: {', '.join(sorted(set(installed)))}" if installed else "")
    return f"there is none of this name. {hint}There are {there}. A package registers its own under {group!r}"


def _loaded(argument: str, point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        message = f"{argument}={point.name!r} is {_told(point)}, and that cannot be imported"
        raise ConfigurationError(f"{message}: {type(error).__name__}: {error}") from error


def _made(argument: str, name: str, make: Any, kind: type, told: str) -> Any:
    if not callable(make):
        raise ConfigurationError(f"{argument}={name!r} is {told}, which is neither a class nor a function, but {make!r}")
    needed = _needed(make)
    if needed:
        write = f"{told.partition(' ')[0].replace(':', '.')}({', '.join(f'{each}=...' for each in needed)})"
        raise ConfigurationError(f"{argument}={name!r} needs {', '.join(needed)}: pass an object, {argument}={write}")
    made = make()
    if not isinstance(made, kind):
        raise ConfigurationError(f"{argument}={name!r} is {told}, which makes no asynctune.{kind.__name__}, but {made!r}")
    return made


def _needed(make: Any) -> list[str]:
    """The arguments without which it cannot be made."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # it does not say
        return []
    various = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is inspect.Parameter.empty and each.kind not in various]
