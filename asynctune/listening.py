"""Who listens to a search: a thread for each observer, which reads the published records by cursor, and hurts nobody.

It is the observer's own thread rather than one of a shared pool: it ends with the search (a pool's threads outlive it), needs
nothing of the event loop while it works, and an observer that never comes back keeps nobody else waiting.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial

from asynctune._engine.futures import settled
from asynctune._engine.publication import Publication
from asynctune._engine.record import Record, event_of
from asynctune.errors import ConfigurationError, StorageError
from asynctune.observers.base import Observer, Watched

__all__ = ["DEADLINE", "Audience"]

_logger = logging.getLogger("asynctune.observers")
DEADLINE = 10.0  # seconds that an observer gets, when the search is over, for what is left
_HURRY = 1.0  # the same, when whoever waits has been cancelled a second time
_PATIENCE = 3  # failures in a row
_PAUSE = 1.0  # seconds between a failure and the next try


class Audience:
    """The observers of one search. Belongs to the event loop.

    Args:
        observers: to be fed.
        publication: what they are fed from.
        watched: makes the view that they are shown; called in their threads.
    """

    def __init__(self, observers: Sequence[Observer], publication: Publication, watched: Callable[[], Watched]) -> None:
        self._publication = publication
        self._feeds = [_Feed(observer, publication, watched) for observer in observers]
        self._deadline: float | None = None
        self._hurried: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def check(self) -> None:
        """Ask each whether it can do its work.

        Raises:
            ConfigurationError: one of them cannot.
        """
        for feed in self._feeds:
            feed.open()
        if asked := [feed.checked for feed in self._feeds]:
            await asyncio.wait(asked)
        for answer in asked:
            if (refusal := answer.result()) is not None:
                raise refusal

    def start(self) -> None:
        """Feed them, once they were checked, from here on."""
        for feed in self._feeds:
            feed.start()
            self._publication.subscribe(feed.wake)

    def hurry(self) -> None:
        """Wait no longer than a moment."""
        now = asyncio.get_running_loop().time()
        self._deadline = now + _HURRY if self._deadline is None else min(self._deadline, now + _HURRY)
        settled(self._hurried)(None)

    async def finish(self) -> None:
        """Everything was published: wait until each has had it, or its time is up. Goes on when it is called again."""
        loop = asyncio.get_running_loop()
        if self._deadline is None:
            self._deadline = loop.time() + DEADLINE
        for feed in self._feeds:
            feed.finish()
        while waiting := [feed.ended for feed in self._feeds if feed.opened and not feed.ended.done()]:
            left = self._deadline - loop.time()
            if left <= 0:
                break
            if not self._hurried.done():
                waiting.append(self._hurried)
            await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for feed in self._feeds:
            feed.leave()


class _Feed:
    """Feeds one observer, in a thread."""

    def __init__(self, observer: Observer, publication: Publication, watched: Callable[[], Watched]) -> None:
        self._observer, self._publication, self._watched = observer, publication, watched
        self._name = type(observer).__name__
        self._after = 0
        self._failures = 0
        self._reported = False
        self._last = ""
        self._started = False
        self._news, self._finishing, self._decided = threading.Event(), threading.Event(), threading.Event()
        self._loop = asyncio.get_running_loop()
        self.checked: asyncio.Future[ConfigurationError | None] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.opened = False
        # In the context of whoever made the search: by it a notebook knows the cell to which an output belongs.
        name, run = f"asynctune-observer-{self._name}", partial(contextvars.copy_context().run, self._run)
        self._thread = threading.Thread(target=run, name=name, daemon=True)

    # ------------------------------------------------------------------------------------------------- on the loop

    def open(self) -> None:
        """Ask it whether it can."""
        self._thread.start()
        self.opened = True

    def start(self) -> None:
        """Begin."""
        self._after, self._started = self._publication.seq, True
        self._decided.set()

    def wake(self) -> None:
        """There is something to read."""
        self._news.set()

    def finish(self) -> None:
        """Nothing more will be published, and if it has not begun, it will not."""
        self._finishing.set()
        self._news.set()
        self._decided.set()

    def leave(self) -> None:
        """The last word: what has ended is joined, what has not is left alone."""
        if self.ended.done():
            self._thread.join()
        elif self.opened:
            _logger.warning("observer %s has not come to its end; it is left behind", self._name)

    # ------------------------------------------------------------------------------------------------ in the thread

    def _run(self) -> None:
        try:
            self._say(partial(settled(self.checked), self._refusal()))
            self._decided.wait()
            if self._started:
                self._live()
        finally:
            self._say(partial(settled(self.ended), None))

    def _say(self, say: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(say)
        except RuntimeError:
            _logger.debug("the loop was closed before observer %s had ended", self._name)

    def _refusal(self) -> ConfigurationError | None:
        refusals = list[ConfigurationError]()

        def check() -> None:
            try:
                self._observer.check(self._watched())
            except ConfigurationError as error:
                refusals.append(error)

        self._tried(check)
        return refusals[0] if refusals else None

    def _live(self) -> None:
        self._failures = 0
        try:
            if self._tried(self._begin):
                self._feed()
        finally:
            self._tried(lambda: self._observer.on_end(self._watched()))

    def _begin(self) -> None:
        first = self._observer.on_start(self._watched())
        if first is not None:
            if isinstance(first, bool) or not isinstance(first, int) or first < 0:
                raise TypeError(f"on_start() returns the number of an event, or None, not {first!r}")
            self._after = max(0, first - 1)

    def _feed(self) -> None:
        while self._failures < _PATIENCE:
            if not self._news.wait(self._observer.idle):
                self._tried(partial(self._give, ()))
                continue
            self._news.clear()
            last = self._finishing.is_set()  # asked before reading: then what is read is all there is
            self._read()
            if last and not self._failures:
                return
            self._finishing.wait(_PAUSE if self._failures else self._observer.interval)
        said = "observer %s is cut off after %s failures in a row (the last: %s), behind event %s; the search goes on"
        _logger.error(said, self._name, _PATIENCE, self._last, self._after)

    def _read(self) -> None:
        """Give it all that there is. What could not be read, or given, is tried again."""
        try:
            while records := self._publication.take(self._after):
                if not self._tried(partial(self._give, records)):
                    self._news.set()
                    return
                self._after = records[-1].seq
        except StorageError as error:
            self._failures += 1
            self._last = type(error).__name__
            self._news.set()
            _logger.warning("events for observer %s cannot be read: %s", self._name, error)

    def _give(self, records: Sequence[Record]) -> None:
        self._observer.on_events([event_of(record) for record in records], self._watched())

    def _tried(self, call: Callable[[], object]) -> bool:
        try:
            call()
        except BaseException as error:
            self._failures += 1
            self._last = type(error).__name__
            if not self._reported:
                _logger.exception("observer %s raised; the search goes on", self._name)
            self._reported = True
            return False
        self._failures = 0
        return True
