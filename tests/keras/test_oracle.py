"""KerasTuner's oracle, by hand: the meaning of its engine/oracle_test.py (Apache-2.0), in words of our own.

Where KerasTuner 1.4.8 does otherwise, the test says what it does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest

import asynctune as at
from asynctune.errors import ConfigurationError, PluginError, TooManyFailuresError
from asynctune.keras import GridSearchOracle, KerasOracle, MetricsTracker, Oracle, RandomSearchOracle, Trial, TrialStatus

MAX = at.Objective("score", "max")


def space(**domains: Any) -> Any:
    return domains or {"x": at.Int(0, 99)}


class Counting(Oracle):
    """Proposes 0, 1, 2, ..."""

    def populate_space(self, trial_id: str) -> Mapping[str, Any]:
        return {"status": "RUNNING", "values": {"x": int(trial_id)}}


def counting(**options: Any) -> Counting:
    return Counting(**{"objective": MAX, "hyperparameters": space(), "max_trials": 20, "seed": 0, **options})


def end(oracle: Oracle, trial: Trial, status: str = "COMPLETED", score: float = 1.0, message: str | None = None) -> Trial:
    if status == "COMPLETED":
        oracle.update_trial(trial.trial_id, {"score": score})
    trial.status, trial.message = status, message
    oracle.end_trial(trial)
    return oracle.get_trial(trial.trial_id)


# ------------------------------------------------------------------------------------------------------------- its metrics


def tracked(values: list[tuple[int, float]]) -> MetricsTracker:
    tracker = MetricsTracker()
    for step, value in values:
        tracker.update("score", value, step)
    return tracker


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        ([], (None, None), (None, None)),
        ([(0, 2.0)], (2.0, 0), (2.0, 0)),
        ([(1, 3.0), (2, 1.0), (3, 2.0)], (1.0, 2), (3.0, 1)),
        ([(1, 3.0), (2, 1.0), (4, 1.0), (7, 3.0)], (1.0, 2), (3.0, 1)),  # the first of equals
        ([(1, 2.0), (2, 9.0), (2, 1.0), (3, 4.0)], (2.0, 1), (5.0, 2)),  # a step that was told twice counts as its mean
        ([(1, math.nan), (2, 2.0), (3, math.nan)], (2.0, 2), (2.0, 2)),  # NaN only where there is nothing else
        ([(1, 2.0), (2, math.inf), (3, -math.inf)], (2.0, 1), (2.0, 1)),  # KerasTuner's best are the infinities
    ],
)
def test_the_best_of_a_metric_and_its_step(values: Any, least: Any, most: Any) -> None:
    tracker = tracked(values)
    for direction, best in (("min", least), ("max", most)):
        toward: Any = direction
        assert (tracker.get_best_value("score", toward), tracker.get_best_step("score", toward)) == best
        oracle = counting(objective=at.Objective("score", toward))
        trial = oracle.create_trial("a")
        trial.metrics = tracker
        oracle.score_trial(trial)
        assert (trial.score, trial.best_step) == best


def test_without_any_number_the_best_is_nan_and_has_no_step() -> None:
    tracker = tracked([(1, math.nan), (2, math.nan)])
    assert math.isnan(tracker.get_best_value("score", "max") or 0.0)
    assert tracker.get_best_step("score", "max") is None
    odd: Any = "best"
    with pytest.raises(ConfigurationError, match="takes 'min' or 'max', not 'best'"):
        tracker.get_best_value("score", odd)


# ---------------------------------------------------------------------------------------------------- create, update, end


def test_a_trial_is_created_updated_and_ended() -> None:
    oracle = counting(max_trials=100)
    trial = oracle.create_trial("a")
    assert (trial.trial_id, trial.status, trial.hyperparameters.values) == ("000", "RUNNING", {"x": 0})
    assert oracle.remaining_trials() == 99
    oracle.update_trial("000", {"score": 1.0, "other": 5.0}, step=1)
    oracle.update_trial("000", {"score": 4.0}, step=2)
    oracle.update_trial("000", {"score": 2.0}, step=2)
    oracle.update_trial("000", {"score": 2.0}, step=3)
    assert [(each.step, each.values) for each in trial.metrics.get_history("score")] == [
        (1, (1.0,)),
        (2, (4.0, 2.0)),
        (3, (2.0,)),
    ]
    assert trial.metrics.get_last_value("other") == 5.0
    trial.status = TrialStatus.COMPLETED
    oracle.end_trial(trial)
    assert (trial.status, trial.score, trial.best_step) == ("COMPLETED", 3.0, 2)
    assert oracle.get_trial("000") is trial
    assert list(oracle.trials) == ["000"]


def test_a_tuner_that_asks_twice_gets_its_trial_back() -> None:
    oracle = counting()
    trial = oracle.create_trial("a")
    assert oracle.create_trial("a") is trial
    assert oracle.create_trial("b") is not trial
    end(oracle, trial)
    assert oracle.create_trial("a").trial_id == "02"


def test_what_is_over_max_trials_is_stopped_and_is_no_trial() -> None:
    oracle = counting(max_trials=2)
    first = oracle.create_trial("a")
    second = oracle.create_trial("b")
    stopped = oracle.create_trial("c")
    assert (stopped.status, stopped.trial_id) == ("STOPPED", "2")
    assert len(oracle.trials) == 2
    end(oracle, first)
    end(oracle, second)
    assert oracle.create_trial("a").status == "STOPPED"
    assert oracle.remaining_trials() == 0


def test_the_best_are_those_that_are_completed() -> None:
    """case 17: KerasTuner fills up with failed and running trials where there are too few that are COMPLETED."""
    oracle = counting(max_retries_per_trial=0, max_consecutive_failed_trials=None)
    for score in range(10):
        end(oracle, oracle.create_trial("a"), score=score)
    assert [trial.score for trial in oracle.get_best_trials(3)] == [9.0, 8.0, 7.0]
    end(oracle, oracle.create_trial("a"), score=math.nan)
    end(oracle, oracle.create_trial("a"), "FAILED")
    oracle.create_trial("a")
    assert [trial.score for trial in oracle.get_best_trials(20)] == [float(score) for score in range(9, -1, -1)]


def test_three_workers_share_ten_trials() -> None:
    oracle = counting(max_trials=10)
    running = {name: oracle.create_trial(name) for name in "abc"}
    while running:
        for name, trial in list(running.items()):
            end(oracle, trial, score=float(trial.hyperparameters.values["x"] or 0))
            again = oracle.create_trial(name)
            if again.status == "STOPPED":
                del running[name]
            else:
                running[name] = again
    assert [trial.hyperparameters.values["x"] for trial in oracle.trials.values()] == list(range(10))
    assert [trial.score for trial in oracle.get_best_trials(2)] == [9.0, 8.0]


# --------------------------------------------------------------------------------------------------------------- failures


def test_without_retries_an_invalid_trial_is_failed() -> None:
    oracle = counting()
    trial = end(oracle, oracle.create_trial("a"), "INVALID", message="out of memory")
    assert (trial.status, trial.message) == ("FAILED", "out of memory")
    assert oracle.create_trial("a").trial_id == "01"


def test_an_invalid_trial_is_tried_again_and_others_get_others() -> None:
    oracle = counting(max_retries_per_trial=1)
    first = oracle.create_trial("a")
    values = first.hyperparameters.values
    assert end(oracle, first, "INVALID").status == "INVALID"
    again = oracle.create_trial("a")
    assert (again.trial_id, again.status, again.hyperparameters.values) == (first.trial_id, "RUNNING", values)
    assert oracle.create_trial("b").trial_id == "01"
    assert end(oracle, again, "INVALID").status == "FAILED"
    assert oracle.create_trial("a").trial_id == "02"


def test_the_oldest_of_those_that_failed_is_tried_first() -> None:
    """KerasTuner's queue is a stack: the newest is."""
    oracle = counting(max_retries_per_trial=1)
    trials = [oracle.create_trial(name) for name in "ab"]
    for trial in trials:
        end(oracle, trial, "INVALID")
    assert [oracle.create_trial(name).trial_id for name in "ab"] == ["00", "01"]


