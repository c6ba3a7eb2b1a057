"""Scores as schedulers rank them: losses, of which less is better; the cutoff that the best share of them stays within; and
who of a rung may go on.

This room knows nothing of steps or verdicts.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush, heappushpop

from attrs import Factory, define

from asynctune.objective import Goal
from asynctune.records import Report, TrialId

__all__ = ["Cutoff", "Ranking", "counted", "loss_of", "shown"]


def loss_of(objective: Goal, report: Report) -> float | None:
    """The objective's value in `report` as a loss: infinite, the worst, if it is not finite; None if it is not there."""
    value = objective.of(report.metrics)
    return None if value is None else objective.loss(value)


def shown(objective: Goal, loss: float) -> str:
    """A loss as people know it: the objective's value, in four digits."""
    # Subtracting from zero, and not negating, keeps "-0" out of what people read.
    return f"{loss if objective.direction == 'min' else 0.0 - loss:.4g}"


def counted(count: int, what: str) -> str:
    """How many: "1 trial", "2 trials"."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


@define
class Cutoff:
    """A collection of losses that only grows, and the loss that its best `share`/`parts` stay within.

    `value` is that quantile with linear interpolation (Hyndman and Fan's type 7, which is also NumPy's default), in
    whole-number arithmetic. Two heaps meet where the cutoff falls: adding costs O(log n), asking costs nothing.

    An infinite loss counts as one more that is worse; the cutoff is never interpolated towards it, so one that diverged does
    not let others pass. The cutoff is infinite only when the share itself reaches into the infinite ones.
    """

    parts: int
    share: int = 1
    # The best (n - 1) * share // parts + 1 losses, negated, with the worst of them at the top; and the rest, with the best at
    # the top.
    _within: list[float] = Factory(list)
    _beyond: list[float] = Factory(list)

    def __len__(self) -> int:
        return len(self._within) + len(self._beyond)

    def add(self, loss: float) -> None:
        """Count `loss` in."""
        size = len(self) * self.share // self.parts + 1
        heappush(self._beyond, -heappushpop(self._within, -loss))
        if len(self._within) < size:
            heappush(self._within, -heappop(self._beyond))

    def magnitude(self) -> float:
        """The largest magnitude in the better half (rounded up). This looks at each of them."""
        ranked = sorted([*(-each for each in self._within), *self._beyond])
        return max(map(abs, ranked[: (len(ranked) + 1) // 2]), default=0.0)

    @property
    def value(self) -> float | None:
        """The cutoff; None while there is nothing."""
        if not self._within:
            return None
        low, part = -self._within[0], (len(self) - 1) * self.share % self.parts
        if part == 0 or math.isinf(self._beyond[0]):
            return low
        # The difference of two numbers near the ends of the floats is infinite; `high` is then the closest that we can say.
        high = self._beyond[0]
        return min(low + (high - low) * (part / self.parts), high)


@define
class Ranking:
    """The trials that came to one rung, each with its loss, and which of them may go on: the best 1/`parts`, rounded down, of
    all that ever came. Of equals, the one that came first is the better.

    Adding and taking cost O(log n), asking next to nothing. One whose loss is infinite counts, and never goes on.

    Attributes:
        taken: how many went on.
    """

    parts: int
    taken: int = 0
    # The best n // parts of all, negated, with the worst of them at the top; and the rest, with the best at the top.
    _within: list[tuple[float, int]] = Factory(list)
    _beyond: list[tuple[float, int]] = Factory(list)
    # Those that wait, with the best at the top; whoever is no longer in `_waits` is skipped.
    _waiting: list[tuple[float, int, TrialId]] = Factory(list)
    _waits: set[TrialId] = Factory(set)

    def __len__(self) -> int:
        return len(self._within) + len(self._beyond)

    def __contains__(self, trial: object) -> bool:
        """Whether this trial waits here."""
        return trial in self._waits

    def add(self, trial: TrialId, loss: float) -> None:
        """`trial` comes here, and waits."""
        arrival = len(self)
        outside, since = heappushpop(self._within, (-loss, -arrival))
        heappush(self._beyond, (-outside, -since))
        if len(self._within) < len(self) // self.parts:
            inside, since = heappop(self._beyond)
            heappush(self._within, (-inside, -since))
        if math.isfinite(loss):
            heappush(self._waiting, (loss, arrival, trial))
            self._waits.add(trial)

    @property
    def best(self) -> TrialId | None:
        """The best of those that wait, whether it may go on or not."""
        first = self._first()
        return None if first is None else first[2]

    @property
    def promotable(self) -> TrialId | None:
        """The best of those that wait, if it may go on."""
        first = self._first()
        if first is None or not self._within:
            return None
        loss, since = self._within[0]
        return first[2] if first[:2] <= (-loss, -since) else None

    def take(self, trial: TrialId) -> None:
        """It goes on."""
        self._waits.remove(trial)
        self.taken += 1

    def drop(self, trial: TrialId) -> None:
        """It has ended. Its loss still counts."""
        self._waits.discard(trial)

    def _first(self) -> tuple[float, int, TrialId] | None:
        while self._waiting and self._waiting[0][2] not in self._waits:
            heappop(self._waiting)
        return self._waiting[0] if self._waiting else None
