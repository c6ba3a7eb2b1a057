"""What a scheduler answers to the end of a trial, and what it sees of the search when it is asked who runs next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from attrs import define, field

from asynctune._machine.consult import Judged
from asynctune._machine.instructions import StopLaunch
from asynctune._machine.stimuli import Enqueued, StopAsked, StopTrialAsked
from asynctune.errors import PluginError
from asynctune.events import Finished, GaveUp, Paused, Stopped
from asynctune.failure import FailureKind
from asynctune.policies import FailurePolicy, Limit, Limits
from asynctune.records import PAUSE, STOP, Choice, Pause, Report, State, Stop, Suggestion, TrialId, TrialView, Verdict, Verdicts
from asynctune.schedulers import FIFO, Scheduler
from asynctune.views import SearchView
from tests.machine.driven import NO_LIMIT, Driven


@define(eq=False, slots=False)
class Answers(Scheduler):
    """Answers the end of each trial as it is told to."""

    to_end: Mapping[TrialId, Mapping[TrialId, Verdict]]

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return None

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        return self.to_end.get(trial.id)

    def on_trial_error(self, trial: TrialView) -> Verdicts:
        return self.to_end.get(trial.id)


def answers(to_end: Mapping[int, Any]) -> Callable[[], Scheduler]:
    return lambda: Answers(to_end)


def running(count: int, to_end: Mapping[int, Any], **changes: Any) -> Driven:
    """So many trials that run."""
    driven = Driven(answers(to_end), slots=count, **{"failure": NO_LIMIT, **changes})
    driven.open()
    for x in range(count):
        driven.start(x=x % 100)
    return driven


# ------------------------------------------------------------------------------------------------------ verdicts on ends


def test_the_end_of_one_trial_can_end_and_set_aside_others() -> None:
    driven = running(3, {0: {1: Stop("its bracket is over"), 2: PAUSE}})
    do = driven.returned(0, loss=1.0)
    assert [type(event) for event in driven.happened()] == [Finished, Stopped, Paused]
    assert [(i.trial, i.reason) for i in do if isinstance(i, StopLaunch)] == [
        (1, "its bracket is over"),
        (2, "paused by the scheduler"),
    ]
    assert driven.decision.answers == (Judged("on_trial_complete", 0, {1: Stop("its bracket is over"), 2: PAUSE}),)


def test_so_can_a_failure() -> None:
    driven = running(2, {0: {1: STOP}})
    driven.raised(0)
    assert [type(event) for event in driven.happened()] == [GaveUp, Stopped]
    assert driven.view(1).stop_reason == "stopped by the scheduler"


def test_one_that_waits_is_stopped_without_having_run() -> None:
    driven = Driven(answers({0: {1: Stop("not needed")}}), ahead=2)
    driven.open()
    driven.suggest(x=1)
    driven.suggest(x=2)
    driven.grant()
    driven.returned(0, loss=1.0)
    assert (driven.view(1).state, driven.view(1).launches) == (State.COMPLETED, 0)


def test_ends_that_lead_to_each_other_are_all_obeyed_however_many_there_are() -> None:
    """They would not fit on a stack."""
    count = 1500
    driven = Driven(answers({trial: {trial + 1: STOP} for trial in range(count - 1)}))
    driven.open()
    for x in range(count):  # without the shadow, for whom it would be a million steps
        driven.machine.handle(Enqueued(at=0.0, values={"x": x % 100}))
    driven.machine.handle(StopTrialAsked(at=0.0, trial=0, reason="the first stone"))
    driven.machine.check()
    assert driven.machine.book.counts[State.COMPLETED] == count


def test_a_verdict_on_a_trial_that_another_verdict_has_ended_says_nothing() -> None:
    driven = running(3, {0: {1: STOP, 2: STOP}, 1: {2: Stop("by the first")}})
    driven.returned(0, loss=1.0)
    assert [driven.view(trial).stop_reason for trial in (1, 2)] == ["stopped by the scheduler"] * 2
    assert [event.trial for event in driven.happened() if isinstance(event, Stopped)] == [1, 2]


@pytest.mark.parametrize("to_end", [STOP, {0: STOP}, {7: STOP}])
def test_a_verdict_on_what_has_ended_or_never_was_ends_the_search(to_end: Any) -> None:
    driven = running(2, {0: to_end})
    with pytest.raises(PluginError, match=r"Answers answered .* for trial [07], which has ended or never was"):
        driven.returned(0, loss=1.0)


def test_they_are_heard_when_the_user_stops_the_search() -> None:
    driven = running(2, {0: {1: Stop("with the first")}})
    driven.tell(StopAsked(at=0.0, reason="enough"))
    assert [driven.view(trial).stop_reason for trial in (0, 1)] == ["enough", "enough"]


def test_they_are_heard_when_what_waits_is_not_promoted() -> None:
    driven = Driven(lambda: Holding({0: {1: Stop("with the first")}}), max_trials=2)
    for x in range(2):
        driven.start(x=x)
        driven.report(x, 1, loss=1.0)
        driven.left(x)
    driven.grant()
    assert [driven.view(trial).stop_reason for trial in (0, 1)] == ["not promoted", "not promoted"]


# ------------------------------------------------------------------------------------------- what it sees when it chooses


@define(eq=False, slots=False)
class Holding(Answers):
    """Sets each trial aside at step 1 and never takes one on; writes down what it sees."""

    seen: list[tuple[int, bool, bool]] = field(factory=list)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return PAUSE if report.step == 1 else None

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        self.seen.append((search.running, search.growing, search.exhausted))
        return "NEW"


def seen(driven: Driven) -> tuple[int, bool, bool]:
    assert isinstance(driven.scheduler, Holding)
    return driven.scheduler.seen[-1]


def test_it_sees_whether_there_may_be_another_trial() -> None:
    driven = Driven(lambda: Holding({}), max_trials=2)
    for x, may_grow in enumerate((True, False)):
        driven.start(x=x)
        driven.report(x, 1, loss=1.0)
        driven.left(x)
        driven.grant()
        assert seen(driven) == (0, may_grow, not may_grow)


@pytest.mark.parametrize("answer", [Suggestion.exhausted(), Suggestion.idle()])
def test_it_sees_that_the_oracle_has_nothing_more(answer: Suggestion) -> None:
    driven = Driven(lambda: Holding({}), slots=2)
    driven.start(x=1)
    driven.report(0, 1, loss=1.0)
    driven.left(0)
    driven.start(x=2)
    driven.grant()
    assert seen(driven) == (1, True, False)  # the oracle thinks
    driven.suggest(answer)
    assert seen(driven) == (1, False, answer == Suggestion.exhausted())


def test_a_retry_counts_as_running_though_it_is_not_due() -> None:
    policy = FailurePolicy(max_retries_per_trial=1, delay=10.0)
    driven = Driven(lambda: Holding({}), max_trials=2, slots=2, failure=policy)
    driven.start(x=1)
    driven.start(x=2)
    driven.raised(0)
    driven.report(1, 1, loss=1.0)
    driven.left(1)
    driven.grant()
    assert seen(driven) == (1, False, True)


def test_a_trial_whose_launch_was_lost_counts_as_running() -> None:
    driven = Driven(lambda: Holding({}), max_trials=2, slots=2)
    driven.start(x=1)
    driven.start(x=2)
    driven.lost(0)
    assert driven.machine.look().running == 2


class Holds(FIFO):
    """Sets trial 0 aside at each report of another."""

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return {0: Pause()} if trial.id else None


def test_a_launch_that_has_broken_a_limit_is_not_set_aside_by_another_trials_report() -> None:
    driven = Driven(Holds, slots=2, limits=Limits(trial_time=1), failure=FailurePolicy(max_retries_per_trial=0))
    driven.start(x=1)
    driven.start(x=2)
    driven.broke(0, Limit.TRIAL_TIME, 1.0)
    driven.report(1, 1, loss=1.0)
    driven.died(0, signal=9)
    view = driven.view(0)
    assert view.failure is not None
    assert (view.state, view.failure.kind) == (State.FAILED, FailureKind.TIMED_OUT)
