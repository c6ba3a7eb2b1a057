"""KerasTuner: trials in this process, one after the other; a directory of JSON files."""

from __future__ import annotations

import asyncio
import importlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.oracles import RandomSearchOracle

from bench.digits import PRELOAD, build, fit, train
from bench.peers import answer
from bench.ticker import lateness


class _Stamps(BaseTuner):  # type: ignore[misc]  # KerasTuner carries no types
    """Trials that do nothing but note the time."""

    stamps: list[float]

    def run_trial(self, trial: Any, *args: Any, **options: Any) -> float:
        self.stamps.append(time.clock_gettime(time.CLOCK_MONOTONIC))
        return 0.0


class _Listed(RandomSearchOracle):  # type: ignore[misc]
    """Random search, which then tries the values that everybody tries."""

    values: Sequence[Mapping[str, Any]]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        proposed: dict[str, Any] = super().populate_space(trial_id)
        if proposed.get("values") is not None:
            proposed["values"] = dict(self.values[int(trial_id)])
        return proposed


class _Model(keras_tuner.HyperModel):  # type: ignore[misc]
    """The network, in KerasTuner's words."""

    def build(self, hp: Any) -> Any:
        return build(
            {
                "units": hp.Int("units", 32, 256, step=32),
                "layers": hp.Int("layers", 1, 3),
                "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"),
            }
        )

    def fit(self, hp: Any, model: Any, epochs: int, callbacks: Sequence[Any] = (), **options: Any) -> Any:
        return train(model, epochs, callbacks)


class _Bare(keras_tuner.Tuner):  # type: ignore[misc]
    """The documented way to train by yourself: no checkpoint of the best epoch."""

    def run_trial(self, trial: Any, epochs: int, **options: Any) -> float:
        return fit(trial.hyperparameters.values, epochs, [])


def dispatch(trials: int) -> float:
    """Trials a second of a tuner whose trials do nothing."""
    stamps = _stamps(trials)
    return (len(stamps) - 1) / (stamps[-1] - stamps[0])


def first() -> float:
    """When the first line of the first trial ran, by the system's clock."""
    return _stamps(1)[0]


def _stamps(trials: int) -> list[float]:
    parameters = keras_tuner.HyperParameters()
    parameters.Float("x", 0, 1)
    oracle = RandomSearchOracle(keras_tuner.Objective("y", "min"), max_trials=trials, hyperparameters=parameters, seed=1)
    with tempfile.TemporaryDirectory() as directory:
        tuner = _Stamps(oracle, directory=directory)
        tuner.stamps = []
        tuner.search(verbose=0)
    return tuner.stamps


def _search(values: Sequence[Mapping[str, Any]], epochs: int, *, saves: bool) -> float:
    oracle = _Listed(keras_tuner.Objective("val_accuracy", "max"), max_trials=len(values), seed=1)
    oracle.values = values
    with tempfile.TemporaryDirectory() as directory:
        kind = keras_tuner.Tuner if saves else _Bare
        tuner = kind(oracle=oracle, hypermodel=_Model(), directory=directory)
        began = time.perf_counter()
        tuner.search(epochs=epochs, verbose=0)
        took = time.perf_counter() - began
        done = sum(trial.status == "COMPLETED" for trial in oracle.trials.values())
        if done != len(values):
            raise RuntimeError(f"{done} of {len(values)} trials were completed")
    return took


def keras_digits(values: Sequence[Mapping[str, Any]], epochs: int, *, saves: bool) -> float:
    """Seconds that a Keras search took, everything imported before."""
    for name in PRELOAD:
        importlib.import_module(name)
    return _search(values, epochs, saves=saves)


def loop_lag(values: Sequence[Mapping[str, Any]], epochs: int) -> list[float]:
    """How late the ticks of a loop are while a Keras search runs in a thread beside it."""
    for name in PRELOAD:
        importlib.import_module(name)
    return asyncio.run(lateness(asyncio.to_thread(_search, values, epochs, saves=True)))


if __name__ == "__main__":
    answer({"dispatch": dispatch, "keras_digits": keras_digits, "loop_lag": loop_lag, "first": first})
