"""Slots for those who ask: a pool that grants one only where somebody waits for a launch."""

from __future__ import annotations

from asynctune._engine.pool import Pool, SlotId

__all__ = ["Turns"]


class Turns(Pool):
    """A pool of which at most so many slots are granted and unused as there are asks that wait.

    A search asks for slots ahead of its needs, and gives one back when it has nothing to run on it. Granted again at once, that
    slot would go to and fro for ever. So nothing is granted from then on until something has happened in the search (`again`),
    and then one at a time, until nobody waits any more: a thousand who wait cost no more than one does.

    Attributes:
        waiting: how many asks wait.
        launches: how many launches have not ended.
    """

    def __init__(self, size: int, *, argument: str) -> None:
        super().__init__(size, argument=argument)
        self.waiting = 0
        self.launches = 0
        self._ending = False
        self._declined = False
        self._one_at_a_time = False

    @property
    def has_room(self) -> bool:
        """Whether a slot can be granted now."""
        unused = self.busy - self.launches
        most = min(self.waiting, 1) if self._one_at_a_time else self.waiting
        return super().has_room and not self._declined and unused < most

    def asked(self) -> None:
        """One more waits."""
        self.waiting += 1
        self._grant()

    def left(self) -> None:
        """One waits no more: it has a launch, or has gone."""
        self.waiting -= 1
        if not self.waiting:
            self._one_at_a_time = False

    def started(self) -> None:
        """A launch was started on a slot that was granted."""
        self.launches += 1
        self._grant()

    def ended(self) -> None:
        """A launch has ended; its slot is released next."""
        self.launches -= 1
        self._ending = True

    def release(self, slot: SlotId) -> None:
        """Give a slot back, used or not."""
        self._declined = self._declined or not self._ending
        self._one_at_a_time = self._one_at_a_time or not self._ending
        self._ending = False
        super().release(slot)

    def again(self) -> None:
        """Something has happened, and a slot may be of use."""
        self._declined = False
        self._grant()
