"""Removing a search from its directory: what a search makes goes, by its names; whatever else lies there stays."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from asynctune._engine.database import JOURNAL_NAME, beside, still, table_names
from asynctune._engine.head import HEAD_NAME, read_head
from asynctune._engine.lock import SearchLock, check_free, holder
from asynctune._engine.own_files import check_regular
from asynctune.checkpoints import DirectoryStore
from asynctune.errors import JournalError, StorageError

__all__ = ["check_ours", "check_removable", "remove_search"]

_TABLES = {"records", "trials", "reports", "failures"}
_LOG = re.compile(r"zygote\.log|\d+-\d+\.log")
_TRIAL = re.compile(r"0|[1-9]\d*")


def check_ours(directory: Path) -> None:
    """Whether a file named as a journal is, where there is one, a journal. Nothing is written.

    It is if it has some of our tables, or is a database with none; if it is past reading, it is ours when it begins as SQLite's
    files do, or when there is a head mark beside it and it is no text.

    Raises:
        StorageError: it is somebody else's.
    """
    check_regular(directory)
    path = directory / JOURNAL_NAME
    if not path.exists() or holder(directory) is not None:  # who holds the lock has looked
        return
    what = "file"
    try:
        with still(path) as database:
            tables = table_names(database)
        # Not all of them: one may have lost its name to a flipped bit. Not one: others have tables of trials, too.
        if not tables or len(tables & _TABLES) > 1:
            return
        is_ours, what = False, "database"
    except JournalError as error:
        if getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_CORRUPT:
            return
        is_ours = read_head(directory) is not None and not _is_text(path)
    if not is_ours:
        kept = "it is neither written to nor removed. Use another directory, or move it away"
        raise StorageError(f"{path} is somebody else's {what}, and no journal of a search: {kept}")


def _is_text(path: Path) -> bool:
    """Whether it has no zero byte at its beginning, where a database has many."""
    with path.open("rb") as file:
        return b"\0" not in (file.read(4096) or b"\0")


def check_removable(directory: Path) -> None:
    """Whether `remove_search` would be refused. Nothing is written.

    Raises:
        StorageError: the journal is somebody else's.
        SearchLockedError: somebody is writing the search.
    """
    check_ours(directory)
    check_free(directory)


def remove_search(directory: Path) -> None:
    """Remove the search in `directory`, and nothing else that is there.

    Raises:
        StorageError: the journal is somebody else's.
        SearchLockedError: somebody is writing it.
    """
    if not any((directory / name).exists() for name in (JOURNAL_NAME, HEAD_NAME)):
        return
    check_ours(directory)
    lock = SearchLock(directory)
    try:
        # The journal first: without it, what else is left over belongs to no search, and is swept when one is opened. The head
        # mark last: with it, what was not removed to the end is never taken for a search that has lost nothing.
        journal = directory / JOURNAL_NAME
        for path in (journal, *beside(journal, "wal", "shm")):
            path.unlink(missing_ok=True)
        with suppress(StorageError):
            DirectoryStore(directory / "checkpoints").sweep(())
        for log in _named(directory / "logs", _LOG):
            if not log.is_dir():
                log.unlink(missing_ok=True)
        for trial in _named(directory / "trials", _TRIAL):
            shutil.rmtree(trial, ignore_errors=True)
        for name in ("checkpoints", "logs", "trials"):
            with suppress(OSError):
                (directory / name).rmdir()  # it stays if anything is in it
        (directory / HEAD_NAME).unlink(missing_ok=True)
    finally:
        lock.release()


def _named(folder: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    with suppress(OSError):
        yield from [entry for entry in folder.iterdir() if pattern.fullmatch(entry.name)]