def test_a_failed_trial_is_not_tried_again() -> None:
    oracle = counting(max_retries_per_trial=3)
    assert end(oracle, oracle.create_trial("a"), "FAILED").status == "FAILED"
    assert oracle.create_trial("a").trial_id == "01"


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_invalid(score: float) -> None:
    oracle = counting(max_retries_per_trial=1)
    assert end(oracle, oracle.create_trial("a"), score=score).status == "INVALID"
    again = oracle.create_trial("a")
    assert again.trial_id == "00"
    assert end(oracle, again, score=score).status == "FAILED"


def test_a_retry_after_nan_has_the_score_of_the_retry() -> None:
    """case 1: KerasTuner averages it with the NaN from before, so that the trial is FAILED."""
    oracle = counting(max_retries_per_trial=1)
    end(oracle, oracle.create_trial("a"), score=math.nan, message="was here")
    trial = end(oracle, oracle.create_trial("a"), score=3.0)
    assert (trial.status, trial.score, trial.message) == ("COMPLETED", 3.0, None)
    assert oracle.get_best_trials() == [trial]


def test_a_nan_between_numbers_voids_nothing() -> None:
    oracle = counting()
    trial = oracle.create_trial("a")
    for step, score in enumerate([math.nan, 2.0, 5.0, math.nan]):
        oracle.update_trial(trial.trial_id, {"score": score}, step=step)
    trial.status = "COMPLETED"
    oracle.end_trial(trial)
    assert (trial.score, trial.best_step) == (5.0, 2)


