"""ASHA: at steps that grow by a factor, only trials among the best so far go on."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.records import Report, Stop, TrialId, TrialView, Verdicts
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.losses import Cutoff, counted, loss_of, shown
from asynctune.validators import flag, number

__all__ = ["ASHA"]


@define(kw_only=True, eq=False, slots=False)
class ASHA(Scheduler):
    """Asynchronous successive halving of Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020), in
    the stopping form that Ray Tune made known: nobody waits, and a trial that falls behind is stopped at once.

    The rungs are the steps grace, grace·factor, grace·factor², … below `max_steps`. A trial is judged once at each rung, by its
    first report there, against the scores recorded at that rung before it: it is stopped if it is strictly worse than the
    cutoff that the best 1/factor of them stay within (linear interpolation). So the first to arrive goes on, and equals go on.
    A report that crosses several rungs is judged and recorded at the highest of them alone, and the trial never at a lower one
    afterwards.

    A metric that is not finite never passes a rung, not even as the first to arrive, and counts there as one that is worse. A
    trial that may begin with NaN needs a larger `grace`.

    A report costs O(log n) for n trials in a rung. Scores of trials that fail later stay: they were reached.

    Args:
        max_steps: the step at which a trial is stopped in any case.
        grace: the first rung: no trial is stopped before it; by default 1.
        factor: about one of so many goes on at each rung (η in the paper, reduction factor in Ray Tune); by default 3.
        stop_last: False leaves trials alone once they are past the last rung, which can then be `max_steps` itself.

    Raises:
        ConfigurationError: if `max_steps` is below `grace`, `factor` below 2, or anything is of the wrong type.
    """

    max_steps: int = field(validator=number(1, integer=True))
    grace: int = field(default=1, validator=number(1, integer=True))
    factor: int = field(default=3, validator=number(2, integer=True))
    stop_last: bool = field(default=True, validator=flag)
    rungs: tuple[int, ...] = field(init=False, repr=False)
    _cutoffs: tuple[Cutoff, ...] = field(init=False, repr=False)
    # The highest rung that a live trial was judged at, by its index.
    _reached: dict[TrialId, int] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.max_steps < self.grace:
            message = f"ASHA(max_steps={self.max_steps}) is below grace={self.grace}: trials would end before the first rung"
            raise ConfigurationError(message)
        # A rung where every trial is stopped anyway would judge nobody.
        last = self.max_steps - 1 if self.stop_last else self.max_steps
        rungs, step = [], self.grace
        while step <= last:
            rungs.append(step)
            step *= self.factor
        self.rungs = tuple(rungs)
        self._cutoffs = tuple(Cutoff(self.factor) for _ in rungs)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Judge the trial if this report takes it to a rung."""
        loss = loss_of(self.objective, report)
        if loss is None:
            return None
        if self.stop_last and report.step >= self.max_steps:
            return Stop(f"ASHA: max_steps={self.max_steps} reached")
        index = bisect_right(self.rungs, report.step) - 1
        if index <= self._reached.get(trial.id, -1):
            return None
        self._reached[trial.id] = index
        others = self._cutoffs[index]
        verdict = self._judge(loss, report, self.rungs[index], others)
        others.add(loss)
        return verdict

    def _judge(self, loss: float, report: Report, rung: int, others: Cutoff) -> Verdicts:
        if math.isinf(loss):
            value = self.objective.of(report.metrics)
            return Stop(f"ASHA: {value} at step {report.step} is no finite score, which passes no rung")
        cutoff = others.value
        if cutoff is None or loss <= cutoff:
            return None
        known = f"cutoff {shown(self.objective, cutoff)}, {counted(len(others), 'trial')}"
        reached = f"{shown(self.objective, loss)} at step {report.step}"
        return Stop(f"ASHA: {reached} is not among the best 1/{self.factor} of rung {rung} ({known})")

    def on_trial_complete(self, trial: TrialView) -> None:
        """Nothing more will come from it; its scores stay."""
        self._reached.pop(trial.id, None)

    def on_trial_error(self, trial: TrialView) -> None:
        """Nothing more will come from it; its scores stay."""
        self._reached.pop(trial.id, None)

    def plan(self) -> str:
        """The rungs, and what a trial costs."""
        end = f"stopped at step {self.max_steps}" if self.stop_last else f"left alone after step {self.max_steps}"
        if not self.rungs:
            return f"ASHA (stopping form): no rung below max_steps; each trial is {end}"
        expected, share, reached = 0.0, 1.0, 0
        for step in (*self.rungs, self.max_steps):
            expected += (step - reached) * share
            share, reached = share / self.factor, step
        rungs = ("rung " if len(self.rungs) == 1 else "rungs ") + ", ".join(map(str, self.rungs))
        return (
            f"ASHA (stopping form): {rungs}; about 1/{self.factor} go on at each, and are {end}. Up to there a trial takes "
            f"about {expected:.3g} of {self.max_steps} steps; at worst, when each is better than all before it, it takes all"
        )

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does."""
        return {"max_steps": self.max_steps, "grace": self.grace, "factor": self.factor, "stop_last": self.stop_last}
