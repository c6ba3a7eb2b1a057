"""Parameters declared where they are used."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune.errors import SpaceError
from asynctune.space import Boolean, Choice, Domain, Fill, FillRule, Fixed, Float, HyperParameters, Int, Normal, draw
from tests.space.strategies import domains, exactly, names


def declare(hp: HyperParameters) -> list[object]:
    with hp.name_scope("net"):
        units = hp.Int("units", 32, 512, step=32, default=64)
        with hp.name_scope("head"):
            bias = hp.Boolean("bias", default=True)
    return [units, bias, hp.Float("lr", 1e-4, 1e-1, sampling="log"), hp.Choice("act", ["relu", None]), hp.Fixed("seed", 7)]


def ask(hp: HyperParameters, name: str, domain: Domain) -> object:
    match domain:
        case Int():
            return hp.Int(
                name, domain.min_value, domain.max_value, domain.step, domain.sampling, domain.default, quantum=domain.quantum
            )
        case Float():
            return hp.Float(
                name, domain.min_value, domain.max_value, domain.step, domain.sampling, domain.default, quantum=domain.quantum
            )
        case Choice():
            return hp.Choice(name, domain.values, domain.ordered, domain.default, grid=domain.is_grid)
        case Boolean():
            return hp.Boolean(name, domain.default)
        case Fixed():
            return hp.Fixed(name, domain.value)
        case Normal():
            return hp.Normal(name, domain.mean, domain.sd, domain.step, domain.default)


def test_without_values_every_parameter_has_its_default() -> None:
    hp = HyperParameters()

    assert declare(hp) == [64, True, 1e-4, "relu", 7]
    assert hp.values == {"net/units": 64, "net/head/bias": True, "lr": 1e-4, "act": "relu", "seed": 7}
    assert hp.space == {
        "net/units": Int(32, 512, step=32, default=64),
        "net/head/bias": Boolean(default=True),
        "lr": Float(1e-4, 1e-1, sampling="log"),
        "act": Choice(["relu", None]),
        "seed": Fixed(7),
    }


def test_proposed_values_are_given_to_known_and_to_new_parameters() -> None:
    hp = HyperParameters({"lr": Float(1e-4, 1e-1, sampling="log")}, {"lr": 0.01, "net/units": 96, "act": None})

    assert declare(hp) == [96, True, 0.01, None, 7]


@given(names, domains, st.integers(0, 2**63))
def test_a_drawn_value_depends_on_seed_and_name_alone(name: str, domain: Domain, seed: int) -> None:
    alone = HyperParameters(fill=Fill(FillRule.DRAW, seed))
    crowded = HyperParameters({name: domain, "other": Int(1, 5)}, {"other": 3}, Fill(FillRule.DRAW, seed))
    assert crowded.get("other") == 3

    value = ask(alone, name, domain)
    assert exactly(value) == exactly(ask(crowded, name, domain)) == exactly(draw(domain, seed, name))
    assert domain.contains(value)


@given(names, domains)
def test_the_default_is_filled_in(name: str, domain: Domain) -> None:
    assert exactly(ask(HyperParameters(fill=Fill(FillRule.DEFAULT, 3)), name, domain)) == exactly(domain.default)


def test_asking_again_gives_the_same_value() -> None:
    hp = HyperParameters(fill=Fill(FillRule.DRAW, 1))
    value = hp.Float("lr", 0, 1)

    assert hp.Float("lr", 0, 1) == hp["lr"] == hp.get("lr") == value


@pytest.mark.parametrize("known", [True, False], ids=["from the search", "by the trial itself"])
def test_another_range_under_the_same_name_is_refused(known: bool) -> None:
    hp = HyperParameters({"a/units": Int(1, 5)} if known else None)
    with hp.name_scope("a"):
        hp.Int("units", 1, 5)
        with pytest.raises(SpaceError) as caught:
            hp.Int("units", 1, 6)

    assert str(caught.value) == (
        "parameter 'a/units' is Int(1 to 5) and was declared again as Int(1 to 6): give one of the two another name"
    )
    assert hp.values == {"a/units": 1}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Int(1, 5), Int(1, 5, default=2)),
        (Int(1, 5), Float(1, 5)),
        (Choice([0, 1]), Choice([False, True])),
        (Fixed(1), Fixed(True)),
        (Choice([1, 2]), Choice([2, 1])),
    ],
)
def test_any_difference_is_another_range(one: Domain, other: Domain) -> None:
    hp = HyperParameters({"x": one})

    with pytest.raises(SpaceError) as caught:
        ask(hp, "x", other)
    assert one.describe() in str(caught.value)
    assert other.describe() in str(caught.value)


def test_a_wrong_argument_names_the_parameter() -> None:
    hp = HyperParameters()

    with hp.name_scope("net"), pytest.raises(SpaceError) as caught:
        hp.Int("units", 5, 1)
    assert str(caught.value) == "parameter 'net/units': Int(max_value=...) takes an integer of at least min_value (5), not 1"
    assert (hp.space, hp.values, hp.drain()) == ({}, {}, ({}, {}))


def test_a_proposed_value_that_does_not_fit_names_the_parameter() -> None:
    hp = HyperParameters(values={"units": 9})

    with pytest.raises(SpaceError) as caught:
        hp.Int("units", 1, 5)
    assert str(caught.value) == "parameter 'units': Int(1 to 5) takes one of its values, not 9"
    assert (hp.space, hp.values, hp.drain()) == ({}, {}, ({}, {}))


@pytest.mark.parametrize("name", ["", "a//b", "/a", "a/", "a\n", 3, None])
@pytest.mark.fault(37)
def test_names_are_checked(name: str) -> None:
    hp = HyperParameters()

    with pytest.raises(SpaceError, match="the name of a parameter takes printable text"):
        hp.Boolean(name)
    with pytest.raises(SpaceError, match=r"name_scope\(\) takes printable text"), hp.name_scope(name):
        pass


def test_drain_tells_what_is_new_once() -> None:
    hp = HyperParameters({"known": Int(1, 5), "unused": Int(1, 5)}, {"known": 2, "unused": 3})
    hp.Int("known", 1, 5)
    hp.Boolean("new")

    assert hp.drain() == ({"new": Boolean()}, {"known": 2, "new": False})
    assert hp.drain() == ({}, {})

    hp.Boolean("new")
    hp.Fixed("newer", 1)
    assert hp.drain() == ({"newer": Fixed(1)}, {"new": False, "newer": 1})


def test_what_was_drained_does_not_change_afterwards() -> None:
    hp = HyperParameters()
    hp.Boolean("a")
    parameters, values = hp.drain()
    hp.Boolean("b")

    assert (list(parameters), list(values)) == (["a"], ["a"])


def test_reading_a_known_parameter_is_asking_for_it() -> None:
    hp = HyperParameters({"a": Int(1, 5), "b/c": Int(1, 5)}, {"a": 2, "b/c": 3})

    assert hp.values == {}
    assert hp["a"] == 2
    with hp.name_scope("b"):
        assert "c" in hp
        assert "a" not in hp
        assert hp.get("c") == 3
    assert hp.values == {"a": 2, "b/c": 3}
    assert hp.drain() == ({}, {"a": 2, "b/c": 3})


def test_an_unknown_parameter_cannot_be_read() -> None:
    hp = HyperParameters({"a": Int(1, 5)})

    with hp.name_scope("b"), pytest.raises(KeyError, match="no parameter 'b/a' is known; known are: 'a'"):
        hp.get("a")
    with pytest.raises(KeyError, match="known are: none"):
        _ = HyperParameters()["a"]
    assert 3 not in hp


def test_iteration_is_over_what_is_known() -> None:
    hp = HyperParameters({"a": Int(1, 5)})
    hp.Boolean("b")

    assert list(hp) == ["a", "b"]
    for name in hp:
        hp.Boolean(f"{name}2")
    assert list(hp) == ["a", "b", "a2", "b2"]


def test_a_scope_is_left_when_its_block_raises() -> None:
    hp = HyperParameters()
    with pytest.raises(ZeroDivisionError), hp.name_scope("a"):
        raise ZeroDivisionError
    hp.Boolean("x")

    assert list(hp) == ["x"]


def test_what_was_passed_is_not_touched() -> None:
    space: dict[str, Domain] = {"a": Int(1, 5)}
    hp = HyperParameters(space, {})
    hp.Boolean("b")
    hp.space["c"] = Boolean()
    hp.values["c"] = True

    assert list(space) == ["a"]
    assert list(hp) == ["a", "b"]
    assert hp.values == {"b": False}


def test_it_can_be_pickled() -> None:
    hp = HyperParameters(fill=Fill(FillRule.DRAW, 5))
    hp.Float("lr", 0, 1)
    copy = pickle.loads(pickle.dumps(hp))

    assert copy.values == hp.values
    assert copy.Int("units", 1, 100) == hp.Int("units", 1, 100)
