"""Seeds to values, and values to vectors and back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune.errors import SpaceError
from asynctune.space import Boolean, Choice, Domain, Float, Int, Space, draw, from_units, to_units
from tests.space.strategies import domains, exactly, spaces, units

SPACE = Space.of({"a": Int(0, 9), "b": {"c": Choice(["x", "y"]), "d": Float(10, 20)}})


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


def test_vectors() -> None:
    vector = to_units(SPACE, {"b/d": 12.5, "a": 3, "b/c": "y"})

    assert vector == pytest.approx([0.35, 0.75, 0.25])
    assert from_units(SPACE, vector) == {"a": 3, "b/c": "y", "b/d": 12.5}


@given(spaces, st.data())
def test_every_vector_is_a_set_of_values(space: Space, data: st.DataObject) -> None:
    vector = data.draw(st.lists(units, min_size=len(space), max_size=len(space)))
    values = from_units(space, vector)

    assert list(values) == list(space)
    assert all(domain.contains(values[name]) for name, domain in space.items())
    assert all(0 <= unit <= 1 for unit in to_units(space, values))


@pytest.mark.parametrize("vector", [[], [0.1, 0.2], [0.1] * 4])
def test_a_vector_has_a_number_for_each_parameter(vector: Sequence[float]) -> None:
    with pytest.raises(SpaceError, match=f"3 parameters take 3 numbers, not {len(vector)}"):
        from_units(SPACE, vector)


def test_a_value_for_each_parameter() -> None:
    with pytest.raises(SpaceError, match="no value for 'b/c', 'b/d'"):
        to_units(SPACE, {"a": 1})
    with pytest.raises(SpaceError, match="Boolean"):
        to_units({"a": Boolean()}, {"a": 1})
