"""What the oracle is asked, what its answers lead to, and what the user adds."""

from __future__ import annotations

from typing import Any

import pytest

from asynctune._machine.instructions import Ask, EndSearch, Instruction, RequestSlots, StartLaunch
from asynctune._machine.stimuli import PauseAsked, Suggested
from asynctune.errors import PluginError
from asynctune.events import SearchEnded, TrialAdded
from asynctune.policies import FailurePolicy
from asynctune.records import State, Suggestion
from asynctune.space import Boolean, Float, Space
from tests.machine.driven import NO_LIMIT, SPACE, Driven

IDLE, EXHAUSTED = Suggestion.idle(), Suggestion.exhausted()


def asks(do: list[Instruction]) -> list[tuple[int, int]]:
    return [(i.number, i.trial) for i in do if isinstance(i, Ask)]


# ---------------------------------------------------------------------------------------------------- when it is asked


def test_an_oracle_is_asked_as_late_as_possible() -> None:
    driven = Driven(slots=2)
    assert driven.open() == [RequestSlots(2)]
    assert driven.grant() == [Ask(1, 0, Space(SPACE))]
    assert driven.grant() == [Ask(2, 1, Space(SPACE))]


@pytest.mark.parametrize(("ahead", "slots", "asked"), [(1, 3, 1), (2, 3, 2), (64, 3, 12), (64, 1, 4)])
def test_an_oracle_that_prepares_is_asked_ahead_several_at_a_time(ahead: int, slots: int, asked: int) -> None:
    driven = Driven(ahead=ahead, slots=slots)
    assert asks(driven.open()) == [(number + 1, number) for number in range(asked)]


@pytest.mark.parametrize(("ahead", "slots", "asked"), [(1, 1, 0), (1, 2, 1), (1, 8, 1), (64, 1, 0), (64, 3, 2)])
def test_one_that_learns_is_asked_ahead_for_fewer_than_there_are_slots(ahead: int, slots: int, asked: int) -> None:
    driven = Driven(ahead=ahead, slots=slots, learns=True)
    assert asks(driven.open()) == [(number + 1, number) for number in range(asked)]


@pytest.mark.parametrize("ahead", [0, 1, 64])
def test_it_is_never_asked_for_more_than_max_trials(ahead: int) -> None:
    driven = Driven(ahead=ahead, slots=4, max_trials=3)
    driven.open()
    for _ in range(3):
        driven.grant()
    assert sorted(driven.machine.asks.in_flight.values()) == [0, 1, 2]


def test_it_is_not_asked_while_the_user_pauses() -> None:
    driven = Driven(ahead=1)
    driven.open()
    driven.suggest(x=1)
    driven.tell(PauseAsked(at=0.0))
    assert asks(driven.stop_trial(0)) == []


def test_answers_may_come_in_any_order_and_each_is_for_its_own_trial() -> None:
    driven = Driven(ahead=3, slots=3)
    driven.open()
    for ask in (3, 1, 2):
        driven.tell(Suggested(at=0.0, ask=ask, suggestion=Suggestion.run({"x": ask})))
    assert {trial: driven.view(trial).values["x"] for trial in range(3)} == {0: 1, 1: 2, 2: 3}


@pytest.mark.parametrize("ask", [0, 2, 99, -1])
def test_an_answer_to_what_was_not_asked_is_dropped(ask: int) -> None:
    driven = Driven()
    driven.open()
    driven.grant()
    assert driven.tell(Suggested(at=0.0, ask=ask, suggestion=Suggestion.run({"x": 1}))) == []
    assert driven.decision.void


def test_an_answer_is_taken_once() -> None:
    driven = Driven()
    driven.start(x=1)
    driven.tell(Suggested(at=0.0, ask=1, suggestion=Suggestion.run({"x": 2})))
    assert driven.decision.void
    assert driven.view(0).values == {"x": 1}


# ------------------------------------------------------------------------------------------------------------ idleness


def test_an_idle_oracle_is_asked_again_for_the_same_trial_when_one_has_ended() -> None:
    driven = Driven(slots=2)
    driven.open()
    driven.start(x=1)
    driven.grant()
    assert asks(driven.suggest(IDLE)) == []
    assert asks(driven.report(0, 1, loss=1.0)) == []
    driven.returned(0, loss=1.0)
    assert asks(driven.grant()) == [(3, 1)]


def test_an_idle_oracle_is_asked_again_when_the_space_has_grown() -> None:
    driven = Driven(slots=2)
    driven.open()
    driven.start(x=1)
    driven.grant()
    driven.suggest(IDLE)
    driven.declare(0, {"y": Boolean()}, y=True)
    assert asks(driven.grant()) == [(3, 1)]


@pytest.mark.parametrize("suggestion", [IDLE, EXHAUSTED])
def test_an_answer_that_a_change_has_overtaken_does_not_bind(suggestion: Suggestion) -> None:
    driven = Driven(slots=2)
    driven.open()
    driven.start(x=1)
    driven.grant()
    driven.declare(0, {"y": Boolean()}, y=True)  # after the oracle was asked, before it answered
    assert asks(driven.suggest(suggestion)) == [(3, 1)]


