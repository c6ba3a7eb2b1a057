"""However a trial ends, its launch ends once, as what it was, and no other trial notices."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from asynctune._runner.logs import cut_log
from asynctune.errors import FailedTrialError, FatalValueError
from asynctune.executors.local import LocalExecutor
from asynctune.failure import FailureKind
from asynctune.messages import Died, TrialRaised, TrialReturned
from tests.process.conftest import Attach


class TwoArguments(Exception):
    def __init__(self, one: object, other: object) -> None:
        super().__init__(one)
        self.other = other


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class Slippery(str):
    """A text that does something else when it is looked at."""

    __slots__ = ()

    def __len__(self) -> NoReturn:  # noqa: PLE0303
        os._exit(67)

    def encode(self, *_: object) -> bytes:
        os._exit(68)


class Texted(Exception):
    def __str__(self) -> str:
        return Slippery("slips away")


class Explosive(Exception):
    def __reduce__(self) -> Any:
        os._exit(66)


def deep() -> None:
    deep()


def quiet_core() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def segfault() -> None:
    quiet_core()
    ctypes.string_at(0)


def abort() -> None:
    quiet_core()
    os.abort()


def close_and_exit() -> None:
    os.closerange(0, 256)
    os._exit(5)


def raised(error: BaseException) -> Callable[[], NoReturn]:
    def do() -> NoReturn:
        raise error

    return do


RAISING: dict[str, tuple[Callable[[], object], FailureKind, str, int | None]] = {
    "value error": (raised(ValueError("bad x")), FailureKind.RAISED, "ValueError: bad x", None),
    "two arguments": (raised(TwoArguments("a", threading.Lock())), FailureKind.RAISED, "TwoArguments: a", None),
    "no text": (raised(Mute()), FailureKind.RAISED, "Mute: (no text: asking for it raised RuntimeError)", None),
    "a text of its own kind": (raised(Texted()), FailureKind.RAISED, "Texted: slips away", None),
    "a long name": (raised(type("E" * 10_000_000, (Exception,), {})()), FailureKind.RAISED, "characters left out", None),
    "explosive": (raised(Explosive("boo")), FailureKind.RAISED, "Explosive: boo", None),
    "no memory": (lambda: bytes(2**62), FailureKind.RAISED, "MemoryError", None),
    "recursion": (deep, FailureKind.RAISED, "RecursionError", None),
    "ten megabytes": (raised(ValueError("x" * 10_000_000)), FailureKind.RAISED, "characters left out", None),
    "surrogates": (raised(ValueError("a\udcffb")), FailureKind.RAISED, r"ValueError: a\udcffb", None),
    "base exception": (raised(BaseException("deep")), FailureKind.RAISED, "BaseException: deep", None),
    "group": (raised(ExceptionGroup("many", [ValueError("one"), TypeError("two")])), FailureKind.RAISED, "many", None),
    "sys.exit(0)": (lambda: sys.exit(0), FailureKind.EXITED, "sys.exit(0)", 0),
    "sys.exit(3)": (lambda: sys.exit(3), FailureKind.EXITED, "sys.exit(3)", 3),
    "sys.exit(255)": (lambda: sys.exit(255), FailureKind.EXITED, "sys.exit(255)", 255),
    "sys.exit(-1)": (lambda: sys.exit(-1), FailureKind.EXITED, "sys.exit(-1)", 255),
    "sys.exit(2**70)": (lambda: sys.exit(2**70), FailureKind.EXITED, f"sys.exit({2**70})", 255),
    "sys.exit(10**5000)": (lambda: sys.exit(10**5000), FailureKind.EXITED, "sys.exit((no text", 255),
    "raise SystemExit": (raised(SystemExit()), FailureKind.EXITED, "sys.exit(0)", 0),
    "sys.exit(text)": (lambda: sys.exit("sorry"), FailureKind.EXITED, "sorry", 1),
    "keyboard interrupt": (raised(KeyboardInterrupt()), FailureKind.EXITED, "KeyboardInterrupt", 130),
    "returns text": (lambda: "fine", FailureKind.INVALID_RESULT, "str", None),
    "returns nothing": (lambda: None, FailureKind.INVALID_RESULT, "None", None),
    "returns a lock": (threading.Lock, FailureKind.INVALID_RESULT, "lock", None),
    "returns a dict with text": (lambda: {"loss": "low"}, FailureKind.INVALID_RESULT, "'loss'", None),
    "returns too much": (lambda: {f"m{i}": 1.0 for i in range(600_000)}, FailureKind.INVALID_RESULT, "over the limit", None),
}

DYING: dict[str, tuple[Callable[[], object], int | None, int | None]] = {
    "os._exit(0)": (lambda: os._exit(0), 0, None),
    "os._exit(7)": (lambda: os._exit(7), 7, None),
    "os._exit(255)": (lambda: os._exit(255), 255, None),
    "segfault": (segfault, None, signal.SIGSEGV),
    "abort": (abort, None, signal.SIGABRT),
    "killed": (lambda: os.kill(os.getpid(), signal.SIGKILL), None, signal.SIGKILL),
    "terminated": (lambda: os.kill(os.getpid(), signal.SIGTERM), None, signal.SIGTERM),
    "closes everything": (lambda: os.closerange(0, 256), 0, None),
    "closes everything and exits": (close_and_exit, 5, None),
}


def act(trial: Any) -> Any:
    name = trial.values.get("name")
    return 1.5 if name is None else (RAISING.get(name) or DYING[name])[0]()


@pytest.mark.fault(4)
@pytest.mark.fault(21)
@pytest.mark.fault(3)
@pytest.mark.fault(17)
async def test_what_raises_fails_alone(local: LocalExecutor, attach: Attach) -> None:
    async with attach(local, act) as search:
        for number, name in enumerate(RAISING):
            innocent = search.start(1000 + number)
            ending = await search.run(number, {"name": name})
            _, kind, text, code = RAISING[name]

            assert isinstance(ending, TrialRaised), (name, ending)
            assert ending.failure.kind is kind, (name, ending)
            assert text in ending.failure.message, (name, ending.failure.message)
            assert ending.failure.exit_code == code, name
            assert len(ending.failure.message) < 11_000
            assert len(ending.failure.traceback or "") < 70_000
            assert ending.failure.log == f"logs/{number}-1.log"
            assert isinstance(await innocent, TrialReturned)


@pytest.mark.fault(1)
@pytest.mark.fault(2)
@pytest.mark.fault(4)
async def test_who_dies_dies_alone(local: LocalExecutor, attach: Attach) -> None:
    async with attach(local, act) as search:
        for number, (name, (_, code, signum)) in enumerate(DYING.items()):
            innocent = search.start(1000 + number)
            ending = await search.run(number, {"name": name})

            assert isinstance(ending, Died), (name, ending)
            assert (ending.exit_code, ending.signal) == (code, signum), name
            assert isinstance(await innocent, TrialReturned)


def deaf(trial: Any) -> None:
    os.closerange(0, 256)
    threading.Event().wait()


def babbling(trial: Any) -> None:
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            socket.socket(fileno=os.dup(descriptor)).send(b"\xff\xff\xff\xff and more")
    threading.Event().wait()


@pytest.mark.parametrize(("trainable", "text"), [(deaf, "closed its channel"), (babbling, "sent what is no message")])
@pytest.mark.fault(19)
@pytest.mark.fault(22)
async def test_who_ruins_its_channel_is_killed(local: LocalExecutor, attach: Attach, trainable: Any, text: str) -> None:
    async with attach(local, trainable) as search:
        ending = await search.run()

    assert isinstance(ending, TrialRaised)
    assert ending.failure.kind is FailureKind.KILLED
    assert text in ending.failure.message


async def test_what_speaks_to_the_search(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> None:
        raise FailedTrialError("hopeless") if trial.id == 0 else FatalValueError("all is lost")

    async with attach(local, train) as search:
        failed, fatal = await search.run(0), await search.run(1)

    assert isinstance(failed, TrialRaised)
    assert (failed.failure.retry, failed.failure.fatal) == (False, False)
    assert isinstance(fatal, TrialRaised)
    assert (fatal.failure.retry, fatal.failure.fatal) == (False, True)
    assert fatal.failure.error_type == "asynctune.errors.FatalValueError"


@pytest.mark.fault(2)
@pytest.mark.parametrize(("crash", "text"), [(segfault, "Segmentation fault"), (abort, "Aborted")])
async def test_a_crash_leaves_its_stack_in_the_log(
    local: LocalExecutor, attach: Attach, tmp_path: Path, crash: Callable[[], None], text: str
) -> None:
    def train(trial: Any) -> None:
        crash()

    async with attach(local, train) as search:
        ending = await search.run()

    assert isinstance(ending, Died)
    log = (tmp_path / str(ending.log)).read_text()
    assert f"Fatal Python error: {text}" in log
    assert f"in {crash.__name__}" in log


@pytest.mark.fault(22)
async def test_output_of_every_kind_goes_to_the_log(local: LocalExecutor, attach: Attach, tmp_path: Path) -> None:
    def train(trial: Any) -> float:
        libc = ctypes.CDLL(None)
        print("from print")
        sys.stderr.write("from stderr, no newline")
        os.write(1, b"from os.write\n")
        libc.puts(b"from puts")
        os.system("echo from a shell")
        trial.log.info("from %s", "the log")
        faulthandler.dump_traceback()
        print("x" * 1_000_000)
        return 1.0

    async with attach(local, train) as search:
        await search.metrics()
        log = (tmp_path / "logs/0-1.log").read_text()

    for part in ("print", "stderr, no newline", "os.write", "puts", "a shell", "the log"):
        assert f"from {part}" in log
    assert "most recent call first" in log
    assert len(log) > 1_000_000


@pytest.mark.fault(22)
def test_a_log_is_cut_wherever_the_way_to_it_leads(tmp_path: Path) -> None:
    (tmp_path / "real/logs").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    log = tmp_path / "real/logs/0-1.log"
    log.write_bytes(b"." * 100_000)
    with log.open("ab") as file, subprocess.Popen(["sleep", "60"], stdout=file) as process:
        try:
            cut_log(process.pid, str(tmp_path / "elsewhere"), 8192)
            assert log.stat().st_size == 100_000
            cut_log(process.pid, str(tmp_path / "link"), 8192)
            assert log.stat().st_size < 8192
        finally:
            process.kill()


@pytest.mark.fault(22)
async def test_a_flooded_log_is_cut(local: LocalExecutor, attach: Attach, tmp_path: Path) -> None:
    cap = 16 * 1024 * 1024

    def train(trial: Any) -> float:
        print("the first line")
        block = b"." * (1024 * 1024 - 1) + b"\n"
        for _ in range(24):
            os.write(1, block)
        while os.fstat(1).st_size > cap:
            threading.Event().wait(0.01)
        print("the last line")
        return 1.0

    async with attach(local, train) as search:
        await search.metrics()

    log = tmp_path / "logs/0-1.log"
    text = log.read_text()
    assert log.stat().st_size < cap
    assert text.startswith("the first line\n")
    assert "bytes were left out here]" in text
    assert text.endswith("the last line\n")


async def test_a_trial_runs_what_it_registered_for_its_end(local: LocalExecutor, attach: Attach, tmp_path: Path) -> None:
    def train(trial: Any) -> float:
        import atexit
        import tempfile

        atexit.register(lambda: (tmp_path / "left").write_text("bye"))
        train.kept = tempfile.TemporaryDirectory(dir=tmp_path, prefix="temporary-")  # type: ignore[attr-defined]
        return 1.0

    async with attach(local, train) as search:
        await search.metrics()

    assert (tmp_path / "left").read_text() == "bye"
    assert not any(name.startswith("temporary-") for name in os.listdir(tmp_path))


async def test_a_thread_that_is_left_over_does_not_keep_the_trial(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> float:
        threading.Thread(target=threading.Event().wait).start()
        return 1.0

    async with attach(local, train) as search:
        assert await search.metrics() == {"loss": 1.0}


async def test_many_at_once(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> float:
        trial.report(loss=1.0)
        return float(trial.id)

    async with attach(local, train) as search:
        endings = await asyncio.gather(*(search.start(number) for number in range(100)))

    assert [ending.metrics for ending in endings if isinstance(ending, TrialReturned)] == [{"loss": n} for n in range(100)]


@pytest.mark.parametrize("descriptor", [1, 2])
@pytest.mark.fault(22)
async def test_a_trial_may_close_its_output(local: LocalExecutor, attach: Attach, descriptor: int) -> None:
    def train(trial: Any) -> float:
        os.close(descriptor)
        trial.report(loss=0.5)
        return 1.0

    async with attach(local, train) as search:
        assert await search.metrics() == {"loss": 1.0}
