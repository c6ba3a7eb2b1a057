"""The journal's database as it is found: connected to, understood, verified. Nothing here writes to one."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cache
from pathlib import Path

from asynctune._engine import tables
from asynctune._engine.lock import alone
from asynctune._engine.record import FIRST_CHAIN, Record, chain, unpack
from asynctune.errors import JournalCorruptError, JournalError, WireError

__all__ = [
    "CREATION",
    "JOURNAL_NAME",
    "PATIENCE",
    "SCHEMA_VERSION",
    "beside",
    "check_acknowledged",
    "check_made",
    "complaints",
    "explained",
    "free_bytes",
    "live",
    "salvaged",
    "still",
    "table_names",
    "understood",
    "unpacked",
    "verified",
]

SCHEMA_VERSION = 1
JOURNAL_NAME = "journal.sqlite"
PATIENCE = 5.0  # seconds to wait for who else is at the database: a reader that recovers it, or a curious person's shell
CREATION = f"""
create table records (seq integer primary key, chain blob not null, payload blob not null) strict;
{tables.SCHEMA}
"""

# What SQLite says of a file that it cannot make sense of, or in which our own statements do not find what they name.
_DAMAGE = {
    *(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_MISMATCH),
    *(sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_INTERNAL, sqlite3.SQLITE_NOTFOUND, sqlite3.SQLITE_EMPTY),
}
_ERRNO = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_IOERR: errno.EIO, sqlite3.SQLITE_READONLY: errno.EROFS}
# A wrong value in a table that can be made again is no reason to refuse the records.
_VALUE = re.compile(
    r"(NULL|non-\w+|\w+) value in (trials|reports|failures)\.\w+|row not in PRIMARY KEY order for (reports|failures)"
)


# ------------------------------------------------------------------------------------------------------------ connected


def beside(path: Path, *endings: str) -> list[Path]:
    """SQLite's own files beside a database, by their endings ("wal", "shm", "journal")."""
    return [path.with_name(f"{path.name}-{ending}") for ending in endings]


@contextmanager
def still(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a database that nobody writes. Nothing is changed, made or left beside it.

    What a killed process left in a log is read from a private copy: SQLite would begin to mend the original, and would throw
    the log of an empty one away.

    Raises:
        SearchLockedError: this process is writing it.
        JournalError: it cannot be opened.
    """
    with understood(path), ExitStack() as opened:
        logs = [log for log in beside(path, "wal", "journal") if _size(log)]
        if logs:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="asynctune-look-")))
            with alone(path.parent):  # closing a file drops the locks that this process has on it
                for each in (path, *logs):
                    shutil.copyfile(each, folder / each.name)
            database = sqlite3.connect(folder / path.name, isolation_level=None, timeout=PATIENCE)
        else:
            database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
        opened.callback(database.close)
        yield database


@contextmanager
def live(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a database that somebody may be writing, who is not disturbed. It can only read.

    SQLite's shared memory is left beside it if it is not there.

    Raises:
        JournalError: it cannot be opened.
    """
    with understood(path):
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=PATIENCE)) as database:
            yield database


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


# ----------------------------------------------------------------------------------------------------------- understood


@contextmanager
def understood(path: Path, last_good: int | None = None) -> Iterator[None]:
    """SQLite's errors as ours: what it cannot do just now (the disk is full, or locked), and what it cannot make sense of."""
    try:
        yield
    except sqlite3.Error as error:
        raise explained(error, path, last_good) from error


def explained(error: sqlite3.Error, path: Path, last_good: int | None, failed: str | None = None) -> JournalError:
    """What SQLite says, in our words; `failed` says what could not be done."""
    # Without a code, it is Python that cannot read a value: a text that is none.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    if code == sqlite3.SQLITE_IOERR_SHORT_READ or code & 0xFF in _DAMAGE:
        message = f"{path} is not a journal that can be read: {error}{_mend(last_good)}"
        return JournalCorruptError(message, last_good=last_good)
    number, failed = _ERRNO.get(code & 0xFF), failed or f"{path} cannot be used"
    if number is None:
        return JournalError(f"{failed}: {error}")
    free = free_bytes(path.parent)
    name = errno.errorcode[number]
    room = "" if free is None else f", and {free:,} bytes are free there"
    return JournalError(f"{failed}: {error} ({name}: {os.strerror(number)}{room})", errno=number, free=free)


