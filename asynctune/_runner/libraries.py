"""What a zygote that was thrown away had loaded, so that the next one can load the harmless part of it."""

from __future__ import annotations

import contextlib
import importlib
import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Mapping

__all__ = ["change_environment", "environment_changes", "import_all", "installed_modules", "the_environment"]


def import_all(names: Iterable[str]) -> dict[str, str]:
    """Import these modules, in order; what failed, and why."""
    failures = {}
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001 -- a module may raise anything, SystemExit too
            failures[name] = f"{type(error).__name__}: {error}"
    return failures


def installed_modules(known: Iterable[str], without: str) -> list[str]:
    """The modules that were imported since `known` and are installed, in the order in which their import began.

    Args:
        known: names of modules, left out.
        without: a top-level name, left out with all that is below it: the trainable's own package.
    """
    places = tuple(f"{os.path.realpath(path)}{os.sep}" for path in _install_paths())
    left_out = set(known)
    names = []
    for name, module in list(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        if name in left_out or name.partition(".")[0] in {without, "__main__", "__mp_main__"} or not isinstance(origin, str):
            continue
        if origin in {"built-in", "frozen"} or os.path.realpath(origin).startswith(places):
            names.append(name)
    return names


def _install_paths() -> set[str]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    with contextlib.suppress(AttributeError):  # absent where Python was built or embedded without `site`
        paths.update(site.getsitepackages(), [site.getusersitepackages()])
    return {path for path in paths if path}


def the_environment() -> dict[str, str]:
    """The environment as it is. Read for one purpose: to see what importing the trainable changed in it."""
    return dict(os.environ)


def environment_changes(before: Mapping[str, str]) -> dict[str, str | None]:
    """What is different now; None where a variable is gone. Libraries read some of it once, when they are imported."""
    now = the_environment()
    changed: dict[str, str | None] = {name: value for name, value in now.items() if before.get(name) != value}
    return changed | dict.fromkeys(before.keys() - now.keys())


def change_environment(changes: Mapping[str, str | None]) -> None:
    """Make these changes."""
    for name, value in changes.items():
        if value is None:
            with contextlib.suppress(KeyError):
                del os.environ[name]
        else:
            os.environ[name] = value
