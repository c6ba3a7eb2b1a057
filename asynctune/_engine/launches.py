"""The slots of a search: those that it holds, and those that its launches run on. A launch that is parked has none."""

from __future__ import annotations

import math
from collections.abc import Iterator

from asynctune._engine.pool import Pool, SlotId
from asynctune.messages import MetricsReported, ParametersDeclared
from asynctune.records import LaunchNumber, TrialId

__all__ = ["Launch", "Launches"]


class Launch:
    """A launch that has not ended: its slot, if it has one, and the runner's clock at its last report."""

    __slots__ = ("clock", "slot")

    def __init__(self, slot: SlotId) -> None:
        self.slot: SlotId | None = slot
        self.clock = -math.inf


class Launches:
    """The launches of a search that have not ended, and its slots.

    Args:
        pool: where slots come from, and go back to.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._held: dict[int, list[SlotId]] = {}  # by their width
        self._launches: dict[tuple[TrialId, LaunchNumber], Launch] = {}

    def __repr__(self) -> str:
        return f"<Launches {len(self._launches)}, and {sum(map(len, self._held.values()))} free slots>"

    def __iter__(self) -> Iterator[tuple[TrialId, LaunchNumber]]:
        return iter(list(self._launches))

    def granted(self, slot: SlotId, width: int) -> None:
        """A slot of this width is ours."""
        self._held.setdefault(width, []).append(slot)

    def give_back(self, width: int) -> None:
        """Release one of this width that nothing runs on."""
        self._pool.release(self._held[width].pop())

    def begin(self, trial: TrialId, launch: LaunchNumber, width: int) -> None:
        """A launch takes one of the slots that are held, of this width."""
        self._launches[trial, launch] = Launch(self._held[width].pop())

    def park(self, trial: TrialId, launch: LaunchNumber) -> bool:
        """A launch waits, and its slot is released; whether it has not ended meanwhile."""
        parked = self._launches.get((trial, launch))
        if parked is None:
            return False
        slot, parked.slot = parked.slot, None
        self._release(slot)
        return True

    def go_on(self, trial: TrialId, launch: LaunchNumber, width: int) -> None:
        """A launch that was parked takes one of the slots that are held, of this width. If it has ended meanwhile, that is
        released."""
        slot, parked = self._held[width].pop(), self._launches.get((trial, launch))
        if parked is None:
            self._pool.release(slot)
        else:
            parked.slot = slot

    def is_news(self, message: ParametersDeclared | MetricsReported) -> bool:
        """Whether this is said by a launch that has not ended, and for the first time. A report is known by its clock: one that
        comes again, or late, is no other report."""
        launch = self._launches.get((message.trial, message.launch))
        if launch is None:
            return False
        if isinstance(message, MetricsReported):
            if message.clock <= launch.clock:
                return False
            launch.clock = message.clock
        return True

    def end(self, trial: TrialId, launch: LaunchNumber) -> Launch | None:
        """Take out a launch that is over; None if there is none. It is to be `let_go`."""
        return self._launches.pop((trial, launch), None)

    def let_go(self, launch: Launch) -> None:
        """Release the slot of a launch that was taken out."""
        self._release(launch.slot)

    def release_all(self) -> None:
        """Give back every slot; once nothing runs on them any more."""
        held = [slot for slots in self._held.values() for slot in slots]
        for slot in [*held, *(launch.slot for launch in self._launches.values())]:
            self._release(slot)
        self._held.clear()
        self._launches.clear()

    def _release(self, slot: SlotId | None) -> None:
        if slot is not None:
            self._pool.release(slot)
