"""Every wrong argument of a domain is refused when the domain is made, by its name."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from asynctune.errors import ConfigurationError, SpaceError
from asynctune.secret import Secret
from asynctune.space import Boolean, Choice, Domain, Fixed, Float, Int, Normal

NAN, INF = math.nan, math.inf


class Colour(enum.IntEnum):
    RED = 1


A_LIST = "Choice(values=...) takes a list of at least one value, or a dict from labels to objects"
LABELLED = (
    "Choice(values=...) takes numbers, strings, bools, None, functions, classes, and tuples, lists and dicts of plain values"
)
BAD: list[tuple[Callable[..., Domain], tuple[Any, ...], dict[str, Any], str]] = [
    (Int, (0.5, 10), {}, "Int(min_value=...) takes an integer, not 0.5"),
    (Int, (2.5, 10), {}, "Int(min_value=...) takes an integer, not 2.5"),
    (Int, (np.float64(2.5), 10), {}, "Int(min_value=...) takes an integer, not 2.5"),
    (Int, (-math.inf, 10), {}, "Int(min_value=...) takes an integer, not -inf"),
    (Int, (1, 2.5), {}, "Int(max_value=...) takes an integer of at least min_value (1), not 2.5"),
    (
        Int,
        (1, 2.0**70),
        {},
        "Int(max_value=...) takes an integer of at least min_value (1) (64 bits), not 1180591620717411303424",
    ),
    (Int, (True, 10), {}, "Int(min_value=...) takes an integer, not True"),
    (Int, ("1", 10), {}, "Int(min_value=...) takes an integer, not '1'"),
    (Int, (None, 10), {}, "Int(min_value=...) takes an integer, not None"),
    (Int, (Colour.RED, 10), {}, "Int(min_value=...) takes an integer, not <Colour.RED: 1>"),
    (Int, (np.array([1]), 10), {}, "Int(min_value=...) takes an integer, not array([1])"),
    (Int, (-(2**63) - 1, 10), {}, "Int(min_value=...) takes an integer (64 bits), not -9223372036854775809"),
    (Int, (0, 2**63), {}, "Int(max_value=...) takes an integer of at least min_value (0) (64 bits), not 9223372036854775808"),
    (Int, (10, 5), {}, "Int(max_value=...) takes an integer of at least min_value (10), not 5"),
    (Int, (1, NAN), {}, "Int(max_value=...) takes an integer of at least min_value (1), not nan"),
    (Int, (1, 10), {"step": 0}, "Int(step=...) takes an integer of at least 1, not 0"),
    (Int, (1, 10), {"step": -1}, "Int(step=...) takes an integer of at least 1, not -1"),
    (Int, (1, 10), {"step": 1.5}, "Int(step=...) takes an integer of at least 1, not 1.5"),
    (Int, (1, 10), {"step": True}, "Int(step=...) takes an integer of at least 1, not True"),
    (Int, (1, 10), {"step": 1, "sampling": "log"}, "Int(step=...) takes an integer of at least 2, a factor, not 1"),
    (Int, (1, 10), {"step": 1.5, "sampling": "log"}, "Int(step=...) takes an integer of at least 2, a factor, not 1.5"),
    (Int, (0, 10), {"sampling": "log"}, "Int(min_value=...) takes a number above 0 with sampling='log', not 0"),
    (
        Int,
        (-1, 10),
        {"sampling": "reverse_log"},
        "Int(min_value=...) takes a number above 0 with sampling='reverse_log', not -1",
    ),
    (Int, (1, 10), {"sampling": "normal"}, "Int(sampling=...) takes 'linear' or 'log' or 'reverse_log', not 'normal'"),
    (Int, (1, 10), {"default": 11}, "Int(default=...) takes a value of Int(1 to 10), not 11"),
    (Int, (1, 10), {"default": 2.5}, "Int(default=...) takes a value of Int(1 to 10), not 2.5"),
    (Int, (0, 10), {"default": True}, "Int(default=...) takes a value of Int(0 to 10), not True"),
    (Int, (0, 10), {"step": 3, "default": 10}, "Int(default=...) takes a value of Int(0 to 10, step 3), not 10"),
    (Int, (1, 10), {"quantum": 2}, "Int(quantum=2) is for the logs; under sampling='linear' write step=2"),
    (Int, (2, 10), {"sampling": "log", "quantum": 1}, "Int(quantum=...) takes an integer of at least 2, or None, not 1"),
    (Int, (2, 10), {"sampling": "log", "quantum": 2.5}, "Int(quantum=...) takes an integer of at least 2, or None, not 2.5"),
    (Int, (3, 10), {"sampling": "log", "quantum": 2}, "Int(min_value=...) takes a multiple of the quantum (2), not 3"),
    (Int, (2, 11), {"sampling": "log", "quantum": 2}, "Int(max_value=...) takes a multiple of the quantum (2), not 11"),
    (
        Int,
        (2, 8),
        {"sampling": "log", "quantum": 2, "step": 2},
        "Int() takes step=2 or quantum=2, not both: a step is a factor",
    ),
    (
        *(Int, (2, 8), {"sampling": "log", "quantum": 2, "default": 3}),
        "Int(default=...) takes a value of Int(2 to 8, log, quantum 2), not 3",
    ),
    (Float, (0.1, 1), {"quantum": 0.1}, "Float(quantum=0.1) is for the logs; under sampling='linear' write step=0.1"),
    (Float, (0.1, 1), {"sampling": "log", "quantum": 0}, "Float(quantum=...) takes a finite number above 0, or None, not 0"),
    (
        Float,
        (0.1, 1),
        {"sampling": "log", "quantum": NAN},
        "Float(quantum=...) takes a finite number above 0, or None, not nan",
    ),
    (
        Float,
        (0.15, 1),
        {"sampling": "log", "quantum": 0.1},
        "Float(min_value=...) takes a multiple of the quantum (0.1), not 0.15",
    ),
    (
        Float,
        (0.1, 1),
        {"sampling": "log", "quantum": 0.3},
        "Float(min_value=...) takes a multiple of the quantum (0.3), not 0.1",
    ),
    (
        Float,
        (0.1, 1.05),
        {"sampling": "log", "quantum": 0.1},
        "Float(max_value=...) takes a multiple of the quantum (0.1), not 1.05",
    ),
    (
        *(Float, (1.0, 2.0), {"sampling": "log", "quantum": 1e-17}),
        "Float(quantum=...) takes a quantum that floats from 1.0 to 2.0 are fine enough for, not 1e-17",
    ),
    (
        *(Float, (0.1, 1), {"sampling": "log", "quantum": 0.1, "default": 0.15}),
        "Float(default=...) takes a value of Float(0.1 to 1.0, log, quantum 0.1), not 0.15",
    ),
    (Normal, (NAN, 1), {}, "Normal(mean=...) takes a finite number, not nan"),
    (Normal, ("0", 1), {}, "Normal(mean=...) takes a finite number, not '0'"),
    (Normal, (0, 0), {}, "Normal(sd=...) takes a finite number above 0, not 0"),
    (Normal, (0, -1), {}, "Normal(sd=...) takes a finite number above 0, not -1"),
    (Normal, (0, 1e308), {}, "Normal(sd=...) takes a spread around 0.0 that floats can hold, not 1e+308"),
    (Normal, (0, 1), {"step": 0}, "Normal(step=...) takes a finite number above 0, not 0"),
    (Normal, (1, 1), {"step": 1e-16}, "Normal(step=...) takes a step that floats up to 9.3 are fine enough for, not 1e-16"),
    (Normal, (0, 1), {"step": 1.7e308, "default": 1}, "Normal(default=...) takes a multiple of 1.7e+308, not 1"),
    (Normal, (0, 1), {"default": INF}, "Normal(default=...) takes a finite number, not inf"),
    (Normal, (0, 1), {"step": 0.5, "default": 0.2}, "Normal(default=...) takes a multiple of 0.5, not 0.2"),
    (Float, ("0", 1), {}, "Float(min_value=...) takes a finite number, not '0'"),
    (Float, (False, 1), {}, "Float(min_value=...) takes a finite number, not False"),
    (Float, (NAN, 1), {}, "Float(min_value=...) takes a finite number, not nan"),
    (Float, (-INF, 1), {}, "Float(min_value=...) takes a finite number, not -inf"),
    (Float, (10**400, 1), {}, "Float(min_value=...) takes a finite number, not 1000"),
    (Float, (1, 10**400), {}, "Float(max_value=...) takes a finite number of at least min_value (1.0), not 1000"),
    (Float, (1, 0), {}, "Float(max_value=...) takes a finite number of at least min_value (1.0), not 0"),
    (Float, (0, INF), {}, "Float(max_value=...) takes a finite number of at least min_value (0.0), not inf"),
    (Float, (0, NAN), {}, "Float(max_value=...) takes a finite number of at least min_value (0.0), not nan"),
    (Float, (0, 1, "log"), {}, "Float(step=...) takes a finite number above 0, not 'log'"),
    (Float, (0, 1), {"step": 0}, "Float(step=...) takes a finite number above 0, not 0"),
    (Float, (0, 1), {"step": -0.1}, "Float(step=...) takes a finite number above 0, not -0.1"),
    (Float, (0, 1), {"step": INF}, "Float(step=...) takes a finite number above 0, not inf"),
    (Float, (0, 1), {"step": 1e-20}, "Float(step=...) takes a step that floats from 0.0 to 1.0 are fine enough for, not 1e-20"),
    (Float, (1, 9), {"step": 1, "sampling": "log"}, "Float(step=...) takes a finite number above 1, a factor, not 1"),
    (
        Float,
        (1, 9),
        {"step": 0.1, "sampling": "reverse_log"},
        "Float(step=...) takes a finite number above 1, a factor, not 0.1",
    ),
    (Float, (0, 1), {"sampling": "log"}, "Float(min_value=...) takes a number above 0 with sampling='log', not 0.0"),
    (Float, (0, 1), {"sampling": "LOG"}, "Float(sampling=...) takes 'linear' or 'log' or 'reverse_log', not 'LOG'"),
    (Float, (0, 1), {"sampling": ["log"]}, "Float(sampling=...) takes 'linear' or 'log' or 'reverse_log', not ['log']"),
    (Float, (0, 1), {"default": 1.5}, "Float(default=...) takes a value of Float(0.0 to 1.0), not 1.5"),
    (Float, (0, 1), {"default": "0"}, "Float(default=...) takes a value of Float(0.0 to 1.0), not '0'"),
    (Float, (0, 1), {"default": NAN}, "Float(default=...) takes a value of Float(0.0 to 1.0), not nan"),
    (Float, (0, 1), {"step": 0.2, "default": 0.3}, "Float(default=...) takes a value of Float(0.0 to 1.0, step 0.2), not 0.3"),
    (Choice, ([],), {}, f"{A_LIST}, not []"),
    (
        Choice,
        ("abc",),
        {},
        f"{A_LIST}, not 'abc'",
    ),
    (Choice, (3,), {}, f"{A_LIST}, not 3"),
    (Choice, ({},), {}, f"{A_LIST}, not {{}}"),
    (Choice, ({1: "a"},), {}, "Choice(values=...) takes a dict whose keys are strings, the labels, not 1"),
    (
        Choice,
        ({"a"},),
        {},
        f"{A_LIST}, not {{'a'}}",
    ),  # in no order
    (Choice, ([b"a"],), {}, f"{LABELLED}, not b'a': give this one a label, in a dict: Choice({{\"label\": ...}})"),
    (Choice, ([Colour.RED],), {}, f"{LABELLED}, not <Colour.RED: 1>: give this one a label"),
    (Choice, ([lambda: 1],), {}, f"{LABELLED}, not <function <lambda> at "),
    (Choice, ([(1, object())],), {}, f"{LABELLED}, not (1, <object object at "),
    (Choice, ([np.array([1, 2])],), {}, f"{LABELLED}, not array([1, 2])"),
    (Choice, ([max, max],), {}, "Choice(values=...) takes different values, and two are labelled 'max': give each its own"),
    (Choice, (["max", max],), {}, "Choice(values=...) takes different values, and two are labelled 'max': give each its own"),
    (Choice, ([max, "max"],), {}, "Choice(values=...) takes different values ('max' is repeated), not ['max', 'max']"),
    (
        Choice,
        ([Secret("hush"), 1],),
        {},
        "Choice(values=...) takes a finite number, a string, a bool or None, not Secret(***): ",
    ),
    (Choice, ([1],), {"grid": 1}, "Choice(grid=...) takes True or False, not 1"),
    (Choice, ([max, min],), {"default": len}, "Choice(default=...) takes one of 'max', 'min', not <built-in function len>"),
    (Choice, ([NAN],), {}, "Choice(values=...) takes a finite number, a string, a bool or None, not nan"),
    (Choice, (["\ud800"],), {}, "Choice(values=...) takes a finite number, a string, a bool or None (in UTF-8"),
    (Choice, (["a", "b", "a"],), {}, "Choice(values=...) takes different values ('a' is repeated), not ['a', 'b', 'a']"),
    (Choice, ([0.0, -0.0],), {}, "Choice(values=...) takes different values (0.0 is repeated), not [0.0, 0.0]"),
    (
        Choice,
        (["a"],),
        {"ordered": True},
        "Choice(ordered=...) takes None, False or, if all values are numbers, True, not True",
    ),
    (Choice, ([1],), {"ordered": 1}, "Choice(ordered=...) takes None, False or, if all values are numbers, True, not 1"),
    (Choice, (["a", "b"],), {"default": "c"}, "Choice(default=...) takes one of 'a', 'b', not 'c'"),
    (Choice, ([1, 2],), {"default": 1.0}, "Choice(default=...) takes one of 1, 2, not 1.0"),
    (Boolean, (1,), {}, "Boolean(default=...) takes True or False, not 1"),
    (Boolean, (None,), {}, "Boolean(default=...) takes True or False, not None"),
    (Fixed, ([1],), {}, "Fixed(value=...) takes a finite number, a string, a bool or None, not [1]"),
    (Fixed, (INF,), {}, "Fixed(value=...) takes a finite number, a string, a bool or None, not inf"),
    (
        Fixed,
        (2**64,),
        {},
        "Fixed(value=...) takes a finite number, a string, a bool or None (64 bits), not 18446744073709551616",
    ),
]


@pytest.mark.parametrize(("domain", "arguments", "named", "message"), BAD)
def test_bad_argument(domain: Callable[..., Domain], arguments: tuple[Any, ...], named: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        domain(*arguments, **named)

    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, ConfigurationError | ValueError)


@pytest.mark.parametrize(
    "domain", [Int(1, 5), Int(1, 5, sampling="log"), Float(0, 1), Normal(0, 1), Choice([1]), Boolean(), Fixed(1)]
)
@pytest.mark.parametrize("unit", [-0.1, 1.1, NAN, INF, "0", None, True])
def test_a_unit_is_from_0_to_1(domain: Domain, unit: Any) -> None:
    with pytest.raises(SpaceError, match=r"from_unit\(\) takes a number from 0 to 1, not "):
        domain.from_unit(unit)


@pytest.mark.parametrize(
    "domain", [Int(1, 50), Int(1, 50, step=2), Float(0, 1), Float(0, 1, 0.1), Normal(0, 1), Choice([1]), Boolean(), Fixed(1)]
)
@pytest.mark.parametrize("points", [1, 0, -3, 2.5, None, True])
def test_a_grid_has_two_points_at_least(domain: Domain, points: Any) -> None:
    with pytest.raises(SpaceError, match=r"grid\(points=\.\.\.\) takes an integer of at least 2, not "):
        domain.grid(points)


@pytest.mark.parametrize("domain", [Int(0, 10**9), Float(0, 1), Int(1, 10**9, sampling="log")])
def test_a_grid_is_never_longer_than_can_be_listed(domain: Domain) -> None:
    with pytest.raises(SpaceError, match=r"grid\(points=\.\.\.\) takes an integer of at most 1,000,000, not 10"):
        domain.grid(10**18)


@pytest.mark.parametrize("two", [2.0, np.float32(2), np.int64(2), np.array(2.0)])
def test_whole_numbers_may_come_as_floats(two: Any) -> None:
    """KerasTuner takes 2.0 for 2, too (hp_types.py: _check_int)."""
    domain = Int(two, 8.0, step=two, default=4.0)  # type: ignore[arg-type]

    assert domain == Int(2, 8, step=2, default=4)
    assert {type(number) for number in (domain.min_value, domain.max_value, domain.step, domain.default)} == {int}
    assert Int(2, 8, sampling="log", quantum=two) == Int(2, 8, sampling="log", quantum=2)
