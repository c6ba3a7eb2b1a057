"""One bracket of successive halving, trial by trial: who has come to its rung, and who goes on when all of them have.

This room knows trials by their ids, and nothing of reports, verdicts or slots.
"""

from __future__ import annotations

import math
from itertools import pairwise

from attrs import Factory, define, field, frozen

from asynctune.records import TrialId

__all__ = ["Bracket", "Drop", "Shape", "shapes"]


@frozen
class Shape:
    """What a bracket will be.

    Args:
        sizes: how many trials there are at each rung, if it is full.
        steps: the rungs; the last is where they all end.
    """

    sizes: tuple[int, ...]
    steps: tuple[int, ...]

    @property
    def cost(self) -> int:
        """How many steps its trials take in all, when each goes on where it stood."""
        more = (size * (step - before) for size, (before, step) in zip(self.sizes[1:], pairwise(self.steps), strict=True))
        return self.sizes[0] * self.steps[0] + sum(more)

    def __str__(self) -> str:
        return ", ".join(f"{size} to step {step}" for size, step in zip(self.sizes, self.steps, strict=True))


def shapes(max_steps: int, grace: int, factor: int) -> tuple[Shape, ...]:
    """The brackets of Hyperband, the one with the most trials first: bracket s has ceil((S + 1) / (s + 1) · factor^s) of them,
    and begins at step max_steps / factor^s, where S is the highest number for which that is at least `grace`. Both are rounded
    down at later rungs. In whole numbers: logarithms of floats miss powers."""
    most = 0
    while max_steps // factor ** (most + 1) >= grace:
        most += 1
    found = []
    for s in range(most, -1, -1):
        first = -(-(most + 1) * factor**s // (s + 1))
        rungs = range(s + 1)
        found.append(Shape(tuple(first // factor**i for i in rungs), tuple(max_steps // factor ** (s - i) for i in rungs)))
    return tuple(found)


@frozen
class Drop:
    """How a trial came to be out.

    Args:
        step: the rung.
        loss: the trial's there.
        kept, came: how many went on, of how many.
    """

    step: int
    loss: float
    kept: int
    came: int


@define(eq=False)
class Bracket:
    """A bracket as it stands.

    It takes trials until it is full, or is closed before. When it takes no more, and every one that is left has come to the
    rung, the best of them go on: of n trials that ever joined, n / factor at the first rung (rounded down, but one at least),
    n / factor² at the second, and so on. So a bracket that was closed early is halved as one of its own size is. Those that
    failed or ended take nobody's place; those that diverged never go on.

    A trial comes to a rung with its first report there or beyond, with which it may have come to the next ones, too. One that
    comes to a rung that was decided without it goes on if it is as good as the last who did.

    Args:
        shape: what it will be.
        factor: one of so many goes on.

    Attributes:
        full: it takes no more trials.
        rung: the one that its trials are coming to.
        ready: those that go on and have not been told so, the best first.
        dropped: those that are out and have not been told so, and why.
    """

    shape: Shape
    factor: int
    full: bool = False
    rung: int = 0
    ready: dict[TrialId, None] = Factory(dict)
    dropped: dict[TrialId, Drop] = Factory(dict)
    _joined: int = 0
    # The rung that each trial is coming to, by its index.
    _aims: dict[TrialId, int] = Factory(dict)
    # Of those that have come to `rung`: the loss, and the step.
    _came: dict[TrialId, tuple[float, int]] = Factory(dict)
    # How many are still to come to `rung`.
    _awaited: int = 0
    # Of each rung that was decided: the last that went on, or where there was room for more, the worst that could be; and how
    # many went on, of how many.
    _marks: list[tuple[tuple[float, TrialId], int, int]] = field(factory=list)

    @property
    def over(self) -> bool:
        """Nothing will happen here any more."""
        return self.full and not self._aims

    @property
    def complete(self) -> bool:
        """All that are left have come to the rung."""
        return not self._awaited

    @property
    def best(self) -> TrialId | None:
        """The best that has come to the rung and waits for the others."""
        return min(((loss, trial) for trial, (loss, _) in self._came.items()), default=(0.0, None))[1]

    def join(self, trial: TrialId) -> None:
        """A new trial."""
        self._aims[trial] = self.rung
        self._joined += 1
        self._awaited += 1
        self.full = self._joined >= self.shape.sizes[0]

    def waits(self, trial: TrialId) -> bool:
        """Whether the trial has come to the rung, and others have not."""
        return trial in self._came

    def come(self, trial: TrialId, step: int, loss: float) -> None:
        """The trial has reported `step`. Afterwards it is dropped, or waits, or goes on."""
        aim = self._aims.get(trial)
        if aim is None or trial in self._came or step < self.shape.steps[aim]:
            return
        if aim < self.rung:  # which was decided without it
            while aim < self.rung and step >= self.shape.steps[aim]:
                if not math.isfinite(loss) or (loss, trial) > self._marks[aim][0]:
                    self._drop(trial, aim, loss)
                    return
                aim += 1
            self._aims[trial] = aim
            self._awaited += aim == self.rung
            if step < self.shape.steps[aim]:
                return
        self._awaited -= 1
        if math.isfinite(loss):
            self._came[trial] = loss, step
        else:
            del self._aims[trial]
            self.dropped[trial] = Drop(self.shape.steps[aim], loss, 0, 0)  # whoever else comes
        self.settle()

    def leave(self, trial: TrialId) -> None:
        """The trial has ended."""
        aim = self._aims.pop(trial, None)
        self.ready.pop(trial, None)
        self.dropped.pop(trial, None)
        if aim == self.rung and self._came.pop(trial, None) is None:
            self._awaited -= 1
        self.settle()

    def close(self) -> None:
        """No more trials, and nobody else to wait for: those that have come to the rung are all there are."""
        self.full = True
        if self._came:
            self._decide()
        self.settle()

    def settle(self) -> None:
        """Let those go on who do, as long as all have come."""
        while self.full and self._came and not self._awaited:
            self._decide()

    def _decide(self) -> None:
        ranked = sorted((loss, trial) for trial, (loss, _) in self._came.items())
        most = max(1, self._joined // self.factor ** (self.rung + 1))
        kept = ranked[:most]
        mark = kept[-1] if len(kept) == most else (math.inf, -1)
        self._marks.append((mark, len(kept), len(ranked)))
        for loss, trial in ranked[most:]:
            self._drop(trial, self.rung, loss)
        came, self._came = self._came, {}
        self.rung += 1
        self._awaited = 0
        for loss, trial in kept:
            self._aims[trial] = self.rung
            if came[trial][1] >= self.shape.steps[self.rung]:  # it was there before
                self._came[trial] = loss, came[trial][1]
            else:
                self._awaited += 1
                self.ready[trial] = None

    def _drop(self, trial: TrialId, rung: int, loss: float) -> None:
        del self._aims[trial]
        _, kept, came = self._marks[rung]
        self.dropped[trial] = Drop(self.shape.steps[rung], loss, kept, came)
