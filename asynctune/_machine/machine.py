"""The machine of a search: told what happened, it answers what to do.

Rule 1: everything that decides is in this folder; nothing in it does anything. Rule 2: time, luck and the plugins' answers
come in as arguments, so the machine can be told its history again and stands where it stood.

A stimulus is handled in two parts. First what it means for the trial that it is about, by law and policy (`hearing`, `asking`).
Then what follows for the search, whatever it was (`settling`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from asynctune._machine import asking, hearing, settling
from asynctune._machine.consult import PluginAnswer
from asynctune._machine.heeding import heed
from asynctune._machine.instructions import Instruction, ReleaseSlot
from asynctune._machine.invariants import check
from asynctune._machine.retry import FailureRun
from asynctune._machine.situation import Situation
from asynctune._machine.slots import Slots
from asynctune._machine.stimuli import (
    Closed,
    Enqueued,
    ExecutorFailed,
    Heard,
    LaunchEnded,
    LimitBroken,
    Opened,
    OracleFailed,
    PauseAsked,
    ResumeAsked,
    SlotGranted,
    Stimulus,
    StopAsked,
    StopTrialAsked,
    Suggested,
    Ticked,
    Weighed,
    WorkersSet,
)
from asynctune.errors import SpaceError, WireError
from asynctune.events import Happening, SearchOpened
from asynctune.messages import MetricsReported
from asynctune.records import State
from asynctune.space import Space
from asynctune.wire import decode, encode

__all__ = ["Decision", "Machine"]


@frozen
class Decision:
    """The machine's answer to one stimulus.

    Args:
        instructions: what to do, in order, once the record is committed.
        happened: what the record says.
        answers: what the plugins answered.
        void: the stimulus changed nothing (the last words of a dead launch, or anything after the end): there is nothing to
            record.
        refused: why a user's command was not obeyed; then it is void too.
    """

    instructions: Sequence[Instruction]
    happened: tuple[Happening, ...] = ()
    answers: tuple[PluginAnswer, ...] = ()
    void: bool = False
    refused: str | None = None


class Machine(Situation):
    """The state of a search, moved by `handle` alone.

    Args:
        scheduler: judges reports; the machine owns it from now on.
        stoppers: say when it is enough.
    """

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {state.value.lower()}" for state, n in self.book.counts.items() if n)
        return f"<Machine at {self.at:.3f}: {counts or 'no trials'}{', over' if self.over else ''}>"

    def handle(self, stimulus: Stimulus, recorded: Sequence[PluginAnswer] | None = None) -> Decision:
        """Take one stimulus in.

        Args:
            stimulus: what happened. Its `at` is never before that of the one before.
            recorded: what the plugins answered to it, when it is told again; their answers of today are only compared.

        Raises:
            PluginError: a plugin raised or answered nonsense. The machine must not be used any more.
        """
        if stimulus.at < self.at:
            raise ValueError(f"search time cannot go back: {stimulus.at} after {self.at}")
        self.happened, self.do = [], []
        if type(stimulus) in _COMMANDS and (refused := _refused(self, stimulus)) is not None:
            return Decision((), void=True, refused=refused)
        if _is_stale(self, stimulus):
            self.dropped += 1
            return Decision(self.do, void=True)
        if self.over and not isinstance(stimulus, Opened):
            # The end of a search is its last record, until it is opened again. A slot that is granted now goes straight back.
            return Decision([ReleaseSlot(stimulus.width)] if isinstance(stimulus, SlotGranted) else (), void=True)
        declined = self.declined
        if type(stimulus) is not SlotGranted:
            self.declined = None  # whatever has happened may change the scheduler's mind
        self.at = stimulus.at
        report = stimulus.message if isinstance(stimulus, Heard) else None
        self.reporting = report.trial if isinstance(report, MetricsReported) else None
        self.consult.begin(recorded)
        _HANDLERS[type(stimulus)](self, stimulus)
        heed(self)
        if declined is not None or not settling.is_settled(self):
            settling.settle(self)
        if isinstance(stimulus, Heard):
            hearing.answer(self, stimulus.message)
        return Decision(self.do, tuple(self.happened), tuple(self.consult.answers))

    def check(self) -> None:
        """Assert every invariant."""
        check(self)


_COMMANDS = frozenset({StopAsked, StopTrialAsked, Enqueued, WorkersSet})  # those that can be refused


def _refused(search: Situation, stimulus: Stimulus) -> str | None:
    """Why a user's command cannot be obeyed."""
    if search.over:
        return "the search is over"
    try:
        decode(encode(stimulus, Stimulus), Stimulus)  # what could not be read again must not be written down
    except WireError as error:
        return str(error)
    match stimulus:
        case StopTrialAsked(trial=trial):
            known = search.book.trials.get(trial)
            if known is None:
                return f"there is no trial {trial}; there are {len(search.book.trials)} so far, counted from 0"
            return f"trial {trial} has already ended ({known.state.value})" if known.state.ended else None
        case Enqueued() if search.ending is not None:
            return f"the search is ending ({search.ending.reason}): open it again to add a trial"
        case Enqueued(values=values):
            try:
                asking.check_given(search, values)
            except SpaceError as error:
                return str(error)
    return None


