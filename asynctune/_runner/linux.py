"""The few calls of the Linux kernel that Python has no name for. Knows nothing of trials."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed knows it by its public name only
import ctypes
import os
import signal

__all__ = [
    "adopt_orphans",
    "children",
    "die_with_parent",
    "flush_c_stdio",
    "hear_of_children",
    "hear_of_nothing",
    "kill_family",
    "outlive_parent",
]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_SIGKILL = int(signal.SIGKILL)
_SIGSET_BYTES = 128
_SIG_SETMASK = int(signal.SIG_SETMASK)

# Called with small non-negative integers and None only, which need no types declared; and declared types would cost each fork.
_libc = ctypes.CDLL(None)
_prctl = _libc.prctl
_fflush = _libc.fflush


def adopt_orphans() -> None:
    """From now on, descendants whose parent ends become children of this process."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Be killed when the thread that forked this process ends. Leaves at once if `parent` has ended already."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def outlive_parent() -> None:
    """Take `die_with_parent` back."""
    _prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)


def hear_of_children() -> int:
    """A descriptor that is readable when a child has ended. From now on SIGCHLD is blocked, and nothing else is heard of it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    signals = ctypes.create_string_buffer((1 << signal.SIGCHLD - 1).to_bytes(_SIGSET_BYTES, "little"), _SIGSET_BYTES)
    descriptor: int = _libc.signalfd(-1, signals, os.O_NONBLOCK | os.O_CLOEXEC)
    return descriptor


def hear_of_nothing() -> None:
    """In a child of a process that hears of its children: no signal is blocked."""
    # Not `signal.pthread_sigmask`, which makes members of enums: in a fresh fork that costs a tenth of the fork.
    _signal.pthread_sigmask(_SIG_SETMASK, ())


def flush_c_stdio() -> None:
    """Write out what C code has buffered: it would be written again by each child of a fork, and lost by `os._exit`."""
    _fflush(None)


def children() -> list[int]:
    """The children of this process, zombies too. Reading races with their comings and goings: ask again when one has ended."""
    pid = os.getpid()
    descriptor = os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 65536):
            parts.append(part)
    finally:
        os.close(descriptor)
    return [int(child) for child in b"".join(parts).split()]


def kill_family(pid: int, signum: int) -> None:
    """Send a signal to a child that was not reaped yet, and to the process group that it leads."""
    for send in (os.killpg, os.kill):
        try:
            send(pid, signum)
        except (ProcessLookupError, PermissionError):  # it leads no group yet, or became another user's
            continue
