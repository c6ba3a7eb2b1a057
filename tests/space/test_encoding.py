"""Seeds to values, and values to vectors and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune.errors import SpaceError
from asynctune.space import Boolean, Choice, Domain, Encoding, Float, Int, Space, When, draw
from tests.space.strategies import domains, exactly

PLAIN = Encoding(Space.of({"a": Int(0, 9), "b": {"c": Choice(["x", "y"]), "d": Float(10, 20)}, "e": Choice([1, 2, 4]), "f": 5}))
CONDITIONAL = Encoding(
    Space.of(
        {
            "deep": Boolean(),
            "units": When("deep", True, Int(1, 4)) | When("deep", False, Int(10, 13)),
            "act": When("deep", True, Choice(["relu", "tanh"])),
        }
    )
)


@given(domains, st.integers(0, 2**63))
def test_a_seed_draws_one_value(domain: Domain, seed: int) -> None:
    assert domain.contains(draw(domain, seed))
    assert exactly(draw(domain, seed)) == exactly(draw(domain, seed))


def test_seeds_draw_evenly() -> None:
    # Of 2000 even draws, 500 are expected of each, with a standard deviation of 19. The seeds are fixed: nothing here is luck.
    drawn = [draw(Choice([0, 1, 2, 3]), seed) for seed in range(2000)]
    assert all(abs(drawn.count(value) - 500) < 60 for value in range(4))

    logs = [draw(Float(1, 10_000, sampling="log"), seed) for seed in range(2000)]
    assert all(abs(sum(10**k <= float(value or 0) < 10 ** (k + 1) for value in logs) - 500) < 60 for k in range(4))


def test_a_vector() -> None:
    values = {"b/d": 12.5, "a": 3, "b/c": "y", "e": 2, "f": 5}

    assert PLAIN.vector(values) == pytest.approx([0.35, 0, 1, 0.25, 0.5])
    assert PLAIN.values([0.35, 0, 1, 0.25, 0.5]) == values
    assert PLAIN.kinds == ("number", "category", "category", "number", "ordered")
    assert PLAIN.names == ("a", "b/c is 'x'", "b/c is 'y'", "b/d", "e")
    assert repr(PLAIN) == "<Encoding of 5 parameters in 5 numbers>"


def test_a_vector_of_a_conditional_space() -> None:
    names = "deep is False,deep is True,units,units is there,units,units is there,act is 'relu',act is 'tanh',act is there"
    assert CONDITIONAL.names == tuple(names.split(","))

    deep = CONDITIONAL.vector({"deep": True, "units": 1, "act": "tanh"})
    assert deep == [0, 1, 0.125, 1, 0.5, 0, 0, 1, 1]
    assert CONDITIONAL.vector({"deep": False, "units": 13}) == [1, 0, 0.5, 0, 0.875, 1, 0, 0, 0]
    # The parents decide what is there, not the flags.
    assert CONDITIONAL.values([0.6, 0.4, *deep[2:]]) == {"deep": False, "units": 12}


def test_a_parameter_without_a_value_is_not_there() -> None:
    """Those that ran before it became known."""
    assert CONDITIONAL.vector({"deep": True})[2:] == [0.5, 0, 0.5, 0, 0, 0, 0]
    assert CONDITIONAL.vector({}) == [0, 0, 0.5, 0, 0.5, 0, 0, 0, 0]


def test_what_is_beyond_the_ends_is_the_end() -> None:
    assert PLAIN.values([7, -1, float("-inf"), float("inf"), -0.0]) == {"a": 9, "b/c": "x", "b/d": 20.0, "e": 1, "f": 5}


@pytest.mark.parametrize("vector", [[], [0.1, 0.2], [0.1] * 6])
def test_a_vector_has_its_width(vector: list[float]) -> None:
    with pytest.raises(SpaceError, match=f"a vector of this space has 5 numbers, not {len(vector)}"):
        PLAIN.values(vector)


@pytest.mark.parametrize("wrong", [float("nan"), "x", None, True])
def test_a_vector_is_of_numbers(wrong: Any) -> None:
    with pytest.raises(SpaceError, match="a vector takes numbers from 0 to 1, not"):
        PLAIN.values([0.1, 0.1, 0.1, 0.1, wrong])


@pytest.mark.parametrize(
    ("values", "text"), [({"a": 11}, "'a': Int"), ({"b/c": "z"}, "'b/c': Choice"), ({"a": True}, "'a': Int")]
)
def test_a_value_that_is_none_is_named(values: dict[str, Any], text: str) -> None:
    with pytest.raises(SpaceError, match=f"parameter {text}"):
        PLAIN.vector(values)


def test_a_space_without_choices_has_vectors_without_numbers() -> None:
    encoding = Encoding(Space.of({"a": 1, "b": When("a", 1, {"c": "x"})}))

    assert (encoding.width, encoding.vector({"a": 1, "b/c": "x"})) == (0, [])
    assert encoding.values([]) == {"a": 1, "b/c": "x"}
