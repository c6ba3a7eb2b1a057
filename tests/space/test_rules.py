"""The rules of a space, and what it computes: that they are shown, and that they leave something."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from asynctune.errors import SpaceError
from asynctune.space import Boolean, Case, Cases, Choice, Condition, Fixed, Float, HyperParameters, Int, Normal, Space, When
from asynctune.space.allowing import combinations
from asynctune.tune import sample_from
from tests.space.conditional import small_spaces


def fits(values: Mapping[str, Any]) -> bool:
    return bool(values["units"] * values["layers"] <= 6)


def never(values: Mapping[str, Any]) -> bool:
    return False


def double(config: Mapping[str, Any]) -> int:
    return int(config["units"] * 2)


RULED = Space(
    {"units": Int(1, 4), "layers": Int(1, 3), "twice": sample_from(double)},
    forbidden=[{"units": [1, 2], "layers": 3}, {"units": 4}],
    feasible=[fits],
)


def test_a_space_shows_its_rules_and_what_it_computes() -> None:
    here = __name__
    assert repr(RULED) == (
        f"Space(units: Int(1 to 4), layers: Int(1 to 3), twice: Derived({here}.double), "
        f"forbidden: 'units' is 1 or 2 and 'layers' is 3, forbidden: 'units' is 4, feasible: {here}.fits)"
    )
    assert str(RULED) == RULED.describe()
    assert RULED.describe().splitlines() == [
        "2 parameters and 1 computed value, 12 combinations, of which the rules allow 6",
        "",
        "name    domain                                     default  when",
        "units   Int(1 to 4)                                1",
        "layers  Int(1 to 3)                                1",
        f"twice   computed by {here}.double",
        "",
        "forbidden: 'units' is 1 or 2 and 'layers' is 3",
        "forbidden: 'units' is 4",
        f"feasible: {here}.fits",
    ]
    assert RULED.summary()[2:] == [{"name": "twice", "kind": "Derived", "function": f"{here}.double"}]
    assert json.loads(json.dumps(RULED.terms))["feasible"] == [f"{here}.fits"]


def test_how_many_is_said_as_far_as_it_is_known() -> None:
    huge = Space({"units": Int(1, 10**7), "layers": Int(1, 3)}, feasible=[fits])
    endless = Space({"units": Float(1, 4), "layers": Int(1, 3)}, feasible=[fits])

    assert huge.describe().startswith("2 parameters, 30,000,000 combinations, of which the rules allow some\n")
    assert endless.describe().startswith("2 parameters, any number of combinations, of which the rules allow some\n")
    assert Space({"twice": sample_from(lambda: 1)}).describe().startswith("0 parameters and 1 computed value, 1 combination\n")


def test_long_rules_are_cut() -> None:
    space = Space({"units": Int(1, 1000)}, forbidden=[{"units": list(range(2, 500))}])

    assert max(map(len, str(space).splitlines())) == 120


UNITS = {"units": Int(1, 4), "layers": Int(1, 3)}
MANY = {f"p{place}": Int(1, 100) for place in range(50)}
CONDITIONAL = {"kind": Choice(["a", "b"]), "x": When("kind", "a", Int(1, 2)) | When("kind", "b", Float(0, 1, step=1))}


@pytest.mark.parametrize(
    ("parameters", "forbidden", "feasible", "told"),
    [
        (UNITS, [{"units": [1, 2, 3, 4]}], [], "forbidden: 'units' is 1 or 2 or 3 or 4"),
        (
            UNITS,
            [{"units": [1, 2]}],
            [fits, never],
            f"forbidden: 'units' is 1 or 2; feasible: {__name__}.fits; feasible: {__name__}",
        ),
        (
            UNITS,
            [{"units": [1, 2], "layers": [1, 2]}, {"layers": 3}, {"units": [3, 4]}],
            [],
            "forbidden: 'units' is 1 or 2 and",
        ),
        # What is too much to be looked at one by one, or has no end, but for what the clauses speak of.
        ({**UNITS, **MANY}, [{"units": [1, 2, 3, 4]}], [], "forbidden"),
        ({**MANY, "units": Int(1, 2)}, [{"units": 1, "p0": list(range(1, 101))}, {"units": 2}], [], "forbidden"),
        ({**UNITS, "x": Float(0, 1), "y": Normal(0, 1)}, [{"units": [1, 2, 3, 4]}], [], "forbidden"),
        (CONDITIONAL, [{"kind": "a", "x": 1}, {"kind": "a", "x": 2}, {"kind": "b"}], [], "forbidden"),
        (CONDITIONAL, [{"x": [0, 1, 2]}], [], "forbidden"),
        ({"x": Fixed(1)}, [{"x": 1}], [], "forbidden: 'x' is 1"),
        ({}, [], [never], "feasible"),
    ],
)
def test_a_space_in_which_nothing_is_allowed(parameters: Any, forbidden: Any, feasible: Any, told: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space(parameters, forbidden=forbidden, feasible=feasible)

    assert str(caught.value).startswith("the rules of this space allow nothing, so no trial could ever run: " + told)


@pytest.mark.parametrize(
    ("parameters", "forbidden", "feasible"),
    [
        (UNITS, [{"units": [1, 2, 3]}], []),
        ({"x": Float(0, 1)}, [{"x": [0, 0.5, 1]}], []),
        ({"x": Normal(0, 1, step=1)}, [{"x": [0, 1]}], []),
        ({"x": Int(1, 2**62)}, [{"x": [1, 2]}], []),
        (CONDITIONAL, [{"x": [0, 2]}, {"kind": "b"}], []),
        (CONDITIONAL, [{"kind": "a"}, {"x": 0}], []),
        # Nobody can say without looking at all of it.
        ({"x": Float(0, 1)}, [], [never]),
        ({"x": Int(1, 10**9)}, [], [never]),
    ],
)
def test_a_space_in_which_something_may_be_allowed(parameters: Any, forbidden: Any, feasible: Any) -> None:
    assert Space(parameters, forbidden=forbidden, feasible=feasible).rules


def test_a_space_of_thousands_of_parameters_can_have_rules() -> None:
    space = Space({f"p{place}": Fixed(place) for place in range(3000)} | {"k": Boolean()}, forbidden=[{"k": False}])

    assert space.size == 1


def test_clauses_that_are_too_entangled_are_left_to_the_search() -> None:
    # No three pigeons in two holes, eleven times over: every way to place them would have to be looked at.
    pigeons = {f"p{place}": Int(1, 10) for place in range(11)}
    clauses = [{one: hole, other: hole} for one in pigeons for other in pigeons if one < other for hole in range(1, 11)]

    assert Space(pigeons, forbidden=clauses).rules


@st.composite
def ruled(draw: DrawFn) -> tuple[Space, list[dict[str, Any]]]:
    space = draw(small_spaces.filter(bool))
    names = st.lists(st.sampled_from(sorted(space)), min_size=1, max_size=2, unique=True)
    return space, [
        {name: draw(st.lists(_values(space, name), min_size=1, max_size=3)) for name in draw(names)}
        for _ in range(draw(st.integers(1, 4)))
    ]


def _values(space: Space, name: str) -> st.SearchStrategy[Any]:
    parameter = space[name]
    domains = parameter.domains if isinstance(parameter, Cases) else (parameter,)
    return st.sampled_from([value for domain in domains for value in domain.values])


@given(ruled())
def test_it_is_an_error_exactly_if_nothing_is_left(given: tuple[Space, list[dict[str, Any]]]) -> None:
    space, clauses = given
    try:
        allowed = Space(space, forbidden=clauses)
    except SpaceError:
        is_left = False
    else:
        is_left = any(map(allowed.is_allowed, combinations(space.parameters)))
        assert is_left
    if not is_left:
        assert all(any(_agrees(clause, values) for clause in clauses) for values in combinations(space.parameters))


def _agrees(clause: Mapping[str, list[Any]], values: Mapping[str, Any]) -> bool:
    # 1 and 1.0 of two branches are both meant.
    return all(
        name in values
        and any(value == values[name] and (type(value) is bool) == (type(values[name]) is bool) for value in among)
        for name, among in clause.items()
    )


IMPOSSIBLE = Cases([Case((Condition("k", "a"), Condition("k", "b")), Int(1, 2))])


@pytest.mark.parametrize("declare", [Space, Space.of])
def test_both_ways_to_declare_a_space_check_it_alike(declare: Any) -> None:
    with pytest.raises(SpaceError, match="'x' can never be"):
        declare({"k": Choice(["a", "b"]), "x": IMPOSSIBLE})
    hp = HyperParameters()
    hp.Int("units", 1, 4)
    assert declare(hp) == declare({"units": Int(1, 4)}) == declare(Space({"units": Int(1, 4)}))


@pytest.mark.parametrize("given", [[Int(1, 2)], [("a", Int(1, 2))], When("k", 1, Int(1, 2)), Int(1, 2), 3, "lr"])
def test_what_is_no_space(given: Any) -> None:
    with pytest.raises(SpaceError, match=r"^Space\(\) takes a dict, a Space or a HyperParameters, not "):
        Space(given)


def test_the_parameters_of_a_hyperparameters_can_be_given_rules() -> None:
    hp = HyperParameters()
    hp.Int("units", 1, 4)

    assert Space(hp, forbidden=[{"units": 1}]).size == 3
