"""What a search keeps in its directory are files. Anything else in their place is refused: to open a pipe can take for ever."""

from __future__ import annotations

import stat
from pathlib import Path

from asynctune._engine.database import JOURNAL_NAME, beside
from asynctune._engine.head import HEAD_NAME
from asynctune._engine.lock import LOCK_NAME
from asynctune.errors import StorageError

__all__ = ["check_regular"]

_KINDS = {
    stat.S_IFLNK: "a symbolic link, which is not followed",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular(directory: Path) -> None:
    """Whether what has the name of one of a search's own files is a file. Nothing is opened.

    Raises:
        StorageError: it is something else.
    """
    journal = directory / JOURNAL_NAME
    for path in (journal, *beside(journal, "wal", "shm", "journal"), directory / HEAD_NAME, directory / LOCK_NAME):
        try:
            found = path.lstat()
        except OSError:  # it is not there; or it cannot be read, and then whoever opens it says why
            continue
        if not stat.S_ISREG(found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no file")
            raise StorageError(
                f"{path} is {kind}, where a search keeps a file of its own. Move it away, or use another directory"
            )
