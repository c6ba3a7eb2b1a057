"""Children: known ones by name, reaped when they end; strays that fell to us, killed.

A pid can be anybody's once it is reaped. So a child's process group is killed while the child is still unreaped, and whoever
wants a runner killed asks the process that holds it in here.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed knows it by its public name only
import contextlib
import os
import signal

from attrs import frozen

from asynctune._runner.linux import children, kill_family

__all__ = ["Ended", "Kin", "forget_signals"]


_SIGCHLD, _SIG_DFL = int(signal.SIGCHLD), int(signal.SIG_DFL)


@frozen
class Ended:
    """A known child that was reaped. Exactly one of `exit_code` and `signal` is given."""

    name: int
    exit_code: int | None
    signal: int | None


class Kin:
    """The children of this process, which must be a subreaper and have one thread. One object a process."""

    def __init__(self) -> None:
        self._names: dict[int, int] = {}
        self._pids: dict[int, int] = {}
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def __repr__(self) -> str:
        return f"<Kin {self._names}>"

    def __len__(self) -> int:
        return len(self._names)

    def fileno(self) -> int:
        """Readable when there is something to reap."""
        return self._reader

    @property
    def descriptors(self) -> tuple[int, int]:
        """Both ends of the pipe behind it, to be closed in a child."""
        return self._reader, self._writer

    @property
    def pids(self) -> list[int]:
        """The known children's."""
        return list(self._names)

    def add(self, pid: int, name: int) -> None:
        """A child was forked."""
        self._names[pid] = name
        self._pids[name] = pid

    def kill(self, name: int, signum: int) -> None:
        """Send a signal to a known child and its process group; nothing happens when it was reaped."""
        pid = self._pids.get(name)
        if pid is not None:
            kill_family(pid, signum)

    def reap(self) -> list[Ended]:
        """The known children that have ended since; what was left of their groups is killed. Strays are reaped in passing."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reader, 4096):
                pass
        ended = []
        with contextlib.suppress(ChildProcessError):
            while (info := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(info.si_pid, signal.SIGKILL)
                os.waitpid(info.si_pid, 0)
                name = self._names.pop(info.si_pid, None)
                if name is not None:
                    del self._pids[name]
                    exited = info.si_code == os.CLD_EXITED
                    ended.append(Ended(name, info.si_status if exited else None, None if exited else info.si_status))
        return ended

    def kill_strays(self) -> bool:
        """Kill every child that is not known; whether there was one. It will be reaped: ask again then.

        A known child is a subreaper, and keeps what its own descendants leave behind. So what falls to us is of one that is
        dead, unless a trial has taken that from its process; then the session tells.
        """
        found = False
        for pid in children():
            if pid not in self._names:
                with contextlib.suppress(ProcessLookupError):
                    if os.getsid(pid) not in self._names:
                        kill_family(pid, signal.SIGKILL)
                        found = True
        return found


def forget_signals() -> None:
    """In a child of a process that has a `Kin`: signals are nobody's business but its own again."""
    signal.set_wakeup_fd(-1)
    # Not `signal.signal`, which makes members of enums: in a fresh fork that costs as much as a fork of an empty process.
    _signal.signal(_SIGCHLD, _SIG_DFL)


def _nothing(*_: object) -> None:
    """The signal only has to wake us."""
