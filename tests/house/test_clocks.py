"""Who looks at the clock on the wall, which may jump: those who write a time down for people, and nobody who decides."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.source import Module, modules

READS_THE_WALL_CLOCK = {
    "asynctune._engine.checkup": "when a search was opened, as people are told",
    "asynctune._engine.lock": "since when a search is held, as its holder says",
    "asynctune.life": "when a search was opened, in its record",
    "asynctune.observers.tensorboard": "the time axis of a board",
}
OF_TIME = {"time", "time_ns", "ctime", "asctime", "gmtime", "localtime", "strftime", "clock_gettime", "clock_gettime_ns"}
MODULES = modules()


def reads(tree: ast.AST) -> Iterator[int]:
    """Lines that read the wall clock, or fetch what could."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "time" and node.attr in OF_TIME:
                yield node.lineno
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            if node.module == "datetime" or (node.module == "time" and names & OF_TIME):
                yield node.lineno
        elif isinstance(node, ast.Import):
            yield from (node.lineno for alias in node.names if alias.name == "datetime")


@pytest.mark.fault(27)
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_the_wall_clock_is_read_where_we_say_so(module: Module) -> None:
    lines = [f"{module.where}:{line}" for line in reads(module.tree)]

    assert bool(lines) == (module.name in READS_THE_WALL_CLOCK), lines


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\ntime.monotonic()", []),
        ("import time\ntime.time()", [2]),
        ("import time\nclock = time.time_ns", [2]),
        ("from time import monotonic, time", [1]),
        ("import datetime", [1]),
        ("from datetime import timedelta", [1]),
    ],
)
def test_the_reader_of_clocks(source: str, found: list[int]) -> None:
    assert list(reads(ast.parse(source))) == found
