"""What a module does when it is imported never hangs a trial: forked only where that is safe, and spawned where nothing is."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from asynctune._runner.libraries import change_environment, environment_changes, import_all, installed_modules, the_environment
from asynctune.errors import ConfigurationError, TrainableError
from asynctune.executors.local import LocalExecutor
from asynctune.messages import TrialReturned
from tests.many import few
from tests.process.conftest import PATIENCE, Attach, Search, alive, recipe, until

REPORTING = """
def train(trial):
    import os
    trial.report(loss=1.0)
    return {"loss": 1.0, "pid": os.getpid(), "launched": float("LAUNCHED" in os.environ)}
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a module; its name for a reference."""

    def write(text: str, *, name: str = "") -> str:
        name = re.sub(r"\W", "_", f"module_{tmp_path.name}_{name}")
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text) + REPORTING)
        monkeypatch.syspath_prepend(tmp_path)
        return f"{name}:train"

    return write


UNSAFE = {
    "a thread": (
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
        "a thread was started",
    ),
    "an executor": (
        "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1)\npool.submit(len, ()).result()",
        "a thread was started: ThreadPoolExecutor",
    ),
    "a native thread": (
        """
        import ctypes
        libc = ctypes.CDLL(None)
        thread = ctypes.c_ulong()
        assert libc.pthread_create(ctypes.byref(thread), None, ctypes.cast(libc.pause, ctypes.c_void_p), None) == 0
        """,
        "a native thread was started",
    ),
    "a socket": ("import socket\nserver = socket.create_server(('127.0.0.1', 0))", "open channel: socket"),
    "an event loop": ("import asyncio\nloop = asyncio.new_event_loop()", "open channel: anon_inode:"),
    "a process": ("import subprocess\nhelper = subprocess.Popen(['sleep', '600'])", "a process was started: sleep 600"),
    "a manager": ("import multiprocessing\nmanager = multiprocessing.Manager()", "a process was started"),
}


@pytest.mark.parametrize("unsafe", UNSAFE)
@pytest.mark.fault(32)
async def test_unsafe_modules_are_loaded_by_each_trial(
    local: LocalExecutor, attach: Attach, module: Any, unsafe: str, caplog: pytest.LogCaptureFixture
) -> None:
    text, reason = UNSAFE[unsafe]
    caplog.set_level(logging.INFO, "asynctune")
    async with attach(local, module(f"import os\nos.environ['LAUNCHED'] = '1'\n{textwrap.dedent(text)}")) as search:
        metrics = [await search.metrics(number) for number in range(3)]

    assert len({each["pid"] for each in metrics}) == 3
    assert all(each["launched"] for each in metrics)
    assert reason in caplog.text
    assert "each trial loads it itself" in caplog.text
    assert "costs each process" in caplog.text


async def test_safe_modules_are_loaded_once(
    local: LocalExecutor, attach: Attach, module: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = (
        f"import numpy\nkept = numpy.ones((300, 300)) @ numpy.ones((300, 300))\nopen({str(tmp_path)!r} + '/n', 'a').write('x')"
    )
    caplog.set_level(logging.INFO, "asynctune")
    async with attach(local, module(text)) as search:
        for number in range(3):
            await search.metrics(number)

    assert (tmp_path / "n").read_text() == "x"
    assert caplog.text == ""


async def test_a_process_that_a_module_started_goes_with_the_search(
    local: LocalExecutor, attach: Attach, module: Any, tmp_path: Path
) -> None:
    text = f"import subprocess\nopen({str(tmp_path / 'pids')!r}, 'a').write(f\"{{subprocess.Popen(['sleep', '600']).pid}} \")"
    async with attach(local, module(text)) as search:
        await search.metrics()
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]

    assert len(pids) >= 2
    await until(lambda: not any(map(alive, pids)))


@pytest.mark.fault(32)
async def test_data_that_is_unsafe(local: LocalExecutor, attach: Attach, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asynctune")
    async with attach(local, use_data, {"it": StartsThread()}) as search:
        first, second = await search.metrics(0), await search.metrics(1)

    assert first["pid"] != second["pid"]
    assert "a thread was started" in caplog.text


def use_data(trial: Any) -> dict[str, float]:
    return {"loss": float(trial.data["it"]), "pid": os.getpid()}


class StartsThread:
    def __reduce__(self) -> Any:
        return start_thread, ()


def start_thread() -> float:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return 1.0


async def test_a_module_that_prints_prints_once(local: LocalExecutor, attach: Attach, module: Any, tmp_path: Path) -> None:
    text = "import ctypes\nprint('from python')\nctypes.CDLL(None).printf(b'from c')"
    async with attach(local, module(text)) as search:
        for number in range(3):
            await search.metrics(number)

    written = "".join(path.read_text() for path in (tmp_path / "logs").rglob("*.log"))
    assert Counter(written.split("from ")[1:]) == {"python\n": 1, "c": 1}


async def test_what_a_module_registered_for_the_end_runs_in_no_trial(
    local: LocalExecutor, attach: Attach, module: Any, tmp_path: Path
) -> None:
    text = f"""
    import atexit, pathlib, tempfile
    atexit.register(lambda: pathlib.Path({str(tmp_path / "ran")!r}).touch())
    directory = tempfile.TemporaryDirectory(dir={str(tmp_path)!r}, prefix="kept-")
    """
    async with attach(local, module(text)) as search:
        for number in range(2):
            await search.metrics(number)

    assert not (tmp_path / "ran").exists()
    assert sum(name.startswith("kept-") for name in os.listdir(tmp_path)) == 1


async def test_files_that_a_module_opened_stay_open(local: LocalExecutor, attach: Attach, module: Any, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("4.5")
    text = f"import os\nfile = os.open({str(tmp_path / 'text')!r}, os.O_RDONLY)\n"
    reference = module(text + "def train_on_it(trial):\n    return float(os.pread(file, 10, 0))\n")
    async with attach(local, reference.replace(":train", ":train_on_it")) as search:
        assert await search.metrics() == {"loss": 4.5}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ValueError('at import')", "ValueError: at import"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("import nope", "nope"),
    ],
)
async def test_modules_that_cannot_be_imported(local: LocalExecutor, module: Any, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TrainableError, match=said) as error:
        await local.attach(recipe(module(text), tmp_path), Search())
    assert any("Traceback" in note for note in error.value.__notes__)


async def test_spawn(attach: Attach, module: Any) -> None:
    text = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"
    async with LocalExecutor(2, start_method="spawn") as local, attach(local, module(text), {"x": 1}) as search:
        metrics = [await search.metrics(number) for number in range(3)]

    assert len({each["pid"] for each in metrics}) == 3


async def test_spawn_and_reuse(attach: Attach, module: Any) -> None:
    async with LocalExecutor(1, start_method="spawn", isolation="worker") as local, attach(local, module("")) as search:
        metrics = [await search.metrics(number) for number in range(3)]

    assert len({each["pid"] for each in metrics}) == 1


async def test_a_preload_that_is_unsafe_means_spawn(
    attach: Attach, module: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    preload = module("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()").partition(":")[0]
    async with LocalExecutor(1, preload=[preload]) as local, attach(local, f"{preload}:train") as search:
        metrics = [await search.metrics(number) for number in range(2)]

    assert "no process can be forked" in caplog.text
    assert "a thread was started" in caplog.text
    assert len({each["pid"] for each in metrics}) == 1


async def test_a_preload_that_cannot_be_imported() -> None:
    executor = LocalExecutor(1, preload=["json", "no_such_module"])
    with pytest.raises(ConfigurationError, match=r"'no_such_module'.*ModuleNotFoundError"):
        await executor.open()
    assert not executor.is_open


def test_changes_of_the_environment_are_seen_and_made_again() -> None:
    os.environ.update(TEST_KEPT="1", TEST_CHANGED="1", TEST_GONE="1")
    before = the_environment()
    os.environ["TEST_CHANGED"] = "2"
    os.environ["TEST_NEW"] = "3"
    del os.environ["TEST_GONE"]
    changes = environment_changes(before)
    change_environment(dict.fromkeys(changes) | {"TEST_NEVER": None})
    os.environ["TEST_GONE"] = "1"
    change_environment(changes)
    now = the_environment()
    change_environment(dict.fromkeys(["TEST_KEPT", "TEST_CHANGED", "TEST_NEW", "TEST_GONE"]))

    assert changes == {"TEST_CHANGED": "2", "TEST_NEW": "3", "TEST_GONE": None}
    assert {name: value for name, value in now.items() if name.startswith("TEST_")} == {
        "TEST_KEPT": "1",
        "TEST_CHANGED": "2",
        "TEST_NEW": "3",
    }


def test_installed_modules() -> None:
    names = installed_modules(["os"], "psutil")

    assert {"json", "attrs", "pytest"} <= set(names)
    assert not {"os", "psutil", "__main__", __name__} & set(names)
    assert import_all(["json", "no_such_module"]) == {"no_such_module": "ModuleNotFoundError: No module named 'no_such_module'"}


SEARCH = """
import asyncio, logging, sys
from pathlib import Path
from asynctune.executors.local import LocalExecutor
from tests.process.conftest import Search, recipe

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
logging.getLogger("asyncio").setLevel(logging.ERROR)

