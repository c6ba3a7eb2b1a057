"""Scores as schedulers rank them: losses, of which less is better, and the cutoff that the best share of them stays within.

This room knows nothing of trials, steps or verdicts.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush, heappushpop

from attrs import Factory, define

from asynctune.objective import Goal
from asynctune.records import Report

__all__ = ["Cutoff", "counted", "loss_of", "shown"]


def loss_of(objective: Goal, report: Report) -> float | None:
    """The objective's value in `report` as a loss: infinite, the worst, if it is not finite; None if it is not there."""
    value = objective.of(report.metrics)
    if value is None:
        return None
    return objective.loss(value) if math.isfinite(value) else math.inf


def shown(objective: Goal, loss: float) -> str:
    """A loss as people know it: the objective's value, in four digits."""
    # Subtracting from zero, and not negating, keeps "-0" out of what people read.
    return f"{loss if objective.direction == 'min' else 0.0 - loss:.4g}"


def counted(count: int, what: str) -> str:
    """How many: "1 trial", "2 trials"."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


@define
class Cutoff:
    """A collection of losses that only grows, and the loss that its best 1/`parts` stay within.

    `value` is the quantile 1/`parts` with linear interpolation (Hyndman and Fan's type 7, which is also NumPy's default), in
    whole-number arithmetic. Two heaps meet where the cutoff falls: adding costs O(log n), asking costs nothing.

    An infinite loss counts as one more that is worse; the cutoff is never interpolated towards it, so one that diverged does
    not let others pass. The cutoff is infinite only when the share itself reaches into the infinite ones.
    """

    parts: int
    # The best (n - 1) // parts + 1 losses, negated, with the worst of them at the top; and the rest, with the best at the top.
    _within: list[float] = Factory(list)
    _beyond: list[float] = Factory(list)

    def __len__(self) -> int:
        return len(self._within) + len(self._beyond)

    def add(self, loss: float) -> None:
        """Count `loss` in."""
        size = len(self) // self.parts + 1
        heappush(self._beyond, -heappushpop(self._within, -loss))
        if len(self._within) < size:
            heappush(self._within, -heappop(self._beyond))

    @property
    def value(self) -> float | None:
        """The cutoff; None while there is nothing."""
        if not self._within:
            return None
        low, part = -self._within[0], (len(self) - 1) % self.parts
        if part == 0 or math.isinf(self._beyond[0]):
            return low
        # The difference of two numbers near the ends of the floats is infinite; `high` is then the closest that we can say.
        high = self._beyond[0]
        return min(low + (high - low) * (part / self.parts), high)
