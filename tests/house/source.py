"""The package and its neighbours as source: what the house tests read. Nothing here imports asynctune."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from attrs import frozen

__all__ = ["ABOUT_LIBRARIES", "ROOT", "Import", "Module", "modules", "parse", "project_files"]

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "asynctune"
# Import heavy libraries at their top, and are imported only where they run: in a trial that has asked for it, or in the process
# of an oracle that needs its model.
ABOUT_LIBRARIES = frozenset(
    {
        "asynctune.keras.callback",
        "asynctune.schedulers._time_varying",
        *(f"asynctune.oracles._bayesian.{name}" for name in ("candidates", "process", "promise", "surrogate")),
    }
)


@frozen
class Import:
    """One imported module, or name of one. `late`: inside a function. `typing`: under TYPE_CHECKING."""

    target: str
    line: int
    late: bool
    typing: bool


@frozen(eq=False)
class Module:
    """A module of the package."""

    name: str
    path: Path
    tree: ast.Module

    @classmethod
    def read(cls, path: Path) -> Self:
        parts = path.relative_to(ROOT).with_suffix("").parts
        return cls(".".join(parts).removesuffix(".__init__"), path, parse(path))

    @property
    def room(self) -> str:
        """The first part of its name below the package; "" for the front door."""
        return self.name.partition(".")[2].partition(".")[0]

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))

    def imports(self) -> Iterator[Import]:
        """Everything that it imports, names as modules: `from a.b import c` is both `a.b` and `a.b.c`.

        Of the package itself only the name counts: `from asynctune import errors` needs `asynctune.errors`.
        """
        yield from _imports(self.tree, late=False, typing=False)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def modules() -> list[Module]:
    """Every module of the package."""
    return [Module.read(path) for path in sorted(PACKAGE.rglob("*.py"))]


def project_files() -> list[Path]:
    """Every text file that belongs to the project."""
    folders = ["asynctune", "bench", "docs", "examples", "tests", ".ci"]
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.is_file() and path.name not in ("LICENSE", ".git")]
    return sorted(path for path in files if "__pycache__" not in path.parts)


def _imports(node: ast.AST, *, late: bool, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, late, typing)
        elif isinstance(child, ast.ImportFrom):
            yield from _import_from(child, late=late, typing=typing)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from _imports(ast.Module(child.body, []), late=late, typing=True)
            yield from _imports(ast.Module(child.orelse, []), late=late, typing=typing)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, late=late or inside, typing=typing)


def _import_from(node: ast.ImportFrom, *, late: bool, typing: bool) -> Iterator[Import]:
    # A relative import is written as what it is, so that no rule is passed by.
    module = "." * node.level + (node.module or "")
    if module != "asynctune":
        yield Import(module, node.lineno, late, typing)
    for alias in node.names:
        yield Import(f"{module}.{alias.name}", node.lineno, late, typing)
