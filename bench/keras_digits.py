"""A real Keras search on scikit-learn's digits, beside a bare loop that forks and runs the same function with the same values.

    python -m bench.keras_digits [--pairs 5] [--trials 24] [--epochs 5]

Both have one process with TensorFlow imported, fork a child for each trial, two at a time, with one thread each for
TensorFlow's operations. Start-up (the one import of TensorFlow) is shown beside, and left out on both sides.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import asynctune as at
from asynctune.keras import ReportCallback
from bench.common import Pair, show

SPACE = {
    "units": at.Int(32, 256, step=32),
    "layers": at.Int(1, 3),
    "learning_rate": at.Float(1e-4, 1e-2, sampling="log"),
}
PRELOAD = ["tensorflow", "keras", "sklearn.datasets"]


def fit(values: Mapping[str, Any], epochs: int, callbacks: list[Any]) -> float:
    """Train one network; its validation accuracy after the last epoch."""
    import keras
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,))])
    for _ in range(values["layers"]):
        model.add(keras.layers.Dense(values["units"], activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    optimizer = keras.optimizers.Adam(values["learning_rate"])
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(
        images / 16.0, labels, epochs=epochs, validation_split=0.2, verbose=0, callbacks=callbacks
    )  # fmt: skip
    return float(history.history["val_accuracy"][-1])


def ours(trials: int, epochs: int, workers: int = 2) -> tuple[float, float, list[Mapping[str, Any]]]:
    """(seconds from the first start to the last end, seconds of start-up, the values of the trials)."""

    def train(trial: at.Trial) -> dict[str, float]:
        return {"val_accuracy": fit(trial.values, epochs, [ReportCallback(trial)])}

    async def main() -> tuple[float, float, list[Mapping[str, Any]]]:
        began = time.perf_counter()
        first, last = 0.0, 0.0
        with tempfile.TemporaryDirectory() as directory:
            search = at.Search(
                train, SPACE, objective="val_accuracy", max_trials=trials, seed=0, storage=directory,
                executor=at.LocalExecutor(workers, preload=PRELOAD),
            )  # fmt: skip
            async with search:
                async for event in search.events():
                    now = time.perf_counter()
                    for happening in event.happened:
                        if type(happening).__name__ == "Started" and not first:
                            first = now
                        last = now if type(happening).__name__ == "Finished" else last
                result = await search.result()
        scored = [trial for trial in result.trials.values() if trial.score is not None]
        if len(scored) != trials:
            raise RuntimeError(f"not every trial was completed: {result.to_dicts()}")
        return last - first, first - began, [trial.values for trial in scored]

    return asyncio.run(main())


def floor(values: list[Mapping[str, Any]], epochs: int, workers: int = 2) -> tuple[float, float]:
    """(seconds from the first fork to the last wait, seconds of start-up)."""
    command = [sys.executable, "-m", "bench.keras_floor", str(epochs), str(workers), json.dumps([dict(v) for v in values])]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return said["took"], said["start"]


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    mine, bare, starts, floor_starts = [], [], [], []
    for number in range(given.pairs + 1):
        took, start, values = ours(given.trials, given.epochs)
        floor_took, floor_start = floor(values, given.epochs)
        if number:  # the first pair fills the caches of the file system
            mine.append(took)
            bare.append(floor_took)
            starts.append(start)
            floor_starts.append(floor_start)
    status = show([Pair(f"{given.trials} trials x {given.epochs} epochs, 2 workers", "s", mine, bare, 1.15, less=True)])
    print(f"\nstart-up, left out: ours {statistics.median(starts):.2f} s, floor {statistics.median(floor_starts):.2f} s")
    return status


if __name__ == "__main__":
    sys.exit(main())
