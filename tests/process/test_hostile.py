"""A runner is untrusted input: whatever it writes to its channel, its own launch ends once, and nobody else notices."""

from __future__ import annotations

import array
import fcntl
import os
import random
import resource
import socket
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import psutil
import pytest

from asynctune._runner.framing import frame
from asynctune.executors.local import LocalExecutor
from asynctune.failure import Failure, FailureKind
from asynctune.messages import (
    Answer,
    Died,
    FromRunner,
    MetricsReported,
    ParametersDeclared,
    ToRunner,
    TrialLeft,
    TrialRaised,
    TrialReturned,
    What,
)
from asynctune.space.domains import Float
from asynctune.wire import encode
from tests.process.conftest import Attach, Search, until
from tests.process.interrupted import report_interrupted

MIB = 1024 * 1024


def channel() -> socket.socket:
    """The runner's channel, which nothing keeps a trial from finding."""
    for name in os.listdir("/proc/self/fd"):
        if os.path.realpath(f"/proc/self/fd/{name}").rpartition("/")[2].startswith("socket:"):
            return socket.socket(fileno=os.dup(int(name)))
    raise AssertionError("no channel")


def said(message: Any) -> bytes:
    return frame(encode(message, FromRunner))


def report(trial: int = 0, step: int = 1) -> bytes:
    return said(MetricsReported(trial=trial, launch=1, step=step, metrics={"loss": 1.0}, clock=float(step)))


def declaration(name: str, trial: int = 0) -> bytes:
    return said(ParametersDeclared(trial=trial, launch=1, parameters={name: Float(0.0, 1.0)}, values={name: 0.5}))


def packed(raw: Any) -> bytes:
    return frame(msgpack.packb(raw))


WHO = {"trial": 0, "launch": 1}
RAW = {**WHO, "step": 1, "metrics": {"loss": 1.0}, "clock": 1.0, "checkpoint": None, "type": "MetricsReported"}
ANSWER = Answer(trial=0, launch=1, step=1, what=What.GO)

# What is written, and what is said of it.
NO_MESSAGES: dict[str, bytes] = {
    "a length of a gigabyte": struct.pack(">I", 2**30) + b"x" * 1000,
    "an empty frame": frame(b""),
    "noise": frame(bytes(range(256))),
    "a deep nest": frame(b"\x91" * 100_000),
    "a nest of maps": frame(b"\x81\xa1a" * 100_000),
    "a list that is longer than its frame": frame(b"\xdd\xff\xff\xff\xff"),
    "broken UTF-8": frame(b"\x81\xa4type\xa2\xff\xfe"),
    "two messages in a frame": frame(encode(ANSWER, ToRunner) * 2),
    "no map": packed([1, 2, 3]),
    "no type": packed({"trial": 0}),
    "an unknown type": packed(RAW | {"type": "Started"}),
    "a type that is a list": packed(RAW | {"type": [1]}),
    "a message of the search's": frame(encode(ANSWER, ToRunner)),
    "a step that is text": packed(RAW | {"step": "1"}),
    "a step that is a float": packed(RAW | {"step": 1.0}),
    "a metric that is text": packed(RAW | {"metrics": {"loss": "low"}}),
    "a metric that is true": packed(RAW | {"metrics": {"loss": True}}),
    "a metric whose name is a number": packed(RAW | {"metrics": {1: 1.0}}),
    "an extra key": packed(RAW | {"extra": 1}),
    "an extra key that is a number": packed(RAW | {7: 1}),
    "no clock": packed({key: value for key, value in RAW.items() if key != "clock"}),
}
OUT_OF_TURN: dict[str, tuple[bytes, str]] = {
    "reports without end": (b"".join(report(step=step) for step in range(1, 20_000)), "did not wait for the answer"),
    "declarations without end": (b"".join(map(declaration, map(str, range(20_000)))), "declared parameters twice"),
    "words about others": (report(trial=7) * 20_000, "is not its own"),
}


def writing(trial: Any) -> float:
    if trial.id >= 1000:
        return 1.0
    with channel() as wire:
        wire.sendall(trial.data[trial.values["name"]])
        threading.Event().wait()
    return 1.0


