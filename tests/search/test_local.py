"""Whole searches with a process for each trial."""

from __future__ import annotations

import asyncio
import ctypes
import math
import os
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest

import asynctune as at
from asynctune._engine.lock import SearchLock
from asynctune.errors import CapabilityError, SearchLockedError, StorageError, TrainableError
from asynctune.events import Reported
from asynctune.failure import FailureKind
from asynctune.testing.leftovers import nothing_left, snapshot
from tests.search.trainables import slow_steps, square, steps

pytestmark = pytest.mark.process

LOSS = at.Objective("loss", "min")


async def search(trainable: Any, **options: Any) -> at.Result:
    given: dict[str, Any] = {"objective": LOSS, "executor": at.LocalExecutor(2), "seed": 0, "max_trials": 6, **options}
    return await at.search(trainable, **given)


@pytest.mark.parametrize("isolation", ["trial", "worker"])
async def test_a_search_finds_the_best_and_leaves_nothing(isolation: Literal["trial", "worker"], tmp_path: Path) -> None:
    before = snapshot()
    result = await search(steps, executor=at.LocalExecutor(2, isolation=isolation), storage=tmp_path)
    assert [trial.state for trial in result.trials.values()] == [at.State.COMPLETED] * 6
    assert all([report.step for report in trial.reports] == [1, 2, 3, 4, 5] for trial in result.trials.values())
    assert result.best_trial is not None
    assert result.best_trial.score == min(trial.reports[-1].metrics["loss"] for trial in result.trials.values())
    assert result.best_trial.values["x"] == min(trial.values["x"] for trial in result.trials.values())  # type: ignore[type-var]
    nothing_left(before)


async def test_each_trial_has_a_process_of_its_own_and_workers_are_used_again() -> None:
    def train(trial: at.Trial) -> dict[str, float]:
        return {"loss": 0.0, "pid": float(os.getpid())}

    pids = {}
    for isolation in ("trial", "worker"):
        result = await search(train, executor=at.LocalExecutor(2, isolation=isolation))
        pids[isolation] = {trial.metrics["pid"] for trial in result.trials.values() if trial.metrics}
    assert len(pids["trial"]) == 6
    assert len(pids["worker"]) <= 2
    assert float(os.getpid()) not in pids["trial"] | pids["worker"]


def _raise(trial: at.Trial) -> None:
    raise ValueError("bad luck")


def _exit(trial: at.Trial) -> None:
    sys.exit(3)


def _leave(trial: at.Trial) -> None:
    os._exit(7)


def _kill(trial: at.Trial) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _segfault(trial: at.Trial) -> None:
    ctypes.string_at(0)


def _nothing(trial: at.Trial) -> None:
    return None


def _text(trial: at.Trial) -> Any:
    return "good"


def _hang(trial: at.Trial) -> None:
    threading.Event().wait()


@pytest.mark.parametrize(
    ("bad", "kind", "says"),
    [
        (_raise, FailureKind.RAISED, "bad luck"),
        (_exit, FailureKind.EXITED, "3"),
        (_leave, FailureKind.EXITED, "7"),
        (_kill, FailureKind.KILLED, "signal 9"),
        (_segfault, FailureKind.KILLED, "signal 11"),
        (_nothing, FailureKind.INVALID_RESULT, "None"),
        (_text, FailureKind.INVALID_RESULT, "str"),
        (_hang, FailureKind.TIMED_OUT, "trial_time"),
    ],
)
@pytest.mark.fault(1)
async def test_a_bad_trial_fails_with_its_reason_and_hurts_no_other(bad: Any, kind: FailureKind, says: str) -> None:
    def train(trial: at.Trial) -> Any:
        if trial.id == 2:
            return bad(trial)
        return float(trial.id)

    before = snapshot()
    with await search(train, limits=at.Limits(trial_time=1.0, grace=0.1)) as result:
        trial = result.trials[2]
        assert trial.state is at.State.FAILED
        assert trial.failure is not None
        assert trial.failure.kind is kind
        assert says in trial.failure.message
        assert sorted(t.score for t in result.trials.values() if t.score is not None) == [0.0, 1.0, 3.0, 4.0, 5.0]
        assert result.best_trials() == [result.trials[number] for number in (0, 1, 3, 4, 5)]
    nothing_left(before)


