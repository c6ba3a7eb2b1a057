"""The calls that are made to an oracle, one at a time: it is asked, it is told, and when its search is opened again, it is led
back to where it stood.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final, TypeAlias

from attrs import Factory, frozen

from asynctune._engine.threads import SYSTEM
from asynctune._machine.consult import Divergence
from asynctune._machine.instructions import Ask, TellAdded, TellEnd, TellObserved, TellReport
from asynctune.errors import PluginError
from asynctune.objective import Goal
from asynctune.oracles.base import Oracle
from asynctune.oracles.proposer import Proposer
from asynctune.records import Suggestion, SuggestionStatus, TrialId, TrialView
from asynctune.secret import redacted
from asynctune.space import Space
from asynctune.space.rules import RuleError
from asynctune.wire import decode, encode

__all__ = ["Answered", "Caller", "History", "OracleCall", "replay"]

_logger = logging.getLogger("asynctune.oracle")
_TOLD: Final = 5  # reasons in one warning

OracleCall: TypeAlias = Ask | TellAdded | TellObserved | TellReport | TellEnd


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
    `space` is the declared one, with its rules and what is derived. For `tuned` see `Known`.
    """

    calls: Sequence[OracleCall]
    answers: Mapping[int, Answered]
    objective: Goal
    seed: int
    adopt: bool = False
    space: Space = Factory(Space)
    tuned: frozenset[str] | None = None


