"""How many trials that do nothing can be run in a second, each durable, beside what the operating system allows.

    python -m bench.dispatch [--turns 5] [--trials 1000] [--tensorflow] [--keras-tuner PYTHON] [--ray PYTHON] [--optuna PYTHON]

Fresh: a process for every trial, beside a process that does nothing but fork a child (which exits at once) and wait for it,
with the same modules loaded. Reused: runners that stay, beside the rate at which one asyncio loop and one child pass a message
there and back.

The peers do nothing too, each in its own way: Optuna and KerasTuner call the function in their own process, one trial after the
other; Ray Tune runs it in actors, as many as our workers; `concurrent.futures` keeps no record of anything.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import asynctune as at
from asynctune.events import Finished, Started
from bench.common import Ahead, Pair, ask, in_rounds, in_turns, peers_parser, show, show_ahead

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

TARGETS = {
    ("Optuna on SQLite", "reused"): 15.0,
    ("Ray Tune, 2 fresh actors", "fresh"): 500.0,
    ("Ray Tune, 8 reused actors", "reused"): 50.0,
}


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


def futures(workers: int, count: int) -> float:
    """Functions a second that a pool of processes, forked before, calls."""
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(abs, range(10 * workers)))
        began = time.perf_counter()
        for future in [pool.submit(abs, number) for number in range(count)]:
            future.result()
        return count / (time.perf_counter() - began)


def peers(keras_tuner: str | None, ray: str | None, optuna: str | None) -> dict[str, Callable[[], float]]:
    """Those whose interpreters were given, and the one that comes with Python. Counts are such that each takes seconds."""
    runs: dict[str, Callable[[], float]] = {"concurrent.futures, 8 processes": partial(futures, 8, 5000)}
    if optuna:
        kinds = {"memory": ("in memory", 3000), "sqlite": ("on SQLite", 200), "journal": ("on a journal file", 1000)}
        for storage, (title, count) in kinds.items():
            runs[f"Optuna {title}"] = partial(ask, optuna, "optuna", "dispatch", storage=storage, trials=count)
    if keras_tuner:
        runs["KerasTuner"] = partial(ask, keras_tuner, "keras_tuner", "dispatch", trials=200)
    if ray:
        way = partial(ask, ray, "ray", "dispatch")
        runs["Ray Tune, 2 fresh actors"] = partial(way, trials=16, workers=2, reuse=False)
        runs["Ray Tune, 8 reused actors"] = partial(way, trials=100, workers=8, reuse=True)
    return runs


def beside(turns: int, trials: int, directory: str, runs: dict[str, Callable[[], float]]) -> list[Ahead]:
    """Our two rates beside every peer's: fresh processes beside fresh actors, reused ones beside the rest."""
    fresh, reused = "fresh", "reused"
    mine = {
        fresh: partial(ours, "trial", 2, trials, [], directory),
        reused: partial(ours, "worker", 8, 3 * trials, [], directory),
    }
    taken = in_rounds(turns, {**mine, **runs}, warm=False)
    pairs = [(name, fresh if "fresh" in name else reused) for name in runs]
    pairs += [(name, fresh) for name in runs if "SQLite" in name]
    return [Ahead(f"{name}; ours {kind}", "/s", taken[name], taken[kind], TARGETS.get((name, kind))) for name, kind in pairs]


def main() -> int:
    """Measure, and print the tables."""
    parser = peers_parser(__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--tensorflow", action="store_true", help="also with TensorFlow in the zygote")
    given = parser.parse_args()
    # One directory for all turns, removed at the end: a file system that has just deleted thousands of files is slow to make
    # new ones, which has nothing to do with what is measured here.
    with tempfile.TemporaryDirectory() as directory:
        status = show(measured(given.turns, given.trials, directory, tensorflow=given.tensorflow))
        runs = peers(given.keras_tuner, given.ray, given.optuna)
        return status | show_ahead(beside(given.turns, given.trials, directory, runs))


if __name__ == "__main__":
    sys.exit(main())
