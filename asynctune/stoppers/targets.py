"""It is good enough."""

from __future__ import annotations

from attrs import define, field

from asynctune.records import Report, TrialId, TrialView
from asynctune.stoppers.metrics import Watched
from asynctune.validators import number
from asynctune.views import SearchView

__all__ = ["SearchTarget", "TrialTarget"]


@define
class TrialTarget(Watched):
    """End a trial when it has reported this value, or a better one.

    Args:
        value: finite.
        metric: which is to have it, "eval/loss" for one that is nested; None for the objective.
        direction: whether "min" or "max" is better. Need not be said of an objective, nor of a name whose direction Keras
            defines.

    Raises:
        ConfigurationError: for what is no number, no name, or no direction.
    """

    value: float = field(validator=number(float("-inf"), finite=True), kw_only=False)

    def should_stop_trial(self, trial: TrialView, report: Report) -> str | None:
        """Whether it has."""
        loss = self._loss(report.metrics)
        return None if loss is None or loss > self._sign * self.value else f"target: {self._called} has reached {self.value:g}"


@define
class SearchTarget(Watched):
    """End the search when a trial has reported this value, or a better one, or has ended with it.

    Args:
        value: finite.
        metric, direction: as of `TrialTarget`.

    Raises:
        ConfigurationError: for what is no number, no name, or no direction.
    """

    value: float = field(validator=number(float("-inf"), finite=True), kw_only=False)
    deadline: None = field(default=None, init=False)
    _reached: TrialId | None = field(default=None, init=False)

    def on_trial_result(self, trial: TrialView, report: Report) -> None:
        """Look at the report."""
        self._look(trial, self._loss(report.metrics))

    def on_trial_end(self, trial: TrialView) -> None:
        """Look at what it has returned."""
        self._look(trial, self._final(trial))

    def _look(self, trial: TrialView, loss: float | None) -> None:
        if self._reached is None and loss is not None and loss <= self._sign * self.value:
            self._reached = trial.id

    def should_stop_search(self, search: SearchView) -> str | None:
        """Whether one has."""
        if self._reached is None:
            return None
        return f"target: {self._called} has reached {self.value:g}, in trial {self._reached}"
