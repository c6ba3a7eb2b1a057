"""Journals to look at: a simulated search, written down as the engine writes it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from asynctune._engine.journal import DiskJournal
from asynctune._engine.opening import fold
from asynctune._engine.record import Record, pack, unpack
from asynctune._machine.machine import Machine
from asynctune.records import TrialId, TrialView
from asynctune.schedulers import FIFO
from tests.machine.stories import story

__all__ = ["JOURNAL", "batches", "execute", "marks", "read", "records_of", "touched", "write"]

JOURNAL = "journal.sqlite"


def records_of(seed: int) -> list[Record]:
    """The records of a simulated search, as they are when they are read."""
    return [unpack(pack(record)) for record in story(seed).search().run().records]


def marks(records: Iterable[Record]) -> list[str]:
    """A short mark for each record, that differs where its bytes do."""
    return [f"{record.seq}-{hashlib.blake2b(pack(record), digest_size=6).hexdigest()}" for record in records]


def batches(records: Sequence[Record], size: int) -> list[tuple[list[Record], list[TrialView]]]:
    """The records in groups, each with the trials that it touched, as they then stood."""
    machine = Machine(FIFO())  # the recorded answers win, so any scheduler will do
    grouped = []
    for start in range(0, len(records), size):
        group = list(records[start : start + size])
        fold(machine, group)
        grouped.append((group, [machine.book.view(machine.book.trials[trial]) for trial in touched(group)]))
    return grouped


def touched(records: Sequence[Record]) -> list[TrialId]:
    """The trials that records are about."""
    return list(dict.fromkeys(event.trial for record in records for event in record.happened if hasattr(event, "trial")))


def read(directory: Path) -> list[str]:
    """The marks of all records, through a journal that is opened for writing."""
    journal = DiskJournal(directory)
    try:
        return marks(journal.records())
    finally:
        journal.close()


def write(directory: Path, records: Sequence[Record], size: int = 7) -> None:
    """Write a journal, and close it."""
    journal = DiskJournal(directory)
    assert list(journal.records()) == []
    for group, trials in batches(records, size):
        journal.append(group, trials)
    journal.close()


def execute(directory: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Do something to the database behind everybody's back."""
    database = sqlite3.connect(directory / JOURNAL)
    try:
        rows = database.execute(statement, values).fetchall()
        database.commit()
        return rows
    finally:
        database.close()
