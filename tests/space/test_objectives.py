"""Several objectives, and constraints: what they come to, and which are none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from asynctune.errors import ConfigurationError
from asynctune.objective import Constraint, Goal, Objective, Objectives, as_objective
from asynctune.wire import decode, encode

LOSS, ACCURACY = Objective("loss", "min"), Objective("accuracy", "max", over="best")
BOTH = Objectives([LOSS, ACCURACY])
SUM = Objectives([LOSS, ACCURACY], combine="sum")
BOUND = Objective("a", "min", constraints=[Constraint("b", most=1)])
WEIGHED = Objectives([LOSS, ACCURACY], combine="sum", weights=[1, 2], constraints=[Constraint("x", most=1)])


def wrong(value: Any) -> Any:
    return value


def test_a_list_is_several_objectives_and_names_that_keras_defines_stand_for_themselves() -> None:
    assert as_objective(["loss", "accuracy"]) == Objectives([LOSS, Objective("accuracy", "max")])
    assert as_objective([LOSS]) == LOSS
    assert as_objective(SUM) is SUM


@pytest.mark.parametrize("name", ["f1", "val_f1_score", "r2", "r2_score", "mean_io_u", "cosine_similarity"])
def test_a_direction_is_never_guessed(name: str) -> None:
    """case 22: KerasTuner minimises all of these, without a word."""
    for objective in (name, ["loss", name]):
        with pytest.raises(ConfigurationError, match="cannot be known: write Objective"):
            as_objective(objective)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: as_objective([]), "at least two objectives"),
        (lambda: Objectives([LOSS]), "at least two objectives"),
        (lambda: Objectives("loss"), "at least two objectives"),
        (lambda: Objectives([LOSS, "loss"]), "names a metric twice: loss, loss"),
        (lambda: Objectives([LOSS, 3]), "not 3"),
        (lambda: Objectives([LOSS, ACCURACY], combine=wrong("mean")), "takes None or 'sum', not 'mean'"),
        (lambda: Objectives([LOSS, ACCURACY], weights=[1, 2]), "one number for each of the 2 objectives, and combine='sum'"),
        (lambda: Objectives([LOSS, ACCURACY], combine="sum", weights=[1]), "one number for each of the 2"),
        (lambda: Objectives([LOSS, ACCURACY], combine="sum", weights=[1, 0]), "numbers above 0"),
        (lambda: Objectives([LOSS, ACCURACY], combine="sum", weights=[1, math.nan]), "numbers above 0"),
        (lambda: Objectives([BOUND, LOSS]), "of all objectives together"),
        (lambda: Constraint("latency"), "says nothing: give most=, least=, or both"),
        (lambda: Constraint("", most=1), "takes the name of a metric"),
        (lambda: Constraint("latency", most=wrong("1")), "Constraint\\(most=...\\) takes a number"),
        (lambda: Constraint("latency", most=math.nan), "Constraint\\(most=...\\) takes a number"),
        (lambda: Constraint("latency", most=1, least=2), "no number is at least 2 and at most 1"),
        (lambda: Objective("loss", "min", constraints=["latency"]), "takes a list of Constraint"),
    ],
)
def test_what_is_no_objective_is_refused(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make()


def test_scores_are_one_for_each_by_its_own_rule() -> None:
    history = [{"loss": 1.0, "accuracy": 0.9}, {"loss": 3.0, "accuracy": 0.5}]

    assert BOTH.scores(history) == (3.0, 0.9)
    assert BOTH.score(history) is None
    assert SUM.score(history) == pytest.approx(3.0 - 0.9)
    assert Objectives([LOSS, ACCURACY], combine="sum", weights=[2, 10]).score(history) == pytest.approx(6.0 - 9.0)
    assert LOSS.scores(history) == (3.0,)


def test_keras_tuners_sum() -> None:
    """Its own numbers: a is to be maximised, b minimised, and -1.0 comes of a=2 and b=1."""
    goal = Objectives([Objective("a", "max"), Objective("b", "min")], combine="sum")

    assert goal.of({"a": 2.0, "b": 1.0}) == -1.0
    assert goal.better(-1.0, 0.0)
    assert goal.best([0.0, math.nan, -1.0, -math.inf]) == -1.0


def test_what_is_missing_or_not_finite() -> None:
    assert SUM.score([{"loss": 1.0}]) is None
    assert BOTH.missing([{"loss": 1.0}]) == ("accuracy",)
    assert math.isnan(SUM.score([{"loss": math.inf, "accuracy": 1.0}]) or 0.0)
    assert SUM.loss(math.nan) == SUM.loss(-math.inf) == math.inf
    assert not BOTH.seen_in({"loss": 1.0})
    assert BOTH.seen_in({"loss": 1.0, "accuracy": math.nan})


def test_a_constraint_is_about_the_last_value() -> None:
    goal = Objective("loss", "min", constraints=[Constraint("latency", most=10), Constraint("size", least=1, most=2)])

    assert goal.violated([{"latency": 5.0, "size": 1.5}, {"latency": 11.0}]) == ("latency",)
    assert goal.violated([{"latency": 11.0, "size": 3.0}, {"latency": 10.0, "size": 2.0}]) == ()
    assert goal.violated([{"latency": math.nan, "size": 0.5}]) == ("latency", "size")
    assert goal.missing([{"loss": 1.0, "latency": 1.0}]) == ("size",)
    assert str(goal) == "Objective(loss, min, latency <= 10, 1 <= size <= 2)"


@pytest.mark.parametrize("goal", [LOSS, ACCURACY, BOUND, BOTH, SUM, WEIGHED])
def test_it_is_written_down_and_read_again(goal: Goal) -> None:
    assert decode(encode(goal, Goal), Goal) == goal
