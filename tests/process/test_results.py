"""What counts as a number and as a result. No processes."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from asynctune._runner.metrics import as_metrics, as_number, as_step, is_number
from asynctune._runner.results import InvalidResult, Outcome, outcome_of
from asynctune.objective import Objective

LOSS = Objective("loss", "min")


class History:
    def __init__(self, **curves: list[Any]) -> None:
        self.history = curves


class Tensor:
    shape: tuple[int, ...] = ()
    dtype = "float32"

    def __float__(self) -> float:
        return 2.5


class Matrix(Tensor):
    shape = (2, 2)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (-2.5, -2.5),
        (math.inf, math.inf),
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.int64(3), 3.0),
        (np.uint8(3), 3.0),
        (np.array(4.0), 4.0),
        (np.array(4), 4.0),
        (Decimal("1.5"), 1.5),
        (Fraction(1, 4), 0.25),
        (Tensor(), 2.5),
    ],
)
@pytest.mark.fault(17)
def test_numbers(value: Any, number: float) -> None:
    assert as_number("m", value) == number
    assert type(as_number("m", value)) is float


@pytest.mark.parametrize(
    "value",
    [
        *(True, False, None, "1.0", b"1", 1j, [1.0], (1.0,), {"a": 1.0}, float, object()),
        *(np.bool_(True), np.array([1.0]), np.array([[1.0]]), np.array("1"), np.array(True), np.complex128(1), np.str_("1")),
        *(Matrix(), np.array(None)),
    ],
)
@pytest.mark.fault(17)
def test_no_numbers(value: Any) -> None:
    assert not is_number(value)
    with pytest.raises(TypeError, match="metric 'm' must be a number"):
        as_number("m", value)


@pytest.mark.fault(17)
def test_too_large_for_a_float() -> None:
    with pytest.raises(ValueError, match="'m' is too large"):
        as_number("m", 10**400)


@pytest.mark.parametrize("metrics", [{1: 1.0}, {"": 1.0}, {None: 1.0}, [("a", 1.0)], "a", 1.0])
@pytest.mark.fault(17)
def test_no_metrics(metrics: Any) -> None:
    with pytest.raises(TypeError):
        as_metrics(metrics)


@pytest.mark.parametrize(("step", "number"), [(None, 4), (4, 4), (np.int32(9), 9), (7.0, 7)])
def test_steps(step: Any, number: int) -> None:
    assert as_step(step, 3) == number
    assert type(as_step(step, 3)) is int


@pytest.mark.parametrize(
    ("step", "error"),
    [(3, ValueError), (-1, ValueError), (4.5, TypeError), (True, TypeError), ("4", TypeError), (math.inf, TypeError)],
)
def test_no_steps(step: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="step must be"):
        as_step(step, 3)


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (0.5, Outcome({"loss": 0.5})),
        (np.float32(0.5), Outcome({"loss": 0.5})),
        ({"loss": 1, "n": np.int64(2)}, Outcome({"loss": 1.0, "n": 2.0})),
        ({"other": 1}, Outcome({"other": 1.0})),
        ([1.0, 2.0], Outcome({"loss": 1.5}, ({"loss": 1.0}, {"loss": 2.0}))),
        ([{"loss": 1.0, "a": 4.0}, {"loss": 3.0}], Outcome({"loss": 2.0, "a": 4.0}, ({"loss": 1.0, "a": 4.0}, {"loss": 3.0}))),
        ([[1.0, 3.0], 4.0], Outcome({"loss": 3.0}, ({"loss": 2.0}, {"loss": 4.0}))),
        (History(loss=[3.0, 1.0, 2.0], acc=[0.1, 0.2, 0.3]), Outcome({"loss": 1.0, "acc": 0.2}, step=2)),
        (History(loss=[2.0, 1.0, 1.0]), Outcome({"loss": 1.0}, step=2)),
        (History(loss=[math.nan, 3.0, 2.0]), Outcome({"loss": 2.0}, step=3)),
        (History(loss=[5.0, math.nan]), Outcome({"loss": 5.0}, step=1)),
        (History(acc=[0.1, 0.2]), Outcome({"acc": 0.2})),
        (History(loss=[4.0, 3.0, 2.0, 1.0], val=[9.0, 8.0]), Outcome({"loss": 1.0, "val": 8.0}, step=4)),
        ([History(loss=[3.0, 1.0]), History(loss=[1.0, 2.0])], Outcome({"loss": 1.0}, ({"loss": 1.0}, {"loss": 1.0}), 1)),
    ],
)
def test_results(result: Any, outcome: Outcome) -> None:
    assert outcome_of(result, LOSS, reported=False) == outcome


def test_the_best_epoch_of_a_curve_with_every_second_value() -> None:
    history = History(loss=[4.0, 3.0, 2.0, 1.0, 0.5, 0.4], val_loss=[2.0, 1.0, 3.0])

    assert outcome_of(history, Objective("val_loss", "min"), reported=False) == Outcome({"loss": 1.0, "val_loss": 1.0}, step=4)


def test_the_best_epoch_of_what_is_better_large() -> None:
    history = History(acc=[0.1, 0.9, 0.9, math.inf])

    assert outcome_of(history, Objective("acc", "max"), reported=False) == Outcome({"acc": 0.9}, step=2)


def test_an_epoch_that_is_never_finite() -> None:
    outcome = outcome_of(History(loss=[math.nan, math.inf]), LOSS, reported=False)

    assert outcome == Outcome({"loss": math.inf}, step=None)


def test_a_mean_with_nan() -> None:
    outcome = outcome_of([1.0, math.nan], LOSS, reported=False)

    assert outcome.metrics is not None
    assert math.isnan(outcome.metrics["loss"])


@pytest.mark.parametrize(
    ("result", "named"),
    [
        (True, "bool"),
        ("0.5", "str"),
        ({}, "empty dict"),
        ([], "empty list"),
        ([1.0, "x"], "str"),
        ({"loss": "low"}, "'loss'"),
        ({"loss": None}, "'loss'"),
        ({1: 0.5}, "name of a metric"),
        ((0.5, 0.9), "tuple"),
        (np.array([0.5]), "ndarray"),
        (History(loss=["x"]), "'loss'"),
        (object(), "object"),
        (float, "type"),
    ],
)
@pytest.mark.fault(17)
def test_no_results(result: Any, named: str) -> None:
    with pytest.raises(InvalidResult, match="return a number, a dict of metrics, a Keras History") as error:
        outcome_of(result, LOSS, reported=True)
    assert named in str(error.value)


def test_nothing_is_a_result_after_reports_only() -> None:
    assert outcome_of(None, LOSS, reported=True) == Outcome()
    assert outcome_of(History(), LOSS, reported=True) == Outcome()
    assert outcome_of(History(loss=[]), LOSS, reported=True) == Outcome()
    with pytest.raises(InvalidResult, match="has not reported anything"):
        outcome_of(None, LOSS, reported=False)
    with pytest.raises(InvalidResult, match="a History without a single epoch"):
        outcome_of(History(), LOSS, reported=False)
