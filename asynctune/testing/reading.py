"""What the history checker reads out of records, one after the other, and which rules they break."""

from __future__ import annotations

import math
from collections import Counter
from typing import NoReturn, TypeAlias

from attrs import define, field

from asynctune._engine.record import Record
from asynctune._machine import law
from asynctune._machine.consult import EndWhole
from asynctune._machine.slots import slots_for
from asynctune._machine.stimuli import Heard, LaunchEnded, Opened, Settings, SlotGranted, StopAsked, WorkersSet
from asynctune.errors import IllegalTransition
from asynctune.events import (
    AttemptFailed,
    CheckpointDropped,
    CheckpointGone,
    CheckpointSaved,
    Exploited,
    ExploitSkipped,
    Finished,
    GaveUp,
    Happening,
    LawEvent,
    ParametersUsed,
    ParkedGone,
    Paused,
    Reallocated,
    Reported,
    SearchEnded,
    SearchOpened,
    SpaceGrew,
    Started,
    Stopped,
    TrialAdded,
)
from asynctune.messages import Died, Lost, MetricsReported, ParametersDeclared, TrialLeft, TrialRaised, TrialReturned
from asynctune.policies import Resources
from asynctune.records import CheckpointKey, LaunchNumber, State, TrialId
from asynctune.testing.breach import HistoryError, HistoryRule

__all__ = ["Reader"]


@define
class _Trial:
    """What the records say of a trial. `running` is the launch that has not ended, and `step` the last that it reported. Of
    another trial's checkpoints, its next launch is to go on from `becomes`, and one before has gone on from `became`.
    `resources` are its own, and `width` is how many slots its launch takes."""

    state: State = State.PENDING
    failures: int = 0
    launches: int = 0
    running: LaunchNumber | None = None
    step: int = 0
    parent: TrialId | None = None
    budget: float = math.inf
    saved: set[CheckpointKey] = field(factory=set)
    becomes: CheckpointKey | None = None
    became: CheckpointKey | None = None
    resources: Resources | None = None
    width: int = 1


