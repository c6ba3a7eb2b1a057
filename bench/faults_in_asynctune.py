"""asynctune: each trial in a process of its own, two at a time; a journal. See `bench.faults`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asynctune as at
from asynctune.events import Event
from asynctune.observers import Observer, Watched
from asynctune.records import TrialView
from bench.peers import faulty

_STATES = {"COMPLETED": "completed", "FAILED": "failed"}
_seen: list[TrialView] = []


class _Raises(Observer):
    """The user's callback."""

    def __init__(self, place: str) -> None:
        self.place = place

    def on_events(self, events: Sequence[Event], search: Watched) -> None:
        faulty.raise_once(self.place)


def search(fault: str, place: str) -> None:
    """Begin the search, or go on with it."""

    def train(trial: at.Trial) -> Any:
        return faulty.trial(trial.id, fault, place)

    async def main() -> None:
        async with at.Search(
            train, {"x": at.Float(0, 1)}, objective=at.Objective("y", "min"), max_trials=faulty.TRIALS,
            executor=at.LocalExecutor(2), storage=Path(place, "state"), seed=0,
            observers=[_Raises(place)] if fault == "callback" else [],
            limits=at.Limits(trial_time=faulty.TIME_LIMIT, grace=1) if fault == faulty.ENDLESS else None,
        ) as running:  # fmt: skip
            try:
                await running.result()
            finally:
                _seen.extend(running.trials.values())

    asyncio.run(main())


def look() -> dict[int, tuple[str, float | None]]:
    """The trials as the search last showed them."""
    return {each.id: (_STATES.get(each.state.name, "running"), each.score) for each in _seen}


if __name__ == "__main__":
    faulty.main(search, look)