@pytest.mark.fault(19)
async def test_what_is_no_message_ends_its_launch_and_no_other(local: LocalExecutor, attach: Attach) -> None:
    async with attach(local, writing, NO_MESSAGES) as search:
        for number, name in enumerate(NO_MESSAGES):
            innocent = search.start(1000 + number)
            over = search.start(0, {"name": name}, launch=1 + number if number else 1)
            ending = await over

            assert isinstance(ending, TrialRaised), (name, ending)
            assert ending.failure.kind is FailureKind.KILLED, name
            assert "sent what is no message" in ending.failure.message, (name, ending)
            assert len(ending.failure.message) < 1000
            assert isinstance(await innocent, TrialReturned)
    assert search.heard_of == []
    assert search.failures == []


@pytest.mark.fault(18)
@pytest.mark.parametrize("name", OUT_OF_TURN)
async def test_a_flood_is_ended_and_takes_no_memory(local: LocalExecutor, attach: Attach, name: str) -> None:
    # The first report is not answered: what comes behind it would have to be kept.
    search = Search(lambda report: What.PARK)
    flood, text = OUT_OF_TURN[name]
    async with attach(local, writing, {name: flood}, search=search):
        innocent = search.start(1000)
        ending = await search.run(0, {"name": name})

        assert isinstance(ending, TrialRaised)
        assert text in ending.failure.message
        assert isinstance(await innocent, TrialReturned)
    assert len(search.heard_of) <= 2


