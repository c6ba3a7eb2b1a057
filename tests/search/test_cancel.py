"""Cancelling a search, at any moment, any number of times, leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import random
from collections.abc import Awaitable, Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.testing.leftovers import nothing_left, snapshot
from tests.search.trainables import slow_steps, steps, stubborn

pytestmark = pytest.mark.process

GRACE = 0.2
AGAIN = (None, 0.001, 0.01, 0.1)  # seconds after which a second, and then a third, cancel comes


def small(trainable: Any, storage: Path | None = None, trials: int = 4) -> Coroutine[Any, Any, at.Result]:
    return at.search(
        trainable,
        objective=at.Objective("loss", "min"),
        max_trials=trials,
        limits=at.Limits(grace=GRACE),
        executor=at.LocalExecutor(2),
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


CHUNKS = 10
MOMENTS = 200


@pytest.mark.parametrize("chunk", range(CHUNKS))
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


class _Counted:
    """Awaits `coroutine`, and cancels the task that runs it when `turns` says that it is time."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], turns: itertools.count[int], when: int) -> None:
        self._coroutine, self._turns, self._when = coroutine, turns, when
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        value, error = None, None
        while True:
            try:
                waited = self._coroutine.throw(error) if error is not None else self._coroutine.send(value)
            except StopIteration as stop:
                return stop.value
            if next(self._turns) == self._when:
                self.reached = True
                task = asyncio.current_task()
                assert task is not None
                task.get_loop().call_soon(task.cancel)
            value, error = None, None
            try:
                value = yield waited
            except BaseException as thrown:  # noqa: BLE001
                error = thrown


async def _whole(counted: Awaitable[Any]) -> Any:
    return await counted


def run_cancelling_turn(when: int, storage: Path) -> bool:
    """A search in a loop of its own, in which the `when`-th await of any of its tasks is cancelled; whether there was one."""
    turns = itertools.count()
    reached = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        counted = _Counted(coroutine, turns, when)
        reached.append(counted)
        return asyncio.Task(_whole(counted), loop=loop, **options)

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        with contextlib.suppress(asyncio.CancelledError, at.errors.SearchError):
            (await asyncio.create_task(small(steps, storage, trials=2))).close()

    asyncio.run(main())
    return any(counted.reached for counted in reached)


@pytest.mark.parametrize("part", range(4))
def test_at_every_await(part: int, tmp_path: Path) -> None:
    for when in itertools.count(part, 4):
        before = snapshot()
        reached = run_cancelling_turn(when, tmp_path / str(when))
        nothing_left(before, within=GRACE + 1)
        if not reached:
            assert when > 4, "the search has more awaits than that"
            return


@pytest.mark.parametrize("after", [0.0, 0.05, 0.15, 0.3])
@pytest.mark.parametrize("trainable", [slow_steps, stubborn])
def test_under_the_shutdown_of_the_loop(after: float, trainable: Any) -> None:
    before = snapshot()

    async def main() -> None:
        task = asyncio.create_task(small(trainable, trials=20))
        await asyncio.wait([task], timeout=after)

    asyncio.run(main())
    nothing_left(before, within=GRACE + 1)
