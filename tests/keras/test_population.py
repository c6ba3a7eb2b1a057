"""Population based training, with Keras on digits: trials go on as each other from what the callback has saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.events import Reported
from asynctune.testing import check_history

pytestmark = [pytest.mark.keras, pytest.mark.process]

EPOCHS = 7
INTERVAL = 3  # compared at 3 and 6, so that whoever goes on last has an epoch left
# Two with which nothing is learnt, and two that are good: those behind can only have gone on as those ahead.
RATES = (1e-5, 1e-4, 1e-2, 2e-2)


def fit(trial: at.Trial) -> None:
    import keras
    from sklearn.datasets import load_digits

    class Rate(keras.callbacks.Callback):  # type: ignore[misc]  # Keras carries no types
        """Adds to the metrics with which rate the optimizer has trained, and which one it had when it was loaded."""

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            del epoch
            assert logs is not None
            logs |= {"used": float(self.model.optimizer.learning_rate), "loaded": loaded}

    x, y = load_digits(return_X_y=True)
    keras.utils.set_random_seed(7)
    rate = trial.values["rate"]
    start = trial.restore()
    if start is not None:
        model = keras.models.load_model(start / "model.keras")
        loaded = float(model.optimizer.learning_rate)
        model.optimizer.learning_rate = rate
    else:
        model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(10, "softmax")])
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
        loaded = rate
    model.fit(
        x[:600] / 16,
        y[:600],
        validation_data=(x[600:900] / 16, y[600:900]),
        epochs=EPOCHS,
        initial_epoch=trial.step,
        batch_size=64,
        shuffle=False,
        verbose=0,
        callbacks=[Rate(), at.keras.ReportCallback(trial, checkpoint=True)],
    )


def population() -> at.Scheduler:
    return at.schedulers.PopulationBasedTraining(
        perturbation_interval=INTERVAL, hyperparam_mutations=["rate"], synchronous=True, population=len(RATES)
    )


async def test_it_improves_on_its_own_start(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs Keras")
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    async with at.Search(
        fit,
        {"rate": at.Float(1e-5, 1e-1, sampling="log")},
        objective="val_loss",
        scheduler=population(),
        checkpoints=at.CheckpointPolicy(),
        try_first=[{"rate": rate} for rate in RATES],
        max_trials=len(RATES),
        executor=at.LocalExecutor(2, preload=["keras", "sklearn.datasets"]),
        storage=tmp_path,
        seed=3,
    ) as search:
        happened = [what async for event in search.events() for what in event.happened]
        result = await search.result()
    check_history(tmp_path, scheduler=population())
    assert [(trial.state, trial.step) for trial in result.trials.values()] == [(at.State.COMPLETED, EPOCHS)] * len(RATES)
    reports = [what for what in happened if isinstance(what, Reported)]
    assert all(report.metrics["used"] == pytest.approx(rate_of(result, report.trial, report.launch)) for report in reports)
    check_exploits(result, {(report.trial, report.launch, report.step): report for report in reports})

    began = [report.metrics["val_loss"] for report in reports if report.step == INTERVAL]
    came_to = [report.metrics["val_loss"] for report in reports if report.step == EPOCHS]
    assert len(began) == len(came_to) == len(RATES)
    assert max(came_to) < min(began)


def rate_of(result: at.Result, trial: int, launch: int) -> float:
    """Which rate this launch of the trial was given."""
    view = result.trials[trial]
    given = [origin.values for origin in view.lineage if origin.launch <= launch]
    first = view.lineage[0].before if view.lineage else view.values
    rate: Any = (given[-1] if given else first)["rate"]
    return float(rate)


def check_exploits(result: at.Result, reports: Mapping[tuple[int, int, int], Reported]) -> None:
    """Each has begun with the other's weights and the other's optimizer, and has trained on with its own new rate."""
    found = [(trial.id, origin) for trial in result.trials.values() for origin in trial.lineage]
    went_on = [(reports[trial, origin.launch, origin.checkpoint.step + 1], origin) for trial, origin in found]
    assert len(went_on) == 2
    for report, origin in went_on:
        key = origin.checkpoint
        assert origin.source == key.trial != report.trial
        theirs = rate_of(result, key.trial, key.launch)
        assert report.metrics["loaded"] == pytest.approx(theirs)
        assert report.metrics["used"] == pytest.approx(origin.values["rate"]) != pytest.approx(theirs)
        own = next(each for (trial, _, step), each in reports.items() if (trial, step) == (report.trial, key.step))
        assert report.metrics["val_loss"] < own.metrics["val_loss"]