class Caller:
    """Makes calls to an oracle, through its proposer; async answers are awaited on a private loop.

    `deadline` is how many seconds a call may take; past them the oracle has failed.
    `calling` is the hook that is being called and since when, for whoever watches how long that takes.
    """

    def __init__(self, oracle: Oracle, now: Callable[[], float] = SYSTEM.now) -> None:
        self.proposer = Proposer(oracle)
        self.name = self.proposer.name
        self.deadline = math.inf if oracle.deadline is None else oracle.deadline
        self.calling: tuple[str, float] | None = None
        self._now = now
        self._runner: asyncio.Runner | None = None
        self._declared = Space()
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None] | None = None
        self._cancelled = False
        self._warned_of = set[TrialId]()

    def tell(self, call: TellAdded | TellObserved | TellReport | TellEnd, *, remembered: bool = False) -> None:
        """Tell it what became of a trial; with `remembered`, its state knows of that, and only the proposer is told."""
        proposer = self.proposer
        match call:
            case TellAdded():
                self._call("on_trial_add", lambda: proposer.on_trial_add(call.trial, call.values))
            case TellEnd():
                self._end(call.trial, remembered=remembered)
            case TellObserved():
                for trial in call.trials:
                    self._end(trial, remembered=remembered)
            case TellReport() if not remembered:
                self._call("on_trial_result", lambda: self._wait(proposer.on_trial_result(call.trial, call.report)))

    def _end(self, trial: TrialView, *, remembered: bool) -> None:
        self._call("on_trial_end", lambda: self._wait(self.proposer.on_trial_end(trial, remembered=remembered)))

    def ask(self, call: Ask, recorded: Suggestion | None = None) -> Answered:
        """Ask it for values. If `recorded` is what it answered when it was asked before, that is what was run."""
        proposer, space = self.proposer, self._space(call)
        asked = lambda: self._wait(proposer.populate_space(call.trial, space, recorded))  # noqa: E731
        suggestion: Suggestion = self._call("populate_space", asked)
        self._warn(proposer)
        return Answered(call.number, suggestion, self._call("get_state", self._state) if proposer.keeps_state else None)

    def skip(self, call: Ask, recorded: Suggestion, *, remembered: bool = False) -> None:
        """Do not ask it what was answered already; it sees what it would have seen then. For `remembered` see `tell`."""
        self._call("on_trial_end", lambda: self._wait(self.proposer.see(self._space(call), remembered=remembered)))
        if recorded.status is SuggestionStatus.RUNNING:
            self.tell(TellAdded(call.trial, recorded.values))

    def _warn(self, proposer: Proposer) -> None:
        """Say what was observed in earlier searches and does not fit this one, once."""
        left_out = proposer.known.left_out
        new = {trial: why for trial, why in left_out.items() if trial not in self._warned_of}
        if not new:
            return
        self._warned_of |= new.keys()
        told = "; ".join(f"row {-trial} (trial {trial}): {why}" for trial, why in islice(new.items(), _TOLD))
        more = f"; and {len(new) - _TOLD} more" if len(new) > _TOLD else ""
        count = f"{len(new)} of what it found" if len(new) > 1 else "one of what it found"
        _logger.warning("warm_start=: %s does not fit what trials ask for, and is left out: %s%s", count, told, more)

    def _space(self, call: Ask) -> Space:
        """What is known, with the rules and what is derived, which the machine does not have."""
        declared = self._declared
        return declared.grow(call.space) if declared.rules or declared.derived else call.space

    def _state(self) -> Mapping[str, Any] | None:
        state = self.proposer.get_state()
        if state is None:
            return None
        # Written and read, so that what cannot be stored, or comes back as something else, is this oracle's error and today's.
        stored: Mapping[str, Any] = decode(encode(state, dict[str, Any]), dict[str, Any])
        return stored

    def begin(self, history: History) -> None:
        """Tell it what the search is about."""
        self._declared = history.space
        objective, seed, space, tuned = history.objective, history.seed, history.space, history.tuned
        begin = self.proposer.set_search
        self._call("set_search", lambda: begin(objective=objective, seed=seed, space=space, tuned=tuned))

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set it to a recorded state."""
        self._call("set_state", lambda: self.proposer.set_state(state))

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
        except RuleError as error:
            raise PluginError(redacted(str(error))) from error
        except BaseException as error:  # a SystemExit of an oracle's is its failure too, and must not end its thread unheard
            raise PluginError(redacted(f"{self.name}.{hook} raised {type(error).__name__}: {error}")) from error
        finally:
            self.calling = None


def replay(caller: Caller, history: History) -> tuple[list[Answered], list[Divergence]]:
    """Make the recorded calls again. Returns the answers to asks that were never answered (they are the last ones, for calls
    are made in order), and where the oracle now answers otherwise.

    An oracle that gives its state is set to the last one that was recorded, and only told what came after. What it knows
    through its proposer is told again in full. Once a proposal was late, nobody can say what it had already thought of when it
    was told so, and its answers are compared no more.
    """
    has_been_late = False
    fresh, divergences = list[Answered](), list[Divergence]()
    state, remembered = _last_state(history) if caller.proposer.keeps_state else (None, 0)
    for place, call in enumerate(history.calls):
        if state is not None and place == remembered:
            caller.restore(copy.deepcopy(dict(state)))
        recorded = history.answers.get(call.number) if isinstance(call, Ask) else None
        if not isinstance(call, Ask):
            caller.tell(call, remembered=place < remembered)
        elif recorded is None:
            fresh.append(caller.ask(call))
        elif place < remembered or history.adopt or recorded.foreign or recorded.suggestion.fallback is not None:
            has_been_late = has_been_late or recorded.suggestion.fallback is not None
            caller.skip(call, recorded.suggestion, remembered=place < remembered)
        else:
            now = caller.ask(call, recorded.suggestion)
            if now.suggestion != recorded.suggestion and not has_been_late:
                old, new = repr(recorded.suggestion), repr(now.suggestion)
                divergences.append(Divergence(caller.name, "populate_space", call.trial, old, new))
    if state is not None and remembered == len(history.calls):
        caller.restore(copy.deepcopy(dict(state)))
    return fresh, divergences


def _last_state(history: History) -> tuple[Mapping[str, Any] | None, int]:
    """The last state that the oracle recorded, and how many calls it knows of."""
    for place in range(0 if history.adopt else len(history.calls), 0, -1):
        state = _state(history, history.calls[place - 1])
        if state is not None:
            return state, place
    return None, 0


def _state(history: History, call: OracleCall) -> Mapping[str, Any] | None:
    answered = history.answers.get(call.number) if isinstance(call, Ask) else None
    return answered.state if answered is not None and not answered.foreign else None
