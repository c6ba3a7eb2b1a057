"""What a search may leave behind: nothing. `snapshot()` before it, `nothing_left(before)` after it.

Processes are found by a mark in their environment, so that strays count too, whatever has become of their parents.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
import uuid
from collections.abc import Set as AbstractSet
from pathlib import Path

from attrs import frozen

__all__ = ["Snapshot", "gone", "marked", "nothing_left", "snapshot"]

_NAME, _VALUE = "ASYNCTUNE_LEFTOVERS", str(uuid.uuid4())
_LOOK = 0.01  # seconds between two looks at processes that the kernel is taking apart: it tells only their parents


@frozen
class Snapshot:
    """What there is: processes that this one started, its open descriptors and threads, and temporary files of searches."""

    processes: frozenset[int]
    descriptors: frozenset[str]
    threads: frozenset[str]
    files: frozenset[str]


def snapshot() -> Snapshot:
    """What there is now. What this process starts from now on carries its mark (an environment variable)."""
    os.environ[_NAME] = _VALUE
    descriptors = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if not target.endswith("/fd"):
            descriptors.add(f"{entry.name} {target}")
    threads = frozenset(f"{thread.name} {thread.ident}" for thread in threading.enumerate())
    files = frozenset(entry.name for entry in Path(tempfile.gettempdir()).iterdir() if entry.name.startswith("asynctune"))
    return Snapshot(frozenset(marked() | _children()), frozenset(descriptors), threads, files)


def nothing_left(before: Snapshot, within: float = 1.0) -> None:
    """Assert that there is nothing now that was not there before; what is on its way out gets `within` seconds.

    Raises:
        AssertionError: names what was left, and what the processes are.
    """
    deadline = time.monotonic() + within
    while True:
        now = snapshot()
        left: dict[str, AbstractSet[object]] = {
            "processes": now.processes - before.processes,
            "descriptors": now.descriptors - before.descriptors,
            "threads": now.threads - before.threads,
            "files": now.files - before.files,
        }
        if not any(left.values()):
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"left behind: {left} {_described(now.processes - before.processes)}")
        threading.Event().wait(_LOOK)


def marked(mark: str = f"{_NAME}={_VALUE}") -> set[int]:
    """The processes that have `mark` ("NAME=value") in the environment that they were started with, apart from this one."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
            except OSError:
                continue
    return found


def gone(mark: str, within: float) -> None:
    """Assert that no process with this mark is there in `within` seconds.

    Raises:
        AssertionError: names those that are.
    """
    deadline = time.monotonic() + within
    while left := marked(mark):
        if time.monotonic() > deadline:
            raise AssertionError(f"processes with {mark} are still there: {_described(left)}")
        threading.Event().wait(_LOOK)


def _children() -> set[int]:
    """Our own, for a zombie's environment cannot be read."""
    children = set[int]()
    for task in Path("/proc/self/task").iterdir():
        try:
            children |= {int(pid) for pid in (task / "children").read_text().split()}
        except OSError:
            continue
    return children


def _described(processes: AbstractSet[int]) -> dict[int, str]:
    return {pid: _command(pid) for pid in sorted(processes)}


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return "gone"