async def test_failed_trial_error_is_not_tried_again() -> None:
    def train(trial: at.Trial) -> float:
        raise (
            at.FailedTrialError("too large")
            if trial.id == 1
            else ValueError("bad luck")
            if trial.attempt == 1
            else KeyError("x")
        )

    policy = at.FailurePolicy(max_retries_per_trial=1, max_consecutive_failed_trials=None)
    result = await search(train, failure=policy, max_trials=2)
    assert [trial.attempt for trial in result.trials.values()] == [2, 1]
    assert result.trials[1].failure is not None
    assert "too large" in result.trials[1].failure.message


class OutOfLuck(RuntimeError):
    """Of this module, which runners import or are sent."""


@pytest.mark.fault(33)
@pytest.mark.parametrize("isolation", ["trial", "worker"])
async def test_the_policy_through_processes(isolation: Literal["trial", "worker"]) -> None:
    def train(trial: at.Trial) -> float:
        x = trial.hp.Int("x", 0, 9)
        if trial.id == 0:
            try:
                trial.infeasible(f"x={x} is too large \udcff")
            finally:
                print("it is left as by a return")
        if trial.id == 1 and trial.attempt == 1:
            raise OutOfLuck("once")
        if trial.id == 2:
            raise TimeoutError("never again")
        return math.inf if trial.id == 3 else float(trial.id)

    policy = at.FailurePolicy(
        max_retries_per_trial=1,
        delay=0.01,
        rules={OutOfLuck: "retry", OSError: "fail", RuntimeError: "end"},
        non_finite="worst",
        max_consecutive_failed_trials=0.9,
    )
    before = snapshot()
    with await search(train, executor=at.LocalExecutor(1, isolation=isolation), failure=policy, max_trials=5) as result:
        trials = list(result.trials.values())
    assert [(trial.state, trial.attempt, trial.score) for trial in trials] == [
        (at.State.COMPLETED, 1, None),
        (at.State.COMPLETED, 2, 1.0),
        (at.State.FAILED, 1, None),
        (at.State.COMPLETED, 1, None),
        (at.State.COMPLETED, 1, 4.0),
    ]
    assert trials[0].stop_reason == f"infeasible: x={trials[0].values['x']} is too large \\udcff"
    assert trials[2].failure is not None
    assert trials[2].failure.bases == ("OSError", "Exception", "BaseException")
    nothing_left(before)


LOCK = threading.Lock()


@pytest.mark.fault(20)
async def test_what_cannot_travel_is_named_before_anything_starts(tmp_path: Path) -> None:
    lock = threading.Lock()

    def train(trial: at.Trial) -> float:
        with lock:
            return 1.0

    before = snapshot()
    with pytest.raises(TrainableError, match="lock"):
        await search(train, storage=tmp_path)
    with pytest.raises(TrainableError, match="no_such_module"):
        await search("no_such_module:train", storage=tmp_path)
    with pytest.raises(TrainableError, match="exactly one argument"):
        await search(lambda one, two: 1.0, storage=tmp_path)
    nothing_left(before)
    assert len((await search(square, storage=tmp_path)).trials) == 6


async def test_two_searches_share_one_executor_and_it_outlives_them() -> None:
    before = snapshot()
    async with at.LocalExecutor(2) as executor:
        first, second = await asyncio.gather(
            search(steps, executor=executor), search(square, executor=executor, objective=at.Objective("y", "min"))
        )
        assert executor.is_open
        assert executor.pool.busy == 0
        third = await search(steps, executor=executor)
    assert [len(result.trials) for result in (first, second, third)] == [6, 6, 6]
    for result in (first, second, third):
        result.close()
    nothing_left(before)


async def test_one_search_of_two_is_cancelled_and_the_other_goes_on() -> None:
    async with at.LocalExecutor(2) as executor:
        options: dict[str, Any] = {"executor": executor, "limits": at.Limits(grace=0.1)}
        doomed = asyncio.create_task(search(slow_steps, max_trials=100, **options))
        other = asyncio.create_task(search(steps, **options))
        await asyncio.wait([other], timeout=0.2)
        doomed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doomed
        assert len((await other).trials) == 6
        assert executor.pool.busy == 0


@pytest.mark.fault(16)
async def test_a_directory_is_written_by_one_search_at_a_time(tmp_path: Path) -> None:
    async with at.Search(slow_steps, objective=LOSS, max_trials=4, storage=tmp_path, executor=at.LocalExecutor(1)) as running:
        with pytest.raises(SearchLockedError, match=str(os.getpid())):
            await search(steps, storage=tmp_path)
        await running.stop()


