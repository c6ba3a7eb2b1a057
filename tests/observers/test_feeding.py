"""How observers are fed: every event once, in order, in a thread of their own; whatever they do, the search goes on."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune import listening
from asynctune._engine import publication
from asynctune.errors import ConfigurationError
from asynctune.events import SearchEnded, SearchOpened
from asynctune.observers import Watched
from asynctune.testing.leftovers import nothing_left, snapshot
from tests.observers.searches import LOSS, Keeping, descend, search
from tests.search.trainables import steps


async def test_it_hears_every_event_once_and_in_order_and_leaves_nothing() -> None:
    before, watching = snapshot(), Keeping()
    (await search(observers=[watching])).close()
    nothing_left(before)
    assert watching.numbers == list(range(1, len(watching.events) + 1))
    kinds = [type(what) for event in watching.events for what in event.happened]
    assert kinds[0] is SearchOpened
    assert kinds[-1] is SearchEnded
    assert watching.calls == ["start", *["events"] * (len(watching.calls) - 2), "end"]


async def test_it_hears_all_of_it_in_one_thread_which_is_not_the_loops() -> None:
    one, other = Keeping(), Keeping()
    await search(observers=[one, other])
    assert one.numbers == other.numbers
    assert len(one.threads) == 1
    assert len(one.threads | other.threads | {threading.get_ident()}) == 3


async def test_it_is_shown_the_search(tmp_path: Path) -> None:
    first, second = Keeping(), Keeping()
    await search(observers=[first], storage=tmp_path, max_trials=2)
    await search(observers=[second], storage=tmp_path, max_trials=5)
    last = second.views[-1]
    assert (last.objective, last.directory, last.max_trials, last.workers) == (LOSS, tmp_path, 5, 4)
    assert [trial.state for trial in last.trials.values()] == [at.State.COMPLETED] * 5
    assert [view.resumed for view in (first.views[0], last)] == [False, True]
    assert last.now >= second.views[0].now >= first.events[-1].at > 0


async def test_it_begins_where_it_says(tmp_path: Path) -> None:
    whole = Keeping()
    await search(observers=[whole], storage=tmp_path, max_trials=2)
    known = len(whole.events)
    new, everything, later, never = Keeping(), Keeping(1), Keeping(known - 2), Keeping(10_000)
    await search(observers=[new, everything, later, never], storage=tmp_path, max_trials=4)
    assert new.numbers[0] == known + 1
    assert everything.numbers == [*whole.numbers, *new.numbers]
    assert everything.events[:known] == whole.events
    assert later.numbers[0] == known - 2
    assert never.calls == ["start", "end"]


@pytest.mark.fault(26)
async def test_one_that_is_far_behind_reads_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication, "_RECENT", 5)
    monkeypatch.setattr(publication, "_BLOCK", 3)
    for storage in (tmp_path, None):
        slow = Keeping()
        slow.interval = 3600
        await search(observers=[slow], storage=storage)
        assert slow.numbers == list(range(1, len(slow.events) + 1))
        assert len(slow.events) > 20


class Failing(Keeping):
    """Raises at these of its calls of `on_events`, counted from 0."""

    def __init__(self, *at_calls: int) -> None:
        super().__init__()
        self.at_calls, self.count = at_calls, -1

    def on_events(self, events: Sequence[at.Event], search: Watched) -> None:
        self.count += 1
        if self.count in self.at_calls:
            raise RuntimeError("no")
        super().on_events(events, search)


@pytest.mark.fault(23)
async def test_what_it_raised_at_is_given_again(caplog: pytest.LogCaptureFixture) -> None:
    watching, other = Failing(0, 2), Keeping()
    await search(observers=[watching, other])
    assert watching.numbers == other.numbers
    assert [record.message for record in caplog.records] == ["observer Failing raised; the search goes on"]
    assert "RuntimeError: no" in caplog.text


@pytest.mark.fault(23)
async def test_one_that_goes_on_raising_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    before, watching, other = snapshot(), Failing(*range(1000)), Keeping()
    result = await search(observers=[watching, other])
    assert result.best_trial is not None
    assert watching.count == 2
    assert watching.calls == ["start", "end"]
    assert isinstance(other.events[-1].happened[-1], SearchEnded)
    said = [record.message for record in caplog.records]
    assert said == [
        "observer Failing raised; the search goes on",
        "observer Failing is cut off after 3 failures in a row (the last: RuntimeError), behind event 0; the search goes on",
    ]
    assert caplog.records[-1].levelno == logging.ERROR
    result.close()
    nothing_left(before)


@pytest.mark.parametrize("where", ["on_start", "on_end"])
@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt])
@pytest.mark.fault(23)
async def test_whatever_it_raises_wherever(
    where: str, error: type[BaseException], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(self: Keeping, search: Watched) -> None:
        raise error("no")

    monkeypatch.setattr(Keeping, where, raises)
    watching = Keeping()
    assert (await search(observers=[watching])).best_trial is not None
    assert [record.message for record in caplog.records] == ["observer Keeping raised; the search goes on"]
    assert bool(watching.events) == (where == "on_end")


class HalfOpen(Keeping):
    def on_start(self, search: Watched) -> int | None:
        super().on_start(search)
        raise RuntimeError("the second thing cannot be opened")


async def test_what_could_not_begin_is_told_the_end_too_so_that_it_can_close_what_it_opened() -> None:
    half = HalfOpen()
    await search(observers=[half])
    assert half.calls == ["start", "end"]


async def test_a_first_number_that_is_none_is_said(caplog: pytest.LogCaptureFixture) -> None:
    wrong: Any = "1"
    watching = Keeping(wrong)
    await search(observers=[watching])
    assert watching.calls == ["start", "end"]
    assert "on_start() returns the number of an event, or None, not '1'" in caplog.text


class Stuck(Keeping):
    """Does not come back until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def on_events(self, events: Sequence[at.Event], search: Watched) -> None:
        self.released.wait()


