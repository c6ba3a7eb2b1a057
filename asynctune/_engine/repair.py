"""`asynctune repair`: keeps the records of a damaged journal up to the first that is not good, and the original beside it.

The new journal is written whole in a directory beside the old one. Then the old files are given second names, the logs of the
old database go, and the new files take the old names. Whenever this is cut off, either the old journal is there as it was, or
the search is refused until the repair is run again, which then ends it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path

from attrs import frozen

from asynctune._engine.database import JOURNAL_NAME, beside, salvaged, still
from asynctune._engine.head import HEAD_NAME, read_head
from asynctune._engine.journal import DiskJournal
from asynctune._engine.lock import SearchLock
from asynctune._engine.looking import REPAIR_NAME, UNFINISHED_NAME, fingerprint, look
from asynctune._engine.own_files import check_regular
from asynctune._engine.record import Record
from asynctune._engine.retelling import retold
from asynctune.disk import flush
from asynctune.errors import JournalCorruptError, StorageError

__all__ = ["Repaired", "repair"]

_BLOCK = 1000  # records that are committed at once
_NUMBER = "number"  # the file that says which number the old files get


@frozen
class Repaired:
    """What came of a repair.

    Args:
        reason: what was wrong.
        kept: number of the last record that was kept.
        known: number of the last record that is known to have been written; all behind `kept` are lost.
        original: where the old database is.
    """

    reason: str
    kept: int
    known: int
    original: Path


def repair(directory: Path) -> Repaired | None:
    """Make a damaged journal one that can be opened; None if there is nothing to repair.

    Raises:
        SearchLockedError: somebody is writing it.
        JournalError: it is of a newer version, or cannot be read just now.
        StorageError: there is no search, no record of it is good, or the journal is somebody else's.
    """
    path, staged = directory / JOURNAL_NAME, directory / REPAIR_NAME
    check_regular(directory)
    if not path.exists():
        raise StorageError(f"there is no journal in {directory} to repair")
    try:
        look(directory)
    except JournalCorruptError as error:
        reason = str(error)
    else:
        return None
    with ExitStack() as held:
        if staged.exists() and _is_of(staged, path):  # it was cut off when the old files had their second names
            held.callback(SearchLock(directory).release)
        else:
            before = fingerprint(directory)
            database = held.enter_context(still(path))
            held.callback(SearchLock(directory).release)
            if fingerprint(directory) != before:
                raise StorageError(f"{directory} was changed while it was looked at: try again")
            _stage(database, directory)
        return _swapped(directory, reason)


def _stage(database: sqlite3.Connection, directory: Path) -> None:
    """Write the new journal, and put it where it is found again."""
    staging = directory / UNFINISHED_NAME
    shutil.rmtree(staging, ignore_errors=True)
    try:
        journal = DiskJournal(staging)
        try:
            said = retold(_copied(salvaged(database, directory), journal))
            journal.rebuild(journal.records(), said.trials)
        finally:
            journal.close()
        if said.settings is None:
            message = f"no record in {directory} is good, so there is nothing to keep"
            raise StorageError(f"{message}: restore a copy of the directory, or start the search anew with overwrite=True")
        number = next(n for n in count(1) if not _second(directory / JOURNAL_NAME, n).exists())
        (staging / _NUMBER).write_text(f"{number}\n{_last(database, directory)}\n")
        for each in (JOURNAL_NAME, HEAD_NAME, _NUMBER, ""):
            flush(staging / each)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    shutil.rmtree(directory / REPAIR_NAME, ignore_errors=True)
    staging.rename(directory / REPAIR_NAME)
    flush(directory)


def _is_of(staged: Path, path: Path) -> bool:
    """Whether the repair that was cut off is of the journal that is there, and not of one that was there before."""
    try:
        number, _ = (staged / _NUMBER).read_text().split()
        second = _second(path, int(number))
        return not second.exists() or second.samefile(path)
    except (OSError, ValueError):  # all that it had to do was done but to remove what it had left
        return False


def _copied(records: Iterator[Record], journal: DiskJournal) -> Iterator[Record]:
    block = list[Record]()
    for record in records:
        block.append(record)
        if len(block) == _BLOCK:
            journal.append(block, ())
            yield from block
            block.clear()
    if block:
        journal.append(block, ())
        yield from block


def _last(database: sqlite3.Connection, directory: Path) -> int:
    """The last record that is known to have been written."""
    mark, last = read_head(directory), 0
    with suppress(sqlite3.Error):
        (last,) = database.execute("select coalesce(max(seq), 0) from records").fetchone()
    # A damaged number may be any; one that is far behind the mark is no record of ours.
    return max(mark[0], 0 if last > mark[0] + _BLOCK else last) if mark is not None else last


def _swapped(directory: Path, reason: str) -> Repaired:
    path, staged = directory / JOURNAL_NAME, directory / REPAIR_NAME
    number, known = map(int, (staged / _NUMBER).read_text().split())
    mark = read_head(staged) or read_head(directory)
    logs = beside(path, "wal", "journal")
    for old in (path, *logs, directory / HEAD_NAME):
        second = _second(old, number)
        if old.exists() and not second.exists():
            os.link(old, second)
    flush(directory)
    for log in (*logs, *beside(path, "shm")):  # a log of the old database would be taken for one of the new
        log.unlink(missing_ok=True)
    flush(directory)
    # The mark before the database: with the old one it accuses, and with the new one nothing is left to do.
    for new, old in ((staged / HEAD_NAME, directory / HEAD_NAME), (staged / JOURNAL_NAME, path)):
        if new.exists():
            new.replace(old)
            flush(directory)
    shutil.rmtree(staged, ignore_errors=True)
    return Repaired(reason, mark[0] if mark is not None else 0, known, _second(path, number))


def _second(old: Path, number: int) -> Path:
    """The name that an old file is kept under: SQLite finds the log of the old database by it."""
    name, dash, ending = old.name.partition("-")
    return old.with_name(f"{name}.damaged-{number}{dash}{ending}")