def test_failures_that_are_not_in_a_row_end_nothing() -> None:
    oracle = counting(max_retries_per_trial=2, max_consecutive_failed_trials=3)
    for _ in range(2):
        for _ in range(3):
            end(oracle, oracle.create_trial("a"), "INVALID")
    for _ in range(3):
        end(oracle, oracle.create_trial("a"))
    for _ in range(2):
        end(oracle, oracle.create_trial("a"), "FAILED")
    assert [trial.status for trial in oracle.trials.values()] == ["FAILED"] * 2 + ["COMPLETED"] * 3 + ["FAILED"] * 2


def test_too_many_failures_in_a_row_end_the_search_and_are_recorded() -> None:
    """case 10: KerasTuner raises before it has recorded the last trial, and keeps its lock."""
    oracle = counting(max_consecutive_failed_trials=3)
    for _ in range(2):
        end(oracle, oracle.create_trial("a"), "FAILED")
    last = oracle.create_trial("a")
    with pytest.raises(TooManyFailuresError, match="the last straw"):
        end(oracle, last, "FAILED", message="the last straw")
    assert last.status == "FAILED"
    assert oracle.create_trial("a").status == "STOPPED"
    resumed = counting(max_consecutive_failed_trials=3)
    resumed.set_state(oracle.get_state())
    assert [trial.status for trial in resumed.trials.values()] == ["FAILED"] * 3
    assert resumed.create_trial("a").trial_id == "03"  # who opens it again has been told


@pytest.mark.parametrize(("error", "runs"), [("INVALID", 5 + 2 * 2), ("FAILED", 5)])
def test_what_always_fails_is_run_as_often_as_the_policy_says(error: str, runs: int) -> None:
    oracle = GridSearchOracle(MAX, hyperparameters=space(x=at.Int(1, 5)), max_retries_per_trial=2)
    count = 0
    while (trial := oracle.create_trial("a")).status == "RUNNING":
        count += 1
        end(oracle, trial, error if trial.hyperparameters.values["x"] in (2, 3) else "COMPLETED")
    assert count == runs
    assert [trial.status for trial in oracle.trials.values()] == ["COMPLETED", "FAILED", "FAILED", "COMPLETED", "COMPLETED"]


# -------------------------------------------------------------------------------------------------------------- proposals


class Same(Oracle):
    """Has one idea."""

    def populate_space(self, trial_id: str) -> Mapping[str, Any]:
        return {"status": "RUNNING", "values": {"x": 1}}


def test_what_runs_counts_as_tried() -> None:
    oracle = Same(MAX, hyperparameters=space(x=at.Int(1, 3)), seed=0)
    values = [oracle.create_trial(name).hyperparameters.values["x"] for name in "abc"]
    assert values[0] == 1
    assert sorted(map(int, values)) == [1, 2, 3]
    assert oracle.create_trial("d").status == "STOPPED"


