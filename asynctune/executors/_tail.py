"""The last lines of a log, for people: redacted, as they are recorded."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path

from asynctune.secret import REACH, redacted

__all__ = ["stacks_in", "tail_of"]

_MOST = 2000  # bytes
_MOST_STACKS = 65536
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?")


def tail_of(path: Path) -> str:
    """The last lines of a log, at most 2,000 bytes of them, as a terminal would leave them: without colours, and of a progress
    bar its last state. Empty if there is none. The file is the trial's: it may be anything by now.
    """
    before, text = _end_of(path, _MOST)
    text = redacted(before + text, start=len(before))
    return _legible(text.partition("\n")[2] or text if before else text)


def stacks_in(path: Path) -> str:
    """Where a process was that has just written its stacks to the end of a log: the thread that was asked, innermost first; at
    most 4,000 characters. Empty if there is no log."""
    text = _legible(redacted("".join(_end_of(path, _MOST_STACKS))))
    return text[max(0, text.rfind("Current thread")) :][: 2 * _MOST]


def _end_of(path: Path, length: int) -> tuple[str, str]:
    """What is before the last `length` bytes of a file, or the end of it, and those bytes; without what is for terminals."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            about = os.fstat(descriptor)
            if stat.S_ISREG(about.st_mode):
                first = max(0, about.st_size - length - REACH)
                read = os.pread(descriptor, length + REACH, first)
                text, before = read.decode("utf-8", "replace"), read[:-length].decode("utf-8", "replace")
                return _ESCAPES.sub("", before), _ESCAPES.sub("", text[len(before) :])
        finally:
            os.close(descriptor)
    return "", ""


def _legible(text: str) -> str:
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join("".join(c if c.isprintable() else "?" for c in line.expandtabs()).rstrip() for line in lines).strip("\n")
