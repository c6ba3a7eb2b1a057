"""The trials of a search, and the facts about all of them that are too dear to count again each time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from asynctune._machine.past import Trials
from asynctune._machine.trial import Trial
from asynctune.events import LawEvent, Paused, Started
from asynctune.objective import Goal
from asynctune.records import State, TrialId, TrialView

__all__ = ["Book"]


class _Views(Mapping[TrialId, TrialView]):
    """The trials, each as a view made when it is looked at."""

    def __init__(self, trials: Mapping[TrialId, Trial], declared: frozenset[str]) -> None:
        self._trials = trials
        self._declared = declared

    def __getitem__(self, trial: TrialId) -> TrialView:
        return self._trials[trial].view(self._declared)

    def __iter__(self) -> Iterator[TrialId]:
        return iter(self._trials)

    def __len__(self) -> int:
        return len(self._trials)


class Book:
    """The trials. `live` are those with a launch that has not ended, and `parked` those of them whose launch waits without a
    slot; `declared` are the names of the declared parameters."""

    def __init__(self) -> None:
        self.trials = Trials()
        self.live: dict[TrialId, Trial] = {}
        self.parked: dict[TrialId, Trial] = {}
        self.declared: frozenset[str] = frozenset()
        self.counts: dict[State, int] = dict.fromkeys(State, 0)
        self.best: Trial | None = None

    def add(self, trial: Trial) -> None:
        """A new trial, PENDING."""
        self.trials.add(trial)
        self.counts[trial.state] += 1

    def apply(self, trial: Trial, event: LawEvent, at: float, objective: Goal) -> None:
        """Let an event happen to a trial."""
        before = trial.state
        trial.apply(event, at)
        if trial.state is before:
            return
        self.counts[before] -= 1
        self.counts[trial.state] += 1
        if isinstance(event, Started):
            self.live[trial.id] = trial
            self.parked.pop(trial.id, None)
        elif isinstance(event, Paused) and event.parked:
            self.parked[trial.id] = trial
        if trial.state.ended:
            trial.close(self.declared)
        if trial.state is State.COMPLETED and not trial.violates and trial.score is not None and math.isfinite(trial.score):
            best = self.best.score if self.best is not None else None
            tied = self.best is not None and trial.score == best and trial.id < self.best.id
            if best is None or objective.better(trial.score, best) or tied:
                self.best = trial

    def ended(self, trial: Trial) -> None:
        """The trial's launch is over."""
        self.unpark(trial)
        trial.launch = None
        del self.live[trial.id]

    def unpark(self, trial: Trial) -> None:
        """The trial's launch is not one that could go on, if it was."""
        if self.parked.pop(trial.id, None) is not None and trial.launch is not None:
            trial.launch.parked = False

    @property
    def moving(self) -> bool:
        """Whether any launch runs, or is on its way out."""
        return len(self.live) > len(self.parked)

    def let_go(self, number: TrialId) -> None:
        """Keep this trial as a few bytes from now on, if it is over and its launch is."""
        trial = self.trials[number]
        if trial.state.ended and trial.launch is None:
            self.trials.let_go(trial)

    def keep(self, trial: Trial) -> None:
        """It was changed though it is over; what was looked up may have been a copy, as it was let go."""
        self.trials.keep(trial)
        if self.best is not None and self.best.id == trial.id:
            self.best = trial

    def view(self, trial: Trial) -> TrialView:
        """The trial as it stands."""
        return trial.view(self.declared)

    @property
    def views(self) -> Mapping[TrialId, TrialView]:
        """The trials as they stand, each looked at when it is asked for."""
        return _Views(self.trials, self.declared)
