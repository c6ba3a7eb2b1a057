"""A process and all that it has started: who that is, what they hold together, and how they are ended together.

A runner is a subreaper, so whoever lost its parent below it is still found below it. Everything is read from /proc, which
changes while it is read: who is gone by then is passed over.

It imports the standard library only, for the guard uses it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from typing import NamedTuple

__all__ = ["Member", "descendants", "end_all", "is_stopped", "listens_for", "member", "memory_of"]

_ROUNDS = 200  # of freezing; each takes longer than the forks that it misses
_KILO = 1024


class Member(NamedTuple):
    """A process, as /proc has it.

    Args:
        name: of its program, at most 15 bytes of it.
        state: one letter; "Z" for one that has ended, "T" for one that is stopped.
        session: the pid of its leader.
    """

    pid: int
    name: str
    state: str
    session: int


def member(pid: int) -> Member | None:
    """The process with this pid; None if there is none."""
    # "pid (name) state parent group session ..."; the name may hold anything.
    before, _, after = _read(f"/proc/{pid}/stat").rpartition(b") ")
    if not before:
        return None
    state, _, _, session = after.split(maxsplit=4)[:4]
    name = before.partition(b"(")[2].decode("utf-8", "backslashreplace")
    return Member(pid, name if name.isprintable() else ascii(name), state.decode(), int(session))


def is_stopped(pid: int) -> bool:
    """Whether it was stopped by a signal, or by somebody who traces it."""
    found = member(pid)
    return found is not None and found.state in "Tt"


def listens_for(pid: int, signum: int) -> bool:
    """Whether it has a handler for this signal, which would end it otherwise."""
    return bool(int(_status(pid).get(b"SigCgt", b"0"), 16) >> signum - 1 & 1)


def descendants(roots: Iterable[int]) -> list[int]:
    """The pids of all that is below these, zombies too; parents come before their children."""
    found: list[int] = []
    parents = list(roots)
    while parents:
        children = [child for parent in parents for child in _children(parent)]
        found += children
        parents = children
    return found


def end_all(roots: Callable[[], Iterable[int]]) -> list[Member]:
    """Kill these, and all that is below them; who they were, those included that had ended and wait to be reaped.

    All are stopped before any is killed. What multiplies faster than it is killed would never be caught up with; what is
    stopped does not multiply.

    Args:
        roots: says who they are; asked again until nobody new is found.
    """
    family: dict[int, Member] = {}
    for _ in range(_ROUNDS):
        if not _stop_all(roots(), family):
            break
    for pid in family:
        _send(pid, signal.SIGKILL)
    return list(family.values())


def _stop_all(roots: Iterable[int], family: dict[int, Member]) -> bool:
    """Stop whoever is not in the family yet, and take them in; whether there was anybody."""
    found = False
    # The last ones are the newest. The others may have ended long ago, and nobody may have reaped them; then there are many.
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        known = family.get(pid)
        if known is None:
            _send(pid, signal.SIGSTOP)
            known = member(pid)
            if known is None:
                continue
            family[pid] = known
            found = True
        if known.state != "Z":
            waiting += _children(pid)
    return found


def memory_of(pids: Iterable[int], limit: int) -> int:
    """The bytes that these processes hold together and nobody else does; only roughly where that is not above `limit`.

    What counts is theirs alone: no file, no shared memory, and nothing that a fork has inherited, which is in the resident set
    of each though it is there once, and is no doing of theirs. What cannot be told is left out.
    """
    pids = list(pids)
    # More than they can hold; and cheap, where the figures below have the kernel walk through all of their pages.
    most = sum(_kilobytes(_status(pid), b"RssAnon", b"VmSwap") for pid in pids)
    if most * _KILO <= limit:
        return most * _KILO
    private = shares = 0
    for pid in pids:
        smaps = _fields(_read(f"/proc/{pid}/smaps_rollup"))
        dirty = _kilobytes(smaps, b"Private_Dirty") - _kilobytes(smaps, b"Pss_Shmem")
        swapped = _kilobytes(smaps, b"SwapPss")
        private += max(0, min(dirty, _kilobytes(smaps, b"Anonymous"))) + swapped
        shares += _kilobytes(smaps, b"Pss_Anon") + swapped
    # What they have in common with each other is private to none. It is in their shares; and so is their part of what they have
    # from us, who hold it, too.
    inherited = _kilobytes(_status(os.getpid()), b"RssAnon", b"VmSwap") * len(pids) // (len(pids) + 1)
    return max(private, shares - inherited) * _KILO


def _kilobytes(found: dict[bytes, bytes], *names: bytes) -> int:
    return sum(int(found[name].split()[0]) for name in names if name in found)


def _status(pid: int) -> dict[bytes, bytes]:
    return _fields(_read(f"/proc/{pid}/status"))


def _fields(text: bytes) -> dict[bytes, bytes]:
    return {name: value for name, _, value in (line.partition(b":") for line in text.splitlines())}


def _children(pid: int) -> list[int]:
    # Those of each of its threads, for each has its own.
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _send(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)
