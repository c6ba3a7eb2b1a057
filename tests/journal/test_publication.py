"""What is published is read by cursor: every event once, in order, by everybody, however slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from asynctune._engine import publication
from asynctune._engine.journal import DiskJournal, MemoryJournal, read_records
from asynctune._engine.publication import Publication
from asynctune._engine.record import Record, event_of
from asynctune._machine.stimuli import Ticked
from asynctune.errors import JournalError
from asynctune.events import Event
from asynctune.records import TrialView
from tests.journal.written import batches, records_of, write

RECORDS = records_of(2)  # one without NaN, which is equal to nothing
EVENTS = [event_of(record) for record in RECORDS]
Read = Callable[[int, int], list[Record]]


def nothing(after: int, limit: int) -> list[Record]:
    raise AssertionError("the journal is not needed for this")


def ticks(count: int) -> list[Record]:
    return [Record(seq=seq, stimulus=Ticked(at=float(seq)), happened=()) for seq in range(1, count + 1)]


async def some(events: AsyncIterator[Event], count: int) -> list[Event]:
    return [await anext(events) for _ in range(count)]


async def all_of(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


async def spin() -> None:
    """Let everybody go as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


def told(*records: Record, read: Read = nothing) -> Publication:
    published = Publication(read)
    published.publish(records, [])
    return published


async def test_what_was_and_what_comes_is_one_sequence() -> None:
    published = told(*RECORDS[:10])
    reading = asyncio.create_task(all_of(published.events(0)))
    await spin()
    for record in RECORDS[10:]:
        published.publish([record], [])
        await spin()
    published.end()
    assert await reading == EVENTS


@pytest.mark.parametrize("after", [0, 1, 7, len(RECORDS) - 1, len(RECORDS), len(RECORDS) + 5])
async def test_a_cursor_begins_where_it_is_told(after: int) -> None:
    published = told(*RECORDS)
    published.end()
    assert await all_of(published.events(after)) == EVENTS[after:]


async def test_a_cursor_that_begins_in_the_future_waits_for_it() -> None:
    published = told(*RECORDS[:5])
    reading = asyncio.create_task(all_of(published.events(8)))
    for record in RECORDS[5:]:
        published.publish([record], [])
        await spin()
    published.end()
    assert await reading == EVENTS[8:]


async def test_each_has_its_own_cursor() -> None:
    published = told(*RECORDS[:20])
    one, other = published.events(0), published.events(3)
    assert await some(one, 2) == EVENTS[:2]
    assert await some(other, 5) == EVENTS[3:8]
    assert await some(one, 2) == EVENTS[2:4]


async def test_one_that_waits_is_woken_by_the_next_record_and_by_the_end() -> None:
    published = told(*RECORDS[:1])
    events = published.events(1)
    waiting = asyncio.ensure_future(anext(events))
    await spin()
    assert not waiting.done()
    published.publish(RECORDS[1:2], [])
    assert await waiting == EVENTS[1]
    last = asyncio.ensure_future(anext(events))
    await spin()
    published.end()
    with pytest.raises(StopAsyncIteration):
        await last


async def test_one_that_stops_waiting_leaves_nothing() -> None:
    published = told()
    waiting = asyncio.ensure_future(anext(published.events(0)))
    await spin()
    assert len(published._waiters) == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert published._waiters == set()


@pytest.mark.fault(26)
async def test_one_that_is_far_behind_reads_from_the_journal_and_misses_nothing(tmp_path: Path) -> None:
    journal, groups = DiskJournal(tmp_path), batches(RECORDS, 4)
    list(journal.records())
    reads: list[int] = []

    def read(after: int, limit: int) -> list[Record]:
        reads.append(after)
        return read_records(tmp_path, after, limit)

    published = Publication(read)
    slow = published.events(0)
    seen: list[Event] = []
    for group, trials in groups:
        journal.append(group, trials)
        published._recent.clear()  # as if 4096 others had come since
        published.publish(group, trials)
        seen += await some(slow, 1)
    published.end()
    seen += await all_of(slow)
    journal.close()
    assert seen == EVENTS
    assert reads


@pytest.mark.fault(26)
async def test_the_nearest_past_is_in_memory_and_no_more_of_it_than_is_said() -> None:
    most = publication._RECENT
    records = ticks(most * 2 + 10)
    journal = MemoryJournal()
    journal.append(records, [])
    reads: list[tuple[int, int]] = []

    def read(after: int, limit: int) -> list[Record]:
        reads.append((after, limit))
        return journal.read(after, limit)

    published = told(*records, read=read)
    published.end()
    assert len(published._recent) == most
    assert [event.seq for event in await all_of(published.events(0))] == list(range(1, len(records) + 1))
    assert 0 < len(reads) <= most // publication._BLOCK + 2
    reads.clear()
    assert len(await all_of(published.events(len(records) - most))) == most
    assert reads == []


@pytest.mark.fault(26)
async def test_one_that_is_slow_keeps_nobody_waiting() -> None:
    published = told(*ticks(3))
    slow = published.events(0)
    await some(slow, 1)
    for record in ticks(1000)[3:]:
        published.publish([record], [])
    fast = await some(published.events(0), 1000)
    assert [event.seq for event in fast] == list(range(1, 1001))
    assert [event.seq for event in await some(slow, 999)] == list(range(2, 1001))


async def test_a_search_that_is_opened_again_has_its_past_too(tmp_path: Path) -> None:
    write(tmp_path, RECORDS[:20])
    trials = [trial for _, views in batches(RECORDS[:20], 20) for trial in views]
    published = Publication(lambda after, limit: read_records(tmp_path, after, limit))
    published.start(20, trials)
    published.publish(RECORDS[20:], [])
    published.end()
    assert await all_of(published.events(0)) == EVENTS
    assert await all_of(published.events(18)) == EVENTS[18:]
    assert published.trials.keys() == {trial.id for trial in trials}


async def test_what_is_committed_and_not_yet_published_is_not_read_from_the_journal() -> None:
    def read(after: int, limit: int) -> list[Record]:
        return RECORDS[after : after + limit]  # all of them are written

    published = Publication(read)
    published.start(4, [])  # opened again: its past is in the journal only
    assert published.take(0) == RECORDS[:4]
    assert published.take(1, 2) == RECORDS[1:3]
    reading = asyncio.create_task(some(published.events(0), 5))
    while not published._waiters:
        await asyncio.sleep(0)
    published.publish(RECORDS[4:6], [])
    assert await reading == EVENTS[:5]
    assert published.take(0) == RECORDS[:6]


async def test_trials_are_shown_as_they_stood_when_they_were_last_published() -> None:
    published = Publication(nothing)
    shown: dict[int, TrialView] = {}
    for group, views in batches(RECORDS, 6):
        published.publish(group, views)
        shown |= {view.id: view for view in views}
        assert published.trials == shown


@pytest.mark.parametrize("found", [[], RECORDS[:1]])
async def test_a_journal_that_has_lost_what_was_published_is_an_error_and_no_endless_search_for_it(
    found: Sequence[Record],
) -> None:
    published = Publication(lambda after, limit: list(found[after:]))
    published.start(5, [])
    with pytest.raises(JournalError, match=r"event \d of 5 is not in the journal any more"):
        await all_of(published.events(0))
