"""MOASHA: asynchronous successive halving where several numbers count."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.pareto import Point
from asynctune.records import Report, Stop, TrialId, TrialView, Verdicts
from asynctune.schedulers.asha import ASHA
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.fronts import Fronts, spread
from asynctune.schedulers.losses import counted
from asynctune.validators import number

__all__ = ["MOASHA"]


@define
class _Rung:
    """The trials that came to a step: how many, and the points of those that are finite."""

    came: int = 0
    fronts: Fronts = field(factory=Fronts)

    def passes(self, point: Point, factor: int) -> bool:
        """Count one more in; whether it is among the best 1/factor, rounded up, of all that ever came."""
        self.came += 1
        place = self.fronts.add(point)
        room = -(-self.came // factor) - self.fronts.before(place)
        return room > 0 and point in spread(self.fronts[place], room)


@define(kw_only=True, eq=False, slots=False)
class MOASHA(Scheduler):
    """Multi-objective asynchronous successive halving of Schmucker, Donini, Zafar, Salinas and Archambeau, "Multi-objective
    Asynchronous Successive Halving" (arXiv:2106.12639, 2021). It takes several objectives that do not come to one number, and
    one, too.

    The rungs are those of `ASHA`: the steps grace, grace·factor, grace·factor², … below `max_steps`; a trial comes to a rung
    with its first report there, and a report that crosses several is recorded at the highest of them alone. There it is
    stopped, unless it is among the best 1/factor, rounded up, of all that came there so far, itself included: sorted into
    fronts, of which the first are those that nobody beats; and within a front by an epsilon-net, so that those are kept that
    are spread best over it (Salinas, Perrone, Cruchant and Archambeau, 2021). So the first to arrive goes on, and equals of
    those who go on do, too.

    A metric that is not finite never passes a rung. A report that has not all objectives is not judged.

    A report costs O(log n) for n trials in a rung where fronts are short, and O(n) where nobody beats anybody.

    Args:
        max_steps: the step at which a trial is stopped in any case.
        grace: the first rung: no trial is stopped before it; by default 1.
        factor: about one of so many goes on at each rung (η in the paper); by default 3.

    Raises:
        ConfigurationError: if `max_steps` is below `grace`, `factor` below 2, or one of them no integer.
    """

    several: ClassVar[bool] = True

    max_steps: int = field(validator=number(1, integer=True))
    grace: int = field(default=1, validator=number(1, integer=True))
    factor: int = field(default=3, validator=number(2, integer=True))
    rungs: tuple[int, ...] = field(init=False, repr=False)
    _rungs: tuple[_Rung, ...] = field(init=False, repr=False)
    # The highest rung that a live trial came to, by its index.
    _reached: dict[TrialId, int] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.max_steps < self.grace:
            message = f"MOASHA(max_steps={self.max_steps}) is below grace={self.grace}: trials would end before the first rung"
            raise ConfigurationError(message)
        self.rungs = ASHA(max_steps=self.max_steps, grace=self.grace, factor=self.factor).rungs
        self._rungs = tuple(_Rung() for _ in self.rungs)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Judge the trial if this report takes it to a rung."""
        if not self.objective.seen_in(report.metrics):
            return None
        if report.step >= self.max_steps:
            return Stop(f"MOASHA: max_steps={self.max_steps} reached")
        index = bisect_right(self.rungs, report.step) - 1
        if index <= self._reached.get(trial.id, -1):
            return None
        self._reached[trial.id] = index
        point, rung = tuple(each.loss(report.metrics[each.name]) for each in self.objective.each), self._rungs[index]
        if not all(map(math.isfinite, point)):
            rung.came += 1
            bad = [each.name for each, loss in zip(self.objective.each, point, strict=True) if math.isinf(loss)]
            return Stop(f"MOASHA: at step {report.step}, {', '.join(bad)} is not finite, which passes no rung")
        if rung.passes(point, self.factor):
            return None
        told = ", ".join(f"{each.name} {report.metrics[each.name]:.4g}" for each in self.objective.each)
        among = f"the best 1/{self.factor} of rung {self.rungs[index]} ({counted(rung.came, 'trial')})"
        return Stop(f"MOASHA: {told} at step {report.step} is not among {among}")

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        """Nothing more will come from it; what it reached stays."""
        self._reached.pop(trial.id, None)
        return None

    def on_trial_error(self, trial: TrialView) -> Verdicts:
        """Nothing more will come from it; what it reached stays."""
        return self.on_trial_complete(trial)

    def plan(self) -> str:
        """The rungs."""
        if not self.rungs:
            return f"MOASHA: no rung below max_steps; each trial is stopped at step {self.max_steps}"
        rungs = ("rung " if len(self.rungs) == 1 else "rungs ") + ", ".join(map(str, self.rungs))
        return f"MOASHA: {rungs}; about 1/{self.factor} go on at each, and are stopped at step {self.max_steps}"

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does."""
        return {"max_steps": self.max_steps, "grace": self.grace, "factor": self.factor}
