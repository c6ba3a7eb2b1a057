"""A declared space: what it accepts, what it draws, how it grows."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune.errors import SpaceError
from asynctune.records import Value
from asynctune.space import Boolean, Choice, Domain, Fixed, Float, HyperParameters, Int, Space
from tests.space.strategies import domains, exactly, names, spaces

DECLARED = {
    "units": Int(32, 512, step=32),
    "optimizer": {"name": Choice(["adam", "sgd"]), "lr": Float(1e-4, 1e-1, sampling="log"), "clip": {"norm": 1.0}},
    "bias": True,
    "seed": None,
}


def same(one: Mapping[str, Value], other: Mapping[str, Value]) -> bool:
    return {name: exactly(value) for name, value in one.items()} == {name: exactly(value) for name, value in other.items()}


def test_nested_dicts_become_flat_names_in_their_order() -> None:
    space = Space.of(DECLARED)

    assert list(space.items()) == [
        ("units", Int(32, 512, step=32)),
        ("optimizer/name", Choice(["adam", "sgd"])),
        ("optimizer/lr", Float(1e-4, 1e-1, sampling="log")),
        ("optimizer/clip/norm", Fixed(1.0)),
        ("bias", Fixed(True)),
        ("seed", Fixed(None)),
    ]
    assert space.parameters == dict(space)
    assert space["bias"] == Fixed(True)
    assert "optimizer/lr" in space
    assert "lr" not in space
    assert len(space) == 6


def test_other_things_that_declare_a_space() -> None:
    space = Space.of(DECLARED)
    hp = HyperParameters()
    hp.Int("units", 32, 512, step=32)
    with hp.name_scope("optimizer"):
        hp.Boolean("bias")

    assert Space.of(None) == Space() == Space.of({})
    assert Space.of(space) is space
    assert Space.of({"inner": space, "seed": 3})["inner/optimizer/lr"] == space["optimizer/lr"]
    assert Space.of(hp) == Space({"units": Int(32, 512, step=32), "optimizer/bias": Boolean()})


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"lr": [0.1, 0.2]}, "parameter 'lr' is a list: write Choice([...]) to try each of its values"),
        ({"lr": (0.1, 0.2)}, "parameter 'lr' is a tuple: write Choice([...]) to try each of its values"),
        ({"a": {"lr": {0.1}}}, "parameter 'a/lr' is a set: write Choice([...]) to try each of its values"),
        ({"lr": range(3)}, "parameter 'lr' is a range: write Choice([...]) to try each of its values"),
        ({"a": {"flag": Boolean}}, "parameter 'a/flag' is the class Boolean: write Boolean(...)"),
        (
            {"a": {"b": len}},
            "parameter 'a/b' takes a domain such as Int(1, 10), a plain value, or a dict of them, not <built-in",
        ),
        ({"a": float("nan")}, "parameter 'a' takes a domain such as Int(1, 10), a plain value, or a dict of them, not nan"),
        ({"a/b": 1}, "a name in space= takes text without '/': nest a dict instead, not 'a/b'"),
        ({"a": {"b/c": 1}}, "a name in 'a/' takes text without '/': nest a dict instead, not 'b/c'"),
        ({3: 1}, "a name in space= takes text without '/': nest a dict instead, not 3"),
        ({"a": {None: 1}}, "a name in 'a/' takes text without '/': nest a dict instead, not None"),
        ({"": 1}, 'the name of a parameter takes printable text, grouped with "/" ("layer/units"), not \'\''),
        ({"a": {"": 1}}, 'the name of a parameter takes printable text, grouped with "/" ("layer/units"), not \'a/\''),
        ({"a\tb": 1}, 'the name of a parameter takes printable text, grouped with "/" ("layer/units"), not \'a\\tb\''),
        ({"\ud800": 1}, 'the name of a parameter takes printable text, grouped with "/" ("layer/units"), not \'\\ud800\''),
        ([("a", 1)], "space= takes a dict, a Space or a HyperParameters, not [('a', 1)]"),
        ("lr", "space= takes a dict, a Space or a HyperParameters, not 'lr'"),
        (Int(1, 2), "space= takes a dict, a Space or a HyperParameters, not Int("),
    ],
)
def test_what_declares_no_space(declared: Any, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space.of(declared)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("parameters", [{"a//b": Fixed(1)}, {"/a": Fixed(1)}, {"a\n": Fixed(1)}, {3: Fixed(1)}])
def test_flat_parameters_are_checked_too(parameters: Any) -> None:
    with pytest.raises(SpaceError, match="parameter"):
        Space(parameters)


def test_a_space_keeps_its_own_copy() -> None:
    parameters: dict[str, Domain] = {"a": Boolean()}
    space = Space(parameters)
    parameters["b"] = Boolean()

    assert list(space) == ["a"]
    with pytest.raises(TypeError):
        space.parameters["b"] = Boolean()  # type: ignore[index]


@pytest.mark.parametrize(
    ("declared", "size"),
    [
        ({}, 1),
        ({"a": Int(1, 3), "b": Choice(["x", "y"]), "c": 5}, 6),
        ({"a": Int(1, 2**62), "b": Int(1, 2**62)}, 2**124),
        ({"a": Float(0, 1), "b": Boolean()}, None),
        ({"a": Float(0, 1, step=0.1), "b": Boolean()}, 22),
    ],
)
def test_size(declared: dict[str, Any], size: int | None) -> None:
    assert Space.of(declared).size == size


def test_defaults() -> None:
    assert Space.of(DECLARED).defaults() == {
        "units": 32,
        "optimizer/name": "adam",
        "optimizer/lr": 1e-4,
        "optimizer/clip/norm": 1.0,
        "bias": True,
        "seed": None,
    }


@given(spaces, st.integers(0, 2**63))
def test_samples_are_valid_and_depend_on_the_seed_alone(space: Space, seed: int) -> None:
    values = space.sample(seed)

    assert list(values) == list(space)
    assert same(space.validate(values), values)
    assert same(space.sample(seed), values)


@given(spaces, st.integers(0, 2**63))
def test_neither_order_nor_company_changes_a_sample(space: Space, seed: int) -> None:
    backwards = Space(dict(reversed(list(space.items()))))
    alone = {name: Space({name: domain}).sample(seed)[name] for name, domain in space.items()}

    assert same(backwards.sample(seed), space.sample(seed))
    assert same(alone, space.sample(seed))


def test_a_sample_is_the_same_on_every_machine() -> None:
    space = Space.of({"units": Int(1, 10**6), "lr": Float(1e-4, 0.1, step=10, sampling="log"), "act": Choice(["a", "b", "c"])})

    assert [space.sample(seed) for seed in (0, 1, 2)] == [
        {"units": 793911, "lr": 0.01, "act": "c"},
        {"units": 177426, "lr": 0.01, "act": "b"},
        {"units": 91621, "lr": 0.1, "act": "b"},
    ]


def test_seeds_spread_over_the_space() -> None:
    space = Space.of({"a": Choice(list(range(8))), "b": Choice(list(range(8)))})
    drawn = {tuple(space.sample(seed).values()) for seed in range(1000)}

    assert len(drawn) == 64


@given(spaces, st.integers(0, 1000))
def test_values_that_travelled_are_restored_by_validate(space: Space, seed: int) -> None:
    values = space.sample(seed)
    shuffled = dict(reversed(values.items()))

    assert list(space.validate(shuffled)) == list(space)
    assert same(space.validate(shuffled), values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": 1}, "parameter 'b' has no value; the parameters are 'a', 'b'"),
        ({"a": 1, "b": True, "c": 1}, "'c' is not a parameter; the parameters are 'a', 'b'"),
        ({"a": 4, "b": True}, "parameter 'a': Int(1 to 3) takes one of its values, not 4"),
        ({"a": 1.0, "b": True}, "parameter 'a': Int(1 to 3) takes one of its values, not 1.0"),
        ({"a": 1, "b": 1}, "parameter 'b': Boolean() takes True or False, not 1"),
    ],
)
def test_values_of_another_space(values: dict[str, Value], message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space.of({"a": Int(1, 3), "b": Boolean()}).validate(values)

    assert str(caught.value) == message


def test_an_empty_space_says_so() -> None:
    with pytest.raises(SpaceError, match="'a' is not a parameter; the parameters are none"):
        Space().validate({"a": 1})


def test_validate_gives_floats_for_ints() -> None:
    assert exactly(Space.of({"a": Float(0, 1)}).validate({"a": 1})["a"]) == exactly(1.0)


def test_grow() -> None:
    space = Space.of({"a": Int(1, 3)})
    grown = space.grow({"b": Boolean(), "a": Int(1, 3)})

    assert list(grown.items()) == [("a", Int(1, 3)), ("b", Boolean())]
    assert list(space) == ["a"]
    assert space.grow({"a": Int(1, 3)}) is space
    assert space.grow({}) is space


def test_grow_refuses_another_domain_under_the_same_name() -> None:
    with pytest.raises(SpaceError) as caught:
        Space.of({"a": {"b": Int(1, 3)}}).grow({"a/b": Int(1, 4), "c": Boolean()})

    assert str(caught.value) == (
        "parameter 'a/b' is Int(1 to 3) and was declared again as Int(1 to 4): give one of the two another name"
    )


def test_grow_checks_names() -> None:
    with pytest.raises(SpaceError, match="name of a parameter"):
        Space().grow({"a\x00": Boolean()})


@given(spaces, names, domains)
def test_a_grown_space_begins_with_the_space(space: Space, name: str, domain: Domain) -> None:
    parameter = space.get(name, domain)
    grown = space.grow({name: parameter})

    assert list(grown.items())[: len(space)] == list(space.items())
    assert grown[name] == parameter


@given(spaces, spaces)
def test_equal_spaces_and_no_others_have_one_fingerprint(one: Space, other: Space) -> None:
    assert (one == other) == (one.fingerprint() == other.fingerprint())
    assert (one != other) or hash(one) == hash(other)


def test_order_and_domains_are_part_of_a_space() -> None:
    a, b = Int(1, 3), Boolean()
    variants = [
        Space({"a": a, "b": b}),
        Space({"b": b, "a": a}),
        Space({"a": a}),
        Space({"a": Int(1, 4), "b": b}),
        Space({"a": Int(1, 3, default=2), "b": b}),
        Space({"a": a, "b": Fixed(True)}),
        Space({"a": a, "b": Fixed(1)}),
    ]

    assert len(set(variants)) == len({space.fingerprint() for space in variants}) == len(variants)
    assert variants[0] == Space({"a": Int(1, 3), "b": Boolean()})
    assert variants[0] != {"a": a, "b": b}


def test_a_fingerprint_is_the_same_on_every_machine() -> None:
    assert Space.of(DECLARED).fingerprint() == "d1df37147127314c8f6a017d0c1167e5"


@given(spaces)
def test_a_space_can_be_pickled(space: Space) -> None:
    copy = pickle.loads(pickle.dumps(space))

    assert copy == space
    assert hash(copy) == hash(space)
    assert list(copy) == list(space)


def test_repr_is_short() -> None:
    assert repr(Space.of({"a": {"b": Int(1, 3)}, "c": 1})) == "Space(a/b: Int(1 to 3), c: Fixed(1))"


def test_nest() -> None:
    space = Space.of(DECLARED)

    assert space.nest(space.defaults()) == {
        "units": 32,
        "optimizer": {"name": "adam", "lr": 1e-4, "clip": {"norm": 1.0}},
        "bias": True,
        "seed": None,
    }
    assert Space().nest({"a": 1, "a/b": 2, "a/b/c": 3, "d/e": 4}) == {"a": 1, "a/b": 2, "a/b/c": 3, "d": {"e": 4}}


def _leaves(nested: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Value]]:
    for name, value in nested.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{name}/")
        else:
            yield path + name, value


@given(st.dictionaries(names, st.integers(), max_size=6))
def test_nothing_is_lost_by_nesting(values: dict[str, int]) -> None:
    assert dict(_leaves(Space().nest(values))) == values


def test_a_space_of_a_space_keeps_its_rules_and_can_be_given_more() -> None:
    first = Space({"a": Int(1, 3), "b": Int(1, 3)}, forbidden=[{"a": 1, "b": 1}])
    assert Space(first) == Space.of(first) == first
    more = Space(first, forbidden=[{"a": 2, "b": 2}], feasible=[is_small])
    assert (first.size, more.size) == (8, 6)
    assert not more.is_allowed({"a": 1, "b": 1})


def is_small(values: Mapping[str, Any]) -> bool:
    return bool(values["a"] + values["b"] < 6)
