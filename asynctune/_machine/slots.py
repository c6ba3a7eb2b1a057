"""How many slots a search has asked for, was granted, and has not used yet."""

from __future__ import annotations

from asynctune._machine.instructions import Instruction, ReleaseSlot, RequestSlots

__all__ = ["Slots"]


class Slots:
    """`size` is what the pool has in all and `largest` the most that it had, `requested` what was asked of it and not granted,
    `held` what was granted and is unused.

    As many are requested in advance as there are in the pool, if there is work for them: so the end of one launch and the start
    of the next are heard together, and share a commit.
    """

    def __init__(self, size: int = 0) -> None:
        self.size = self.largest = size
        self.requested = 0
        self.held = 0

    def resize(self, size: int) -> None:
        """The pool has another size. What was requested of it before stays so."""
        self.size = size
        self.largest = max(self.largest, size)

    def granted(self) -> None:
        """A slot is ours."""
        self.requested -= 1
        self.held += 1

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

    def balance(self, *, keep: int, wanted: float) -> list[Instruction]:
        """Release what is held beyond `keep`, and request what is missing to `wanted`."""
        surplus = max(0, self.held - keep)
        do: list[Instruction] = [ReleaseSlot()] * surplus
        self.held -= surplus
        missing = int(min(self.size, wanted)) - self.requested - self.held
        if missing > 0:
            self.requested += missing
            do.append(RequestSlots(missing))
        return do
