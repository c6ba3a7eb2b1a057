"""`asynctune doctor`: what is in a search's directory, what is wrong with it, what a resume would do. Nothing is written."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import define, field

from asynctune._engine import tables
from asynctune._engine.database import (
    JOURNAL_NAME,
    SCHEMA_VERSION,
    beside,
    check_acknowledged,
    check_made,
    complaints,
    free_bytes,
    live,
    still,
    unpacked,
    verified,
)
from asynctune._engine.head import HEAD_NAME, read_head
from asynctune._engine.lock import holder
from asynctune._engine.looking import REPAIR_NAME
from asynctune._engine.own_files import check_regular
from asynctune._engine.record import Record
from asynctune._engine.removal import check_ours
from asynctune._engine.retelling import Retold, retold
from asynctune._machine.stimuli import Opened
from asynctune.checkpoints import DirectoryStore
from asynctune.errors import JournalCorruptError, StorageError
from asynctune.events import CheckpointSaved, Finished, Reported
from asynctune.records import CheckpointKey, State

__all__ = ["Checkup", "checkup"]

_NAMED = 5  # trials that are named one by one
# Two connections that write or checkpoint at the same moment can damage a database with a write-ahead log. Fixed in these.
_FIXED: Mapping[tuple[int, ...], int] = {(3, 44): 6, (3, 50): 7, (3, 51): 3}


@define
class Checkup:
    """What was found.

    Args:
        lines: for people, a line for each part. problems: what is wrong, in a line each; none if the search is sound.
    """

    lines: list[str] = field(factory=list)
    problems: list[str] = field(factory=list)

    def say(self, part: str, text: str) -> None:
        """Something that was found."""
        self.lines.append(f"{part + ':':<13}{text}")

    def wrong(self, part: str, text: str) -> None:
        """Something that is wrong."""
        self.say(part, text)
        self.problems.append(text)


@define
class _Told:
    """What the records say, gathered while they are read."""

    seq: int = 0
    marked: bytes | None = None
    said: Retold | None = None
    openings: list[Opened] = field(factory=list)
    checkpoints: set[CheckpointKey] = field(factory=set)
    follows: tables.Tallies = field(factory=tables.Tallies)


def checkup(directory: Path) -> Checkup:
    """Look at everything in the search's directory. May be done while the search is written.

    Raises:
        StorageError: there is no search, or the journal is somebody else's.
        JournalError: it is of a newer version, or cannot be read just now.
    """
    check_regular(directory)
    found, path, held = Checkup(), directory / JOURNAL_NAME, holder(directory)
    mark = read_head(directory)
    if not path.exists() and mark is None:
        raise StorageError(f"there is no search in {directory}")
    check_ours(directory)
    told = _Told()
    try:
        if not path.exists():
            check_acknowledged(directory, mark, 0, None)
        with live(path) if held is not None else still(path) as database:
            database.execute("begin")  # all that follows is of one moment
            if check_made(database, path):
                told.said = retold(_gathered(database, directory, told, mark))
                check_acknowledged(directory, mark, told.seq, told.marked)
            else:
                check_acknowledged(directory, mark, 0, None)
            found.say("journal", f"{told.seq} records, all good" if told.seq else "nothing is recorded yet")
            _build(found, database)
            _tables(found, database, told)
    except JournalCorruptError as error:
        good = error.last_good or 0
        found.wrong("journal", str(error))
        found.say("", f"records 1 to {good} can be kept" if good else "no record can be kept")
    _surroundings(found, directory, held, mark, told)
    if not found.problems and told.said is not None:
        there = _checkpoints(found, directory, told.said, told.checkpoints)
        found.lines += [f"{'a resume:':<13}{line}" for line in _resume(told.said, there, held)]
    return found


def _gathered(database: sqlite3.Connection, directory: Path, told: _Told, mark: tuple[int, bytes] | None) -> Iterator[Record]:
    for seq, payload, hashed in verified(database, directory):
        record = unpacked(directory, seq, payload)
        told.seq = seq
        if mark is not None and mark[0] == seq:
            told.marked = hashed
        if isinstance(record.stimulus, Opened):
            told.openings.append(record.stimulus)
        for event in record.happened:
            if isinstance(event, Reported | Finished | CheckpointSaved) and event.checkpoint is not None:
                told.checkpoints.add(event.checkpoint)
        told.follows.hear(record)
        yield record


def _build(found: Checkup, database: sqlite3.Connection) -> None:
    wrong = complaints(database)
    if wrong:
        found.wrong("database", f"damaged where no record is: {'; '.join(wrong)}")
    else:
        found.say("database", f"schema {SCHEMA_VERSION}, sound")


def _tables(found: Checkup, database: sqlite3.Connection, told: _Told) -> None:
    if told.said is None:
        return
    follows = told.follows.with_trials(told.said.trials)
    try:
        agree = tables.tallies(database) == follows
    except sqlite3.DatabaseError:
        agree = False
    if agree:
        counts = f"{follows.trials.count} trials, {follows.reports.count} reports and {follows.failures.count} failures"
        found.say("tables", f"{counts}, as the records say")
    else:
        found.wrong("tables", "they do not say what the records say, and are made again when the search is opened")


def _surroundings(found: Checkup, directory: Path, held: str | None, mark: tuple[int, bytes] | None, told: _Told) -> None:
    if mark is None and told.seq:
        gone = "is not there" if not (directory / HEAD_NAME).exists() else "cannot be read"
        found.say("head mark", f"{gone}: nobody can say whether the journal has lost its end. The next record makes it again")
    found.say("lock", f"held by {held}" if held is not None else "free: nobody writes this search")
    if held is None and any(log.exists() and log.stat().st_size for log in beside(directory / JOURNAL_NAME, "wal")):
        found.say("", "the process that wrote it last did not end by itself; its log is taken in when the search is opened")
    if told.said is None and (directory / REPAIR_NAME).exists():
        found.wrong("repair", "was cut off: run `asynctune repair` again")
    if told.openings:
        versions = Counter(opening.version for opening in told.openings)
        dates = [time.strftime("%Y-%m-%d %H:%M", time.localtime(opening.wall)) for opening in told.openings]
        listed = ", ".join(f"{version} ({count})" for version, count in versions.items())
        found.say("opened", f"first {dates[0]}, last {dates[-1]}; by asynctune {listed}")
    affected = (
        "" if _is_fixed(sqlite3.sqlite_version_info) else ", which can damage what two write at once: let nobody else write"
    )
    found.say("SQLite", f"{sqlite3.sqlite_version}{affected}")
    free = free_bytes(directory)
    if free is not None:
        found.say("disk", f"{free / 2**20:,.0f} MiB are free")


def _is_fixed(version: tuple[int, ...]) -> bool:
    least = _FIXED.get(version[:2])
    return version[2] >= least if least is not None else version >= (3, 52)


def _checkpoints(found: Checkup, directory: Path, said: Retold, recorded: set[CheckpointKey]) -> set[CheckpointKey]:
    """Say which checkpoints are there, and return them."""
    there = set(DirectoryStore(directory / "checkpoints").keys())
    unknown = len(there - recorded)
    text = f"{len(there)} are there" + (f", {unknown} of them in no record, to be removed when it is opened" if unknown else "")
    gone = list(dict.fromkeys(newest for *_, newest in said.checkpoints.values() if newest not in there))
    if gone:
        listed = ", ".join(f"trial {key.trial}, step {key.step}" for key in gone[:_NAMED])
        more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
        found.wrong("checkpoints", f"{text}; gone are those that unfinished trials would go on from: {listed}{more}")
    else:
        found.say("checkpoints", text)
    return there


def _resume(said: Retold, there: set[CheckpointKey], held: str | None) -> Iterator[str]:
    if held is not None:
        yield "is not possible while it is written"
        return
    ended = [trial for trial in said.trials if trial.state.ended]
    counts = Counter(trial.state.value for trial in ended)
    kept = " and ".join(f"{count} {state}" for state, count in counts.items()) or "no finished"
    over = f"; the search ended: {said.ended.reason}" if said.ended is not None else ""
    yield f"keeps {kept} trial{'' if len(ended) == 1 else 's'}{over}"
    for state, what in ((State.RUNNING, "was interrupted"), (State.RETRYING, "is tried again"), (State.PENDING, "waits")):
        trials = [trial for trial in said.trials if trial.state is state]
        for trial in trials[:_NAMED]:
            yield f"trial {trial.id} {what}, and {_from(said.checkpoints.get(trial.id, ()), there)}"
        if len(trials) > _NAMED:
            more = len(trials) - _NAMED
            yield f"and so do{'es' if more == 1 else ''} {more} more"


def _from(recorded: Sequence[CheckpointKey], there: set[CheckpointKey]) -> str:
    steps = [key.step for key in recorded if key in there]
    is_less = bool(recorded) and recorded[-1] not in there
    if steps:
        return f"goes on from its checkpoint of step {steps[-1]}" + (", as newer ones are gone" if is_less else "")
    return "goes on from the start" + (", as its checkpoints are gone" if is_less else "")
