"""A trainable may live anywhere: in a module, in the script itself, in another function, in no file at all."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from asynctune._runner.trainable import Argument, argument_of, is_async
from asynctune.errors import TrainableError
from asynctune.executors._acceptable import check_trainable
from asynctune.executors.local import LocalExecutor
from asynctune.executors.trainable import pack_trainable
from asynctune.messages import TrialRaised
from asynctune.space import HyperParameters
from tests.process.conftest import PATIENCE, Attach, Search, recipe

ROOT = Path(__file__).parents[2]
LOCK = threading.Lock()


def module_level(trial: Any) -> float:
    return 2.0


def over_a_lock(trial: Any) -> float:
    with LOCK:
        return 3.0


class Callable:
    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, trial: Any) -> float:
        return self.value

    def method(self, trial: Any) -> float:
        return self.value + 1

    @staticmethod
    def static(trial: Any) -> float:  # noqa: ARG004
        return 9.0


def two(trial: Any, value: Any) -> Any:
    return value


def wants_hp(hp: Any) -> float:
    return float(hp.Float("x", 5.0, 5.5, default=5.0) >= 5.0)


def wants_annotated(parameters: HyperParameters) -> float:
    return wants_hp(parameters)


def wants_config(config: dict[str, Any]) -> float:
    assert type(config) is dict
    return float(config["a"]["b"])


@pytest.mark.parametrize(
    ("trainable", "loss"),
    [
        (module_level, 2.0),
        (over_a_lock, 3.0),
        (f"{__name__}:module_level", 2.0),
        (f"{__name__}:Callable.static", 9.0),
        (Callable(4.0), 4.0),
        (Callable(4.0).method, 5.0),
        (functools.partial(two, value=6.0), 6.0),
        (lambda trial: 7.0, 7.0),
        (wants_hp, 1.0),
        (wants_annotated, 1.0),
        (wants_config, 8.0),
    ],
)
async def test_where_it_lives_in_this_process(local: LocalExecutor, attach: Attach, trainable: Any, loss: float) -> None:
    async with attach(local, trainable) as search:
        assert await search.metrics(0, {"a/b": 8.0}) == {"loss": loss}


async def test_a_closure(local: LocalExecutor, attach: Attach) -> None:
    around = {"value": 1.25}

    def helper() -> float:
        return around["value"]

    def train(trial: Any) -> float:
        return helper() + 1

    async with attach(local, train) as search:
        assert await search.metrics() == {"loss": 2.25}


async def test_a_module_that_the_child_cannot_find(local: LocalExecutor, attach: Attach) -> None:
    module = types.ModuleType("made_of_nothing")
    exec("value = 2.5\ndef train(trial):\n    return value\n", module.__dict__)  # noqa: S102
    sys.modules["made_of_nothing"] = module
    try:
        async with attach(local, module.train) as search:
            assert await search.metrics() == {"loss": 2.5}
    finally:
        del sys.modules["made_of_nothing"]


SEARCH = """
import asyncio, sys
from pathlib import Path
from asynctune.executors.local import LocalExecutor
from tests.process.conftest import Search, recipe

print("top level")

class Model:
    scale = 2.0
    def loss(self):
        return self.scale * factor

factor = 1.5

def train(trial):
    return Model().loss()

async def main():
    async with LocalExecutor(1) as executor:
        search = Search()
        search.attachment = await executor.attach(recipe(train, Path({directory!r})), search)
        print((await search.metrics())["loss"])
        search.attachment.close()
        await search.attachment.wait_closed()

