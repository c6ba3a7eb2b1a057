"""How many trials that do nothing can be run in a second, each durable, beside what the operating system allows.

    python -m bench.dispatch [--turns 5] [--trials 600] [--tensorflow]

Fresh: a process for every trial, beside a process that does nothing but fork a child (which exits at once) and wait for it,
with the same modules loaded. Reused: runners that stay, beside the rate at which one asyncio loop and one child pass a message
there and back.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial

import asynctune as at
from asynctune.events import Finished, Started
from bench.common import Pair, in_turns, show

_FORKS = """
import os, sys, time, gc
import asynctune._runner.process
for name in sys.argv[2:]:
    __import__(name)
gc.collect(); gc.freeze()
began = time.perf_counter()
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
print(int(sys.argv[1]) / (time.perf_counter() - began))
"""


def nothing(trial: at.Trial) -> float:
    """A trial that does nothing."""
    return 0.0


async def searched(executor: at.Executor, trials: int, directory: str) -> float:
    """Trials a second of a whole search, durable in a new directory; start-up left out by an executor that is shared."""
    first, last = 0.0, 0.0
    search = at.Search(
        nothing,
        {"x": at.Float(0, 1)},
        objective=at.Objective("y", "min"),
        max_trials=trials,
        executor=executor,
        storage=tempfile.mkdtemp(dir=directory),
        seed=0,
    )
    async with search:
        async for event in search.events():
            for happening in event.happened:
                if not first and isinstance(happening, Started):
                    first = event.at
                elif isinstance(happening, Finished):
                    last = event.at
        result = await search.result()
    if sum(trial.score == 0.0 for trial in result.trials.values()) != trials:
        raise RuntimeError(f"not every trial was completed: {result}")
    return trials / (last - first)


def ours(isolation: str, workers: int, trials: int, preload: list[str], directory: str) -> float:
    """Trials a second."""

    async def main() -> float:
        async with at.LocalExecutor(workers, isolation=isolation, preload=preload) as executor:  # type: ignore[arg-type]
            await searched(executor, 2 * workers, directory)  # what is used for the first time is not what we measure
            return await searched(executor, trials, directory)

    return asyncio.run(main())


def forks(count: int, preload: list[str]) -> float:
    """Bare forks and waits a second."""
    command = [sys.executable, "-c", _FORKS, str(count), *preload]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class _Echo(asyncio.Protocol):
    def __init__(self, rounds: int, done: asyncio.Future[None]) -> None:
        self.rounds, self.done = rounds, done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"x" * 64)

    def data_received(self, data: bytes) -> None:
        self.rounds -= 1
        if self.rounds:
            self.transport.write(data)
        else:
            self.done.set_result(None)


def round_trips(rounds: int) -> float:
    """Messages of 64 bytes there and back a second, between an asyncio loop and one blocking child, each on a core of its own.

    Left to itself the kernel sometimes keeps both on one core, where a message costs no waking of another core, and sometimes
    not.
    """
    mine, theirs = socket.socketpair()
    cores = sorted(os.sched_getaffinity(0))
    pid = os.fork()
    if not pid:
        os.sched_setaffinity(0, cores[-1:])
        mine.close()
        while data := theirs.recv(4096):
            theirs.sendall(data)
        os._exit(0)
    theirs.close()
    mine.setblocking(False)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        began = time.perf_counter()
        transport, _ = await loop.create_connection(lambda: _Echo(rounds, done), sock=mine)
        await done
        took = time.perf_counter() - began
        transport.close()
        return rounds / took

    os.sched_setaffinity(0, cores[:1])
    try:
        return asyncio.run(main())
    finally:
        os.sched_setaffinity(0, cores)
        os.waitpid(pid, 0)


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--tensorflow", action="store_true", help="also with TensorFlow in the zygote")
    given = parser.parse_args()
    # One directory for all turns, removed at the end: a file system that has just deleted thousands of files is slow to make
    # new ones, which has nothing to do with what is measured here.
    with tempfile.TemporaryDirectory() as directory:
        return show(measured(given.turns, given.trials, directory, tensorflow=given.tensorflow))


def measured(turns: int, trials: int, directory: str, *, tensorflow: bool) -> list[Pair]:
    """Each rate beside its floor."""
    pairs = []
    kinds = [("fresh, 2 workers", list[str](), trials, 0.45)]
    if tensorflow:
        kinds.append(("fresh, 2 workers, TensorFlow in the zygote", ["tensorflow"], trials // 4, 0.6))
    for name, preload, count, target in kinds:
        mine, floor = in_turns(turns, partial(ours, "trial", 2, count, preload, directory), partial(forks, count, preload))
        pairs.append(Pair(name, "/s", mine, floor, target))
    mine, floor = in_turns(turns, partial(ours, "worker", 8, 3 * trials, [], directory), partial(round_trips, 20 * trials))
    return [*pairs, Pair("reused, 8 workers", "/s", mine, floor, 0.08)]


if __name__ == "__main__":
    sys.exit(main())
