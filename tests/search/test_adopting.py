"""A search that was begun with one scheduler, and goes on with another, which is told everything again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import asynctune as at
from asynctune.errors import SearchError
from asynctune.schedulers import ASHA, HyperBand, MedianStopping, PopulationBasedTraining, Scheduler
from asynctune.testing import check_history


async def train(trial: at.AsyncTrial) -> None:
    start = trial.restore()
    assert start is None or (start / "step").read_text() == str(trial.step)
    for step in range(trial.step + 1, 10):
        with trial.checkpoint() as directory:
            (directory / "step").write_text(str(step))
        await trial.report(step=step, loss=trial.values["x"] + 1 / step)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ASHA(max_steps=9, form="promotion", factor=2),
        lambda: HyperBand(max_steps=9),
        lambda: MedianStopping(hard_stop=False, grace=1, min_samples=1),
        lambda: PopulationBasedTraining(perturbation_interval=2, population=3, synchronous=True),
    ],
    ids=["ASHA", "HyperBand", "median", "population"],
)
async def test_one_that_sets_trials_aside_goes_on_where_one_that_does_not_has_stopped(
    tmp_path: Path, make: Callable[[], Scheduler]
) -> None:
    def search(**changes: object) -> at.Search:
        setup = {"max_trials": 8, "seed": 0, "executor": at.InlineExecutor(4), "checkpoints": at.CheckpointPolicy()}
        options = {"objective": at.Objective("loss", "min"), "storage": tmp_path, **setup, **changes}
        return at.Search(train, {"x": at.Float(0, 1)}, **options)  # type: ignore[arg-type]

    async with search() as begun:
        async for event in begun.events():
            if event.seq > 40:
                break
    with pytest.raises(SearchError):
        await begun.result()
    async with search(scheduler=make(), resume="adopt") as adopted:
        result = await adopted.result()
    assert len(result.trials) == 8
    assert all(trial.state is at.State.COMPLETED for trial in result.trials.values())
    check_history(tmp_path)
