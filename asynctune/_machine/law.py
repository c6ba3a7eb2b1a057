"""The life of one trial.

Rule 1: what changes a trial's state goes through the table below. Rule 2: this file knows neither the time, nor who runs the
trial, nor why anyone wants to stop it.

How many attempts are left is kept out of the table on purpose. With a guard in it the same (state, event) would sometimes move
and sometimes not; instead policy picks the event (`AttemptFailed` or `GaveUp`), and the table says only whether it may happen.
A missing key is the illegal move. The diagram in the documentation is generated from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from asynctune.errors import IllegalTransition
from asynctune.events import AttemptFailed, Finished, GaveUp, LawEvent, Paused, Reported, Started, Stopped
from asynctune.records import State, TrialId

__all__ = ["TRANSITIONS", "step"]

TRANSITIONS: Final[Mapping[State, Mapping[type[LawEvent], State]]] = {
    State.PENDING: {
        Started: State.RUNNING,
        Stopped: State.COMPLETED,
        GaveUp: State.FAILED,
    },
    State.RUNNING: {
        Reported: State.RUNNING,
        Paused: State.PENDING,
        Finished: State.COMPLETED,
        Stopped: State.COMPLETED,
        AttemptFailed: State.RETRYING,
        GaveUp: State.FAILED,
    },
    State.RETRYING: {
        Started: State.RUNNING,
        Stopped: State.COMPLETED,
        GaveUp: State.FAILED,
    },
    State.FAILED: {},
    State.COMPLETED: {},
}


def step(trial: TrialId, state: State, event: LawEvent) -> State:
    """The state after `event`.

    Raises:
        IllegalTransition: if the table has no such move.
    """
    try:
        return TRANSITIONS[state][type(event)]
    except KeyError:
        raise IllegalTransition(f"trial {trial} is {state.value}: {event} cannot happen to it") from None
