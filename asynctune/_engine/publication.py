"""What is published of a search: its committed records, by number, to whoever holds a cursor.

A consumer has no queue, so a slow one costs nothing and misses nothing: it reads what it is behind from the journal.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice

from anyio import to_thread

from asynctune._engine.record import Record, event_of
from asynctune.errors import JournalError
from asynctune.events import Event
from asynctune.records import TrialId, TrialView

__all__ = ["Publication"]

_RECENT = 4096  # records kept in memory for those who are not far behind
_BLOCK = 1024  # records read from the journal at once


class Publication:
    """The public side of a search. Belongs to the event loop.

    Args:
        read: reads up to `limit` records behind number `after` from the journal; may block.
    """

    def __init__(self, read: Callable[[int, int], list[Record]]) -> None:
        self._read = read
        self.seq = 0
        self.trials: dict[TrialId, TrialView] = {}
        self.over = False
        self._recent: deque[Record] = deque(maxlen=_RECENT)
        self._guard = threading.Lock()  # of what `take` reads from other threads: `seq` and `_recent`
        self._waiters: set[asyncio.Future[None]] = set()
        self._subscribers: list[Callable[[], object]] = []

    def start(self, seq: int, trials: Iterable[TrialView]) -> None:
        """The search stands behind record number `seq`."""
        self.seq = seq
        self.trials = {trial.id: trial for trial in trials}

    def publish(self, records: Iterable[Record], trials: Iterable[TrialView]) -> None:
        """These were committed."""
        for trial in trials:  # first: whoever has read of a trial finds it
            self.trials[trial.id] = trial
        with self._guard:
            for record in records:
                self.seq = record.seq
                self._recent.append(record)
        self._wake()

    def end(self) -> None:
        """Nothing more will be published."""
        self.over = True
        self._wake()

    def subscribe(self, wake: Callable[[], object]) -> None:
        """Have this called whenever there is something new, and at the end. It must not block or raise."""
        self._subscribers.append(wake)

    def _wake(self) -> None:
        for wake in self._subscribers:
            wake()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def events(self, after: int) -> AsyncIterator[Event]:
        """Every event behind number `after`: those that were, then those that come, until the search is over.

        Raises:
            StorageError: the journal was removed, or replaced, under a reader that was far behind.
        """
        while True:
            while after < self.seq:
                for record in await self._behind(after):
                    after = record.seq
                    yield event_of(record)
            if self.over:
                return
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def take(self, after: int, most: int = _BLOCK) -> list[Record]:
        """What there is behind number `after`, `most` records at most; empty when that is all. For other threads: it may block.

        Raises:
            StorageError: as `events` does.
        """
        with self._guard:
            if after >= self.seq:
                return []
            kept, most = self._kept(after, most), min(most, self.seq - after)
        return kept if kept is not None else self._looked_up(after, most)

    def event(self, number: int) -> Event | None:
        """The event of this number; None if there is none so far. For other threads: it may block.

        Raises:
            StorageError: as `events` does.
        """
        records = self.take(number - 1, 1) if number > 0 else []
        return event_of(records[0]) if records else None

    async def _behind(self, after: int) -> list[Record]:
        kept = self._kept(after)
        return kept if kept is not None else await to_thread.run_sync(self._looked_up, after, min(_BLOCK, self.seq - after))

    def _kept(self, after: int, most: int = _BLOCK) -> list[Record] | None:
        """A block from memory, or None when it must be looked up."""
        if not self._recent or self._recent[0].seq > after + 1:
            return None
        start = after + 1 - self._recent[0].seq
        return list(islice(self._recent, start, start + most))

    def _looked_up(self, after: int, most: int) -> list[Record]:
        # No more than were published: the journal has what was committed a moment ago, whose trials nobody can find yet.
        records = self._read(after, most)
        if not records:
            raise JournalError(f"event {after + 1} of {self.seq} is not in the journal any more")
        return records
