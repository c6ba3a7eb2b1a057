"""Ray Tune: each trial is an actor in a process of its own, fresh, or reused for the next trial.

Ray's own start is never counted. Its loggers are as they come: that is its journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray import tune

from bench.digits import PRELOAD, fit
from bench.peers import answer
from bench.ticker import lateness


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[str]:
    """Ray on this machine, with a directory for what it writes."""
    with tempfile.TemporaryDirectory() as directory:
        ray.init(
            num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error",
            object_store_memory=100_000_000, _temp_dir=str(Path(directory, "ray")),
        )  # fmt: skip
        try:
            yield directory
        finally:
            ray.shutdown()


def run(trainable: Callable[[dict[str, Any]], Any], space: Mapping[str, Any], directory: str, **config: Any) -> list[Any]:
    """The results of all trials; each has one core."""
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space=dict(space),
        tune_config=tune.TuneConfig(**config),
        run_config=tune.RunConfig(storage_path=str(Path(directory, "results")), name="bench", verbose=0),
    )
    results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    return list(results)


def _nothing(config: dict[str, Any]) -> dict[str, float]:
    return {"y": 0.0, "at": time.clock_gettime(time.CLOCK_MONOTONIC)}


def dispatch(trials: int, workers: int, *, reuse: bool) -> float:
    """Trials a second of trainables that do nothing, from the first one's run to the last one's."""
    with cluster(workers) as directory:
        space = {"x": tune.uniform(0, 1)}
        options = {"num_samples": trials, "max_concurrent_trials": workers, "reuse_actors": reuse}
        ran = sorted(result.metrics["at"] for result in run(_nothing, space, directory, **options))
    return (len(ran) - 1) / float(ran[-1] - ran[0])


def first() -> float:
    """When the first line of the first trial ran, by the system's clock."""
    with cluster(1) as directory:
        return float(run(_nothing, {"x": tune.uniform(0, 1)}, directory)[0].metrics["at"])


def report(reports: int) -> list[float]:
    """Seconds that each report took, in the trial."""

    def train(config: dict[str, Any]) -> None:
        took = []
        for _ in range(reports):
            began = time.perf_counter()
            tune.report({"loss": 1.0})
            took.append(time.perf_counter() - began)
        Path(config["path"]).write_text(json.dumps(took))

    with cluster(1) as directory:
        path = Path(directory, "took.json")
        run(train, {"path": str(path)}, directory)
        return [float(each) for each in json.loads(path.read_text())]


def _digits(config: dict[str, Any]) -> dict[str, float]:
    for name in PRELOAD:
        importlib.import_module(name)
    import keras

    class Report(keras.callbacks.Callback):  # type: ignore[misc]  # Keras carries no types
        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            tune.report({"val_accuracy": float((logs or {})["val_accuracy"])})

    began = time.clock_gettime(time.CLOCK_MONOTONIC)
    accuracy = fit(config["values"], config["epochs"], [Report()])
    return {"val_accuracy": accuracy, "began": began, "ended": time.clock_gettime(time.CLOCK_MONOTONIC)}


def _search(values: Sequence[Mapping[str, Any]], epochs: int, directory: str, *, reuse: bool) -> float:
    space = {"values": tune.grid_search([dict(each) for each in values]), "epochs": epochs}
    results = run(_digits, space, directory, max_concurrent_trials=2, reuse_actors=reuse)
    began, ended = ([result.metrics[name] for result in results] for name in ("began", "ended"))
    return float(max(ended) - min(began))


def keras_digits(values: Sequence[Mapping[str, Any]], epochs: int, *, reuse: bool) -> float:
    """Seconds from the moment when the first trial has imported what it needs to the end of the last trial."""
    with cluster(2) as directory:
        return _search(values, epochs, directory, reuse=reuse)


def loop_lag(values: Sequence[Mapping[str, Any]], epochs: int) -> list[float]:
    """How late the ticks of a loop are while `Tuner.fit` runs in a thread beside it."""
    with cluster(2) as directory:
        return asyncio.run(lateness(asyncio.to_thread(_search, values, epochs, directory, reuse=True)))


if __name__ == "__main__":
    answer({"dispatch": dispatch, "report": report, "keras_digits": keras_digits, "loop_lag": loop_lag, "first": first})
