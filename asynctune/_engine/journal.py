"""The journal: the durable sequence of records. A search is what its journal says, and nothing else.

`Journal` is what the engine needs of one. `DiskJournal` keeps it in SQLite (write-ahead log, a real flush for every commit, one
writing connection, used by one thread); `MemoryJournal` in a list, for `storage=None`.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeAlias

from asynctune._engine import tables
from asynctune._engine.database import (
    CREATION,
    JOURNAL_NAME,
    PATIENCE,
    SCHEMA_VERSION,
    beside,
    check_acknowledged,
    check_made,
    explained,
    live,
    still,
    understood,
    unpacked,
    verified,
)
from asynctune._engine.head import HeadMark, read_head
from asynctune._engine.lock import SearchLock, holder
from asynctune._engine.looking import REPAIR_NAME, UNFINISHED_NAME, fingerprint, look
from asynctune._engine.own_files import check_regular
from asynctune._engine.points import Point, reach
from asynctune._engine.record import FIRST_CHAIN, Record, chain, pack
from asynctune._machine.stimuli import Settings
from asynctune.errors import JournalCorruptError, JournalError, StorageError
from asynctune.events import SearchEnded
from asynctune.records import TrialView

__all__ = ["DiskJournal", "Journal", "MemoryJournal", "read_records"]

_logger = logging.getLogger("asynctune.journal")
_LOOK = 0.1  # seconds between two looks whether the file is still there
_Mark: TypeAlias = tuple[int, bytes] | None


class Journal(Protocol):
    """A sequence of records that only grows."""

    def records(self) -> Generator[Record, None, None]:
        """All of them, in order, verified."""

    def append(self, records: Sequence[Record], trials: Iterable[TrialView]) -> None:
        """Commit these records and the rows of the trials that they changed; durable on return.

        Raises:
            JournalError: nothing was committed.
        """

    def settle(self, trials: Sequence[TrialView]) -> None:
        """All records were read, and these trials follow from them: see that whatever else it keeps says the same."""

    def close(self) -> None:
        """Let go of it. May be called more than once."""


class MemoryJournal:
    """A journal that ends with its process."""

    def __init__(self) -> None:
        self._records: list[Record] = []

    def records(self) -> Generator[Record, None, None]:
        """All of them."""
        yield from list(self._records)

    def append(self, records: Sequence[Record], trials: Iterable[TrialView]) -> None:
        """Keep these."""
        self._records.extend(records)

    def read(self, after: int, limit: int) -> list[Record]:
        """Up to `limit` records behind number `after`."""
        return self._records[after : after + limit]

    def settle(self, trials: Sequence[TrialView]) -> None:
        """Nothing else is kept."""

    def close(self) -> None:
        """Nothing is held."""


class DiskJournal:
    """The journal in `directory`, locked and open for writing. Made, used and closed by one thread.

    It is looked at before: nothing is written, made or locked where it is refused.

    Args:
        directory: made if it is not there.
        accept: is given what was asked for when the search was last opened, or None. Raises if that will not do.

    Raises:
        SearchLockedError: another process writes it.
        JournalCorruptError: it was changed, or has lost its end.
        JournalError: it is of a newer version, or cannot be opened.
        StorageError: the directory cannot be made or written, or the journal in it is somebody else's.
    """

    def __init__(self, directory: Path, accept: Callable[[Settings | None], None] = lambda _: None) -> None:
        self.directory = directory
        self._seq, self._chain = 0, FIRST_CHAIN
        self._follows = tables.Tallies()
        with ExitStack() as held:
            try:
                accept(look(directory).settings)
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                _warn_of_others(directory)
                held.callback(SearchLock(directory).release)
                for left in (REPAIR_NAME, UNFINISHED_NAME):  # of a repair; what can be opened needs none
                    shutil.rmtree(directory / left, ignore_errors=True)
                self._head = HeadMark(directory)
                held.callback(self._head.close)
                self._database = self._open(directory / JOURNAL_NAME)
                held.callback(self._database.close)
            except OSError as error:
                raise StorageError(f"{directory} cannot be used for a search: {error}") from error
            self._path = str(directory / JOURNAL_NAME)
            self._file = _file_of(self._path)
            self._look = 0.0
            self._held = held.pop_all()

    def _open(self, path: Path) -> sqlite3.Connection:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        with understood(path), ExitStack() as opened:
            database = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)
            opened.callback(database.close)
            if not check_made(database, path):
                database.executescript(f"begin; {CREATION} pragma user_version = {SCHEMA_VERSION}; commit;")
            database.execute("pragma journal_mode = wal")
            database.execute("pragma synchronous = full")
            database.execute("pragma wal_autocheckpoint = 4000")
            opened.pop_all()
        return database

    def records(self) -> Generator[Record, None, None]:
        """All records, in order. When the last was read, the journal stands behind it, and can be appended to.

        Raises:
            JournalCorruptError: a record was changed, is missing, or an acknowledged end is.
        """
        mark = read_head(self.directory)
        marked: bytes | None = None
        self._follows = tables.Tallies()
        for seq, payload, hashed in verified(self._database, self.directory):
            self._seq, self._chain = seq, hashed
            if mark is not None and mark[0] == seq:
                marked = hashed
            record = unpacked(self.directory, seq, payload)
            self._follows.hear(record)
            yield record
        check_acknowledged(self.directory, mark, self._seq, marked)

    def tables_agree(self, trials: Iterable[TrialView]) -> bool:
        """Whether the query tables say, to the last value, what follows from the records that were read: these trials."""
        follows = self._follows.with_trials(trials)
        try:
            return tables.tallies(self._database) == follows
        except sqlite3.DatabaseError:  # a value that is none, or a page that is none; to write it again will tell
            return False

    def settle(self, trials: Sequence[TrialView]) -> None:
        """Make the query tables again if they do not say what follows from the records that were read.

        Raises:
            JournalError: they cannot be written.
        """
        if not self.tables_agree(trials):
            _logger.warning("%s: the query tables did not say what the records say, and are made again", self.directory)
            self.rebuild(self.records(), trials)

    def rebuild(self, records: Iterable[Record], trials: Iterable[TrialView]) -> None:
        """Make the query tables again."""
        with understood(self.directory / JOURNAL_NAME, self._seq), self._transaction():
            tables.clear(self._database)
            self._write_tables(records, trials)

    def append(self, records: Sequence[Record], trials: Iterable[TrialView]) -> None:
        """Commit these records, and the rows that follow from them."""
        hashed, rows = self._chain, []
        self._check_still_there(is_last=any(isinstance(event, SearchEnded) for record in records for event in record.happened))
        for record in records:
            payload = pack(record)
            hashed = chain(hashed, payload)
            rows.append((record.seq, hashed, payload))
        before, self._chain = self._chain, hashed
        try:
            with self._transaction():
                self._database.executemany("insert into records values (?, ?, ?)", rows)
                self._write_tables(records, trials)
                reach(Point.WRITING)
        except sqlite3.Error as error:
            self._chain = before
            failed = f"{self.directory}: record {records[0].seq} could not be written"
            raise explained(error, self.directory / JOURNAL_NAME, self._seq, failed) from error
        self._seq = records[-1].seq
        reach(Point.WRITTEN)
        try:
            self._head.write(self._seq, hashed)
        except OSError as error:  # the records are safe; only the proof that they are all there is one commit old
            _logger.warning("%s: the head mark could not be written: %s", self.directory, error)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._roll_back()  # what could not be taken back when it failed, with the same disk perhaps
        self._database.execute("begin immediate")
        try:
            yield
            self._database.execute("commit")
        except BaseException:
            with suppress(sqlite3.Error):  # what went wrong before is what is to be heard
                self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("rollback")

    def _check_still_there(self, *, is_last: bool) -> None:
        # SQLite would go on writing into a file that was deleted, and nobody would ever read it. A look costs no more than a
        # microsecond, but lets the loop have the interpreter's lock, which takes hundreds to come back.
        now = time.monotonic()
        if now < self._look and not is_last:
            return
        self._look = now + _LOOK
        if _file_of(self._path) != self._file:
            raise StorageError(f"{self._path} was removed or replaced while the search was running")

    def _write_tables(self, records: Iterable[Record], trials: Iterable[TrialView]) -> None:
        tables.write_trials(self._database, trials)
        tables.write_happened(self._database, records)

    def close(self) -> None:
        """Close the database and release the lock."""
        self._held.close()


def _warn_of_others(directory: Path) -> None:
    """Say so if somebody else could change what is in the directory."""
    found = directory.stat()
    if found.st_uid not in (os.geteuid(), 0):
        _logger.warning("%s belongs to another user, who can replace what is in it", directory)
    elif found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        _logger.warning("%s can be written by every user of this machine, who can replace what is in it", directory)


def _file_of(path: str) -> int | None:
    """Which file the journal is; None when there is none."""
    try:
        return os.stat(path).st_ino  # noqa: PTH116 -- before every commit; a Path costs more than the question
    except OSError:
        return None


def read_records(directory: Path, after: int = 0, limit: int | None = None) -> list[Record]:
    """Up to `limit` records behind number `after`, through a connection of its own that can only read.

    Whoever writes the search is not disturbed, and need not be there. Of a search that nobody writes, nothing is left behind.

    Raises:
        StorageError: there is no search in `directory`, or it cannot be read.
        JournalCorruptError: a record was changed or is missing, or the acknowledged end is.
    """
    path = directory / JOURNAL_NAME
    try:
        check_regular(directory)
        for again in (True, True, False):
            # The mark before the records: what was acknowledged by then must be among them, however much is written meanwhile.
            mark = read_head(directory)
            try:
                return _read_with(path, after, limit, mark)
            except JournalCorruptError:
                # A search may have been put in the place of the one that the mark is of.
                if not again or read_head(directory) == mark:
                    raise
        raise AssertionError
    except OSError as error:
        raise StorageError(f"{directory} cannot be read: {error.strerror or error}") from error


def _read_with(path: Path, after: int, limit: int | None, mark: _Mark) -> list[Record]:
    found = _stat(path)
    if found is None and mark is not None and holder(path.parent) is None:
        check_acknowledged(path.parent, mark, 0, None)
    if found is None:
        raise StorageError(f"there is no search in {path.parent}")
    if not os.access(path, os.R_OK):
        raise StorageError(f"{path} cannot be read: {os.strerror(errno.EACCES)}")
    if not found.st_size:  # SQLite would take it for a sign that the log beside it is of no use, and delete it
        check_acknowledged(path.parent, mark, 0, None)
        return []
    records = _read_at_rest(path, after, limit, mark)
    return records if records is not None else _read(path, after, limit, mark, at_rest=False)


def _read(path: Path, after: int, limit: int | None, mark: _Mark, *, at_rest: bool) -> list[Record]:
    # A reader shares memory with the writer through a file beside the database, which it makes, and leaves, if it is not there.
    # To one that is said to be at rest it looks as if nobody would ever write.
    with still(path) if at_rest or _is_sealed(path) else live(path) as database:
        if not check_made(database, path):
            check_acknowledged(path.parent, mark, 0, None)
            return []
        behind = itertools.islice(verified(database, path.parent, after), limit)
        records = [unpacked(path.parent, seq, payload) for seq, payload, _ in behind]
        if mark is not None:
            row = database.execute("select chain from records where seq = ?", (mark[0],)).fetchone()
            (last,) = database.execute("select coalesce(max(seq), 0) from records").fetchone()
            check_acknowledged(path.parent, mark, last, row[0] if row else None)
    return records


def _read_at_rest(path: Path, after: int, limit: int | None, mark: _Mark) -> list[Record] | None:
    """The records of a journal that nobody wrote while it was read; None if somebody did, or nobody can say."""
    before = _at_rest(path)
    if before is None:
        return None
    try:
        records = _read(path, after, limit, mark, at_rest=True)
    except (JournalError, sqlite3.Error):
        if _at_rest(path) == before:
            raise
        return None  # it was read while a writer was at it
    return records if _at_rest(path) == before else None


def _at_rest(path: Path) -> object:
    """What would be another if somebody wrote the journal from now on; None if somebody may be writing it already.

    A writer holds the lock, has a file for what it has not moved into the database yet, and takes that away when it ends: all
    it wrote is in the database then, which has changed, and so has the head mark.
    """
    if holder(path.parent) is not None or any(_is_filled(it) for it in beside(path, "wal", "journal")):
        return None
    return fingerprint(path.parent)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_filled(path: Path) -> bool:
    found = _stat(path)
    return found is not None and found.st_size > 0


def _is_sealed(path: Path) -> bool:
    """Whether what a reader shares with a writer is not there, so nobody writes, and cannot be made."""
    return not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-shm").exists()
