"""The query tables: the trials and their reports as rows, for SQL. Written in the transaction of the records they follow from,
and made again from the records whenever the two do not agree."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping

from asynctune.events import Happening, Reported
from asynctune.records import TrialView, Value

__all__ = ["SCHEMA", "clear", "write_reports", "write_trials"]

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
                _text(trial.stop_reason) if trial.stop_reason is not None else None,
                _text(trial.hold) if trial.hold is not None else None,
                trial.failure.kind.value if trial.failure else None,
                _text(trial.failure.message) if trial.failure else None,
                trial.created,
                trial.started,
                trial.ended,
            )
            for trial in trials
        ],
    )


def write_reports(database: sqlite3.Connection, happened: Iterable[tuple[float, Happening]]) -> None:
    """Write a row for every report among what happened, each with its search time."""
    database.executemany(
        "insert or replace into reports values (?, ?, ?, ?, ?, ?, ?)",
        [
            (event.trial, event.launch, event.step, at, _json(event.metrics), event.judged, event.checkpoint is not None)
            for at, event in happened
            if isinstance(event, Reported)
        ],
    )


def clear(database: sqlite3.Connection) -> None:
    """Empty both tables."""
    database.execute("delete from trials")
    database.execute("delete from reports")
