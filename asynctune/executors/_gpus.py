"""Which GPUs a runner may see. Counting what was given to whom; nothing here talks to a driver."""

from __future__ import annotations

import math
import re
from pathlib import Path

from attrs import frozen

from asynctune.policies import times

__all__ = ["Gpus", "Grant"]


@frozen
class Grant:
    """GPUs that were given away.

    Args:
        gpus: which, in order.
        share: how much of each; above 0 and at most 1, and 0 of none.
    """

    gpus: tuple[int, ...] = ()
    share: float = 0.0


class Gpus:
    """The GPUs of this machine and how much of each is given away.

    Shares are put together: on the fullest GPU that has room, so that whole ones stay free for those who need them. What was
    given stays where it is. So halves that are free on two GPUs, as others have ended there, are no whole one; and an amount
    between whole numbers takes as much of each of its GPUs, which can leave room that nobody fits. Who fits nowhere is given
    the GPUs of which the least is given away, and shares them.

    Args:
        count: how many there are; counted, if None.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = _count() if count is None else count
        # Each by itself: a sum from which shares are taken again would drift.
        self._given: list[list[float]] = [[] for _ in range(self.count)]

    def take(self, amount: float) -> Grant:
        """As many GPUs as this is, rounded up, and as much of each; no more than there are, and none of them for 0."""
        if not amount or not self.count:
            return Grant()
        wanted = max(1, math.ceil(times(amount, 1)))
        share = min(amount / wanted, 1.0)
        gpus = tuple(sorted(sorted(range(self.count), key=lambda gpu: self._rank(gpu, share))[:wanted]))
        for gpu in gpus:
            self._given[gpu].append(share)
        return Grant(gpus, share)

    def _rank(self, gpu: int, share: float) -> tuple[bool, float, int]:
        load = math.fsum(self._given[gpu])
        is_full = times(load + share, 1) > 1
        return is_full, load if is_full else -load, gpu

    def give_back(self, grant: Grant) -> None:
        """What `take` gave."""
        for gpu in grant.gpus:
            self._given[gpu].remove(grant.share)

    def shown(self, grant: Grant) -> str | None:
        """How to say it to CUDA; None on a machine without GPUs, where there is nothing to say."""
        if not self.count:
            return None
        return ",".join(map(str, grant.gpus)) or "-1"


def _count() -> int:
    return sum(re.fullmatch(r"nvidia\d+", entry.name) is not None for entry in Path("/dev").glob("nvidia*"))
