"""What is wanted, and what is better."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune.errors import ConfigurationError
from asynctune.objective import Objective, as_objective

NAN, INF = math.nan, math.inf
LOSS, ACCURACY = Objective("loss", "min"), Objective("accuracy", "max")
directions: st.SearchStrategy[Literal["min", "max"]] = st.sampled_from(("min", "max"))


@pytest.mark.parametrize(
    ("objective", "one", "other", "is_better"),
    [
        (LOSS, 1.0, 2.0, True),
        (LOSS, 2.0, 1.0, False),
        (LOSS, 1.0, 1.0, False),
        (ACCURACY, 2.0, 1.0, True),
        (ACCURACY, 1.0, 2.0, False),
        (ACCURACY, 1.0, 1.0, False),
        (LOSS, 1.0, NAN, True),
        (LOSS, NAN, 1.0, False),
        (LOSS, NAN, NAN, False),
        (ACCURACY, 1.0, NAN, True),
        (ACCURACY, NAN, 1.0, False),
        # a loss of minus infinity is an overflow, not a triumph
        (LOSS, -INF, 1.0, False),
        (LOSS, 1.0, -INF, True),
        (LOSS, INF, 1.0, False),
        (ACCURACY, INF, 1.0, False),
        (ACCURACY, 1.0, INF, True),
    ],
)
def test_better(objective: Objective, one: float, other: float, is_better: bool) -> None:
    assert objective.better(one, other) is is_better


@given(directions, st.floats(), st.floats(), st.floats())
def test_better_is_a_strict_order(direction: Literal["min", "max"], a: float, b: float, c: float) -> None:
    better = Objective("m", direction).better

    assert not better(a, a)
    assert not (better(a, b) and better(b, a))
    assert better(a, c) or not (better(a, b) and better(b, c))


@given(directions, st.lists(st.floats()))
def test_the_best_is_finite_and_none_is_better(direction: Literal["min", "max"], values: list[float]) -> None:
    objective = Objective("m", direction)
    best = objective.best(values)

    assert (best is None) == (not any(map(math.isfinite, values)))
    if best is not None:
        assert best in values
        assert not any(objective.better(value, best) for value in values)


def test_the_first_of_equals_is_the_best() -> None:
    assert repr(LOSS.best([2.0, -0.0, 0.0])) == "-0.0"
    assert repr(ACCURACY.best([-2.0, 0.0, -0.0])) == "0.0"


def test_loss_is_less_for_the_better() -> None:
    assert (LOSS.loss(0.5), ACCURACY.loss(0.5)) == (0.5, -0.5)
    assert {objective.loss(value) for objective in (LOSS, ACCURACY) for value in (NAN, INF, -INF)} == {INF}


def test_of() -> None:
    assert LOSS.of({"loss": 0.5, "accuracy": 1.0}) == 0.5
    assert LOSS.of({"accuracy": 1.0}) is None
    assert LOSS.of(None) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "min"), "Objective(name=...) takes the name of a metric, not ''"),
        ((None, "min"), "Objective(name=...) takes the name of a metric, not None"),
        ((3, "min"), "Objective(name=...) takes the name of a metric, not 3"),
        (("loss", "minimize"), "Objective(direction=...) takes 'min' or 'max', not 'minimize'"),
        (("loss", None), "Objective(direction=...) takes 'min' or 'max', not None"),
        (("loss", ["min"]), "Objective(direction=...) takes 'min' or 'max', not ['min']"),
        (("loss", "min", "mean"), "Objective(over=...) takes 'last' or 'best', not 'mean'"),
    ],
)
def test_bad_arguments(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Objective(*arguments)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("loss", "min"),
        ("val_loss", "min"),
        ("dense_1_loss", "min"),
        ("val_dense_1_loss", "min"),
        ("mean_squared_error", "min"),
        ("accuracy", "max"),
        ("val_accuracy", "max"),
        ("val_auc", "max"),
    ],
)
def test_names_that_keras_defines(name: str, direction: Literal["min", "max"]) -> None:
    assert as_objective(name) == Objective(name, direction)


@pytest.mark.parametrize("name", ["f1", "val_f1_score", "r2", "iou", "score", "time", "lossy", "val_", "accuracy_gap"])
def test_no_direction_is_guessed(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"whether '{name}' is better small or large .* Objective\('{name}', \"min\"\)"
    ):
        as_objective(name)


@pytest.mark.parametrize("objective", [None, "", 3, Objective])
def test_what_is_no_objective(objective: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"objective= takes Objective\(") as caught:
        as_objective(objective)

    assert repr(objective) in str(caught.value)


def test_an_objective_is_itself() -> None:
    objective = Objective("f1", "max", over="best")

    assert as_objective(objective) is objective
