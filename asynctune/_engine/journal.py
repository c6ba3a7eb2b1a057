"""The journal: the durable sequence of records. A search is what its journal says, and nothing else.

`Journal` is what the engine needs of one. `DiskJournal` keeps it in SQLite (write-ahead log, a real flush for every commit, one
writing connection, used by one thread); `MemoryJournal` in a list, for `storage=None`.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol

from asynctune._engine import tables
from asynctune._engine.head import HEAD_NAME, HeadMark, read_head
from asynctune._engine.lock import SearchLock, holder
from asynctune._engine.points import Point, reach
from asynctune._engine.record import FIRST_CHAIN, Record, chain, pack, unpack
from asynctune._engine.removal import JOURNAL_NAME, check_ours
from asynctune.errors import JournalCorruptError, JournalError, StorageError, WireError
from asynctune.events import SearchEnded
from asynctune.records import TrialView

__all__ = ["SCHEMA_VERSION", "DiskJournal", "Journal", "MemoryJournal", "has_journal", "read_records"]

SCHEMA_VERSION = 1
_logger = logging.getLogger("asynctune.journal")
_NAME = JOURNAL_NAME
_LOOK = 0.1  # seconds between two looks whether the file is still there
_PATIENCE = 5.0  # seconds to wait for who else is at the database: a reader that recovers it, or a curious person's shell
_RECORDS = f"""
create table meta (key text primary key, value) strict, without rowid;
create table records (seq integer primary key, chain blob not null, payload blob not null) strict;
{tables.SCHEMA}
""".replace("value) strict", "value any) strict")


class Journal(Protocol):
    """A sequence of records that only grows."""

    def records(self) -> Iterator[Record]:
        """All of them, in order, verified."""

    def append(self, records: Sequence[Record], trials: Iterable[TrialView]) -> None:
        """Commit these records and the rows of the trials that they changed; durable on return.

        Raises:
            JournalError: nothing was committed.
        """

    def close(self) -> None:
        """Let go of it. May be called more than once."""


class MemoryJournal:
    """A journal that ends with its process."""

    def __init__(self) -> None:
        self._records: list[Record] = []

    def records(self) -> Iterator[Record]:
        """All of them."""
        return iter(list(self._records))

    def append(self, records: Sequence[Record], trials: Iterable[TrialView]) -> None:
        """Keep these."""
        self._records.extend(records)

    def read(self, after: int, limit: int) -> list[Record]:
        """Up to `limit` records behind number `after`."""
        return self._records[after : after + limit]

    def close(self) -> None:
        """Nothing is held."""


class DiskJournal:
    """The journal in `directory`, locked and open for writing. Made, used and closed by one thread.

    Raises:
        SearchLockedError: another process writes it.
        JournalCorruptError: it was changed, or has lost its end.
        JournalError: it is of a newer version, or cannot be opened.
        StorageError: the directory cannot be made or written, or the journal in it is somebody else's.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._seq, self._chain = 0, FIRST_CHAIN
        with ExitStack() as held:
            try:
                check_ours(directory)  # before a lock and a head mark are put beside it
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                held.callback(SearchLock(directory).release)
                self._head = HeadMark(directory)
                held.callback(self._head.close)
                self._database = self._open(directory / _NAME)
                held.callback(self._database.close)
            except OSError as error:
                raise StorageError(f"{directory} cannot be used for a search: {error}") from error
            self._path = str(directory / _NAME)
            self._file = _file_of(self._path)
            self._look = 0.0
            self._held = held.pop_all()

    def _open(self, path: Path) -> sqlite3.Connection:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        with _understood(path), ExitStack() as opened:
            database = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)
            opened.callback(database.close)
            if _version(database, path) == 0:
                if database.execute("select count(*) from sqlite_master").fetchone()[0]:
                    raise StorageError(f"{path} is somebody else's database: use another directory")
                database.executescript(f"begin; {_RECORDS} pragma user_version = {SCHEMA_VERSION}; commit;")
            database.execute("pragma journal_mode = wal")
            database.execute("pragma synchronous = full")
            database.execute("pragma wal_autocheckpoint = 4000")
            opened.pop_all()
        return database

    def records(self) -> Iterator[Record]:
        """All records, in order. When the last was read, the journal stands behind it, and can be appended to.

        Raises:
            JournalCorruptError: a record was changed, is missing, or an acknowledged end is.
        """
        mark = read_head(self.directory)
        for seq, payload, hashed in _verified(self._database, self.directory):
            self._seq, self._chain = seq, hashed
            if mark is not None and mark[0] == seq and mark[1] != hashed:
                raise JournalCorruptError(f"{self.directory}: record {seq} is not the one that was acknowledged")
            yield _unpacked(self.directory, seq, payload)
        if mark is not None and mark[0] > self._seq:
            message = f"{self.directory}: the journal ends at record {self._seq}, and record {mark[0]} was acknowledged"
            raise JournalCorruptError(f"{message}. Its end is lost; restore the files together, or start in another directory.")

    def tables_agree(self) -> bool:
        """Whether the query tables follow from the records that were read."""
        row = self._database.execute("select value from meta where key = 'tables'").fetchone()
        return (row[0] if row else FIRST_CHAIN) == self._chain

    def rebuild(self, records: Iterable[Record], trials: Iterable[TrialView]) -> None:
        """Make the query tables again."""
        with _understood(self.directory / _NAME), self._transaction():
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
            raise JournalError(f"{self.directory}: record {records[0].seq} could not be written: {error}") from error
        self._seq = records[-1].seq
        reach(Point.WRITTEN)
        try:
            self._head.write(self._seq, hashed)
        except OSError as error:  # the records are safe; only the proof that they are all there is one commit old
            _logger.warning("%s: the head mark could not be written: %s", self.directory, error)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("begin immediate")
        try:
            yield
            self._database.execute("commit")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("rollback")
            raise

    def _check_still_there(self, *, is_last: bool) -> None:
        # SQLite would go on writing into a file that was deleted, and nobody would ever read it. A look costs no more than a
        # microsecond, but lets the loop have the interpreter's lock, which takes hundreds to come back.
        now = time.monotonic()
        if now < self._look and not is_last:
            return
        self._look = now + _LOOK
        if _file_of(self._path) != self._file:
            raise StorageError(f"{self.directory / _NAME} was removed or replaced while the search was running")

    def _write_tables(self, records: Iterable[Record], trials: Iterable[TrialView]) -> None:
        tables.write_trials(self._database, trials)
        tables.write_reports(self._database, ((r.stimulus.at, event) for r in records for event in r.happened))
        self._database.execute("insert or replace into meta values ('tables', ?)", (self._chain,))

    def close(self) -> None:
        """Close the database and release the lock."""
        self._held.close()


