"""Threshold: a trial is ended when it leaves the range in which training is sound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.records import Report, Stop, TrialView, Verdicts
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.intervals import Turns
from asynctune.validators import number

__all__ = ["Threshold"]


@define(kw_only=True, eq=False, slots=False)
class Threshold(Scheduler):
    """The rule of Optuna's `ThresholdPruner`: a trial is stopped when the objective is below `lower` or above `upper`,
    whichever way is better; and when it is not finite. It knows nothing of other trials.

    Args:
        lower, upper: the objective's value; None, the default, for no such bound. At least one is given.
        grace: the first step at which a trial can be stopped; by default 1.
        interval: a trial is judged once in so many steps, counted from `grace`; by default 1. Where it skips the step, at its
            first report behind it.

    Raises:
        ConfigurationError: without a bound, if `lower` is above `upper`, or if anything is of the wrong type.
    """

    lower: float | None = field(default=None, validator=number(-math.inf, optional=True, finite=True))
    upper: float | None = field(default=None, validator=number(-math.inf, optional=True, finite=True))
    grace: int = field(default=1, validator=number(1, integer=True))
    interval: int = field(default=1, validator=number(1, integer=True))
    _turns: Turns = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.lower is None and self.upper is None:
            raise ConfigurationError("Threshold() stops nothing: give lower=, upper=, or both")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ConfigurationError(f"Threshold(lower={self.lower}, upper={self.upper}): no number is between them")
        self._turns = Turns(self.grace, self.interval)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Look at the value alone."""
        value = self.objective.of(report.metrics)
        if value is None or not self._turns.comes(trial.id, report.step):
            return None
        if not math.isfinite(value):
            return Stop(f"threshold: {value} at step {report.step} is not finite")
        if self.lower is not None and value < self.lower:
            return Stop(f"threshold: {value:.4g} at step {report.step} is below {self.lower:g}")
        if self.upper is not None and value > self.upper:
            return Stop(f"threshold: {value:.4g} at step {report.step} is above {self.upper:g}")
        return None

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        """Nothing more will come from it."""
        self._turns.forget(trial.id)
        return None

    def on_trial_error(self, trial: TrialView) -> Verdicts:
        """Nothing more will come from it."""
        self._turns.forget(trial.id)
        return None

    def plan(self) -> str:
        """What it will do."""
        low = [] if self.lower is None else [f"below {self.lower:g}"]
        high = [] if self.upper is None else [f"above {self.upper:g}"]
        often = "" if self.interval == 1 else f", at one report in {self.interval} steps,"
        where = ", ".join([*low, *high])
        return f"threshold: from step {self.grace} on{often} a trial is stopped whose objective is {where}, or not finite"

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does."""
        return {"lower": self.lower, "upper": self.upper, "grace": self.grace, "interval": self.interval}
