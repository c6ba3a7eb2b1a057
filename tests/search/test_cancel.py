"""Cancelling a search, at any moment, any number of times, leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import random
import shutil
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune._engine.journal import read_records
from asynctune._engine.retelling import retold
from asynctune.errors import SearchError
from asynctune.events import Reported
from asynctune.testing import check_history
from asynctune.testing.cancelling import cancel_at_await
from asynctune.testing.leftovers import nothing_left, snapshot
from tests.many import few
from tests.search.trainables import slow_steps, steps, stubborn

pytestmark = pytest.mark.process

GRACE = 0.2
AGAIN = (None, 0.001, 0.01, 0.1)  # seconds after which a second, and then a third, cancel comes


def small(
    trainable: Any, storage: Path | None = None, trials: int = 4, executor: at.Executor | None = None
) -> Coroutine[Any, Any, at.Result]:
    return at.search(
        trainable,
        objective=at.Objective("loss", "min"),
        max_trials=trials,
        limits=at.Limits(grace=GRACE),
        executor=executor or at.LocalExecutor(2),
        storage=storage,
        seed=0,
    )


async def cancelled(task: asyncio.Task[Any], after: float, again: tuple[float | None, ...]) -> None:
    """Cancel `task` after some seconds, and again, and wait for its end."""
    await asyncio.wait([task], timeout=after)
    task.cancel()
    for pause in again:
        if pause is not None:
            await asyncio.wait([task], timeout=pause)
            task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
    if not task.cancelled():
        task.result().close()


CHUNKS, MOMENTS = 10, 200


@pytest.mark.parametrize("chunk", few(2, range(CHUNKS)))
async def test_at_random_moments(chunk: int, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    luck = random.Random(seed)
    for moment in range(MOMENTS // CHUNKS):
        before = snapshot()
        trainable = luck.choice([steps, slow_steps, stubborn])
        storage = tmp_path / str(moment) if luck.random() < 0.5 else None
        again = (AGAIN[moment % 4], AGAIN[moment // 4 % 4])
        task = asyncio.create_task(small(trainable, storage))
        await cancelled(task, luck.uniform(0.0, 0.5), again)
        nothing_left(before, within=GRACE + 1)


async def test_at_the_moment_of_its_end() -> None:
    before = snapshot()
    task = asyncio.create_task(small(steps, trials=1))
    life = None
    while life is None:
        await asyncio.sleep(0)
        life = next((each for each in asyncio.all_tasks() if each.get_name() == "asynctune-search"), None)
    life.add_done_callback(lambda _: task.cancel())
    gc.disable()  # it would tidy up, some time
    try:
        with pytest.raises(asyncio.CancelledError):
            await task
        nothing_left(before)
    finally:
        gc.enable()


async def steps_that_wait(trial: at.AsyncTrial) -> None:
    x = trial.hp.Float("x", 0.0, 1.0)
    for step in range(trial.step + 1, 4):
        await asyncio.sleep(0)
        await trial.report(step=step, loss=x + 1 / step)


async def closed(search: Coroutine[Any, Any, at.Result]) -> None:
    (await search).close()


async def fresh(storage: Path) -> None:
    await closed(small(steps, storage, trials=2))


async def inline(storage: Path) -> None:
    await closed(small(steps_that_wait, storage, trials=3, executor=at.InlineExecutor(2)))


async def shared(storage: Path) -> None:
    """Two searches at once on one executor."""

    async def one(name: str, executor: at.Executor) -> None:
        with contextlib.suppress(SearchError):  # as the cancelled one of two says; a group would wrap it
            await closed(small(steps, storage / name, trials=2, executor=executor))

    async with at.LocalExecutor(2) as executor, asyncio.TaskGroup() as group:
        for name in "ab":
            group.create_task(one(name, executor))


async def interrupted(storage: Path) -> None:
    """A search that was left when its first trial had reported."""
    search = at.Search(slow_steps, objective=at.Objective("loss", "min"), max_trials=2, storage=storage, seed=0)
    async with search:
        async for event in search.events():
            if any(isinstance(happening, Reported) for happening in event.happened):
                return


def check_and_resume(storage: Path, trials: int) -> None:
    """What was recorded is sound, and goes on to its end. Where trials run is another's affair, so they may run here.

    It costs no trial an attempt, but one whose own task was cancelled behind the search's back.
    """
    if (storage / "journal.sqlite").exists():
        check_history(storage)
    asyncio.run(closed(small(steps_that_wait, storage, trials=trials, executor=at.InlineExecutor(2))))
    check_history(storage)
    ended = retold(read_records(storage)).trials
    assert len(ended) == trials
    for trial in ended:
        cancelled = trial.failure is not None and "CancelledError" in str(trial.failure.error_type)
        assert (trial.state, trial.attempt) == (at.State.FAILED if cancelled else at.State.COMPLETED, 1)
    assert sum(trial.state is at.State.FAILED for trial in ended) <= 1


PARTS = 4  # so that one test does not take for ever


def cancelled_everywhere(
    tmp_path: Path, part: int, main: Callable[[Path], Coroutine[Any, Any, Any]], searches: Mapping[str, int], begun: Path | None
) -> None:
    """Cancel `main` at its await number n, for every n of this part, until it makes no such await.

    `searches` are its searches, as directories below the one that it is given, each with its number of trials.
    """
    for number in itertools.count(1 + part, PARTS):
        storage = tmp_path / str(number)
        if begun is not None:
            shutil.copytree(begun, storage)
        before = snapshot()
        reached = cancel_at_await(number, lambda: main(storage))  # noqa: B023 -- it is called at once
        nothing_left(before, within=GRACE + 1)
        for name, trials in searches.items():
            check_and_resume(storage / name, trials)
        nothing_left(before)
        if not reached:
            assert number > 10, "the search has more awaits than that"
            return


@pytest.mark.fault(11)
@pytest.mark.parametrize("part", range(PARTS))
def test_at_every_await(part: int, tmp_path: Path) -> None:
    cancelled_everywhere(tmp_path, part, fresh, {"": 2}, None)


@pytest.mark.fault(11)
@pytest.mark.parametrize("part", range(PARTS))
def test_at_every_await_of_a_search_that_is_resumed(part: int, tmp_path: Path) -> None:
    asyncio.run(interrupted(tmp_path / "begun"))
    cancelled_everywhere(tmp_path, part, fresh, {"": 2}, tmp_path / "begun")


@pytest.mark.fault(11)
@pytest.mark.parametrize("part", range(PARTS))
def test_at_every_await_where_trials_are_tasks(part: int, tmp_path: Path) -> None:
    cancelled_everywhere(tmp_path, part, inline, {"": 3}, None)


@pytest.mark.fault(11)
@pytest.mark.parametrize("part", range(PARTS))
def test_at_every_await_of_two_searches_that_share_an_executor(part: int, tmp_path: Path) -> None:
    cancelled_everywhere(tmp_path, part, shared, {"a": 2, "b": 2}, None)


def test_an_await_is_cancelled_where_it_waits() -> None:
    said: list[str] = []

    async def inner() -> None:
        await asyncio.sleep(0)
        said.append("inner")

    async def main() -> None:
        task = asyncio.create_task(inner())
        await asyncio.sleep(0.01)
        said.append("outer")
        with contextlib.suppress(asyncio.CancelledError):
            await task

    found = []
    for number in itertools.count(1):
        said.clear()
        reached = cancel_at_await(number, main)
        found.append((*said,))
        if not reached:
            break
    assert found == [("inner",), ("outer",), ("inner", "outer")]


def test_an_error_of_the_program_is_raised() -> None:
    async def main() -> None:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            raise ValueError("not so") from None

    with pytest.raises(ValueError, match="not so"):
        cancel_at_await(1, main)


@pytest.mark.parametrize("after", [0.0, 0.05, 0.15, 0.3])
@pytest.mark.parametrize("trainable", [slow_steps, stubborn])
def test_under_the_shutdown_of_the_loop(after: float, trainable: Any) -> None:
    before = snapshot()

    async def main() -> None:
        task = asyncio.create_task(small(trainable, trials=20))
        await asyncio.wait([task], timeout=after)

    asyncio.run(main())
    nothing_left(before, within=GRACE + 1)
