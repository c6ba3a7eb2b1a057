"""What the package never does: read the environment, unpickle what came from outside, print, run text as code."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.source import Module, modules

MODULES = modules()

UNPICKLES = {
    # Parent to child, and only there: the bytes come from the process that started this one, on a descriptor that it inherited.
    "asynctune._runner.parcel",
    "asynctune._engine.apart.child",
    # A copy of a plugin that its own test has made.
    "asynctune.testing.contracts.draws",
}
# How many threads a library starts, and which GPUs it sees, can be told only by the environment, and before it wakes.
SETS_ENVIRONMENT = {
    *("asynctune._runner.libraries", "asynctune._runner.surroundings", "asynctune._runner.verdict"),
    # Marks what is started from there on, to find it again. Nothing reads it but whoever looks for what was left behind.
    "asynctune.testing.leftovers",
}
# Imported modules may set variables; a process that is to stand where they left another one needs to know which.
COMPARES_ENVIRONMENT = {"asynctune._runner.libraries"}
# Speak to a person at a terminal.
SPEAK = {"asynctune.__main__", "asynctune.script"}

LOADERS = {"load", "loads", "Unpickler"}
PICKLES = {"pickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib"}
RUNS_TEXT = {"eval", "exec", "compile"}


def name_of(module: Module) -> str:
    return module.name


def dotted(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def reads_environment(tree: ast.AST) -> Iterator[int]:
    """Lines that touch the environment in any way but setting, deleting, or handing all of it to a child."""
    allowed = {
        id(node.value)
        for node in ast.walk(tree)
        if (isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del))
        or (isinstance(node, ast.Attribute) and node.attr == "update")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}:
            if id(node) not in allowed:
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and any(alias.name in {"environ", "getenv", "environb"} for alias in node.names):
            yield node.lineno


def touches_environment(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr in {"environ", "putenv", "unsetenv"} for node in ast.walk(tree))


def unpickles(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in LOADERS and dotted(node.value) in PICKLES:
            yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module in PICKLES:
            yield from (node.lineno for alias in node.names if alias.name in LOADERS)


@pytest.mark.parametrize("module", [module for module in MODULES if module.name not in COMPARES_ENVIRONMENT], ids=name_of)
def test_no_environment_variable_is_read(module: Module) -> None:
    assert [f"{module.where}:{line}" for line in reads_environment(module.tree)] == []


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_the_environment_is_set_where_we_say_so(module: Module) -> None:
    assert touches_environment(module.tree) == (module.name in SETS_ENVIRONMENT)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
@pytest.mark.fault(36)
def test_unpickling_happens_where_we_say_so(module: Module) -> None:
    lines = [f"{module.where}:{line}" for line in unpickles(module.tree)]

    assert bool(lines) == (module.name in UNPICKLES), lines


@pytest.mark.fault(36)
def test_who_only_opens_or_reads_a_search_has_nothing_to_unpickle_with() -> None:
    named = {module.name: module for module in MODULES}
    reached, new = set[str](), {"asynctune.__main__", "asynctune._engine.journal", "asynctune._engine.opening"}
    while new:
        reached |= new
        imported = {each.target for name in new for each in named[name].imports() if not each.typing}
        new = {target for target in imported if target in named} - reached
    libraries = {each.target.partition(".")[0] for name in reached for each in named[name].imports() if not each.typing}

    assert reached & UNPICKLES == set()
    assert libraries & PICKLES == set()
    assert {"asynctune._engine.repair", "asynctune.wire"} <= reached


@pytest.mark.parametrize("module", MODULES, ids=name_of)
@pytest.mark.fault(36)
def test_no_text_is_run_as_code(module: Module) -> None:
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]

    assert [f"{module.where}:{node.lineno}" for node in calls if dotted(node.func) in RUNS_TEXT] == []


@pytest.mark.parametrize("module", [module for module in MODULES if module.name not in SPEAK], ids=name_of)
def test_nothing_is_printed(module: Module) -> None:
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    writes = {"print", "sys.stdout.write", "sys.stderr.write", "sys.stdout.writelines", "sys.stderr.writelines"}

    assert [f"{module.where}:{node.lineno}" for node in calls if dotted(node.func) in writes] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os\nos.environ['A'] = '1'", []),
        ("import os\ndel os.environ['A']", []),
        ("import os\nos.environ.update(a='1')", []),
        ("import os\nos.environ['A']", [2]),
        ("import os\nos.environ.get('A')", [2]),
        ("import os\nf(env=os.environ)", [2]),
        ("import os\nos.getenv('A')", [2]),
        ("from os import getenv", [1]),
    ],
)
def test_the_reader_of_the_environment_rule(source: str, found: list[int]) -> None:
    assert list(reads_environment(ast.parse(source))) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle\npickle.loads(b)", [2]),
        ("import pickle\nl = pickle.load", [2]),
        ("from pickle import loads", [1]),
        ("import cloudpickle\ncloudpickle.dumps(f)", []),
        ("import json\njson.loads(s)", []),
    ],
)
def test_the_reader_of_the_pickle_rule(source: str, found: list[int]) -> None:
    assert list(unpickles(ast.parse(source))) == found
