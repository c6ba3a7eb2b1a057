"""The guide "Handle failed trials in Keras Tuner", three ways: the same grid, the same trials that are too large, one worker.

What a trial has to fail at is how many parameters its model would have, and that is arithmetic: two dense layers and an output,
over 20 features. The last test builds the models.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

import asynctune as at
from asynctune.events import AttemptFailed, Event, Finished, GaveUp, Started
from asynctune.testing.leftovers import nothing_left, snapshot

pytestmark = pytest.mark.process

GRID = list(product((10, 20, 30, 40), (10, 20, 30)))
TOO_LARGE = [7, 8, 9, 10, 11]
FEATURES, MOST = 20, 1200
POLICY = at.FailurePolicy(max_retries_per_trial=3, max_consecutive_failed_trials=8)


def count_params(units_1: int, units_2: int) -> int:
    return (FEATURES + 1) * units_1 + (units_1 + 1) * units_2 + (units_2 + 1)


def units(trial: at.Trial) -> tuple[int, int]:
    return trial.hp.Int("units_1", 10, 40, step=10), trial.hp.Int("units_2", 10, 30, step=10)


def check_size(number: int, error: type[Exception]) -> None:
    if number > MOST:
        raise error(f"Model too large! It contains {number} params.")


class Watching(at.Observer):
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_events(self, events: Any, search: Any) -> None:
        self.events += events

    def trials_of(self, *kinds: type[Started | Finished | AttemptFailed | GaveUp]) -> list[int]:
        """The trials that such things happened to, in order."""
        return [each.trial for event in self.events for each in event.happened if isinstance(each, kinds)]

    def failed_attempts(self, trial: int) -> int:
        return self.trials_of(AttemptFailed, GaveUp).count(trial)


async def search(error: type[Exception], watching: Watching, **options: Any) -> at.Result:
    def train(trial: at.Trial) -> float:
        number = count_params(*units(trial))
        check_size(number, error)
        return number / MOST

    return await at.search(
        train,
        objective="val_loss",
        oracle=at.oracles.GridSearch(),
        executor=at.LocalExecutor(1),
        failure=POLICY,
        observers=[watching],
        **options,
    )


def check_trials(result: at.Result) -> None:
    assert [(t.values["units_1"], t.values["units_2"]) for t in result.trials.values()] == GRID
    failed = [trial.id for trial in result.trials.values() if trial.state is at.State.FAILED]
    assert failed == TOO_LARGE
    for trial in result.trials.values():
        if trial.id in failed:
            assert trial.failure is not None
            assert f"Model too large! It contains {count_params(*GRID[trial.id])} params." in trial.failure.message
        else:
            assert (trial.state, trial.attempt, trial.failure) == (at.State.COMPLETED, 1, None)


async def test_a_trial_that_fails_is_run_four_times() -> None:
    before, watching = snapshot(), Watching()
    with await search(ValueError, watching) as result:
        check_trials(result)
        assert [result.trials[number].attempt for number in TOO_LARGE] == [4] * 5
        assert [watching.failed_attempts(number) for number in TOO_LARGE] == [4] * 5
        assert result.best_trial is not None
        assert result.best_trial.id == 0
    nothing_left(before)


async def test_one_that_says_that_it_would_fail_again_is_run_once() -> None:
    before, watching = snapshot(), Watching()
    with await search(at.FailedTrialError, watching) as result:
        check_trials(result)
        assert [result.trials[number].attempt for number in TOO_LARGE] == [1] * 5
        assert [watching.failed_attempts(number) for number in TOO_LARGE] == [1] * 5
    nothing_left(before)


@pytest.mark.parametrize("error", [at.FatalError, at.FatalValueError, at.FatalTypeError, at.FatalRuntimeError])
async def test_a_fatal_error_ends_the_search_at_the_eighth_trial(error: type[Exception]) -> None:
    before, watching = snapshot(), Watching()
    with pytest.raises(error, match=r"trial 7 ended the search: it raised .*Model too large! It contains 1271 params"):
        await search(error, watching)
    assert watching.trials_of(Started) == list(range(8))
    assert watching.trials_of(Finished) == list(range(7))
    assert watching.failed_attempts(7) == 1
    nothing_left(before)


@pytest.mark.keras
async def test_the_models_of_the_guide_have_as_many_parameters_as_we_say() -> None:
    def train(trial: at.Trial) -> dict[str, float]:
        import keras

        counts = {"val_loss": 0.0}
        for number, (units_1, units_2) in enumerate(GRID):  # in one process: to import Keras takes seconds
            layers = [keras.layers.Dense(units_1), keras.layers.Dense(units_2), keras.layers.Dense(1)]
            model = keras.Sequential([keras.layers.Input(shape=(FEATURES,)), *layers])
            counts[f"params_{number}"] = float(model.count_params())
        return counts

    with await at.search(train, objective="val_loss", max_trials=1, executor=at.LocalExecutor(1)) as result:
        (trial,) = result.trials.values()
        counted = dict(trial.metrics or {})
    assert counted == {"val_loss": 0.0} | {f"params_{number}": count_params(*each) for number, each in enumerate(GRID)}
