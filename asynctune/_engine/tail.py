"""The last lines of a log, for people: redacted, as they are recorded."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path

from asynctune.records import LaunchNumber, TrialId, log_name
from asynctune.secret import REACH, redacted

__all__ = ["end_of_log", "stacks_in", "tail_of"]

_MOST = 2000  # bytes
_MOST_STACKS = 65536
_INSIDE = bytes(range(0x80, 0xC0))  # of a character in UTF-8
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?")


def end_of_log(directory: Path, trial: TrialId, launch: LaunchNumber) -> str:
    """The last lines of the log of a launch of the search in `directory`; empty if there is none."""
    return tail_of(directory / log_name(trial, launch))


def tail_of(path: Path) -> str:
    """The last lines of a log, out of its last 2,000 bytes, redacted, as a terminal would leave them: without colours, and of a
    progress bar its last state. Empty if there is none. The file is the trial's: it may be anything by now.
    """
    text, start = _end_of(path, _MOST)
    text = redacted(text, start)
    return _legible(text.partition("\n")[2] or text if start else text)


def stacks_in(path: Path) -> str:
    """Where a process was that has just written its stacks to the end of a log: the thread that was asked, innermost first; at
    most 4,000 characters. Empty if there is no log."""
    text = _legible(redacted(*_end_of(path, _MOST_STACKS)))
    return text[max(0, text.rfind("Current thread")) :][: 2 * _MOST]


def _end_of(path: Path, length: int) -> tuple[str, int]:
    """The end of a file, as text, without what is for terminals; and where its last `length` bytes begin in there."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            about = os.fstat(descriptor)
            if stat.S_ISREG(about.st_mode):
                first = max(0, about.st_size - length - REACH)
                read = os.pread(descriptor, length + REACH, first)
                text, last = _plain(read), _plain(read[-length:].lstrip(_INSIDE))
                return text, len(text) - len(last) if len(read) > length else 0
        finally:
            os.close(descriptor)
    return "", 0


def _plain(read: bytes) -> str:
    return _ESCAPES.sub("", read.decode("utf-8", "replace"))


def _legible(text: str) -> str:
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join("".join(c if c.isprintable() else "?" for c in line.expandtabs()).rstrip() for line in lines).strip("\n")
