"""Percentile: a trial is ended when its best is not within the best share of what others had at the same step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from attrs import define, field

from asynctune.records import Report, Stop, TrialId, TrialView, Verdicts
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.intervals import Turns
from asynctune.schedulers.losses import Cutoff, counted, loss_of, shown
from asynctune.validators import number

__all__ = ["Percentile"]

_FINEST = 10**6  # parts of a percent's range that are told apart


@define(kw_only=True, eq=False, slots=False)
class Percentile(Scheduler):
    """The percentile rule of Optuna's `PercentilePruner` (Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization
    Framework", KDD 2019). With `percentile=50` it is Optuna's median rule.

    At a report of step s, a trial is stopped if its best objective so far is strictly worse than the `percentile` of what the
    trials that have ended reported at step s itself (linear interpolation). Only trials that came to their own end count, or
    were ended by something else: not those that this rule stopped, which makes it stricter than `MedianStopping`, and slower to
    begin where many trials run at once.

    Metrics that are not finite count as worse than all others. A trial that has had nothing else is stopped.

    A report costs O(log n), and the end of a trial O(log n) for each of its reports.

    Args:
        percentile: from 0 to 100: how many of a hundred are good enough; by default 25.
        startup_trials: how many trials must have ended before any is stopped; by default 5.
        grace: the first step at which a trial can be stopped; by default 1.
        interval: a trial is judged once in so many steps, counted from `grace`; by default 1. Where it skips the step, at its
            first report behind it.
        min_samples: how many of those that have ended must have reported the step; by default 1.

    Raises:
        ConfigurationError: if `percentile` is not from 0 to 100, or anything is of the wrong type.
    """

    percentile: float = field(default=25.0, validator=number(0, most=100))
    startup_trials: int = field(default=5, validator=number(0, integer=True))
    grace: int = field(default=1, validator=number(1, integer=True))
    interval: int = field(default=1, validator=number(1, integer=True))
    min_samples: int = field(default=1, validator=number(1, integer=True))
    _turns: Turns = field(init=False, repr=False)
    # Of each live trial: its best loss, and what it has reported by step.
    _best: dict[TrialId, float] = field(init=False, factory=dict, repr=False)
    _curves: dict[TrialId, dict[int, float]] = field(init=False, factory=dict, repr=False)
    _stopped: set[TrialId] = field(init=False, factory=set, repr=False)
    _ended: int = field(init=False, default=0, repr=False)
    # What those that have ended reported at each step.
    _columns: dict[int, Cutoff] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        self._turns = Turns(self.grace, self.interval)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Compare the trial's best with those that have ended."""
        loss, step = loss_of(self.objective, report), report.step
        if loss is None:
            return None
        self._stopped.discard(trial.id)  # it was held back, see `Patience`
        self._curves.setdefault(trial.id, {})[step] = loss
        best = self._best[trial.id] = min(loss, self._best.get(trial.id, math.inf))
        if not self._turns.comes(trial.id, step) or not self._ended or self._ended < self.startup_trials:
            return None
        others = self._columns.get(step)
        if math.isfinite(best):
            if others is None or len(others) < self.min_samples or others.value is None or best <= others.value:
                return None
            compared = (
                f"{shown(self.objective, others.value)}, the best {self.percentile:g} % of {counted(len(others), 'trial')}"
            )
            said = f"its best by step {step}, {shown(self.objective, best)}, is worse than {compared}"
        else:
            said = f"nothing finite by step {step}"
        self._stopped.add(trial.id)
        return Stop(f"percentile: {said}")

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        """From now on others are compared with it, if it was not stopped here."""
        curve = self._forget(trial.id)
        if trial.id in self._stopped:
            self._stopped.discard(trial.id)
            if trial.stop_reason is not None:
                return None
        self._ended += 1
        for step, loss in curve.items():
            self._column(step).add(loss)
        return None

    def on_trial_error(self, trial: TrialView) -> Verdicts:
        """It is nobody's measure."""
        self._forget(trial.id)
        self._stopped.discard(trial.id)
        return None

    def _forget(self, trial: TrialId) -> dict[int, float]:
        self._best.pop(trial, None)
        self._turns.forget(trial)
        return self._curves.pop(trial, {})

    def _column(self, step: int) -> Cutoff:
        column = self._columns.get(step)
        if column is None:
            share = Fraction(self.percentile / 100).limit_denominator(_FINEST)
            column = self._columns[step] = Cutoff(share.denominator, share.numerator)
        return column

    def plan(self) -> str:
        """What it will do."""
        often = "each report" if self.interval == 1 else f"one report in {self.interval} steps"
        ended = f"{counted(self.startup_trials, 'trial')} ended"
        return (
            f"percentile: from step {self.grace} on, at {often}, once {ended}, a trial is "
            f"stopped when its best is worse than the best {self.percentile:g} % of those that ended had at the same step"
        )

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does."""
        return {
            "percentile": self.percentile,
            "startup_trials": self.startup_trials,
            "grace": self.grace,
            "interval": self.interval,
            "min_samples": self.min_samples,
        }
