"""Patience: a trial is ended when it no longer gets better; or another scheduler is held back as long as it does."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from attrs import Attribute, define, field

from asynctune.errors import ConfigurationError
from asynctune.objective import Goal
from asynctune.records import Report, Stop, TrialId, TrialView, Verdicts
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.losses import counted, loss_of, shown
from asynctune.validators import number

__all__ = ["Patience"]


def _inside(_: object, __: Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, Scheduler):
        raise ConfigurationError(f"Patience(inside=...) takes a scheduler or None, not {value!r}")
    if value is not None and (what := _does_more(value)) is not None:
        message = f"Patience(inside={type(value).__name__}(...)): it {what}, and counts on its verdicts being obeyed"
        raise ConfigurationError(f"{message}; it takes one that only stops trials")


def _does_more(scheduler: Scheduler) -> str | None:
    """What it does beside stopping trials."""
    if scheduler.chooses:
        return "decides what runs next"
    if scheduler.exploits:
        return "lets trials go on from each other's checkpoints"
    return "changes their resources" if scheduler.reallocates else None


@define
class _Curve:
    """What one trial has reported: its newest losses, the best of those before, and where it was when it was the best."""

    newest: deque[float]
    before: float = math.inf
    any_before: bool = False

    def add(self, loss: float) -> None:
        if len(self.newest) == self.newest.maxlen:
            self.before, self.any_before = min(self.before, self.newest[0]), True
        self.newest.append(loss)


@define(kw_only=True, eq=False, slots=False)
class Patience(Scheduler):
    """The rule of Optuna's `PatientPruner`: a trial has stalled when the best of its newest `patience` + 1 reports is worse, by
    more than `min_delta`, than the best of those before.

    Alone, it stops a trial that has stalled. With another scheduler `inside`, that one judges as always, and a trial is stopped
    when both say so at the same report: the other's verdict is not obeyed as long as the trial gets better. The inner
    scheduler judges it again when it would anyway, ASHA at its next rung. What has `max_steps`, as ASHA has, still ends a trial
    there. (Where a trial is to be stopped when one *or* the other says so, one of them is a stopper: `stop=[...]`.)

    Metrics that are not finite are worse than all others. A trial that has had nothing else has stalled as soon as there are
    more than `patience` + 1 of them.

    A report costs O(`patience`), and what the scheduler inside costs.

    Args:
        patience: how many reports may be no better, at least 0; Keras's word.
        min_delta: by more than how much they must be worse; at least 0, which is the default. So a trial that stays exactly
            where it was has not stalled.
        inside: a scheduler that only stops trials (one that sets trials aside counts on it that its verdicts are obeyed); by
            default none.

    Raises:
        ConfigurationError: if an argument is of the wrong type, or `inside` decides what runs, exploits or reallocates.
    """

    patience: int = field(validator=number(0, integer=True))
    min_delta: float = field(default=0.0, validator=number(0, finite=True))
    inside: Scheduler | None = field(default=None, validator=_inside)
    _curves: dict[TrialId, _Curve] = field(init=False, factory=dict, repr=False)

    def set_search(self, *, objective: Goal) -> None:
        """What is wanted, for both."""
        super().set_search(objective=objective)
        if self.inside is not None:
            self.inside.set_search(objective=objective)

    def on_trial_add(self, trial: TrialView) -> Verdicts:
        """As the one inside says."""
        return None if self.inside is None else self.inside.on_trial_add(trial)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Stop the trial if it has stalled, and the one inside would stop it."""
        inner = None if self.inside is None else self.inside.on_trial_result(trial, report)
        loss = loss_of(self.objective, report)
        if loss is None:
            return inner
        curve = self._curves.get(trial.id)
        if curve is None:
            curve = self._curves[trial.id] = _Curve(deque(maxlen=self.patience + 1))
        curve.add(loss)
        stalled = self._stalled(curve)
        if self.inside is None:
            return stalled
        return inner if stalled is not None or self._is_last(report) else self._held_back(trial.id, inner)

    def _stalled(self, curve: _Curve) -> Stop | None:
        if not curve.any_before:
            return None
        now = min(curve.newest)
        if math.isfinite(now) and now <= curve.before + self.min_delta:
            return None
        best = shown(self.objective, curve.before) if math.isfinite(curve.before) else "nothing finite"
        return Stop(f"patience: nothing better than {best} in the last {counted(self.patience + 1, 'report')}")

    def _is_last(self, report: Report) -> bool:
        most = getattr(self.inside, "max_steps", None)
        return isinstance(most, int) and report.step >= most

    def _held_back(self, trial: TrialId, verdicts: Verdicts) -> Verdicts:
        if isinstance(verdicts, Mapping):
            return {each: verdict for each, verdict in verdicts.items() if each != trial or not isinstance(verdict, Stop)}
        return None if isinstance(verdicts, Stop) else verdicts

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        """Nothing more will come from it."""
        self._curves.pop(trial.id, None)
        return None if self.inside is None else self.inside.on_trial_complete(trial)

    def on_trial_error(self, trial: TrialView) -> Verdicts:
        """Nothing more will come from it."""
        self._curves.pop(trial.id, None)
        return None if self.inside is None else self.inside.on_trial_error(trial)

    def on_trial_pause(self, trial: TrialView, by: str) -> None:
        """The one inside is told, too."""
        if self.inside is not None:
            self.inside.on_trial_pause(trial, by)

    def on_trial_resume(self, trial: TrialView, by: str) -> None:
        """The one inside is told, too."""
        if self.inside is not None:
            self.inside.on_trial_resume(trial, by)

    def plan(self) -> str:
        """What it will do."""
        stalled = f"the best of its last {counted(self.patience + 1, 'report')} is worse than its best before"
        if self.min_delta:
            stalled += f", by more than {self.min_delta:g}"
        if self.inside is None:
            return f"patience: a trial is stopped when {stalled}"
        return f"patience: a trial is stopped only when {stalled}, and by what follows\n{self.inside.plan()}"

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does."""
        inner = self.inside
        inside = None if inner is None else {"class": type(inner).__name__, "settings": dict(inner.settings())}
        return {"patience": self.patience, "min_delta": self.min_delta, "inside": inside}
