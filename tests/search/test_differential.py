"""Where KerasTuner 1.4.8 fails: the differential cases that belong to whole searches. docs/keras-tuner-cases.md lists all."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asynctune as at
from asynctune.testing import cut

LOSS = at.Objective("loss", "min")
SPACE = {"x": at.Int(0, 9)}


async def search(trainable: Any, **options: Any) -> at.Result:
    given: dict[str, Any] = {"objective": LOSS, "executor": at.InlineExecutor(1), "oracle": at.oracles.GridSearch(), **options}
    return await at.search(trainable, SPACE, **given)


async def test_a_state_that_was_cut_short_recovers(tmp_path: Path) -> None:
    """case 9: KerasTuner: a truncated oracle.json is a JSONDecodeError from the constructor, and the project is lost."""
    ran: list[int] = []

    async def train(trial: at.AsyncTrial) -> float:
        ran.append(trial.hp.Int("x", 0, 9))
        return float(ran[-1])

    async with at.Search(
        train, SPACE, objective=LOSS, executor=at.InlineExecutor(1), oracle=at.oracles.GridSearch(), storage=tmp_path / "run"
    ) as running:
        async for _ in running.events():
            if len(running.trials) >= 5:
                break
        # What a machine leaves behind that is switched off: the files as they are, and the last write of the log is torn.
        shutil.copytree(tmp_path / "run", tmp_path / "torn")
    log = tmp_path / "torn" / "journal.sqlite-wal"
    torn = log.stat().st_size
    with log.open("ab") as file:
        file.write(bytes(2000))
    with cut(log, torn + 1000):
        pass
    ran.clear()
    result = await search(train, storage=tmp_path / "torn", resume="must")

    assert [trial.values["x"] for trial in result.trials.values()] == list(range(10))
    assert len(ran) < 10


async def test_a_first_epoch_that_is_nan_does_not_void_the_curve() -> None:
    """case 16: KerasTuner: a History whose first epoch is NaN stays NaN, and the trial is INVALID."""

    class History:
        def __init__(self, **history: list[float]) -> None:
            self.history = history

    async def train(trial: at.AsyncTrial) -> Any:
        return History(loss=[math.nan, 3.0, 2.0 + trial.hp.Int("x", 0, 9), math.nan])

    result = await search(train)

    assert [trial.score for trial in result.trials.values()] == [2.0, *[3.0] * 9]


@pytest.mark.parametrize("number", [np.int64(3), np.float32(3), np.array(3.0), np.array(3)])
async def test_numbers_of_numpy_are_numbers(number: Any) -> None:
    """case 19: KerasTuner: np.int64 and arrays without dimensions are a FatalTypeError, and the search is over."""

    async def train(trial: at.AsyncTrial) -> Any:
        return number if trial.id % 2 else {"loss": number}

    result = await search(train)

    assert {trial.score for trial in result.trials.values()} == {3.0}


async def test_what_a_trial_costs_on_disk_does_not_grow(tmp_path: Path) -> None:
    """case 20: KerasTuner rewrites its state for each trial: 10 KB a trial at 50 of them, 34 KB at 200."""

    async def train(trial: at.AsyncTrial) -> float:
        return trial.hp.Float("rate", 0, 1)

    def written(trials: int) -> int:
        return sum(path.stat().st_size for path in (tmp_path / str(trials)).iterdir() if path.is_file())

    for trials in (50, 200, 800):
        await at.search(
            train, objective=LOSS, executor=at.InlineExecutor(1), max_trials=trials, seed=0, storage=tmp_path / str(trials)
        )
    early, late = (written(200) - written(50)) / 150, (written(800) - written(200)) / 600

    assert late <= 1.25 * early
    assert late < 10_000


async def test_nothing_is_called_before_the_first_trial() -> None:
    """case 21: KerasTuner builds the model at least once in its constructor, and once more for each branch of the space."""
    called: list[int] = []

    async def train(trial: at.AsyncTrial) -> float:
        called.append(trial.id)
        return float(trial.hp.Int("x", 0, 9))

    running = at.Search(train, objective=LOSS, executor=at.InlineExecutor(1), max_trials=3)
    assert called == []
    async with running:
        await running.result()
    assert called == [0, 1, 2]
