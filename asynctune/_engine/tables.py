"""The query tables: the trials, their reports and the launches that failed or were lost, as rows for SQL.

Written in the transaction of the records they follow from, and made again from the records whenever the two do not agree.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from attrs import define, field

from asynctune._engine.record import Record
from asynctune.events import AttemptFailed, GaveUp, Paused, Reported
from asynctune.failure import Failure
from asynctune.records import TrialView, Value

__all__ = ["SCHEMA", "Tallies", "Tally", "clear", "tallies", "write_happened", "write_trials"]

SCHEMA = """
create table trials (
    id integer primary key, state text not null, score real, step integer not null, "values" text not null,
    metrics text, attempt integer not null, launches integer not null, stop_reason text, hold text,
    failure_kind text, failure text, created real not null, started real, ended real, violates text
) strict;
create table reports (
    trial integer not null, launch integer not null, step integer not null, at real not null, metrics text not null,
    judged integer not null, checkpoint integer not null, primary key (trial, launch, step)
) strict, without rowid;
create table failures (
    trial integer not null, launch integer not null, at real not null, kind text not null, message text not null,
    error_type text, exit_code integer, signal integer, log text, traceback text, tail text, primary key (trial, launch)
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


def _optional(text: str | None) -> str | None:
    return None if text is None else _text(text)


def _real(number: float | None) -> float | None:
    """SQLite has no NaN, and no zero with a sign."""
    return None if number is None or math.isnan(number) else float(number) + 0.0


def _integer(number: int | None) -> int | None:
    """A trial may exit with any number, and SQLite has 64 bits for one."""
    return number if number is not None and -(2**63) <= number < 2**63 else None


# ------------------------------------------------------------------------------- rows, as they are read again


Row: TypeAlias = tuple[object, ...]


def _trial_row(trial: TrialView) -> Row:
    return (
        trial.id,
        trial.state.value,
        _real(trial.score),
        trial.step,
        _json(trial.values),
        _json(trial.metrics),
        trial.attempt,
        trial.launches,
        _optional(trial.stop_reason),
        _optional(trial.hold),
        trial.failure.kind.value if trial.failure else None,
        _text(trial.failure.message) if trial.failure else None,
        _real(trial.created),
        _real(trial.started),
        _real(trial.ended),
        _text(_encode(list(trial.violates))) if trial.violates else None,
    )


def _report_row(at: float, event: Reported) -> Row:
    checkpoint = int(event.checkpoint is not None)
    return event.trial, event.launch, event.step, _real(at), _json(event.metrics), int(event.judged), checkpoint


def _failure_row(at: float, event: AttemptFailed | GaveUp | Paused, why: Failure) -> Row:
    told = (why.kind.value, _text(why.message), _optional(why.error_type), _integer(why.exit_code), _integer(why.signal))
    written = (_optional(why.log), _optional(why.traceback), _optional(why.tail or None))
    return event.trial, event.launch, _real(at), *told, *written


def _happened_rows(records: Iterable[Record]) -> tuple[list[Row], list[Row]]:
    """The rows of the reports in these records, and those of the launches that failed or were lost."""
    reports, failures = list[Row](), list[Row]()
    for record in records:
        for event in record.happened:
            if isinstance(event, Reported):
                reports.append(_report_row(record.stimulus.at, event))
            elif isinstance(event, AttemptFailed | GaveUp | Paused) and event.failure is not None:
                failures.append(_failure_row(record.stimulus.at, event, event.failure))
    return reports, failures


# ------------------------------------------------------------------------------------------ to write and to compare


def write_trials(database: sqlite3.Connection, trials: Iterable[TrialView]) -> None:
    """Write the rows of these trials as they stand."""
    statement = "insert or replace into trials values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    database.executemany(statement, map(_trial_row, trials))


def write_happened(database: sqlite3.Connection, records: Iterable[Record]) -> None:
    """Write a row for every report, and for every launch that failed or was lost, in these records. They are read to the end
    first."""
    reports, failures = _happened_rows(records)
    database.executemany("insert or replace into reports values (?, ?, ?, ?, ?, ?, ?)", reports)
    if failures:
        database.executemany("insert or replace into failures values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", failures)


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


@define
class Tallies:
    """What the rows of each table come to."""

    trials: Tally = field(factory=Tally)
    reports: Tally = field(factory=Tally)
    failures: Tally = field(factory=Tally)

    def hear(self, record: Record) -> None:
        """Add the rows of what happened in this record."""
        reports, failures = _happened_rows((record,))
        for row in reports:
            self.reports.add(row)
        for row in failures:
            self.failures.add(row)

    def with_trials(self, trials: Iterable[TrialView]) -> Tallies:
        """The same, with the rows of these trials in the place of any others."""
        tally = Tally()
        for trial in trials:
            tally.add(_trial_row(trial))
        return Tallies(tally, self.reports, self.failures)


def tallies(database: sqlite3.Connection) -> Tallies:
    """What the rows that are there come to."""
    found = Tallies()
    for each, table in ((found.trials, "trials"), (found.reports, "reports"), (found.failures, "failures")):
        for row in database.execute(f"select * from {table}"):  # noqa: S608 -- one of three names
            each.add(row)
    return found


def clear(database: sqlite3.Connection) -> None:
    """Empty all of them."""
    for table in ("trials", "reports", "failures"):
        database.execute(f"delete from {table}")  # noqa: S608 -- these three
