"""The log of a launch: whatever its process writes to stdout and stderr, from Python or from C, goes to a file of its own.

A log is cut when it has grown over its cap: its first eighth and its newest eighth stay, and a line says what was left out. The
search's zygote looks once a second, so a trial that floods its log holds more for that long, and never for ever.

Trials can write to the directory. So a log is nobody else's file, and what another trial may have put in its place is not it.
"""

from __future__ import annotations

import contextlib
import os
import stat

__all__ = ["cut_log", "note_in_log", "open_log", "redirect_output"]

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = _APPEND | os.O_CREAT | os.O_EXCL


def open_log(path: str) -> int:
    """A descriptor that appends to the log at `path`, whose directories are made."""
    try:
        return os.open(path, _CREATE, 0o600)
    except FileExistsError:
        pass  # of a search that was opened before; or it was planted
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return open_log(path)
    if (descriptor := _open_own(path)) is not None:
        return descriptor
    os.unlink(path)
    return os.open(path, _CREATE, 0o600)


def _open_own(path: str) -> int | None:
    """A descriptor that appends to a file of ours, which must be there; None if what is there is anything else."""
    try:
        descriptor = os.open(path, _APPEND | os.O_NONBLOCK)  # a pipe would have us wait for its reader
    except OSError:
        return None
    about = os.fstat(descriptor)
    if stat.S_ISREG(about.st_mode) and about.st_nlink == 1 and about.st_uid == os.geteuid():
        os.set_blocking(descriptor, True)
        return descriptor
    os.close(descriptor)
    return None


def note_in_log(path: str, text: str) -> None:
    """Append a line of our own to the log at `path`, if it is there."""
    if (descriptor := _open_own(path)) is not None:
        with contextlib.suppress(OSError):
            os.write(descriptor, f"\n[asynctune: {text}]\n".encode())
        os.close(descriptor)


def redirect_output(path: str) -> None:
    """Let descriptors 1 and 2 be the file at `path`, whatever they were."""
    descriptor = open_log(path)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def cut_log(pid: int, directory: str, cap: int) -> None:
    """Cut what process `pid` has as stdout or stderr, if that is a log under `directory` and longer than `cap` bytes.

    The trial may have made anything of its descriptors and of our directory, so only a regular file that lies there is touched.
    """
    for link in (f"/proc/{pid}/fd/1", f"/proc/{pid}/fd/2"):
        _cut_behind(link, directory, cap)


def _cut_behind(link: str, directory: str, cap: int) -> None:
    with contextlib.suppress(OSError):
        if os.stat(link).st_size <= cap:
            return
        # The kernel names a file by where it really is.
        if not os.readlink(link).startswith(f"{os.path.realpath(directory)}/logs/"):
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
