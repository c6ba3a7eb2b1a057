"""The oracle actor: one thread that owns the oracle, and calls it once at a time, in the order of the journal.

So an oracle may take its time, or wait for somebody else's service, and the loop does not feel it.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from attrs import frozen

from asynctune._engine.futures import settled
from asynctune._engine.threads import SYSTEM, Threads
from asynctune._machine.consult import Divergence
from asynctune._machine.instructions import Ask, TellEnd, TellReport
from asynctune.errors import PluginError, SpaceError
from asynctune.objective import Objective
from asynctune.oracles.base import Oracle
from asynctune.records import Suggestion, SuggestionStatus
from asynctune.secret import redacted
from asynctune.wire import decode, encode

__all__ = ["Answered", "Caller", "History", "OracleActor", "OracleCall", "replay"]

_logger = logging.getLogger("asynctune.oracle")
_SLOW = 60.0  # seconds that a call may take before somebody should hear of it
_TOGETHER = 0.002  # seconds that an answer may wait for the next one, to be said with it
OracleCall: TypeAlias = Ask | TellReport | TellEnd


@frozen
class Answered:
    """The oracle's answer to an ask.

    Args:
        ask: its number. suggestion: what was answered.
        state: what the oracle then knew, if it says.
        foreign: the answer is that of another oracle, which this one has taken over from.
    """

    ask: int
    suggestion: Suggestion
    state: Mapping[str, Any] | None
    foreign: bool = False


@frozen
class History:
    """The calls that were made before, in order, and the answers that were recorded, by the number of their ask; and what the
    search is about.

    `adopt` is set when the oracle is not the one that answered: it is then told what came of the trials, and not asked again.
    """

    calls: Sequence[OracleCall]
    answers: Mapping[int, Answered]
    objective: Objective
    seed: int
    adopt: bool = False


class Caller:
    """Makes calls to an oracle; async answers are awaited on a private loop.

    `calling` is the hook that is being called and since when, for whoever watches how long that takes.
    """

    def __init__(self, oracle: Oracle, now: Callable[[], float] = SYSTEM.now) -> None:
        self.oracle = oracle
        self.calling: tuple[str, float] | None = None
        self._now = now
        self.name = type(oracle).__name__
        self.keeps_state = type(oracle).get_state is not Oracle.get_state
        self._runner: asyncio.Runner | None = None
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None] | None = None
        self._cancelled = False

    def tell(self, call: TellReport | TellEnd) -> None:
        """Tell it what became of a trial."""
        if isinstance(call, TellEnd):
            self._call("on_trial_end", lambda: self.oracle.on_trial_end(call.trial))
        else:
            self._call("on_trial_result", lambda: self.oracle.on_trial_result(call.trial, call.report))

    def ask(self, call: Ask) -> Answered:
        """Ask it for values."""
        answer = self._call("populate_space", lambda: self._wait(self.oracle.populate_space(call.trial, call.space)))
        suggestion = self._checked(call, answer)
        return Answered(call.number, suggestion, self._call("get_state", self._state) if self.keeps_state else None)

    def _checked(self, call: Ask, answer: Any) -> Suggestion:
        """The suggestion, with values of the space's own types (NumPy's come from most algorithms)."""
        if isinstance(answer, Suggestion) and answer.status in (SuggestionStatus.IDLE, SuggestionStatus.EXHAUSTED):
            return Suggestion(answer.status)
        is_run = isinstance(answer, Suggestion) and answer.status is SuggestionStatus.RUNNING
        if not is_run or not isinstance(answer.values, Mapping) or not all(isinstance(name, str) for name in answer.values):
            wanted = "Suggestion.run(values), Suggestion.idle() or Suggestion.exhausted()"
            raise PluginError(f"{self.name}.populate_space returned {answer!r}: it must return {wanted}")
        try:
            return Suggestion.run(call.space.coerce(answer.values))
        except SpaceError as error:
            who = f"{self.name} proposed values for trial {call.trial}"
            raise PluginError(f"{who} that are not in the space: {error}") from error

    def _state(self) -> Mapping[str, Any] | None:
        state = self.oracle.get_state()
        if state is None:
            return None
        # Written and read, so that what cannot be stored, or comes back as something else, is this oracle's error and today's.
        stored: Mapping[str, Any] = decode(encode(state, dict[str, Any]), dict[str, Any])
        return stored

    def begin(self, history: History) -> None:
        """Tell it what the search is about."""
        self._call("set_search", lambda: self.oracle.set_search(objective=history.objective, seed=history.seed))

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set it to a recorded state."""
        self._call("set_state", lambda: self.oracle.set_state(state))

    def close(self) -> None:
        """Close its private loop."""
        if self._runner is not None:
            self._runner.close()

    def _wait(self, answer: Any) -> Any:
        if not inspect.isawaitable(answer):
            return answer
        if self._runner is None:
            self._runner = asyncio.Runner()

        async def waited() -> Any:
            task = asyncio.current_task()
            self._waiting = asyncio.get_running_loop(), task
            try:
                if self._cancelled and task is not None:
                    task.cancel()  # whoever cancelled was too early to find it
                return await answer
            finally:
                self._waiting = None

        return self._runner.run(waited())

    def cancel(self) -> None:
        """Cancel the answer that is awaited, if one is, and every later one. From any thread."""
        self._cancelled = True
        waiting = self._waiting
        if waiting is not None and waiting[1] is not None:
            with suppress(RuntimeError):  # it has come, and its loop is closed
                waiting[0].call_soon_threadsafe(waiting[1].cancel)

    def _call(self, hook: str, call: Callable[[], Any]) -> Any:
        self.calling = hook, self._now()
        try:
            return call()
        except PluginError:
            raise
        except BaseException as error:  # a SystemExit of an oracle's is its failure too, and must not end its thread unheard
            raise PluginError(redacted(f"{self.name}.{hook} raised {type(error).__name__}: {error}")) from error
        finally:
            self.calling = None


