"""Schedulers that set trials aside, with Keras on digits: it makes no difference whether those wait with their processes,
without any code for checkpoints, or go on in new ones, from automatic checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.checkpoints import DirectoryStore
from asynctune.events import Paused, Started
from asynctune.testing import check_history
from tests.many import few

pytestmark = [pytest.mark.keras, pytest.mark.process]

EPOCHS = 4
# The state of an optimizer is saved in the precision in which it is held, and no batch is drawn: what is left is the order in
# which sums are taken.
TOLERANCE = 1e-4


def fit(trial: at.Trial) -> None:
    import keras
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    keras.utils.set_random_seed(7)
    start = trial.restore()
    if start is not None:
        model = keras.models.load_model(start / "model.keras")
    else:
        units, rate = trial.values["units"], trial.values["rate"]
        model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(10, "softmax")])
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(
        x[:600] / 16,
        y[:600],
        validation_data=(x[600:900] / 16, y[600:900]),
        epochs=trial.data["epochs"],
        initial_epoch=trial.step,
        batch_size=64,
        shuffle=False,
        verbose=0,
        callbacks=[at.keras.ReportCallback(trial, checkpoint=trial.data["saves"])],
    )


SPACE = {"units": at.Int(4, 32), "rate": at.Float(1e-4, 1e-1, sampling="log")}


async def went(storage: Path, scheduler: at.Scheduler, *, saves: bool, **options: Any) -> tuple[at.Result, list[Any]]:
    given: dict[str, Any] = {
        "objective": "val_loss",
        "max_trials": 6,
        "executor": at.LocalExecutor(1, preload=["keras"]),
        "storage": storage,
        "data": {"saves": saves, "epochs": EPOCHS},
        "parking": at.Parking() if saves is False else at.Parking(max_trials=0),
        "seed": 3,
        **options,
    }
    async with at.Search(fit, SPACE, scheduler=scheduler, **given) as search:
        events = [what async for event in search.events() for what in event.happened]
        result = await search.result()
    check_history(storage, scheduler=scheduler)
    return result, events


def rungs(events: list[Any]) -> list[tuple[int, int]]:
    """Who went on from where, in order."""
    return [(what.trial, what.step) for what in events if isinstance(what, Started) and what.step]


@pytest.mark.parametrize("name", few(1, ["ASHA", "HyperBand"]))
async def test_parked_or_resumed_the_same_are_promoted_and_come_to_the_same(tmp_path: Path, name: str) -> None:
    pytest.importorskip("keras", reason="needs Keras")
    pytest.importorskip("sklearn", reason="needs scikit-learn")

    def scheduler() -> at.Scheduler:
        if name == "HyperBand":
            return at.schedulers.HyperBand(max_steps=EPOCHS, factor=2)
        return at.schedulers.ASHA(max_steps=EPOCHS, factor=2, form="promotion")

    parked, told = await went(tmp_path / "parked", scheduler(), saves=False)
    resumed, again = await went(tmp_path / "resumed", scheduler(), saves=True)
    assert rungs(told) == rungs(again) != []
    held = [what for what in told if isinstance(what, Paused)]
    assert held
    assert all(what.parked for what in held)
    assert not any(what.parked for what in again if isinstance(what, Paused))
    assert [trial.launches for trial in parked.trials.values()] == [1] * len(parked.trials)
    for one, other in zip(parked.trials.values(), resumed.trials.values(), strict=True):
        assert (one.step, one.stop_reason) == (other.step, other.stop_reason)
        assert [report.step for report in one.reports] == [report.step for report in other.reports]
        for ours, theirs in zip(one.reports, other.reports, strict=True):
            assert theirs.metrics["val_loss"] == pytest.approx(ours.metrics["val_loss"], rel=TOLERANCE)


async def test_automatic_checkpoints_are_written_and_kept_by_the_policy(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs Keras")
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    policy = at.CheckpointPolicy(keep=None, every=3, at_end=True)
    options: dict[str, Any] = {"checkpoints": policy, "max_trials": 1}
    _, events = await went(tmp_path / "search", at.schedulers.FIFO(), saves=True, **options)
    keys = DirectoryStore(tmp_path / "search" / "checkpoints").keys()
    assert [key.step for key in keys] == [3, EPOCHS]
    assert not rungs(events)


def fit_twice(trial: at.Trial) -> None:
    import keras
    import numpy as np

    from asynctune.keras import ReportCallback

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    for first, last in ((0, 2), (2, 4)):
        callbacks = [ReportCallback(trial, checkpoint=True)]
        model.fit(np.ones((4, 2)), np.ones(4), initial_epoch=first, epochs=last, verbose=0, callbacks=callbacks)


async def test_what_is_saved_at_the_end_of_a_fit_is_forgotten_where_another_follows(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs Keras")
    policy = at.CheckpointPolicy(every=None, at_end=True)
    result = await at.search(
        fit_twice,
        objective=at.Objective("loss", "min"),
        max_trials=1,
        checkpoints=policy,
        storage=tmp_path / "search",
        executor=at.LocalExecutor(1),
        display=False,
    )
    assert [report.step for report in result.trials[0].reports] == [1, 2, 3, 4]
    assert result.trials[0].attempt == 1
    assert [key.step for key in DirectoryStore(tmp_path / "search" / "checkpoints").keys()] == [4]  # noqa: SIM118 -- no dict