def test_a_parameter_that_a_trial_has_found_makes_more_to_try() -> None:
    oracle = Same(MAX, hyperparameters=space(x=at.Fixed(1)), seed=0)
    trial = oracle.create_trial("a")
    assert oracle.create_trial("b").status == "STOPPED"
    assert trial.hyperparameters.Int("y", 5, 7) == 5
    end(oracle, trial)
    assert list(oracle.get_space().space) == ["x", "y"]
    found = []
    while (trial := oracle.create_trial("a")).status == "RUNNING":
        found.append(trial.hyperparameters.values["y"])
        end(oracle, trial)
    assert set(found) == {6, 7}


def test_what_is_left_out_has_its_default() -> None:
    class Half(Oracle):
        def populate_space(self, trial_id: str) -> Mapping[str, Any]:
            return {"status": "RUNNING"} if trial_id == "0" else {"status": "RUNNING", "values": {"y": 3}}

    oracle = Half(MAX, hyperparameters=space(x=at.Int(0, 9, default=4), y=at.Int(0, 9)), max_trials=2)
    assert oracle.create_trial("a").hyperparameters.values == {"x": 4, "y": 0}
    assert oracle.create_trial("b").hyperparameters.values == {"x": 4, "y": 3}


class Idle(Oracle):
    """Wants its first trial ended first."""

    def populate_space(self, trial_id: str) -> Mapping[str, Any]:
        if int(trial_id) == 1 and self.trials["0"].status == "RUNNING":
            return {"status": "IDLE"}
        if int(trial_id) == 2:
            return {"status": "STOPPED"}
        return {"status": "RUNNING", "values": {"x": int(trial_id)}}


def test_idle_is_asked_again_and_stopped_is_the_end() -> None:
    oracle = Idle(MAX, max_trials=9, hyperparameters=space())
    first = oracle.create_trial("a")
    assert [oracle.create_trial("b").status for _ in range(3)] == ["IDLE"] * 3
    assert len(oracle.trials) == 1
    end(oracle, first)
    second = oracle.create_trial("b")
    assert second.trial_id == "1"
    assert oracle.create_trial("a").status == "STOPPED"
    end(oracle, second)
    assert oracle.create_trial("a").status == "STOPPED"


def test_an_own_score_is_the_score() -> None:
    class Cautious(Counting):
        def score_trial(self, trial: Trial) -> None:
            trial.score = (trial.metrics.get_last_value("score") or 0.0) - 1.0

    oracle = Cautious(MAX, max_trials=2, hyperparameters=space())
    assert end(oracle, oracle.create_trial("a"), score=3.0).score == 2.0


def test_seed_zero_is_a_seed() -> None:
    """case 6: KerasTuner draws another one each time."""

    def drawn(seed: int) -> list[Any]:
        oracle = RandomSearchOracle(MAX, max_trials=9, hyperparameters=space(x=at.Float(0, 1)), seed=seed)
        assert oracle.seed == seed
        return [oracle.create_trial(str(n)).hyperparameters.values for n in range(5)]

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


def test_a_small_space_is_tried_to_the_last_combination() -> None:
    for make in (RandomSearchOracle, GridSearchOracle):
        oracle = make(MAX, hyperparameters=space(a=at.Boolean(), b=at.Choice(["x", "y", "z"])), seed=3)
        found = set()
        while (trial := oracle.create_trial("a")).status == "RUNNING":
            found.add(tuple(trial.hyperparameters.values.items()))
            end(oracle, trial)
        assert len(found) == len(oracle.trials) == 6


# -------------------------------------------------------------------------------------------------------------- its state


def test_a_state_of_another_space_or_objective_is_refused() -> None:
    old = counting(hyperparameters=space(x=at.Int(0, 99), y=at.Int(0, 9)))
    end(old, old.create_trial("a"))
    state = old.get_state()
    for options, message in (
        ({"objective": at.Objective("score", "min")}, "the objective of this state is .*max.*, and this oracle's is .*min"),
        (
            {"hyperparameters": space(x=at.Int(0, 50))},
            r"'x' is Int\(0 to 99\) in the space of this state, .* Int\(0 to 50\)",
        ),
        ({"hyperparameters": space(z=at.Boolean())}, "'z' is not there in the space of this state"),
    ):
        new = counting(**options)
        with pytest.raises(ConfigurationError, match=message):
            new.set_state(state)
        assert not new.trials
    for undeclared in (None, space(x=at.Int(0, 99))):
        again = counting(hyperparameters=undeclared)
        again.set_state(state)
        assert list(again.get_space().space) == ["x", "y"]


