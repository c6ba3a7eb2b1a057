"""Imports point one way, the centre is pure, and a runner is light. Read from the source: nothing is run."""

from __future__ import annotations

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.house.source import ABOUT_LIBRARIES, Import, Module, modules, parse

MODULES = modules()
NAMES = {module.name for module in MODULES}

# Each room may import from the rooms of its own line and of those above it.
LAYERS = [
    {"disk", "errors", "frozen", "lazy", "secret", "seeds", "validators"},
    {"failure", "policies", "records"},
    {"space", "objective", "pareto", "wire"},
    {"messages", "checkpoints", "views", "events"},
    {"observers", "oracles", "schedulers", "stoppers"},
    {"_machine"},
    {"_engine", "executors"},
    {"installed", "life", "listening", "request", "results", "search", "warm_start"},
    {"testing"},
    {"keras", "script", "tune"},
    {"__main__"},
]
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}

# The runner's side of the pipe stands beside the layers: what it may know, and who may know it.
RUNNER_MAY_IMPORT = {
    *(
        "_runner",
        "disk",
        "errors",
        "secret",
        "seeds",
        "validators",
        "space",
        "failure",
        "policies",
        "records",
        "wire",
        "objective",
        "messages",
        "checkpoints",
    ),
}
MAY_IMPORT_RUNNER = {"_runner", "_engine", "executors", "keras", "testing"}
RUNNER_LIBRARIES = {"attr", "attrs", "cattrs", "msgpack"}

# No time, no luck, no input or output: where these are told, they come as arguments.
PURE = {"_machine", "schedulers", "stoppers", "failure", "policies", "records", "objective", "pareto", "views", "events"}
IMPURE = {
    *("anyio", "asyncio", "concurrent", "datetime", "glob", "io", "logging", "multiprocessing", "os", "pathlib", "queue"),
    *("random", "secrets", "select", "selectors", "shutil", "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile"),
    *("threading", "time", "uuid"),
}
HEAVY = {"numpy", "pandas", "tensorflow", "keras", "sklearn", "scipy", "torch", "jax", "matplotlib", "tensorboard"}


def within(each: Import) -> bool:
    return top(each.target) == "asynctune"


def is_module(each: Import) -> bool:
    return not within(each) or each.target in NAMES


def room(target: str) -> str:
    return target.partition(".")[2].partition(".")[0]


def top(target: str) -> str:
    return target.partition(".")[0]


def each_module(*rooms: str) -> list[Module]:
    return [module for module in MODULES if not rooms or module.room in rooms]


def name_of(module: Module) -> str:
    return module.name


@pytest.mark.parametrize("module", each_module(), ids=name_of)
def test_module_has_a_layer(module: Module) -> None:
    assert module.room in {"", "_runner", *LAYER}, f"{module.where}: give the room {module.room!r} a place in LAYERS"


@pytest.mark.parametrize("module", each_module(*LAYER), ids=name_of)
def test_imports_point_one_way(module: Module) -> None:
    up = [
        f"{module.where}:{each.line} imports {each.target}"
        for each in module.imports()
        if within(each) and room(each.target) != "_runner" and LAYER[room(each.target)] > LAYER[module.room]
    ]

    assert up == []


@pytest.mark.parametrize("module", [module for module in MODULES if module.name != "asynctune"], ids=name_of)
def test_nothing_imports_from_the_front_door(module: Module) -> None:
    wrong = [
        f"{module.where}:{each.line} imports {each.target}"
        for each in module.imports()
        if each.target == "asynctune" or each.target.startswith(".") or (each.target.count(".") == 1 and not is_module(each))
    ]

    assert wrong == []


@pytest.mark.parametrize("module", each_module(), ids=name_of)
def test_own_modules_are_imported_at_the_top(module: Module) -> None:
    late = [f"{module.where}:{each.line} imports {each.target}" for each in module.imports() if each.late and within(each)]

    assert late == []


def test_no_cycle() -> None:
    graph = {module.name: _needs(module) for module in MODULES}

    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail("a cycle of imports: " + " -> ".join(error.args[1]))


def _needs(module: Module) -> set[str]:
    # Importing a.b.c runs a.b first, so that is needed too, unless the importer lives in a.b and so finds it begun already.
    needed: set[str] = set()
    for each in module.imports():
        if within(each) and not each.typing and each.target in NAMES:
            parts = each.target.split(".")
            needed |= {".".join(parts[:length]) for length in range(2, len(parts) + 1)}
    return {name for name in needed if not f"{module.name}.".startswith(f"{name}.")}


@pytest.mark.parametrize("module", each_module("_runner"), ids=name_of)
def test_a_runner_is_light(module: Module) -> None:
    wrong = []
    for each in module.imports():
        if within(each):
            allowed = room(each.target) in RUNNER_MAY_IMPORT
        else:
            allowed = each.late or top(each.target) in RUNNER_LIBRARIES | sys.stdlib_module_names
        if not allowed:
            wrong.append(f"{module.where}:{each.line} imports {each.target}")

    assert wrong == []


@pytest.mark.parametrize("module", [module for module in MODULES if module.name != "asynctune"], ids=name_of)
def test_few_know_the_runner(module: Module) -> None:
    wrong = [
        f"{module.where}:{each.line} imports {each.target}"
        for each in module.imports()
        if within(each) and room(each.target) == "_runner" and module.room not in MAY_IMPORT_RUNNER
    ]

    assert wrong == []


@pytest.mark.parametrize("module", each_module(*PURE), ids=name_of)
def test_the_centre_imports_nothing_impure(module: Module) -> None:
    wrong = [f"{module.where}:{each.line} imports {each.target}" for each in module.imports() if top(each.target) in IMPURE]

    assert wrong == []


@pytest.mark.parametrize("module", each_module(*PURE), ids=name_of)
def test_the_centre_never_waits(module: Module) -> None:
    waits = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
    wrong = [f"{module.where}:{node.lineno}" for node in ast.walk(module.tree) if isinstance(node, waits)]

    assert wrong == []


@pytest.mark.parametrize("module", each_module(*PURE), ids=name_of)
def test_the_centre_opens_nothing(module: Module) -> None:
    wrong = [
        f"{module.where}:{node.lineno} calls {node.func.id}()"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "input", "__import__"}
    ]

    assert wrong == []


@pytest.mark.parametrize("module", [module for module in MODULES if module.name not in ABOUT_LIBRARIES], ids=name_of)
def test_nothing_heavy_at_the_top(module: Module) -> None:
    wrong = [
        f"{module.where}:{each.line} imports {each.target}"
        for each in module.imports()
        if top(each.target) in HEAVY and not each.late and not each.typing
    ]

    assert wrong == []


def test_late_and_typing_imports_are_told_apart(tmp_path: Path) -> None:
    # The reader of imports itself: a rule that reads wrong proves nothing.
    source = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import keras\nelse:\n    import attrs\n"
        "class C:\n    import json\n    def f(self):\n        from asynctune.records import State\n"
    )
    path = tmp_path / "m.py"
    path.write_text(source)
    found = {(each.target, each.late, each.typing) for each in Module("m", path, parse(path)).imports()}

    assert {
        ("keras", False, True),
        ("attrs", False, False),
        ("json", False, False),
        ("asynctune.records", True, False),
        ("asynctune.records.State", True, False),
    } <= found