def replay(caller: Caller, history: History) -> tuple[list[Answered], list[Divergence]]:
    """Make the recorded calls again. Returns the answers to asks that were never answered (they are the last ones, for calls
    are made in order), and where the oracle now answers otherwise.

    An oracle that gives its state is set to the last one that was recorded, and only told what came after.
    """
    calls, fresh, divergences = list(history.calls), list[Answered](), list[Divergence]()
    if caller.keeps_state and not history.adopt:
        for last, state in reversed([(i, _state(history, call)) for i, call in enumerate(calls)]):
            if state is not None:
                caller.restore(copy.deepcopy(dict(state)))
                calls = calls[last + 1 :]
                break
    for call in calls:
        if not isinstance(call, Ask):
            caller.tell(call)
        elif call.number not in history.answers:
            fresh.append(caller.ask(call))
        elif not history.adopt and not history.answers[call.number].foreign:
            now, recorded = caller.ask(call), history.answers[call.number]
            if now.suggestion != recorded.suggestion:
                old, new = repr(recorded.suggestion), repr(now.suggestion)
                divergences.append(Divergence(caller.name, "populate_space", call.trial, old, new))
    return fresh, divergences


def _state(history: History, call: OracleCall) -> Mapping[str, Any] | None:
    answered = history.answers.get(call.number) if isinstance(call, Ask) else None
    return answered.state if answered is not None and not answered.foreign else None


class OracleActor:
    """Calls `oracle`, in a thread of its own. A call that takes longer than the oracle's `deadline` is a failure of it; of one
    that takes over a minute is told before.

    Args:
        oracle: owned from now on.
        history: what it is told first.
        answered, failed, diverged: called on the loop.
        threads: where the thread comes from.
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
    ) -> None:
        self._caller = Caller(oracle, threads.now)
        self._deadline = math.inf if oracle.deadline is None else oracle.deadline
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
        except PluginError as error:
            if not self._stopping.is_set():
                _logger.debug("the oracle failed", exc_info=True)
                self._say(self._failed, error)
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
