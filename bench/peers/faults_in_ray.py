"""Ray Tune: each trial is an actor in a process of its own, two at a time; a directory of JSON files and pickles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray
from ray import tune

from bench.peers import faulty

_results: list[Any] = []


class _Raises(tune.Callback):  # type: ignore[misc]  # Ray carries no types
    """The user's callback."""

    def __init__(self, place: str) -> None:
        self.place = place

    def on_trial_result(self, *args: Any, **options: Any) -> None:
        faulty.raise_once(self.place)


def search(fault: str, place: str) -> None:
    """Begin the experiment, or go on with it."""
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error",
        object_store_memory=100_000_000, _temp_dir=str(Path(place, "ray")),
    )  # fmt: skip
    state = Path(place, "state")

    def train(config: dict[str, Any]) -> dict[str, Any]:
        return {"y": faulty.trial(config["number"], fault, place)}

    trainable = tune.with_resources(train, {"cpu": 1})
    if tune.Tuner.can_restore(str(state / "faults")):
        tuner = tune.Tuner.restore(str(state / "faults"), trainable)
    else:
        tuner = tune.Tuner(
            trainable,
            param_space={"number": tune.grid_search(list(range(faulty.TRIALS)))},
            tune_config=tune.TuneConfig(metric="y", mode="min", max_concurrent_trials=2),
            run_config=tune.RunConfig(
                storage_path=str(state), name="faults", verbose=0,
                callbacks=[_Raises(place)] if fault == "callback" else None,
                # The nearest that there is to a limit of a trial's time; it is looked at when a trial reports.
                stop={"time_total_s": faulty.TIME_LIMIT} if fault == faulty.ENDLESS else None,
            ),
        )  # fmt: skip
    _results.append(tuner.fit())


def look() -> dict[int, tuple[str, float | None]]:
    """What came back; nothing did when `fit` raised."""
    found: dict[int, tuple[str, float | None]] = {}
    for result in _results[0] if _results else ():
        value = (result.metrics or {}).get("y")
        found[(result.config or result.metrics["config"])["number"]] = ("failed" if result.error else "completed", value)
    return found


if __name__ == "__main__":
    faulty.main(search, look)
    ray.shutdown()
