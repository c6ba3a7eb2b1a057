"""Whether the kernel killed a process because memory had run out.

It says so nowhere but in a counter of the control group that the process belongs to (`oom_kill`, in the files of either version
of control groups), which is raised before the signal is sent. All that is told of the process itself is "killed by signal 9".
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

__all__ = ["OutOfMemory"]

# A process that was killed holds its memory for a moment, and longer if it waits for a device.
_FRESH = 10.0  # seconds
_MOUNT = "/sys/fs/cgroup"
_OF_THE_MACHINE = "/proc/vmstat"


class OutOfMemory:
    """The kernel's kills in the control group of this process, which its children inherit.

    Args:
        files: where the counter may be: the first that has one is read.
        clock: seconds.
    """

    def __init__(self, files: Iterator[str] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._file: str | None = None
        self._count = 0
        self._unclaimed = 0
        self._rose = -math.inf
        for file in files if files is not None else _counters():
            count = _read(file)
            if count is not None:
                self._file, self._count = file, count
                return

    def look(self) -> None:
        """Note how many there were until now. Between two looks nobody knows when; so look now and then."""
        count = _read(self._file) if self._file is not None else None
        if count is None:
            return
        if count > self._count:
            now = self._clock()
            kept = self._unclaimed if now - self._rose <= _FRESH else 0
            self._unclaimed, self._rose = kept + count - self._count, now
        self._count = count

    def killed(self) -> bool:
        """Whether a process that just died of SIGKILL was one of them. Each of them is one process's only."""
        self.look()
        if self._unclaimed == 0 or self._clock() - self._rose > _FRESH:
            return False
        self._unclaimed -= 1
        return True


def _counters() -> Iterator[str]:
    """Where the counter of our control group may be, the nearest first; at last that of the machine."""
    with contextlib.suppress(OSError), open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            number, controllers, path = line.rstrip("\n").split(":", 2)
            if "memory" in controllers.split(","):
                # In a container the group can be mounted without the path that leads to it.
                yield f"{_MOUNT}/memory{path.rstrip('/')}/memory.oom_control"
                yield f"{_MOUNT}/memory/memory.oom_control"
            elif number == "0":
                # A group without a counter of its own is counted in the next above that has one.
                while path:
                    yield f"{_MOUNT}{path.rstrip('/')}/memory.events"
                    path = path.rpartition("/")[0]
                yield f"{_MOUNT}/memory.events"
    yield _OF_THE_MACHINE


def _read(file: str) -> int | None:
    with contextlib.suppress(OSError, ValueError), open(file, encoding="ascii") as counters:
        for line in counters:
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return None
