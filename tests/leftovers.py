"""What a search may leave behind: nothing. Processes are found by a mark in their environment, so that strays count too."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import uuid
from pathlib import Path

from attrs import frozen

__all__ = ["MARK", "Snapshot", "marked", "nothing_left", "snapshot"]

# In the environment of this process, and so of every process that is started from it and of their children, whatever becomes of
# their parents.
_NAME, _VALUE = "ASYNCTUNE_TESTS", str(uuid.uuid4())
MARK = f"{_NAME}={_VALUE}"
os.environ[_NAME] = _VALUE


def marked(mark: str = MARK) -> set[int]:
    """The processes with this mark, apart from this one. Zombies count."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
            except OSError:
                continue
    return found | _children()


def _children() -> set[int]:
    children = set[int]()
    for task in Path("/proc/self/task").iterdir():
        try:
            children |= {int(pid) for pid in (task / "children").read_text().split()}
        except OSError:
            continue
    return children


@frozen
class Snapshot:
    """What there is."""

    processes: frozenset[int]
    descriptors: frozenset[str]
    threads: frozenset[str]
    files: frozenset[str]


def snapshot() -> Snapshot:
    """What there is now."""
    descriptors = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if not target.endswith("/fd"):
            descriptors.add(f"{entry.name} {target}")
    threads = frozenset(f"{thread.name} {thread.ident}" for thread in threading.enumerate())
    files = frozenset(name for name in os.listdir(tempfile.gettempdir()) if name.startswith("asynctune"))
    return Snapshot(frozenset(marked()), frozenset(descriptors), threads, files)


def nothing_left(before: Snapshot, within: float = 1.0) -> None:
    """Assert that there is nothing now that was not there before; what is on its way out gets `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        now = snapshot()
        left = {
            "processes": now.processes - before.processes,
            "descriptors": now.descriptors - before.descriptors,
            "threads": now.threads - before.threads,
            "files": now.files - before.files,
        }
        if not any(left.values()):
            return
        if time.monotonic() > deadline:
            described = {pid: _describe(pid) for pid in left["processes"]}
            raise AssertionError(f"left behind: {left} {described}")
        threading.Event().wait(0.01)  # for processes that the kernel is still taking apart


def _describe(pid: object) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return "gone"
