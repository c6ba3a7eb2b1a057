"""One metric as stoppers see it: which it is, and which way it is better."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.objective import Goal, direction_of
from asynctune.records import Metrics, Report, State, TrialView

__all__ = ["Watched", "no_metric", "no_way"]


def no_metric(instance: object, _: object, value: Any) -> None:
    """Refuse what is no name of a metric."""
    if value is not None and not (isinstance(value, str) and value):
        wanted = "the name of a metric, or None for the objective"
        raise ConfigurationError(f"{type(instance).__name__}(metric=...) takes {wanted}, not {value!r}")


def no_way(instance: Any, _: object, value: Any) -> None:
    """Refuse what is no direction, and one where the objective says it."""
    name = type(instance).__name__
    if value not in (None, "min", "max"):
        raise ConfigurationError(f"{name}(direction=...) takes 'min', 'max' or None, not {value!r}")
    if value is not None and instance.metric is None:
        raise ConfigurationError(f"{name}(direction={value!r}) says nothing without metric=: the objective has its own")


@define(kw_only=True)
class Watched:
    """What has a metric, or the objective, and learns which way it is better when the search is known."""

    metric: str | None = field(default=None, validator=no_metric)
    direction: Literal["min", "max"] | None = field(default=None, validator=no_way)
    _of: Callable[[Metrics], float | None] = field(default=None, init=False, eq=False, repr=False)
    _sign: float = field(default=1.0, init=False, repr=False)

    def set_search(self, *, objective: Goal) -> None:
        """Learn what is wanted.

        Raises:
            ConfigurationError: several objectives that do not come to one number, or a metric whose direction nobody has said.
        """
        name = type(self).__name__
        if self.metric is None:
            if not objective.has_score:
                hint = f"give {name}(metric=...), or combine them to one number"
                raise ConfigurationError(f"{name} looks at one number, and {objective} are several: {hint}")
            self._of, self._sign = objective.of, objective.loss(1.0)
            return
        metric = self.metric
        hint = f"write {name}(..., metric={metric!r}, direction='min') or 'max'; in a dict, {{{metric!r}: ('min', value)}}"
        way = self.direction or direction_of(metric, objective, hint)
        self._of, self._sign = (lambda metrics: metrics.get(metric)), 1.0 if way == "min" else -1.0

    def _loss(self, metrics: Metrics | None) -> float | None:
        """The metric as a number that is to be small; None where it is not there, or is no finite number."""
        value = self._of(metrics or {})
        return None if value is None or not math.isfinite(value) else self._sign * value

    def _losses(self, trial: TrialView, most: int) -> list[float | None]:
        """Of the last reports that carry it, at most so many, the newest first; None for what is no finite number."""
        found: list[float | None] = []
        place = len(trial.reports)
        while place and len(found) < most:
            place -= 1
            report: Report = trial.reports[place]
            if self._of(report.metrics) is not None:
                found.append(self._loss(report.metrics))
        return found

    def _final(self, trial: TrialView) -> float | None:
        """What a trial has ended with, as a number that is to be small: its score, or what it returned or reported last; None
        where that is no finite number, and for one that does not count."""
        if trial.state is not State.COMPLETED or trial.violates:
            return None
        if self.metric is None:
            return None if trial.score is None else self._sign * trial.score
        returned = self._loss(trial.metrics)
        return returned if returned is not None or not trial.reports else self._loss(trial.reports[-1].metrics)

    @property
    def _called(self) -> str:
        return repr(self.metric) if self.metric is not None else "the objective"
