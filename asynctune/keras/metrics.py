"""What a trial has reported: for each metric its values, by step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from asynctune._runner.metrics import as_number
from asynctune.objective import Goal, Objective

__all__ = ["MetricsTracker", "Observation", "best_of"]


@frozen
class Observation:
    """What a metric was at a step: several values where a trial is executed several times, of which the mean counts."""

    step: int
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of the values."""
        return sum(self.values) / len(self.values)


class MetricsTracker:
    """The metrics of one trial.

    Values that are reported again at the same step are averaged. A value that is no finite number counts for nothing while
    there is another one.
    """

    def __init__(self) -> None:
        self._histories: dict[str, dict[int, list[float]]] = {}

    def __repr__(self) -> str:
        return f"<MetricsTracker of {', '.join(self._histories) or 'nothing'}>"

    @property
    def names(self) -> Sequence[str]:
        """The metrics that were reported."""
        return tuple(self._histories)

    def exists(self, name: str) -> bool:
        """Whether this metric was reported."""
        return name in self._histories

    def update(self, name: str, value: Any, step: int = 0) -> None:
        """Report a value.

        Raises:
            TypeError: it is no number.
        """
        self._histories.setdefault(name, {}).setdefault(step, []).append(as_number(name, value))

    def get_history(self, name: str) -> list[Observation]:
        """What was reported, by step; empty if nothing was."""
        return [Observation(step, tuple(values)) for step, values in sorted(self._histories.get(name, {}).items())]

    def at(self, step: int | None) -> dict[str, float]:
        """The mean of each metric at a step; at its last one before, where it has none there."""
        found = {name: [each for each in self.get_history(name) if step is None or each.step <= step] for name in self.names}
        return {name: history[-1].mean for name, history in found.items() if history}

    def curve(self, objective: Goal) -> dict[int, float]:
        """What the objective comes to at each step that has all of it."""
        means = [{each.step: each.mean for each in self.get_history(goal.name)} for goal in objective.each]
        steps = [step for step in means[0] if all(step in each for each in means)]
        names = [goal.name for goal in objective.each]
        values = {step: objective.of({name: each[step] for name, each in zip(names, means, strict=True)}) for step in steps}
        return {step: math.nan if value is None else value for step, value in values.items()}

    def get_last_value(self, name: str) -> float | None:
        """The mean at the last step; None if nothing was reported."""
        history = self.get_history(name)
        return history[-1].mean if history else None

    def get_best_value(self, name: str, direction: Literal["min", "max"]) -> float | None:
        """The best of the means; NaN if none of them is a finite number, None if nothing was reported."""
        return self._best(name, direction)[0]

    def get_best_step(self, name: str, direction: Literal["min", "max"]) -> int | None:
        """The first step with the best mean; None if there is none."""
        return self._best(name, direction)[1]

    def get_state(self) -> dict[str, list[list[Any]]]:
        """All of it, as JSON has it."""
        return {name: [[step, list(values)] for step, values in steps.items()] for name, steps in self._histories.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Sequence[Sequence[Any]]]) -> MetricsTracker:
        """The one that `get_state` has told of."""
        tracker = cls()
        for name, steps in state.items():
            for step, values in steps:
                for value in values:
                    tracker.update(name, value, step)
        return tracker

    def _best(self, name: str, direction: Literal["min", "max"]) -> tuple[float | None, int | None]:
        objective = Objective(name, direction)
        return best_of(self.curve(objective), objective)


def best_of(curve: Mapping[int, float], objective: Goal) -> tuple[float | None, int | None]:
    """The best of the values, by step, that are finite numbers, and the first step that has it; NaN and None if none is, None
    and None where there is no value at all."""
    best = objective.best(curve.values())
    if best is None:
        return (math.nan if curve else None), None
    return best, next(step for step, value in curve.items() if value == best)
