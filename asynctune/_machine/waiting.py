"""The trials that wait for a slot, and in which order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from heapq import heappop, heappush

from asynctune.records import TrialId

__all__ = ["Waiting"]

_Queue = dict[TrialId, None]  # ordered, and any entry can be taken out at once


class Waiting:
    """Five queues: retries and interrupted trials, which are owed a slot; fresh trials, those that the user enqueued first; and
    paused ones. Beside them, the retries that are not due yet."""

    def __init__(self) -> None:
        self._retries: _Queue = {}
        self._interrupted: _Queue = {}
        self._enqueued: _Queue = {}
        self._proposed: _Queue = {}
        self._paused: _Queue = {}
        self._queues = (self._retries, self._interrupted, self._enqueued, self._proposed, self._paused)
        self._delayed: dict[TrialId, float] = {}
        self._dues: list[tuple[float, TrialId]] = []  # a heap; what is not in `_delayed` any more is skipped

    def __contains__(self, trial: object) -> bool:
        return trial in self._delayed or any(trial in queue for queue in self._queues)

    @property
    def ready_count(self) -> int:
        """How many could run now."""
        return sum(map(len, self._queues))

    @property
    def delayed(self) -> Mapping[TrialId, float]:
        """The retries that are not due yet, and when they are."""
        return self._delayed

    @property
    def next_due(self) -> float:
        """When the next of them is due; infinity if there are none."""
        while self._dues and self._delayed.get(self._dues[0][1]) != self._dues[0][0]:
            heappop(self._dues)
        return self._dues[0][0] if self._dues else math.inf

    @property
    def owed_count(self) -> int:
        """How many are owed a slot."""
        return len(self._retries) + len(self._interrupted)

    @property
    def interrupted_count(self) -> int:
        """How many of these were interrupted."""
        return len(self._interrupted)

    @property
    def fresh_count(self) -> int:
        """How many have never run."""
        return len(self._enqueued) + len(self._proposed)

    def retrying(self, trial: TrialId, due: float | None = None) -> None:
        """Its attempt failed, and it gets another: now, or when that is due."""
        if due is None:
            self._retries[trial] = None
        else:
            self._delayed[trial] = due
            heappush(self._dues, (due, trial))

    def come_due(self, at: float) -> None:
        """It is `at`."""
        while self.next_due <= at:
            _, trial = heappop(self._dues)
            del self._delayed[trial]
            self._retries[trial] = None

    def interrupted(self, trial: TrialId) -> None:
        """Its launch was lost."""
        self._interrupted[trial] = None

    def paused(self, trial: TrialId) -> None:
        """It was set aside, and its process is gone."""
        self._paused[trial] = None

    def enqueued(self, trial: TrialId) -> None:
        """It is new, and the user's."""
        self._enqueued[trial] = None

    def proposed(self, trial: TrialId) -> None:
        """It is new, and the oracle's."""
        self._proposed[trial] = None

    def owed(self) -> TrialId | None:
        """Take the first retry, then the first interrupted trial."""
        return self._pop(self._retries, self._interrupted)

    def new(self) -> TrialId | None:
        """Take the first fresh trial."""
        return self._pop(self._enqueued, self._proposed)

    def oldest(self) -> TrialId | None:
        """Take the first fresh trial, then the first paused one."""
        return self._pop(self._enqueued, self._proposed, self._paused)

    def take(self, trial: TrialId) -> bool:
        """Take this one, if it could run now."""
        ready = trial in self and trial not in self._delayed
        if ready:
            self.drop(trial)
        return ready

    def drop(self, trial: TrialId) -> None:
        """It waits no more."""
        self._delayed.pop(trial, None)
        for queue in self._queues:
            queue.pop(trial, None)

    def everyone(self) -> list[TrialId]:
        """All that wait."""
        return [trial for queue in (*self._queues, self._delayed) for trial in queue]

    @staticmethod
    def _pop(*queues: _Queue) -> TrialId | None:
        for queue in queues:
            for trial in queue:
                del queue[trial]
                return trial
        return None
