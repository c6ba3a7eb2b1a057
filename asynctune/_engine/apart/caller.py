"""Calls an oracle that runs in a process of its own, and has something else proposed where it is late."""

from __future__ import annotations

import logging
import math
import pickle
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from attrs import evolve

from asynctune._engine.apart.process import OracleProcess, WokenError
from asynctune._engine.apart.words import Broken, FromOracle, Ready
from asynctune._engine.caller import Answered, Caller, History
from asynctune._engine.threads import SYSTEM
from asynctune._machine.instructions import Ask, TellAdded, TellEnd, TellObserved, TellReport
from asynctune.errors import PluginError, WireError
from asynctune.executors.trainable import pack_call, pack_oracle
from asynctune.oracles.base import Oracle
from asynctune.oracles.proposer import Proposer
from asynctune.oracles.random import RandomSearch
from asynctune.oracles.wrapped import its_own
from asynctune.records import Suggestion, SuggestionStatus
from asynctune.wire import decode

__all__ = ["ApartCaller"]

_logger = logging.getLogger("asynctune.oracle")
_START_UP: Final = 120.0  # seconds, at least, for what its process has to import
_NICE: Final = 5  # as the runners: it must not take the loop's turn, and its trials do not wait for it alone


class ApartCaller(Caller):
    """Makes calls to an oracle in a process of its own, from one thread.

    A proposal that is not there within the oracle's `deadline` is made by somebody else: values drawn at random, and new.
    The oracle is told of them, and what it proposes later for the same trial is dropped. Only an oracle that says nothing at
    all for its `patience` has failed.

    Args:
        oracle: sent there; ours stays as it is.
        directory: of the search, where its log is; `temporary` if it is removed with the search.
    """

    def __init__(self, oracle: Oracle, directory: Path, *, temporary: bool) -> None:
        super().__init__(oracle, SYSTEM.now)
        self.deadline = math.inf  # looked after here: to be late is no failure
        self._oracle = oracle
        self._late_after = math.inf if oracle.deadline is None else oracle.deadline
        self._patience = math.inf if oracle.patience is None else oracle.patience
        self._process = OracleProcess(directory / "logs" / "oracle.log", temporary=temporary)
        # Knows what the oracle knows, and proposes where that is late.
        substitute = RandomSearch()
        its_own(substitute, fill=oracle.fill)
        self._substitute = Proposer(substitute)
        self._owed: dict[int, float] = {}  # the asks that were not answered, and since when
        self._has_been_late = False

    def begin(self, history: History) -> None:
        """Start its process, and tell it what the search is about."""
        self._call("set_search", lambda: self._begun(history))

    def _begun(self, history: History) -> None:
        self._declared = history.space
        self._substitute.set_search(objective=history.objective, seed=history.seed, space=history.space, tuned=history.tuned)
        self._process.start()
        self._post(_surroundings())
        self._post(pack_oracle(self._oracle))
        self._send("begin", evolve(history, calls=(), answers={}))
        # What it takes to start is no part of the first proposal's time.
        start_up = max(self._patience, _START_UP)
        if not isinstance(self._word(self._now() + start_up), Ready):
            raise PluginError(f"{self.name}: its process was not ready within {start_up:g} s")

    def tell(self, call: TellAdded | TellObserved | TellReport | TellEnd, *, remembered: bool = False) -> None:
        """Tell it what became of a trial. Does not wait until it has heard."""
        match call:
            case TellAdded():
                self._substitute.on_trial_add(call.trial, call.values)
            case TellEnd():
                self._substitute.on_trial_end(call.trial)
            case TellObserved():
                for trial in call.trials:
                    self._substitute.on_trial_end(trial)
        self._call("on_trial_end", lambda: self._send("tell", call, remembered=remembered))

    def skip(self, call: Ask, recorded: Suggestion, *, remembered: bool = False) -> None:
        """Do not ask it what was answered already."""
        self._substitute.see(self._space(call))
        if recorded.status is SuggestionStatus.RUNNING:
            self._substitute.on_trial_add(call.trial, recorded.values)
        self._call("populate_space", lambda: self._send("skip", call, recorded, remembered=remembered))

    def restore(self, state: Any) -> None:
        """Set it to a recorded state."""
        self._call("set_state", lambda: self._send("restore", state))

    def ask(self, call: Ask, recorded: Suggestion | None = None) -> Answered:
        """Ask it for values, and wait for them, for its deadline at most. Where there is a `recorded` answer, it is nobody who
        waits, and so nobody for whom it could be late."""
        answered: Answered = self._call("populate_space", lambda: self._asked(call, recorded))
        self._substitute.see(self._space(call))
        self._warn(self._substitute)
        return answered

    def _asked(self, call: Ask, recorded: Suggestion | None) -> Answered:
        self._send("ask", call, recorded)
        self._owed[call.number] = self._now()
        answered = self._heard(call.number, math.inf if recorded is not None else self._now() + self._late_after)
        if answered is None:
            instead = self._instead(call)
            if instead is not None:
                return instead
            # Nothing new is left to draw; the oracle may know better, and is waited for.
            answered = self._heard(call.number, math.inf)
            assert answered is not None  # noqa: S101 -- there was no time by which it could be late
        stands = answered.suggestion if recorded is None else recorded
        if stands.status is SuggestionStatus.RUNNING:
            self._substitute.on_trial_add(call.trial, stands.values)
        return answered

    def _heard(self, ask: int, until: float) -> Answered | None:
        """The answer to this ask, or None when it is late."""
        while True:
            hung = min(self._owed.values()) + self._patience
            word = self._word(min(until, hung))
            if word is None and self._now() >= hung:
                what = f"{self.name}.populate_space has not returned"
                raise PluginError(f"{what} for {self._patience:g} s, which is its patience")
            if word is None:
                return None
            if isinstance(word, Ready) or self._owed.pop(word.ask, None) is None:
                raise PluginError(f"{self.name}: its process said {word}, which answers nothing that was asked")
            if word.ask == ask:
                return word

    def _word(self, until: float) -> Ready | Answered | None:
        """What its process says next; None if it says nothing until then."""
        try:
            body = self._process.receive(until)
            word: Ready | Answered | Broken | None = None if body is None else decode(body, FromOracle)
        except EOFError as error:
            raise PluginError(f"{self.name} failed: {self._process.how_it_ended()}") from error
        except WireError as error:
            raise PluginError(f"{self.name}: what came from its process is no answer: {error}") from error
        except WokenError as error:
            raise PluginError(f"{self.name}: nobody waits for its answer any more") from error
        if isinstance(word, Broken):
            raise PluginError(word.message)
        return word

    def _instead(self, call: Ask) -> Answered | None:
        """Somebody else's answer; None if there is none."""
        why = f"{self.name} had not proposed anything within {self._late_after:g} s"
        suggestion = self._substitute.populate_space(call.trial, self._space(call))
        assert isinstance(suggestion, Suggestion)  # noqa: S101 -- RandomSearch does not wait
        if suggestion.status is not SuggestionStatus.RUNNING:
            return None
        if not self._has_been_late:
            self._has_been_late = True
            _logger.warning("%s: a random proposal takes its place, here and wherever that happens again", why)
        self._send("never_mind", call.number)
        self._send("tell", TellAdded(call.trial, suggestion.values))
        return Answered(call.number, evolve(suggestion, fallback=why), None)

    def _send(self, method: str, *arguments: Any, **named: Any) -> None:
        self._post(pack_call((method, arguments, named)))

    def _post(self, body: bytes) -> None:
        try:
            self._process.send(body)
        except EOFError as error:
            raise PluginError(f"{self.name} failed: {self._process.how_it_ended()}") from error

    def cancel(self) -> None:
        """Wait for no answer any more. From any thread."""
        self._process.wake()

    def close(self) -> None:
        """Kill its process."""
        self._process.close()


def _surroundings() -> bytes:
    cwd = ""
    with suppress(FileNotFoundError):  # it was deleted under us
        cwd = str(Path.cwd())
    path = [str(Path(entry).absolute()) for entry in sys.path if isinstance(entry, str)]
    return pickle.dumps({"cwd": cwd, "argv": list(map(str, sys.argv)), "path": path, "nice": _NICE})
