"""A file is read in one sitting, a function in one look."""

from __future__ import annotations

import ast

import pytest

from tests.house.source import Module, modules

MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_sizes(module: Module) -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in ast.walk(module.tree) if isinstance(node, kinds)]
    lines = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    long = {name: count for name, count in lines.items() if count > MOST_LINES_OF_A_FUNCTION}
    size = module.path.read_bytes().count(b"\n")

    assert size <= MOST_LINES_OF_A_FILE, module.where
    assert long == {}
