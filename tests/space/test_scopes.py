"""Parameters that are declared where they are used, under conditions."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from asynctune.errors import SpaceError
from asynctune.space import Boolean, Case, Cases, Choice, Condition, Fixed, Float, HyperParameters, Int, Space, When


def when(parent: str, *values: Any) -> tuple[Condition, ...]:
    return (Condition(parent, values),)


def build(hp: HyperParameters) -> list[object]:
    """KerasTuner's hardest: one name in two branches, scopes in scopes, and a scope on a conditional parent opened again."""
    found: list[object] = [hp.Choice("kind", ["cnn", "mlp"])]
    with hp.conditional_scope("kind", "cnn"):
        found += [hp.Int("width", 1, 3), hp.Choice("pool", ["max", "avg"])]
        with hp.conditional_scope("pool", ["max"]):
            found.append(hp.Int("size", 2, 3))
    with hp.conditional_scope("kind", ["mlp"]):
        found.append(hp.Int("width", 10, 30))
    with hp.conditional_scope("pool", "avg"):
        found.append(hp.Boolean("ceil"))
    return found


@pytest.mark.parametrize(
    ("values", "got", "used"),
    [
        ({}, ["cnn", 1, "max", 2, None, None], {"kind": "cnn", "width": 1, "pool": "max", "size": 2}),
        ({"kind": "mlp", "width": 12}, ["mlp", None, None, None, 12, None], {"kind": "mlp", "width": 12}),
        ({"pool": "avg"}, ["cnn", 1, "avg", None, None, False], {"kind": "cnn", "width": 1, "pool": "avg", "ceil": False}),
    ],
    ids=["defaults", "the other branch", "opened again"],
)
def test_each_branch_has_its_own(values: dict[str, Any], got: list[object], used: dict[str, Any]) -> None:
    """case 2: the same name in two branches; case 3: a scope on a conditional parent, opened from outside.

    KerasTuner: case 2 fails every trial of one branch with a KeyError; case 3 raises "not defined"."""
    hp = HyperParameters(values=values)

    assert build(hp) == got
    assert (hp.values, hp.drain()[1]) == (used, used)
    assert Space.of(hp).validate(hp.values) == used
    assert Space.of(hp).size == 3 * (2 + 2) + 21


def test_what_is_known_of_it_is_the_same_from_every_branch() -> None:
    spaces = [HyperParameters(values=values) for values in ({}, {"kind": "mlp"}, {"pool": "avg"})]
    for hp in spaces:
        build(hp)

    assert spaces[0].space == spaces[1].space == spaces[2].space
    assert list(spaces[0].space) == ["kind", "width", "pool", "size", "ceil"]
    assert spaces[0].space["width"] == Cases([Case(when("kind", "cnn"), Int(1, 3)), Case(when("kind", "mlp"), Int(10, 30))])


def test_branches_that_only_one_trial_sees_meet_in_the_space() -> None:
    """As `if` in a model does it."""

    def branch(hp: HyperParameters) -> None:
        kind = hp.Choice("kind", ["cnn", "mlp"])
        with hp.conditional_scope("kind", kind):
            assert hp.Int("width", 1, 3) if kind == "cnn" else hp.Int("width", 10, 30)

    space = Space()
    for kind in ("cnn", "mlp", "cnn"):
        hp = HyperParameters(space, {"kind": kind})
        branch(hp)
        space = space.grow(hp.drain()[0])
    whole = HyperParameters()
    build(whole)

    assert space["width"] == whole.space["width"]


@pytest.mark.parametrize("inner", ["depth", "kind"])
def test_a_scope_on_an_outer_parent(inner: str) -> None:
    """case 3. KerasTuner raises "not defined": it looks for the parent under the conditions that are open."""
    hp = HyperParameters(values={"depth": 2})
    hp.Int("depth", 1, 3)
    hp.Choice("kind", ["cnn", "mlp"])
    with hp.conditional_scope("kind", "cnn"), hp.conditional_scope(inner, 2 if inner == "depth" else "cnn"):
        assert hp.Int("x", 5, 6) == 5

    assert hp.drain()[1] == hp.values == {"depth": 2, "kind": "cnn", "x": 5}


def test_loops_over_a_parameter() -> None:
    """case 4, the declaration. KerasTuner keeps proposing `units_1` where there is one layer."""

    def declare(hp: HyperParameters) -> None:
        for layer in range(hp.Int("layers", 0, 2)):
            with hp.conditional_scope("layers", list(range(layer + 1, 3))):
                hp.Int(f"units_{layer}", 1, 3)

    space = Space()
    for layers in (0, 1, 2):
        hp = HyperParameters(space, {"layers": layers})
        declare(hp)
        space = space.grow(hp.drain()[0])

    assert space.size == 1 + 3 + 9
    assert space.validate({"layers": 1, "units_0": 3}) == {"layers": 1, "units_0": 3}