async def test_a_cancelled_search_goes_on_from_its_checkpoints(tmp_path: Path) -> None:
    def train(trial: at.Trial) -> float:
        restored = trial.restore()
        start = int((restored / "step").read_text()) if restored is not None else 0
        for step in range(start + 1, 41):
            time.sleep(0.01)
            with trial.checkpoint() as directory:
                (directory / "step").write_text(str(step))
            trial.report(loss=1.0)
        return float(start)

    options: dict[str, Any] = {"storage": tmp_path, "max_trials": 1, "limits": at.Limits(grace=0.2), "seed": 0}
    async with at.Search(train, objective=LOSS, executor=at.LocalExecutor(1), **options) as running:
        async for event in running.events():
            if any(isinstance(happening, Reported) and happening.step == 5 for happening in event.happened):
                break
    result = await search(train, **options)
    trial = result.trials[0]
    assert trial.attempt == 1
    assert trial.launches == 2
    assert trial.score is not None
    assert trial.score >= 5
    assert [report.step for report in trial.reports] == list(range(1, 41))


async def test_data_is_mapped_into_every_trial() -> None:
    numpy = pytest.importorskip("numpy", reason="needs NumPy")
    x = numpy.arange(100_000.0)

    def train(trial: at.Trial) -> float:
        array = trial.data["x"]
        total = float(array.sum())
        array[:] = 0  # a copy of this trial's own
        return total

    result = await search(train, data={"x": x})
    assert [trial.score for trial in result.trials.values()] == [float(x.sum())] * 6
    assert x[1] == 1.0


async def test_early_stopping_reaches_into_the_process() -> None:
    def train(trial: at.Trial) -> None:
        for step in range(1, 28):
            trial.report(step=step, loss=trial.hp.Float("x", 0.0, 1.0) + 1 / step)

    result = await search(train, scheduler=at.schedulers.ASHA(max_steps=27), max_trials=20)
    stopped = [trial for trial in result.trials.values() if trial.stop_reason is not None]
    assert len(stopped) == 20
    assert min(trial.step for trial in stopped) == 1
    assert max(trial.step for trial in stopped) == 27


async def test_a_grid_is_tried_to_the_end_also_when_trials_name_its_parameters() -> None:
    def train(trial: at.Trial) -> float:
        return float(trial.hp.Int("a", 1, 3) + 10 * trial.hp.Choice("b", [1, 2]))

    result = await search(train, oracle=at.oracles.GridSearch(), max_trials=None)
    assert sorted(trial.score for trial in result.trials.values()) == [11, 12, 13, 21, 22, 23]  # type: ignore[type-var]


async def test_more_gpus_than_there_are_is_refused() -> None:
    with pytest.raises(CapabilityError, match="GPU"):
        await search(steps, resources=at.Resources(gpu=99))


async def test_set_max_workers_lets_more_run() -> None:
    def train(trial: at.Trial) -> None:
        while not trial.should_stop:
            time.sleep(0.01)

    async with at.Search(
        train, objective=LOSS, executor=at.LocalExecutor(1), max_trials=3, limits=at.Limits(grace=0.1)
    ) as running:
        running_now = 0
        async for _ in running.events():
            running_now = sum(trial.state is at.State.RUNNING for trial in running.trials.values())
            if running_now == 1:
                break
        await running.set_max_workers(3)
        async for _ in running.events():
            running_now = sum(trial.state is at.State.RUNNING for trial in running.trials.values())
            if running_now == 3:
                break
        await running.stop()
    assert running_now == 3


@pytest.mark.parametrize("kind", ["database", "text", "locked"])
async def test_a_directory_that_is_refused_is_not_written_to(tmp_path: Path, kind: str) -> None:
    journal = tmp_path / "journal.sqlite"
    if kind == "database":
        with closing(sqlite3.connect(journal)) as database:
            database.execute("create table precious (x)")
    elif kind == "text":
        journal.write_text("precious")
    held = SearchLock(tmp_path) if kind == "locked" else None
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(StorageError, match=r"[Uu]se another directory"):
        await at.search(square, objective=LOSS, max_trials=1, storage=tmp_path, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == before
    if held is not None:
        held.release()


async def test_overwriting_leaves_what_the_user_put_there(tmp_path: Path) -> None:
    options: dict[str, Any] = {"objective": LOSS, "max_trials": 2, "storage": tmp_path, "executor": at.LocalExecutor(1)}
    for mine in ("logs/mine.log", "trials/mine"):
        (tmp_path / mine).parent.mkdir()
        (tmp_path / mine).write_text("precious")
    await at.search(square, **options)
    await at.search(square, **{**options, "executor": at.LocalExecutor(1), "overwrite": True})
    assert (tmp_path / "logs" / "mine.log").read_text() == (tmp_path / "trials" / "mine").read_text() == "precious"
