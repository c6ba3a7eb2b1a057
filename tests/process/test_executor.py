"""What `LocalExecutor` takes and refuses, and the parts of it that need no process."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import threadpoolctl

from asynctune._runner.framing import Frames, frame
from asynctune._runner.mailbox import Mailbox
from asynctune._runner.orders import ForkFailed, FromSearch, RunnerEnded
from asynctune.errors import ConfigurationError, ExecutorError, WireError
from asynctune.executors._gpus import Gpus
from asynctune.executors._post import Post
from asynctune.executors.local import LocalExecutor
from asynctune.failure import FailureKind
from asynctune.messages import Lost, TrialRaised, TrialReturned, What
from asynctune.policies import Resources
from asynctune.wire import encode
from tests.process.conftest import Attach, Search, recipe, until


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"max_workers": 0}, "max_workers=.* takes an integer of at least 1 and at most 10,000, not 0"),
        ({"max_workers": 2.0}, "max_workers=.* takes an integer"),
        ({"max_workers": True}, "max_workers=.* takes an integer"),
        ({"isolation": "process"}, "isolation=.* takes 'trial' or 'worker', not 'process'"),
        ({"start_method": "forkserver"}, "start_method=.* takes 'fork' or 'spawn', not 'forkserver'"),
        ({"preload": "keras"}, "preload=.* takes a list of modules such as \\[\"keras\"\\], not 'keras'"),
        ({"preload": [3]}, "preload=.* takes a list of modules"),
        ({"preload": ["json"], "start_method": "spawn"}, "does nothing"),
        ({"nice": -1}, "nice=.* takes an integer from 0 to 19, not -1"),
        ({"nice": 1.5}, "nice=.* takes an integer"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        LocalExecutor(**arguments)


def test_what_it_is() -> None:
    executor = LocalExecutor()

    assert executor.pool.size == len(os.sched_getaffinity(0))
    assert executor.capabilities.limits >= {"trial_time", "silence", "memory"}
    assert not executor.is_open
    assert "not open" in repr(executor)


async def test_it_serves_several_searches(local: LocalExecutor, tmp_path: Path) -> None:
    searches = []
    for number in range(3):
        search = Search()
        search.attachment = await local.attach(
            recipe(lambda trial, n=number: 10.0 * n + trial.id, tmp_path / str(number)), search
        )
        searches.append(search)
    metrics = [await search.metrics(trial) for trial in range(2) for search in searches]
    searches[1].attachment.close()
    await searches[1].attachment.wait_closed()

    assert [each["loss"] for each in metrics] == [0, 10, 20, 1, 11, 21]
    assert await searches[2].metrics(5) == {"loss": 25}
    assert "2 searches" in repr(local)


def many_threads(trial: Any) -> dict[str, float]:
    pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    variables = {name: float(os.environ[name]) for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")}
    return {**variables, "pools": len(pools), "blas": max(pools)}


CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("cpu", "threads"), [(0.5, 1), (1, 1), (2, min(2, CORES)), (3.9, min(3, CORES)), (9_999, CORES)])
async def test_libraries_use_as_many_threads_as_the_trial_has_cores(attach: Attach, cpu: float, threads: int) -> None:
    # Loaded before the fork, it has read the environment; so it must be told. More than the machine has would be in each
    # other's way.
    async with LocalExecutor(1, preload=["numpy"]) as local, attach(local, many_threads) as search:
        ending = await search.start(resources=Resources(cpu=cpu))

    assert isinstance(ending, TrialReturned)
    assert ending.metrics is not None
    assert ending.metrics["pools"] >= 1
    assert ending.metrics["blas"] == threads
    assert ending.metrics["OMP_NUM_THREADS"] == ending.metrics["TF_NUM_INTRAOP_THREADS"] == threads


def test_gpus_are_given_to_those_who_ask() -> None:
    gpus = Gpus(2)
    given = [gpus.take(amount) for amount in (1, 0.5, 0.5, 0, 5)]

    assert [each.gpus for each in given] == [(0,), (1,), (1,), (), (0, 1)]
    assert [gpus.shown(given[place]) for place in (0, 3, 4)] == ["0", "-1", "0,1"]
    for each in given:
        gpus.give_back(each)
    assert gpus.take(1).gpus == (0,)


def test_shares_are_put_together_so_that_whole_gpus_stay_free() -> None:
    gpus = Gpus(3)
    assert [gpus.take(amount).gpus for amount in (0.5, 0.5, 1, 0.75, 0.25)] == [(0,), (0,), (1,), (2,), (2,)]


def test_a_gpu_has_as_much_as_was_given_of_it_and_not_as_many() -> None:
    gpus = Gpus(2)
    tenths = [gpus.take(0.1) for _ in range(9)]
    gpus.take(0.5)
    assert [each.gpus for each in tenths] == [(0,)] * 9
    assert gpus.take(0.5).gpus == (1,)  # though the other one has nine
    for _ in range(100):  # 0.1 is not exactly a tenth
        gpus.give_back(tenths.pop(0))
        tenths.append(gpus.take(0.1))
    assert gpus.take(0.1).gpus == (0,)


def test_several_are_as_many_as_the_amount_rounded_up() -> None:
    gpus = Gpus(4)
    assert gpus.take(1.5).gpus == (0, 1)
    assert gpus.take(0.1 + 0.2 + 0.7).gpus == (2,)  # no more than one, though floating point has it so
    assert gpus.take(0.25).gpus == (0,)
    assert gpus.take(0.000_000_1).gpus == (0,)


def test_what_fits_nowhere_goes_where_the_least_is_given_away() -> None:
    gpus = Gpus(2)
    first, second, third, fourth = (gpus.take(amount) for amount in (0.75, 0.25, 0.75, 0.25))
    assert [each.gpus for each in (first, second, third, fourth)] == [(0,), (0,), (1,), (1,)]
    gpus.give_back(first)
    gpus.give_back(fourth)
    assert gpus.take(1).gpus == (0,)


def test_a_machine_without_gpus() -> None:
    none = Gpus(0).take(1)
    assert none.gpus == ()
    assert Gpus(0).shown(none) is None


class Box:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.ends: list[WireError | None] = []

    def heard(self, body: bytes) -> None:
        self.bodies.append(body)

    def hung_up(self, error: WireError | None) -> None:
        self.ends.append(error)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


async def test_a_post_keeps_what_cannot_be_sent_yet(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    post = Post(asyncio.get_running_loop(), ours, Box())
    bodies = [bytes([number % 256]) * 100_000 for number in range(40)]
    for body in bodies:
        post.send(body)
    frames, out = Frames(), list[bytes]()
    while len(out) < len(bodies):
        out += frames.feed(await asyncio.to_thread(theirs.recv, 65536))

    assert out == bodies
    assert "0 frames unsent" in repr(post)
    post.close()


async def test_a_post_sends_from_another_thread_what_it_can_and_as_a_whole(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    post = Post(asyncio.get_running_loop(), ours, Box())
    at_once = 0
    while await asyncio.to_thread(post.send_at_once, b"%d" % at_once):
        at_once += 1
    assert at_once > 100  # then the socket is full
    post.send(b"kept")
    frames, out = Frames(), list[bytes]()
    while b"kept" not in out:
        out += frames.feed(await asyncio.to_thread(theirs.recv, 65536))
    assert out == [*(b"%d" % number for number in range(at_once)), b"kept"]

    assert not await asyncio.to_thread(post.send_at_once, b"long" * 1000)
    assert await asyncio.to_thread(post.send_at_once, b"short")
    post.close()
    assert not await asyncio.to_thread(post.send_at_once, b"after the end")
    assert theirs.recv(65536) == frame(b"short")
    assert theirs.recv(65536) == b""


async def test_a_post_sends_descriptors_in_order(pair: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    ours, theirs = pair
    post, mailbox = Post(asyncio.get_running_loop(), ours, Box()), Mailbox(theirs)
    before = len(os.listdir("/proc/self/fd"))
    # More than a socket holds: the rest waits here.
    for number in range(400):
        post.send(b"%d" % number, (os.open(tmp_path / str(number), os.O_CREAT | os.O_RDWR),))
    for number in range(400):
        bodies = await asyncio.to_thread(mailbox.receive)
        descriptor = mailbox.take_descriptor()
        assert bodies == [b"%d" % number]
        assert os.readlink(f"/proc/self/fd/{descriptor}").endswith(f"/{number}")
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)

    assert len(os.listdir("/proc/self/fd")) == before
    post.send(b"last", (os.dup(0),))
    post.close()
    post.send(b"after the end", (os.dup(0),))
    assert mailbox.receive() == [b"last"]
    os.close(mailbox.take_descriptor())
    with pytest.raises(EOFError):
        mailbox.receive()


async def test_a_post_hears_and_hangs_up(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    box = Box()
    post = Post(asyncio.get_running_loop(), ours, box)
    theirs.sendall(frame(b"one") + frame(b"two") + b"\0\0")
    post.drain()
    assert box.bodies == [b"one", b"two"]
    theirs.close()
    await until(lambda: box.ends)

    assert box.ends == [None]
    post.drain()
    post.close()


async def test_a_post_refuses_what_is_no_frame(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    box = Box()
    post = Post(asyncio.get_running_loop(), ours, box)
    theirs.sendall(b"\xff\xff\xff\xff")
    await until(lambda: box.ends)

    assert isinstance(box.ends[0], WireError)
    assert "closed" in repr(post)


@pytest.mark.fault(31)
async def test_without_descriptors_a_trial_is_refused_and_the_next_one_runs(local: LocalExecutor, attach: Attach) -> None:
    async with attach(local, lambda trial: 1.0) as search:
        await search.metrics(0)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            refused = search.start(1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in taken:
                os.close(descriptor)
        ending = await refused

        assert isinstance(ending, TrialRaised)
        assert ending.failure.kind is FailureKind.REFUSED
        assert "Too many open files" in ending.failure.message
        assert await search.metrics(2) == {"loss": 1.0}


@pytest.mark.fault(31)
async def test_without_descriptors_nothing_is_opened() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    executor = LocalExecutor(1)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        with pytest.raises(ExecutorError, match="Too many open files"):
            await executor.open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)
    assert not executor.is_open


async def test_a_fork_that_failed_is_that_trials_failure(local: LocalExecutor, attach: Attach) -> None:
    search = Search(lambda report: What.PARK)
    async with attach(local, report_once, search=search):
        over = search.start(0)
        await search.report_of(0)
        # As its zygote would say it.
        search.attachment.heard(encode(ForkFailed(runner=0, reason="no more processes"), FromSearch))  # type: ignore[attr-defined]
        ending = await over

    assert isinstance(ending, TrialRaised)
    assert ending.failure.kind is FailureKind.REFUSED
    assert "no more processes" in ending.failure.message


def report_once(trial: Any) -> float:
    trial.report(loss=1.0)
    return 1.0


@pytest.mark.parametrize(
    "nonsense", [b"\xff", encode(RunnerEnded(runner=99, exit_code=0, signal=None), FromSearch)], ids=["no message", "nobody"]
)
@pytest.mark.fault(9)
async def test_a_zygote_that_talks_nonsense_is_replaced(
    local: LocalExecutor, attach: Attach, nonsense: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    search = Search(lambda report: What.PARK if report.launch == 1 else What.GO)
    async with attach(local, report_once, search=search):
        lost = search.start(0)
        await search.report_of(0)
        search.attachment.heard(nonsense)  # type: ignore[attr-defined]

        assert isinstance(await lost, Lost)
        assert await search.metrics(0, launch=2) == {"loss": 1.0}
    assert "makes no sense" in caplog.text