def test_who_looks_at_a_condition_has_asked_for_the_parent() -> None:
    space = Space.of({"a": Boolean(True), "b": 1, "unseen": 3})
    hp = HyperParameters(space)
    with hp.conditional_scope("a", True):
        assert hp.drain() == ({}, {})
        assert hp.Int("x", 1, 2) == 1

    assert hp.drain() == ({"x": Cases([Case(when("a", True), Int(1, 2))])}, {"a": True, "x": 1})


def test_what_is_inactive_becomes_known_and_has_no_value() -> None:
    hp = HyperParameters(values={"x": 2})
    hp.Boolean("a")
    with hp.conditional_scope("a", True):
        assert hp.Int("x", 1, 2) is None
        assert hp.Int("x", 1, 2) is None

    assert hp.drain() == ({"a": Boolean(), "x": Cases([Case(when("a", True), Int(1, 2))])}, {"a": False})


def test_a_parameter_of_the_declared_space_needs_no_scope_where_it_is_active() -> None:
    space = Space({"a": Boolean(), "x": Cases([Case(when("a", True), Int(1, 2))])})
    hp = HyperParameters(space, {"a": True, "x": 2})

    assert hp.Int("x", 1, 2) == hp["x"] == 2
    assert hp.drain()[0] == {}


def test_parent_name_is_a_scope_for_one() -> None:
    hp = HyperParameters()
    hp.Choice("a", [1, 2, 3], default=2)
    declared = [
        hp.Int("int", 0, 10, parent_name="a", parent_values=2),
        hp.Float("float", 0, 1, parent_name="a", parent_values=[1, 3]),
        hp.Choice("choice", ["x"], parent_name="a", parent_values=[2]),
        hp.Boolean("boolean", parent_name="a", parent_values=1),
        hp.Fixed("fixed", 7, parent_name="a", parent_values=range(2, 4)),
    ]

    assert declared == [0, None, "x", None, 7]
    assert hp.space["float"] == Cases([Case(when("a", 1, 3), Float(0, 1))])
    assert hp.space["fixed"] == Cases([Case(when("a", 2, 3), Fixed(7))])


def test_a_parent_is_looked_for_outwards() -> None:
    hp = HyperParameters()
    hp.Boolean("flag", default=True)
    with hp.name_scope("net"):
        with hp.conditional_scope("flag", True):
            hp.Int("a", 1, 2)
        hp.Boolean("flag")
        with hp.conditional_scope("flag", True):
            hp.Int("b", 1, 2)

    assert hp.space["net/a"] == Cases([Case(when("flag", True), Int(1, 2))])
    assert hp.space["net/b"] == Cases([Case(when("net/flag", True), Int(1, 2))])


def test_reading() -> None:
    hp = HyperParameters(values={"a": 1})
    hp.Choice("a", [1, 2])
    with hp.conditional_scope("a", 2):
        hp.Int("x", 1, 2)

    for read in (hp.get, hp.__getitem__):
        with pytest.raises(ValueError, match=r"parameter 'x' is inactive: it is Int\(1 to 2\) when 'a' is 2"):
            read("x")
        with pytest.raises(KeyError, match="no parameter 'y' is known; known are: 'a', 'x'"):
            read("y")
    with pytest.raises(KeyError, match="no parameter 'y' is known"):
        hp.is_active("y")
    assert ("a" in hp, "x" in hp, "y" in hp) == (True, False, False)
    assert (hp.is_active("a"), hp.is_active("x")) == (True, False)
    assert (hp.is_active(hp.space["a"]), hp.is_active(hp.space["x"])) == (True, False)
    assert hp.is_active(Case(when("a", 1), Int(1, 2)))


def _twice(hp: HyperParameters) -> None:
    with hp.conditional_scope("a", [1, 2]):
        hp.Int("x", 1, 2)
    with hp.conditional_scope("a", [2, 3]):
        hp.Int("x", 1, 3)


def _outside(hp: HyperParameters) -> None:
    with hp.conditional_scope("a", 2):
        hp.Int("x", 1, 2)
    hp.Int("x", 1, 3)


def _own(hp: HyperParameters) -> None:
    with hp.conditional_scope("a", 1), hp.name_scope("b"), hp.conditional_scope("c", True):
        hp.Int("c", 1, 2)


