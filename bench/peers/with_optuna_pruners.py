"""Optuna's pruners, driven through given curves by ask and tell, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
from optuna.trial import TrialState

from bench.peers import answer
from bench.peers.replay import Judge, times


def _driven(pruner: Any, direction: str) -> tuple[Judge, Callable[[int], None]]:
    way = optuna.study.StudyDirection.MINIMIZE if direction == "min" else optuna.study.StudyDirection.MAXIMIZE
    study = optuna.create_study(direction=way, pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    trials: dict[int, Any] = {}
    last: dict[int, float] = {}

    def judge(number: int, step: int, value: float) -> bool:
        trial = trials.setdefault(number, None) or study.ask()
        trials[number], last[number] = trial, value
        trial.report(value, step)
        if not trial.should_prune():
            return True
        study.tell(trial, state=TrialState.PRUNED)
        return False

    def ended(number: int) -> None:
        study.tell(trials[number], last[number], skip_if_finished=True)

    return judge, ended


def halving(file: str, workers: int) -> list[Any]:
    """Successive halving, asynchronous, by thirds."""
    made: Any = optuna.pruners.SuccessiveHalvingPruner
    return times(file, workers, lambda _, way, __: _driven(made(min_resource=1, reduction_factor=3), way))


def median(file: str, workers: int) -> list[Any]:
    """The median rule, with Optuna's own numbers."""
    made: Any = optuna.pruners.MedianPruner
    return times(file, workers, lambda _, way, __: _driven(made(), way))


def hyperband(file: str, workers: int) -> list[Any]:
    """Its Hyperband, by thirds."""
    made: Any = optuna.pruners.HyperbandPruner
    return times(
        file, workers, lambda _, way, steps: _driven(made(min_resource=1, max_resource=steps, reduction_factor=3), way)
    )


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    answer({"halving": halving, "median": median, "hyperband": hyperband})
