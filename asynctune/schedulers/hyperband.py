"""HyperBand: brackets of trials that wait for each other at rungs, where only the best of each go on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.records import PAUSE, Choice, Report, Stop, TrialId, TrialView, Verdict, Verdicts
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.halving import Bracket, Drop, Shape, shapes
from asynctune.schedulers.losses import counted, loss_of, shown
from asynctune.validators import number
from asynctune.views import SearchView

__all__ = ["HyperBand"]


@define(kw_only=True, eq=False, slots=False)
class HyperBand(Scheduler):
    """Hyperband of Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization" (JMLR 18, 2018), which
    is synchronous: the trials of a bracket wait for each other at each rung, and the best 1/factor of them go on.

    New trials fill a bracket; when it is full they fill the next. The first gives up most of its trials soonest; the last
    trains a few to the end; then the first comes again, for as long as there are trials. Meanwhile free slots go to those who
    go on, in the order in which that was decided, and then to new trials. A trial that is set aside is parked, or goes on from
    its checkpoint; without either, it begins anew and is not judged again until it is where it was.

    With S = floor(log_factor(max_steps / grace)), bracket s = S, S-1, …, 0 has n = ceil((S + 1) / (s + 1) · factor^s) trials,
    its rungs are max_steps / factor^s, …, max_steps / factor, and n / factor, n / factor², … of its trials go on (all rounded
    down). For max_steps=81: 81 trials from step 1 on, 34 from 3, 15 from 9, 8 from 27, and 5 to step 81. Every bracket has the
    same rungs, but for those before its first.

    - A trial that skips rungs counts at each of them with its first report there or beyond.
    - A trial that fails, or ends by itself, takes nobody's place: of the others, as many go on as would have.
    - A metric that is not finite never passes a rung, even where nobody else is left.
    - A bracket that will not be full is halved by the number of trials that it has: as soon as all of them have come to the
      rung, and the oracle is exhausted or there are `max_trials`. So a search of any size trains some trial to the end. If the
      oracle is only idle, until a trial ends, that is done when nothing else runs. A trial that the user holds is not waited
      for then; when it comes, it is measured by the last who went on.
    - A loss that is finite and enormous ranks last: it passes a rung only where fewer trials are left than go on.

    A report costs O(log n) for n trials of a bracket, counting what it costs to sort them.

    Args:
        max_steps: the step at which a trial is stopped in any case (R in the paper).
        grace: the least number of steps for which a trial is trained; by default 1.
        factor: one of so many goes on, for so many times the steps (η in the paper); by default 3.

    Raises:
        ConfigurationError: if `max_steps` is below `grace`, `factor` below 2, or one of them no integer.
    """

    max_steps: int = field(validator=number(1, integer=True))
    grace: int = field(default=1, validator=number(1, integer=True))
    factor: int = field(default=3, validator=number(2, integer=True))
    shapes: tuple[Shape, ...] = field(init=False, repr=False)
    # How many brackets were begun, and those in which something may still happen, the oldest first.
    _begun: int = field(init=False, default=0, repr=False)
    _brackets: dict[int, Bracket] = field(init=False, factory=dict, repr=False)
    # The bracket of each trial that has not ended.
    _places: dict[TrialId, int] = field(init=False, factory=dict, repr=False)
    # Those who may go on and wait for a slot, in the order in which that was decided; those who are out and were not told so.
    _ready: dict[TrialId, None] = field(init=False, factory=dict, repr=False)
    _out: dict[TrialId, Drop] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.max_steps < self.grace:
            who = type(self).__name__
            raise ConfigurationError(f"{who}(max_steps={self.max_steps}) is below grace={self.grace}: there is no bracket")
        self.shapes = shapes(self.max_steps, self.grace, self.factor)

    def on_trial_add(self, trial: TrialView) -> Verdicts:
        """Put it into the bracket that is being filled."""
        number, bracket = self._open()
        bracket.join(trial.id)
        self._places[trial.id] = number
        return self._told()

    def _open(self) -> tuple[int, Bracket]:
        number = self._begun - 1
        newest = self._brackets.get(number)
        if newest is not None and not newest.full:
            return number, newest
        bracket = Bracket(self.shapes[self._begun % len(self.shapes)], self.factor)
        self._brackets[self._begun] = bracket
        self._begun += 1
        return self._begun - 1, bracket

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Set the trial aside at a rung; or, if it is the last to come there, let the best go on."""
        loss, bracket = loss_of(self.objective, report), self._bracket(trial.id)
        if loss is None or bracket is None:
            return self._told()
        if report.step >= self.max_steps:
            return self._told({trial.id: Stop(f"{type(self).__name__}: max_steps={self.max_steps} reached")})
        bracket.come(trial.id, report.step, loss)
        self._settle(bracket)
        self._ready.pop(trial.id, None)  # it runs
        return self._told({trial.id: PAUSE} if bracket.waits(trial.id) else {})

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        """The others wait for it no more."""
        number = self._places.pop(trial.id, None)
        self._ready.pop(trial.id, None)
        self._out.pop(trial.id, None)
        bracket = None if number is None else self._brackets.get(number)
        if number is not None and bracket is not None:
            bracket.leave(trial.id)
            self._settle(bracket)
            if bracket.over:
                del self._brackets[number]
        return self._told()

    def on_trial_error(self, trial: TrialView) -> Verdicts:
        """The others wait for it no more."""
        return self.on_trial_complete(trial)

    def on_trial_resume(self, trial: TrialView, by: str) -> None:
        """It goes on. If its bracket was still open, that is closed by this."""
        bracket = self._bracket(trial.id)
        if bracket is not None and bracket.waits(trial.id):
            bracket.close()
            self._settle(bracket)
        self._ready.pop(trial.id, None)

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        """Whoever may go on; a new trial, if there is none."""
        for trial in self._ready:
            return trial
        # At the end no bracket will ever be fuller. The first to go on closes its own.
        if not search.running and not search.growing:
            lasts = [bracket.best for bracket in self._brackets.values()]
        elif search.exhausted:
            newest = self._brackets.get(self._begun - 1)
            lasts = [newest.best] if newest is not None and newest.complete else []
        else:
            return "NEW"
        return next((trial for trial in lasts if trial is not None), "NEW")

    def _bracket(self, trial: TrialId) -> Bracket | None:
        number = self._places.get(trial)
        return None if number is None else self._brackets.get(number)

    def _settle(self, bracket: Bracket) -> None:
        self._ready |= bracket.ready
        self._out |= bracket.dropped
        bracket.ready.clear()
        bracket.dropped.clear()

    def _told(self, verdicts: Mapping[TrialId, Verdict] | None = None) -> Verdicts:
        """These verdicts, and the end for those who are out."""
        told = dict(verdicts or {})
        for trial, drop in self._out.items():
            told[trial] = self._end(drop)
        self._out.clear()
        return told or None

    def _end(self, drop: Drop) -> Stop:
        if math.isinf(drop.loss):
            return Stop(f"{type(self).__name__}: no finite score at rung {drop.step}, which passes none")
        which = f"the best of {drop.came}" if drop.kept == 1 else f"the best {drop.kept} of {drop.came}"
        return Stop(f"{type(self).__name__}: {shown(self.objective, drop.loss)} is not among {which} at rung {drop.step}")

    # -------------------------------------------------------------------------------------------------------- what it says

    def plan(self) -> str:
        """The brackets in their order, how many trials, and how many steps."""
        trials, steps = sum(shape.sizes[0] for shape in self.shapes), sum(shape.cost for shape in self.shapes)
        brackets = counted(len(self.shapes), "bracket")
        total = (
            f"{type(self).__name__}: {brackets}, {counted(trials, 'trial')}, {counted(steps, 'step')} in all; then over again"
        )
        last = len(self.shapes) - 1
        return "\n".join([total, *(f"  bracket {last - place}: {shape}" for place, shape in enumerate(self.shapes))])

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does."""
        return {"max_steps": self.max_steps, "grace": self.grace, "factor": self.factor}
