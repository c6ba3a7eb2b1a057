"""What a search must not do to the event loop that it runs in."""

import asyncio
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import asynctune as at

SCRIPT = """
import asyncio, sys
import asynctune as at
from asynctune import Float, LocalExecutor, Objective, search

def train(trial):
    trial.report(loss=1.0)

async def main():
    async with LocalExecutor(1) as executor:
        before = set(sys.modules)
        await search(
            train, {"x": Float(0, 1)}, objective=Objective("loss", "min"), max_trials=2, storage=sys.argv[1], executor=executor
        )
        print(sorted(set(sys.modules) - before))

asyncio.run(main())
"""


def test_nothing_is_imported_while_a_search_runs(tmp_path: Path) -> None:
    # An import takes milliseconds of reading and computing, for which every request of a service waits.
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "search")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)

    assert done.stdout.strip() == "[]"


JUDGING, GO = threading.Event(), threading.Event()


class Waits(at.schedulers.Scheduler):
    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> None:
        JUDGING.set()
        GO.wait()


async def test_a_report_is_answered_while_the_loop_is_busy(tmp_path: Path) -> None:
    JUDGING.clear()
    GO.clear()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def train(trial: at.Trial) -> None:
        trial.report(loss=1.0)
        fifo.write_text("it goes on")

    searching = asyncio.create_task(
        at.search(
            train, {"x": at.Float(0, 1)}, objective=at.Objective("loss", "min"), max_trials=1, scheduler=Waits(),
            storage=tmp_path / "search", executor=at.LocalExecutor(1),
        )
    )  # fmt: skip
    assert await asyncio.to_thread(JUDGING.wait, 60)
    # From here on the loop hears nothing; what is decided meanwhile reaches the trial all the same.
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    GO.set()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(20_000)
    assert os.read(descriptor, 100) == b"it goes on"
    os.close(descriptor)

    result = await searching
    assert result.trials[0].score == 1.0


@pytest.mark.fault(12)
async def test_a_loop_that_is_blocked_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    async def train(trial: at.AsyncTrial) -> float:
        # What is decided on the report is there long before the loop comes round.
        asyncio.get_running_loop().call_soon(time.sleep, 2.5)
        await trial.report(loss=1.0)
        return 1.0

    executor = at.InlineExecutor(1)
    await at.search(train, {"x": at.Float(0, 1)}, objective=at.Objective("loss", "min"), max_trials=1, executor=executor)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("the event loop did not come round for 2.")
    assert "asyncio.to_thread" in said


@pytest.mark.slow
@pytest.mark.fault(12)
async def test_a_loop_that_is_blocked_for_long_ends_no_trial_falsely(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def train(trial: at.Trial) -> float:
        for _ in range(100):
            trial.report(loss=float(trial.id))
            time.sleep(0.01)
        return float(trial.id)

    limits, executor = at.Limits(trial_time=3), at.LocalExecutor(8)
    async with at.Search(
        train, {"x": at.Float(0, 1)}, objective=at.Objective("loss", "min"), max_trials=8, limits=limits, executor=executor
    ) as running:
        async for event in running.events():
            if len(running.trials) == 8 and event.cause == "Heard" and not caplog.records:
                time.sleep(5)  # noqa: ASYNC251 -- this is it
        result = await running.result()
    assert [trial.state for trial in result.trials.values()] == [at.State.COMPLETED] * 8
    assert [len(trial.reports) for trial in result.trials.values()] == [100] * 8
    assert any("did not come round for 5" in record.getMessage() for record in caplog.records)
