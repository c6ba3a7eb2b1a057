"""How many sets of values a space has: against trying them all, and where only their structure can be counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from asynctune.space import Boolean, Case, Cases, Choice, Condition, Domain, Float, Int, Parameter, Space
from asynctune.space.allowing import combinations

DOMAINS: tuple[Domain, ...] = (Int(1, 2), Int(1, 3), Boolean(), Choice(["a", "b", "c"]))


@st.composite
def entangled(draw: DrawFn) -> dict[str, Parameter]:
    """Parameters with many overlapping cases over several parents, themselves conditional."""
    found: dict[str, Parameter] = {}
    for place in range(draw(st.integers(2, 7))):
        domain = draw(st.sampled_from(DOMAINS))
        cases = [
            Case(tuple(draw(st.lists(condition(found), min_size=1, max_size=3))), domain)
            for _ in range(draw(st.integers(0, 4)) if found else 0)
        ]
        found[f"p{place}"] = Cases(cases) if cases else domain
    return found


@st.composite
def condition(draw: DrawFn, known: dict[str, Parameter]) -> Condition:
    parent = draw(st.sampled_from(sorted(known)))
    parameter = known[parent]
    domain = parameter.domains[0] if isinstance(parameter, Cases) else parameter
    return Condition(parent, draw(st.lists(st.sampled_from(domain.values), min_size=1, max_size=2, unique=True)))


@given(entangled())
def test_it_is_as_many_as_there_are(parameters: dict[str, Parameter]) -> None:
    space = Space().grow(parameters)  # some cases can never be

    assert space.size == sum(1 for _ in combinations(space.parameters))


def booleans(name: str, number: int) -> dict[str, Parameter]:
    return {f"{name}{place}": Boolean() for place in range(number)}


def when(*parents: str) -> Case:
    return Case(tuple(Condition(parent, True) for parent in parents), Int(1, 2))


def test_many_parents_of_one_parameter() -> None:
    parameters = {**booleans("b", 300), "x": Cases([when(f"b{place}") for place in range(300)])}

    assert Space(parameters).size == 2 * (2**300 - 1) + 1


def test_many_cases_that_share_a_parent_which_comes_last() -> None:
    parameters = {**booleans("b", 100), "k": Boolean(), "x": Cases([when(f"b{place}", "k") for place in range(100)])}

    # Without k, or without any of the others, there is no x.
    assert Space(parameters).size == 2**100 + 2 * (2**100 - 1) + 1


def test_parts_that_have_nothing_to_do_with_each_other() -> None:
    each = {f"x{place}": Cases([when(f"a{place}", f"b{place}")]) for place in range(200)}

    # Both parents of a pair: 1 of 4 ways has x, twice.
    assert Space({**booleans("a", 200), **booleans("b", 200), **each}).size == 5**200


def test_parts_that_fall_apart_once_what_they_share_is_known() -> None:
    each = {f"x{place}": Cases([when(f"a{place}", f"b{place}", "k")]) for place in range(100)}

    assert Space({**booleans("a", 100), **booleans("b", 100), "k": Boolean(), **each}).size == 4**100 + 5**100


def test_pairs_of_neighbours() -> None:
    each = {f"x{place}": Cases([when(f"b{place}", f"b{place + 1}")]) for place in range(200)}
    ways = {True: 1, False: 1}  # by the last boolean
    for _ in range(200):
        ways = {True: ways[False] + 2 * ways[True], False: ways[False] + ways[True]}

    assert Space({**booleans("b", 201), **each}).size == sum(ways.values())


def test_a_long_chain_and_a_wide_fan() -> None:
    chain: dict[str, Parameter] = {"b0": Boolean()}
    chain |= {f"b{place}": Cases([Case((Condition(f"b{place - 1}", True),), Boolean())]) for place in range(1, 3000)}
    fan = {"k": Boolean(), **{f"x{place}": Cases([when("k")]) for place in range(3000)}}

    assert Space(chain).size == 3001
    assert Space(fan).size == 1 + 2**3000


@pytest.mark.parametrize("cases", [[when("b0")], [when("b0", "b1"), when("b1", "b2")]])
def test_what_has_no_end_anywhere_has_none(cases: list[Case]) -> None:
    endless = Cases([Case(case.conditions, Float(0, 1)) for case in cases])

    assert Space({**booleans("b", 3), "x": endless}).size is None
    assert Space({**booleans("b", 3), "x": endless, "y": Cases([Case((Condition("x", 0.5),), Int(1, 2))])}).size is None


def test_a_whole_float_is_one_value() -> None:
    kind: Domain = Int(1, 2)
    cases = [Case((Condition("a", 1),), Int(1, 1)), Case((Condition("a", 2),), Float(0, 1, step=0.5))]
    child = Cases([Case((Condition("b", [1, 1.0]),), Int(1, 2))])
    assert Space().grow({"a": kind, "b": Cases(cases), "c": child}).size == 2 + (2 + 2)
