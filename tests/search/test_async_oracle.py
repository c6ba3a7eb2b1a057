"""An oracle that asks somebody else, in a whole search: awaited, and cancelled where it waits."""

from __future__ import annotations

import asyncio
import threading
from typing import ClassVar

import pytest

import asynctune as at
from asynctune.records import Suggestion, TrialId
from asynctune.space import Space


class Waits(at.Oracle):
    """Never gets an answer; what becomes of it is written down in the class, for the search has a copy."""

    begun: ClassVar[threading.Event]
    cancelled: ClassVar[threading.Event]

    async def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        type(self).begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            type(self).cancelled.set()
            raise
        raise AssertionError


async def train(trial: at.AsyncTrial) -> float:
    return float(trial.values["x"] or 0)


async def test_a_search_that_is_cancelled_cancels_what_its_oracle_waits_for() -> None:
    Waits.begun, Waits.cancelled = threading.Event(), threading.Event()
    searching = asyncio.create_task(
        at.search(
            train,
            {"x": at.Int(0, 9)},
            objective=at.Objective("loss", "min"),
            oracle=Waits(),
            max_trials=3,
            executor=at.InlineExecutor(2),
        )
    )
    await asyncio.to_thread(Waits.begun.wait)
    searching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await searching
    assert Waits.cancelled.is_set()
    assert sum(thread.name == "asynctune-oracle" for thread in threading.enumerate()) == 0
