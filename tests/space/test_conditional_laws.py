"""What holds in every space, conditional or not."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from asynctune.errors import SpaceError
from asynctune.messages import Fill, FillRule, FromRunner, ParametersDeclared
from asynctune.records import Value
from asynctune.space import Case, Cases, Choice, Condition, Encoding, Float, HyperParameters, Int, Space
from asynctune.space.conditions import cases_of
from asynctune.wire import decode, encode
from tests.space.conditional import conditional_spaces, every_set, small_spaces
from tests.space.strategies import exactly

SEEDS = st.integers(0, 2**63)


def same(one: Mapping[str, Value], other: Mapping[str, Value]) -> bool:
    return {name: exactly(value) for name, value in one.items()} == {name: exactly(value) for name, value in other.items()}


@given(conditional_spaces, SEEDS)
def test_what_is_drawn_is_valid(space: Space, seed: int) -> None:
    for values in (space.sample(seed), space.defaults()):
        assert same(space.validate(values), values)
        assert list(space.active(values)) == list(values)
        assert all(space.domain(name, values) == domain for name, domain in space.active(values).items())


@given(conditional_spaces, SEEDS, SEEDS)
def test_what_is_completed_is_valid(space: Space, seed: int, other: int) -> None:
    kept: dict[str, Value] = {}
    for place, (name, value) in enumerate(space.sample(seed).items()):
        # With what it hangs on, for otherwise it may be of another domain, or not be there.
        parents = {condition.parent for case in cases_of(space[name]) for condition in case.conditions}
        if place % 2 == 0 and parents <= kept.keys():
            kept[name] = value
    whole = space.complete(kept, Fill(FillRule.DRAW, other).value)

    assert same(space.validate(whole), whole)
    assert same({name: whole[name] for name in kept}, kept)


@given(conditional_spaces, SEEDS)
def test_a_value_that_is_missing_or_too_much_is_refused(space: Space, seed: int) -> None:
    values = space.sample(seed)
    for name in space:
        wrong = {each: value for each, value in values.items() if each != name}
        if name not in values:
            wrong = {**values, name: 1}
        with pytest.raises(SpaceError):
            space.validate(wrong)


@given(conditional_spaces, SEEDS)
def test_fewer_values_have_fewer_parameters(space: Space, seed: int) -> None:
    values = space.sample(seed)
    for length in range(len(values)):
        begun = dict(list(values.items())[:length])
        active = space.active(begun)
        assert active.items() <= space.active(values).items()
        assert begun.keys() <= active.keys()


@given(conditional_spaces)
def test_parents_stand_first(space: Space) -> None:
    before: set[str] = set()
    for name, parameter in space.items():
        assert not isinstance(parameter, Cases) or set(parameter.parents) <= before
        before.add(name)


@given(conditional_spaces, st.randoms())
def test_any_order_of_declaration_will_do(space: Space, luck: object) -> None:
    names = list(space)
    luck.shuffle(names)  # type: ignore[attr-defined]
    again = Space().grow({name: space[name] for name in names})

    assert dict(again) == dict(space)
    assert Space().grow(dict(space)) == space
    assert list(Space().grow(dict(again))) == list(again)


@given(small_spaces)
def test_the_size_is_exact(space: Space) -> None:
    assert space.size == len(every_set(space))


@given(conditional_spaces)
def test_a_space_comes_back_from_the_wire(space: Space) -> None:
    message = ParametersDeclared(trial=0, launch=1, parameters=space.parameters, values={})
    read = decode(encode(message, FromRunner), FromRunner)

    assert Space().grow(read.parameters) == space
    assert Space().grow(read.parameters).fingerprint() == space.fingerprint()
    assert pickle.loads(pickle.dumps(space)) == space


@given(conditional_spaces, SEEDS)
def test_a_config_comes_back(space: Space, seed: int) -> None:
    hp = HyperParameters(space, fill=Fill(FillRule.DRAW, seed))
    for name in space:
        if name in hp:
            hp.get(name)
    read = HyperParameters.from_config(json.loads(json.dumps(hp.get_config())))

    assert Space.of(read) == space
    assert same(read.values, hp.values)
    assert same(hp.values, space.sample(seed))
    assert read.get_config() == hp.get_config()


@given(conditional_spaces, SEEDS)
def test_values_come_back_from_a_vector(space: Space, seed: int) -> None:
    encoding, values = Encoding(space), space.sample(seed)
    vector = encoding.vector(values)
    back = encoding.values(vector)

    assert len(vector) == encoding.width == len(encoding.names)
    assert all(0 <= number <= 1 for number in vector)
    assert same(space.validate(back), back)
    for name in values:
        size = None if (domain := space.domain(name, values)) is None else domain.size
        # A unit is a double: it tells 2**53 places apart, and no more. A parent that has more is not had back exactly.
        # Nor do logarithms tell integers apart that floats do not.
        assume(size is not None and size < 2**50)
        assume(not isinstance(domain, Int) or domain.sampling == "linear" or domain.max_value < 2**50)
    assert same(back, values)


@given(conditional_spaces, st.data())
def test_every_vector_is_a_set_of_values(space: Space, data: st.DataObject) -> None:
    encoding = Encoding(space)
    vector = data.draw(st.lists(st.floats(-1, 2), min_size=encoding.width, max_size=encoding.width))
    values = encoding.values(vector)

    assert same(space.validate(values), values)


@given(small_spaces)
def test_different_sets_have_different_vectors(space: Space) -> None:
    encoding, sets = Encoding(space), every_set(space)

    assert len({tuple(encoding.vector(values)) for values in sets}) == len(sets)


@given(conditional_spaces, st.data())
def test_growing_is_the_same_in_one_step_or_in_many(space: Space, data: st.DataObject) -> None:
    """What trials name one after the other, in whatever company, comes to the same space."""
    grown = Space()
    for name in space:
        parameter = space[name]
        if isinstance(parameter, Cases) and len(parameter.cases) > 1 and data.draw(st.booleans()):
            grown = grown.grow({name: Cases(parameter.cases[:1])})
        grown = grown.grow({name: parameter})

    assert grown == space
    assert grown.grow(space) is grown


def test_a_value_is_forbidden_in_every_branch_that_has_it() -> None:
    cases = Cases(
        [
            Case((Condition("k", ["a"]),), Float(0, 0.2, step=0.2)),
            Case((Condition("k", ["b"]),), Int(0, 2)),
        ]
    )
    space = Space({"k": Choice(["a", "b"]), "u": cases}, forbidden=[{"u": 0}])
    assert [space.is_allowed({"k": k, "u": u}) for k, u in (("a", 0.0), ("a", 0.2), ("b", 0), ("b", 1))] == [
        False,
        True,
        False,
        True,
    ]
    assert space.size == 3
