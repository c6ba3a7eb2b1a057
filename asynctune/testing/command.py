"""`asynctune simulate`: schedulers compared on curves that are there, from the command line."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import fields, has

from asynctune import schedulers as known
from asynctune.errors import ConfigurationError
from asynctune.installed import named
from asynctune.schedulers.base import Scheduler
from asynctune.testing.comparing import compare
from asynctune.testing.conditions import Conditions
from asynctune.testing.curves import read_workloads
from asynctune.testing.workloads import Table

__all__ = ["scheduler_of", "simulate"]

_SCHEDULERS = ("FIFO", "MedianStopping", "ASHA", "ASHA(form='promotion')", "HyperBand")


def simulate(given: argparse.Namespace) -> Iterator[str]:
    """The lines that it prints.

    Raises:
        AsynctuneError: what was given cannot be.
    """
    workload = _chosen(read_workloads(given.curves), given.task)
    texts = given.scheduler or _SCHEDULERS
    schedulers = {text: scheduler_of(text, workload.max_steps) for text in texts}
    conditions = Conditions(straggle=given.straggle)
    found = compare(workload, schedulers, workers=given.workers, seeds=given.runs, conditions=conditions)
    yield from found.table()
    if given.plot is not None:
        found.plot(given.plot)
        yield f"the plot is {given.plot}"


def _chosen(found: Mapping[str, Table], task: str | None) -> Table:
    if task is None:
        return next(iter(found.values()))
    if task not in found:
        raise ConfigurationError(f"--task: there is no {task!r}; there are {', '.join(map(repr, found))}")
    return found[task]


def scheduler_of(text: str, max_steps: int) -> Scheduler:
    """The scheduler that a text describes: a class of `asynctune.schedulers`, with arguments by name if there are any. One that
    takes `max_steps`, and is given none, gets this.

    Raises:
        ConfigurationError: it describes none, or one that cannot be.
    """
    try:
        found: Any = _value(ast.parse(text, mode="eval").body, max_steps)
    except SyntaxError:
        found = None
    if not isinstance(found, Scheduler):
        raise ConfigurationError(f"{text!r} is no scheduler: write Name, or Name(argument=value, ...), {_names()}")
    return found


def _names() -> str:
    kinds = (getattr(known, name) for name in known.__all__ if name != "Scheduler")
    return f"of {', '.join(kind.__name__ for kind in kinds if isinstance(kind, type) and issubclass(kind, Scheduler))}"


def _value(node: ast.expr, max_steps: int) -> Any:
    if isinstance(node, ast.Name):
        return _made(node.id, {}, max_steps)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        return _made(node.func.id, {str(each.arg): _value(each.value, max_steps) for each in node.keywords}, max_steps)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ConfigurationError(f"{ast.unparse(node)} is neither a value nor a scheduler with arguments by name") from None


def _made(name: str, arguments: Mapping[str, Any], max_steps: int) -> Any:
    kind: Any = getattr(known, name, None) if name in known.__all__ and name != "Scheduler" else None
    if kind is None and not arguments:
        return named("scheduler", name)  # "median_stopping", or one of an installed package
    if kind is None:
        raise ConfigurationError(f"there is no scheduler {name!r} here: there is one {_names()}")
    takes = {each.name for each in fields(kind) if each.init} if has(kind) else set()
    unknown = [each for each in arguments if each not in takes]
    if unknown:
        raise ConfigurationError(f"{name} takes no {unknown[0]}: it takes {', '.join(sorted(takes)) or 'nothing'}")
    if "max_steps" in takes:
        arguments = {"max_steps": max_steps, **arguments}
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ConfigurationError(f"{name}(...): {error}") from error
