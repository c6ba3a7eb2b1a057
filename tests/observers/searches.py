"""Searches that are watched, in this process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import asynctune as at
from asynctune.observers import Watched

LOSS = at.Objective("loss", "min")


async def descend(trial: at.AsyncTrial) -> None:
    lr = trial.hp.Float("lr", 1e-4, 1e-1, sampling="log")
    for step in range(1, 4):
        await trial.report(step=step, loss=lr / step)


async def third_fails(trial: at.AsyncTrial) -> None:
    await descend(trial)
    if trial.id == 2:
        raise ValueError("the third one \x1b[31m is bad")


async def search(trainable: Any = descend, **options: Any) -> at.Result:
    given: dict[str, Any] = {"objective": LOSS, "executor": at.InlineExecutor(4), "seed": 0, "max_trials": 6, **options}
    return await at.search(trainable, **given)


class Keeping(at.Observer):
    """Keeps all that it is told."""

    interval = 0.01

    def __init__(self, first: int | None = None) -> None:
        self.first = first
        self.calls: list[str] = []
        self.events: list[at.Event] = []
        self.views: list[Watched] = []
        self.threads: set[int] = set()

    def on_start(self, search: Watched) -> int | None:
        self._called("start", search)
        return self.first

    def on_events(self, events: Sequence[at.Event], search: Watched) -> None:
        self._called("events", search)
        self.events += events

    def on_end(self, search: Watched) -> None:
        self._called("end", search)

    def _called(self, what: str, search: Watched) -> None:
        self.calls.append(what)
        self.views.append(search)
        self.threads.add(threading.get_ident())

    @property
    def numbers(self) -> list[int]:
        return [event.seq for event in self.events]
