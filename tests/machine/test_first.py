"""What is known and wanted before the oracle is asked: observations, trials to try first; and parameters that come too late."""

from __future__ import annotations

import pytest

from asynctune._machine.instructions import Ask, EndSearch, StartLaunch, TellAdded, TellObserved
from asynctune.errors import SpaceError
from asynctune.events import ParametersUsed, SpaceGrew, TrialAdded
from asynctune.records import Observation, State, Values
from asynctune.space import Choice, FillRule, Float, Int
from tests.machine.driven import Driven

OBSERVED = (Observation({"x": 1}, 0.5), Observation({"x": 2}, None), Observation({"x": 3}, None, State.FAILED))
SPACE = {"x": Int(0, 99), "rate": Float(0, 1), "kind": Choice(["a", "b"])}


def test_the_oracle_is_told_of_earlier_trials_before_it_is_asked() -> None:
    driven = Driven(ahead=1)
    told, *asked = driven.open(observed=OBSERVED)
    assert isinstance(told, TellObserved)
    assert [type(i) for i in asked if isinstance(i, Ask | TellObserved)] == [Ask]
    assert [(view.id, view.state, view.values, view.score) for view in told.trials] == [
        (-1, State.COMPLETED, {"x": 1}, 0.5),
        (-2, State.COMPLETED, {"x": 2}, None),
        (-3, State.FAILED, {"x": 3}, None),
    ]


def test_earlier_trials_are_no_trials_of_this_search() -> None:
    driven = Driven(max_trials=1)
    driven.open(observed=OBSERVED)
    assert driven.machine.book.trials == {}
    assert driven.machine.book.best is None
    driven.start(x=1)
    assert driven.orders.keys() == {0}


def test_what_is_to_be_tried_first_is_in_order_and_what_it_lacks_is_drawn_by_seed_and_trial() -> None:
    first: list[Values] = [{"x": 5}, {"kind": "b"}, {}]
    added = []
    for seed in (7, 7, 8):
        driven = Driven(slots=3, space=SPACE, seed=seed)
        told = [i for i in driven.open(first=first) if isinstance(i, TellAdded)]
        views = [driven.view(trial).values for trial in range(3)]
        assert [(i.trial, i.values) for i in told] == list(enumerate(views))
        assert all(values.keys() == SPACE.keys() for values in views)
        assert (views[0]["x"], views[1]["kind"]) == (5, "b")
        added.append(views)
    assert added[0] == added[1] != added[2]


def test_what_is_to_be_tried_first_counts_as_trials_and_comes_before_the_oracles() -> None:
    driven = Driven(max_trials=2, slots=3, ahead=2)
    asked = [i for i in driven.open(first=({"x": 5},)) if isinstance(i, Ask)]
    assert [i.trial for i in asked] == [1]
    driven.suggest(x=6)
    orders = [i.order for _ in range(2) for i in driven.grant() if isinstance(i, StartLaunch)]
    assert [dict(order.values) for order in orders] == [{"x": 5}, {"x": 6}]
    assert driven.machine.asks.in_flight == {}


def test_a_search_that_is_opened_again_adds_nothing_again() -> None:
    driven = Driven(max_trials=2)
    driven.open(observed=OBSERVED, first=[{"x": 5}])
    assert [i for i in driven.open() if isinstance(i, TellObserved | TellAdded)] == []
    assert list(driven.machine.book.trials) == [0]


def test_what_is_enqueued_without_some_values_gets_them_by_seed_and_trial() -> None:
    driven = Driven(space=SPACE)
    driven.open()
    told = [i for i in driven.enqueue(kind="b") if isinstance(i, TellAdded)]
    assert driven.decision.refused is None
    values = driven.view(0).values
    assert list(values) == ["x", "rate", "kind"]
    assert values["kind"] == "b"
    assert told == [TellAdded(0, dict(values))]
    driven.enqueue(kind="b")
    assert driven.view(1).values != values


def test_with_nothing_declared_what_is_missing_is_the_trials_own_affair() -> None:
    driven = Driven(space={})
    driven.open(first=({"x": 5},))
    assert driven.happened()[-1] == TrialAdded(trial=0, values={"x": 5}, ask=None)


# ---------------------------------------------------------------------------------------------------------- new entries


def test_entries_that_are_not_tuned_have_their_default_and_stay_out_of_the_space() -> None:
    """Case 14."""
    driven = Driven(new_entries="default", slots=2)
    driven.open()
    order = driven.start(x=1)
    assert order.fill.rule is FillRule.DEFAULT
    driven.declare(0, {"y": Float(0, 1)}, x=1, y=0.0)
    assert driven.happened() == (ParametersUsed(trial=0, values={"x": 1, "y": 0.0}),)
    assert list(driven.machine.space) == ["x"]
    driven.declare(0, {"z": Int(1, 3)}, y=0.0, z=1)  # and what it has named before stays known to it
    driven.returned(0, loss=1.0)
    assert driven.view(0).values == {"x": 1, "y": 0.0, "z": 1}
    again = driven.start(x=2)
    assert list(again.space) == ["x"]
    driven.declare(1, {"y": Int(5, 9)}, y=5)  # another trial's is another one
    driven.returned(1, loss=2.0)
    assert driven.view(1).values == {"x": 2, "y": 5}


def test_a_trial_that_contradicts_itself_fails_also_where_its_entries_are_not_tuned() -> None:
    driven = Driven(new_entries="default")
    driven.open()
    driven.start(x=1)
    driven.declare(0, {"y": Float(0, 1)}, y=0.0)
    driven.declare(0, {"y": Float(0, 2)}, y=0.0)
    assert driven.machine.book.trials[0].launch is not None
    assert driven.machine.book.trials[0].launch.failure is not None


def test_a_new_entry_that_is_refused_ends_the_search_naming_trial_and_parameter_and_it_can_go_on() -> None:
    driven = Driven(new_entries="refuse")
    driven.open()
    driven.start(x=1)
    driven.declare(0, {"y": Float(0, 1)}, x=1, y=0.0)
    assert not any(isinstance(event, SpaceGrew) for event in driven.happened())
    (end,) = [i for i in driven.left(0) if isinstance(i, EndSearch)]
    with pytest.raises(SpaceError, match=r"trial 0 asked for 'y', Float.*, which space= does not declare"):
        raise end.as_error()
    assert driven.view(0).state is State.PENDING
    driven.open(new_entries="tune")
    driven.grant()
    driven.declare(0, {"y": Float(0, 1)}, x=1, y=0.25)
    driven.returned(0, loss=1.0)
    assert list(driven.machine.space) == ["x", "y"]
    assert driven.view(0).values == {"x": 1, "y": 0.25}


def test_what_is_declared_may_be_asked_for_where_new_entries_are_refused() -> None:
    driven = Driven(new_entries="refuse")
    driven.open()
    driven.start(x=1)
    driven.declare(0, {}, x=1)
    driven.returned(0, loss=1.0)
    assert driven.view(0).state is State.COMPLETED
