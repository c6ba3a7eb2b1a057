"""Parameters that are there only under conditions, as data, in a space, and in a dict space."""

from __future__ import annotations

import time
from typing import Any

import pytest

from asynctune.errors import SpaceError
from asynctune.records import Value
from asynctune.space import Boolean, Case, Cases, Choice, Condition, Fixed, Float, Int, Parameter, Space, When

KIND = Choice(["cnn", "mlp"])
CNN, MLP = Condition("kind", "cnn"), Condition("kind", "mlp")
DECLARED: dict[str, Any] = {
    "kind": KIND,
    "width": When("kind", "cnn", Int(1, 3)) | When("kind", "mlp", Int(10, 30)),
    "net": When("kind", "cnn", {"pool": Choice(["max", "avg"]), "size": When("pool", "max", Int(2, 3)), "bias": True})
    | When("kind", "mlp", {"rate": Float(0, 1)}),
    "ceil": When("net/pool", ["avg"], Boolean()),
}
CONV: dict[str, Value] = {"kind": "cnn", "width": 2, "net/pool": "max", "net/size": 3, "net/bias": True}
DENSE: dict[str, Value] = {"kind": "mlp", "width": 12, "net/rate": 0.5}


def cases(*given: tuple[Condition, Any]) -> Cases:
    return Cases([Case((condition,), domain) for condition, domain in given])


# ---------------------------------------------------------------------------------------------------------------- as data


def test_a_condition_is_met_by_exactly_its_values() -> None:
    condition = Condition("x", [1, "a", None])

    assert [condition.is_met({"x": value}) for value in (1, "a", None, 1.0, True, 2)] == [True] * 3 + [False] * 3
    assert not condition.is_met({"y": 1})
    assert Condition("x", [1, True, 1.0, 1]).values == (1, True, 1.0)
    assert Condition("x", [True, 1]).is_met({"x": 1})
    assert Condition("x", 1) == Condition("x", [1]) != Condition("x", [True])
    assert hash(Condition("x", [1, 1])) == hash(Condition("x", (1,)))
    assert condition.describe() == "'x' is 1 or 'a' or None"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Condition("", 1), "the parent of a condition takes printable text"),
        (lambda: Condition("x", []), "the values of a condition takes a list of at least one value, not []"),
        (lambda: Condition("x", {1}), "the values of a condition takes a finite number, a string"),
        (lambda: Cases([]), r"Cases(...) takes at least one Case, each under conditions"),
        (lambda: Cases([Case((), KIND)]), r"Cases(...) takes at least one Case, each under conditions"),
        (lambda: When("", 1, 2), "When('', ...): the parent of a condition takes printable text"),
        (lambda: When("x", [], 2), "When('x', ...): the values of a condition takes a list"),
        (lambda: When("x", 1, 2) | 3, "When(...) | ... takes another When(...), not 3"),  # type: ignore[operator]
    ],
)
def test_what_is_no_condition(make: Any, text: str) -> None:
    with pytest.raises(SpaceError) as caught:
        make()
    assert str(caught.value).startswith(text)


# ------------------------------------------------------------------------------------------------------------- in a space


def test_a_dict_space() -> None:
    space = Space.of(DECLARED)

    assert dict(space) == {
        "kind": KIND,
        "width": cases((CNN, Int(1, 3)), (MLP, Int(10, 30))),
        "net/pool": cases((CNN, Choice(["max", "avg"]))),
        "net/size": Cases([Case((CNN, Condition("net/pool", ["max"])), Int(2, 3))]),
        "net/bias": cases((CNN, Fixed(True))),
        "net/rate": cases((MLP, Float(0, 1))),
        "ceil": cases((Condition("net/pool", ["avg"]), Boolean())),
    }
    assert space.is_conditional
    assert not Space.of({"a": 1}).is_conditional
    assert space.size is None
    assert Space.of({**DECLARED, "net": When("kind", "cnn", {"pool": KIND}), "ceil": 1}).size == 3 * 2 + 21


