"""The last lines of a log, for people."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path

from asynctune.records import LaunchNumber, TrialId, log_name

__all__ = ["end_of_log", "stacks_in", "tail_of"]

_MOST = 2000  # bytes
_MOST_STACKS = 65536
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?")


def end_of_log(directory: Path, trial: TrialId, launch: LaunchNumber) -> str:
    """The last lines of the log of a launch of the search in `directory`; empty if there is none."""
    return tail_of(directory / log_name(trial, launch))


def tail_of(path: Path) -> str:
    """The last lines of a log, at most 2,000 bytes of them, as a terminal would leave them: without colours, and of a progress
    bar its last state. Empty if there is none. The file is the trial's: it may be anything by now.
    """
    text, is_whole = _end_of(path, _MOST)
    return _legible(text if is_whole else text.partition("\n")[2] or text)


def stacks_in(path: Path) -> str:
    """Where a process was that has just written its stacks to the end of a log: the thread that was asked, innermost first; at
    most 4,000 characters. Empty if there is no log."""
    text = _legible(_end_of(path, _MOST_STACKS)[0])
    return text[max(0, text.rfind("Current thread")) :][: 2 * _MOST]


def _end_of(path: Path, length: int) -> tuple[str, bool]:
    """The last bytes of a file, as text, and whether they are all of it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            about = os.fstat(descriptor)
            if stat.S_ISREG(about.st_mode):
                start = max(0, about.st_size - length)
                return os.pread(descriptor, length, start).decode("utf-8", "replace"), start == 0
        finally:
            os.close(descriptor)
    return "", True


def _legible(text: str) -> str:
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in _ESCAPES.sub("", text).split("\n"))
    return "\n".join("".join(c if c.isprintable() else "?" for c in line.expandtabs()).rstrip() for line in lines).strip("\n")
