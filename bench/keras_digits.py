"""A real Keras search on scikit-learn's digits, beside a bare loop that forks and runs the same function with the same values.

    python -m bench.keras_digits [--pairs 5] [--trials 24] [--epochs 5] [--keras-tuner PYTHON] [--ray PYTHON] [--optuna PYTHON]

Both have one process with TensorFlow imported, fork a child for each trial, two at a time, with one thread each for
TensorFlow's operations. Start-up (the one import of TensorFlow) is shown beside, and left out on both sides.

The peers train the same networks, with the same thread settings. KerasTuner and Optuna train in one process, so that the
import is left out too. With Ray Tune every fresh actor imports TensorFlow, which is the price of a trial there; the first
import is left out, and with reused actors all of them are, but for the difference between the first two. Beside reused actors
stands our own search with reused processes.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import frozen

import asynctune as at
from asynctune.keras import ReportCallback
from bench.common import Ahead, Pair, ask, peers_parser, show, show_ahead
from bench.digits import PRELOAD, fit

SPACE = {
    "units": at.Int(32, 256, step=32),
    "layers": at.Int(1, 3),
    "learning_rate": at.Float(1e-4, 1e-2, sampling="log"),
}


def ours(trials: int, epochs: int, workers: int = 2, *, reuse: bool = False) -> tuple[float, float, list[Mapping[str, Any]]]:
    """(seconds from the first start to the last end, seconds of start-up, the values of the trials)."""

    def train(trial: at.Trial) -> dict[str, float]:
        return {"val_accuracy": fit(trial.values, epochs, [ReportCallback(trial)])}

    async def main() -> tuple[float, float, list[Mapping[str, Any]]]:
        began = time.perf_counter()
        first, last = 0.0, 0.0
        with tempfile.TemporaryDirectory() as directory:
            search = at.Search(
                train, SPACE, objective="val_accuracy", max_trials=trials, seed=0, storage=directory,
                executor=at.LocalExecutor(workers, preload=PRELOAD, isolation="worker" if reuse else "trial"),
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


@frozen
class Rival:
    """A peer's way to do it; `target` is by how many times we promise to be faster, with reused processes if `reused`."""

    name: str
    seconds: Callable[..., float]
    target: float
    reused: bool = False


def rivals(keras_tuner: str | None, ray: str | None, optuna: str | None) -> list[Rival]:
    """Those whose interpreters were given."""
    found = []
    if keras_tuner:
        way = partial(ask, keras_tuner, "keras_tuner", "keras_digits")
        found.append(Rival("KerasTuner, saving the best epoch as it does by itself", partial(way, saves=True), 1.8))
        found.append(Rival("KerasTuner, with a `run_trial` that saves nothing", partial(way, saves=False), 1.0))
    if ray:
        way = partial(ask, ray, "ray", "keras_digits")
        found.append(Rival("Ray Tune, 2 at once, a fresh actor for each trial", partial(way, reuse=False), 5.0))
        found.append(Rival("Ray Tune, 2 at once, actors reused; ours reused", partial(way, reuse=True), 1.0, reused=True))
    if optuna:
        way = partial(ask, optuna, "optuna", "keras_digits")
        found.extend(Rival(f"Optuna in memory, n_jobs={jobs}", partial(way, jobs=jobs), 1.0) for jobs in (1, 2))
    return found


def measure(pairs: int, trials: int, epochs: int, others: Sequence[Rival]) -> int:
    """In turns: ours, the floor, everybody else."""
    mine, reused, bare, starts, floor_starts = [], [], [], [], []
    theirs: dict[str, list[float]] = {rival.name: [] for rival in others}
    for number in range(pairs + 1):
        took, start, values = ours(trials, epochs)
        floor_took, floor_start = floor(values, epochs)
        if not number:  # the first pair fills the caches of the file system
            continue
        mine.append(took)
        bare.append(floor_took)
        starts.append(start)
        floor_starts.append(floor_start)
        if any(rival.reused for rival in others):
            reused.append(ours(trials, epochs, reuse=True)[0])
        for rival in others:
            theirs[rival.name].append(rival.seconds(values=[dict(each) for each in values], epochs=epochs))
    status = show([Pair(f"{trials} trials x {epochs} epochs, 2 workers", "s", mine, bare, 1.15, less=True, every=True)])
    print(f"\nstart-up, left out: ours {statistics.median(starts):.2f} s, floor {statistics.median(floor_starts):.2f} s")
    if others:
        ahead = [
            Ahead(rival.name, "s", theirs[rival.name], reused if rival.reused else mine, rival.target, less=True)
            for rival in others
        ]
        status |= show_ahead(ahead)
    return status


def main() -> int:
    """Measure, and print the tables."""
    parser = peers_parser(__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    return measure(given.pairs, given.trials, given.epochs, rivals(given.keras_tuner, given.ray, given.optuna))


if __name__ == "__main__":
    sys.exit(main())