async def main():
    async with LocalExecutor(1) as executor:
        search = Search()
        search.attachment = await executor.attach(recipe("theirs:train", Path(sys.argv[1])), search)
        metrics = [await search.metrics(number) for number in range(3)]
        print(len({each["pid"] for each in metrics}), "process")
        search.attachment.close()
        await search.attachment.wait_closed()

asyncio.run(main())
"""


def test_an_installed_library_that_is_unsafe_means_spawn(tmp_path: Path) -> None:
    # Installed is what lies where packages are installed. This place of them can be chosen.
    installed = tmp_path / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    installed.mkdir(parents=True)
    unsafe = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    (installed / "unsafe_library.py").write_text(unsafe)
    (tmp_path / "theirs.py").write_text("import unsafe_library\n" + REPORTING)
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(tmp_path), str(installed)])
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, str(tmp_path / "search")],
        env={"PYTHONUSERBASE": str(tmp_path), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert "no process can be forked for this search (a thread was started" in done.stdout, done.stderr
    assert "new interpreters, which are reused" in done.stdout
    assert done.stdout.endswith("1 process\n")


# --------------------------------------------------------------------------------------------------------- TensorFlow

FIT = """
import numpy, os, keras

def fit(trial):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    history = model.fit(numpy.ones((64, 4)), numpy.ones((64, 1)), epochs=2, verbose=0)
    return history