@pytest.mark.fault(26)
async def test_one_that_never_comes_back_is_left_behind(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "DEADLINE", 0.2)
    before, stuck, other = snapshot(), Stuck(), Keeping()
    try:
        (await search(observers=[stuck, other])).close()
        assert "observer Stuck has not come to its end; it is left behind" in caplog.text
        assert other.calls[-1] == "end"
    finally:
        stuck.released.set()
    nothing_left(before)


async def test_a_second_cancel_does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "DEADLINE", 3600.0)
    monkeypatch.setattr(listening, "_HURRY", 0.05)
    running = asyncio.Event()
    before, stuck = snapshot(), Stuck()

    async def endless(trial: at.AsyncTrial) -> None:
        running.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(search(endless, observers=[stuck], limits=at.Limits(grace=0.05)))
    try:
        await running.wait()
        task.cancel()
        assert (await asyncio.wait([task], timeout=0.5))[1]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    finally:
        stuck.released.set()
    nothing_left(before, within=2)


async def test_a_cancelled_search_tells_its_observers_how_it_ended() -> None:
    running, watching, before = asyncio.Event(), Keeping(), snapshot()

    async def endless(trial: at.AsyncTrial) -> None:
        running.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(search(endless, observers=[watching], limits=at.Limits(grace=0.05)))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    nothing_left(before)
    assert isinstance(watching.events[-1].happened[-1], SearchEnded)
    assert watching.calls[-1] == "end"


async def test_a_search_that_cannot_be_opened_starts_none(tmp_path: Path) -> None:
    watching = Keeping()
    await search(storage=tmp_path)
    with pytest.raises(at.errors.ResumeError):
        await search(storage=tmp_path, resume="never", observers=[watching])
    assert watching.calls == []


def twice() -> list[Keeping]:
    return [Keeping()] * 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"observers": Keeping}, r"observers= takes a list"),
        ({"observers": Keeping()}, r"observers= takes a list"),
        ({"observers": [Keeping]}, r"write Keeping\(\.\.\.\)"),
        ({"observers": [print]}, r"subclasses of asynctune.Observer"),
        ({"observers": twice()}, "the same object twice"),
        ({"display": "yes"}, r"display= takes True or False"),
        ({"display": at.observers.Display()}, r"goes into observers="),
    ],
)
def test_what_is_no_observer_is_refused_before_anything_starts(options: dict[str, Any], said: str) -> None:
    before = snapshot()
    with pytest.raises(ConfigurationError, match=said):
        at.Search(descend, objective=LOSS, max_trials=1, **options)
    nothing_left(before)


@pytest.mark.process
async def test_with_processes(caplog: pytest.LogCaptureFixture) -> None:
    before, watching = snapshot(), Keeping()
    (await search(steps, executor=at.LocalExecutor(2), observers=[watching])).close()
    nothing_left(before)
    assert watching.numbers == list(range(1, len(watching.events) + 1))
    assert isinstance(watching.events[-1].happened[-1], SearchEnded)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
