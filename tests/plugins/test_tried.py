"""What need not be tried again, and the walk over it, beside looking at every combination."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune.oracles.odometer import Odometer, left
from asynctune.oracles.tried import Tried
from asynctune.records import Report, State, TrialView, Value
from asynctune.seeds import fill_seed
from asynctune.space import Choice, Fill, FillRule, Float, Int, Space
from tests.plugins.spaces import conditional_spaces, everything

WHEELS: Mapping[str, tuple[Value, ...]] = {"a": (0, 1, 2), "b": ("x", "y"), "c": (0.5, 1.5), "d": (True, False)}
SPACE = Space.of({name: Choice(values) for name, values in WHEELS.items()})


def ended(trial: int, values: Mapping[str, Value], state: State = State.COMPLETED, **more: object) -> TrialView:
    return TrialView(id=trial, state=state, values=values, **more)  # type: ignore[arg-type]


PARTIAL = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in WHEELS.items()})


@given(st.lists(PARTIAL.filter(bool), max_size=25), st.integers(0, 25))
def test_the_walk_finds_exactly_what_is_not_covered_in_order(cubes: list[dict[str, Value]], late: int) -> None:
    """Some of what is covered is known from the beginning, the rest becomes known while the walk is on its way."""
    tried = Tried(FillRule.DRAW, seed=0)
    tried.see(SPACE)
    for trial, values in enumerate(cubes[:late]):
        tried.end(ended(1000 + trial, values))
    walk = Odometer(SPACE, lambda name, _: WHEELS[name])
    everything = [dict(zip(WHEELS, values, strict=True)) for values in product(*WHEELS.values())]
    waiting = list(cubes[late:])
    covered = list(cubes[:late])
    for place, values in enumerate(everything):
        if any(cube.items() <= values.items() for cube in covered):
            continue
        assert walk.next(tried) == values
        tried.propose(place, values)
        covered.append(values)
        if waiting:
            covered.append(waiting.pop())
            tried.end(ended(2000 + place, covered[-1]))
    assert walk.next(tried) is None
    assert walk.next(tried) is None


@given(conditional_spaces(), st.data())
def test_the_walk_under_conditions_finds_exactly_what_is_not_covered_in_order(space: Space, data: st.DataObject) -> None:
    """What is not there does not turn; what is covered, as a whole or in part, is walked over."""
    found = everything(space)
    parts = data.draw(st.lists(st.sampled_from(found), max_size=8), label="what has run")
    cubes = [
        {name: values[name] for name in data.draw(st.sets(st.sampled_from(sorted(values)), min_size=1))} for values in parts
    ]
    tried = Tried(FillRule.DRAW, seed=0)
    tried.see(space)
    for trial, cube in enumerate(cubes):
        tried.end(ended(1000 + trial, cube))
    walk = Odometer(space, lambda _, domain: domain.values)
    for place, values in enumerate(found):
        if not any(agrees(values, cube) for cube in cubes):
            assert exactly(walk.next(tried)) == exactly(values)
            assert tried.covering(values) is None
            tried.propose(place, values)
        assert tried.covering(values) is not None
    assert walk.next(tried) is None


@given(conditional_spaces(), st.integers(0, 100))
def test_some_combination_is_left_until_none_is(space: Space, seed: int) -> None:
    tried = Tried(FillRule.DRAW, seed=0)
    tried.see(space)
    found = []
    while (values := left(tried, space, seed + len(found))) is not None:
        assert space.validate(values) == values
        tried.propose(len(found), values)
        found.append(exactly(values))
    assert len(found) == len(set(found)) == space.size
    assert set(found) == {exactly(values) for values in everything(space)}


def agrees(values: Mapping[str, Value], cube: Mapping[str, Value]) -> bool:
    return all(name in values and exactly({name: values[name]}) == exactly({name: value}) for name, value in cube.items())


def exactly(values: Mapping[str, Value] | None) -> str:
    return repr(values)


def test_wheels_that_do_not_matter_cost_nothing() -> None:
    space = Space.of({"kind": Choice(["x", "y"]), **{f"unused_{i}": Int(1, 50_000) for i in range(6)}, "last": Int(1, 3)})
    tried = Tried(FillRule.DRAW, seed=0)
    tried.see(space)
    for last in (1, 2, 3):
        tried.end(ended(last, {"kind": "x", "last": last}))
    tried.end(ended(4, {"kind": "y", "last": 1}))
    walk = Odometer(space, lambda _, domain: domain.values)
    assert walk.next(tried) == {"kind": "y", **{f"unused_{i}": 1 for i in range(6)}, "last": 2}
    for last in (2, 3):
        tried.end(ended(4 + last, {"kind": "y", "last": last}))
    # 9e28 combinations are left, and none of them is worth a trial.
    assert walk.next(tried) is None


@pytest.mark.parametrize(
    ("end", "stands_for"),
    [
        (ended(0, {"a": 1}), "what it asked for"),
        (ended(0, {"a": 1}, stop_reason="behind", reports=[Report(1, {}, 0.0, 1)]), "what it asked for"),
        (ended(0, {"a": 1}, stop_reason="not promoted"), "what was proposed"),
        (ended(0, {"a": 1}, state=State.FAILED), "what was proposed"),
        (ended(0, {}, state=State.FAILED), "what was proposed"),
        (ended(0, {}), "what was proposed"),
        (None, "what was proposed"),
    ],
)
def test_what_a_trial_stands_for(end: TrialView | None, stands_for: str) -> None:
    tried = Tried(FillRule.DRAW, seed=0)
    tried.see(SPACE)
    proposed: dict[str, Value] = {"a": 1, "b": "x", "c": 0.5, "d": True}
    tried.propose(0, proposed)
    if end is not None:
        tried.end(end)
    assert tried.covering(proposed) is not None
    assert (tried.covering({**proposed, "d": False}) is not None) == (stands_for == "what it asked for")
    assert tried.covering({**proposed, "a": 2}) is None


def test_equal_is_not_the_same() -> None:
    space = Space.of({"x": Choice([1, 1.0, True, "1", None])})
    tried = Tried(FillRule.DRAW, seed=0)
    tried.see(space)
    tried.propose(0, {"x": 1})
    assert [tried.covering({"x": value}) is not None for value in (1, 1.0, True, "1", None)] == [
        True,
        False,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("rule", FillRule)
def test_when_the_space_grows(rule: FillRule) -> None:
    tried = Tried(rule, seed=7)
    small = Space.of({"a": Int(1, 3)})
    grown = small.grow({"b": Int(1, 10**6, default=500)})
    assert tried.see(small)
    assert not tried.see(small)
    tried.propose(0, {"a": 1})
    tried.propose(1, {"a": 2})
    tried.end(ended(1, {"a": 2}))
    assert tried.see(grown)
    # A trial that runs has what its runner gives it, when it asks.
    filled = Fill(rule, fill_seed(7, 0)).value("b", grown["b"])
    assert tried.covering({"a": 1, "b": filled}) is not None
    assert tried.covering({"a": 1, "b": 501}) is None
    # One that has ended never asked.
    assert tried.covering({"a": 2, "b": 501}) is not None
    # And one that asked, and then failed, stands for what it had.
    tried.end(ended(0, {"a": 1, "b": 501}, state=State.FAILED))
    assert tried.covering({"a": 1, "b": 501}) is not None


def test_a_value_that_nothing_has() -> None:
    tried = Tried(FillRule.DRAW, seed=0)
    tried.see(Space.of({"x": Float(0, 1), "y": Int(1, 2)}))
    tried.propose(0, {"x": 0.5, "y": 1})
    tried.end(ended(1, {"x": 0.25}))
    assert tried.fresh("x", iter([0.5, 0.25, 0.125, 1.0])) == 0.125
    assert tried.fresh("x", iter([0.5, 0.25])) == 0.25
    assert tried.fresh("y", iter([1.0, 2])) == 1.0
