"""The query tables: the trials, their reports and the attempts that failed, as rows for SQL. Written in the transaction of the
records they follow from, and made again from the records whenever the two do not agree."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping

from asynctune.events import AttemptFailed, GaveUp, Happening, Reported
from asynctune.records import TrialView, Value

__all__ = ["SCHEMA", "clear", "write_happened", "write_trials"]

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
create table failures (
    trial integer not null, launch integer not null, at real not null, kind text not null, message text not null,
    error_type text, exit_code integer, signal integer, log text, primary key (trial, launch)
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


def _integer(number: int | None) -> int | None:
    """A trial may exit with any number, and SQLite has 64 bits for one."""
    return number if number is not None and -(2**63) <= number < 2**63 else None


def write_trials(database: sqlite3.Connection, trials: Iterable[TrialView]) -> None:
    """Write the rows of these trials as they stand."""
    database.executemany(
        "insert or replace into trials values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                trial.id,
                trial.state.value,
                trial.score,
                trial.step,
                _json(trial.values),
                _json(trial.metrics),
                trial.attempt,
                trial.launches,
                _optional(trial.stop_reason),
                _optional(trial.hold),
                trial.failure.kind.value if trial.failure else None,
                _text(trial.failure.message) if trial.failure else None,
                trial.created,
                trial.started,
                trial.ended,
            )
            for trial in trials
        ],
    )


def write_happened(database: sqlite3.Connection, happened: Iterable[tuple[float, Happening]]) -> None:
    """Write a row for every report, and for every attempt that failed, among what happened, each with its search time."""
    reports, failures = [], []
    for at, event in happened:
        if isinstance(event, Reported):
            reports.append(_report_row(at, event))
        elif isinstance(event, AttemptFailed | GaveUp):
            failures.append(_failure_row(at, event))
    database.executemany("insert or replace into reports values (?, ?, ?, ?, ?, ?, ?)", reports)
    if failures:
        database.executemany("insert or replace into failures values (?, ?, ?, ?, ?, ?, ?, ?, ?)", failures)


def _report_row(at: float, event: Reported) -> tuple[object, ...]:
    return event.trial, event.launch, event.step, at, _json(event.metrics), event.judged, event.checkpoint is not None


def _failure_row(at: float, event: AttemptFailed | GaveUp) -> tuple[object, ...]:
    why = event.failure
    told = (why.kind.value, _text(why.message), _optional(why.error_type))
    return event.trial, event.launch, at, *told, _integer(why.exit_code), _integer(why.signal), _optional(why.log)


def clear(database: sqlite3.Connection) -> None:
    """Empty all of them."""
    for table in ("trials", "reports", "failures"):
        database.execute(f"delete from {table}")  # noqa: S608 -- these three
