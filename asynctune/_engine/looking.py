"""A look at a journal before it is opened for writing: what is to be refused is refused untouched, to the last byte."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import frozen

from asynctune._engine.database import (
    JOURNAL_NAME,
    beside,
    check_acknowledged,
    check_made,
    complaints,
    still,
    unpacked,
    verified,
)
from asynctune._engine.head import HEAD_NAME, read_head
from asynctune._engine.lock import check_free, holder
from asynctune._engine.own_files import check_regular
from asynctune._engine.removal import check_ours
from asynctune._machine.stimuli import Opened, Settings
from asynctune.errors import JournalCorruptError, JournalError, StorageError

__all__ = ["REPAIR_NAME", "UNFINISHED_NAME", "Seen", "fingerprint", "look"]

# The directories of a repair that was cut off: when the old files were being replaced, and before.
REPAIR_NAME, UNFINISHED_NAME = "journal.repair", "journal.repair-unfinished"

_TRIES = 3


@frozen
class Seen:
    """What is in a journal.

    Args:
        seq: the last record's number; 0 if there is none.
        settings: what was asked for when the search was last opened; None if it never was.
    """

    seq: int = 0
    settings: Settings | None = None


def look(directory: Path) -> Seen:
    """Verify the journal in `directory`, if there is one. Nothing is written.

    Raises:
        SearchLockedError: somebody is writing it.
        JournalCorruptError: it was changed, or has lost its end.
        JournalError: it is of a newer version, or cannot be read.
        StorageError: it is somebody else's.
    """
    check_regular(directory)
    for _ in range(_TRIES):
        check_free(directory)
        before = fingerprint(directory)
        try:
            return _seen(directory)
        except (JournalError, FileNotFoundError):
            if fingerprint(directory) == before and holder(directory) is None:
                raise
    raise StorageError(f"{directory} is changed again and again while it is looked at. Use another directory.")


def fingerprint(directory: Path) -> list[tuple[int, int, int] | None]:
    """What would be another if somebody wrote the journal."""
    path = directory / JOURNAL_NAME
    return [_state(each) for each in (path, *beside(path, "wal", "journal"), directory / HEAD_NAME)]


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 -- as the journal itself looks
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _seen(directory: Path) -> Seen:
    check_ours(directory)
    path, mark = directory / JOURNAL_NAME, read_head(directory)
    if not path.exists():
        check_acknowledged(directory, mark, 0, None)
        return Seen()
    with still(path) as database:
        seq = 0
        settings: Settings | None = None
        marked: bytes | None = None
        if check_made(database, path):
            for seq, payload, hashed in verified(database, directory):
                if mark is not None and mark[0] == seq:
                    marked = hashed
                if b"Opened" in payload and isinstance(said := unpacked(directory, seq, payload).stimulus, Opened):
                    settings = said.settings
        check_acknowledged(directory, mark, seq, marked)
        if wrong := complaints(database):
            message = f"{path} is damaged where no record is: {wrong[0]}. All {seq} records are good"
            raise JournalCorruptError(f"{message}: `asynctune repair` writes them down again", last_good=seq)
    return Seen(seq, settings)
