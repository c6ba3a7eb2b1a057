"""Every case in which KerasTuner fails is in the page, with tests that are there and say its number."""

from __future__ import annotations

import ast
import functools
import re

import pytest

from tests.house.source import ROOT, parse

PAGE = ROOT / "docs" / "keras-tuner-cases.md"
CASES = range(1, 23)
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


@functools.cache
def rows() -> dict[int, list[tuple[str, str]]]:
    """The tests that the page names, by case."""
    lines = (re.match(r"\| (\d+) \|(.*)", line) for line in PAGE.read_text(encoding="utf-8").splitlines())
    return {int(match[1]): NAMED.findall(match[2]) for match in lines if match}


def numbers(path: str, name: str) -> set[int]:
    """The cases that a test says it is about, in its name or its docstring."""
    for node in ast.walk(parse(ROOT / "tests" / path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            said = f"{name.replace('_', ' ')} {ast.get_docstring(node) or ''}"
            return {int(number) for number in re.findall(r"case (\d+)", said, re.IGNORECASE)}
    raise AssertionError(f"there is no test {path}::{name}")


def test_the_page_has_every_case() -> None:
    assert list(rows()) == list(CASES)


@pytest.mark.parametrize("case", CASES)
def test_each_has_tests_that_say_so(case: int) -> None:
    assert rows()[case] != []
    for path, name in rows()[case]:
        assert case in numbers(path, name), f"{path}::{name} does not say that it is about case {case}"
