"""What is public is listed, exported and typed; and the door is light."""

from __future__ import annotations

import ast
import copy
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module

import cloudpickle
import pytest

import asynctune
from tests.house.source import ABOUT_LIBRARIES, ROOT, Module, modules, parse
from tests.many import few


def sets_getattr(node: ast.AST) -> bool:
    """Whether this defines or assigns `__getattr__`."""
    name = node.name if isinstance(node, ast.FunctionDef) else node.id if isinstance(node, ast.Name) else ""
    return name == "__getattr__"


def outside_classes(tree: ast.AST) -> Iterator[ast.AST]:
    """Everything in a module that is not in a class."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.ClassDef):
            yield node
            yield from outside_classes(node)


MODULES = modules()
LIGHT = [module for module in MODULES if module.name not in {"asynctune.__main__", *ABOUT_LIBRARIES}]
# Modules that fetch their names when they are first asked for: what they list stands under TYPE_CHECKING.
LAZY = [module for module in MODULES if any(sets_getattr(node) for node in outside_classes(module.tree))]
MOST_NAMES_AT_THE_DOOR = 64


def name_of(module: Module) -> str:
    return module.name


def listed(module: Module) -> list[str] | None:
    for node in module.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            names: list[str] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
            return names
    return None


def defined(body: Iterable[ast.stmt]) -> set[str]:
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in body if isinstance(node, kinds) and not node.name.startswith("_")}


def typed_names(module: Module) -> set[str]:
    return {
        (alias.asname or alias.name)
        for block in module.tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def run_python(program: str) -> str:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", [module for module in MODULES if len(module.tree.body) > 1], ids=name_of)
def test_every_module_lists_what_it_offers(module: Module) -> None:
    names = listed(module)

    assert names is not None, f"{module.where} has no __all__"
    assert len(names) == len(set(names))
    assert defined(module.tree.body) <= set(names), f"{module.where} defines what it does not list: name it with an underscore"


@pytest.mark.parametrize("module", LIGHT, ids=name_of)
def test_what_is_listed_is_there(module: Module) -> None:
    imported = import_module(module.name)
    missing = [name for name in listed(module) or () if not hasattr(imported, name)]

    assert missing == []


@pytest.mark.parametrize("module", LAZY, ids=name_of)
def test_lazy_names_are_listed_and_typed(module: Module) -> None:
    assert set(listed(module) or ()) - {"__version__"} == typed_names(module)
    assert set(listed(module) or ()) <= set(dir(import_module(module.name)))


@pytest.mark.parametrize("module", LAZY, ids=name_of)
def test_an_unknown_name_is_an_attribute_error(module: Module) -> None:
    with pytest.raises(AttributeError, match=f"module '{module.name}' has no attribute 'Nonesuch'"):
        _ = import_module(module.name).Nonesuch


def test_the_door_is_small() -> None:
    assert len(asynctune.__all__) <= MOST_NAMES_AT_THE_DOOR


def test_every_name_at_the_door_is_used_in_the_typed_file() -> None:
    tree = parse(ROOT / "tests" / "typing" / "api.py")
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "at"
    }

    assert set(asynctune.__all__) - used == set()


def test_importing_the_package_imports_next_to_nothing() -> None:
    imported = run_python("import sys; before = set(sys.modules); import asynctune; print(*set(sys.modules) - before)").split()

    assert [name for name in imported if name.startswith("asynctune")] == ["asynctune"]
    assert {name.partition(".")[0] for name in imported} - sys.stdlib_module_names == {"asynctune"}
    assert {"asyncio", "email", "logging", "multiprocessing", "socket", "sqlite3", "subprocess"}.isdisjoint(imported)


@pytest.mark.parametrize(
    "names",
    few(1, [[name for name in map(name_of, LIGHT) if name.count(".") < most and "._" not in name] for most in (2, 9)]),
    ids=["doors", "all"],
)
def test_every_module_can_be_the_first_to_be_imported(names: list[str]) -> None:
    # What a module registers when it is imported (a union with the converter, say) must not depend on who was there before.
    program = (
        "import importlib, sys\n"
        f"for name in {names}:\n"
        "    for known in [known for known in sys.modules if known.partition('.')[0] == 'asynctune']:\n"
        "        del sys.modules[known]\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except Exception as error:\n"
        "        print(f'{name}: {type(error).__name__}: {error}')\n"
    )

    assert run_python(program) == ""


def test_importing_every_module_imports_nothing_heavy() -> None:
    names = [module.name for module in LIGHT]
    heavy = "{'numpy', 'pandas', 'tensorflow', 'keras', 'sklearn'}"
    program = f"import sys, importlib; [importlib.import_module(n) for n in {names}]; print(*{heavy} & set(sys.modules))"

    assert run_python(program).split() == []


def test_the_runner_imports_no_engine_and_no_event_loop() -> None:
    # The one module that async trainables need is imported for them alone.
    names = [module.name for module in MODULES if module.room == "_runner" and module.name != "asynctune._runner.async_trial"]
    program = f"import sys, importlib; [importlib.import_module(n) for n in {names}]; print(*sys.modules)"
    imported = run_python(program).split()

    assert {"anyio", "asyncio", "rich", "sqlite3"}.isdisjoint(imported)
    assert [name for name in imported if name.startswith(("asynctune._engine", "asynctune._machine", "asynctune.search"))] == []


@pytest.mark.parametrize(
    "first",
    [
        "import asynctune.search",
        "from asynctune.search import Search",
        "import asynctune; asynctune.search",
        "from asynctune import search",
    ],
)
def test_search_is_the_function_whatever_was_imported_first(first: str) -> None:
    assert run_python(f"{first}; import asynctune as at; print(type(at.search).__name__)") == "function\n"


def test_the_package_travels_by_name() -> None:
    # By value it would take a trainable that mentions it along, or fail it.
    assert pickle.loads(pickle.dumps(asynctune)) is asynctune
    assert pickle.loads(cloudpickle.dumps(lambda: asynctune))() is asynctune
    assert copy.deepcopy(asynctune) is asynctune


def test_the_version_is_the_installed_one() -> None:
    assert (
        run_python("import asynctune, importlib.metadata as m; print(asynctune.__version__ == m.version('asynctune'))")
        == "True\n"
    )
