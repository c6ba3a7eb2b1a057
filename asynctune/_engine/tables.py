"""The query tables: the trials and their reports as rows, for SQL. Written in the transaction of the records they follow from,
and made again from the records whenever the two do not agree."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from attrs import define

from asynctune._engine.record import Record
from asynctune.events import Reported
from asynctune.records import TrialView, Value

__all__ = ["SCHEMA", "Row", "Tally", "clear", "report_rows", "tally", "trial_row", "write_reports", "write_trials"]

SCHEMA = """
create table trials (
    id integer primary key, state text not null, score real, step integer not null, "values" text not null,
    metrics text, attempt integer not null, launches integer not null, stop_reason text, hold text,
    failure_kind text, failure text, created real not null, started real, ended real
) strict;
create table reports (
    trial integer not null, launch integer not null, step integer not null, at real not null, metrics text not null,
    judged integer not null, checkpoint integer not null, primary key (trial, launch, step)
) strict, without rowid;
"""


_encode = json.JSONEncoder(ensure_ascii=False).encode  # `json.dumps` would make an encoder for every row


def _json(values: Mapping[str, Value] | Mapping[str, float] | None) -> str | None:
    """Strict JSON: SQLite's own functions must be able to read it, so what is not finite is written as a string."""
    if values is None:
        return None
    finite = {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
    return _text(_encode(finite))


def _text(text: str) -> str:
    """Lone surrogates have no form in UTF-8; the escape that takes their place is JSON's, too."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


Row: TypeAlias = tuple[object, ...]


def trial_row(trial: TrialView) -> Row:
    """The row of a trial, as it is read again."""
    return (
        trial.id,
        trial.state.value,
        _real(trial.score),
        trial.step,
        _json(trial.values),
        _json(trial.metrics),
        trial.attempt,
        trial.launches,
        _text(trial.stop_reason) if trial.stop_reason is not None else None,
        _text(trial.hold) if trial.hold is not None else None,
        trial.failure.kind.value if trial.failure else None,
        _text(trial.failure.message) if trial.failure else None,
        _real(trial.created),
        _real(trial.started),
        _real(trial.ended),
    )


def _real(number: float | None) -> float | None:
    """SQLite has no NaN, and no zero with a sign."""
    return None if number is None or math.isnan(number) else float(number) + 0.0


def report_rows(records: Iterable[Record]) -> Iterator[Row]:
    """The rows of the reports in these records, as they are read again."""
    for record in records:
        for event in record.happened:
            if isinstance(event, Reported):
                checkpoint, at = int(event.checkpoint is not None), _real(record.stimulus.at)
                yield event.trial, event.launch, event.step, at, _json(event.metrics), int(event.judged), checkpoint


def write_trials(database: sqlite3.Connection, trials: Iterable[TrialView]) -> None:
    """Write the rows of these trials as they stand."""
    statement = "insert or replace into trials values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    database.executemany(statement, map(trial_row, trials))


def write_reports(database: sqlite3.Connection, records: Iterable[Record]) -> None:
    """Write a row for every report in these records."""
    database.executemany("insert or replace into reports values (?, ?, ?, ?, ?, ?, ?)", report_rows(records))


@define
class Tally:
    """What rows come to, in any order: two tables with the same tally hold the same rows."""

    count: int = 0
    total: int = 0

    def add(self, row: Row) -> None:
        """One more row."""
        self.count += 1
        hashed = hashlib.blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        self.total = (self.total + int.from_bytes(hashed)) % (1 << 128)


def tally(database: sqlite3.Connection) -> tuple[Tally, Tally]:
    """What the rows of trials and of reports come to."""
    found = Tally(), Tally()
    for each, table in zip(found, ("trials", "reports"), strict=True):
        for row in database.execute(f"select * from {table}"):  # noqa: S608 -- one of two names
            each.add(row)
    return found


def clear(database: sqlite3.Connection) -> None:
    """Empty both tables."""
    database.execute("delete from trials")
    database.execute("delete from reports")
