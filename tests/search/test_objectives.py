"""Whole searches for several things at once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.errors import ConfigurationError, ObjectiveError, ResumeError
from asynctune.failure import FailureKind
from asynctune.records import State
from asynctune.schedulers import ASHA

LOSS, COST = at.Objective("loss", "min"), at.Objective("cost", "min")
SPACE = {"x": at.Int(0, 9)}


async def both(trial: at.AsyncTrial) -> dict[str, float]:
    x = float(trial.hp.Int("x", 0, 9))
    return {"loss": 9 - x, "cost": x, "latency": 2 * x}


async def search(trainable: Any = both, objective: Any = (LOSS, COST), **options: Any) -> at.Result:
    given: dict[str, Any] = {"executor": at.InlineExecutor(2), "seed": 0, "oracle": at.oracles.GridSearch(), **options}
    return await at.search(trainable, SPACE, objective=list(objective) if isinstance(objective, tuple) else objective, **given)


async def test_dicts_give_a_front_and_no_best() -> None:
    """case 18: KerasTuner takes several objectives from a Keras History only; a dict ends its search."""
    result = await search()

    assert result.best_trial is None
    assert [trial.scores for trial in result.trials.values()] == [(9.0 - x, float(x)) for x in range(10)]
    assert [trial.values["x"] for trial in result.pareto_front()] == list(range(10))
    assert result.hypervolume({"loss": 10, "cost": 10}) == 10 + sum(range(1, 10)) == 55.0
    assert repr(result) == "<Result of 10 trials: 10 of them on the front of loss, cost>"
    assert result.to_dicts()[3]["scores/cost"] == 3.0


async def test_their_sum_is_a_score_like_any_other() -> None:
    goal = at.Objectives([LOSS, COST], combine="sum", weights=[1, 2])
    result = await search(objective=goal, scheduler=ASHA(max_steps=3))

    assert result.best_trial is not None
    assert result.best_trial.values == {"x": 0}
    assert result.best_trial.score == 9.0
    assert [trial.values["x"] for trial in result.pareto_front()] == list(range(10))


async def test_a_trial_that_breaks_a_constraint_is_never_the_best(tmp_path: Path) -> None:
    goal = at.Objective("loss", "min", constraints=[at.Constraint("latency", most=11)])
    for _ in range(2):  # the second time it is told again
        result = await search(objective=goal, storage=tmp_path)

        assert result.best_trial is not None
        assert result.best_trial.values == {"x": 5}
        assert [trial.values["x"] for trial in result.best_trials()] == [5, 4, 3, 2, 1, 0]
        assert result.trials[9].violates == ("latency",)
        assert result.trials[9].score == 0.0
        assert [trial.values["x"] for trial in result.pareto_front()] == [5]
    other = at.Objective("loss", "min", constraints=[at.Constraint("latency", most=12)])
    with pytest.raises(ResumeError, match="the recorded objective is"):
        await search(objective=other, storage=tmp_path)


async def test_who_judges_by_one_number_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigurationError, match=r"ASHA judges by one number.*combine='sum'"):
        await search(scheduler=ASHA(max_steps=3))

    class Mine(at.Oracle):
        def populate_space(self, trial_id: int, space: at.Space) -> at.Suggestion:
            return at.Suggestion.exhausted()

    with pytest.raises(ConfigurationError, match=r"Mine proposes by one number.*several = True"):
        await search(oracle=Mine(), max_trials=1)


async def test_reports_of_several_are_judged_and_scored() -> None:
    async def train(trial: at.AsyncTrial) -> None:
        for step in (1, 2, 3):
            await trial.report(step=step, loss=1 / step, cost=float(step))

    result = await search(train, (at.Objective("loss", "min"), at.Objective("cost", "min", over="best")))

    assert {trial.scores for trial in result.trials.values()} == {(1 / 3, 1.0)}


async def test_what_is_missing_is_named() -> None:
    async def train(trial: at.AsyncTrial) -> dict[str, float]:
        return {"loss": 1.0, "time": 2.0}

    with pytest.raises(ObjectiveError, match="trial 0 gave 'loss', 'time', and not the objective 'cost'"):
        await search(train)

    goal = at.Objective("loss", "min", constraints=[at.Constraint("latency", most=1)])
    result = await search(train, goal, failure=at.FailurePolicy(max_consecutive_failed_trials=None))
    failure = result.trials[0].failure
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_RESULT
    assert "it ended without 'latency', which a constraint is about" in failure.message


async def test_one_number_cannot_be_two_objectives() -> None:
    async def train(trial: at.AsyncTrial) -> float:
        return 1.0

    result = await search(train, failure=at.FailurePolicy(max_consecutive_failed_trials=None))
    failure = result.trials[0].failure
    assert failure is not None
    assert "a number, and 'loss', 'cost' are wanted: a dict says which is which" in failure.message


@pytest.mark.parametrize("policy", ["fail", "worst"])
async def test_one_that_is_not_finite_is_as_bad_as_all(policy: Any) -> None:
    async def train(trial: at.AsyncTrial) -> dict[str, float]:
        return {"loss": 1.0, "cost": math.nan if trial.id == 1 else 1.0}

    failure = at.FailurePolicy(non_finite=policy)
    result = await search(train, failure=failure)

    assert result.trials[1].state is (State.FAILED if policy == "fail" else State.COMPLETED)
    assert 1 not in {trial.id for trial in result.pareto_front()}
    if policy == "fail":
        assert result.trials[1].failure is not None
        assert "its 'cost' is nan" in result.trials[1].failure.message


async def test_a_reference_that_does_not_fit_is_refused() -> None:
    result = await search()
    for reference in ({"loss": 1.0}, {"loss": 1.0, "cost": math.inf}, {"loss": 1.0, "cost": 1.0, "time": 1.0}):
        with pytest.raises(ConfigurationError, match="takes a number for each of"):
            result.hypervolume(reference)


async def test_a_constraint_that_an_earlier_search_broke_is_known(tmp_path: Path) -> None:
    goal = at.Objective("loss", "min", constraints=[at.Constraint("latency", most=11)])
    earlier = await search(objective=goal, storage=tmp_path)
    best: list[Any] = []

    class Looks(at.Oracle):
        def populate_space(self, trial_id: int, space: at.Space) -> at.Suggestion:
            best.append(self.known.best)
            return at.Suggestion.run(space.defaults())

    for given in (tmp_path, earlier, earlier.to_dicts()):
        await search(objective=goal, oracle=Looks(), max_trials=1, warm_start=given)
    assert [trial.values for trial in best] == [{"x": 5}] * 3