{run}
"""
UNGUARDED = "asyncio.run(main())"
GUARDED = "if __name__ == '__main__':\n    asyncio.run(main())"


@pytest.mark.parametrize("run", [UNGUARDED, GUARDED], ids=["unguarded", "guarded"])
@pytest.mark.parametrize("how", ["script", "-c", "-m", "stdin", "directory"])
def test_the_main_script_is_run_once(tmp_path: Path, run: str, how: str) -> None:
    text = SEARCH.format(directory=str(tmp_path / "search"), run=run)
    (tmp_path / "pkg").mkdir()
    for name in ("script.py", "pkg/__init__.py", "pkg/__main__.py"):
        (tmp_path / name).write_text("" if "init" in name else text)
    # What lies in the working directory must not stand in the place of the standard library.
    (tmp_path / "select.py").write_text("raise SystemExit('shadowed')")
    arguments, stdin = {
        "script": ([str(tmp_path / "script.py")], None),
        "-c": (["-c", text], None),
        "-m": (["-m", "pkg"], None),
        "stdin": (["-"], text),
        "directory": ([str(tmp_path / "pkg")], None),
    }[how]
    path = {"PYTHONPATH": f"{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-P", *arguments] if how != "-m" else [sys.executable, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=tmp_path if how != "-m" else _without_shadow(tmp_path),
        env=path,
        timeout=PATIENCE,
        check=False,
    )

    assert done.stdout == "top level\n3.0\n", done.stderr


def _without_shadow(directory: Path) -> Path:
    # `-m` puts the working directory first, so there the shadow would be the script's own mistake.
    (directory / "select.py").unlink()
    return directory


def nothing() -> None: ...


@pytest.mark.parametrize(
    ("trainable", "text"),
    [
        (None, "no trainable"),
        (3, "no trainable"),
        (Callable, "the class Callable is no trainable"),
        (nothing, "the trainable nothing takes no argument; it must take one: the trial"),
        (two, "exactly one argument, the trial; it requires trial, value"),
        ("no colon", '"package.module:name"'),
        ("a:b:c", '"package.module:name"'),
        ("os path:join", '"package.module:name"'),
        (":x", '"package.module:name"'),
        ("__main__:train", "the main script, which trials do not import: pass the function itself"),
    ],
)
async def test_no_trainable(local: LocalExecutor, tmp_path: Path, trainable: Any, text: str) -> None:
    with pytest.raises(TrainableError, match=text):
        await local.attach(recipe(trainable, tmp_path), Search())


async def awaited(hp: Any) -> None: ...


def raises_on_load() -> None:
    raise ValueError("not here")


class RaisesOnLoad:
    def __call__(self, trial: Any) -> float:
        return 1.0

    def __reduce__(self) -> Any:
        return raises_on_load, ()


class ExitsOnLoad(RaisesOnLoad):
    def __reduce__(self) -> Any:
        return sys.exit, (3,)


@pytest.mark.parametrize(
    ("trainable", "text"),
    [
        ("no_such_module_at_all:train", "there is no module 'no_such_module_at_all'"),
        (f"{__name__}:no_such_function", "has no 'no_such_function'"),
        (f"{__name__}:LOCK", "is no trainable"),
        (RaisesOnLoad(), "ValueError: not here"),
        (ExitsOnLoad(), "SystemExit: 3"),
        (awaited, "rename its parameter"),
    ],
)
@pytest.mark.parametrize("start_method", ["fork", "spawn"])
@pytest.mark.fault(20)
async def test_what_cannot_be_loaded(tmp_path: Path, trainable: Any, text: str, start_method: Any) -> None:
    async with LocalExecutor(1, start_method=start_method) as local:
        with pytest.raises(TrainableError, match=text):
            await local.attach(recipe(trainable, tmp_path), Search())


@pytest.mark.fault(20)
def test_what_keeps_it_from_travelling_is_named() -> None:
    lock = threading.Lock()

    def helper() -> None:
        lock.acquire()

    def train(trial: Any) -> None:
        helper()

    with pytest.raises(
        TrainableError, match=r"because of the variable 'lock' around it in the variable 'helper' around it \(lock\)"
    ):
        pack_trainable(train)
    with pytest.raises(TrainableError, match=r"argument 'value' \(lock\)"):
        pack_trainable(functools.partial(two, value=lock))


@pytest.mark.fault(20)
def test_a_global_that_keeps_it_from_travelling_is_named() -> None:
    module = types.ModuleType("made_of_nothing")
    text = "import threading\npool = {'lock': threading.Lock()}\ndef train(trial):\n    return pool\n"
    exec(text, module.__dict__)  # noqa: S102
    sys.modules["made_of_nothing"] = module
    try:
        with pytest.raises(TrainableError, match="the item 'lock' in the global 'pool'"):
            pack_trainable(module.train)
    finally:
        del sys.modules["made_of_nothing"]


def test_importable_things_travel_by_name() -> None:
    assert len(pack_trainable(module_level).sections[0]) < 100
    assert pack_trainable("a.b:c").reference == "a.b:c"


@pytest.mark.parametrize(
    ("trainable", "argument"),
    [
        (module_level, Argument.TRIAL),
        (wants_hp, Argument.HP),
        (wants_annotated, Argument.HP),
        (wants_config, Argument.CONFIG),
        (lambda anything, more=1: None, Argument.TRIAL),
        (lambda *arguments: None, Argument.TRIAL),
        (lambda hp=None: None, Argument.HP),
        (functools.partial(two, value=1.0), Argument.TRIAL),
        (functools.partial(lambda config, hp: None, {}), Argument.HP),
        (Callable(1.0), Argument.TRIAL),
        (max, Argument.TRIAL),
    ],
)
def test_what_it_is_handed(trainable: Any, argument: Argument) -> None:
    assert argument_of(trainable) is argument
    check_trainable(trainable)


class Awaited:
    async def __call__(self, trial: Any) -> None: ...


@pytest.mark.parametrize(
    ("trainable", "awaits"),
    [(awaited, True), (functools.partial(awaited), True), (Awaited(), True), (module_level, False), (Callable(1.0), False)],
)
def test_what_is_awaited(trainable: Any, awaits: bool) -> None:
    assert is_async(trainable) is awaits


async def test_what_raises_in_each_runner_is_told(tmp_path: Path, attach: Attach) -> None:
    """Spawned runners load the trainable themselves; what goes wrong later is the trial's."""
    marker = tmp_path / "loaded"

    async with LocalExecutor(1, start_method="spawn") as local, attach(local, LoadsOnce(marker)) as search:
        await search.metrics(0)
        ending = await search.run(1)

    assert isinstance(ending, TrialRaised)
    assert "FileExistsError" in ending.failure.message


class LoadsOnce:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __call__(self, trial: Any) -> float:
        return 1.0

    def __reduce__(self) -> Any:
        return load_once, (self.marker,)


def load_once(marker: Path) -> Any:
    marker.touch(exist_ok=False)
    return module_level
