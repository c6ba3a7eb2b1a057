"""Median stopping: a trial is ended when its best is worse than what half of the others had on average by then."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from heapq import heappop, heappush
from typing import Any

from attrs import Factory, define, field

from asynctune.records import PAUSE, Choice, Report, Stop, TrialId, TrialView, Verdicts
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.losses import Cutoff, counted, loss_of, shown
from asynctune.validators import flag, number
from asynctune.views import SearchView

__all__ = ["MedianStopping"]


@define
class _Curve:
    # What one trial has reported: its steps, and the average of its finite losses up to each of them.
    steps: list[int] = Factory(list)
    averages: list[float] = Factory(list)
    best: float = math.inf
    _finite: int = 0

    def add(self, step: int, loss: float) -> None:
        average = self.averages[-1] if self.averages else math.inf
        if math.isfinite(loss):
            self._finite += 1
            # In this form a constant curve averages to exactly its constant, so that ties stay ties, and nothing overflows.
            average = loss if self._finite == 1 else average + (loss / self._finite - average / self._finite)
            self.best = min(self.best, loss)
        self.steps.append(step)
        self.averages.append(average)

    def up_to(self, step: int) -> float | None:
        index = bisect_right(self.steps, step) - 1
        return self.averages[index] if index >= 0 else None


@define(kw_only=True, eq=False, slots=False)
class MedianStopping(Scheduler):
    """The median stopping rule of Golovin et al., "Google Vizier: A Service for Black-Box Optimization" (KDD 2017).

    At a report of step s, a trial is stopped if its best objective so far is strictly worse than the median of the running
    averages of the other trials' objectives up to step s. The others are all trials that have reached step s, whether they
    still run or have ended. One that skipped step s counts with its average up to its last report before s, and only when it
    has reported a later one.

    Metrics that are not finite are left out of the averages and are nobody's best. A trial that has had nothing else is worse
    than every trial that has.

    With `hard_stop=False` a trial is set aside instead (Ray Tune's soft stop), once. It goes on when a slot is free that no new
    trial can have, those with the best objective first, and is not judged again; so nothing is lost but the order. It is
    stopped all the same if it has had nothing finite.

    A report costs O(log n) where trials report the same steps. A step that nobody had reported, and that others have passed,
    costs a look at each of the n trials, once.

    Args:
        grace: the first step at which a trial can be stopped; by default 1.
        min_samples: how many others must have reached the step; by default 3.
        hard_stop: whether a trial that falls behind is stopped (the default), or set aside.

    Raises:
        ConfigurationError: if one of the first two is no integer of at least 1, or `hard_stop` no bool.
    """

    grace: int = field(default=1, validator=number(1, integer=True))
    min_samples: int = field(default=3, validator=number(1, integer=True))
    hard_stop: bool = field(default=True, validator=flag)
    _curves: dict[TrialId, _Curve] = field(init=False, factory=dict, repr=False)
    # Those that were set aside and have not ended: with `True` those that wait.
    _aside: dict[TrialId, bool] = field(init=False, factory=dict, repr=False)
    _waiting: list[tuple[float, TrialId]] = field(init=False, factory=list, repr=False)
    # For every step from `grace` on that some trial has reported: the averages, up to it, of all trials that have reached it.
    _columns: dict[int, Cutoff] = field(init=False, factory=dict, repr=False)
    _known: list[int] = field(init=False, factory=list, repr=False)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Compare the trial with the others at this step."""
        loss, step = loss_of(self.objective, report), report.step
        curve = self._curves.setdefault(trial.id, _Curve())
        if loss is None or (curve.steps and step <= curve.steps[-1]):
            return None
        others = self._column(step)
        self._carry(curve, step)
        curve.add(step, loss)
        if others is None:
            return None
        verdict = None if trial.id in self._aside else self._judge(curve, step, others)
        others.add(curve.averages[-1])
        if verdict is PAUSE:
            self._aside[trial.id] = True
            heappush(self._waiting, (curve.best, trial.id))
        return verdict

    def _judge(self, curve: _Curve, step: int, others: Cutoff) -> Verdicts:
        median = others.value
        if median is None or len(others) < self.min_samples or curve.best <= median:
            return None
        if not self.hard_stop and math.isfinite(curve.best):
            return PAUSE
        best = shown(self.objective, curve.best) if math.isfinite(curve.best) else "nothing finite"
        compared = f"{shown(self.objective, median)}, the median of the averages of {counted(len(others), 'other trial')}"
        return Stop(f"median stopping: its best by step {step}, {best}, is worse than {compared}")

    def _column(self, step: int) -> Cutoff | None:
        if step < self.grace:
            return None
        column = self._columns.get(step)
        if column is None:
            column = self._columns[step] = Cutoff(2)
            if self._known and step < self._known[-1]:
                for curve in self._curves.values():
                    if curve.steps and curve.steps[-1] > step and (average := curve.up_to(step)) is not None:
                        column.add(average)
            insort(self._known, step)
        return column

    def _carry(self, curve: _Curve, step: int) -> None:
        # The trial reaches `step` and so, without a report, the steps of others that lie between its last one and this.
        if curve.steps:
            for known in self._known[bisect_right(self._known, curve.steps[-1]) : bisect_left(self._known, step)]:
                self._columns[known].add(curve.averages[-1])

    @property
    def chooses(self) -> bool:
        """Where trials are set aside."""
        return not self.hard_stop

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        """A new trial; if there can be none, the best of those that were set aside."""
        while self._waiting and not self._aside.get(self._waiting[0][1], False):
            heappop(self._waiting)
        return self._waiting[0][1] if self._waiting and not search.growing else "NEW"

    def on_trial_resume(self, trial: TrialView, by: str) -> None:
        """It has a slot that nobody else wanted."""
        if trial.id in self._aside:
            self._aside[trial.id] = False

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        """What it reported stays."""
        self._aside.pop(trial.id, None)
        return None

    def on_trial_error(self, trial: TrialView) -> Verdicts:
        """What it reported stays."""
        self._aside.pop(trial.id, None)
        return None

    def plan(self) -> str:
        """What it will do."""
        others = counted(self.min_samples, "other trial") + (" has" if self.min_samples == 1 else " have")
        return (
            f"median stopping: from step {self.grace} on, wherever at least {others} been, a trial is "
            f"{'stopped' if self.hard_stop else 'set aside until no new trial can come'} "
            "when its best is worse than the median of the others' averages"
        )

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does."""
        return {"grace": self.grace, "min_samples": self.min_samples, "hard_stop": self.hard_stop}
