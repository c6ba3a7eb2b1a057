"""isolation="worker": one process after the other trial."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from asynctune.executors.local import LocalExecutor
from asynctune.messages import Died, TrialLeft, TrialRaised, What
from tests.process.conftest import Attach, Search, alive, until

left_over = 0


def train(trial: Any) -> dict[str, float]:
    global left_over  # noqa: PLW0603
    left_over += 1
    print("this is trial", trial.id)
    what = trial.values.get("what")
    if what == "raise":
        raise ValueError("no")
    if what == "exit":
        os._exit(3)
    trial.report(loss=1.0)
    if what == "wait":
        while not trial.should_stop:
            pass
    return {"loss": random.random(), "pid": os.getpid(), "seen": left_over}


async def test_a_process_runs_one_trial_after_the_other(attach: Attach, tmp_path: Path) -> None:
    async with LocalExecutor(1, isolation="worker") as executor, attach(executor, train) as search:
        metrics = [await search.metrics(number) for number in range(5)]

    assert len({each["pid"] for each in metrics}) == 1
    assert [each["seen"] for each in metrics] == [1, 2, 3, 4, 5]
    assert [each["loss"] for each in metrics] == [random.Random(1000 + number).random() for number in range(5)]
    for number in range(5):
        assert (tmp_path / f"logs/{number}-1.log").read_text() == f"this is trial {number}\n"


@pytest.mark.parametrize(("what", "ending"), [("raise", TrialRaised), ("exit", Died)])
async def test_a_process_with_trouble_is_not_used_again(attach: Attach, what: str, ending: type) -> None:
    async with LocalExecutor(1, isolation="worker") as executor, attach(executor, train) as search:
        before = await search.metrics(0)
        assert isinstance(await search.start(1, {"what": what}), ending)
        after = await search.metrics(2)
        await until(lambda: not alive(int(before["pid"])))

    assert after["pid"] != before["pid"]
    assert after["seen"] == 1


async def test_a_trial_that_was_stopped_leaves_a_process_that_is_used_again(attach: Attach) -> None:
    search = Search(lambda report: What.STOP if report.trial == 1 else What.GO)
    async with LocalExecutor(1, isolation="worker") as executor, attach(executor, train, search=search):
        before = await search.metrics(0)
        assert isinstance(await search.run(1), TrialLeft)
        after = await search.metrics(2)

    assert after["pid"] == before["pid"]


async def test_a_trial_that_left_when_it_was_halted_leaves_a_process_that_is_used_again(attach: Attach) -> None:
    async with LocalExecutor(1, isolation="worker") as executor, attach(executor, train) as search:
        before = await search.metrics(0)
        over = search.start(1, {"what": "wait"})
        await search.report_of(1)
        search.attachment.halt(1, 1, reason="enough", grace=10)
        assert isinstance(await over, TrialLeft)
        after = await search.metrics(2)

    assert after["pid"] == before["pid"]
    assert after["seen"] > before["seen"]


async def test_an_idle_process_that_dies_is_replaced(attach: Attach) -> None:
    async with LocalExecutor(1, isolation="worker") as executor, attach(executor, train) as search:
        before = await search.metrics(0)
        os.kill(int(before["pid"]), 9)
        await until(lambda: not len(search.attachment._fleet))  # type: ignore[attr-defined]
        after = await search.metrics(1)

    assert after["pid"] != before["pid"]


async def test_several_at_once(attach: Attach) -> None:
    async with LocalExecutor(4, isolation="worker") as executor, attach(executor, train) as search:
        overs = [search.start(number) for number in range(4)]
        for over in overs:
            await over
        overs = [search.start(number) for number in range(4, 8)]
        pids = [(await over).metrics["pid"] for over in overs]  # type: ignore[union-attr, index]

    assert len(set(pids)) == 4
    assert len(search.endings) == 8
