"""Ray Tune's search space functions: their bounds, and what they refuse.

The bounds are those that Ray 2.60 documents, and that its samplers keep; each support below was also drawn from Ray itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import asynctune as at
from asynctune.errors import SpaceError
from asynctune.space import Choice, Float, Int, Normal
from asynctune.tune import (
    choice,
    grid_search,
    lograndint,
    loguniform,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    sample_from,
    uniform,
)

LUCK = random.Random(0)
UNITS = [0.0, 1.0, *(LUCK.random() for _ in range(3000))]

SUPPORTS: list[tuple[Int | Float, list[float]]] = [
    (quniform(0, 1, 0.25), [0.0, 0.25, 0.5, 0.75, 1.0]),
    # Ray's values are 0.30000000000000004, 0.6000000000000001, ...
    (quniform(0.3, 0.9, 0.1), [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
    (quniform(0.1 * 3, 0.9, 0.1), [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
    (quniform(-1, 1, 0.5), [-1.0, -0.5, 0.0, 0.5, 1.0]),
    (qloguniform(1, 4, 1), [1.0, 2.0, 3.0, 4.0]),
    (qloguniform(0.1, 0.5, 0.1), [0.1, 0.2, 0.3, 0.4, 0.5]),
    (randint(1, 5), [1, 2, 3, 4]),
    (lograndint(1, 5), [1, 2, 3, 4]),
    (qrandint(1, 5), [1, 2, 3, 4]),
    (qrandint(2, 20, 5), [5, 10, 15, 20]),
    (qrandint(-7, 7, 5), [-5, 0, 5]),
    (qrandint(5, 20, 5), [5, 10, 15, 20]),
    (qlograndint(1, 5, 1), [1, 2, 3, 4]),
    (qlograndint(3, 23, 5), [5, 10, 15, 20]),
    (qlograndint(4, 32, 4), [4, 8, 12, 16, 20, 24, 28, 32]),
]


@pytest.mark.parametrize(
    ("domain", "support"), SUPPORTS, ids=lambda case: case.describe() if isinstance(case, Int | Float) else ""
)
def test_what_is_drawn(domain: Int | Float, support: list[float]) -> None:
    drawn = sorted({domain.from_unit(unit) for unit in UNITS})

    assert list(map(repr, drawn)) == list(map(repr, support)) == list(map(repr, domain.values))


@pytest.mark.parametrize(
    ("domain", "shares"),
    [
        # as Ray draws them (20,000 times): what is rounded has half a step at either end, what is counted a logarithm's share
        (qloguniform(1, 4, 1), [0.285, 0.373, 0.247, 0.095]),
        (qloguniform(1e-4, 1e-1, 5e-5), [0.032, 0.050, 0.035, 0.029]),
        (qlograndint(3, 23, 5), [0.424, 0.257, 0.183, 0.136]),
        (qlograndint(4, 32, 4), [0.307, 0.190, 0.130, 0.104]),
        (qrandint(2, 20, 5), [0.25, 0.25, 0.25, 0.25]),
    ],
)
def test_each_value_has_its_share_of_the_scale(domain: Int | Float, shares: list[float]) -> None:
    drawn = [domain.from_unit((place + 0.5) / 20_000) for place in range(20_000)]

    assert [drawn.count(value) / 20_000 for value in domain.values[:4]] == pytest.approx(shares, abs=0.012)


def test_they_make_the_same_objects() -> None:
    assert uniform(0, 1) == at.Float(0, 1)
    assert loguniform(1e-4, 1e-1) == at.Float(1e-4, 1e-1, sampling="log")
    assert quniform(0, 1, 0.1) == at.Float(0, 1, step=0.1)
    assert qloguniform(0.1, 1, 0.1) == at.Float(0.1, 1, sampling="log", quantum=0.1)
    assert randint(0, 10) == at.Int(0, 9)
    assert lograndint(1, 10) == at.Int(1, 9, sampling="log")
    assert qrandint(0, 10, 2) == at.Int(0, 10, step=2)
    assert qlograndint(2, 10, 2) == at.Int(2, 10, sampling="log", quantum=2)
    assert randn() == at.Normal(0, 1)
    assert qrandn(10, 2, 0.5) == at.Normal(10, 2, step=0.5)
    assert choice(["a", 1]) == at.Choice(["a", 1])
    assert grid_search([1, 2]) == at.Choice([1, 2], grid=True)
    assert at.tune.uniform is uniform


def test_choices_of_anything_that_can_be_listed() -> None:
    assert grid_search(np.linspace(0, 1, 3)) == grid_search([0.0, 0.5, 1.0])
    assert choice(range(3)) == choice(iter([0, 1, 2])) == Choice([0, 1, 2])
    assert choice({"relu": max}).behind("relu") is max
    assert grid_search({"relu": max}).is_grid


def test_a_normal_number_is_rounded_to_its_step() -> None:
    drawn = {qrandn(10, 2, 0.5).from_unit(unit) for unit in UNITS}

    assert all(value % 0.5 == 0 for value in drawn)
    assert 3 < min(drawn) < 6 or min(drawn) < 3
    assert qrandn(10, 2, 0.5).from_unit(0.5) == 10.0
    assert isinstance(randn(1, 2), Normal)


def test_a_derived_value_knows_its_function() -> None:
    assert sample_from(max).name == "builtins.max"


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (uniform, (5, 1), "uniform(upper=...) takes a finite number of at least lower (5.0), not 1"),
        (uniform, ("0", 1), "uniform(lower=...) takes a finite number, not '0'"),
        (uniform, (0, float("inf")), "uniform(upper=...) takes a finite number of at least lower (0.0), not inf"),
        # in Ray, too, both bounds must be divisible by q
        (quniform, (0, 1, 0.3), "quniform(upper=...) takes a multiple of q (0.3), not 1.0"),
        (quniform, (0.05, 1, 0.1), "quniform(lower=...) takes a multiple of q (0.1), not 0.05"),
        (quniform, (0, 1, 0), "quniform(q=...) takes a number above 0, not 0"),
        (quniform, (0, 1, -0.5), "quniform(q=...) takes a number above 0, not -0.5"),
        (loguniform, (0, 1), "loguniform(lower=...) takes a number above 0, not 0"),
        (qloguniform, (0, 1, 0.1), "qloguniform(lower=...) takes a number above 0, not 0"),
        (qloguniform, (1e-4, 1e-1, 1e-3), "qloguniform(lower=...) takes a multiple of q (0.001), not 0.0001"),
        (randn, (0, 0), "Normal(sd=...) takes a finite number above 0, not 0"),
        (qrandn, (0, 1, 0), "Normal(step=...) takes a finite number above 0, not 0"),
        (randint, (5, 5), "randint(upper=...) takes an integer above lower (5), and is left out itself, not 5"),
        (randint, (0.5, 5), "randint(lower=...) takes an integer, not 0.5"),
        (lograndint, (0, 5), "lograndint(lower=...) takes an integer above 0, not 0"),
        (qrandint, (6, 9, 5), "qrandint(q=...) takes an integer with a multiple from 6 to 9, not 5"),
        (qrandint, (1, 9, 0), "qrandint(q=...) takes an integer of at least 1, not 0"),
        (qrandint, (9, 1, 2), "qrandint(upper=...) takes an integer of at least lower (9), not 1"),
        (qrandint, (1, 9, 0.5), "qrandint(q=...) takes an integer of at least 1, not 0.5"),
        (qlograndint, (0, 9, 3), "qlograndint(lower=...) takes an integer above 0, not 0"),
        (qlograndint, (1, 2, 5), "qlograndint(q=...) takes an integer with a multiple from 1 to 2, not 5"),
        (choice, ("abc",), "choice(categories=...) takes a list of values, or a dict from labels to objects, not 'abc'"),
        (choice, (3,), "choice(categories=...) takes a list of values, or a dict from labels to objects, not 3"),
        (choice, ([],), "Choice(values=...) takes a list of at least one value"),
        (
            grid_search,
            ({1, 2},),
            "grid_search(values=...) takes a list of values, or a dict from labels to objects, not {1, 2}",
        ),
        (grid_search, ([1, 1],), "Choice(values=...) takes different values (1 is repeated), not [1, 1]"),
        (sample_from, (3,), "sample_from() takes a function of one argument, the other values, or of none, not 3"),
        (
            sample_from,
            (lambda a, b: a,),
            "sample_from() takes a function of one argument, the other values, or of none, not <function",
        ),
        (
            sample_from,
            (int,),
            "sample_from() takes a function of one argument, the other values, or of none, not <class 'int'>",
        ),
    ],
)
def test_what_is_refused(function: Callable[..., Any], arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        function(*arguments)

    assert str(caught.value).startswith(message)


def test_a_coroutine_function_is_no_source_of_values() -> None:
    async def later(config: dict[str, Any]) -> int:
        return len(config)

    with pytest.raises(SpaceError, match=r"sample_from\(\) takes a function of one argument"):
        sample_from(later)


def test_the_base_of_a_logarithm_is_taken_and_changes_nothing() -> None:
    assert loguniform(1e-4, 1e-1, 2) == loguniform(1e-4, 1e-1, base=10) == loguniform(1e-4, 1e-1)
    assert qloguniform(1, 10, 1, 2) == qloguniform(1, 10, 1)
    assert lograndint(1, 10, base=np.float64(2)) == lograndint(1, 10)
    assert qlograndint(2, 10, 2, base=2.5) == qlograndint(2, 10, 2)


@pytest.mark.parametrize(("base", "shown"), [(0, "0"), (-2, "-2"), (1, "1"), (1.0, "1.0"), ("e", "'e'"), (True, "True")])
def test_what_is_no_base(base: Any, shown: str) -> None:
    for call in (loguniform, lograndint):
        with pytest.raises(SpaceError, match=rf"^{call.__name__}\(base=\.\.\.\) takes a .*, not {shown}$"):
            call(1, 10, base=base)
