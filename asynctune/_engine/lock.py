"""One process writes a search. The lock is the kernel's: it dies with its holder, and nothing has to be cleaned up or timed
out.

It is a POSIX record lock, which a forked child does not inherit (a service's helper that outlives it must not keep the search
locked). Its price: it does not hold against its own process, and any close of the file there would drop it. So this process
keeps a list of what it holds, and reads the holder's name of those from the list.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asynctune.errors import SearchLockedError, StorageError

__all__ = ["LOCK_NAME", "SearchLock", "alone", "check_free", "holder"]

LOCK_NAME = "journal.lock"
_FLOCK = struct.Struct("hhqqi0q")  # struct flock: type, whence, start, length, pid
_held: dict[str, SearchLock] = {}
_guard = threading.Lock()


class SearchLock:
    """The right to write the search in `directory`, until it is released.

    Raises:
        SearchLockedError: someone else has it; says who, and since when.
        StorageError: the file system cannot lock.
    """

    def __init__(self, directory: Path) -> None:
        self._path = str(directory.resolve() / LOCK_NAME)
        self.name = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()})
        with _guard:
            if self._path in _held:
                raise _locked(directory, _who(_held[self._path].name))
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                name = os.pread(self._descriptor, 4096, 0).decode(errors="replace")
                os.close(self._descriptor)
                raise _locked(directory, _who(name)) from None
            except OSError as error:
                os.close(self._descriptor)
                raise StorageError(f"{directory} cannot be locked: {error}. Use a local file system.") from error
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, self.name.encode(), 0)
            _held[self._path] = self

    def release(self) -> None:
        """Let others write. May be called more than once."""
        with _guard:
            if _held.get(self._path) is self:
                del _held[self._path]
                os.ftruncate(self._descriptor, 0)
                os.close(self._descriptor)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """While this process does not write the search in `directory`, and cannot begin to: its files may be opened and closed.

    Raises:
        SearchLockedError: this process is writing it.
    """
    path = str(directory.resolve() / LOCK_NAME)
    with _guard:
        if path in _held:
            raise _locked(directory, _who(_held[path].name))
        yield


def holder(directory: Path) -> str | None:
    """Who writes the search in `directory` now ("process 71 on host, since ..."), or None."""
    path = str(directory.resolve() / LOCK_NAME)
    with _guard:
        if path in _held:
            return _who(_held[path].name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would be waited for
        except OSError:
            return None
        try:
            # Asked, not tried: a lock taken for a moment would be in the way of whoever wants to write just then.
            found = fcntl.fcntl(descriptor, fcntl.F_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
            if _FLOCK.unpack(found)[0] == fcntl.F_UNLCK:
                return None
            return _who(os.pread(descriptor, 4096, 0).decode(errors="replace"))
        finally:
            os.close(descriptor)


def check_free(directory: Path) -> None:
    """Whether nobody writes the search in `directory` now.

    Raises:
        SearchLockedError: somebody does.
    """
    if (who := holder(directory)) is not None:
        raise _locked(directory, who)


def _forget() -> None:
    """A forked child holds nothing, and whoever held the guard is not there."""
    global _guard  # noqa: PLW0603 -- what a fork copies is global
    _guard = threading.Lock()
    _held.clear()


os.register_at_fork(after_in_child=_forget)


def _who(name: str) -> str:
    try:
        said = json.loads(name)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(said["since"]))
        ours = " (this one: if that search is over, a plugin of it that does not return still holds it)"
        own = ours if (said["pid"], said["host"]) == (os.getpid(), socket.gethostname()) else ""
        return f"process {said['pid']} on {said['host']}, since {since}{own}"
    except (ValueError, KeyError, TypeError, OverflowError):
        return "another process"


def _locked(directory: Path, who: str) -> SearchLockedError:
    return SearchLockedError(f"{directory} is being written by {who}. End that search, or use another directory.")
