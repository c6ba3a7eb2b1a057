"""Async trainables that do not let themselves be cancelled: the search ends all the same, and says what it leaves behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.events import SearchEnded
from asynctune.testing.leftovers import nothing_left, snapshot

LOSS = at.Objective("loss", "min")
OPTIONS: dict[str, Any] = {"objective": LOSS, "max_trials": 3, "seed": 0, "limits": at.Limits(grace=0.05)}


async def until(done: asyncio.Event, cancelled: list[int]) -> float:
    """Returns when `done`, whoever cancels it."""
    while not done.is_set():
        try:
            await done.wait()
        except asyncio.CancelledError:
            cancelled.append(1)
    return 1.0


async def test_a_trial_that_swallows_its_cancellation_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    done, cancelled, said = asyncio.Event(), list[int](), list[str]()

    async def train(trial: at.AsyncTrial) -> float:
        result = await until(done, cancelled)
        try:
            await trial.report(loss=result)
        except BaseException as error:
            said.append(type(error).__name__)
            raise
        return result

    before = snapshot()
    search = at.search(train, executor=at.InlineExecutor(1), stop=at.stoppers.TimeBudget(0.05), **OPTIONS)
    with caplog.at_level(logging.WARNING, "asynctune.executors"), await search as result:
        assert result.reason == "time budget of 0.05 s"
        assert result.trials[0].state is at.State.COMPLETED
    nothing_left(before)
    (warned,) = [record.getMessage() for record in caplog.records]
    assert warned.startswith("trial 0 did not end when it was cancelled, 2 times: its task is left behind")
    assert len(cancelled) == 2
    left = [task for task in asyncio.all_tasks() if task.get_name().startswith("asynctune")]
    assert left == []  # whoever ends the loop need not wait for it

    done.set()
    while not said:
        await asyncio.sleep(0)
    assert said == ["StopTrial"]


async def test_its_slot_is_free_for_another_search() -> None:
    done, cancelled = asyncio.Event(), list[int]()

    async def never(trial: at.AsyncTrial) -> float:
        return await until(done, cancelled)

    async def quick(trial: at.AsyncTrial) -> float:
        return 2.0

    async with at.InlineExecutor(1) as executor:
        await at.search(never, executor=executor, stop=at.stoppers.TimeBudget(0.05), **OPTIONS)
        result = await at.search(quick, executor=executor, **OPTIONS)
    assert [trial.score for trial in result.trials.values()] == [2.0] * 3
    done.set()
    await asyncio.sleep(0)


async def test_what_was_set_aside_can_be_resumed_though_its_task_is_left_behind(tmp_path: Path) -> None:
    done, cancelled, started = asyncio.Event(), list[int](), asyncio.Event()

    async def never(trial: at.AsyncTrial) -> float:
        started.set()
        return await until(done, cancelled)

    async def quick(trial: at.AsyncTrial) -> float:
        return 2.0

    async with at.Search(never, executor=at.InlineExecutor(1), storage=tmp_path, **OPTIONS) as search:
        await started.wait()
    result = await at.search(quick, executor=at.InlineExecutor(1), storage=tmp_path, **OPTIONS)
    assert [trial.attempt for trial in result.trials.values()] == [1, 1, 1]
    assert len(result.trials) == 3
    done.set()
    await asyncio.sleep(0)
    assert search.over


SCRIPT = """
import asyncio, signal, sys
import asynctune as at

signal.signal(signal.SIGINT, signal.default_int_handler)

async def never(trial):
    with open(sys.argv[1], "w") as fifo:
        fifo.write("waiting")
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

at.run(
    never, objective=at.Objective("loss", "min"), max_trials=1, limits=at.Limits(grace=float(sys.argv[2])),
    executor=at.InlineExecutor(1), display=False,
)
"""


@pytest.mark.process
@pytest.mark.parametrize(("grace", "signals"), [(0.05, [signal.SIGINT]), (0.05, [signal.SIGTERM]), (3600, [signal.SIGINT] * 2)])
def test_a_script_ends_without_it(tmp_path: Path, grace: float, signals: list[signal.Signals]) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = [sys.executable, "-c", SCRIPT, str(fifo), str(grace)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}) as process:
        try:
            assert fifo.read_text() == "waiting"
            for signum in signals:
                process.send_signal(signum)
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(timeout=0.01)  # so that two are not taken for one
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode != 0
    assert "trial 0 did not end when it was cancelled" in said
    assert "The search was interrupted" in said
    assert os.listdir(tmp_path) == ["fifo"]


async def test_the_end_is_the_last_record(tmp_path: Path) -> None:
    """However often: a slot that is granted while the search is being closed was recorded behind its end."""
    for number in range(5):
        started = asyncio.Event()

        async def wait(trial: at.AsyncTrial, started: asyncio.Event = started) -> float:
            if trial.id == 1:
                started.set()
            await asyncio.Event().wait()
            return 1.0

        options = {**OPTIONS, "max_trials": None, "stop": at.stoppers.TimeBudget(3600), "storage": tmp_path / str(number)}
        async with at.Search(wait, executor=at.InlineExecutor(2), **options) as search:
            await started.wait()
        events = [event async for event in search.events()]
        assert isinstance(events[-1].happened[-1], SearchEnded)
