"""How well slots are kept busy by trials that sleep for a second, each in a process of its own; and what sleeping trials cost.

    python -m bench.slots [--trials 480] [--slots 16] [--seconds 20]

Efficiency is the least time that so many sleeps take on so many slots, divided by the time from the first start to the last
end. Ray Tune's documentation publishes 87.4 % for 10,000 trials on 16. The cost of sleeping trials is the processor time that
this process and everything below it use while eight trials sleep, as a share of one core.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
import time
from pathlib import Path

import asynctune as at
from asynctune.events import Finished, Started
from bench.common import headline, table

LEAST_EFFICIENCY = 0.985
MOST_OF_A_CORE = 0.01
_SLEEPERS = 8


def sleeping(trials: int, slots: int, seconds: float, directory: str) -> at.Search:
    """A search whose trials sleep."""

    def sleep(trial: at.Trial) -> float:
        time.sleep(seconds)
        return 0.0

    executor = at.LocalExecutor(slots)
    space = {"x": at.Float(0, 1)}
    objective = at.Objective("y", "min")
    return at.Search(sleep, space, objective=objective, max_trials=trials, storage=directory, executor=executor, seed=0)


async def efficiency(trials: int, slots: int) -> float:
    """The ideal time to the real one."""
    first, last = 0.0, 0.0
    with tempfile.TemporaryDirectory() as directory:
        async with sleeping(trials, slots, 1.0, directory) as search:
            async for event in search.events():
                for happening in event.happened:
                    if isinstance(happening, Started):
                        first = first or event.at
                    last = event.at if isinstance(happening, Finished) else last
            result = await search.result()
    if sum(trial.score == 0.0 for trial in result.trials.values()) != trials:
        raise RuntimeError(f"not every trial was completed: {result}")
    return math.ceil(trials / slots) / (last - first)


async def share(seconds: float) -> float:
    """What part of a core is used while eight trials sleep for this long."""
    with tempfile.TemporaryDirectory() as directory:
        async with sleeping(_SLEEPERS, _SLEEPERS, seconds + 10, directory) as search:
            started = 0
            async for event in search.events():
                started += sum(isinstance(happening, Started) for happening in event.happened)
                if started == _SLEEPERS:
                    break
            await asyncio.sleep(2)  # until the last of them sleeps
            began, used = time.perf_counter(), processor_time()
            await asyncio.sleep(seconds)
            return (processor_time() - used) / (time.perf_counter() - began)


def processor_time() -> float:
    """Seconds that every thread of this process and of all below it have run."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended meanwhile
            continue
    mine = {int(Path("/proc/self").readlink().name)}
    while below := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= below
    threads = [each for pid in mine for each in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=480)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20, help="how long the sleeping trials are watched")
    given = parser.parse_args()
    full = asyncio.run(efficiency(given.trials, given.slots))
    cost = asyncio.run(share(given.seconds))
    headline()
    rows = [
        [f"{given.trials} trials of a second, {given.slots} slots: efficiency", f"{full:.2%}", f">= {LEAST_EFFICIENCY:.1%}"],
        [f"{_SLEEPERS} sleeping trials: share of a core", f"{cost:.3%}", f"<= {MOST_OF_A_CORE:.0%}"],
    ]
    table(["what", "ours", "target"], rows)
    return 0 if full >= LEAST_EFFICIENCY and cost <= MOST_OF_A_CORE else 1


if __name__ == "__main__":
    sys.exit(main())