@pytest.mark.fault(19)
async def test_a_hundred_thousand_metrics_are_metrics(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> None:
        trial.report({f"metric {number}": 1.0 for number in range(100_000)})

    async with attach(local, train) as search:
        assert isinstance(await search.run(), TrialReturned)

    assert len(search.reports[0].metrics) == 100_000


def holding_back(trial: Any) -> None:
    """Begin a frame as long as any may be, and never end it."""
    with channel() as wire:
        wire.sendall(struct.pack(">I", 8 * MIB) + b"x" * (8 * MIB - 1))
        trial.report(loss=1.0)


@pytest.mark.fault(19)
async def test_whatever_they_write_the_search_stays_as_small_as_it_was(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> float:
        with channel() as wire:
            if trial.id % 2:
                holding_back(trial)
            while True:
                wire.sendall(struct.pack(">I", 2**31) + b"x" * MIB)

    async with attach(local, train) as search:
        await search.run(0)
        await search.run(1)
        before = psutil.Process().memory_info().rss
        for number in range(2, 40):
            assert isinstance(await search.run(number), TrialRaised)

        assert psutil.Process().memory_info().rss - before < 32 * MIB


async def test_the_last_word_is_the_last(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> None:
        with channel() as wire:
            wire.sendall(said(TrialReturned(trial=0, launch=1, metrics={"loss": 5.0})))
            wire.sendall(said(TrialReturned(trial=0, launch=1, metrics={"loss": 6.0})) * 10_000)
        threading.Event().wait()

    async with attach(local, train) as search:
        ending = await search.run()

    assert isinstance(ending, TrialReturned)
    assert ending.metrics == {"loss": 5.0}


@pytest.mark.fault(18)
async def test_who_does_not_read_the_answers_is_ended(local: LocalExecutor, attach: Attach) -> None:
    def train(trial: Any) -> None:
        waiting = array.array("i", [0])
        with channel() as wire:
            for step in range(1, 100_000):
                before = waiting[0]
                wire.sendall(report(step=step))
                for _ in range(10):  # until the answer lies there, or there is no room for it
                    fcntl.ioctl(wire, termios.FIONREAD, waiting)
                    if waiting[0] > before:
                        break
                    threading.Event().wait(0.001)

    async with attach(local, train) as search:
        ending = await search.run()

    assert isinstance(ending, TrialRaised)
    assert "does not read" in ending.failure.message


def interrupted(trial: Any) -> float:
    """Is interrupted in report(), as an alarm does it, and goes on."""
    import signal

    def ring(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, ring)
    for _ in range(5):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        try:
            trial.report(loss=1.0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except TimeoutError:
            continue
    trial.hp.Float("x", 0.0, 1.0)
    return 2.0


async def interrupted_async(trial: Any) -> float:
    import asyncio

    for _ in range(5):
        try:
            async with asyncio.timeout(0.01):
                await trial.report(loss=1.0)
        except TimeoutError:
            continue
    trial.hp.Float("x", 0.0, 1.0)
    return 2.0


@pytest.mark.fault(18)
@pytest.mark.parametrize("trainable", [interrupted, interrupted_async])
async def test_who_was_interrupted_in_a_report_waits_for_its_answer_before_the_next(
    local: LocalExecutor, attach: Attach, trainable: Any
) -> None:
    # The first report is answered with nothing but "wait"; the alarms ring meanwhile, and the end comes without an answer.
    search = Search(lambda report: What.PARK)
    async with attach(local, trainable, search=search):
        ending = await search.run()

    assert isinstance(ending, TrialReturned)
    assert [each.step for each in search.reports] == [1]
    assert isinstance(search.heard_of[-1], ParametersDeclared)


def looks_after_interruption(trial: Any) -> float:
    """Is interrupted in report(), and asks whether it is to stop until somebody makes it go on."""
    try:
        report_interrupted(trial)
    except TimeoutError:
        (trial.directory / "interrupted").touch()
    while not (trial.directory / "answered").exists():
        assert not trial.should_stop
    assert not trial.should_stop
    trial.report(loss=1.0)
    return 2.0


async def looks_while_another_task_waits(trial: Any) -> float:
    import asyncio

    waits = asyncio.create_task(trial.report(loss=1.0))
    await asyncio.sleep(0.01)
    (trial.directory / "interrupted").touch()
    while not (trial.directory / "answered").exists():
        assert not trial.should_stop
    assert not trial.should_stop
    await waits
    await trial.report(loss=1.0)
    return 2.0


@pytest.mark.fault(18)
@pytest.mark.parametrize("trainable", [looks_after_interruption, looks_while_another_task_waits])
async def test_an_answer_counts_wherever_it_is_heard(
    local: LocalExecutor, attach: Attach, tmp_path: Path, trainable: Any
) -> None:
    search = Search(lambda report: What.PARK if report.step == 1 else What.GO)
    async with attach(local, trainable, search=search):
        over = search.start()
        await search.report_of()
        await until((tmp_path / "trials/0/interrupted").exists)
        search.attachment.send(Answer(trial=0, launch=1, step=1, what=What.GO))
        (tmp_path / "trials/0/answered").touch()
        ending = await over

    assert isinstance(ending, TrialReturned)
    assert [each.step for each in search.reports] == [1, 2]


# --------------------------------------------------------------------------------------------------------------- fuzzing


def fuzz(luck: random.Random, trial: int) -> Iterator[bytes]:
    """Frames and what is none: some whole, some damaged, some made of anything."""
    who: dict[str, Any] = {"trial": trial, "launch": 1}
    whole: list[Callable[[], bytes]] = [
        lambda: report(trial),
        lambda: report(trial, luck.choice([-1, 0, 1, 2, 2**63, 2**64 - 1])),
        lambda: report(luck.randrange(trial + 2)),
        lambda: declaration(luck.choice(["a", "a/b", "", "../x", "\0", "x" * 4096, "\u202e"]), trial),
        lambda: said(TrialLeft(**who)),
        lambda: said(TrialRaised(**who, failure=Failure(kind=FailureKind.RAISED, message="x" * 10_000))),
        lambda: said(TrialReturned(**who, metrics={"": float("nan")}, step=2**64 - 1)),
        lambda: packed(anything(luck, 4)),
        lambda: luck.randbytes(luck.randrange(64)),
    ]
    for _ in range(luck.randrange(1, 8)):
        data = bytearray(luck.choice(whole)())
        for _ in range(luck.choice([0, 0, 0, 1, 3])):
            if data:
                data[luck.randrange(len(data))] = luck.randrange(256)
        yield bytes(data[: luck.randrange(len(data) + 1)] if luck.random() < 0.1 else data)


def anything(luck: random.Random, depth: int) -> Any:
    """What msgpack can say."""
    if depth and luck.random() < 0.5:
        parts = [anything(luck, depth - 1) for _ in range(luck.randrange(5))]
        return parts if luck.random() < 0.5 else {str(part): part for part in parts}
    return luck.choice([None, True, 0, -(2**63), 2**64 - 1, float("nan"), float("inf"), "", "type", "trial", b"\xff", 0.5])


def fuzzing(trial: Any) -> float:
    luck = random.Random(trial.seed)
    if trial.id >= 100_000:
        return 1.0
    with channel() as wire:
        for data in fuzz(luck, trial.id):
            try:
                wire.sendall(data)
            except OSError:  # it has been heard enough
                break
    if luck.random() < 0.5:
        os._exit(luck.randrange(256))
    return 2.0


async def fuzzed(local: LocalExecutor, attach: Attach, rounds: int) -> None:
    search = Search(lambda report: What.PARK)
    async with attach(local, fuzzing, search=search):
        before = 0
        for number in range(rounds):
            innocent = search.start(100_000 + number)
            ending = await search.run(number)

            assert isinstance(ending, TrialRaised | TrialReturned | TrialLeft | Died)
            assert isinstance(await innocent, TrialReturned)
            search.forget()
            if number == rounds // 4:
                before = psutil.Process().memory_info().rss
        assert psutil.Process().memory_info().rss - before < 32 * MIB
    assert search.failures == []


@pytest.mark.fault(18)
@pytest.mark.fault(19)
async def test_a_channel_that_is_fuzzed(local: LocalExecutor, attach: Attach) -> None:
    await fuzzed(local, attach, 200)


@pytest.mark.slow
@pytest.mark.fault(18)
@pytest.mark.fault(19)
async def test_a_channel_that_is_fuzzed_for_long(local: LocalExecutor, attach: Attach) -> None:
    await fuzzed(local, attach, 20_000)


# ----------------------------------------------------------------------------------- the places where a trial's code runs

PLACES = ["run", "the result", "its History", "the text of what it raises", "the shape of a metric"]
DEEDS = ["crash", "exit", "C exit", "error"]


def do(deed: str) -> Any:
    import ctypes
    import sys

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if deed == "crash":
        ctypes.string_at(0)
    elif deed == "exit":
        sys.exit(3)
    elif deed == "C exit":
        ctypes.CDLL(None)._exit(4)
    raise RuntimeError("out of hand")


def exploding(trial: Any) -> Any:
    """Its code runs once more, at our hands: when we look at what it has returned or raised."""
    if trial.id >= 1000:
        return 1.0
    place, deed = trial.values["place"], trial.values["deed"]

    class Result:
        def __float__(self) -> float:
            return float(do(deed))

    class History:
        @property
        def history(self) -> Any:
            return do(deed)

    class Shaped:
        @property
        def shape(self) -> Any:
            return do(deed)

    class Raised(Exception):
        def __str__(self) -> str:
            return str(do(deed))

    if place == "run":
        do(deed)
    elif place == "the text of what it raises":
        raise Raised
    elif place == "the shape of a metric":
        trial.report(loss=Shaped())
    return History() if place == "its History" else Result()


@pytest.mark.fault(21)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("deed", DEEDS)
async def test_a_trial_that_explodes_anywhere_fails_alone(local: LocalExecutor, attach: Attach, place: str, deed: str) -> None:
    async with attach(local, exploding) as search:
        innocent = search.start(1000)
        ending = await search.run(0, {"place": place, "deed": deed})

        assert isinstance(await innocent, TrialReturned)
        assert isinstance(await search.run(1001), TrialReturned)
    if deed == "crash":
        assert isinstance(ending, Died)
        assert ending.signal == 11
    elif deed == "C exit":
        assert isinstance(ending, Died)
        assert ending.exit_code == 4
    else:
        assert isinstance(ending, TrialRaised)
        wanted = FailureKind.EXITED if deed == "exit" else FailureKind.RAISED
        if place == "the text of what it raises":  # what it raised is known all the same
            assert ending.failure.error_type is not None
            assert ending.failure.error_type.endswith("Raised")
        elif place in ("the result", "its History") and deed == "error":
            assert ending.failure.kind in (FailureKind.RAISED, FailureKind.INVALID_RESULT)
        else:
            assert ending.failure.kind is wanted