class Reader:
    """Reads records, one after the other, and holds each against the rules."""

    def __init__(self, *, shared: bool) -> None:
        self._shared = shared
        self.reported = set[tuple[TrialId, LaunchNumber, int]]()
        self._settings: Settings | None = None
        self._trials: dict[TrialId, _Trial] = {}
        self._running: set[TrialId] = set()
        self._parked: set[TrialId] = set()
        self._seq, self._at = 0, 0.0
        self._openings = 0
        self._slots, self._granted = 0, Counter[int]()
        self._ended: SearchEnded | None = None
        self._told_to_end = False

    def read(self, record: Record) -> None:
        """Take one record in."""
        expected, self._seq = self._seq + 1, record.seq
        if record.seq != expected:
            self._wrong("order", f"record {expected} is followed by record {record.seq}" if expected > 1 else "no record 1")
        if record.stimulus.at < self._at:
            self._wrong("order", f"search time goes back, from {self._at} to {record.stimulus.at}")
        self._at = record.stimulus.at
        self._hear(record)
        for happening in record.happened:
            if self._ended is not None:
                self._wrong("openings", f"{happening} happens behind the end of the search")
            self._happen(happening)
        if isinstance(record.stimulus, Heard) and isinstance(record.stimulus.message, MetricsReported):
            self._spend(record.stimulus.message)
        if isinstance(record.stimulus, Opened) != any(isinstance(each, SearchOpened) for each in record.happened):
            self._wrong("openings", "a search is told of its opening, and opened, in one record")

    def _wrong(self, rule: HistoryRule, message: str) -> NoReturn:
        raise HistoryError(rule, self._seq, message)

    # ---------------------------------------------------------------------------------------------- what it was told

    def _hear(self, record: Record) -> None:
        said = record.stimulus
        if not isinstance(said, Opened) and (self._settings is None or self._ended is not None):
            self._wrong("openings", f"{type(said).__name__} is recorded while the search is not open")
        self._told_to_end |= isinstance(said, StopAsked) or any(isinstance(each, EndWhole) for each in record.answers)
        match said:
            case Opened():
                self._open(said)
                self._told_to_end = any(isinstance(each, EndWhole) for each in record.answers)
            case Heard():
                self._speaks(said.message)
                if self._trials[said.message.trial].state is not State.RUNNING:
                    self._wrong("fencing", f"trial {said.message.trial} is listened to, and was told to stop before")
            case LaunchEnded():
                self._speaks(said.ending)
                self._trials[said.ending.trial].running = None
                self._running.discard(said.ending.trial)
            case SlotGranted():
                self._granted[said.width] += 1
            case WorkersSet():
                self._slots = max(self._slots, said.slots)
            case _:
                pass

    def _open(self, said: Opened) -> None:
        # Whatever ran is gone with the process that searched, and so are its slots.
        self._settings, self._slots, self._granted = said.settings, said.settings.slots, Counter()
        self._ended = None
        for trial in self._trials.values():
            trial.running = None
        self._running.clear()

    def _speaks(self, said: _Said) -> None:
        trial = self._trials.get(said.trial)
        if trial is None or trial.running != said.launch:
            runs = "nothing of it runs" if trial is None or trial.running is None else f"launch {trial.running} runs"
            who = f"launch {said.launch} of trial {said.trial}"
            self._wrong("fencing", f"{who} is listened to ({type(said).__name__}), and {runs}")

    # ------------------------------------------------------------------------------------------------- what happened

    def _happen(self, happening: Happening) -> None:
        match happening:
            case SearchOpened(times=times):
                self._openings += 1
                if times != self._openings:
                    self._wrong("openings", f"this is opening {self._openings}, and {times} is recorded")
            case SearchEnded():
                self._end(happening)
            case TrialAdded(trial=number):
                if number in self._trials or number < 0:
                    self._wrong("law", f"trial {number} is added, and there is one of that number, or cannot be")
                if happening.parent is not None and not self._known(happening.parent).state.ended:
                    self._wrong("parents", f"trial {number} descends from trial {happening.parent}, which has not ended")
                budget = math.inf if happening.budget is None else happening.budget
                self._trials[number] = _Trial(parent=happening.parent, budget=budget)
            case CheckpointGone() | CheckpointDropped() | ParkedGone():
                self._lose(self._known(happening.trial), happening)
            case CheckpointSaved(trial=number, checkpoint=key):
                self._save(self._known(number), key, number, self._known(number).launches)
            case Exploited() | ExploitSkipped():
                self._exploit(self._known(happening.trial), happening)
            case Reallocated(trial=number, resources=resources):
                self._known(number).resources = resources
            case ParametersUsed() | SpaceGrew():
                self._known(happening.trial)
            case _:
                self._move(self._known(happening.trial), happening)

    def _known(self, number: TrialId) -> _Trial:
        trial = self._trials.get(number)
        if trial is None:
            self._wrong("law", f"trial {number} was never added")
        return trial

    def _move(self, trial: _Trial, event: LawEvent) -> None:
        if trial.state.ended:
            self._wrong("ends", f"trial {event.trial} was {trial.state.value}, and then {type(event).__name__} happened to it")
        try:
            trial.state = law.step(event.trial, trial.state, event)
        except IllegalTransition as error:
            self._wrong("law", str(error))
        match event:
            case Started(parked=True):
                self._go_on(trial, event)
            case Started():
                self._start(trial, event)
            case Paused(parked=True):
                self._park(trial, event)
            case Stopped():
                self._parked.discard(event.trial)
            case Reported():
                self._report(trial, event)
            case Finished() | AttemptFailed() | GaveUp() if event.launch != trial.launches:
                text = f"{type(event).__name__} of trial {event.trial} is by launch {event.launch}, of {trial.launches}"
                self._wrong("fencing", text)
            case Finished(checkpoint=CheckpointKey() as key):
                self._save(trial, key, event.trial, event.launch)
            case AttemptFailed():
                self._fail(trial, event)
            case _:
                pass

    def _start(self, trial: _Trial, event: Started) -> None:
        who = f"launch {event.launch} of trial {event.trial}"
        if trial.running is not None:
            self._wrong("launches", f"{who} began while launch {trial.running} was running")
        trial.launches += 1
        if event.launch != trial.launches:
            self._wrong("launches", f"{who} is its launch number {trial.launches}")
        if event.attempt != trial.failures + 1:
            self._wrong("attempts", f"{who} is said to be attempt {event.attempt}, after {trial.failures} failures")
        if trial.becomes is not None:
            if event.restore != trial.becomes:
                self._wrong("lineage", f"{who} was to go on from {trial.becomes}, and goes on from {event.restore}")
            trial.became, trial.becomes = trial.becomes, None
            trial.saved.clear()
        if event.restore is not None and event.restore not in self._inheritance(trial):
            self._wrong("checkpoints", f"{who} goes on from {event.restore}, which it never reported, or which is gone")
        if event.step != (event.restore.step if event.restore is not None else 0):
            self._wrong("checkpoints", f"{who} goes on from step {event.step}, and its checkpoint is {event.restore}")
        trial.running, trial.step = event.launch, 0
        assert self._settings is not None
        trial.width = slots_for(trial.resources or self._settings.resources, self._settings.resources) or 1
        self._use_slot(trial, event, who)

    def _park(self, trial: _Trial, event: Paused) -> None:
        assert self._settings is not None
        who, most = f"trial {event.trial}", self._settings.parking.max_trials
        gpu = (trial.resources or self._settings.resources).gpu
        if trial.running is None or event.by != "scheduler" or not self._settings.parks or gpu:
            self._wrong("parking", f"{who} is parked, and cannot be")
        self._running.discard(event.trial)
        self._parked.add(event.trial)
        if most is not None and len(self._parked) > most:
            self._wrong("parking", f"with {who}, {len(self._parked)} trials are parked, and {most} may be")

    def _go_on(self, trial: _Trial, event: Started) -> None:
        who = f"launch {event.launch} of trial {event.trial}"
        if trial.running != event.launch or event.trial not in self._parked or trial.becomes is not None:
            self._wrong("parking", f"{who} goes on where it was parked, and it was not")
        if event.step != trial.step or event.restore is not None:
            self._wrong("parking", f"{who} goes on behind step {event.step}, and was parked at step {trial.step}")
        self._parked.remove(event.trial)
        self._use_slot(trial, event, who)

    def _use_slot(self, trial: _Trial, event: Started, who: str) -> None:
        self._running.add(event.trial)
        self._granted[trial.width] -= 1
        if self._granted[trial.width] < 0:
            self._wrong("slots", f"{who} began on a slot that was not granted")
        taken = sum(self._trials[number].width for number in self._running)
        if taken > self._slots and len(self._running) > 1 and not self._shared:
            self._wrong("slots", f"with {who}, {len(self._running)} launches run, and there are {self._slots} slots")

    def _inheritance(self, trial: _Trial) -> set[CheckpointKey]:
        """What a launch of it can go on from."""
        if trial.saved or trial.became is not None:
            return trial.saved or {key for key in [trial.became] if key is not None}
        return set() if trial.parent is None else self._trials[trial.parent].saved

    def _lose(self, trial: _Trial, event: CheckpointGone | CheckpointDropped | ParkedGone) -> None:
        if isinstance(event, ParkedGone):
            if trial.launches != event.launch or event.trial not in self._parked:
                self._wrong("parking", f"launch {event.launch} of trial {event.trial} is parked no more, and it was not")
            self._parked.remove(event.trial)
            return
        key = event.checkpoint
        if isinstance(event, CheckpointDropped):
            self._drop(trial, key)
            return
        if key not in {*trial.saved, trial.becomes, trial.became}:
            self._wrong("checkpoints", f"{key} is gone, which trial {event.trial} never reported")
        trial.saved.discard(key)
        trial.becomes = None if trial.becomes == key else trial.becomes
        trial.became = None if trial.became == key else trial.became

    def _drop(self, trial: _Trial, key: CheckpointKey) -> None:
        needed = [each for each in self._trials.values() if key in (each.becomes, each.became) and not each.state.ended]
        newest = max(trial.saved, key=lambda each: (each.launch, each.step), default=None)
        if key not in trial.saved or needed or (key == newest and not trial.state.ended):
            self._wrong("checkpoints", f"{key} was given up, and is needed, or never was")
        trial.saved.discard(key)

    def _exploit(self, trial: _Trial, event: Exploited | ExploitSkipped) -> None:
        source, who = self._known(event.source), f"trial {event.trial} is to go on as trial {event.source}"
        if trial.state.ended or (trial.state is State.RUNNING and isinstance(event, Exploited)):
            self._wrong("lineage", f"{who}, and is {trial.state.value}")
        if isinstance(event, ExploitSkipped):
            return
        if event.checkpoint not in source.saved or event.checkpoint.trial != event.source:
            self._wrong("lineage", f"{who}, from {event.checkpoint}, which that one never reported, or which is gone")
        trial.becomes = event.checkpoint

    def _report(self, trial: _Trial, event: Reported) -> None:
        who = f"launch {event.launch} of trial {event.trial}"
        if event.launch != trial.running:
            self._wrong("fencing", f"a report of {who} was taken, and launch {trial.running} runs")
        if event.step <= trial.step:
            self._wrong("steps", f"{who} reported step {event.step} after step {trial.step}")
        trial.step = event.step
        self.reported.add((event.trial, event.launch, event.step))
        if event.checkpoint is not None:
            if event.checkpoint.step != event.step:
                self._wrong("checkpoints", f"{who} reported step {event.step} with {event.checkpoint}")
            self._save(trial, event.checkpoint, event.trial, event.launch)

    def _spend(self, said: MetricsReported) -> None:
        assert self._settings is not None
        trial = self._trials[said.trial]
        if said.step >= trial.budget and not trial.state.ended and self._settings.objective.of(said.metrics) is not None:
            self._wrong("budgets", f"trial {said.trial} reported step {said.step} of {trial.budget}, and goes on")

    def _save(self, trial: _Trial, key: CheckpointKey, number: TrialId, launch: LaunchNumber) -> None:
        if (key.trial, key.launch) != (number, launch):
            self._wrong("checkpoints", f"launch {launch} of trial {number} says that {key} is its own")
        trial.saved.add(key)
        trial.became = None

    def _fail(self, trial: _Trial, event: AttemptFailed) -> None:
        assert self._settings is not None
        trial.failures += 1
        if event.restart:
            trial.saved.clear()
            trial.became = None
        most = self._settings.failure.max_retries_per_trial
        if trial.failures > most:
            text = f"trial {event.trial} is to be tried again after {trial.failures} failures"
            self._wrong("attempts", f"{text}, and max_retries_per_trial={most}")
        if event.failure.fatal or not event.failure.retry:
            self._wrong("attempts", f"trial {event.trial} is to be tried again, and its failure ruled that out")

    def _end(self, event: SearchEnded) -> None:
        self._ended = event
        if left := self._running | self._parked:
            self._wrong("ends", f"the search ended while trials {sorted(left)} were running, or parked")
        open_ones = [number for number, trial in self._trials.items() if not trial.state.ended]
        if open_ones and event.error is None and not self._told_to_end:
            self._wrong("ends", f"the search ended by itself, and trials {open_ones} did not")


_Said: TypeAlias = ParametersDeclared | MetricsReported | TrialReturned | TrialRaised | TrialLeft | Died | Lost
