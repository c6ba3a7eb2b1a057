"""Plugins by their names: ours, and those that installed packages register."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import asynctune as at
from asynctune.errors import ConfigurationError
from asynctune.installed import named
from asynctune.request import fingerprint

Install = Callable[..., None]
MODULE = """
import asynctune as at

class Theirs(at.schedulers.FIFO):
    def __init__(self, limit=3):
        self.limit = limit

    def settings(self):
        return {"limit": self.limit}

class Needy(at.schedulers.FIFO):
    def __init__(self, limit, *, share):
        self.limit, self.share = limit, share

class Drawn(at.oracles.RandomSearch):
    pass

def made():
    return Theirs(5)

def nothing():
    return None

number = 3
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a package where packages are, with these entry points."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "their_plugins.py").write_text(MODULE)

    def put(package: str, points: str, group: str = "asynctune.schedulers") -> None:
        where = tmp_path / f"{package.replace('-', '_')}-1.0.dist-info"
        where.mkdir()
        (where / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (where / "entry_points.txt").write_text(f"[{group}]\n{points}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return put


@pytest.mark.parametrize("name", ["fifo", "FIFO", "median_stopping", "MedianStopping", "median-stopping", "wilcoxon"])
def test_ours_are_known_by_their_names(name: str) -> None:
    assert type(named("scheduler", name)).__name__.lower() == name.lower().replace("_", "").replace("-", "")


@pytest.mark.parametrize("name", ["random_search", "RandomSearch", "grid_search"])
def test_our_oracles_are_too(name: str) -> None:
    assert isinstance(named("oracle", name), at.Oracle)


def test_each_is_a_new_one() -> None:
    assert named("scheduler", "fifo") is not named("scheduler", "fifo")


def test_one_that_needs_arguments_says_which_and_what_to_write() -> None:
    with pytest.raises(ConfigurationError, match=r"scheduler=asynctune\.schedulers\.ASHA\(max_steps=\.\.\.\)"):
        named("scheduler", "asha")


@pytest.mark.parametrize(
    ("argument", "name", "meant"),
    [
        ("scheduler", "fifa", "FIFO"),
        ("scheduler", "medianstoping", "MedianStopping"),
        ("oracle", "randomsearch2", "RandomSearch"),
    ],
)
def test_a_misspelled_name_is_told_what_was_meant(argument: str, name: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match=f"there is none of this name. did you mean '{meant}'?"):
        named(argument, name)


def test_what_is_no_plugin_has_no_name() -> None:
    for name in ("Scheduler", "xyzzy"):
        with pytest.raises(ConfigurationError, match="There are ASHA, BOHB, FIFO,"):
            named("scheduler", name)
    for name in ("grouped", "Group", "HyperbandPlan", "Oracle"):
        with pytest.raises(ConfigurationError, match="there is none of this name"):
            named("oracle", name)


def test_an_installed_one_is_found(install: Install) -> None:
    install("their-package", "theirs = their_plugins:Theirs\nfive = their_plugins:made")
    install("their-oracles", "drawn = their_plugins:Drawn", "asynctune.oracles")
    assert fingerprint(named("scheduler", "theirs")) == 'Theirs({"limit": 3})'
    assert fingerprint(named("scheduler", "Five")) == 'Theirs({"limit": 5})'
    assert type(named("oracle", "drawn")).__name__ == "Drawn"
    with pytest.raises(ConfigurationError, match="did you mean 'theirs'"):
        named("scheduler", "their")


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ("bad = their_plugins:nobody", "is their_plugins:nobody of the package 'their-package', and that cannot be imported"),
        ("bad = no_such_module_here:X", "cannot be imported: ModuleNotFoundError"),
        ("bad = their_plugins:number", "which is neither a class nor a function, but 3"),
        ("bad = their_plugins:nothing", "which makes no asynctune.Scheduler, but None"),
        ("bad = their_plugins:Drawn", "which makes no asynctune.Scheduler"),
        ("bad = their_plugins:Needy", r"needs limit, share: .*scheduler=their_plugins\.Needy\(limit=\.\.\., share=\.\.\.\)"),
    ],
)
def test_one_that_cannot_be_is_named_with_its_package(install: Install, point: str, said: str) -> None:
    install("their-package", point)
    with pytest.raises(ConfigurationError, match=said):
        named("scheduler", "bad")


def test_a_name_that_two_have_is_neither(install: Install) -> None:
    install("their-package", "theirs = their_plugins:Theirs\nfifo = their_plugins:Theirs")
    install("another", "theirs = their_plugins:made")
    said = r"can be their_plugins:\S+ of the package '\S+' or their_plugins:\S+ of the package '\S+': pass an object"
    with pytest.raises(ConfigurationError, match=said):
        named("scheduler", "theirs")
    with pytest.raises(ConfigurationError, match=r"can be asynctune\.schedulers\.FIFO or their_plugins:Theirs"):
        named("scheduler", "fifo")


async def test_a_search_takes_names(install: Install) -> None:
    install("their-package", "theirs = their_plugins:Theirs")

    async def train(trial: at.AsyncTrial) -> float:
        return trial.hp.Float("x", 0, 1)

    given = at.search(
        train,
        objective=at.Objective("loss", "min"),
        oracle="quasi_random",
        scheduler="theirs",
        max_trials=3,
        executor=at.InlineExecutor(1),
    )
    assert len((await given).trials) == 3


def test_a_search_that_is_given_an_unknown_name_does_not_begin() -> None:
    with pytest.raises(ConfigurationError, match=r"scheduler='asha ': there is none of this name. did you mean 'ASHA'?"):
        at.Search(lambda trial: 1.0, objective="loss", scheduler="asha ", max_trials=1)
