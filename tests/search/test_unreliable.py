"""Executors that repeat themselves, come late and lose launches: each thing is heard once, and the results are the same."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune._engine.journal import read_records
from asynctune.errors import ConfigurationError
from asynctune.events import Reported
from asynctune.executors.base import Attachment, Executor, Listener, Recipe
from asynctune.messages import Answer, Ending, Lost, MetricsReported, RunTrial, ToRunner, TrialReturned
from asynctune.testing import UnreliableExecutor
from asynctune.testing.leftovers import nothing_left, snapshot
from tests.many import few
from tests.search.test_inline import LOSS, descend, outcomes, search
from tests.search.trainables import steps


def steps_of(records: Any) -> dict[tuple[int, int], list[int]]:
    """The steps that each launch reported."""
    found: dict[tuple[int, int], list[int]] = {}
    for record in records:
        for what in record.happened:
            if isinstance(what, Reported):
                found.setdefault((what.trial, what.launch), []).append(what.step)
    return found


@pytest.mark.fault(34)
@pytest.mark.parametrize("seed", few(3, range(10)))
async def test_a_bad_line_changes_no_result(seed: int, tmp_path: Path) -> None:
    good = await search(descend, max_trials=12)
    before = snapshot()
    async with UnreliableExecutor(at.InlineExecutor(4), seed=seed) as executor:
        bad = await search(descend, max_trials=12, executor=executor, storage=tmp_path)

        assert executor.pool.busy == 0
        assert executor.repeated > 0
        assert executor.lost > 0
    assert outcomes(bad) == outcomes(good)
    assert all(trial.attempt == 1 for trial in bad.trials.values())
    for reported in steps_of(read_records(tmp_path)).values():
        assert reported == sorted(set(reported))
    nothing_left(before)


@pytest.mark.process
@pytest.mark.fault(34)
async def test_a_bad_line_before_processes() -> None:
    before = snapshot()
    with await search(steps, max_trials=8, executor=at.LocalExecutor(2)) as good:
        executor = UnreliableExecutor(at.LocalExecutor(2), seed=1, repeats=1.0, loses=0.5)
        with await search(steps, max_trials=8, executor=executor) as bad:
            assert outcomes(bad) == outcomes(good)
    nothing_left(before)


@pytest.mark.parametrize("wrong", [{"repeats": 1.1}, {"repeats": -0.1}, {"loses": 1.0}, {"late": float("inf")}])
def test_what_a_line_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        UnreliableExecutor(at.InlineExecutor(1), **wrong)


class Echoing(Executor):
    """Runs nothing: says of every launch that it reported and returned, and says each thing over and over."""

    capabilities = at.InlineExecutor.capabilities

    def __init__(self) -> None:
        self.pool = at.InlineExecutor(1).pool
        self.is_opened = False

    @property
    def is_open(self) -> bool:
        return self.is_opened

    async def open(self) -> None:
        self.is_opened = True

    async def attach(self, recipe: Recipe, listener: Listener) -> Attachment:
        return Echo(listener)

    def close(self) -> None:
        self.is_opened = False

    async def wait_closed(self) -> None: ...


class Echo(Attachment):
    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.loop = asyncio.get_running_loop()

    def start(self, order: RunTrial) -> None:
        who: dict[str, Any] = {"trial": order.trial, "launch": order.launch}
        reports = [MetricsReported(**who, step=step, metrics={"loss": 1.0}, clock=float(step)) for step in (1, 2)]
        endings: list[Ending] = [TrialReturned(**who, metrics={"loss": float(order.trial)}), Lost(**who, reason="late")]
        for report in (*reports, *reports, reports[0]):
            self.loop.call_soon(self.listener.heard, report)
        for ending in (*endings, *endings):
            self.loop.call_soon(self.listener.ended, ending)
        self.loop.call_soon(self.listener.heard, reports[1])

    def send(self, message: ToRunner) -> None: ...

    def answer(self, answer: Answer) -> bool:
        return True

    def halt(self, trial: int, launch: int, *, reason: str, grace: float) -> None: ...

    def close(self) -> None: ...

    async def wait_closed(self) -> None: ...


@pytest.mark.fault(34)
async def test_what_is_said_again_is_heard_once_and_a_slot_is_released_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
    async with Echoing() as executor:
        with caplog.at_level(logging.WARNING, "asynctune.search"):
            result = await at.search(
                descend, {"lr": at.Float(1e-4, 1e-1, sampling="log")}, objective=LOSS, executor=executor, max_trials=5,
                storage=tmp_path, seed=0,
            )  # fmt: skip

        assert [trial.score for trial in result.trials.values()] == [0.0, 1.0, 2.0, 3.0, 4.0]
        assert executor.pool.busy == 0
    assert wrong == []
    assert steps_of(read_records(tmp_path)) == {(number, 1): [1, 2] for number in range(5)}
    assert [record.message.partition(",")[0] for record in caplog.records].count(
        "the executor said MetricsReported of trial 0"
    ) == 1
