"""ASHA: at steps that grow by a factor, only trials among the best so far go on."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.records import PAUSE, Choice, Report, Stop, TrialId, TrialView, Verdicts
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.losses import Cutoff, Ranking, counted, loss_of, shown
from asynctune.seeds import unit
from asynctune.validators import flag, number, one_of
from asynctune.views import SearchView

__all__ = ["ASHA"]

_ENORMOUS: Final = 1000  # times what is usual: nothing that trains gets so much worse from one rung to the next


@define(kw_only=True, eq=False, slots=False)
class ASHA(Scheduler):
    """Asynchronous successive halving of Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020).
    Nobody waits for a rung to be full.

    The rungs are the steps grace, grace·factor, grace·factor², … below `max_steps`. A trial comes to a rung with its first
    report there, and once: a report that crosses several rungs is recorded at the highest of them alone, and the trial never at
    a lower one afterwards.

    - `form="stopping"`, which Ray Tune made known, judges a trial at once: it is stopped if it is strictly worse than the
      cutoff that the best 1/factor of those recorded before it at the rung stay within (linear interpolation). So the first to
      arrive goes on, and equals go on; but see below for those that diverge. No trial is ever set aside.
    - `form="promotion"` is the paper's algorithm 2: at each rung a trial is set aside. A free slot goes to the best trial of
      the highest rung that is among the best 1/factor (rounded down) of all that ever came there; if there is none, to a new
      trial. A trial that would get its own slot back goes on at once. When no new trial can come and nothing runs, the best of
      each rung from which nobody went on does, from the top down, so that some trial is trained to the end; the rest are
      stopped, "not promoted". Trials are parked meanwhile, or go on from their checkpoints.

    With `brackets` above 1, bracket s begins at rung grace·factor^s, and has rungs of its own: some trials are safe for longer,
    against curves that cross. Each trial is put into a bracket by a hash of its id. The shares of the brackets are those of
    asynchronous Hyperband, in which all cost about as much: with K rungs, bracket s gets a share in proportion to
    factor^-s / (K - s).

    A metric that is not finite never passes a rung, not even as the first to arrive, and counts there as one that is worse. A
    trial that may begin with NaN needs a larger `grace`. A curve that diverges to finite numbers (1e18) is behind all others,
    so it passes no rung that enough sound ones have come to: in the promotion form as many as go on, in the stopping form more
    than 1/factor of those before it. There the first few to arrive have nobody to be compared with. So as long as fewer than
    `factor` have come to a rung, a trial is also stopped if its loss is over 1000 times the largest magnitude in the better
    half of the rung before (the next lower one to which `factor` have come). This is ours, neither the paper's nor Ray Tune's.
    Among the first few at the first rung nobody can know yet that a number is enormous: there it passes.

    A report costs O(log n) for n trials in a rung; one of the first `factor` at a rung, O(n log n) for those at the rung
    before. Scores of trials that fail later stay: they were reached.

    Args:
        max_steps: the step at which a trial is stopped in any case.
        grace: the first rung: no trial is stopped or set aside before it; by default 1.
        factor: about one of so many goes on at each rung (η in the paper, reduction factor in Ray Tune); by default 3.
        form: "stopping", the default, or "promotion".
        brackets: how many of them; by default 1, and at most as many as there are rungs.
        stop_last: False leaves trials alone once they are past the last rung, which can then be `max_steps` itself.

    Raises:
        ConfigurationError: if `max_steps` is below `grace`, `factor` below 2, if there are more brackets than rungs, or
            anything is of the wrong type.
    """

    max_steps: int = field(validator=number(1, integer=True))
    grace: int = field(default=1, validator=number(1, integer=True))
    factor: int = field(default=3, validator=number(2, integer=True))
    form: Literal["stopping", "promotion"] = field(default="stopping", validator=one_of("stopping", "promotion"))
    brackets: int = field(default=1, validator=number(1, integer=True))
    stop_last: bool = field(default=True, validator=flag)
    rungs: tuple[int, ...] = field(init=False, repr=False)
    # By bracket and rung; of a bracket's first rungs, where it has none, nothing is used.
    _cutoffs: tuple[tuple[Cutoff, ...], ...] = field(init=False, repr=False)
    _rankings: tuple[tuple[Ranking, ...], ...] = field(init=False, repr=False)
    # The highest rung that a live trial came to, by its index.
    _reached: dict[TrialId, int] = field(init=False, factory=dict, repr=False)
    # Where the shares of the brackets end on the way from 0 to 1.
    _ends: tuple[float, ...] = field(init=False, repr=False)

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
        if self.brackets > max(1, len(rungs)):
            there = f"there are only {counted(len(rungs), 'rung')} below max_steps={self.max_steps}"
            raise ConfigurationError(
                f"ASHA(brackets={self.brackets}): each begins a rung later than the one before, and {there}"
            )
        self._cutoffs = tuple(tuple(Cutoff(self.factor) for _ in rungs) for _ in range(self.brackets))
        self._rankings = tuple(tuple(Ranking(self.factor) for _ in rungs) for _ in range(self.brackets))
        self._ends = self._shares()

    def _shares(self) -> tuple[float, ...]:
        weights = [self.factor**-s / max(1, len(self.rungs) - s) for s in range(self.brackets)]
        return tuple(sum(weights[: s + 1]) / sum(weights) for s in range(self.brackets))

    @property
    def chooses(self) -> bool:
        """In the promotion form."""
        return self.form == "promotion"

    def bracket(self, trial: TrialId) -> int:
        """The bracket that a trial is in: a function of its id and of the shares alone."""
        return 0 if self.brackets == 1 else min(bisect_right(self._ends, unit("ASHA", trial)), self.brackets - 1)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Judge the trial if this report takes it to a rung."""
        loss = loss_of(self.objective, report)
        if loss is None:
            return None
        if self.stop_last and report.step >= self.max_steps:
            return Stop(f"ASHA: max_steps={self.max_steps} reached")
        index, bracket = bisect_right(self.rungs, report.step) - 1, self.bracket(trial.id)
        if index < bracket or index <= self._reached.get(trial.id, -1):
            return None
        self._reached[trial.id] = index
        if self.chooses:
            return self._rank(trial.id, loss, report, self._rankings[bracket][index])
        cutoffs = self._cutoffs[bracket]
        verdict = self._judge(loss, report, index, cutoffs)
        cutoffs[index].add(loss)
        return verdict

    def _judge(self, loss: float, report: Report, index: int, cutoffs: Sequence[Cutoff]) -> Verdicts:
        if math.isinf(loss):
            return self._diverged(report)
        others, reached = cutoffs[index], f"{shown(self.objective, loss)} at step {report.step}"
        cutoff = others.value
        if cutoff is not None and loss > cutoff:
            known = f"cutoff {shown(self.objective, cutoff)}, {counted(len(others), 'trial')}"
            return Stop(f"ASHA: {reached} is not among the best 1/{self.factor} of rung {self.rungs[index]} ({known})")
        if len(others) >= self.factor:
            return None
        below = next((i for i in range(index - 1, -1, -1) if len(cutoffs[i]) >= self.factor), None)
        usual = 0.0 if below is None else cutoffs[below].magnitude()
        if below is None or not 0 < usual < loss / _ENORMOUS:
            return None
        return Stop(f"ASHA: {reached} is beyond all measure of rung {self.rungs[below]}: half of them are within {usual:.4g}")

    def _rank(self, trial: TrialId, loss: float, report: Report, ranking: Ranking) -> Verdicts:
        ranking.add(trial, loss)
        if math.isinf(loss):
            return self._diverged(report)
        if self._promotable() != trial:
            return PAUSE
        ranking.take(trial)  # the slot that it would leave is its own
        return None

    def _diverged(self, report: Report) -> Stop:
        value = self.objective.of(report.metrics)
        return Stop(f"ASHA: {value} at step {report.step} is no finite score, which passes no rung")

    # ------------------------------------------------------------------------------------------------- the promotion form

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        """Whoever may go on from the highest rung; a new trial, if there is none."""
        promotable = self._promotable()
        if promotable is None and not search.running and not search.growing:
            # It is the end: no rung will ever be fuller.
            lasts = (ranking.best for ranking in self._from_the_top() if not ranking.taken)
            promotable = next((trial for trial in lasts if trial is not None), None)
        return "NEW" if promotable is None else promotable

    def on_trial_resume(self, trial: TrialView, by: str) -> None:
        """It goes on from its rung."""
        ranking = self._where(trial.id)
        if ranking is not None and trial.id in ranking:
            ranking.take(trial.id)

    def on_trial_complete(self, trial: TrialView) -> None:
        """Nothing more will come from it; its scores stay."""
        ranking = self._where(trial.id)
        if ranking is not None:
            ranking.drop(trial.id)
        self._reached.pop(trial.id, None)

    def on_trial_error(self, trial: TrialView) -> None:
        """Nothing more will come from it; its scores stay."""
        self.on_trial_complete(trial)

    def _where(self, trial: TrialId) -> Ranking | None:
        index = self._reached.get(trial)
        return None if index is None else self._rankings[self.bracket(trial)][index]

    def _promotable(self) -> TrialId | None:
        found = (ranking.promotable for ranking in self._from_the_top())
        return next((trial for trial in found if trial is not None), None)

    def _from_the_top(self) -> Iterator[Ranking]:
        for index in range(len(self.rungs) - 1, -1, -1):
            for rankings in self._rankings:
                yield rankings[index]

    # -------------------------------------------------------------------------------------------------------- what it says

    def plan(self) -> str:
        """The rungs, and what a trial costs."""
        end = f"stopped at step {self.max_steps}" if self.stop_last else f"left alone after step {self.max_steps}"
        if not self.rungs:
            return f"ASHA ({self.form} form): no rung below max_steps; each trial is {end}"
        expected, starts = 0.0, (0.0, *self._ends)
        for bracket in range(self.brackets):
            expected += (self._ends[bracket] - starts[bracket]) * self._expected(self.rungs[bracket:])
        rungs = ("rung " if len(self.rungs) == 1 else "rungs ") + ", ".join(map(str, self.rungs))
        go_on = f"about 1/{self.factor} go on at each, and are {end}"
        costs = f"Up to there a trial takes about {expected:.3g} of {self.max_steps} steps"
        if self.form == "stopping":
            costs += "; at worst, when each is better than all before it, it takes all"
        lines = [f"ASHA ({self.form} form): {rungs}; {go_on}. {costs}"]
        if self.brackets > 1:
            for bracket in range(self.brackets):
                share = self._ends[bracket] - starts[bracket]
                lines.append(f"  bracket {bracket}: {share:.1%} of the trials, from step {self.rungs[bracket]} on")
        return "\n".join(lines)

    def _expected(self, rungs: tuple[int, ...]) -> float:
        expected, share, reached = 0.0, 1.0, 0
        for step in (*rungs, self.max_steps):
            expected += (step - reached) * share
            share, reached = share / self.factor, step
        return expected

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does."""
        return {
            "max_steps": self.max_steps,
            "grace": self.grace,
            "factor": self.factor,
            "form": self.form,
            "brackets": self.brackets,
            "stop_last": self.stop_last,
        }
