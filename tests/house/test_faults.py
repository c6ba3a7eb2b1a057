"""Every row of docs/reliability.md has tests that carry its number, and names none that is not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.house.source import ROOT, parse

# 35 is kept for what comes over HTTP.
ROWS = [*range(1, 35), *range(36, 41)]
PAGE = ROOT / "docs" / "reliability.md"
ROW = re.compile(r"^\| (?P<number>\d+) \| (?P<fault>[^|]+) \| (?P<seen>[^|]+) \| (?P<tests>[^|]*::[^|]*) \|$", re.MULTILINE)
NAMED = re.compile(r"`(?P<file>[\w/]+\.py)::(?P<test>\w+)`")


@cache
def page() -> dict[int, list[str]]:
    """The tests that the page names, "room/test_file.py::test_name", by the number of their row."""
    rows = [(int(row["number"]), row["tests"]) for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))]
    assert len(dict(rows)) == len(rows), "a row is there twice"
    return {number: ["::".join(found) for found in NAMED.findall(tests)] for number, tests in rows}


@cache
def marked() -> dict[str, set[int]]:
    """The numbers that each test carries, by its name as the page has it; also those without any."""
    tests = ROOT / "tests"
    return {
        f"{path.relative_to(tests)}::{name}": numbers
        for path in sorted(tests.rglob("test_*.py"))
        for name, numbers in marks(parse(path))
    }


def marks(tree: ast.Module) -> Iterator[tuple[str, set[int]]]:
    """Every test of a module, with its numbers: those of its decorators, and of its module's `pytestmark`."""
    of_all: set[int] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            of_all |= numbers(node.value)
    for each in ast.walk(tree):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_"):
            yield each.name, of_all.union(*map(numbers, each.decorator_list))


def numbers(node: ast.AST) -> set[int]:
    """The arguments of every `pytest.mark.fault(...)` in it; also in a `pytest.param`."""
    calls = [each for each in ast.walk(node) if isinstance(each, ast.Call) and ast.unparse(each.func) == "pytest.mark.fault"]
    return {ast.literal_eval(argument) for call in calls for argument in call.args}


@pytest.mark.parametrize("number", ROWS)
def test_every_row_is_in_the_page_with_tests_that_carry_its_number(number: int) -> None:
    assert page()[number] != []
    for test in page()[number]:
        assert number in marked()[test], test


def test_no_other_number_is_in_the_page_or_on_a_test() -> None:
    assert sorted(page()) == ROWS
    assert set[int]().union(*marked().values()) <= set(ROWS)


def test_every_test_that_the_page_names_anywhere_is_there() -> None:
    named = {"::".join(found) for found in NAMED.findall(PAGE.read_text(encoding="utf-8"))}

    assert named <= marked().keys()


def test_what_the_bench_breaks_is_a_row() -> None:
    [table] = [
        node.value
        for node in parse(ROOT / "bench" / "faults.py").body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FAULTS"
    ]
    assert {row for row, _ in ast.literal_eval(table).values()} <= set(ROWS)


def test_the_reader_of_marks() -> None:
    source = """
import pytest
pytestmark = [pytest.mark.process, pytest.mark.fault(3)]
@pytest.mark.fault(1, 2)
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.fault(4))])
def test_one(x): ...
async def test_two(): ...
def helper(): ...
"""
    assert dict(marks(ast.parse(source))) == {"test_one": {1, 2, 3, 4}, "test_two": {3}}


def test_names_of_files_are_those_below_tests() -> None:
    assert NAMED.findall("`process/test_endings.py::test_x`, `y.py`") == [("process/test_endings.py", "test_x")]
    assert Path("process/test_endings.py").parts[0] in {path.name for path in (ROOT / "tests").iterdir()}
