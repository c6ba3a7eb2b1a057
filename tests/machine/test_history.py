"""The history checker: it takes every history that was, and names what is wrong with one that cannot have been."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from asynctune._engine.record import Record
from asynctune._machine.stimuli import Heard, LaunchEnded, Opened, StopAsked
from asynctune.errors import StorageError
from asynctune.events import (
    AttemptFailed,
    CheckpointGone,
    Finished,
    Happening,
    Reported,
    SearchEnded,
    SearchOpened,
    Started,
    Stopped,
    TrialAdded,
)
from asynctune.messages import MetricsReported, TrialReturned
from asynctune.oracles import RandomSearch
from asynctune.policies import FailurePolicy
from asynctune.records import CheckpointKey, State, Suggestion, TrialId
from asynctune.schedulers import FIFO, MedianStopping
from asynctune.space import Float
from asynctune.testing import HistoryError, HistoryRule, check_history
from tests.journal.written import write
from tests.machine.driven import Driven
from tests.machine.stories import Promoter, story
from tests.many import few


def whole() -> list[Record]:
    """Two trials on two slots. Trial 0 saves a checkpoint, is lost, and goes on; trial 1 fails once, and is tried again."""
    driven = Driven(slots=2, max_trials=2, failure=FailurePolicy(max_retries_per_trial=1))
    driven.open()
    driven.grant()
    driven.suggest(x=1)
    driven.grant()
    driven.suggest(x=2)
    driven.at = 1.0
    driven.report(0, 1, loss=3.0, checkpoint=True)
    driven.report(0, 2, loss=2.0)
    driven.raised(1)
    driven.at = 2.0
    driven.open()
    driven.grant()
    driven.grant()
    driven.report(0, 2, loss=2.0, checkpoint=True)
    driven.report(0, 3, loss=1.0)
    driven.returned(0, loss=0.5)
    driven.returned(1, loss=4.0)
    assert driven.machine.over
    return driven.records


def number_of(records: Sequence[Record], kind: type[Happening], trial: TrialId | None = None, nth: int = 0) -> int:
    """Where the n-th happening of this kind is (from the end, if negative)."""
    found = [
        i
        for i, record in enumerate(records)
        if any(isinstance(each, kind) and trial in (None, getattr(each, "trial", None)) for each in record.happened)
    ]
    return found[nth]


def changed(
    records: list[Record], kind: type[Happening], *, trial: TrialId | None = None, nth: int = 0, **to: Any
) -> list[Record]:
    """The records with one happening changed."""
    where = number_of(records, kind, trial, nth)
    happened = [
        evolve(each, **to) if isinstance(each, kind) and trial in (None, getattr(each, "trial", None)) else each
        for each in records[where].happened
    ]
    return [*records[:where], evolve(records[where], happened=tuple(happened)), *records[where + 1 :]]


def put_in(records: list[Record], where: int, *happened: Happening) -> list[Record]:
    """The records with something more in one of them."""
    one = records[where]
    return [*records[:where], evolve(one, happened=(*one.happened, *happened)), *records[where + 1 :]]


def renumbered(records: list[Record]) -> list[Record]:
    return [evolve(record, seq=seq) for seq, record in enumerate(records, 1)]


def without(records: list[Record], where: int) -> list[Record]:
    return renumbered([*records[:where], *records[where + 1 :]])


def twice(records: list[Record], where: int) -> list[Record]:
    return renumbered([*records[: where + 1], *records[where:]])


def told(records: list[Record], where: int, **to: Any) -> list[Record]:
    """The records with another stimulus in one of them."""
    return [*records[:where], evolve(records[where], stimulus=evolve(records[where].stimulus, **to)), *records[where + 1 :]]


def in_settings(records: list[Record], **to: Any) -> list[Record]:
    """The records, opened with other settings."""
    opened = [i for i, record in enumerate(records) if isinstance(record.stimulus, Opened)]
    for where in opened:
        stimulus = records[where].stimulus
        assert isinstance(stimulus, Opened)
        records = told(records, where, settings=evolve(stimulus.settings, **to))
    return records


def in_opening(records: list[Record], happening: Happening) -> list[Record]:
    """The records, where this happened too when the search was opened again."""
    where = number_of(records, SearchOpened, nth=1)
    again = evolve(records[where], happened=(*records[where].happened, happening))
    return [*records[:where], again, *records[where + 1 :]]


def late(records: list[Record]) -> list[Record]:
    """The launch that was lost reports once more, after the search was opened again."""
    old = next(r for r in records if isinstance(r.stimulus, Heard))
    where = number_of(records, SearchOpened, nth=1)
    again = evolve(old, stimulus=evolve(old.stimulus, at=records[where].stimulus.at), happened=())
    return renumbered([*records[: where + 1], again, *records[where + 1 :]])


def from_before(records: list[Record]) -> list[Record]:
    """What the launch that runs reports is put down to the one before."""
    return changed(records, Reported, trial=0, nth=-1, launch=1)


def left_out(records: list[Record], kind: type[Happening], trial: TrialId) -> list[Record]:
    """The records without one happening."""
    where = number_of(records, kind, trial)
    kept = [each for each in records[where].happened if not isinstance(each, kind)]
    return [*records[:where], evolve(records[where], happened=tuple(kept)), *records[where + 1 :]]


def one_more_runs(records: list[Record]) -> list[Record]:
    """The search ends while its last trial runs."""
    end = records[-1].happened[-1]
    return [*records[: number_of(records, Finished, 1)][:-1], evolve(records[-2], happened=(*records[-2].happened, end))]


KEY = CheckpointKey(0, 1, 1)
ANOTHERS = CheckpointKey(1, 1, 1)
RESULT = TrialReturned(trial=0, launch=2, metrics={"loss": 0.625})
BROKEN: Mapping[str, tuple[HistoryRule, Callable[[list[Record]], list[Record]]]] = {
    "a record is missing": ("order", lambda records: [*records[:5], *records[6:]]),
    "the first is missing": ("order", lambda records: records[1:]),
    "time goes back": ("order", lambda records: told(records, 12, at=0.5)),
    "it was never opened": ("openings", lambda records: without(records, 0)),
    "openings are miscounted": ("openings", lambda records: changed(records, SearchOpened, nth=1, times=3)),
    "an opening opens nothing": ("openings", lambda r: [evolve(r[0], happened=()), *r[1:]]),
    "it goes on behind its end": ("openings", lambda r: renumbered([*r, r[-2]])),
    "something happens behind the end": ("openings", lambda r: put_in(r, len(r) - 1, SearchOpened(times=3))),
    "a trial is added twice": ("law", lambda r: put_in(r, 6, TrialAdded(trial=1, values={}, ask=None))),
    "a trial was never added": ("law", lambda r: left_out(r, TrialAdded, 1)),
    "a report behind a failure": ("law", lambda r: put_in(r, 7, Reported(trial=1, launch=1, step=1, metrics={"loss": 1.0}))),
    "a trial ends twice": ("ends", lambda r: put_in(r, number_of(r, Finished, 0), Stopped(trial=0, reason="again"))),
    "a completed trial runs again": (
        "ends",
        lambda r: put_in(r, number_of(r, Finished, 0), Started(trial=0, launch=3, attempt=1, step=2, restore=KEY)),
    ),
    "it ends before a trial does": ("ends", lambda r: left_out(r, Finished, 1)),
    "it ends while a trial runs": ("ends", one_more_runs),
    "more attempts than there are": ("attempts", lambda r: in_settings(r, failure=FailurePolicy())),
    "an attempt is miscounted": ("attempts", lambda r: changed(r, Started, trial=1, nth=-1, attempt=1)),
    "a launch is left out": ("launches", lambda r: changed(r, Started, trial=0, nth=-1, launch=3)),
    "a dead launch reports": ("fencing", late),
    "a report of the launch before": ("fencing", from_before),
    "a launch ends twice": ("fencing", lambda r: twice(r, number_of(r, Finished, 0))),
    "a result of the launch before": ("fencing", lambda r: changed(r, Finished, trial=0, launch=1)),
    "steps go back": ("steps", lambda r: changed(r, Reported, trial=0, nth=-1, step=2)),
    "it goes on from nowhere": ("checkpoints", lambda r: changed(r, Started, trial=0, nth=-1, restore=CheckpointKey(0, 2, 1))),
    "it goes on from another's": (
        "checkpoints",
        lambda r: changed(r, Started, trial=0, nth=-1, restore=ANOTHERS),
    ),
    "it goes on from another step": ("checkpoints", lambda r: changed(r, Started, trial=0, nth=-1, step=2)),
    "a checkpoint of another step": ("checkpoints", lambda r: changed(r, Reported, trial=0, checkpoint=CheckpointKey(0, 7, 1))),
    "a checkpoint of another trial": (
        "checkpoints",
        lambda r: changed(r, Reported, trial=0, checkpoint=ANOTHERS),
    ),
    "one is gone that nobody saved": ("checkpoints", lambda r: in_opening(r, CheckpointGone(trial=0, checkpoint=ANOTHERS))),
    "it goes on from one that is gone": (
        "checkpoints",
        lambda r: in_opening(r, CheckpointGone(trial=0, checkpoint=CheckpointKey(0, 1, 1))),
    ),
    "more run than there are slots": ("slots", lambda r: in_settings(r, slots=1)),
    "a slot that nobody granted": ("slots", lambda r: without(r, 1)),
    "a score that was not reported": ("replay", lambda r: changed(r, Finished, trial=0, score=0.25)),
    "a report that was not heard": ("replay", lambda r: changed(r, Reported, trial=0, metrics={"loss": 0.0})),
    "a result that was not returned": ("replay", lambda r: told(r, 13, ending=RESULT)),
}


def test_a_history_that_was_is_taken() -> None:
    check_history(whole())
    for length in range(1, len(whole())):
        check_history(whole()[:length])  # whenever it is cut off
    check_history([])


@pytest.mark.parametrize("how", BROKEN)
def test_a_history_that_cannot_have_been_is_named(how: str) -> None:
    rule, breaks = BROKEN[how]
    with pytest.raises(HistoryError) as caught:
        check_history(breaks(whole()))
    assert caught.value.rule == rule, str(caught.value)
    assert str(caught.value).startswith(f"{rule}: ")


def test_a_launch_that_begins_before_the_one_before_is_over() -> None:
    driven = Driven(Promoter)
    driven.start(x=1)
    driven.report(0, 1, loss=1.0)
    driven.report(0, 2, loss=1.0)
    assert driven.view(0).state is State.PENDING
    check_history(driven.records)
    with pytest.raises(HistoryError, match="began while launch 1 was running") as caught:
        check_history(put_in(driven.records, len(driven.records) - 1, Started(trial=0, launch=2, attempt=1)))
    assert caught.value.rule == "launches"


def test_how_many_run_is_not_known_of_a_shared_executor() -> None:
    check_history(in_settings(whole(), slots=1), shared=True)


def test_a_retry_that_the_trial_ruled_out() -> None:
    records = whole()
    (event,) = [each for record in records for each in record.happened if isinstance(each, AttemptFailed)]
    with pytest.raises(HistoryError, match="ruled that out") as caught:
        check_history(changed(records, AttemptFailed, failure=evolve(event.failure, retry=False)))
    assert caught.value.rule == "attempts"


def test_what_was_acknowledged_is_there() -> None:
    check_history(whole(), acknowledged=[(0, 1, 1), (0, 1, 2), (0, 2, 2), (0, 2, 3)])
    with pytest.raises(HistoryError, match="step 4 of trial 0, launch 2") as caught:
        check_history(whole(), acknowledged=[(0, 1, 1), (0, 2, 4)])
    assert caught.value.rule == "acknowledged"


def test_the_same_plugins_decide_the_same_again() -> None:
    made = story(0, scheduler=lambda: MedianStopping(min_samples=1), oracle=RandomSearch)
    records = made.search().run().records
    check_history(records, scheduler=made.scheduler(), oracle=made.oracle())


def test_another_scheduler_is_named() -> None:
    for seed in range(60):
        made = story(seed, scheduler=lambda: MedianStopping(min_samples=1), troubled=0.0, steps=6)
        records = made.search().run().records
        if any(isinstance(each, Stopped) for record in records for each in record.happened):
            with pytest.raises(HistoryError) as caught:
                check_history(records, scheduler=FIFO())
            assert caught.value.rule == "decisions"
            return
    pytest.fail("no trial was stopped in any of these stories")


def test_another_oracle_is_named() -> None:
    made = story(0, oracle=RandomSearch, space={"x": Float(0, 1)}, names=False)
    records = made.search().run().records
    with pytest.raises(HistoryError) as caught:
        check_history(in_settings(records, seed=made.luck + 1), oracle=RandomSearch())
    assert caught.value.rule == "decisions"


def test_a_directory_is_read(tmp_path: Path) -> None:
    write(tmp_path / "search", story(3).search().run().records)
    check_history(tmp_path / "search")
    check_history(str(tmp_path / "search"))
    with pytest.raises(StorageError):
        check_history(tmp_path)


@pytest.mark.parametrize("seed", few(20, range(60)))
def test_every_story_is_a_history(seed: int) -> None:
    records = story(seed).search().run(until=5 + seed).records
    check_history(records)
    check_history(story(seed).search(records).run().records)


def test_a_search_that_was_stopped_may_leave_trials() -> None:
    driven = Driven(slots=1, ahead=1)
    driven.start(x=1)
    driven.suggest(Suggestion.run({"x": 2}))
    driven.tell(StopAsked(at=driven.at, reason="enough"))
    driven.left(0)
    assert isinstance(driven.records[-1].happened[-1], SearchEnded)
    check_history(driven.records)


def test_what_is_heard_is_said_by_somebody() -> None:
    message = MetricsReported(trial=9, launch=1, step=1, metrics={"loss": 1.0}, clock=0.0)
    for said in (Heard(at=9.0, message=message), LaunchEnded(at=9.0, ending=TrialReturned(trial=9, launch=1))):
        records = whole()[:6]
        with pytest.raises(HistoryError) as caught:
            check_history([*records, Record(seq=7, stimulus=said, happened=())])
        assert caught.value.rule == "fencing"