@pytest.mark.parametrize("state", [None, {}, {"a": 1}, {"records": ["zz"]}, {"records": ["00"], "seed": 1}, [], "state"])
def test_what_is_no_state_is_refused(state: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"set_state\(\) takes what get_state\(\) of an oracle has returned"):
        counting().set_state(state)


def test_what_ran_when_it_was_stored_is_run_again_under_its_id() -> None:
    """cases 7 and 8: KerasTuner resumes nothing where the worker is not called "tuner0", or the first trial has not ended."""
    oracle = RandomSearchOracle(MAX, max_trials=12, hyperparameters=space(x=at.Float(0, 1)), seed=5)
    first = oracle.create_trial("my-worker")
    state = json.loads(json.dumps(oracle.get_state()))
    resumed = RandomSearchOracle(MAX, max_trials=12, hyperparameters=space(x=at.Float(0, 1)), seed=5)
    resumed.set_state(state)
    assert [trial.status for trial in resumed.trials.values()] == ["INVALID"]
    again = resumed.create_trial("my-worker")
    assert (again.trial_id, again.hyperparameters.values) == (first.trial_id, first.hyperparameters.values)
    assert resumed.create_trial("other").hyperparameters.values == oracle.create_trial("other").hyperparameters.values


def test_a_state_holds_all_that_was_told() -> None:
    oracle = counting(max_retries_per_trial=1)
    end(oracle, oracle.create_trial("a"), score=2.0)
    end(oracle, oracle.create_trial("a"), "INVALID", message="fell over")
    resumed = counting(max_retries_per_trial=1)
    resumed.set_state(oracle.get_state())
    first, second = resumed.trials.values()
    assert (first.status, first.score, first.best_step) == ("COMPLETED", 2.0, 0)
    assert first.hyperparameters.values == {"x": 0}
    assert first.metrics.get_history("score")[0].values == (2.0,)
    assert (second.status, second.message) == ("INVALID", "fell over")
    assert resumed.create_trial("b").trial_id == "01"
    with pytest.raises(ConfigurationError, match="too late"):
        resumed.set_state(oracle.get_state())


def test_ids_stay_as_wide_as_they_were() -> None:
    """KerasTuner's change their width with `max_trials`: "0" to "8", then "09"."""
    oracle = counting(max_trials=9)
    end(oracle, oracle.create_trial("a"))
    more = counting(max_trials=10)
    more.set_state(oracle.get_state())
    assert [more.create_trial(name).trial_id for name in "ab"] == ["1", "2"]


# -------------------------------------------------------------------------------------------------------- the space


def test_entries_that_are_not_allowed_are_refused() -> None:
    oracle = counting(allow_new_entries=False)
    trial = oracle.create_trial("a")
    trial.hyperparameters.Int("new", 1, 3)
    trial.status = "COMPLETED"
    oracle.update_trial(trial.trial_id, {"score": 1.0})
    with pytest.raises(ConfigurationError, match="'new' is not among the hyperparameters"):
        oracle.end_trial(trial)
    hyperparameters = at.HyperParameters()
    hyperparameters.Boolean("another")
    with pytest.raises(ConfigurationError, match="'another'"):
        oracle.update_space(hyperparameters)


def test_entries_that_are_not_tuned_have_their_defaults() -> None:
    oracle = counting(tune_new_entries=False)
    for _ in range(3):
        trial = oracle.create_trial("a")
        assert trial.hyperparameters.Int("new", 1, 3, default=2) == 2
        end(oracle, trial)
    assert list(oracle.get_space().space) == ["x"]


