"""What KerasTuner's own tests ask of an oracle (its oracle_test.py, Apache-2.0), by meaning; each says what KerasTuner does."""

from __future__ import annotations

import math
from typing import Any

import pytest

import asynctune as at
from asynctune.failure import Failure, FailureKind
from asynctune.messages import RunTrial
from asynctune.oracles import Oracle, RandomSearch
from asynctune.policies import FailurePolicy
from asynctune.records import State, Suggestion, SuggestionStatus, TrialId
from asynctune.schedulers import FIFO
from asynctune.space import Choice, HyperParameters, Int, Space
from asynctune.testing import Behaviour, OracleRehearsal, SimulatedSearch

LOSS = at.Objective("loss", "min")
NO = Failure(kind=FailureKind.RAISED, message="ValueError: no", error_type="ValueError")


class Always(Oracle):
    """Proposes the same values again and again, as KerasTuner's test oracles do."""

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        return Suggestion.run({"x": 1})


def test_duplicate() -> None:
    """KerasTuner (test_duplicate): values that run count as tried; a second proposal of them is seen to be a duplicate."""
    rehearsal = OracleRehearsal(Always(), space={"x": Int(1, 3)})
    rehearsal.ask()
    assert not rehearsal.proposer.known.is_new({"x": 1})
    rehearsal.ask()
    assert rehearsal.trials[1].values != rehearsal.trials[0].values


def test_not_duplicate() -> None:
    """KerasTuner (test_not_duplicate): other values are none."""
    rehearsal = OracleRehearsal(Always(), space={"x": Int(1, 3)})
    rehearsal.ask()
    assert rehearsal.proposer.known.is_new({"x": 2})


def test_new_hp_duplicate() -> None:
    """KerasTuner (test_new_hp_duplicate): what a trial has found out itself belongs to what it tried, when it has ended."""

    def finds(hp: HyperParameters) -> float:
        return float(hp.Int("x", 1, 3) + hp.Int("late", 1, 2))

    rehearsal = OracleRehearsal(RandomSearch(), finds, space={"x": Int(1, 3)})
    rehearsal.ask()
    rehearsal.finish(0)
    found = dict(rehearsal.trials[0].values)
    rehearsal.ask()
    known = rehearsal.proposer.known
    assert found.keys() == {"x", "late"}
    assert not known.is_new(found)
    assert known.is_new({**found, "late": 3 - int(found["late"] or 0)}) or rehearsal.trials[1].values["x"] == found["x"]


def test_default_no_retry() -> None:
    """KerasTuner (test_default_no_retry): with no retries the next trial is a new one."""
    searched = simulated(script=lambda order, hp: failing(order, order.trial == 0), max_trials=2)
    assert [view.launches for view in searched.trials.values()] == [1, 1]
    assert [view.state for view in searched.trials.values()] == [State.FAILED, State.COMPLETED]


def test_retry_invalid_trial() -> None:
    """KerasTuner (test_retry_invalid_trial): with one retry the same trial is run once more, with the same values."""
    searched = simulated(
        script=lambda order, hp: failing(order, order.trial == 0), max_trials=2, failure=FailurePolicy(max_retries_per_trial=1)
    )
    assert [view.launches for view in searched.trials.values()] == [2, 1]
    assert list(searched.trials) == [0, 1]


def test_no_retry_for_failed_trial() -> None:
    """KerasTuner (test_no_retry_for_failed_trial): FailedTrialError is never tried again."""

    def never(order: RunTrial, hp: HyperParameters) -> Behaviour:
        if order.trial == 0:
            raise at.FailedTrialError("no")
        return Behaviour(reports=[(1.0, {"loss": 1.0})])

    searched = simulated(script=never, max_trials=2, failure=FailurePolicy(max_retries_per_trial=3))
    assert (searched.trials[0].state, searched.trials[0].launches) == (State.FAILED, 1)


def test_is_nan_mark_as_invalid() -> None:
    """KerasTuner (test_is_nan_mark_as_invalid): a trial whose score is NaN has not succeeded."""
    searched = simulated(script=lambda order, hp: Behaviour(reports=[(1.0, {"loss": math.nan})]), max_trials=1)
    assert (searched.trials[0].state, searched.trials[0].score) == (State.FAILED, None)


def test_get_best_trial_with_nans() -> None:
    """KerasTuner (test_get_best_trial_with_nans): the best trial is no NaN; here the oracle sees the same."""
    rehearsal = OracleRehearsal(RandomSearch(), space={"x": Int(1, 9)}, objective=LOSS)
    for score in (None, 3.0, None, 1.0, None):
        rehearsal.ask()
        rehearsal.complete(len(rehearsal.trials) - 1, score)
    best = rehearsal.proposer.known.best
    assert best is not None
    assert (best.id, best.score) == (3, 1.0)


def test_a_trial_that_ran_when_the_search_was_cut_off_is_run_again_under_its_number() -> None:
    """KerasTuner (test_oracle_reload_ongoing_trials_to_retry): the same."""
    whole = simulated(max_trials=3)
    cut = next(
        i for i, record in enumerate(whole.records, 1) if any(type(one).__name__ == "Started" for one in record.happened)
    )
    again = simulated(max_trials=3, records=whole.records[:cut])
    assert again.trials[0].values == whole.trials[0].values
    assert again.trials[0].launches == 2
    assert list(again.trials) == [0, 1, 2]


@pytest.mark.parametrize("oracle", [Always, RandomSearch])
def test_a_small_space_comes_to_its_end(oracle: type[Oracle]) -> None:
    """KerasTuner (randomsearch_test, test_exhausted_search_space): 4 points, 4 trials, then STOPPED."""
    rehearsal = OracleRehearsal(oracle(), space={"x": Int(1, 2), "y": Choice(["a", "b"])})
    answers = [rehearsal.ask().status for _ in range(5)]
    assert answers == [SuggestionStatus.RUNNING] * 4 + [SuggestionStatus.EXHAUSTED]


def failing(order: RunTrial, fails: bool) -> Behaviour:
    if fails:
        return Behaviour(ending=NO)
    return Behaviour(reports=[(1.0, {"loss": 1.0})])


def simulated(**options: Any) -> SimulatedSearch:
    settings: dict[str, Any] = {
        "script": lambda order, hp: Behaviour(reports=[(1.0, {"loss": 1.0})]),
        "oracle": RandomSearch(),
        "scheduler": FIFO(),
        "space": {"x": Int(1, 9)},
        "failure": FailurePolicy(max_consecutive_failed_trials=None),
        **options,
    }
    return SimulatedSearch(**settings).run()
