"""What a display knows: counts that follow the events, so that drawing costs the same for ten trials and for many thousand."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

from attrs import define, field

from asynctune.events import (
    AttemptFailed,
    Event,
    Finished,
    GaveUp,
    Happening,
    Paused,
    Reported,
    SearchEnded,
    Started,
    Stopped,
    TrialAdded,
)
from asynctune.failure import Failure
from asynctune.objective import Goal
from asynctune.observers.base import Watched
from asynctune.records import State, TrialId, TrialView

__all__ = ["Tally"]

_FAILURES = 3  # that are shown


@define
class Tally:
    """A search so far.

    Args:
        objective: of the search.
        since: search time when the display began, in seconds; `before`: how many trials had ended by then.
        running: the trials that run, in the order in which they were started.
        ended: the trials that have ended, each with its step; `steps` is the sum of these.
        stopped: those of them that were ended early; `reached` is the sum of their steps.
        failures: the last few.
        best: the trial with the best score.
        longest: the highest step that any trial has reported.
        end: how the search ended, once it has.
    """

    objective: Goal
    since: float
    before: int = 0
    added: int = 0
    running: dict[TrialId, None] = field(factory=dict)
    ended: dict[TrialId, int] = field(factory=dict)
    steps: int = 0
    reached: int = 0
    stopped: set[TrialId] = field(factory=set)
    failed: set[TrialId] = field(factory=set)
    failures: deque[tuple[TrialId, Failure]] = field(factory=lambda: deque(maxlen=_FAILURES))
    best: tuple[TrialId, float] | None = None
    longest: int = 0
    end: SearchEnded | None = None

    @classmethod
    def begun(cls, search: Watched) -> Tally:
        """The tally of a search that was opened just now."""
        tally = cls(search.objective, search.now)
        for trial in search.trials.values() if search.resumed else ():
            tally._known(trial)
        tally.before = len(tally.ended)
        return tally

    def _known(self, trial: TrialView) -> None:
        self.added = max(self.added, trial.id + 1)
        self.longest = max(self.longest, trial.step)
        if not trial.state.ended:
            return
        if trial.state is State.FAILED:
            self.failed.add(trial.id)
        reason = trial.stop_reason
        self._over(trial.id, trial.step, early=reason is not None and not reason.startswith("infeasible: "))
        self.scored(trial.id, trial.score, trial.violates)

    def hear(self, events: Iterable[Event], search: Watched) -> None:
        """These happened."""
        for event in events:
            for happening in event.happened:
                self.take(happening, search)

    def take(self, happening: Happening, search: Watched) -> bool:
        """This happened; whether it made a trial the best so far."""
        match happening:
            case TrialAdded(trial=trial):
                self.added = max(self.added, trial + 1)
            case Started(trial=trial):
                self.running[trial] = None
            case Reported(step=step):
                self.longest = max(self.longest, step)
            case Paused(trial=trial):
                self.running.pop(trial, None)
            case AttemptFailed(trial=trial, failure=failure):
                self.running.pop(trial, None)
                self.failures.append((trial, failure))
            case GaveUp(trial=trial, failure=failure):
                self.failures.append((trial, failure))
                self.failed.add(trial)
                self._over(trial, search.trials[trial].step)
            case Finished(trial=trial, score=score, violates=violates):
                self._over(trial, search.trials[trial].step)
                return self.scored(trial, score, violates)
            case Stopped(trial=trial, score=score, infeasible=infeasible, violates=violates):
                self._over(trial, search.trials[trial].step, early=not infeasible)
                return self.scored(trial, score, violates)
            case SearchEnded():
                self.end = happening
        return False

    def _over(self, trial: TrialId, step: int, *, early: bool = False) -> None:
        self.running.pop(trial, None)
        if trial in self.ended:  # the same events are heard again when a picture could not be drawn
            return
        self.ended[trial] = step
        self.steps += step
        if early:
            self.stopped.add(trial)
            self.reached += step

    def scored(self, trial: TrialId, score: float | None, violates: Sequence[str]) -> bool:
        """Whether this score is the best so far, of a trial that breaks these constraints."""
        if score is None or violates or not math.isfinite(score):
            return False
        if self.best is not None and not self.objective.better(score, self.best[1]):
            return False
        self.best = trial, score
        return True

    def left(self, search: Watched) -> float | None:
        """How many seconds are left, at the pace so far; None when that cannot be told."""
        done = len(self.ended) - self.before
        if search.max_trials is None or done == 0:
            return None
        return max(0, search.max_trials - len(self.ended)) * (search.now - self.since) / done

    @property
    def saved(self) -> tuple[int, float]:
        """Steps that early stopping has saved, if every trial would have gone as far as the longest; and their share of all."""
        saved = self.longest * len(self.stopped) - self.reached
        whole = saved + self.steps
        return saved, saved / whole if whole else 0.0