def test_the_space_can_be_added_to_before_and_while_trials_run() -> None:
    oracle = RandomSearchOracle(MAX, max_trials=9, seed=0)
    for name, trials in (("a", 0), ("b", 1), ("c", 2)):
        hyperparameters = at.HyperParameters()
        hyperparameters.Int(name, 1, 10)
        oracle.update_space(hyperparameters)
        for _ in range(trials):
            end(oracle, oracle.create_trial("w"))
    assert set(oracle.get_space().space) == {"a", "b", "c"}
    assert list(oracle.create_trial("w").hyperparameters.values) == ["a", "b", "c"]


# ---------------------------------------------------------------------------------------------------------- bad input


def test_what_cannot_work_is_refused() -> None:
    for name in ("allow_new_entries", "tune_new_entries"):
        with pytest.raises(ConfigurationError, match=f"{name}=False leaves nothing to tune"):
            Counting(MAX, **{name: False})
    for name, value in (("max_trials", 0), ("max_trials", 2.5), ("seed", -1), ("seed", True)):
        wrong: dict[str, Any] = {name: value}
        with pytest.raises(ConfigurationError, match=f"{name}= takes an integer"):
            Counting(MAX, **wrong)
    with pytest.raises(ConfigurationError, match="max_retries_per_trial"):
        Counting(MAX, max_retries_per_trial=-1)
    with pytest.raises(ConfigurationError, match="better small or large"):
        Counting("f1_score")
    for name in ("allow_new_entries", "tune_new_entries"):
        for odd in ("no", 1, None):
            with pytest.raises(ConfigurationError, match=f"{name}= takes True or False, not {odd!r}"):
                counting(**{name: odd})
    with pytest.raises(TypeError, match="populate_space"):
        Oracle(MAX)  # type: ignore[abstract]


def test_the_objective_must_be_among_the_metrics() -> None:
    oracle = counting()
    trial = oracle.create_trial("a")
    with pytest.raises(ConfigurationError, match="'score' is not among the metrics; there is 'loss'"):
        oracle.update_trial(trial.trial_id, {"loss": 1.0})
    trial.status = "COMPLETED"
    with pytest.raises(ConfigurationError, match="nothing has told its 'score'"):
        oracle.end_trial(trial)


def test_only_a_trial_that_runs_is_told_of() -> None:
    oracle = counting()
    with pytest.raises(ConfigurationError, match="there is no trial '7'"):
        oracle.update_trial("7", {"score": 1.0})
    trial = end(oracle, oracle.create_trial("a"))
    for call in (lambda: oracle.update_trial("00", {"score": 1.0}), lambda: oracle.end_trial(trial)):
        with pytest.raises(ConfigurationError, match="trial 00 does not run: it is COMPLETED"):
            call()
    running = oracle.create_trial("a")
    by_name: Any = running.trial_id  # as KerasTuner had it once
    with pytest.raises(ConfigurationError, match=r"end_trial\(\) takes the trial that create_trial\(\) has given, not '01'"):
        oracle.end_trial(by_name)
    with pytest.raises(ConfigurationError, match="one of COMPLETED, INVALID, FAILED ends it"):
        oracle.end_trial(running)


@pytest.mark.parametrize("answer", [None, {}, {"status": "GO"}, {"status": "RUNNING", "values": 3}, {"values": {"x": 1}}])
def test_what_is_no_proposal_is_said(answer: Any) -> None:
    class Odd(Oracle):
        def populate_space(self, trial_id: str) -> Any:
            return answer

    with pytest.raises(PluginError, match=r"Odd\.populate_space returned"):
        Odd(MAX, hyperparameters=space()).create_trial("a")


def test_what_is_outside_the_space_is_said() -> None:
    class Outside(Oracle):
        def populate_space(self, trial_id: str) -> Mapping[str, Any]:
            return {"status": "RUNNING", "values": {"x": 1000}}

    with pytest.raises(PluginError, match="Outside proposed values for trial 0 that are not in the space"):
        Outside(MAX, hyperparameters=space()).create_trial("a")


def test_the_class_that_failed_is_named() -> None:
    class Broken(Oracle):
        def populate_space(self, trial_id: str) -> Mapping[str, Any]:
            raise ValueError("no idea")

    with pytest.raises(PluginError, match=r"^Broken\.populate_space raised ValueError: no idea"):
        Broken(MAX, hyperparameters=space()).create_trial("a")
    assert KerasOracle(Broken(MAX)).name_in_errors == "Broken"
