"""The search as plugins see it: facts at one moment, none of the machinery."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from attrs import frozen

from asynctune.objective import Goal
from asynctune.records import State, TrialId, TrialView

__all__ = ["SearchView"]


@frozen(kw_only=True)
class SearchView:
    """A search as it stands.

    Args:
        at: search time, in seconds.
        objective: what is wanted.
        trials: every trial by its id; looked up when it is asked for.
        counts: how many trials are in each state.
        best: the COMPLETED trial with the best finite score, if there is one.
        running: how many trials proceed without being chosen: those that are RUNNING, those whose next attempt is due or not
            due yet (RETRYING), those whose launch was lost, which are owed a slot, and those that wait for a wider one.
        growing: whether there may be another trial though none that is there proceeds: one that has never run waits, the oracle
            was asked, or it can be asked. False when it is exhausted, when there are `max_trials`, and as long as it is idle
            until it hears of an end.
        exhausted: whether all the trials are there that there will be, some of which may not have run: the oracle is exhausted,
            or there are `max_trials`. What can still change it is a trial that the user adds, or one that asks for a parameter
            nobody knew.
        claimed: those that were chosen, and wait for a slot as wide as they need: they are PENDING, and get it without being
            chosen again.
    """

    at: float
    objective: Goal
    trials: Mapping[TrialId, TrialView]
    counts: Mapping[State, int]
    best: TrialView | None
    running: int = 0
    growing: bool = True
    exhausted: bool = False
    claimed: AbstractSet[TrialId] = frozenset()
