"""Virtual time: loops that do not wait, and threads that take turns."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import pytest

from asynctune.testing.virtual import Line, VirtualLoop, VirtualThreads


def test_a_day_is_over_at_once() -> None:
    async def wait() -> float:
        await asyncio.gather(asyncio.sleep(86_400), asyncio.sleep(3_600))
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(wait()) == pytest.approx(86_400, abs=0.01)


def test_what_can_never_come_is_not_waited_for() -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    loop = VirtualLoop()
    task = loop.create_task(wait())
    with pytest.raises(RuntimeError, match="nothing can happen any more"):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_things_arrive_in_the_order_in_which_they_were_sent() -> None:
    arrived: list[tuple[str, int]] = []

    async def wait() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        line = Line(loop)
        for what, seconds in (("slow", 5.0), ("quick", 1.0), ("last", 9.0)):
            line.after(seconds, lambda what=what: arrived.append((what, round(loop.time()))))  # type: ignore[misc]
        await asyncio.sleep(10)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(wait())
    assert arrived == [("slow", 5), ("quick", 5), ("last", 9)]


def in_virtual_threads(*runs: Callable[[VirtualThreads], Callable[[], None]], seconds: float = 100) -> VirtualThreads:
    """Run each in a thread of its own, for so long."""
    loop = VirtualLoop()
    threads = VirtualThreads(loop)
    for run in runs:
        loop.call_soon(threads.thread, run(threads), "test")
    loop.run_until_complete(asyncio.sleep(seconds))
    threads.close()
    loop.close()
    return threads


def test_threads_take_turns_on_virtual_time() -> None:
    said: list[tuple[str, int]] = []

    def counts(name: str, every: float) -> Callable[[VirtualThreads], Callable[[], None]]:
        def make(threads: VirtualThreads) -> Callable[[], None]:
            def run() -> None:
                for _ in range(3):
                    threads.sleep(every)
                    said.append((name, round(threads.now())))

            return run

        return make

    in_virtual_threads(counts("a", 10), counts("b", 14))
    assert said == [("a", 10), ("b", 14), ("a", 20), ("b", 28), ("a", 30), ("b", 42)]


def test_a_thread_wakes_for_what_it_waits_for_or_when_its_time_is_up() -> None:
    found: list[object] = []

    def make(threads: VirtualThreads) -> Callable[[], None]:
        queue, event = threads.queue(), threads.event()
        threads.loop.call_later(7, queue.put, "something")
        threads.loop.call_later(20, event.set)

        def run() -> None:
            found.extend([queue.get(), round(threads.now())])
            found.extend([event.wait(3), round(threads.now())])
            found.extend([event.wait(50), round(threads.now()), event.is_set()])

        return run

    in_virtual_threads(make)
    assert found == ["something", 7, False, 10, True, 20, True]


def test_what_never_comes_back_is_ended_with_the_rest() -> None:
    ended: list[str] = []

    def make(threads: VirtualThreads) -> Callable[[], None]:
        def run() -> None:
            try:
                threads.sleep(math.inf)
            finally:
                ended.append("it is over")

        return run

    threads = in_virtual_threads(make)
    assert ended == ["it is over"]
    assert threads.errors == []


def test_what_a_thread_raises_is_kept() -> None:
    def make(threads: VirtualThreads) -> Callable[[], None]:
        def run() -> None:
            raise ValueError("no")

        return run

    assert [str(error) for error in in_virtual_threads(make).errors] == ["no"]


def test_only_threads_of_the_simulation_can_wait_on_its_time() -> None:
    loop = VirtualLoop()
    with pytest.raises(RuntimeError, match="only a thread of the simulation"):
        VirtualThreads(loop).sleep(1)
    loop.close()
