"""What goes wrong around a search: it ends, says so, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune._engine.repair import repair
from asynctune.errors import (
    ConfigurationError,
    ExecutorError,
    JournalCorruptError,
    JournalError,
    PluginError,
    ResumeError,
    StorageError,
    TrainableError,
)
from asynctune.events import Finished
from asynctune.testing.leftovers import nothing_left, snapshot
from tests.journal.written import execute
from tests.search.test_inline import LOSS, descend, outcomes, search


def refuse_writing(directory: Path) -> None:
    """From now on, no record can be committed there."""
    database = sqlite3.connect(directory / "journal.sqlite")
    database.execute("create trigger full before insert on records begin select raise(abort, 'the disk is full'); end")
    database.commit()
    database.close()


@pytest.mark.fault(13)
async def test_a_disk_that_is_full_when_the_search_is_opened_can_be_left(tmp_path: Path) -> None:
    before = snapshot()
    await search(descend, storage=tmp_path)
    refuse_writing(tmp_path)
    task = asyncio.create_task(search(descend, storage=tmp_path, max_trials=9, limits=at.Limits(grace=0.1)))
    await asyncio.wait([task], timeout=0.3)
    assert not task.done()  # it is tried again, for space may come
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    nothing_left(before)


@pytest.mark.fault(13)
async def test_a_disk_that_is_full_in_the_middle_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    full = asyncio.Event()

    async def train(trial: at.AsyncTrial) -> float:
        if trial.id >= 2:
            await full.wait()
        return float(trial.id)

    options: dict[str, Any] = {"objective": LOSS, "max_trials": 5, "limits": at.Limits(grace=0.1), "seed": 0}
    before = snapshot()
    with pytest.raises(JournalError, match="disk is full"):  # noqa: PT012
        async with at.Search(train, executor=at.InlineExecutor(1), storage=tmp_path, **options) as running:
            finished = 0
            async for event in running.events():
                finished += sum(isinstance(happening, Finished) for happening in event.happened)
                if finished == 2:
                    break
            refuse_writing(tmp_path)
            full.set()
            waiting = asyncio.create_task(running.result())
            await asyncio.wait([waiting], timeout=0.2)
            waiting.cancel()
    nothing_left(before)
    database = sqlite3.connect(tmp_path / "journal.sqlite")
    database.execute("drop trigger full")
    database.commit()
    database.close()
    result = await at.search(train, executor=at.InlineExecutor(1), storage=tmp_path, **options)
    assert [trial.score for trial in result.trials.values()] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [result.trials[number].launches for number in (0, 1)] == [1, 1]


@pytest.mark.fault(15)
async def test_a_journal_that_is_damaged_while_it_is_written_ends_the_search_and_can_be_repaired(tmp_path: Path) -> None:
    damaged = asyncio.Event()

    async def train(trial: at.AsyncTrial) -> float:
        if trial.id >= 2:
            await damaged.wait()
        await trial.report(step=1, loss=1.0)
        return float(trial.id)

    options: dict[str, Any] = {"objective": LOSS, "max_trials": 5, "seed": 0, "storage": tmp_path}
    before = snapshot()
    with pytest.raises(JournalCorruptError, match="no such table"):  # noqa: PT012
        async with at.Search(train, executor=at.InlineExecutor(1), **options) as running:
            finished = 0
            async for event in running.events():
                finished += sum(isinstance(happening, Finished) for happening in event.happened)
                if finished == 2:
                    break
            execute(tmp_path, "drop table reports")
            damaged.set()
            await running.result()
    nothing_left(before)
    with pytest.raises(JournalCorruptError, match="its table reports is gone"):
        await at.search(train, executor=at.InlineExecutor(1), **options)
    done = await asyncio.to_thread(repair, tmp_path)
    assert done is not None
    assert done.kept == done.known
    result = await at.search(train, executor=at.InlineExecutor(1), **options)
    assert [trial.score for trial in result.trials.values()] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [result.trials[number].launches for number in (0, 1)] == [1, 1]


async def test_a_checkpoint_that_cannot_be_deleted_is_left_for_the_next_opening(tmp_path: Path) -> None:
    async def train(trial: at.AsyncTrial) -> float:
        for step in range(1, 4):
            with trial.checkpoint() as directory:
                (directory / "state").write_text(str(step))
            await trial.report(step=step, loss=1.0)
            if step == 1:
                # What the search wants to delete is not where it was, and something else is in its place.
                place = tmp_path / "checkpoints" / str(trial.id)
                place.rename(tmp_path / "elsewhere")
                place.write_text("not a directory")
        return 1.0

    policy = at.FailurePolicy(max_consecutive_failed_trials=None)
    await search(train, storage=tmp_path, max_trials=1, failure=policy)


async def test_an_executor_that_is_closed_under_a_search_ends_it() -> None:
    started = asyncio.Event()

    async def train(trial: at.AsyncTrial) -> None:
        started.set()
        await asyncio.Event().wait()

    async with at.InlineExecutor(2) as executor:
        task = asyncio.create_task(search(train, executor=executor))
        await started.wait()
        executor.close()
        with pytest.raises(ExecutorError, match="closed"):
            await task


async def test_an_executor_that_was_not_entered_is_not_shared() -> None:
    executor = at.InlineExecutor(2)
    results = await asyncio.gather(*(search(descend, executor=executor) for _ in range(2)), return_exceptions=True)
    kinds = [type(result) for result in results]
    assert sorted(kind.__name__ for kind in kinds) == ["ConfigurationError", "Result"]
    assert any(isinstance(result, ConfigurationError) and "async with" in str(result) for result in results)


async def test_overwrite_keeps_what_is_there_until_what_follows_can_be_loaded(tmp_path: Path) -> None:
    first = await search(descend, storage=tmp_path)
    with pytest.raises(TrainableError):
        await search("no_such_module:train", storage=tmp_path, overwrite=True)
    assert outcomes(await search(descend, storage=tmp_path)) == outcomes(first)


async def test_a_trial_whose_own_wait_is_cancelled_has_failed() -> None:
    async def train(trial: at.AsyncTrial) -> float:
        waiting = asyncio.get_running_loop().create_future()
        waiting.cancel()
        await waiting
        return 1.0

    result = await search(train, max_trials=2)
    assert [trial.state for trial in result.trials.values()] == [at.State.FAILED] * 2
    assert [trial.launches for trial in result.trials.values()] == [1, 1]


class Broken(at.Oracle):
    """An oracle that fails as it is told to."""

    def __init__(self, how: str) -> None:
        self.how = how

    def populate_space(self, trial_id: int, space: at.Space) -> Any:
        if self.how == "exits":
            raise SystemExit(3)
        if self.how == "raises":
            raise ValueError("bad luck")
        if self.how == "answers nonsense":
            return {"x": 1}
        return at.Suggestion.run({})

    def get_state(self) -> Mapping[Any, Any] | None:
        states: dict[str, dict[Any, Any]] = {"state of a number": {0: 1.5}, "state of a set": {"x": {1, 2}}}
        return states.get(self.how)

    def set_state(self, state: Mapping[str, Any]) -> None:
        raise AssertionError("there is none")


@pytest.mark.parametrize("how", ["exits", "raises", "answers nonsense", "state of a number", "state of a set"])
@pytest.mark.fault(25)
async def test_an_oracle_that_fails_ends_the_search_by_its_name(how: str, tmp_path: Path) -> None:
    before = snapshot()
    with pytest.raises(PluginError, match=r"Broken\."):
        await search(descend, oracle=Broken(how), storage=tmp_path)
    nothing_left(before)


class Tired(at.Oracle):
    """Proposes so many trials, and fails."""

    def __init__(self, proposes: int = 2) -> None:
        self.proposes = proposes

    def populate_space(self, trial_id: int, space: at.Space) -> at.Suggestion:
        if trial_id >= self.proposes:
            raise ValueError("enough")
        return at.Suggestion.run({})


@pytest.mark.fault(25)
async def test_what_runs_when_the_oracle_fails_goes_on_to_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    go_on = asyncio.Event()

    async def train(trial: at.AsyncTrial) -> float:
        await go_on.wait()
        return float(trial.id)

    executor, storage = at.InlineExecutor(3), tmp_path
    async with at.Search(train, objective=LOSS, oracle=Tired(), max_trials=4, executor=executor, storage=storage) as running:
        async for event in running.events():
            if event.cause == "OracleFailed":
                go_on.set()
        with pytest.raises(PluginError, match=r"Tired\.populate_space raised ValueError: enough"):
            await running.result()
        assert [trial.score for trial in running.trials.values()] == [0.0, 1.0]
    assert "No more is proposed" in caplog.text
    result = await search(train, oracle=Tired(4), max_trials=4, storage=tmp_path, seed=None)
    assert [(trial.score, trial.launches) for trial in result.trials.values()] == [(0.0, 1), (1.0, 1), (2.0, 1), (3.0, 1)]


@pytest.mark.parametrize("deadline", [0, -1.0, True, "soon", float("nan")])
async def test_a_deadline_that_cannot_be_is_refused(deadline: Any) -> None:
    oracle = Tired()
    oracle.deadline = deadline  # type: ignore[misc]
    with pytest.raises(ConfigurationError, match=r"Tired\.deadline is .*: it must be a number of seconds above 0, or None"):
        await search(descend, oracle=oracle)


@pytest.mark.fault(25)
async def test_an_oracle_that_does_not_answer_in_time_has_failed() -> None:
    before, oracle = snapshot(), Patient()
    oracle.deadline = 0.1  # type: ignore[misc]
    with pytest.raises(PluginError, match=r"Patient\.populate_space has not returned for 0\.1 s, which is its deadline"):
        await search(descend, oracle=oracle)
    nothing_left(before)


class Patient(at.Oracle):
    """An oracle that asks somebody who does not answer."""

    asked = False

    async def populate_space(self, trial_id: int, space: at.Space) -> at.Suggestion:
        await asyncio.Event().wait()
        return at.Suggestion.exhausted()


async def test_an_oracle_that_waits_for_somebody_is_cancelled_with_the_search() -> None:
    before = snapshot()
    task = asyncio.create_task(search(descend, oracle=Patient()))
    await asyncio.wait([task], timeout=0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    nothing_left(before)


class Judge(at.Scheduler):
    """A scheduler that fails as it is told to."""

    def __init__(self, how: str) -> None:
        self.how = how

    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> Any:
        if self.how == "raises":
            raise ValueError("bad luck")
        return "stop"

    def settings(self) -> Mapping[str, Any]:
        return {"how": self.how}


@pytest.mark.parametrize("how", ["raises", "answers nonsense"])
@pytest.mark.fault(24)
async def test_a_scheduler_that_fails_ends_the_search_by_its_name_and_it_can_go_on(how: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"Judge\.on_trial_result"):
        await search(descend, scheduler=Judge(how), storage=tmp_path)
    result = await search(descend, storage=tmp_path, resume="adopt")
    assert [trial.state for trial in result.trials.values()] == [at.State.COMPLETED] * 6


class Meddler(at.schedulers.Scheduler):
    """Changes what it is shown."""

    def __init__(self, what: str) -> None:
        self.what = what

    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> None:
        shown: Any = trial.values if self.what == "values" else report.metrics
        shown["x"] = 0.5

    def settings(self) -> Mapping[str, Any]:
        return {"what": self.what}


@pytest.mark.parametrize("what", ["values", "metrics"])
@pytest.mark.fault(24)
async def test_a_plugin_cannot_change_what_it_is_shown(what: str) -> None:
    with pytest.raises(PluginError, match=r"Meddler\.on_trial_result raised TypeError: this is shown to others too"):
        await search(descend, scheduler=Meddler(what))


class FailsEarly(at.InlineExecutor):
    """Can start nothing, and says so while the search is still being opened."""

    async def attach(self, recipe: Any, listener: Any) -> Any:
        attachment = await super().attach(recipe, listener)
        listener.failed(ExecutorError("out of order"))
        return attachment


@pytest.mark.parametrize("how", ["new", "overwrite", "resume"])
async def test_an_executor_that_fails_while_the_search_is_opened_is_heard(tmp_path: Path, how: str) -> None:
    if how != "new":
        await search(descend, storage=tmp_path)
    with pytest.raises(ExecutorError, match="out of order"):
        await search(descend, storage=tmp_path, overwrite=how == "overwrite", max_trials=9, executor=FailsEarly(1))
    result = await search(descend, storage=tmp_path, max_trials=9)  # with one that is in order
    assert len(result.trials) == 9


async def test_a_directory_that_is_removed_under_a_search_ends_it(tmp_path: Path) -> None:
    storage = tmp_path / "search"

    async def train(trial: at.AsyncTrial) -> float:
        if trial.id == 2:
            shutil.rmtree(storage)
        return float(trial.id)

    with pytest.raises(StorageError, match="removed"):
        await search(train, storage=storage, executor=at.InlineExecutor(1))


@pytest.mark.parametrize("overwrite", [False, True])
async def test_somebody_elses_database_is_left_alone(tmp_path: Path, overwrite: bool) -> None:
    database = sqlite3.connect(tmp_path / "journal.sqlite")
    database.execute("create table precious (x)")
    database.commit()
    database.close()
    with pytest.raises(StorageError, match="somebody else"):
        await search(descend, storage=tmp_path, overwrite=overwrite)
    assert os.listdir(tmp_path) == ["journal.sqlite"]
    database = sqlite3.connect(tmp_path / "journal.sqlite")
    assert database.execute("select name from sqlite_master").fetchall() == [("precious",)]
    database.close()


async def test_resuming_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ResumeError):
        await search(descend, storage=tmp_path / "typo", resume="must")
    assert os.listdir(tmp_path) == []


class Stuck(at.schedulers.Scheduler):
    """Does not come back from its first report."""

    entered, let_go = threading.Event(), threading.Event()  # the search has a copy of the scheduler

    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> None:
        self.entered.set()
        self.let_go.wait()

    def settings(self) -> Mapping[str, Any]:
        return {}


@pytest.mark.fault(10)
@pytest.mark.fault(24)
@pytest.mark.parametrize("times", [1, 2])
async def test_a_scheduler_that_hangs_keeps_nobody_from_leaving(times: int) -> None:
    Stuck.entered.clear()
    Stuck.let_go.clear()
    limits = at.Limits(grace=0.1 if times == 1 else 3600.0)
    task = asyncio.create_task(search(descend, scheduler=Stuck(), limits=limits))
    assert await asyncio.to_thread(Stuck.entered.wait, 60)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    Stuck.let_go.set()


class StuckAgain(at.schedulers.Scheduler):
    """Does not come back when it is told what is recorded."""

    entered, let_go, again = threading.Event(), threading.Event(), False

    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> None:
        if type(self).again:
            self.entered.set()
            self.let_go.wait()

    def settings(self) -> Mapping[str, Any]:
        return {}


@pytest.mark.fault(24)
async def test_a_scheduler_that_hangs_when_a_search_is_resumed_keeps_nobody_from_leaving(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    StuckAgain.again = False
    await search(descend, scheduler=StuckAgain(), storage=tmp_path)
    StuckAgain.again = True
    task = asyncio.create_task(search(descend, scheduler=StuckAgain(), storage=tmp_path, max_trials=9))
    assert await asyncio.to_thread(StuckAgain.entered.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "StuckAgain.on_trial_result (trial 0, step 1) has not returned" in caplog.text
    StuckAgain.let_go.set()
