"""Opening and attaching, cancelled at any moment, leave nothing."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asynctune.errors import ExecutorError, TrainableError
from asynctune.executors.local import LocalExecutor
from tests.many import few
from tests.process.conftest import Attach, Search, descendants, descriptors, recipe


def train(trial: Any) -> float:
    return 1.0


async def open_and_attach(directory: Path, data: dict[str, Any]) -> None:
    async with LocalExecutor(2) as executor:
        search = Search()
        search.attachment = await executor.attach(recipe(train, directory, data), search)
        over = search.start()
        try:
            await over
        finally:
            search.attachment.close()
            await search.attachment.wait_closed()


def census() -> tuple[set[int], int]:
    return descendants(), len(descriptors())


@pytest.mark.parametrize("seed", few(8, range(40)))
async def test_cancelled_at_a_random_moment(tmp_path: Path, seed: int) -> None:
    luck = random.Random(seed)
    data = {"x": np.zeros(luck.choice([10, 1_000_000]))}
    before = census()
    task = asyncio.create_task(open_and_attach(tmp_path, data))
    await asyncio.sleep(luck.random() * 0.25)
    for pause in luck.choice([[0.0], [0.0, 0.001], [0.0, 0.01, 0.001]]):
        await asyncio.sleep(pause)
        task.cancel()
    await asyncio.wait([task])
    while threading.active_count() > 1:  # the one that writes the parcel ends by itself
        await asyncio.sleep(0.001)

    assert census() == before


def test_cancelled_by_the_end_of_the_loop(tmp_path: Path) -> None:
    for moment in (0.0, 0.02, 0.1, 0.2):

        async def main(moment: float = moment) -> None:
            task = asyncio.create_task(open_and_attach(tmp_path, {}))
            await asyncio.sleep(moment)
            assert task is not None

        before = census()
        asyncio.run(main())
        assert census() == before


def import_for_ever() -> None:
    """Unpickled where the trainable is loaded."""
    while True:
        time.sleep(1)


class LoadsForEver:
    def __call__(self, trial: Any) -> float:
        return 1.0

    def __reduce__(self) -> Any:
        return import_for_ever, ()


class EndsItsLoader(LoadsForEver):
    def __init__(self, signum: int) -> None:
        self.signum = signum

    def __reduce__(self) -> Any:
        return end_by, (self.signum,)


def end_by(signum: int) -> None:
    print("last words", flush=True)
    os.kill(os.getpid(), signum)


async def test_cancelled_while_the_trainable_is_loading(local: LocalExecutor, tmp_path: Path) -> None:
    before = census()
    task = asyncio.create_task(local.attach(recipe(LoadsForEver(), tmp_path), Search()))
    while len(descendants()) < 3:  # guard, root, the search's zygote
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert census() == before


async def test_closed_while_the_trainable_is_loading(attach: Attach, tmp_path: Path) -> None:
    before = census()
    executor = LocalExecutor(1)
    await executor.open()
    task = asyncio.create_task(executor.attach(recipe(LoadsForEver(), tmp_path), Search()))
    while len(descendants()) < 3:
        await asyncio.sleep(0.001)
    executor.close()
    with pytest.raises(ExecutorError, match="closed"):
        await task
    await executor.wait_closed()

    assert census() == before


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
async def test_a_trainable_that_ends_its_loader(local: LocalExecutor, tmp_path: Path, signum: signal.Signals) -> None:
    with pytest.raises(TrainableError, match=rf"(?s){signum.name}.*last words"):
        await local.attach(recipe(EndsItsLoader(signum), tmp_path), Search())


async def test_one_who_waits_may_be_cancelled_and_wait_again(tmp_path: Path) -> None:
    executor = LocalExecutor(1)
    await executor.open()
    executor.close()
    for _ in range(3):
        task = asyncio.create_task(executor.wait_closed())
        await asyncio.sleep(0)
        task.cancel()
    await executor.wait_closed()
    with pytest.raises(ExecutorError, match="not open"):
        await executor.attach(recipe(train, tmp_path), Search())
    with pytest.raises(ExecutorError, match="opened before"):
        await executor.open()


async def test_closing_what_was_never_opened() -> None:
    executor = LocalExecutor(1)
    executor.close()
    await executor.wait_closed()

    assert not executor.is_open
