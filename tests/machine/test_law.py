"""The law, to the last pair of state and event; and that nothing in it is out of reach."""

from __future__ import annotations

import copy
from itertools import product
from typing import get_args

import pytest

from asynctune._machine import law
from asynctune._machine.trial import Trial
from asynctune.errors import IllegalTransition
from asynctune.events import AttemptFailed, Finished, GaveUp, LawEvent, Paused, Reported, Started, Stopped
from asynctune.failure import Failure, FailureKind
from asynctune.records import State

FAILURE = Failure(kind=FailureKind.RAISED, message="ValueError: no")
EVENTS: list[LawEvent] = [
    Started(trial=3, launch=1, attempt=1),
    Reported(trial=3, launch=1, step=1, metrics={"loss": 1.0}),
    Paused(trial=3, by="scheduler", reason="paused by the scheduler"),
    Finished(trial=3, launch=1, score=1.0),
    Stopped(trial=3, reason="enough"),
    AttemptFailed(trial=3, launch=1, failure=FAILURE),
    GaveUp(trial=3, launch=1, failure=FAILURE),
]
# The table of the design, written down a second time.
TABLE = """
                Started  Reported  Paused   Finished   Stopped    AttemptFailed  GaveUp
    PENDING     RUNNING  -         -        -          COMPLETED  -              FAILED
    RUNNING     -        RUNNING   PENDING  COMPLETED  COMPLETED  RETRYING       FAILED
    RETRYING    RUNNING  -         -        -          COMPLETED  -              FAILED
    FAILED      -        -         -        -          -          -              -
    COMPLETED   -        -         -        -          -          -              -
"""


def table() -> dict[tuple[State, str], State | None]:
    header, *rows = [line.split() for line in TABLE.split("\n") if line.strip()]
    return {
        (State(name), event): None if cell == "-" else State(cell)
        for name, *cells in rows
        for event, cell in zip(header, cells, strict=True)
    }


PAIRS = list(product(State, EVENTS))


def name_of(part: State | LawEvent) -> str:
    return part.value if isinstance(part, State) else type(part).__name__


def test_every_pair_is_here() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(LawEvent))
    assert len(PAIRS) == len(table()) == 35
    assert sum(after is not None for after in table().values()) == 12


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=name_of)
def test_the_law(state: State, event: LawEvent) -> None:
    after = table()[state, type(event).__name__]

    if after is not None:
        assert law.step(3, state, event) is after
    else:
        with pytest.raises(IllegalTransition, match=f"trial 3 is {state.value}: {type(event).__name__}.* cannot happen to it"):
            law.step(3, state, event)


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=name_of)
def test_a_trial_moves_by_the_law_and_an_illegal_event_changes_nothing(state: State, event: LawEvent) -> None:
    trial = Trial(3, {"x": 1}, 0.0, state=state, launches=1)
    before = copy.deepcopy(trial)
    after = table()[state, type(event).__name__]

    if after is not None:
        trial.apply(event, 1.0)
        assert trial.state is after
        assert (trial.ended == 1.0) == after.ended
    else:
        with pytest.raises(IllegalTransition):
            trial.apply(event, 1.0)
        assert trial == before


def reachable(start: State) -> set[State]:
    found, new = {start}, [start]
    while new:
        for after in law.TRANSITIONS[new.pop()].values():
            if after not in found:
                found.add(after)
                new.append(after)
    return found


def test_every_state_can_be_reached_from_the_first() -> None:
    assert reachable(State.PENDING) == set(State)


@pytest.mark.parametrize("state", State)
def test_an_end_can_be_reached_from_every_state_and_left_from_none(state: State) -> None:
    assert any(after.ended for after in reachable(state))
    assert bool(law.TRANSITIONS[state]) != state.ended