def _circle(hp: HyperParameters) -> None:
    hp.Boolean("y")
    with hp.conditional_scope("y", True):
        hp.Boolean("x")
    with hp.conditional_scope("x", True), hp.conditional_scope("a", 1):
        hp.Int("y", 1, 2)


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (_twice, "'x' is Int(1 to 2) when 'a' is 1 or 2 and was declared again as Int(1 to 3) when 'a' is 2 or 3: give one"),
        (_outside, "'x' is Int(1 to 2) when 'a' is 2 and was declared again as Int(1 to 3): give one of the two another name"),
        (_own, "parameter 'b/c' is declared in its own conditional_scope: give one of the two another name"),
        (_circle, "parameter 'y' is Boolean() and was declared again as Int(1 to 2) when 'x' is True and 'a' is 1: give one"),
        (lambda hp: hp.Int("x", 1, 2, parent_values=2), "parameter 'x': parent_values= takes parent_name= beside it, not 2"),
        (
            lambda hp: hp.Int("x", 1, 2, parent_name="z", parent_values=2),
            "conditional_scope('z', ...): no such parameter is known",
        ),
        (
            lambda hp: hp.Int("x", 1, 2, parent_name="a", parent_values=9),
            "'a' cannot be 9, which is not a value of Choice(1, 2, 3)",
        ),
        (
            lambda hp: hp.Int("x", 1, 2, parent_name="a", parent_values=[]),
            "the values of a condition takes a list of at least one",
        ),
        (
            lambda hp: hp.Int("x", 1, 2, parent_name="a", parent_values=1.0),
            "'a' cannot be 1.0, which is not a value of Choice(1,",
        ),
        (
            lambda hp: hp.Int("x", 1, 2, parent_name="", parent_values=1),
            "conditional_scope(parent_name=...) takes printable text",
        ),
    ],
)
def test_what_cannot_be_is_said_by_name(declare: Callable[[HyperParameters], object], text: str) -> None:
    hp = HyperParameters()
    hp.Choice("a", [1, 2, 3])
    with hp.name_scope("b"):
        hp.Boolean("c")

    with pytest.raises(SpaceError) as caught:
        declare(hp)
    assert text in str(caught.value)


def test_the_same_again_is_no_contradiction() -> None:
    hp = HyperParameters()
    hp.Choice("a", [1, 2, 3])
    with hp.conditional_scope("a", [1, 2]):
        hp.Int("x", 1, 2)
    with hp.conditional_scope("a", [2, 3]), hp.conditional_scope("a", [2, 3]):
        hp.Int("x", 1, 2)
    assert hp.space["x"] == Cases([Case(when("a", 1, 2), Int(1, 2)), Case(when("a", 2, 3), Int(1, 2))])

    hp.Int("y", 1, 2)
    with hp.conditional_scope("a", 3):
        assert hp.Int("y", 1, 2) is None
    assert hp.space["y"] == Int(1, 2)

    with hp.conditional_scope("a", 2):
        hp.Int("z", 1, 2)
    hp.Int("z", 1, 2)
    assert hp.space["z"] == Int(1, 2)


def test_a_scope_is_left_when_its_block_raises() -> None:
    hp = HyperParameters()
    hp.Boolean("a")
    with pytest.raises(ZeroDivisionError), hp.conditional_scope("a", True):
        raise ZeroDivisionError
    hp.Boolean("x")

    assert hp.space["x"] == Boolean()


def test_a_copy_is_on_its_own() -> None:
    hp = HyperParameters(values={"kind": "mlp", "later": 4})
    build(hp)
    hp.drain()
    copy = hp.copy()

    assert (copy.space, copy.values) == (hp.space, hp.values)
    assert copy.Int("later", 1, 5) == 4
    assert "later" not in hp.space
    assert hp.drain() == ({}, {})
    assert pickle.loads(pickle.dumps(hp)).values == hp.values


def test_merging_makes_nothing_double() -> None:
    """KerasTuner's merge(overwrite=True) leaves a second entry in `space`."""
    hp, other = HyperParameters(), HyperParameters(values={"kind": "mlp"})
    build(hp)
    build(other)
    before = hp.space
    hp.merge(other)
    hp.merge([other, hp], overwrite=False)
    hp.merge(Space.of(other))

    assert hp.space == before
    assert list(hp.space) == list(before)
    assert hp.values == {"kind": "cnn", "width": 1, "pool": "max", "size": 2}


