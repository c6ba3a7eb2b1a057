"""The query tables: what they say is what the records say, and when they do not, they are made again."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from asynctune._engine import tables
from asynctune._engine.journal import DiskJournal
from asynctune._engine.opening import fold
from asynctune._engine.record import Record
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import Ticked
from asynctune.errors import JournalError
from asynctune.events import AttemptFailed, GaveUp, Paused, Reported
from asynctune.failure import Failure, FailureKind
from asynctune.records import State, TrialView
from asynctune.schedulers import FIFO
from tests.journal.written import execute, records_of, write

SEEDS = range(8)
FAILED = "trial, launch, at, kind, message, error_type, exit_code, signal"


def views_of(records: list[Record]) -> list[TrialView]:
    machine = Machine(FIFO())
    fold(machine, records)
    return [machine.book.view(trial) for trial in machine.book.trials.values()]


def contents(directory: Path) -> list[list[tuple[object, ...]]]:
    ordered = {"trials": "id", "reports": "trial, launch, step", "failures": "trial, launch"}
    return [execute(directory, f"select * from {table} order by {order}") for table, order in ordered.items()]  # noqa: S608


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(tables.SCHEMA)
    yield connection
    connection.close()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [1, 9])
def test_the_tables_say_what_the_records_say(tmp_path: Path, seed: int, size: int) -> None:
    records = records_of(seed)
    write(tmp_path, records, size)
    query = 'select id, state, score, step, "values", metrics, attempt, launches, stop_reason, failure, created, started, ended'
    rows = execute(tmp_path, f"{query} from trials order by id")
    assert rows == [
        (
            view.id,
            view.state.value,
            view.score,
            view.step,
            json.dumps(dict(view.values)),
            None
            if view.metrics is None
            else json.dumps({k: v if math.isfinite(v) else str(v) for k, v in view.metrics.items()}),
            view.attempt,
            view.launches,
            view.stop_reason,
            None if view.failure is None else view.failure.message,
            view.created,
            view.started,
            view.ended,
        )
        for view in sorted(views_of(records), key=lambda view: view.id)
    ]
    reported = sorted(
        (event.trial, event.launch, event.step, record.stimulus.at, event.judged, event.checkpoint is not None)
        for record in records
        for event in record.happened
        if isinstance(event, Reported)
    )
    assert execute(tmp_path, "select trial, launch, step, at, judged, checkpoint from reports order by 1, 2, 3") == reported
    failed = [
        (event.trial, event.launch, record.stimulus.at, why.kind.value, why.message, why.error_type, why.exit_code, why.signal)
        for record in records
        for event in record.happened
        if isinstance(event, AttemptFailed | GaveUp | Paused) and (why := event.failure) is not None
    ]
    assert execute(tmp_path, f"select {FAILED} from failures order by trial, launch") == sorted(failed)  # noqa: S608


@pytest.mark.parametrize("seed", SEEDS)
def test_tables_that_were_made_again_are_the_same(tmp_path: Path, seed: int) -> None:
    records = records_of(seed)
    write(tmp_path, records)
    before = contents(tmp_path)
    journal = DiskJournal(tmp_path)
    assert views_of(list(journal.records())) == views_of(records) or any("nan" in str(row) for row in before[1])
    assert journal.tables_agree(views_of(records))
    journal.rebuild(journal.records(), views_of(records))
    assert journal.tables_agree(views_of(records))
    journal.close()
    assert contents(tmp_path) == before


def test_tables_that_do_not_agree_are_noticed_and_made_again(tmp_path: Path) -> None:
    records = records_of(3)
    write(tmp_path, records)
    before = contents(tmp_path)
    execute(tmp_path, "delete from trials where id = 1")
    journal = DiskJournal(tmp_path)
    list(journal.records())
    assert not journal.tables_agree(views_of(records))
    journal.rebuild(journal.records(), views_of(records))
    assert journal.tables_agree(views_of(records))
    journal.close()
    assert contents(tmp_path) == before


def test_tables_that_are_behind_their_records_do_not_agree(tmp_path: Path) -> None:
    records = records_of(3)
    write(tmp_path, records[:20], 10)
    write_more = DiskJournal(tmp_path)
    list(write_more.records())
    write_more.append(records[20:30], [])
    write_more.close()
    journal = DiskJournal(tmp_path)
    list(journal.records())
    assert not journal.tables_agree(views_of(records))
    journal.close()


def test_a_new_search_has_tables_that_agree(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path)
    list(journal.records())
    assert journal.tables_agree([])
    journal.close()


def test_making_them_again_is_all_or_nothing(tmp_path: Path) -> None:
    records = records_of(3)
    write(tmp_path, records)
    before = contents(tmp_path)
    execute(tmp_path, "create trigger t before insert on reports begin select raise(abort, 'the disk says no'); end")
    journal = DiskJournal(tmp_path)
    list(journal.records())
    with pytest.raises(JournalError, match="the disk says no"):
        journal.rebuild(journal.records(), views_of(records))
    assert contents(tmp_path) == before
    assert len(list(journal.records())) == len(records)
    assert journal.tables_agree(views_of(records))
    journal.close()


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    "change",
    [
        "update trials set score = score + 1e-9 where score is not null",
        "update trials set stop_reason = 'x' where id = 0",
        "update trials set id = 1000 where id = 0",
        "update reports set metrics = replace(metrics, '0', '1')",
        "update reports set judged = 1 - judged",
        "delete from reports where step = 1",
        "insert into reports select trial, launch, step + 1000, at, metrics, judged, checkpoint from reports limit 1",
        "update trials set failure = cast(x'ff' as text)",
        "update failures set message = 'x'",
        "delete from failures",
    ],
)
def test_values_that_were_changed_are_seen_and_made_again(
    tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    records = records_of(3)
    write(tmp_path, records)
    before = contents(tmp_path)
    execute(tmp_path, change)
    journal = DiskJournal(tmp_path)
    list(journal.records())
    assert not journal.tables_agree(views_of(records))
    journal.settle(views_of(records))
    assert journal.tables_agree(views_of(records))
    journal.close()
    assert contents(tmp_path) == before
    assert "the query tables did not say what the records say" in caplog.text


def test_tables_that_agree_are_left_as_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records = records_of(3)
    write(tmp_path, records)
    journal = DiskJournal(tmp_path)
    list(journal.records())
    journal.settle(views_of(records))
    journal.close()
    assert caplog.text == ""


# --------------------------------------------------------------------------------------------------- odd things in rows


VIEW = TrialView(id=0, state=State.COMPLETED, values={"x": 1})


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ({"loss": math.nan, "up": math.inf, "down": -math.inf}, '{"loss": "nan", "up": "inf", "down": "-inf"}'),
        ({"π": 0.5}, None),
        ({"\ud800": 0.5}, None),
        ({}, "{}"),
    ],
)
def test_metrics_are_json_that_the_database_itself_can_read(
    database: sqlite3.Connection, metrics: dict[str, float], text: str | None
) -> None:
    tables.write_trials(database, [evolve(VIEW, metrics=metrics)])
    happened = (Reported(trial=0, launch=1, step=1, metrics=metrics),)
    tables.write_happened(database, [Record(seq=1, stimulus=Ticked(at=0.5), happened=happened)])
    for table in ("trials", "reports"):
        ((stored, valid, count),) = database.execute(
            f"select metrics, json_valid(metrics), (select count(*) from json_each(metrics)) from {table}"  # noqa: S608
        ).fetchall()
        assert (valid, count) == (1, len(metrics))
        assert text in (None, stored)


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "“…”", ""])
@pytest.mark.parametrize("where", ["stop_reason", "hold", "failure"])
def test_any_text_can_be_a_row(database: sqlite3.Connection, text: str, where: str) -> None:
    value: Any = Failure(kind=FailureKind.RAISED, message=text) if where == "failure" else text
    tables.write_trials(database, [evolve(VIEW, **{where: value})])
    ((stored,),) = database.execute(f"select {where} from trials").fetchall()  # noqa: S608
    assert stored == text.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "“…”", ""])
@pytest.mark.parametrize(("code", "stored_code"), [(2**63 - 1, 2**63 - 1), (2**64 - 1, None), (-(2**63) - 1, None)])
def test_any_failure_can_be_a_row(database: sqlite3.Connection, text: str, code: int, stored_code: int | None) -> None:
    said: dict[str, Any] = {"message": text, "error_type": text, "log": text, "traceback": text, "tail": text}
    why = Failure(kind=FailureKind.EXITED, exit_code=code, **said)
    happened = (GaveUp(trial=0, launch=1, failure=why),)
    tables.write_happened(database, [Record(seq=1, stimulus=Ticked(at=0.5), happened=happened)])
    stored = text.encode("utf-8", "backslashreplace").decode()
    rows = database.execute(f"select {FAILED}, log, traceback, tail from failures").fetchall()  # noqa: S608
    assert rows == [(0, 1, 0.5, "exited", stored, stored, stored_code, None, stored, stored, stored or None)]


def test_any_value_can_be_a_row(database: sqlite3.Connection) -> None:
    values = {"big": 2**63 - 1, "low": -(2**63), "float": 5e-324, "none": None, "yes": True, "text": "é\ud800"}
    tables.write_trials(database, [evolve(VIEW, values=values, score=5e-324, step=2**63 - 1)])
    ((stored,),) = database.execute('select "values" from trials').fetchall()
    assert json.loads(stored) == values