def test_an_oracle_that_is_idle_though_nothing_runs_is_a_mistake() -> None:
    driven = Driven()
    driven.open()
    driven.grant()
    assert driven.suggest(IDLE)[-1:] == [
        EndSearch(driven.machine.ending.reason if driven.machine.ending else "", "PluginError")
    ]
    assert driven.machine.ending is not None
    assert "SomeOracle is idle though nothing runs" in driven.machine.ending.reason


def test_an_idle_oracle_does_not_end_a_search_in_which_something_waits() -> None:
    driven = Driven(failure=FailurePolicy(max_retries_per_trial=1))
    driven.start(x=1)
    driven.grant()
    driven.raised(0)  # its retry takes the slot that the ask was made for
    driven.suggest(IDLE)
    assert not driven.machine.over


# ---------------------------------------------------------------------------------------------------------- exhaustion


def test_an_exhausted_oracle_ends_the_search_when_nothing_runs() -> None:
    driven = Driven(slots=2)
    driven.open()
    driven.start(x=1)
    driven.grant()
    driven.suggest(EXHAUSTED)
    assert driven.happened() == ()
    driven.returned(0, loss=1.0)
    assert driven.happened()[-1] == SearchEnded(reason="every trial has ended")


def test_an_exhausted_oracle_is_asked_again_only_when_the_space_has_grown() -> None:
    driven = Driven(slots=3, failure=NO_LIMIT)
    driven.open()
    driven.start(x=1)
    driven.start(x=2)
    driven.grant()
    driven.suggest(EXHAUSTED)
    driven.raised(0)
    assert not driven.machine.asks.in_flight
    driven.declare(1, {"y": Boolean()}, y=True)
    driven.grant()
    assert driven.machine.asks.in_flight == {4: 2}


@pytest.mark.parametrize(("oracle", "asked"), [("SomeOracle({})", 0), ("Another({})", 1)])
def test_an_exhausted_oracle_stays_so_until_another_takes_its_place(oracle: str, asked: int) -> None:
    driven = Driven(ahead=1)
    driven.open()
    driven.suggest(EXHAUSTED)
    assert driven.machine.over
    assert len(asks(driven.open(oracle=oracle))) == asked


def test_the_number_of_an_unused_proposal_is_used_again() -> None:
    driven = Driven(slots=2)
    driven.open()
    driven.start(x=1)
    driven.grant()
    driven.suggest(IDLE)
    driven.enqueue(x=9)
    assert driven.happened()[0] == TrialAdded(trial=1, values={"x": 9})


# ------------------------------------------------------------------------------------------------------- what it answers


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"x": 100}, r"100 is not a value of 'x', Int\(0 to 99\)"),
        ({"x": 1.0}, "1.0 is not a value of 'x'"),
        ({"x": True}, "True is not a value of 'x'"),
        ({}, "there is no value for 'x'"),
        ({"x": 1, "z": 1}, "there is no parameter 'z'; known are 'x'"),
    ],
)
def test_values_that_are_not_in_the_space_end_the_search_naming_the_oracle(values: dict[str, Any], text: str) -> None:
    driven = Driven()
    driven.open()
    driven.grant()
    with pytest.raises(PluginError, match=f"SomeOracle proposed values for trial 0 that are not in the space: {text}"):
        driven.suggest(Suggestion.run(values))


def test_values_of_parameters_that_became_known_while_the_oracle_thought_may_be_missing() -> None:
    driven = Driven(slots=2)
    driven.open()
    driven.start(x=1)
    driven.grant()
    driven.declare(0, {"y": Float(0, 1)}, y=0.5)
    driven.suggest(x=2)
    assert driven.view(1).values == {"x": 2}
    assert driven.orders[1].space.keys() == {"x", "y"}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"x": 100}, "parameter 'x': Int(0 to 99) takes one of its values, not 100"),
        ({"x": 1, "z": 1}, "'z' is not a parameter; the parameters are 'x'"),
    ],
)
def test_what_is_enqueued_outside_the_space_is_refused(values: dict[str, Any], text: str) -> None:
    driven = Driven()
    driven.open()
    assert driven.enqueue(**values) == []
    assert driven.decision.refused == text
    assert driven.machine.book.trials == {}


def test_an_enqueued_trial_runs_though_the_oracle_has_nothing() -> None:
    driven = Driven(ahead=1, max_trials=1)
    driven.open()
    driven.enqueue(x=5)
    started = [i.order for i in driven.grant() if isinstance(i, StartLaunch)]
    assert [dict(order.values) for order in started] == [{"x": 5}]
    assert driven.view(started[0].trial).state is State.RUNNING


def test_asks_survive_a_crash_and_are_not_made_again() -> None:
    driven = Driven(ahead=1)
    driven.open()
    assert driven.machine.asks.in_flight == {1: 0}
    assert asks(driven.open()) == []
    driven.suggest(x=4)
    assert driven.view(0).values == {"x": 4}


def test_a_trial_is_named_by_a_number_that_no_other_has() -> None:
    driven = Driven(ahead=2, slots=2)
    driven.open()
    driven.enqueue(x=1)
    driven.suggest(x=2)
    driven.suggest(x=3)
    assert [driven.view(trial).values["x"] for trial in (0, 1, 2)] == [2, 3, 1]
