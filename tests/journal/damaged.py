"""A journal as a killed process leaves it, to be damaged: some in the database, some in the log, the last told to nobody."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

from attrs import evolve, frozen

from asynctune._engine.database import still, verified
from asynctune._engine.head import HEAD_NAME
from asynctune._engine.journal import DiskJournal, read_records
from asynctune._engine.looking import look
from asynctune._engine.opening import fold
from asynctune._engine.record import FIRST_CHAIN, Record, chain, pack, unpack
from asynctune._machine.machine import Machine
from asynctune.errors import JournalError
from asynctune.records import TrialView
from asynctune.schedulers import FIFO
from tests.journal.written import JOURNAL, batches, execute
from tests.machine.stories import story

__all__ = [
    "DATABASE",
    "LEAST",
    "LOG",
    "Left",
    "Rows",
    "contents",
    "left",
    "many_records",
    "opened",
    "rows_of",
    "seen",
    "views_at",
]

DATABASE, LOG = JOURNAL, f"{JOURNAL}-wal"
LEAST = 300  # records of a journal that is to be damaged
_GROUP = 16  # records in a commit
Rows = tuple[list[tuple[object, ...]], ...]


@cache
def many_records() -> list[Record]:
    """The records of a simulated search that is long enough. Ask a long one first: the search for it takes longer than it."""
    for seed in (99, *range(1000)):
        told = evolve(story(seed), max_trials=80)
        records = told.search().run().records
        if LEAST <= len(records) <= 1.3 * LEAST:
            return [unpack(pack(record)) for record in records]
    raise AssertionError("no story is long enough")


@frozen
class Left:
    """What lies in `directory`.

    Args:
        acknowledged: the last record that anybody was told of; `total` is the last one there.
        chains: the chain hash at each record, from 0.
    """

    directory: Path
    acknowledged: int
    total: int
    chains: list[bytes]


def left(directory: Path, records: list[Record]) -> Left:
    """Write it."""
    groups = batches(records, _GROUP)
    written, copied = directory / "written", directory / "left"
    for part in (groups[: -len(groups) // 4], groups[-len(groups) // 4 :]):
        journal = DiskJournal(written)
        list(journal.records())
        for group, trials in part[:-1]:
            journal.append(group, trials)
        head = (written / HEAD_NAME).read_bytes()
        journal.append(*part[-1])
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(written, copied, ignore=shutil.ignore_patterns("*-shm", "*.lock"))
        (copied / HEAD_NAME).write_bytes(head)
        journal.close()  # moves all into the database
    chains = [FIRST_CHAIN]
    for record in records:
        chains.append(chain(chains[-1], pack(record)))
    return Left(copied, len(records) - len(groups[-1][0]), len(records), chains)


def contents(directory: Path) -> dict[str, bytes]:
    """Every file, to the last byte."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def rows_of(directory: Path) -> Rows:
    """The query tables."""
    trials = execute(directory, "select * from trials order by id")
    reports = execute(directory, "select * from reports order by trial, launch, step")
    return trials, reports, execute(directory, "select * from failures order by trial, launch")


def seen(it: Left) -> int | None:
    """How many records are good, as whoever looks before opening sees it; None if it is refused, by our own error.

    Nothing was touched.
    """
    before = contents(it.directory)
    number: int | None
    try:
        number = look(it.directory).seq
    except JournalError as error:
        number, good = None, error.last_good
    else:
        good = number
        assert it.acknowledged <= number
        with still(it.directory / DATABASE) as database:
            *_, (_, _, hashed) = verified(database, it.directory)
        assert hashed == it.chains[number]
    assert good is not None
    assert 0 <= good <= it.total
    assert contents(it.directory) == before
    return number


def opened(it: Left, copy: Path) -> tuple[int, Rows]:
    """Open a copy for writing, as a search does; what is in it then."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(it.directory, copy)
    journal = DiskJournal(copy)
    try:
        number = len(list(journal.records()))
        journal.settle(views_at(number))
    finally:
        journal.close()
    assert len(read_records(copy)) == number
    return number, rows_of(copy)


@cache
def views_at(number: int) -> list[TrialView]:
    """The trials as they follow from so many records."""
    machine = Machine(FIFO())
    fold(machine, many_records()[:number])
    return [machine.book.view(trial) for trial in machine.book.trials.values()]
