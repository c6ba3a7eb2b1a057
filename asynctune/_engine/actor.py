"""The oracle actor: one thread that owns the oracle, and calls it once at a time, in the order of the journal.

So an oracle may take its time, or wait for somebody else's service, and the loop does not feel it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

from asynctune._engine.caller import Answered, Caller, History, OracleCall, replay
from asynctune._engine.futures import settled
from asynctune._engine.threads import SYSTEM, Threads
from asynctune._machine.consult import Divergence
from asynctune._machine.instructions import Ask
from asynctune.errors import PluginError
from asynctune.oracles.base import Oracle
from asynctune.secret import redacted

__all__ = ["OracleActor"]

_logger = logging.getLogger("asynctune.oracle")
_SLOW = 60.0  # seconds that a call may take before somebody should hear of it
_TOGETHER = 0.002  # seconds that an answer may wait for the next one, to be said with it


class OracleActor:
    """Calls `oracle`, in a thread of its own. A call that takes longer than the oracle's `deadline` is a failure of it; of one
    that takes over a minute is told before.

    Args:
        oracle: owned from now on.
        history: what it is told first.
        answered, failed, diverged: called on the loop.
        threads: where the thread comes from.
        caller: makes the calls, if they are not simply made in the thread.
    """

    def __init__(
        self,
        oracle: Oracle,
        history: History,
        *,
        answered: Callable[[Sequence[Answered]], None],
        failed: Callable[[PluginError], None],
        diverged: Callable[[list[Divergence]], None],
        threads: Threads = SYSTEM,
        caller: Caller | None = None,
    ) -> None:
        self._caller = Caller(oracle, threads.now) if caller is None else caller
        self._deadline = self._caller.deadline
        self._history = history
        self._answered, self._failed, self._diverged = answered, failed, diverged
        self._calls = threads.queue()  # of sequences of calls, and at last None
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._stopping = threads.event()
        self._now = threads.now
        self._watch: asyncio.TimerHandle | None = None
        self._warned_of: tuple[str, float] | None = None
        self._posted, self._made = 1, 0  # telling it its past counts as one
        self._thread = threads.thread(self._run, "asynctune-oracle")
        self._watch_from(self._now())

    def post(self, calls: Sequence[OracleCall]) -> None:
        """Make these calls, in order, after those before them."""
        self._posted += 1
        self._calls.put(calls)
        if self._watch is None and not self._stopping.is_set():
            self._watch_from(self._now())

    def stop(self) -> asyncio.Future[None]:
        """Make no more calls. The future is done when the thread is. An answer that is awaited is cancelled; a call that keeps
        the thread cannot be cut short."""
        self._end()
        return self._ended

    def _end(self) -> None:
        self._stopping.set()
        if self._watch is not None:
            self._watch.cancel()
        self._caller.cancel()
        self._calls.put(None)

    def _watch_from(self, began: float) -> None:
        """Look at a call that began then, or may have, as soon as there could be something to say of it."""
        took = self._now() - began
        wait = min(self._deadline, _SLOW if took < _SLOW else math.inf) - took
        self._watch = self._loop.call_later(max(wait, 0.0), self._look) if math.isfinite(wait) else None

    def _look(self) -> None:
        self._watch = None
        made, calling = self._made, self._caller.calling
        if self._stopping.is_set() or made == self._posted:
            return  # nothing is left to be called; who posts the next call looks again
        if calling is None:  # it is between two of them
            self._watch_from(self._now())
            return
        hook, began = f"{self._caller.name}.{calling[0]}", calling[1]
        took = self._now() - began
        if took >= self._deadline:
            self._end()
            self._failed(PluginError(f"{hook} has not returned for {self._deadline:g} s, which is its deadline"))
            return
        if took >= _SLOW and self._warned_of != calling:
            self._warned_of = calling
            _logger.warning("%s has not returned for %.0f s; no trial can be proposed until it does", hook, took)
        self._watch_from(began)

    def join(self) -> None:
        """Wait for the thread, which has said its last word."""
        self._thread.join()

    # --------------------------------------------------------------------------------------------- in the thread

    def _run(self) -> None:
        try:
            self._caller.begin(self._history)
            fresh, divergences = replay(self._caller, self._history)
            if divergences:
                self._say(self._diverged, divergences)
            if fresh:
                self._say(self._answered, fresh)
            self._made += 1
            while (calls := self._calls.get()) is not None and not self._stopping.is_set():
                self._make(calls)
                self._made += 1
        except BaseException as error:
            if not self._stopping.is_set():
                _logger.debug("the oracle failed", exc_info=True)
                name = type(error).__name__
                known = (
                    error if isinstance(error, PluginError) else PluginError(redacted(f"the oracle's thread: {name}: {error}"))
                )
                self._say(self._failed, known)
                self._stopping.set()
        finally:
            self._caller.close()
            self._say(settled(self._ended), None)

    def _make(self, calls: Sequence[OracleCall]) -> None:
        answers, since = list[Answered](), self._now()
        try:
            for call in calls:
                if self._stopping.is_set():
                    return
                if isinstance(call, Ask):
                    answers.append(self._caller.ask(call))
                else:
                    self._caller.tell(call)
                if answers and self._now() - since > _TOGETHER:
                    self._say(self._answered, answers)
                    answers, since = [], self._now()
        finally:
            if answers:
                self._say(self._answered, answers)

    def _say(self, hear: Callable[[Any], object], what: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(hear, what)
        except RuntimeError:
            self._stopping.set()  # the loop was closed under a search that nobody left