"""
WAKERS = {
    "imports": "",
    "a constant": "import tensorflow as tf\nkept = tf.constant(1.0)",
    "an optimizer": "import keras\nkept = keras.optimizers.Adam()",
    "a functional model": "import keras\nkept = keras.layers.Dense(3)(keras.Input((2,)))",
}


@pytest.mark.keras
@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="Keras is not installed")
@pytest.mark.fault(32)
@pytest.mark.parametrize("names", few(1, [["imports", "an optimizer"], ["a constant", "a functional model"]]), ids=" and ".join)
async def test_tensorflow_at_import_hangs_nothing(
    module: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str]
) -> None:
    caplog.set_level(logging.INFO, "asynctune")
    async with LocalExecutor(2, preload=["keras", "tensorflow"]) as local:
        for name in names:
            caplog.clear()
            reference = module(WAKERS[name] + FIT, name=name.replace(" ", "_")).replace(":train", ":fit")
            search = Search()
            search.attachment = await local.attach(recipe(reference, tmp_path), search)
            endings = [await over for over in [search.start(number) for number in range(3)]]
            search.attachment.close()
            await search.attachment.wait_closed()

            assert all(isinstance(ending, TrialReturned) and ending.step in {1, 2} for ending in endings), endings
            assert ("TensorFlow was used" in caplog.text) == (name != "imports")
            assert "new interpreters" not in caplog.text
