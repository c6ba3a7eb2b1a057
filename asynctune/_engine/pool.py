"""The pool: a bounded set of slots, handed out first come, first served, to every search that shares an executor.

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

    def granted(self, slot: SlotId) -> None:
        """A slot is yours until you release it. Must not block."""


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
        self._busy: dict[SlotId, Claimant] = {}
        self._free: list[SlotId] = []
        self._next = 0
        self._waiting: deque[Claimant] = deque()

    def __repr__(self) -> str:
        return f"<Pool {len(self._busy)} of {self._size} slots busy, {len(self._waiting)} requests waiting>"

    @property
    def size(self) -> int:
        """How many slots there are."""
        return self._size

    @property
    def busy(self) -> int:
        """How many are taken."""
        return len(self._busy)

    @property
    def has_room(self) -> bool:
        """Whether a slot can be granted now."""
        return len(self._busy) < self._size

    def request(self, claimant: Claimant, count: int = 1) -> None:
        """Ask for `count` more slots, behind those who asked before."""
        self._waiting.extend([claimant] * count)
        self._grant()

    def withdraw(self, claimant: Claimant) -> None:
        """Take back every request of this claimant that was not granted."""
        self._waiting = deque(waiting for waiting in self._waiting if waiting is not claimant)

    def release(self, slot: SlotId) -> None:
        """Give a slot back; whoever waits longest gets it."""
        del self._busy[slot]
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
        while self._waiting and self.has_room:
            claimant = self._waiting.popleft()
            if self._free:
                slot = self._free.pop()
            else:
                slot, self._next = self._next, self._next + 1
            self._busy[slot] = claimant
            claimant.granted(slot)