def test_merging_by_branch() -> None:
    hp, other = HyperParameters(), HyperParameters()
    for each, width in ((hp, 3), (other, 5)):
        each.Choice("kind", ["cnn", "mlp"])
        with each.conditional_scope("kind", ["cnn"] if each is hp else ["cnn", "mlp"]):
            each.Int("width", 1, width)
    left = hp.copy()
    left.merge(other, overwrite=False)
    hp.merge(other)

    assert left.space["width"] == Cases([Case(when("kind", "cnn"), Int(1, 3))])
    assert hp.space["width"] == Cases([Case(when("kind", "cnn", "mlp"), Int(1, 5))])


def test_merging_what_others_depend_on() -> None:
    hp = HyperParameters()
    build(hp)
    with pytest.raises(
        SpaceError, match="parameter 'width' has a wrong condition: 'kind' cannot be 'cnn', which is not a value of Fixed"
    ):
        hp.merge(Space({"kind": Fixed("mlp")}))
    with pytest.raises(SpaceError, match=r"merge\(\) takes a HyperParameters, a list of them, or a Space, not 'kind'"):
        hp.merge(["kind"])  # type: ignore[list-item]
    with pytest.raises(SpaceError, match=r"merge\(\) takes a HyperParameters, a list of them, or a Space, not 3"):
        hp.merge(3)  # type: ignore[arg-type]


def test_a_config_of_keras_tuner() -> None:
    """As KerasTuner 1.4.8 writes it for the branches above."""
    a_choice = {"name": "kind", "default": "cnn", "conditions": [], "values": ["cnn", "mlp"], "ordered": False}
    parent = {"class_name": "Parent", "config": {"name": "kind", "values": ["mlp"]}}
    number = {"min_value": 16, "max_value": 64, "step": 1, "sampling": "linear", "default": None}
    config = {
        "space": [
            {"class_name": "Choice", "config": a_choice},
            {"class_name": "Int", "config": {"name": "units", "conditions": [parent], **number}},
            {"class_name": "Float", "config": {"name": "lr", "conditions": [], **number, "step": None, "default": 16.0}},
            {"class_name": "Boolean", "config": {"name": "bias", "default": True, "conditions": []}},
            {"class_name": "Fixed", "config": {"name": "seed", "conditions": [], "value": 7}},
        ],
        "values": {"kind": "mlp", "units": 32, "bias": False},
    }
    hp = HyperParameters.from_config(json.loads(json.dumps(config)))

    assert hp.values == config["values"]
    assert hp.space == {
        "kind": Choice(["cnn", "mlp"]),
        "units": Cases([Case(when("kind", "mlp"), Int(16, 64, step=1))]),
        "lr": Float(16, 64),
        "bias": Boolean(default=True),
        "seed": Fixed(7),
    }
    assert HyperParameters.from_config(hp.get_config()).get_config() == hp.get_config()


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (3, "from_config() takes what get_config() gives"),
        ({"space": 3}, "from_config() takes what get_config() gives"),
        ({"space": [3]}, "from_config() takes parameters such as"),
        ({"space": [{"class_name": "Bad", "config": {"name": "x"}}]}, "Boolean, Choice, Fixed, Float, Int"),
        ({"space": [{"class_name": "Int", "config": {"name": "x", "min_value": 1}}]}, "parameter 'x': "),
        ({"space": [{"class_name": "Fixed", "config": {"value": 1}}]}, "the name of a parameter takes printable text"),
        (
            {"space": [{"class_name": "Fixed", "config": {"name": "x", "value": 1, "conditions": [{"class_name": "Odd"}]}}]},
            "parameter 'x': a condition takes",
        ),
        (
            {"space": [{"class_name": "Fixed", "config": {"name": "x", "value": 1}}], "values": {"x": 2}},
            "parameter 'x': Fixed(1) takes its value, not 2",
        ),
    ],
)
def test_a_config_that_is_none(config: Any, text: str) -> None:
    with pytest.raises(SpaceError) as caught:
        HyperParameters.from_config(config)
    assert text in str(caught.value)


def test_a_parent_is_named_with_its_values() -> None:
    hp = HyperParameters()
    hp.Boolean("deep")
    with pytest.raises(SpaceError, match="parameter 'layers': parent_name='deep' stands beside parent_values="):
        hp.Int("layers", 1, 3, parent_name="deep")


def test_nothing_depends_on_itself() -> None:
    with pytest.raises(SpaceError, match="parameter 'net/a' depends on itself"):
        Space({"net": {"a": When("a", 1, Int(1, 3))}})
