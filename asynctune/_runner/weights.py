"""Sessions stand back too.

Linux can weigh sessions before processes (autogroup, which most distributions switch on): then the nice value of a process
counts only beside others of its own session, and each runner, which leads a session, gets as much of a core as the whole
service. So a session is given the nice value that its processes have. See decision 0013.
"""

from __future__ import annotations

import os
import time
from collections.abc import Container

__all__ = ["SETTLE_AFTER", "Weights", "session_nice"]

#: Seconds until a session is weighed. One that is over by then costs nothing.
SETTLE_AFTER = 0.01

_AGAIN_AFTER = 0.1  # who is not root may weigh ten sessions a second
_LOWEST = 19


def session_nice() -> int:
    """The nice value of this process's session, 0 where the system has no such thing."""
    try:
        with open("/proc/self/autogroup", encoding="ascii") as group:
            return int(group.read().rpartition(" ")[2])
    except (OSError, ValueError):
        return 0


class Weights:
    """What sessions, ours and our children's, have still to be given.

    Args:
        nice: the nice value of all of them.
    """

    def __init__(self, nice: int) -> None:
        self.nice = min(nice, _LOWEST)
        self._supported = nice != 0 and os.path.exists("/proc/self/autogroup")
        self._leaders: list[int] = []
        self._due = 0.0

    def __repr__(self) -> str:
        return f"<Weights {self.nice} for {self._leaders}>"

    def __len__(self) -> int:
        return len(self._leaders)

    def add(self, leader: int) -> None:
        """A process that leads a session, or soon will. To be settled after `SETTLE_AFTER`."""
        if self._supported:
            if not self._leaders:
                self._due = time.monotonic() + SETTLE_AFTER
            self._leaders.append(leader)

    def settle(self, living: Container[int]) -> None:
        """Once it is time, give the sessions their nice value, as far as the system lets us now.

        Args:
            living: the pids of those that were not reaped yet; the others are forgotten.
        """
        if self._leaders and time.monotonic() >= self._due:
            self.settle_now(living)

    def settle_now(self, living: Container[int]) -> None:
        """As `settle`, but at once."""
        now = time.monotonic()
        self._due = now + SETTLE_AFTER
        leaders, self._leaders = self._leaders, []
        for number, leader in enumerate(leaders):
            if leader not in living:
                continue
            try:
                if os.getsid(leader) != leader:  # it was only just forked
                    self._leaders.append(leader)
                    continue
                self._weigh(leader)
            except BlockingIOError:  # that was too many in a short time
                self._leaders += leaders[number:]
                self._due = now + _AGAIN_AFTER
                return
            except OSError:  # it has ended, or we may not: it runs with the weight it has
                continue

    def _weigh(self, leader: int) -> None:
        group = os.open(f"/proc/{leader}/autogroup", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(group, b"%d" % self.nice)
        finally:
            os.close(group)
