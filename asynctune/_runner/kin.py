"""Children: known ones by name, reaped when they end; strays that fell to us, killed.

A pid can be anybody's once it is reaped. So whoever wants a runner killed asks the process that holds it in here.
"""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

from asynctune._runner.families import Member, end_all, listens_for, member
from asynctune._runner.linux import children, hear_of_children, kill_family

__all__ = ["Ended", "Kin"]

_HOW = os.WEXITED | os.WNOHANG
_SIGKILL = int(signal.SIGKILL)


class Ended(NamedTuple):
    """A known child that was reaped. Exactly one of `exit_code` and `signal` is given.

    `ours` is whether `signal` may be the SIGKILL that was sent from here.
    """

    name: int
    exit_code: int | None
    signal: int | None
    ours: bool = False


class Kin:
    """The children of this process, which must be a subreaper and have one thread. One object a process."""

    def __init__(self) -> None:
        self._names: dict[int, int] = {}
        self._pids: dict[int, int] = {}
        #: The names of those that were sent SIGKILL.
        self._killed: set[int] = set()
        self._signals = hear_of_children()

    def __repr__(self) -> str:
        return f"<Kin {self._names}>"

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, pid: object) -> bool:
        return pid in self._names

    def fileno(self) -> int:
        """Readable when there is something to reap."""
        return self._signals

    @property
    def pids(self) -> list[int]:
        """The known children's."""
        return list(self._names)

    def add(self, pid: int, name: int) -> None:
        """A child was forked."""
        self._names[pid] = name
        self._pids[name] = pid

    def holds(self, name: int) -> bool:
        """Whether there is a known child of this name that was not reaped."""
        return name in self._pids

    def pid_of(self, name: int) -> int | None:
        """The known child of this name that was not reaped, if there is one."""
        return self._pids.get(name)

    def end(self, name: int) -> list[Member]:
        """Kill a known child with all that it has started; what that was."""
        pid = self._pids.get(name)
        if pid is None:
            return []
        self._killed.add(name)
        return [killed for killed in end_all(lambda: [pid]) if killed.pid != pid]

    def dump(self, name: int) -> None:
        """Have a known child write its stacks to its log, and wake it if it was stopped."""
        pid = self._pids.get(name)
        if pid is not None:
            if listens_for(pid, signal.SIGUSR2):
                os.kill(pid, signal.SIGUSR2)  # to it alone: those that it has started would die of it
            os.kill(pid, signal.SIGCONT)

    def kill(self, name: int, signum: int) -> None:
        """Send a signal to a known child and its process group; nothing happens when it was reaped."""
        pid = self._pids.get(name)
        if pid is not None:
            if signum == _SIGKILL:
                self._killed.add(name)
            kill_family(pid, signum)

    def reap(self) -> list[Ended]:
        """The known children that have ended since. Strays are reaped in passing."""
        try:  # noqa: SIM105 -- on the path of every trial, and `suppress` is not free
            os.read(self._signals, 4096)
        except BlockingIOError:  # it is all read, and there may be something to reap all the same
            pass
        ended: list[Ended] = []
        while True:
            try:
                info = os.waitid(os.P_ALL, 0, _HOW)
            except ChildProcessError:
                return ended
            if info is None:
                return ended
            name = self._names.pop(info.si_pid, None)
            if name is not None:
                del self._pids[name]
                exited = info.si_code == os.CLD_EXITED
                ours = name in self._killed
                ended.append(Ended(name, info.si_status if exited else None, None if exited else info.si_status, ours))
                if ours:
                    self._killed.remove(name)

    def kill_strays(self) -> list[Member]:
        """Kill every child that is not known, and all that is below it; who that was. They will be reaped: ask again then.

        A known child is a subreaper, and keeps what its own descendants leave behind. So what falls to us is of one that is
        dead, unless a trial has taken that from its process; then the session tells.
        """
        return end_all(self._strays) if self._strays() else []

    def _strays(self) -> list[int]:
        unknown = [pid for pid in children() if pid not in self._names]
        return [pid for pid in unknown if (found := member(pid)) is not None and found.session not in self._names]
