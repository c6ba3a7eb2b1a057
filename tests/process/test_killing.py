"""Runners that are killed by the thousand: each death is seen at once, and nothing of any of them is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from asynctune.executors.local import LocalExecutor
from asynctune.messages import Died
from tests.process.conftest import Attach, alive, descendants, descriptors, until

RUNNERS = 1000
AT_ONCE = 0.010  # seconds, at the 99th percentile


def with_helpers(trial: Any) -> None:
    """Every second one starts what would outlive it: in its session, or in one of its own."""
    helper = 0
    if trial.id % 2:
        helper = subprocess.Popen(["sleep", "600"], start_new_session=trial.id % 4 == 1).pid
    trial.report(loss=1.0, pid=os.getpid(), helper=helper)
    while True:
        signal.pause()


async def kill(attach: Attach, runners: int) -> list[float]:
    """Start and kill so many; how long it took until each death was seen, in seconds, sorted."""
    loop = asyncio.get_running_loop()
    seen: list[float] = []
    helpers: list[int] = []
    async with LocalExecutor(2) as executor, attach(executor, with_helpers) as search:
        for number in range(runners):
            over = search.start(number)
            report = await search.report_of(number)
            pid, helper = int(report.metrics["pid"]), int(report.metrics["helper"])
            helpers += [helper] if helper else []
            killed = loop.time()
            os.kill(pid, signal.SIGKILL)
            ending = await over
            seen.append(loop.time() - killed)
            assert isinstance(ending, Died)
            assert ending.signal == signal.SIGKILL
            if number == runners // 10:
                before = descriptors().keys()
        await until(lambda: not any(map(alive, helpers)))
        await until(lambda: len(descendants()) == 3)  # the guard, the root, the zygote
        assert descriptors().keys() == before
    assert len(helpers) == runners // 2
    return sorted(seen)


@pytest.mark.fault(1)
async def test_who_is_killed_leaves_no_helper(attach: Attach) -> None:
    assert len(await kill(attach, 20)) == 20


@pytest.mark.slow
@pytest.mark.fault(1)
async def test_a_thousand_deaths_are_each_seen_at_once(attach: Attach, tmp_path: Path) -> None:
    seen = await kill(attach, RUNNERS)
    slowest = seen[int(0.99 * len(seen))]
    print(f"median {seen[len(seen) // 2] * 1000:.2f} ms, p99 {slowest * 1000:.2f} ms, most {seen[-1] * 1000:.2f} ms")

    assert slowest <= AT_ONCE
