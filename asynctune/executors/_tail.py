"""The last lines of a log, for people."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path

__all__ = ["tail_of"]

_MOST = 2000  # bytes
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?")


def tail_of(path: Path) -> str:
    """The last lines of a log, at most 2,000 bytes of them, as a terminal would leave them: without colours, and of a progress
    bar its last state. Empty if there is none. The file is the trial's: it may be anything by now.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            about = os.fstat(descriptor)
            if stat.S_ISREG(about.st_mode):
                start = max(0, about.st_size - _MOST)
                text = os.pread(descriptor, _MOST, start).decode("utf-8", "replace")
                return _legible(text.partition("\n")[2] or text if start else text)
        finally:
            os.close(descriptor)
    return ""


def _legible(text: str) -> str:
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in _ESCAPES.sub("", text).split("\n"))
    return "\n".join("".join(c if c.isprintable() else "?" for c in line.expandtabs()).rstrip() for line in lines).strip("\n")
