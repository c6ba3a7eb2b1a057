"""A hundred thousand trials: what a process holds at the end is what it held at the start, but for what it knows of each."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import psutil
import pytest

import asynctune as at
from asynctune.events import Finished
from asynctune.testing.leftovers import marked, nothing_left, snapshot

TRIALS = 100_000
WORKERS = 2
BYTES = 1024  # of memory, that one more trial may take
# What comes and goes with the runners of one moment; what stayed behind would be nine times as much as one in ten thousand.
MOMENTARY = {"descriptors": 3 * WORKERS, "threads": 0, "zombies": 2 * WORKERS}


def nothing(trial: at.Trial) -> float:
    return 0.5


def held() -> dict[str, int]:
    """Descriptors, threads, and zombies of this process and of all that it has started."""
    zombies = 0
    for pid in marked():
        try:
            zombies += psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            continue
    return {"descriptors": len(os.listdir("/proc/self/fd")), "threads": threading.active_count(), "zombies": zombies}


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.fault(30)
async def test_a_hundred_thousand_trials_leave_nothing_but_what_is_known_of_them(tmp_path: Path) -> None:
    before, ended = snapshot(), 0
    counts: list[dict[str, int]] = []
    sizes: list[int] = []
    async with at.Search(
        nothing, objective=at.Objective("loss", "min"), max_trials=TRIALS, storage=tmp_path / "search",
        executor=at.LocalExecutor(WORKERS), seed=0,
    ) as search:  # fmt: skip
        async for event in search.events():
            ended += sum(isinstance(what, Finished) for what in event.happened)
            if ended >= (len(counts) + 1) * TRIALS // 10:
                counts.append(held())
                sizes.append(psutil.Process().memory_info().rss)
        await search.result()
    growth = (sizes[-1] - sizes[0]) / (0.9 * TRIALS)
    print(f"{growth:.0f} bytes a trial; {counts}")

    for what in ("descriptors", "threads", "zombies"):
        found = [count[what] for count in counts]
        assert max(found) - min(found) <= MOMENTARY[what], f"{what}: {found}"
    assert growth <= BYTES
    nothing_left(before, within=5.0)
