"""KerasTuner's tests of its parameter types (hp_types/*_test.py, Apache-2.0), by meaning: the same numbers, or what is other.

Its units are drawn from [0, 1); ours may be 1, which optimisers do reach.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from asynctune.errors import SpaceError
from asynctune.space import Boolean, Choice, Fixed, Float, Int


@pytest.mark.parametrize("sampling", ["log", "reverse_log"])
def test_case_11_an_int_under_a_log_never_exceeds_its_end(sampling: Any) -> None:
    """case 11: KerasTuner's Int(1, 100, sampling="log") gives 101 at unit 1."""
    for low, high in ((1, 100), (3, 10), (7, 7), (1, 2**53)):
        domain = Int(low, high, sampling=sampling)
        units = [0.0, 0.5, 1 - 2**-53, 1.0, *(random.Random(high).random() for _ in range(1))]
        assert all(low <= domain.from_unit(unit) <= high for unit in units)
        assert domain.from_unit(1.0) == high
        assert domain.from_unit(0.0) == low


def test_case_12_a_float_step_reaches_its_end_in_decimal() -> None:
    """case 12: KerasTuner's Float(0, 1, step=0.2) ends at 0.8, by way of 0.6000000000000001."""
    assert list(map(repr, Float(0, 1, step=0.2).values)) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert Float(0, 1, step=0.2).from_unit(1.0) == 1.0


def test_int_log_with_step() -> None:
    domain = Int(2, 32, step=2, sampling="log")
    luck = random.Random(0)

    assert {domain.from_unit(luck.random()) for _ in range(200)} == {2, 4, 8, 16, 32}
    assert domain.to_unit(4) == pytest.approx(0.3)
    assert domain.from_unit(0.3) == 4


def test_int_log_without_step() -> None:
    domain = Int(2, 32, sampling="log")

    assert all(2 <= domain.from_unit(unit / 100) <= 32 for unit in range(101))
    assert domain.from_unit(domain.to_unit(4)) == 4


def test_float_with_step_under_the_logs() -> None:
    log, reverse = Float(0.01, 100, step=10, sampling="log"), Float(0.01, 100, step=10, sampling="reverse_log")

    assert log.values == pytest.approx((0.01, 0.1, 1.0, 10.0, 100.0))
    assert log.to_unit(1.0) == pytest.approx(0.5)
    assert reverse.values == pytest.approx((0.01, 90.01, 99.01, 99.91, 100.0))
    assert reverse.to_unit(99.01) == pytest.approx(0.5)


def test_a_float_without_step() -> None:
    assert Float(0.5, 9.5).to_unit(4.5) == pytest.approx(4 / 9)
    assert Float(0.5, 9.5).from_unit(0.1) == pytest.approx(1.4)


@pytest.mark.parametrize(("sampling", "below"), [("log", 0.01), ("reverse_log", 0.99)])
def test_a_log_draws_as_much_from_each_decade(sampling: Any, below: float) -> None:
    domain, luck = Float(1e-4, 1.0, sampling=sampling), random.Random(1)
    drawn = [domain.from_unit(luck.random()) for _ in range(2000)]
    share = sum(value < below if sampling == "log" else value > below for value in drawn) / len(drawn)

    assert share == pytest.approx(0.5, abs=0.04)  # two decades of four


@pytest.mark.parametrize("sampling", ["linear", "log", "reverse_log"])
def test_a_range_without_length_stands_in_the_middle(sampling: Any) -> None:
    for domain in (Float(2, 2, sampling=sampling), Int(2, 2, sampling=sampling)):
        assert domain.to_unit(2) == 0.5
        assert domain.from_unit(0.9) == 2


def test_values() -> None:
    assert Int(2, 8).values == (2, 3, 4, 5, 6, 7, 8)
    assert Int(2, 8, step=2).values == (2, 4, 6, 8)
    assert Int(2, 8, step=2, sampling="log").values == (2, 4, 8)
    assert Float(2, 8, step=2).values == (2.0, 4.0, 6.0, 8.0)
    assert Float(2, 8, step=2, sampling="log").values == (2.0, 4.0, 8.0)
    # KerasTuner's `values` of a range without a step are ten of them in any order, and neither end
    assert Float(0, 9).grid() == tuple(map(float, range(10)))
    assert len(Int(0, 1000).grid()) == 10


def test_choices() -> None:
    assert Choice([0, 1, 2]).ordered
    assert not Choice(["a", "b"]).ordered
    assert not Choice([0, 1], ordered=False).ordered
    assert Choice(["only"]).to_unit("only") == 0.5
    with pytest.raises(SpaceError, match=r"Choice\(ordered=\.\.\.\)"):
        Choice(["a", "b"], ordered=True)
    with pytest.raises(SpaceError, match=r"Choice\(default=\.\.\.\) takes one of 1, 2"):
        Choice([1, 2], default=4)
    # KerasTuner refuses mixed types, None and tuples, and makes 1 and 0 of True and False
    assert Choice([1, "a", None, True, (1, 2)]).values == (1, "a", None, True, "(1, 2)")


def test_booleans_and_fixed_values() -> None:
    assert (Boolean().default, Boolean(default=True).default) == (False, True)
    assert {Boolean().from_unit(unit) for unit in (0.1, 0.9)} == {True, False}
    assert [Fixed(value).from_unit(0.3) for value in (1, 0.5, "a", True)] == [1, 0.5, "a", True]
    with pytest.raises(SpaceError, match=r"Fixed\(value=\.\.\.\)"):
        Fixed([1, 2])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        # KerasTuner lets a default outside of the range pass
        ({"min_value": 1, "max_value": 10, "default": 11}, "default"),
        ({"min_value": 1, "max_value": 10, "sampling": "bogus"}, "sampling"),
        ({"min_value": -10, "max_value": 10, "sampling": "log"}, "min_value"),
        ({"min_value": 0, "max_value": 10, "sampling": "reverse_log"}, "min_value"),
        ({"min_value": 10, "max_value": 1}, "max_value"),
        ({"min_value": 1, "max_value": 10, "step": 1, "sampling": "log"}, "step"),
        ({"min_value": 0.5, "max_value": 10}, "min_value"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=rf"Int\({message}=\.\.\.\)"):
        Int(**arguments)
