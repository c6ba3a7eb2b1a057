"""The log of a launch: whatever its process writes to stdout and stderr, from Python or from C, goes to a file of its own.

A log is cut when it has grown over its cap: its first eighth and its newest eighth stay, and a line says what was left out. The
search's zygote looks once a second, so a trial that floods its log holds more for that long, and never for ever.
"""

from __future__ import annotations

import contextlib
import os
import stat

__all__ = ["cut_log", "open_log", "redirect_output"]

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


def open_log(path: str) -> int:
    """A descriptor that appends to the file at `path`, whose directories are made."""
    try:
        return os.open(path, _APPEND, 0o644)
    except FileNotFoundError:
        parent = os.path.dirname(path)
        try:
            os.mkdir(parent)
        except FileNotFoundError:
            os.makedirs(parent, exist_ok=True)
        except FileExistsError:
            pass
        return os.open(path, _APPEND, 0o644)


def redirect_output(path: str) -> None:
    """Let descriptors 1 and 2 be the file at `path`, whatever they were."""
    descriptor = open_log(path)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def cut_log(pid: int, directory: str, cap: int) -> None:
    """Cut what process `pid` has as stdout, if that is a log under `directory` and longer than `cap` bytes.

    The trial may have made anything of its descriptors and of our directory, so only a regular file that lies there is touched.
    """
    link = f"/proc/{pid}/fd/1"
    with contextlib.suppress(OSError):
        if os.stat(link).st_size <= cap or not os.readlink(link).startswith(f"{directory}/logs/"):
            return
        descriptor = os.open(link, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            about = os.fstat(descriptor)
            if stat.S_ISREG(about.st_mode):
                _cut(descriptor, about.st_size, cap // 8)
        finally:
            os.close(descriptor)


def _cut(descriptor: int, size: int, keep: int) -> None:
    # The trial goes on appending meanwhile; what it writes between our reading and our cutting is left out too.
    newest = os.pread(descriptor, keep, size - keep)
    end = os.pwrite(descriptor, b"\n[asynctune: %d bytes were left out here]\n" % (size - 2 * keep) + newest, keep)
    os.ftruncate(descriptor, keep + end)
