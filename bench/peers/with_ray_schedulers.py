"""Ray Tune's schedulers, driven by hand through given curves: no cluster, no trainable."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule, TrialScheduler

from bench.peers import answer
from bench.peers.replay import Judge, times


class _Trial:
    """All that these schedulers look at."""

    def __init__(self, number: int) -> None:
        self.trial_id = str(number)
        self.number = number

    def __hash__(self) -> int:
        return self.number


class _Controller:
    """Who has nothing to say."""

    def get_live_trials(self) -> list[Any]:
        return []


def _driven(scheduler: Any, direction: str) -> tuple[Judge, Callable[[int], None]]:
    scheduler.set_search_properties("value", direction)
    trials: dict[int, _Trial] = {}
    last: dict[int, dict[str, float]] = {}

    def judge(number: int, step: int, value: float) -> bool:
        if number not in trials:
            trials[number] = _Trial(number)
            scheduler.on_trial_add(_Controller(), trials[number])
        last[number] = {"training_iteration": step, "time_total_s": step, "value": value}
        verdict = scheduler.on_trial_result(_Controller(), trials[number], last[number])
        return bool(verdict == TrialScheduler.CONTINUE)

    def ended(number: int) -> None:
        scheduler.on_trial_complete(_Controller(), trials[number], last[number])

    return judge, ended


def asha(file: str, workers: int) -> list[Any]:
    """ASHA, in its stopping form, by thirds."""
    return times(file, workers, lambda _, way, steps: _driven(AsyncHyperBandScheduler(max_t=steps, reduction_factor=3), way))


def median(file: str, workers: int) -> list[Any]:
    """The median rule, with a grace of one step as ours has, and its own three samples."""
    return times(
        file, workers, lambda _, way, __: _driven(MedianStoppingRule(time_attr="training_iteration", grace_period=1), way)
    )


def _costs(made: Callable[[], Any], sizes: list[int]) -> list[float]:
    """Microseconds of processor time for a report, when so many trials have reported the step before: the median of 5 rounds of
    200."""
    found = []
    for size in sizes:
        luck = random.Random(0)
        scheduler = made()
        scheduler.set_search_properties("value", "min")

        def call(number: int, scheduler: Any = scheduler, luck: random.Random = luck) -> float:
            trial = _Trial(number)
            scheduler.on_trial_add(_Controller(), trial)
            result = {"training_iteration": 1, "time_total_s": 1, "value": luck.random()}
            began = time.process_time()
            scheduler.on_trial_result(_Controller(), trial, result)
            return time.process_time() - began

        for number in range(size):
            call(number)
        rounds = [sum(call(size + 200 * turn + k) for k in range(200)) / 200 * 1e6 for turn in range(5)]
        found.append(statistics.median(rounds))
    return found


def asha_costs(sizes: list[int]) -> list[float]:
    """What a report costs with ASHA."""
    return _costs(lambda: AsyncHyperBandScheduler(max_t=27, reduction_factor=3), sizes)


def median_costs(sizes: list[int]) -> list[float]:
    """What a report costs with the median rule."""
    return _costs(lambda: MedianStoppingRule(time_attr="training_iteration", grace_period=1), sizes)


if __name__ == "__main__":
    answer({"asha": asha, "median": median, "asha_costs": asha_costs, "median_costs": median_costs})