def free_bytes(directory: Path) -> int | None:
    """How much more can be written where `directory` is; None if nobody can say."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _mend(last_good: int | None) -> str:
    if last_good is None:
        return ""
    if not last_good:
        return ". No record before that is good: restore a copy of the directory, or start the search anew with overwrite=True"
    return f". The last good record is {last_good}: `asynctune repair` keeps all up to it"


# ------------------------------------------------------------------------------------------------------------- verified


def table_names(database: sqlite3.Connection) -> set[str]:
    """The tables that it has."""
    return {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}


def check_made(database: sqlite3.Connection, path: Path) -> bool:
    """Whether it was made by an asynctune; False if it is empty yet.

    Raises:
        JournalError: it is of a newer version.
        JournalCorruptError: it is not as we make one.
    """
    with understood(path, 0):
        (version,) = database.execute("pragma user_version").fetchone()
        if version > SCHEMA_VERSION:
            message = f"{path} was written by a newer asynctune (schema {version}, this one knows {SCHEMA_VERSION})"
            raise JournalError(f"{message}: upgrade asynctune to open it", last_good=_good(database, path))
        made = dict(database.execute("select name, sql from sqlite_master where type = 'table'"))
        if not made and version == 0:
            return False
        changed = [name for name, statement in _ours().items() if made.get(name) != statement]
        wrong = [f"its table {name} is {'changed' if name in made else 'gone'}" for name in changed]
        if version != SCHEMA_VERSION:
            wrong.append(f"it says that it is of version {version}")
        if wrong:
            good = _good(database, path)
            raise JournalCorruptError(f"{path} is not as it was made: {wrong[0]}{_mend(good)}", last_good=good)
    return True


@cache
def _ours() -> dict[str, str]:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(CREATION)
        return dict(database.execute("select name, sql from sqlite_master where type = 'table'"))


def _good(database: sqlite3.Connection, path: Path) -> int:
    """The last record that can be read, in a database that is to be refused anyway."""
    return max((record.seq for record in salvaged(database, path.parent)), default=0)


def salvaged(database: sqlite3.Connection, directory: Path) -> Iterator[Record]:
    """The records up to the first that is not good, of a database that may be damaged anywhere."""
    with suppress(JournalError, sqlite3.Error):
        database.execute("pragma writable_schema = on")  # then what it cannot make sense of in other tables is passed over
        for seq, payload, _ in verified(database, directory):
            yield unpacked(directory, seq, payload)


def verified(database: sqlite3.Connection, directory: Path, after: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
    """(seq, payload, chain hash) of every record behind number `after`, each checked against the one before."""
    hashed, expected = FIRST_CHAIN, after + 1
    try:
        if after:
            row = database.execute("select chain from records where seq = ?", (after,)).fetchone()
            hashed = row[0] if row and isinstance(row[0], bytes) else FIRST_CHAIN
        for seq, stored, payload in database.execute(
            "select seq, chain, payload from records where seq > ? order by seq", (after,)
        ):
            if seq != expected:
                raise _damaged(directory, f"record {expected} is missing; the next is {seq}", expected - 1)
            if not isinstance(payload, bytes) or (hashed := chain(hashed, payload)) != stored:
                raise _damaged(directory, f"record {seq} was changed since it was written", seq - 1)
            yield seq, payload, hashed
            expected += 1
    except sqlite3.Error as error:
        raise explained(error, directory / JOURNAL_NAME, expected - 1) from error


def check_acknowledged(directory: Path, mark: tuple[int, bytes] | None, seq: int, hashed: bytes | None) -> None:
    """Hold the head mark against the journal, which ends at record `seq`; `hashed` is the chain hash at the marked record.

    Raises:
        JournalCorruptError: the acknowledged end is lost, or is another one.
    """
    if mark is None:
        return
    if mark[0] > seq:
        message = f"the journal ends at record {seq}, and record {mark[0]} was acknowledged. Its end is lost: restore the files"
        raise JournalCorruptError(
            f"{directory}: {message} together, or have `asynctune repair` keep what is there", last_good=seq
        )
    if hashed is not None and hashed != mark[1]:
        raise _damaged(directory, f"record {mark[0]} is not the one that was acknowledged", seq)


def _damaged(directory: Path, what: str, last_good: int) -> JournalCorruptError:
    return JournalCorruptError(f"{directory}: {what}{_mend(last_good)}", last_good=last_good)


def unpacked(directory: Path, seq: int, payload: bytes) -> Record:
    """The record that a payload holds.

    Raises:
        JournalCorruptError: it holds none, or another one.
    """
    try:
        record = unpack(payload)
    except WireError as error:
        raise _damaged(directory, f"record {seq} is not a record of this version: {error}", seq - 1) from error
    if record.seq != seq:
        raise _damaged(directory, f"record {seq} says that it is record {record.seq}", seq - 1)
    return record


def complaints(database: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with the build of the database; wrong values in tables that can be made again are not of it."""
    try:
        said = [line for (text,) in database.execute("pragma integrity_check(10)") for line in str(text).splitlines()]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [line for line in said if line != "ok" and not line.startswith("*** in database") and not _VALUE.fullmatch(line)]
