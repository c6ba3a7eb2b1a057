"""The cutoff that the best share stays within, beside what sorting everything says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune.objective import Objective
from asynctune.records import Report
from asynctune.schedulers.losses import Cutoff, loss_of, shown

LOSSES = st.one_of(st.floats(-1e6, 1e6), st.integers(-3, 3).map(float), st.just(math.inf))


def sorted_cutoff(losses: list[float], parts: int) -> float:
    """The quantile 1/parts by its definition: sort, walk to it, and go on by the fraction that is left."""
    ranked = sorted(losses)
    low, left = divmod(len(ranked) - 1, parts)
    if left == 0 or math.isinf(ranked[low + 1]):
        return ranked[low]
    return ranked[low] + (ranked[low + 1] - ranked[low]) * (left / parts)


@given(st.lists(LOSSES, min_size=1, max_size=60), st.integers(2, 5))
def test_it_is_what_sorting_says(losses: list[float], parts: int) -> None:
    cutoff = Cutoff(parts)
    assert cutoff.value is None
    for count, loss in enumerate(losses, 1):
        cutoff.add(loss)
        assert len(cutoff) == count
        assert cutoff.value == sorted_cutoff(losses[:count], parts)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_for_two_parts_it_is_the_median(losses: list[float]) -> None:
    from statistics import median

    cutoff = Cutoff(2)
    for loss in losses:
        cutoff.add(loss)
    assert cutoff.value == pytest.approx(median(losses))


@pytest.mark.parametrize(
    ("losses", "parts", "value"),
    [
        ([math.inf], 3, math.inf),
        ([1.0, math.inf], 3, 1.0),
        ([1.0, math.inf, math.inf, math.inf], 3, math.inf),
        ([1.0, 2.0, math.inf, math.inf], 3, 2.0),
        ([0.1, 0.1, 0.1], 2, 0.1),
        ([-1.7e308, 1.7e308], 2, 1.7e308),
    ],
)
def test_the_ends_of_the_floats(losses: list[float], parts: int, value: float) -> None:
    cutoff = Cutoff(parts)
    for loss in losses:
        cutoff.add(loss)
    assert cutoff.value == value


@pytest.mark.parametrize(
    ("direction", "value", "loss", "text"),
    [
        ("min", 0.5, 0.5, "0.5"),
        ("max", 0.5, -0.5, "0.5"),
        ("max", 0.0, 0.0, "0"),
        ("min", 123456.0, 123456.0, "1.235e+05"),
        ("min", math.nan, math.inf, "inf"),
        ("max", math.nan, math.inf, "-inf"),
        ("max", math.inf, math.inf, "-inf"),
        ("min", -math.inf, math.inf, "inf"),
    ],
)
def test_what_is_not_finite_is_the_worst_there_is(direction: str, value: float, loss: float, text: str) -> None:
    objective = Objective("score", "min" if direction == "min" else "max")
    assert loss_of(objective, Report(1, {"score": value}, 0.0, 1)) == loss
    assert shown(objective, loss) == text


def test_a_report_may_lack_the_objective() -> None:
    assert loss_of(Objective("score", "min"), Report(1, {"other": 1.0}, 0.0, 1)) is None