def _file_of(path: str) -> int | None:
    """Which file the journal is; None when there is none."""
    try:
        return os.stat(path).st_ino  # noqa: PTH116 -- before every commit; a Path costs more than the question
    except OSError:
        return None


def has_journal(directory: Path) -> bool:
    """Whether there is a journal in `directory`."""
    return (directory / _NAME).exists()


def _verified(database: sqlite3.Connection, directory: Path, after: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
    """(seq, payload, chain hash) of every record behind number `after`, each checked against the one before."""
    hashed, expected = FIRST_CHAIN, after + 1
    with _understood(directory / _NAME):
        if after:
            row = database.execute("select chain from records where seq = ?", (after,)).fetchone()
            hashed = bytes(row[0]) if row else FIRST_CHAIN
        rows = database.execute("select seq, chain, payload from records where seq > ? order by seq", (after,))
        for seq, stored, payload in rows:
            if seq != expected:
                raise JournalCorruptError(f"{directory}: record {expected} is missing; the next is {seq}")
            hashed = chain(hashed, payload)
            if hashed != stored:
                raise JournalCorruptError(f"{directory}: record {seq} was changed since it was written")
            yield seq, payload, hashed
            expected += 1


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """SQLite's errors as ours: what it cannot do just now (the disk is full, or locked), and what it cannot make sense of."""
    try:
        yield
    except sqlite3.OperationalError as error:
        damaged = "no such table" in str(error)  # one of ours, which only somebody else can have removed
        raise (JournalCorruptError if damaged else JournalError)(f"{path} cannot be used: {error}") from error
    except sqlite3.DatabaseError as error:
        raise JournalCorruptError(f"{path} is not a journal that can be read: {error}") from error


def _version(database: sqlite3.Connection, path: Path) -> int:
    version: int
    (version,) = database.execute("pragma user_version").fetchone()
    if version > SCHEMA_VERSION:
        message = f"{path} was written by a newer asynctune (schema {version}, this one knows {SCHEMA_VERSION})"
        raise JournalError(f"{message}: upgrade asynctune to open it")
    return version


def _unpacked(directory: Path, seq: int, payload: bytes) -> Record:
    try:
        record = unpack(payload)
    except WireError as error:
        raise JournalCorruptError(f"{directory}: record {seq} is not a record of this version: {error}") from error
    if record.seq != seq:
        raise JournalCorruptError(f"{directory}: record {seq} says that it is record {record.seq}")
    return record


def read_records(directory: Path, after: int = 0, limit: int | None = None) -> list[Record]:
    """Up to `limit` records behind number `after`, through a connection of its own that can only read.

    Whoever writes the search is not disturbed, and need not be there. Of a search that nobody writes, nothing is left behind.

    Raises:
        StorageError: there is no search in `directory`, or it cannot be read.
        JournalCorruptError: a record was changed or is missing.
    """
    path = directory / _NAME
    try:
        found = _stat(path)
        if found is None or not stat.S_ISREG(found.st_mode):
            raise StorageError(f"there is no search in {directory}")
        if not os.access(path, os.R_OK):
            raise StorageError(f"{path} cannot be read: {os.strerror(errno.EACCES)}")
        records = _read_at_rest(path, after, limit)
        return records if records is not None else _read(path, after, limit, at_rest=_is_sealed(path))
    except OSError as error:
        raise StorageError(f"{directory} cannot be read: {error.strerror or error}") from error


def _read(path: Path, after: int, limit: int | None, *, at_rest: bool) -> list[Record]:
    # A reader shares memory with the writer through a file beside the database, which it makes, and leaves, if it is not there.
    # To one that is said to be at rest it looks as if nobody would ever write.
    uri = f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if at_rest else ''}"
    connected = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_PATIENCE)
    with _understood(path), closing(connected) as database:
        _version(database, path)
        verified = _verified(database, path.parent, after)
        return [_unpacked(path.parent, seq, payload) for seq, payload, _ in itertools.islice(verified, limit)]


def _read_at_rest(path: Path, after: int, limit: int | None) -> list[Record] | None:
    """The records of a journal that nobody wrote while it was read; None if somebody did, or nobody can say."""
    before = _at_rest(path)
    if before is None:
        return None
    try:
        records = _read(path, after, limit, at_rest=True)
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
    directory = path.parent
    if holder(directory) is not None or any(path.with_name(f"{path.name}-{it}").exists() for it in ("wal", "journal")):
        return None
    files = [_stat(each) for each in (path, directory / HEAD_NAME)]
    return [found and (found.st_ino, found.st_size, found.st_mtime_ns) for found in files]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_sealed(path: Path) -> bool:
    """Whether what a reader shares with a writer is not there, so nobody writes, and cannot be made."""
    return not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-shm").exists()
