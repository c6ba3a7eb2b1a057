"""Optuna: trials in this process, one after the other or in threads; what a study is kept in can be chosen."""

from __future__ import annotations

import asyncio
import importlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from bench.digits import PRELOAD, fit
from bench.peers import answer
from bench.ticker import lateness


def study(storage: str, directory: str) -> Any:
    """A study in memory, in SQLite, or in a journal file."""
    kinds: dict[str, Callable[[], Any]] = {
        "memory": lambda: None,
        "sqlite": lambda: f"sqlite:///{Path(directory, 'study.sqlite')}",
        "journal": lambda: JournalStorage(JournalFileBackend(str(Path(directory, "journal.log")))),
    }
    return optuna.create_study(storage=kinds[storage](), sampler=optuna.samplers.RandomSampler(seed=0))


def dispatch(storage: str, trials: int) -> float:
    """Trials a second of an objective that does nothing."""

    def nothing(trial: Any) -> float:
        trial.suggest_float("x", 0, 1)
        return 0.0

    with tempfile.TemporaryDirectory() as directory:
        made = study(storage, directory)
        made.optimize(nothing, n_trials=5)
        began = time.perf_counter()
        made.optimize(nothing, n_trials=trials)
        return trials / (time.perf_counter() - began)


def report(storage: str, reports: int) -> list[float]:
    """Seconds that each report took, with the question whether to go on."""
    took = []
    with tempfile.TemporaryDirectory() as directory:
        trial = study(storage, directory).ask()
        for step in range(reports):
            began = time.perf_counter()
            trial.report(1.0, step)
            trial.should_prune()
            took.append(time.perf_counter() - began)
    return took


def _optimize(values: Sequence[Mapping[str, Any]], epochs: int, jobs: int) -> float:
    import keras

    class Report(keras.callbacks.Callback):  # type: ignore[misc]  # Keras carries no types
        def __init__(self, trial: Any) -> None:
            super().__init__()
            self.trial = trial

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            self.trial.report(float((logs or {})["val_accuracy"]), epoch)
            self.trial.should_prune()

    def objective(trial: Any) -> float:
        asked = {
            "units": trial.suggest_int("units", 32, 256, step=32),
            "layers": trial.suggest_int("layers", 1, 3),
            "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        }
        return fit(asked, epochs, [Report(trial)])

    # Nothing is to be pruned, as in all the others.
    made = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
    for each in values:
        made.enqueue_trial(dict(each))
    began = time.perf_counter()
    made.optimize(objective, n_trials=len(values), n_jobs=jobs)
    return time.perf_counter() - began


def keras_digits(values: Sequence[Mapping[str, Any]], epochs: int, jobs: int) -> float:
    """Seconds that a Keras search took, in memory, everything imported before."""
    for name in PRELOAD:
        importlib.import_module(name)
    return _optimize(values, epochs, jobs)


def loop_lag(values: Sequence[Mapping[str, Any]], epochs: int) -> list[float]:
    """How late the ticks of a loop are while two jobs of a Keras search run in threads beside it."""
    for name in PRELOAD:
        importlib.import_module(name)
    return asyncio.run(lateness(asyncio.to_thread(_optimize, values, epochs, 2)))


def first() -> float:
    """When the first line of the first trial ran, by the system's clock."""
    stamps = []

    def stamp(trial: Any) -> float:
        stamps.append(time.clock_gettime(time.CLOCK_MONOTONIC))
        return 0.0

    with tempfile.TemporaryDirectory() as directory:
        study("sqlite", directory).optimize(stamp, n_trials=1)
    return stamps[0]


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    answer({"dispatch": dispatch, "report": report, "keras_digits": keras_digits, "loop_lag": loop_lag, "first": first})
