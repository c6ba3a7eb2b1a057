"""Leases and limits of launches that are asked for, on virtual time: hours pass at once, and always the same way."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, ClassVar

import pytest

import asynctune as at
from asynctune._machine.stimuli import SlotGranted
from asynctune.errors import LeaseExpiredError
from asynctune.events import AttemptFailed, Paused
from asynctune.executors.external import ExternalAttachment
from asynctune.failure import FailureKind
from asynctune.testing import check_history
from tests.search.asking import AskedSearch, Caller


def searched(*callers: Caller, **options: Any) -> AskedSearch:
    given: dict[str, Any] = {
        "oracle": at.oracles.RandomSearch(),
        "scheduler": at.schedulers.FIFO(),
        "space": {"x": at.Float(0.0, 1.0)},
        "workers": 1000,
        "max_trials": 3,
        **options,
    }
    search = AskedSearch(callers=callers, **given)
    search.run()
    check_history(search.records)
    return search


async def finishes(search: ExternalAttachment) -> None:
    while (launch := await search.ask()) is not None:
        await asyncio.sleep(1)
        assert await launch.finish(launch.values["x"])


def happened(search: AskedSearch, kind: type[Any]) -> list[Any]:
    return [event for record in search.records for event in record.happened if isinstance(event, kind)]


def test_a_launch_of_which_nothing_is_heard_goes_to_the_next_who_asks() -> None:
    said: list[str] = []

    async def forgets(search: ExternalAttachment) -> None:
        launch = await search.ask()
        assert launch is not None
        assert (launch.trial, launch.number) == (0, 1)
        await asyncio.sleep(59)
        assert await launch.report(loss=1.0)  # and has another minute
        await asyncio.sleep(61)
        assert launch.should_stop
        for late in (launch.report(loss=0.5), launch.finish(0.5), launch.fail("no"), launch.renew(), launch.infeasible("no")):
            with pytest.raises(LeaseExpiredError, match=r"launch 1 of trial 0 .* 60 s.*[Aa]sk for another") as error:
                await late
            said.append(str(error.value))
        with pytest.raises(LeaseExpiredError):
            search.launch(0, 1, None)

    async def comes_later(search: ExternalAttachment) -> None:
        await asyncio.sleep(200)
        await finishes(search)

    search = searched(forgets, comes_later, lease=60.0)
    assert len(said) == 5
    [lost] = happened(search, Paused)
    assert (lost.trial, lost.launch, lost.by) == (0, 1, "loss")
    assert "60 s" in lost.reason
    first = search.trials[0]
    assert (first.state, first.attempt, first.launches) == (at.State.COMPLETED, 1, 2)
    assert first.score == first.values["x"]
    assert [trial.launches for trial in search.trials.values()] == [2, 1, 1]


def test_who_says_something_in_time_keeps_a_launch_for_days() -> None:
    async def renews(search: ExternalAttachment) -> None:
        while (launch := await search.ask()) is not None:
            for _ in range(2000):
                await asyncio.sleep(59)
                assert await launch.renew()
            await launch.finish(0.0)

    search = searched(renews, lease=60.0, max_trials=2)
    assert [trial.launches for trial in search.trials.values()] == [1, 1]


def test_without_a_lease_nobody_is_hurried() -> None:
    async def takes_a_year(search: ExternalAttachment) -> None:
        while (launch := await search.ask()) is not None:
            await asyncio.sleep(3.2e7)
            assert await launch.finish(1.0)

    assert len(searched(takes_a_year, lease=None).trials) == 3


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        (at.Limits(trial_time=100), FailureKind.TIMED_OUT),
        (at.Limits(silence=50), FailureKind.SILENT),
    ],
)
def test_a_launch_that_breaks_a_limit_has_failed(limits: at.Limits, kind: FailureKind) -> None:
    async def slow(search: ExternalAttachment) -> None:
        launch = await search.ask()
        assert launch is not None
        for _ in range(3):
            await asyncio.sleep(40)
            if not await launch.report(loss=1.0):
                break
        await asyncio.sleep(60)
        assert not await launch.finish(1.0)
        assert launch.stop_reason is not None
        assert "Limits(" in launch.stop_reason
        await finishes(search)

    search = searched(slow, limits=limits, failure=at.FailurePolicy(max_retries_per_trial=1))
    [failed] = happened(search, AttemptFailed)
    assert failed.failure.kind is kind
    assert search.trials[0].attempt == 2


class Idle(at.Oracle):
    """Proposes nothing while anything runs."""

    def __init__(self) -> None:
        self.ended = self.proposed = self.asked = 0

    def populate_space(self, trial_id: int, space: at.Space) -> at.Suggestion:
        self.asked += 1
        if self.ended < self.proposed:
            return at.Suggestion.idle()
        self.proposed += 1
        return at.Suggestion.run({"x": trial_id / 100})

    def on_trial_end(self, trial: at.TrialView) -> None:
        self.ended += 1


def test_asks_wait_while_the_oracle_is_idle_and_cost_nothing() -> None:
    oracle = Idle()
    search = searched(*[finishes] * 50, oracle=oracle, max_trials=20)
    assert len(search.trials) == 20
    assert all(not trial.launches > 1 for trial in search.trials.values())
    granted = sum(isinstance(record.stimulus, SlotGranted) for record in search.records)
    assert granted < 50 + 20 * 6  # some for each thing that happened, however many wait
    assert oracle.asked < 100


class Waits(at.Scheduler):
    """Runs one trial at a time, whatever there is."""

    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> None:
        del trial, report

    def choose_trial_to_run(self, search: Any) -> Any:
        return "WAIT" if search.counts[at.State.RUNNING] else "NEW"


def test_asks_wait_while_the_scheduler_does() -> None:
    search = searched(*[finishes] * 5, scheduler=Waits(), max_trials=6)
    assert [trial.state for trial in search.trials.values()] == [at.State.COMPLETED] * 6
    times = [(trial.started or 0, trial.ended or 0) for trial in search.trials.values()]
    assert all(ended <= started for (_, ended), (started, _) in itertools.pairwise(times))


def test_a_retry_that_is_not_due_is_waited_for() -> None:
    async def fails_once(search: ExternalAttachment) -> None:
        while (launch := await search.ask()) is not None:
            if launch.attempt == 1:
                assert await launch.fail("not yet")
            else:
                assert await launch.finish(1.0)

    policy = at.FailurePolicy(max_retries_per_trial=1, max_consecutive_failed_trials=None, delay=200.0)
    search = searched(fails_once, failure=policy)
    assert [(trial.state, trial.attempt) for trial in search.trials.values()] == [(at.State.COMPLETED, 2)] * 3


class Counts(at.Oracle):
    """Proposes how many trials it has heard the end of."""

    repeats: ClassVar[bool] = True
    ended = 0

    def populate_space(self, trial_id: int, space: at.Space) -> at.Suggestion:
        return at.Suggestion.run({"x": self.ended / 100})

    def on_trial_end(self, trial: at.TrialView) -> None:
        self.ended += 1


def test_each_ask_sees_all_that_was_told_before_it() -> None:
    told = 0

    async def worker(search: ExternalAttachment) -> None:
        nonlocal told
        while True:
            before = told
            if (launch := await search.ask()) is None:
                return
            assert launch.hp.Float("x", 0.0, 1.0) >= before / 100
            await asyncio.sleep(1 + launch.trial % 3)
            assert await launch.finish(0.0)
            told += 1

    assert len(searched(*[worker] * 4, oracle=Counts(), max_trials=40).trials) == 40