def test_what_is_there() -> None:
    space = Space.of(DECLARED)

    assert space.validate(CONV) == CONV
    assert space.validate(DENSE) == DENSE
    assert space.active(DENSE) == {"kind": KIND, "width": Int(10, 30), "net/rate": Float(0, 1)}
    assert (space.domain("width", CONV), space.domain("width", DENSE)) == (Int(1, 3), Int(10, 30))
    assert (space.domain("width", {}), space.domain("kind", {}), space.domain("what", CONV)) == (None, KIND, None)
    # An inactive parent counts for nothing.
    assert space.domain("ceil", {"kind": "mlp", "net/pool": "avg"}) is None
    assert "ceil" not in space.active({"kind": "mlp", "net/pool": "avg"})
    assert space.defaults() == {"kind": "cnn", "width": 1, "net/pool": "max", "net/size": 2, "net/bias": True}
    assert space.nest(DENSE) == {"kind": "mlp", "width": 12, "net": {"rate": 0.5}}


def test_completing() -> None:
    space = Space.of(DECLARED)
    asked: list[tuple[str, object]] = []

    def fill(name: str, domain: Any) -> Any:
        asked.append((name, domain))
        return domain.default

    assert space.complete({"net/pool": "avg", "net/rate": 0.5, "what": 3}, fill) == {
        "kind": "cnn",
        "width": 1,
        "net/pool": "avg",
        "net/bias": True,
        "ceil": False,
    }
    assert [name for name, _ in asked] == ["kind", "width", "net/bias", "ceil"]
    assert asked[1] == ("width", Int(1, 3))
    with pytest.raises(SpaceError, match=r"parameter 'width': Int\(1 to 3\) takes one of its values, not 12"):
        space.complete({"width": 12}, fill)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {**DENSE, "net/pool": "max"},
            "parameter 'net/pool' has a value, and is not there: it is Choice('max', 'avg') when 'kind'",
        ),
        ({**DENSE, "what": 1}, "'what' is not a parameter; the parameters are 'kind', "),
        ({"kind": "mlp", "width": 12}, "parameter 'net/rate' has no value; the parameters are 'kind', "),
        ({**DENSE, "width": 3}, "parameter 'width': Int(10 to 30) takes one of its values, not 3"),
        ({"width": 3}, "parameter 'width' has a value, and is not there: it is Int(1 to 3) when 'kind' is 'cnn'; Int(10 to"),
    ],
)
def test_values_that_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space.of(DECLARED).validate(values)
    assert str(caught.value).startswith(message)


def test_values_in_conditions_are_those_of_the_parent() -> None:
    space = Space.of({"rate": Float(0, 1, step=0.5), "x": When("rate", 1, Boolean())})

    assert space["x"] == cases((Condition("rate", [1.0]), Boolean()))
    assert space.validate({"rate": 1, "x": True}) == {"rate": 1.0, "x": True}


def test_a_space_in_a_space_keeps_its_conditions() -> None:
    inner = Space.of(DECLARED)
    space = Space.of({"on": Boolean(), "inner": When("on", True, inner), "kind": 3})

    assert space["inner/width"] == Cases(
        [
            Case((Condition("on", [True]), Condition("inner/kind", [kind])), domain)
            for kind, domain in (("cnn", Int(1, 3)), ("mlp", Int(10, 30)))
        ]
    )
    assert Space.of({"inner": inner})["inner/ceil"] == cases((Condition("inner/net/pool", ["avg"]), Boolean()))
    assert Space.of({"kind": KIND, "x": cases((CNN, Boolean()))})["x"] == cases((CNN, Boolean()))


