"""Which GPUs a runner may see. Counting what was given to whom; nothing here talks to a driver."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["Gpus"]


class Gpus:
    """The GPUs of this machine and how much of each is given away.

    Args:
        count: how many there are; counted, if None.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = _count() if count is None else count
        self._load = [0] * self.count

    def take(self, amount: float) -> tuple[int, ...]:
        """As many GPUs as this is, rounded up: those that the fewest runners have. None of them for 0."""
        wanted = min(self.count, -int(-amount // 1))
        taken = tuple(sorted(sorted(range(self.count), key=lambda gpu: (self._load[gpu], gpu))[:wanted]))
        for gpu in taken:
            self._load[gpu] += 1
        return taken

    def give_back(self, gpus: tuple[int, ...]) -> None:
        """What `take` gave."""
        for gpu in gpus:
            self._load[gpu] -= 1

    def shown(self, gpus: tuple[int, ...]) -> str | None:
        """How to say it to CUDA; None on a machine without GPUs, where there is nothing to say."""
        if not self.count:
            return None
        return ",".join(map(str, gpus)) or "-1"


def _count() -> int:
    return sum(re.fullmatch(r"nvidia\d+", entry.name) is not None for entry in Path("/dev").glob("nvidia*"))