def _is_stale(search: Situation, stimulus: Stimulus) -> bool:
    """Whether it speaks of a launch that is over, or of a trial that was already told to stop."""
    match stimulus:
        case LaunchEnded(ending=said) | Heard(message=said):
            trial = search.book.trials.get(said.trial)
            if trial is None or trial.launch is None or trial.launch.number != said.launch:
                return True
            if isinstance(stimulus, LaunchEnded) or (trial.state is State.RUNNING and trial.launch.failure is None):
                return False
            # It was sent before the verdict was heard: nothing that it says counts, but it may wait for an answer.
            hearing.answer(search, stimulus.message)
            return True
        case LimitBroken(breach=said):
            trial = search.book.trials.get(said.trial)
            if trial is None or trial.launch is None or trial.launch.number != said.launch:
                return True
            is_set = getattr(search.settings.limits, said.limit.value) is not None
            counts = trial.launch.parked or (trial.state is State.RUNNING and trial.launch.halted is None)
            return not (is_set and counts)
        case Weighed(weight=said):
            trial = search.book.trials.get(said.trial)
            return trial is None or trial.launch is None or trial.launch.number != said.launch or not trial.launch.parked
        case Suggested(ask=number):
            return number not in search.asks.in_flight
    return False


def _opened(search: Situation, stimulus: Opened) -> None:
    again = search.opened > 0
    other_oracle = again and stimulus.settings.oracle != search.settings.oracle
    if again and stimulus.settings.scheduler != search.settings.scheduler:
        search.consult.divergences.clear()  # what was recorded until now is another scheduler's
    search.opened += 1
    search.happened.append(SearchOpened(times=search.opened))
    for key in stimulus.gone:
        search.forget(key)
    for trial in list(search.book.live.values()):  # by the settings that they ran with: whether there are logs is one of them
        search.lose(trial, "the search was interrupted")
    search.settings = stimulus.settings
    if search.ending is not None and search.ending.error == "TooManyFailuresError":
        search.failures = FailureRun()  # it has been told, and is opened again all the same
    search.ending, search.over, search.user_paused, search.woken = None, False, False, math.inf
    search.draining = False
    search.slots = Slots(stimulus.settings.slots)
    search.waiting.unclaim()
    search.asks.reopened(other_oracle=other_oracle)
    if not again:
        search.declared = search.space = Space().grow(stimulus.settings.space)
        search.book.declared = stimulus.settings.declared
        search.consult.set_search(stimulus.settings.objective)
        asking.begin(search, stimulus)


def _pause_starts(search: Situation, stimulus: PauseAsked | ResumeAsked) -> None:
    search.user_paused = isinstance(stimulus, PauseAsked)


def _granted(search: Situation, stimulus: SlotGranted) -> None:
    search.slots.granted(stimulus.width)
    if stimulus.width > 1:
        settling.widely(search, stimulus.width)


_HANDLERS: Mapping[type[Any], Callable[[Situation, Any], None]] = {
    Opened: _opened,
    Suggested: asking.suggested,
    Enqueued: asking.enqueued,
    Heard: hearing.heard,
    LaunchEnded: hearing.launch_ended,
    LimitBroken: hearing.limit_broken,
    Weighed: hearing.weighed,
    Ticked: hearing.ticked,
    SlotGranted: _granted,
    WorkersSet: lambda search, said: search.slots.resize(said.slots),
    StopTrialAsked: lambda search, said: search.stop(search.book.trials[said.trial], said.reason),
    PauseAsked: _pause_starts,
    ResumeAsked: _pause_starts,
    StopAsked: lambda search, said: search.end_early(said.reason, stop=True),
    Closed: lambda search, said: search.end_early(said.reason, error="SearchError"),
    OracleFailed: lambda search, said: search.drain(said.message, error="PluginError"),
    ExecutorFailed: lambda search, said: search.end_early(said.message, error="ExecutorError"),
}