def test_a_parent_is_looked_for_in_its_own_group_first() -> None:
    space = Space.of({"a": Boolean(), "g": {"a": Boolean(), "x": When("a", True, 1), "h": {"x": When("a", False, 2)}}})
    assert [space[name].describe() for name in ("g/x", "g/h/x")] == [
        "Fixed(1) when 'g/a' is True",
        "Fixed(2) when 'g/a' is False",
    ]
    # Not itself.
    assert Space.of({"a": Boolean(), "g": {"a": When("a", True, 1)}})["g/a"].describe() == "Fixed(1) when 'a' is True"


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"a": When("b", 1, 3)}, "parameter 'a' depends on 'b', which there is not; the parameters are 'a'"),
        ({"a": When("a", 1, 3)}, "parameter 'a' depends on itself"),
        (
            {"a": Int(1, 3), "b": When("a", 5, 1)},
            "parameter 'b' has a wrong condition: 'a' cannot be 5, which is not a value of Int",
        ),
        (
            {"a": Boolean(), "b": When("a", True, 1), "c": When("b", 2, 1)},
            "parameter 'c' has a wrong condition: 'b' cannot be 2, which is not a value of Fixed(1) when 'a' is True",
        ),
        (
            {"a": When("b", True, Boolean()), "b": When("c", True, Boolean()), "c": When("a", True, Boolean())},
            "parameters depend on each other: 'a' on 'b' on 'c' on 'a'",
        ),
        (
            {"a": Int(1, 3), "b": When("a", 1, When("a", 2, 5))},
            "parameter 'b' can never be Fixed(5) when 'a' is 1 and 'a' is 2: these conditions exclude each other",
        ),
        (
            {"a": Boolean(), "b": When("a", True, Boolean()), "c": When("b", True, When("a", False, 1))},
            "parameter 'c' can never be Fixed(1) when 'b' is True and 'a' is False: these conditions exclude each other",
        ),
        (
            {"a": Int(1, 3), "b": When("a", [1, 2], Int(1, 2)) | When("a", [2, 3], Int(1, 3))},
            "parameter 'b' is Int(1 to 2) when 'a' is 1 or 2 and was declared again as Int(1 to 3) when 'a' is 2 or 3",
        ),
        ({"a": Boolean(), "b": When("a", True, {"c": [1, 2]})}, "parameter 'b/c' is a list: write Choice"),
        ({"a": Boolean(), "b": When("a", True, Boolean)}, "parameter 'b' is the class Boolean: write Boolean(...)"),
        ({"a": Boolean(), "b": When("a", True, {"c/d": 1})}, "a name in 'b/' takes text without '/'"),
    ],
)
def test_conditions_that_cannot_be(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space.of(declared)
    assert str(caught.value).startswith(message)


def test_branches_can_exclude_each_other_through_their_parents() -> None:
    space = Space.of(
        {"a": Int(1, 2), "b": When("a", 1, Boolean()), "x": When("b", True, Int(1, 2)) | When("a", 2, Int(5, 9))},
    )

    assert space.size == 2 + 1 + 5


# --------------------------------------------------------------------------------------------------------------- growing


def test_growing_adds_cases() -> None:
    space = Space({"kind": KIND, "width": cases((CNN, Int(1, 3)))})
    grown = space.grow({"width": cases((MLP, Int(4, 5)))})

    assert grown["width"] == cases((CNN, Int(1, 3)), (MLP, Int(4, 5)))
    assert grown.grow({"width": cases((MLP, Int(4, 5)))}) is grown
    assert grown.grow({"width": cases((CNN, Int(1, 3)), (MLP, Int(4, 5)))}) is grown
    with pytest.raises(
        SpaceError, match=r"'width' is Int\(1 to 3\) when 'kind' is 'cnn' and was declared again as Int\(1 to 4\)"
    ):
        grown.grow({"width": cases((CNN, Int(1, 4)))})
    with pytest.raises(SpaceError, match=r"was declared again as Int\(1 to 3\)"):
        grown.grow({"width": Int(1, 3)})
    assert space.grow({"width": Int(1, 3)})["width"] == Int(1, 3)


def test_a_parent_that_became_known_later_moves_to_the_front() -> None:
    space = Space({"a": Boolean(), "x": cases((Condition("a", [True]), Int(1, 2)))})
    grown = space.grow({"b": Boolean(), "x": Cases([Case((Condition("a", [False]), Condition("b", [True])), Int(1, 9))])})

    assert list(grown) == ["a", "b", "x"]
    assert grown.size == 2 * 2 + (1 + 9)


# -------------------------------------------------------------------------------------------------------------- the size


def test_the_size_of_a_big_space_is_known_at_once() -> None:
    parameters: dict[str, Parameter] = {}
    for place in range(200):
        parameters[f"k{place}"] = Int(1, 10**6)
        parameters[f"x{place}"] = cases((Condition(f"k{place}", list(range(1, 30))), Int(1, 10**9)))
    star: dict[str, Parameter] = {"k": KIND, "a": Int(1, 5)}
    for place in range(60):
        star[f"b{place}"] = cases((Condition("k", ["cnn"]), Boolean()))
    for place in range(60):
        star[f"c{place}"] = cases((Condition(f"b{place}", [True]), Int(1, 3)))
    together = {f"b{place}": Boolean() for place in range(60)}
    all_of_them = Case(tuple(Condition(name, [True]) for name in together), Int(1, 7))
    begun = time.process_time()

    assert Space(parameters).size == (29 * 10**9 + 10**6 - 29) ** 200
    assert Space(star).size == 5 * (1 + 4**60)
    assert Space({**together, "x": Cases([all_of_them])}).size == 2**60 - 1 + 7
    assert time.process_time() - begun < 5  # not 2**60 of anything


def test_a_space_without_end_behind_a_condition() -> None:
    assert Space.of({"a": Boolean(), "x": When("a", True, Float(0, 1))}).size is None
    assert Space.of({"a": Fixed(1), "b": When("a", 1, Boolean()), "x": When("b", True, Float(0, 1, step=0.5))}).size == 1 + 3


# ------------------------------------------------------------------------------------------------------------- to be read


def test_a_table() -> None:
    assert str(Space.of({**DECLARED, "n": Int(1, 9, default=4)})).splitlines() == [
        "8 parameters, any number of combinations",
        "",
        "name      domain                default  when",
        "kind      Choice('cnn', 'mlp')  'cnn'",
        "width     Int(1 to 3)           1        'kind' is 'cnn'",
        "          Int(10 to 30)         10       'kind' is 'mlp'",
        "net/pool  Choice('max', 'avg')  'max'    'kind' is 'cnn'",
        "net/size  Int(2 to 3)           2        'kind' is 'cnn' and 'net/pool' is 'max'",
        "net/bias  Fixed(True)           True     'kind' is 'cnn'",
        "net/rate  Float(0.0 to 1.0)     0.0      'kind' is 'mlp'",
        "ceil      Boolean()             False    'net/pool' is 'avg'",
        "n         Int(1 to 9)           4",
    ]
    assert str(Space()) == "no parameters"
    assert str(Space.of({"a": Boolean(True)})).splitlines()[0::3] == ["1 parameter, 2 combinations", "a     Boolean()  True"]
    assert "..." in Space.of({"a": Choice(list(range(100)))}).describe()


def test_a_summary() -> None:
    assert Space.of({"kind": KIND, "x": When("kind", "cnn", Int(1, 3))}).summary() == [
        {"name": "kind", "kind": "Choice", "values": ["cnn", "mlp"], "ordered": False, "default": "cnn", "conditions": []},
        {
            "name": "x",
            "kind": "Int",
            "min_value": 1,
            "max_value": 3,
            "step": None,
            "sampling": "linear",
            "default": 1,
            "conditions": [{"parent": "kind", "values": ["cnn"]}],
        },
    ]


def test_repr_and_fingerprint() -> None:
    one = Space({"kind": KIND, "x": cases((CNN, Int(1, 3)))})
    variants = [
        one,
        Space({"kind": KIND, "x": cases((MLP, Int(1, 3)))}),
        Space({"kind": KIND, "x": cases((CNN, Int(1, 3)), (MLP, Int(1, 3)))}),
        Space({"kind": KIND, "x": cases((Condition("kind", ["cnn", "mlp"]), Int(1, 3)))}),
        Space({"kind": KIND, "x": Int(1, 3)}),
    ]

    assert repr(one) == "Space(kind: Choice('cnn', 'mlp'), x: Int(1 to 3) when 'kind' is 'cnn')"
    assert len({space.fingerprint() for space in variants}) == len(set(variants)) == len(variants)
