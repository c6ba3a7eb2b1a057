"""How many slots a search has asked for, was granted, and has not used yet; and how many of them a trial takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from asynctune._machine.instructions import Instruction, ReleaseSlot, RequestSlots
from asynctune.policies import Resources, times

__all__ = ["Slots", "slots_for"]


def slots_for(resources: Resources, unit: Resources) -> int | None:
    """How many slots a launch with these resources takes, where each slot stands for `unit`; None if no number of them does."""
    if resources.gpu and not unit.gpu:
        return None
    gpus = times(resources.gpu, unit.gpu) if unit.gpu else 0.0
    return max(1, math.ceil(times(resources.cpu, unit.cpu)), math.ceil(gpus))


class Slots:
    """`size` is what the pool has in all and `largest` the most that it had, `requested` what was asked of it and not granted,
    `held` what was granted and is unused. `wide` is what was asked for and not granted of slots that are several in one, by
    their width; these are used, or given back, as soon as they are granted.

    As many are requested in advance as there are in the pool, if there is work for them: so the end of one launch and the start
    of the next are heard together, and share a commit.
    """

    def __init__(self, size: int = 0) -> None:
        self.size = self.largest = size
        self.requested = 0
        self.held = 0
        self.wide: Counter[int] = Counter()

    def resize(self, size: int) -> None:
        """The pool has another size. What was requested of it before stays so."""
        self.size = size
        self.largest = max(self.largest, size)

    def granted(self, width: int = 1) -> None:
        """A slot is ours."""
        if width == 1:
            self.requested -= 1
            self.held += 1
        else:
            self.wide[width] -= 1

    def used(self) -> None:
        """A launch was started on a slot."""
        self.held -= 1

    def give_back(self) -> list[Instruction]:
        """Release every slot that is held."""
        released: list[Instruction] = [ReleaseSlot()] * self.held
        self.held = 0
        return released

    def withdraw(self) -> None:
        """Want no more of them. Whoever handed them out is told by `EndSearch`."""
        self.requested = 0
        self.wide.clear()

    def balance(self, *, keep: int, wanted: float) -> list[Instruction]:
        """Release what is held beyond `keep`, and request what is missing to `wanted`."""
        do: list[Instruction] = []
        if (surplus := self.held - keep) > 0:
            do = [ReleaseSlot()] * surplus
            self.held = keep
        missing = int(min(self.size, wanted)) - self.requested - self.held
        if missing > 0:
            self.requested += missing
            do.append(RequestSlots(missing))
        return do

    def widen(self, widths: Iterable[int]) -> list[Instruction]:
        """Request a slot of each of these widths, but for those that are requested already."""
        do: list[Instruction] = []
        wanted: Mapping[int, int] = Counter(widths)
        for width, count in wanted.items():
            if (missing := count - self.wide[width]) > 0:
                self.wide[width] += missing
                do.append(RequestSlots(missing, width))
        return do
