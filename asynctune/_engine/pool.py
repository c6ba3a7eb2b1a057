"""The pool: a bounded set of slots, handed out first come, first served, to every search that shares an executor.

A slot is as wide as one trial with the resources that its search gives to each. A trial that was given more takes a wider one,
which is several in one: it is granted as a whole, so that no two searches can each wait for what the other has.

It lives on the event loop, is touched by nothing else, and knows nothing of trials or processes.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from asynctune.errors import ConfigurationError

__all__ = ["Claimant", "Pool", "SlotId"]

SlotId = int


class Claimant(Protocol):
    """Who asks for slots. `granted` is called once for each slot that was requested and not withdrawn."""

    def granted(self, slot: SlotId, width: int) -> None:
        """A slot of this width is yours until you release it. Must not block."""


class Pool:
    """`size` slots.

    Args:
        size: how many trials may run at once; at least 1.
        most: how large it can be, also later; None for any size.
        argument: what `size` was given as, for errors.
    """

    def __init__(self, size: int, *, most: int | None = None, argument: str = "max_workers") -> None:
        self._most = most
        self._size = self.sound(size, argument)
        self._busy: dict[SlotId, int] = {}  # and how wide each is
        self._taken = 0
        self._free: list[SlotId] = []
        self._next = 0
        self._waiting: deque[tuple[Claimant, int]] = deque()

    def __repr__(self) -> str:
        return f"<Pool {self._taken} of {self._size} slots busy, {len(self._waiting)} requests waiting>"

    @property
    def size(self) -> int:
        """How many slots there are."""
        return self._size

    @property
    def busy(self) -> int:
        """How many are taken; a wide one counts for as many as it is wide."""
        return self._taken

    @property
    def has_room(self) -> bool:
        """Whether a slot can be granted now."""
        return self._taken < self._size

    def request(self, claimant: Claimant, count: int = 1, *, width: int = 1) -> None:
        """Ask for `count` more slots of this width, behind those who asked before: nobody overtakes a wide one. One that is
        wider than the pool is granted when nothing else is taken."""
        self._waiting.extend([(claimant, width)] * count)
        self._grant()

    def withdraw(self, claimant: Claimant) -> None:
        """Take back every request of this claimant that was not granted."""
        self._waiting = deque(waiting for waiting in self._waiting if waiting[0] is not claimant)

    def release(self, slot: SlotId) -> None:
        """Give a slot back; whoever waits longest gets it."""
        self._taken -= self._busy.pop(slot)
        self._free.append(slot)
        self._grant()

    def resize(self, size: int) -> None:
        """More slots at once, or fewer as they are released."""
        self._size = self.sound(size)
        self._grant()

    def sound(self, size: int, argument: str = "max_workers") -> int:
        """The size, if the pool can have it.

        Raises:
            ConfigurationError: it cannot; names the argument.
        """
        least = not isinstance(size, bool) and isinstance(size, int) and size >= 1
        if not least or (self._most is not None and size > self._most):
            wanted = "an integer of at least 1" + (f" and at most {self._most:,}" if self._most is not None else "")
            raise ConfigurationError(f"{argument} takes {wanted}, not {size!r}")
        return size

    def _grant(self) -> None:
        # A claimant's `granted` may request or release; each of those calls comes back here, so we take the decision
        # (queue, slot, busy) whole before we tell anybody.
        while self._waiting and self.has_room and self._fits(self._waiting[0][1]):
            claimant, width = self._waiting.popleft()
            if self._free:
                slot = self._free.pop()
            else:
                slot, self._next = self._next, self._next + 1
            self._busy[slot] = width
            self._taken += width
            claimant.granted(slot, width)

    def _fits(self, width: int) -> bool:
        return self._taken + width <= self._size or not self._taken
