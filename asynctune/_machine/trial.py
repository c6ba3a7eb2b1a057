"""One trial, as the machine keeps it: data, moved only through the law."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from attrs import Factory, define, field, frozen

from asynctune._machine import law
from asynctune._machine.keeping import by_worth
from asynctune.events import AttemptFailed, Exploited, Finished, GaveUp, LawEvent, Paused, Reported, Started, Stopped
from asynctune.failure import Failure
from asynctune.frozen import FrozenDict
from asynctune.objective import Goal
from asynctune.policies import CheckpointPolicy, Resources
from asynctune.records import (
    CheckpointKey,
    LaunchNumber,
    Metrics,
    Origin,
    Report,
    Reports,
    State,
    TrialId,
    TrialView,
    Value,
    Values,
)
from asynctune.space import Space

__all__ = ["STEPS", "Launch", "Standing", "Trial"]

STEPS: Final = 2**63  # what a journal can hold
# What a trial that has ended has none of is the same for all of them.
_NO_VALUES: FrozenDict[str, Value] = FrozenDict()
_NO_REPORTS: list[Report] = []
_NO_CHECKPOINTS: list[CheckpointKey] = []
_NO_REPORTS_SHOWN = Reports()
_NEEDS_NOTHING: frozenset[CheckpointKey] = frozenset()


@frozen
class Standing:
    """A trial's metrics against what is wanted.

    Args:
        score: the one number, if there is one and the metrics carry it; it may be no finite one.
        scores: a number for each objective, where there are several; empty if one is missing.
        violates: the metrics that do not keep to their constraints.
        missing: the metrics that are wanted, or constrained, and are not there.
    """

    score: float | None
    scores: tuple[float, ...]
    violates: tuple[str, ...]
    missing: tuple[str, ...]

    @classmethod
    def of(cls, objective: Goal, history: Sequence[Metrics]) -> Standing:
        """How a trial stands that gave these metrics, in order."""
        scores = objective.scores(history) if len(objective.each) > 1 else None
        return cls(objective.score(history), scores or (), objective.violated(history), objective.missing(history))

    @property
    def is_finite(self) -> bool:
        """Whether there are numbers, and all of them are finite."""
        numbers = [*self.scores, *([] if self.score is None else [self.score])]
        return bool(numbers) and all(map(math.isfinite, numbers))


@define
class Launch:
    """A launch that has not ended.

    `start` is the step that it goes on from, `step` the last one that it reported. `halted` says why it was told to stop, if it
    was; then whatever it does is no longer the trial's own doing, unless `failure` says what it is stopped for. `space` is what
    it knows of the space, when it has named parameters that are not tuned. `parked` is whether it waits without a slot, and
    `memory` what it held when it did so last, in bytes.
    """

    number: LaunchNumber
    start: int = 0
    step: int = 0
    halted: str | None = None
    failure: Failure | None = None
    space: Space | None = None
    parked: bool = False
    memory: int = 0


@define(weakref_slot=False)  # every trial of a search is kept until it is over
class Trial:
    """A trial.

    `launch` is the launch that has not ended; an ended trial may still have one, which is on its way out. `mark` is the highest
    step that was judged: whatever is reported up to it is a repetition. `proposed` are the values that the oracle gave, `used`
    those that the trial asked for. `parent` is the trial whose newest checkpoint it starts from, `budget` the step at which it
    is over.

    `exploit` is what the scheduler has it go on as, when it is started next; until then it stays what it is. `lineage` are
    those that it has gone on as, and `origin` is the checkpoint that it was then given, until it has one of its own. `exploits`
    counts how often it was told to. `resources` are its own, if it has any. `ready` is whether it was set aside for one of
    these, and not to wait for a better time.
    """

    id: TrialId
    proposed: Values
    created: float
    parent: TrialId | None = None
    budget: int | None = None
    used: dict[str, Value] = Factory(dict)
    state: State = State.PENDING
    attempt: int = 1
    launches: int = 0
    launch: Launch | None = None
    reports: list[Report] = Factory(list)
    mark: int = 0
    metrics: Metrics | None = None
    score: float | None = None
    scores: tuple[float, ...] = ()
    violates: tuple[str, ...] = ()
    checkpoints: list[CheckpointKey] = Factory(list)
    failure: Failure | None = None
    stop_reason: str | None = None
    hold: str | None = None
    held_by: str | None = None
    started: float | None = None
    ended: float | None = None
    exploit: Exploited | None = None
    exploits: int = 0
    origin: CheckpointKey | None = None
    lineage: tuple[Origin, ...] = ()
    resources: Resources | None = None
    ready: bool = False
    _shown: TrialView | None = field(default=None, init=False, eq=False, repr=False)
    # What `values` says, until something could change it: every report shows it.
    _values: FrozenDict[str, Value] | None = field(default=None, init=False, eq=False, repr=False)

    @property
    def checkpoint(self) -> CheckpointKey | None:
        """The newest checkpoint."""
        return self.checkpoints[-1] if self.checkpoints else None

    def apply(self, event: LawEvent, at: float) -> None:
        """Let an event happen. The law is asked first, so that an illegal one changes nothing."""
        ran = self.state is State.RUNNING
        self.state = law.step(self.id, self.state, event)
        self._shown = None
        if type(event) is not Reported:
            self._values = None
        match event:
            case Started():
                self._start(event, at)
            case Reported():
                self._report(event, at)
            case Paused():
                self.hold, self.held_by = event.reason, event.by
                if self.launch is not None:
                    self.launch.parked = event.parked
            case Finished():
                self.reports = self._lineage()
                self._unbecome(event)
                self.metrics, self.ended, self.failure = event.metrics, at, None
                self.score, self.scores, self.violates = event.score, event.scores, event.violates
                if event.checkpoint is not None:
                    self.saved(event.checkpoint)
            case Stopped():
                self.stop_reason, self.ended = event.reason, at
                self.score, self.scores, self.violates = event.score, event.scores, event.violates
                self.failure = None if ran else self.failure  # an attempt that was stopped has not failed
            case AttemptFailed():
                self.failure = event.failure
                self.attempt += 1
                self.hold = None if event.due is None else f"its next attempt is due at {event.due:.1f} s"
                if event.restart:
                    self.checkpoints = []
                    self.origin = None
            case GaveUp():
                self.failure, self.ended = event.failure, at

    def close(self, declared: frozenset[str]) -> None:
        """Nothing more happens to it. It is known for as long as the search is, so it is made as small as it can be."""
        self.proposed, self.used = _NO_VALUES, FrozenDict(self.values(declared)) or _NO_VALUES
        self.reports = self.reports or _NO_REPORTS
        self.checkpoints = self.checkpoints or _NO_CHECKPOINTS
        self.exploit = self.origin = None

    def forget(self, checkpoint: CheckpointKey) -> bool:
        """This checkpoint is gone, and was not deleted by us; whether it was one that the trial could have gone on from."""
        known = checkpoint in self.needed or checkpoint in self.checkpoints
        if self.exploit is not None and self.exploit.checkpoint == checkpoint:
            self.exploit = None  # it goes on as what it is
        if self.origin == checkpoint:
            self.origin = None
        self.drop(checkpoint)
        return known

    def will_exploit(self, event: Exploited) -> None:
        """It is to go on as another trial."""
        self.exploit, self.ready = event, True
        self.exploits += 1
        if self.state is State.PENDING:
            self.hold = event.reason
        self._shown = None

    def reallocate(self, resources: Resources) -> None:
        """It has other resources from now on."""
        self.resources, self.ready = resources, True
        self._shown = None

    @property
    def needed(self) -> frozenset[CheckpointKey]:
        """The checkpoints of other trials that it goes on from, or may have to."""
        if self.exploit is None and self.origin is None:
            return _NEEDS_NOTHING
        keys = (self.origin, None if self.exploit is None else self.exploit.checkpoint)
        return frozenset(key for key in keys if key is not None)

    def prune(self, policy: CheckpointPolicy) -> list[CheckpointKey]:
        """Keep the checkpoints that the policy says, and, as long as it has not ended, the newest; the others, which are to be
        deleted."""
        if policy.keep is None or len(self.checkpoints) <= policy.keep:
            return []
        kept = set(self.by_worth(policy)[: policy.keep])
        if not self.state.ended:
            kept.add(self.checkpoints[-1])
        pruned = [key for key in self.checkpoints if key not in kept]
        if pruned:
            self.checkpoints = [key for key in self.checkpoints if key in kept] or _NO_CHECKPOINTS
            self._shown = None
        return pruned

    def by_worth(self, policy: CheckpointPolicy) -> list[CheckpointKey]:
        """Its checkpoints, from the one that is worth most to it."""
        return by_worth(self.checkpoints, self.reports, self.metrics, policy)

    def drop(self, checkpoint: CheckpointKey) -> None:
        """It has this one no more."""
        self.checkpoints = [key for key in self.checkpoints if key != checkpoint] or _NO_CHECKPOINTS
        self._shown = None

    def use(self, values: Values) -> None:
        """The trial has asked for these."""
        self.used.update(values)
        self._shown = self._values = None

    def _start(self, event: Started, at: float) -> None:
        self.hold = self.held_by = None
        self.ready = False
        if event.parked and self.launch is not None:
            self.launch.parked = False  # it stands where it stood
            return
        self.launches = event.launch
        if self.exploit is not None:
            self._become(self.exploit)
        self.launch = Launch(event.launch, event.step)
        if self.started is None:
            self.started = at

    def _become(self, exploit: Exploited) -> None:
        """Go on as another trial: with its weights, and values of its kind. What this one has done beyond that step is no part
        of it any more. A new list, for views hold the old one."""
        self.exploit, self.origin, self.mark = None, exploit.checkpoint, exploit.checkpoint.step
        before, after = FrozenDict({**self.proposed, **self.used}), FrozenDict(exploit.values)
        self.proposed, self.used = exploit.values, {}
        self.reports = [report for report in self.reports if report.step <= self.mark]
        self.checkpoints = []
        self.lineage = (*self.lineage, Origin(exploit.source, exploit.checkpoint, after, self.launches, before))

    def _unbecome(self, event: Finished) -> None:
        """Told to go on as another trial when there was no step left to do, it has tried none of the new values: its score is
        that of its own reports, and of its own values."""
        if event.metrics is not None or not self.lineage:
            return
        if not any(report.launch >= self.lineage[-1].launch for report in self.reports):
            self.proposed, self.used = self.lineage[-1].before, {}
            self.lineage = self.lineage[:-1]

    def _report(self, event: Reported, at: float) -> None:
        if self.reports and self.reports[-1].launch != event.launch:
            # A launch that repeats steps replaces what earlier ones said of them, and of all that came after. A new list, for
            # views hold the old one.
            self.reports = [report for report in self._lineage() if report.step < event.step]
        self.reports.append(Report(event.step, event.metrics, at, event.launch, event.checkpoint))
        self.mark = max(self.mark, event.step)
        if self.launch is not None:
            self.launch.step = event.step
        if event.checkpoint is not None:
            self.saved(event.checkpoint)

    def saved(self, checkpoint: CheckpointKey) -> None:
        """It has left this one, its newest."""
        self.checkpoints = [*self.checkpoints, checkpoint]
        self.origin = None  # from now on it stands on its own
        self._shown = None

    def _lineage(self) -> list[Report]:
        """The reports that the launch stands on: its own, and earlier ones up to the step that it goes on from."""
        launch = self.launch
        if launch is None:
            return self.reports
        return [report for report in self.reports if report.launch == launch.number or report.step <= launch.start]

    def standing(self, objective: Goal) -> Standing:
        """How the trial stands by its surviving reports."""
        return Standing.of(objective, [report.metrics for report in self.reports])

    def final_standing(self, objective: Goal, metrics: Metrics | None) -> Standing:
        """How it stands when the launch has returned `metrics`, over these and the reports that it stands on."""
        return Standing.of(objective, [*(report.metrics for report in self._lineage()), metrics or {}])

    def values(self, declared: frozenset[str]) -> Values:
        """The values of the last launch. What was only proposed belongs to the trial while it may still ask for it."""
        if self.state.ended and self.launches:
            return {name: value for name, value in self.proposed.items() if name in declared} | self.used
        return {**self.proposed, **self.used}

    def view(self, declared: frozenset[str]) -> TrialView:
        """The trial as it stands, frozen. `declared` is always the same."""
        # Several look at a trial after each event: the scheduler, the stoppers, the journal, whoever watches.
        if self._shown is None:
            self._shown = self._view(declared)
        return self._shown

    def view_holds(self, declared: frozenset[str]) -> bool:
        """Whether the view that is shown is of the trial as it stands."""
        return self._shown is None or self._shown == self._view(declared)

    def _shown_values(self, declared: frozenset[str]) -> Values:
        if type(self.used) is FrozenDict:
            return self.used
        if self._values is None:
            self._values = FrozenDict(self.values(declared))
        return self._values

    def _view(self, declared: frozenset[str]) -> TrialView:
        # In the order of its fields, and not by their names: that takes half the time, and every report shows the trial.
        return TrialView(
            self.id,
            self.state,
            self._shown_values(declared),
            self.score,
            self.scores,
            self.violates,
            self.mark,
            Reports(self.reports) if self.reports else _NO_REPORTS_SHOWN,
            self.metrics,
            self.attempt,
            self.launches,
            self.checkpoint,
            self.failure,
            self.stop_reason,
            self.hold,
            self.created,
            self.started,
            self.ended,
            self.parent,
            self.budget,
            self.lineage,
            self.resources,
        )
