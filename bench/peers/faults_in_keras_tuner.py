"""KerasTuner: trials in this process, one after the other; a directory of JSON files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.oracles import RandomSearchOracle

from bench.peers import faulty

_STATES = {"COMPLETED": "completed", "FAILED": "failed", "INVALID": "failed", "RUNNING": "running"}
_tuners: list[Any] = []


class _Tuner(BaseTuner):  # type: ignore[misc]  # KerasTuner carries no types
    """Runs the common trial."""

    fault: str
    place: str

    def run_trial(self, trial: Any, *args: Any, **options: Any) -> Any:
        return faulty.trial(int(trial.trial_id), self.fault, self.place)

    def on_trial_end(self, trial: Any) -> None:
        super().on_trial_end(trial)
        if self.fault == "callback":
            faulty.raise_once(self.place)


def search(fault: str, place: str) -> None:
    """Begin the search, or go on with it."""
    parameters = keras_tuner.HyperParameters()
    parameters.Float("x", 0, 1)
    objective = keras_tuner.Objective("y", "min")
    oracle = RandomSearchOracle(objective, max_trials=faulty.TRIALS, hyperparameters=parameters, seed=1)
    tuner = _Tuner(oracle, directory=str(Path(place, "state")), project_name="faults")
    tuner.fault, tuner.place = fault, place
    _tuners.append(tuner)
    tuner.search(verbose=0)


def look() -> dict[int, tuple[str, float | None]]:
    """The trials that the oracle knows."""
    trials = _tuners[0].oracle.trials.values()
    return {int(each.trial_id): (_STATES[each.status], each.score) for each in trials}


if __name__ == "__main__":
    faulty.main(search, look)
