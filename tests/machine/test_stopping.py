"""Ending early: a trial, by the scheduler, a stopper, the user or a limit; and the whole search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import define, frozen

from asynctune._machine.instructions import (
    AnswerReport,
    Ask,
    EndSearch,
    ReleaseSlot,
    StopLaunch,
    TellEnd,
    WakeAt,
)
from asynctune._machine.stimuli import (
    Closed,
    Enqueued,
    ExecutorFailed,
    LimitBroken,
    OracleFailed,
    PauseAsked,
    ResumeAsked,
    Stimulus,
    StopAsked,
    StopTrialAsked,
    Ticked,
    WorkersSet,
)
from asynctune.events import Finished, Paused, SearchEnded, Started, Stopped
from asynctune.failure import FailureKind
from asynctune.messages import Breach
from asynctune.policies import FailurePolicy, Limit, Limits
from asynctune.records import PAUSE, CheckpointKey, Report, State, Stop, TrialView, Verdicts
from asynctune.schedulers import Scheduler
from asynctune.space import Space
from asynctune.stoppers import FunctionStopper, MaxSteps, TimeBudget
from asynctune.views import SearchView
from tests.machine.driven import SPACE, Driven, answer


@define(eq=False, slots=False)
class Says(Scheduler):
    """Answers a report of step n by the verdicts that are written down for n."""

    at_step: Mapping[int, Verdicts]

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        return self.at_step.get(report.step)


def says(**at_step: Verdicts) -> Any:
    return lambda: Says({int(step.removeprefix("step_")): verdicts for step, verdicts in at_step.items()})


def has_ended(driven: Driven, trial: int = 0) -> tuple[State, float | None, str | None]:
    view = driven.view(trial)
    return view.state, view.score, view.stop_reason


# -------------------------------------------------------------------------------------------------------- by a plugin


def test_a_trial_is_stopped_by_its_scheduler() -> None:
    driven = Driven(says(step_2=Stop("too slow")))
    driven.start()
    assert driven.report(0, 1, loss=3.0) == [AnswerReport(answer(0, 1, 1))]
    do = driven.report(0, 2, loss=2.0)
    assert do == [
        TellEnd(driven.view(0)),
        StopLaunch(0, 1, "too slow", 5.0),
        AnswerReport(answer(0, 1, 2, "too slow")),
    ]
    assert driven.happened()[1:] == (Stopped(trial=0, reason="too slow", score=2.0),)
    assert has_ended(driven) == (State.COMPLETED, 2.0, "too slow")
    # Its launch is on its way out, and whatever it does there is nobody's business.
    assert driven.returned(0, loss=0.0) == []
    assert driven.happened() == ()
    assert has_ended(driven) == (State.COMPLETED, 2.0, "too slow")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_trial_that_is_stopped_with_no_finite_score_has_none_and_is_never_best(value: float) -> None:
    driven = Driven(says(step_1=Stop("diverged")))
    driven.start()
    driven.report(0, 1, loss=value)
    assert has_ended(driven) == (State.COMPLETED, None, "diverged")
    assert driven.machine.book.best is None


def test_the_first_stopper_that_has_a_reason_gives_it_and_the_scheduler_is_not_asked() -> None:
    def stop() -> list[Any]:
        return [FunctionStopper(lambda trial, report: False), MaxSteps(2), MaxSteps(1)]

    driven = Driven(says(step_1=Stop("not heard")), stop)
    driven.start()
    assert driven.report(0, 1, loss=3.0)[-1] == AnswerReport(answer(0, 1, 1, "1 steps"))
    assert has_ended(driven) == (State.COMPLETED, 3.0, "1 steps")


def test_a_verdict_on_another_trial_is_obeyed() -> None:
    driven = Driven(says(step_1={0: Stop("beaten"), 1: PAUSE}), slots=3)
    driven.open()
    for trial in range(3):
        driven.start(x=trial)
    do = driven.report(2, 1, loss=3.0)
    assert do == [
        TellEnd(driven.view(0)),
        StopLaunch(0, 1, "beaten", 5.0),
        StopLaunch(1, 1, "paused by the scheduler", 5.0),
        AnswerReport(answer(2, 1, 1)),
    ]
    assert [driven.view(trial).state for trial in range(3)] == [State.COMPLETED, State.PENDING, State.RUNNING]


@pytest.mark.fault(18)
def test_a_report_that_crossed_its_verdict_is_answered_and_dropped() -> None:
    driven = Driven()
    driven.start()
    driven.report(0, 1, loss=3.0)
    driven.stop_trial(0)
    assert driven.report(0, 2, loss=1.0) == [AnswerReport(answer(0, 1, 2, "enough"))]
    assert (driven.decision.void, driven.machine.dropped) == (True, 1)
    assert driven.view(0).score == 3.0


def test_a_paused_trial_gives_up_its_process_and_waits_until_that_is_gone() -> None:
    driven = Driven(says(step_2=PAUSE))
    driven.start()
    driven.report(0, 1, checkpoint=True, loss=5.0)
    reason = "paused by the scheduler"
    do = driven.report(0, 2, loss=4.0)
    assert do == [StopLaunch(0, 1, reason, 5.0, save=True), AnswerReport(answer(0, 1, 2, reason, save=True))]
    assert driven.happened()[1:] == (Paused(trial=0, by="scheduler", reason=reason),)
    assert (driven.view(0).state, driven.view(0).hold) == (State.PENDING, reason)
    assert driven.grant() == [Ask(2, 1, Space(SPACE))]

    driven.left(0)
    assert driven.happened() == (Started(trial=0, launch=2, attempt=1, step=1, restore=CheckpointKey(0, 1, 1)),)
    assert driven.view(0).hold is None


# -------------------------------------------------------------------------------------------------------- by the user


@pytest.mark.parametrize(
    ("trial", "text"), [(7, "there is no trial 7"), (-1, "there is no trial -1"), (0, "trial 0 has already")]
)
def test_a_trial_that_is_unknown_or_has_ended_cannot_be_stopped(trial: int, text: str) -> None:
    driven = Driven()
    driven.start()
    driven.returned(0, loss=1.0)
    assert driven.stop_trial(trial) == []
    assert driven.decision.void
    assert driven.decision.refused is not None
    assert text in driven.decision.refused


def test_a_trial_that_waits_is_stopped_where_it_is() -> None:
    driven = Driven(ahead=1)
    driven.open()
    driven.suggest(x=5)
    assert driven.stop_trial(0)[0] == TellEnd(driven.view(0))
    assert has_ended(driven) == (State.COMPLETED, None, "enough")


def test_a_trial_between_two_attempts_is_stopped_with_what_it_reported() -> None:
    driven = Driven(failure=FailurePolicy(max_retries_per_trial=1))
    driven.start()
    driven.report(0, 1, loss=3.0)
    driven.raised(0)
    driven.stop_trial(0)
    assert has_ended(driven) == (State.COMPLETED, 3.0, "enough")


def test_stopping_the_search_completes_what_runs_and_leaves_what_waits() -> None:
    driven = Driven(ahead=1, max_trials=2)
    driven.open()
    driven.start()
    driven.suggest(x=6)
    driven.report(0, 1, loss=3.0)
    assert driven.tell(StopAsked(at=0.0, reason="done")) == [TellEnd(driven.view(0)), StopLaunch(0, 1, "done", 5.0)]
    assert driven.left(0) == [EndSearch("done")]
    assert driven.happened() == (SearchEnded(reason="done"),)
    assert has_ended(driven) == (State.COMPLETED, 3.0, "done")
    assert driven.view(1).state is State.PENDING


def test_what_ends_the_search_sets_aside_what_runs() -> None:
    driven = Driven()
    driven.start()
    assert driven.tell(ExecutorFailed(at=0.0, message="no fork")) == [StopLaunch(0, 1, "no fork", 5.0)]
    assert driven.grant() == [ReleaseSlot()]
    assert driven.died(0, signal=9) == [EndSearch("no fork", "ExecutorError")]
    # Killed for taking too long to leave: that is not its own doing.
    assert (driven.view(0).state, driven.view(0).attempt) == (State.PENDING, 1)


def oracle_fails(driven: Driven) -> list[Any]:
    return driven.tell(OracleFailed(at=driven.at, message="it raised"))


@pytest.mark.fault(25)
def test_when_the_oracle_fails_what_runs_goes_on_and_nothing_else_starts() -> None:
    driven = Driven(slots=2, failure=FailurePolicy(max_retries_per_trial=1))
    driven.start()
    driven.start()
    assert oracle_fails(driven) == []
    assert driven.report(0, 1, loss=3.0) == [AnswerReport(answer(0, 1, 1))]
    assert driven.grant() == [ReleaseSlot()]
    driven.raised(1)
    assert driven.view(1).state is State.RETRYING
    assert driven.returned(0, loss=2.0) == [TellEnd(driven.view(0)), EndSearch("it raised", "PluginError")]
    assert has_ended(driven) == (State.COMPLETED, 2.0, None)

    driven.open()
    driven.grant()
    assert driven.orders[1].attempt == 2


@pytest.mark.fault(25)
def test_a_search_that_only_waits_for_its_last_trials_can_be_ended_at_once() -> None:
    driven = Driven()
    driven.start()
    oracle_fails(driven)
    assert driven.close() == [StopLaunch(0, 1, "the search was closed", 5.0)]
    assert driven.left(0) == [EndSearch("it raised", "PluginError")]
    assert driven.view(0).state is State.PENDING


@pytest.mark.fault(25)
def test_with_nothing_running_a_failed_oracle_ends_the_search() -> None:
    driven = Driven()
    driven.open()
    assert oracle_fails(driven)[-1] == EndSearch("it raised", "PluginError")


@pytest.mark.fault(25)
def test_closing_sets_aside_what_runs_and_keeps_what_it_still_says() -> None:
    driven = Driven()
    driven.start()
    assert driven.close() == [StopLaunch(0, 1, "the search was closed", 5.0)]
    do = driven.report(0, 1, checkpoint=True, loss=3.0)
    assert do == [AnswerReport(answer(0, 1, 1, "the search was closed"))]
    assert driven.left(0) == [EndSearch("the search was closed", "SearchError")]

    driven.open()
    driven.grant()
    assert (driven.orders[0].launch, driven.orders[0].step) == (2, 1)


def test_a_trial_that_returns_while_the_search_is_closed_is_finished() -> None:
    driven = Driven()
    driven.start()
    driven.close()
    driven.returned(0, loss=1.0)
    assert driven.happened()[0] == Finished(trial=0, launch=1, score=1.0, metrics={"loss": 1.0})


@pytest.mark.parametrize(
    "stimulus",
    [
        PauseAsked(at=0.0),
        ResumeAsked(at=0.0),
        WorkersSet(at=0.0, slots=3),
        StopAsked(at=0.0, reason="again"),
        OracleFailed(at=0.0, message="it raised"),
        Ticked(at=0.0),
    ],
)
def test_nothing_follows_from_what_comes_after_the_end(stimulus: Stimulus) -> None:
    driven = Driven(max_trials=1)
    driven.start()
    assert driven.returned(0, loss=1.0)[-1] == EndSearch("every trial has ended")
    assert driven.tell(stimulus) == []
    assert driven.happened() == ()


def test_a_slot_that_is_granted_after_the_end_is_given_back() -> None:
    driven = Driven()
    driven.start()
    driven.close()
    driven.left(0)
    assert driven.machine.over
    assert driven.grant() == [ReleaseSlot()]


def test_nothing_can_be_added_to_a_search_that_is_ending() -> None:
    driven = Driven()
    driven.start()
    driven.close()
    assert driven.enqueue(x=3) == []
    assert driven.decision.refused == "the search is ending (the search was closed): open it again to add a trial"


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (StopAsked(at=0.0, reason=3), "expected str, not int 3"),  # type: ignore[arg-type]
        (StopAsked(at=0.0, reason="\ud800"), "cannot be written down"),
        (StopTrialAsked(at=0.0, trial=0.0, reason=""), "expected int, not float 0.0"),  # type: ignore[arg-type]
        (StopTrialAsked(at=0.0, trial=False, reason=""), "expected int, not bool False"),
        (StopTrialAsked(at=0.0, trial=0, reason=None), "expected str, not NoneType None"),  # type: ignore[arg-type]
        (WorkersSet(at=0.0, slots=2.0), "expected int, not float 2.0"),  # type: ignore[arg-type]
        (Enqueued(at=0.0, values={"x": 2**70}), "cannot be written down"),
        (Enqueued(at=0.0, values={"x": [1]}), "expected a number, a string, a bool or None"),  # type: ignore[dict-item]
    ],
)
def test_a_command_that_could_not_be_read_again_is_refused(command: Stimulus, text: str) -> None:
    driven = Driven()
    driven.start()
    assert driven.tell(command) == []
    assert driven.decision.refused is not None
    assert text in driven.decision.refused
    assert driven.view(0).state is State.RUNNING


# ----------------------------------------------------------------------------------------------------------- by time


def test_a_trial_that_runs_too_long_is_told_to_stop_and_its_attempt_has_failed() -> None:
    driven = Driven(limits=Limits(trial_time=10, grace=2), failure=FailurePolicy(max_retries_per_trial=1))
    driven.start()
    driven.at = 4.0
    driven.report(0, 1, loss=3.0)
    text = "it ran longer than 10 s: Limits(trial_time=10)"
    driven.at = 10.0
    assert driven.broke(0, Limit.TRIAL_TIME, 10.0) == [StopLaunch(0, 1, text, 2.0)]
    # What it says from then on does not count.
    assert driven.report(0, 2, loss=1.0) == [AnswerReport(answer(0, 1, 2, text))]
    assert driven.decision.void

    driven.at = 12.0
    driven.died(0, signal=9)
    view = driven.view(0)
    assert view.failure is not None
    assert (view.state, view.failure.kind, view.failure.message) == (State.RETRYING, FailureKind.TIMED_OUT, text)
    # Each attempt has the whole time.
    driven.grant()
    driven.broke(0, Limit.TRIAL_TIME, 10.0)
    driven.left(0)
    assert driven.view(0).state is State.FAILED


def test_a_result_that_was_on_its_way_when_the_time_was_over_counts() -> None:
    driven = Driven(limits=Limits(trial_time=10))
    driven.start()
    driven.broke(0, Limit.TRIAL_TIME, 10.0)
    driven.returned(0, loss=1.0)
    assert (driven.view(0).state, driven.view(0).score) == (State.COMPLETED, 1.0)


@pytest.mark.parametrize(
    ("limit", "amount", "kind", "text"),
    [
        (Limit.TRIAL_TIME, 61.0, FailureKind.TIMED_OUT, "it ran longer than 60 s: Limits(trial_time=60)"),
        (Limit.START_UP, 3.5, FailureKind.TIMED_OUT, "its function was not called within 3.5 s: Limits(start_up=3.5)"),
        (Limit.SILENCE, 20.0, FailureKind.SILENT, "it did not report for 20 s: Limits(silence=20)"),
        (Limit.MEMORY, 5e9, FailureKind.OUT_OF_MEMORY, "it held 4,768 MiB of memory: Limits(memory=4,096 MiB)"),
        (Limit.PROCESSES, 12.0, FailureKind.REFUSED, "it had 12 processes: Limits(processes=8)"),
    ],
)
@pytest.mark.parametrize("ending", ["left", "killed", "raised", "lost", "returned"])
def test_who_breaks_a_limit_has_failed_of_that_however_it_ends(
    limit: Limit, amount: float, kind: FailureKind, text: str, ending: str
) -> None:
    driven = Driven(limits=Limits(trial_time=60, start_up=3.5, silence=20, memory="4 GiB", processes=8))
    driven.start()
    assert driven.broke(0, limit, amount) == [StopLaunch(0, 1, text, 5.0)]
    # Only the first counts, and nothing that it says from then on.
    driven.broke(0, Limit.MEMORY, 1e12)
    assert driven.decision.void
    ends = {
        "left": lambda: driven.left(0),
        "killed": lambda: driven.died(0, signal=9),
        "raised": lambda: driven.raised(0, "ValueError: told to stop"),
        "lost": lambda: driven.lost(0),
        "returned": lambda: driven.returned(0, loss=1.0),
    }
    ends[ending]()
    view = driven.view(0)
    if ending == "returned" and kind is not FailureKind.REFUSED:
        assert (view.state, view.score) == (State.COMPLETED, 1.0)
    else:
        assert view.failure is not None
        assert (view.state, view.failure.kind, view.failure.message) == (State.FAILED, kind, text)


def test_a_limit_that_is_not_set_or_that_a_launch_before_has_broken_is_not_heard_of() -> None:
    driven = Driven(limits=Limits(silence=1), failure=FailurePolicy(max_retries_per_trial=1))
    driven.start()
    driven.broke(0, Limit.MEMORY, 1e12)
    assert driven.decision.void
    driven.raised(0)
    driven.grant()
    driven.tell(LimitBroken(at=driven.at, breach=Breach(trial=0, launch=1, limit=Limit.SILENCE, amount=1.0)))
    assert driven.decision.void
    driven.tell(LimitBroken(at=driven.at, breach=Breach(trial=7, launch=1, limit=Limit.SILENCE, amount=1.0)))
    assert driven.decision.void
    # Who was told to stop for another reason is ended for that one.
    driven.stop_trial(0)
    driven.broke(0, Limit.SILENCE, 1.0)
    assert driven.decision.void
    driven.left(0)
    assert driven.view(0).state is State.COMPLETED


def test_the_time_budget_is_search_time_over_all_openings() -> None:
    driven = Driven(stop=lambda: (TimeBudget(30),), slots=2)
    assert driven.open()[-1] == WakeAt(30.0)
    driven.start()
    driven.start()
    driven.at = 20.0
    driven.report(0, 1, loss=3.0)
    assert driven.open()[-1] == WakeAt(30.0)
    driven.grant()
    driven.grant()
    assert driven.tick(29.0) == [WakeAt(30.0)]
    reason = "time budget of 30 s"
    assert driven.tick(30.0) == [
        TellEnd(driven.view(0)),
        StopLaunch(0, 2, reason, 5.0),
        TellEnd(driven.view(1)),
        StopLaunch(1, 2, reason, 5.0),
    ]
    driven.left(0)
    assert driven.left(1) == [EndSearch(reason)]
    assert [has_ended(driven, trial) for trial in (0, 1)] == [
        (State.COMPLETED, 3.0, reason),
        (State.COMPLETED, None, reason),
    ]


def test_a_report_that_ends_the_search_is_answered_with_stop() -> None:
    driven = Driven(stop=lambda: (TimeBudget(30),))
    driven.start()
    driven.at = 31.0
    assert driven.report(0, 1, loss=1.0)[-1] == AnswerReport(answer(0, 1, 1, "time budget of 30 s"))


@frozen
class Enough:
    """Ends the search when so many trials are COMPLETED."""

    count: int
    deadline: float | None = None

    def should_stop_search(self, search: SearchView) -> str | None:
        return "enough" if search.counts[State.COMPLETED] >= self.count else None


def test_a_search_is_asked_after_everything_that_happens_whether_it_is_enough() -> None:
    driven = Driven(stop=lambda: (Enough(2),))
    for trial in range(2):
        driven.start()
        driven.returned(trial, loss=1.0)
    assert driven.decision.instructions[-1] == EndSearch("enough")
    # Opened again with the same stopper, it is enough at once.
    assert driven.open() == [EndSearch("enough")]


def test_time_does_not_go_back() -> None:
    driven = Driven()
    driven.open()
    driven.tick(3.0)
    with pytest.raises(ValueError, match=r"search time cannot go back: 2\.0 after 3\.0"):
        driven.machine.handle(Ticked(at=2.0))


def test_nothing_is_recorded_behind_the_end() -> None:
    driven = Driven(slots=2)
    driven.start()
    driven.close()
    driven.left(0)
    assert driven.machine.over
    records, at = len(driven.records), driven.at
    assert driven.grant() == [ReleaseSlot()]
    for late in (
        Ticked(at=at),
        Closed(at=at),
        StopAsked(at=at, reason="enough"),
        PauseAsked(at=at),
        WorkersSet(at=at, slots=3),
        StopTrialAsked(at=at, trial=0, reason="enough"),
        OracleFailed(at=at, message="it raised"),
    ):
        assert driven.tell(late) == []
    assert driven.decision.void
    assert len(driven.records) == records


def test_a_proposal_that_comes_behind_the_end_is_asked_for_again() -> None:
    driven = Driven(slots=2)
    driven.start()
    driven.grant()
    asked = dict(driven.machine.asks.in_flight)
    assert asked
    driven.close()
    driven.left(0)
    driven.suggest(x=3)
    assert driven.machine.asks.in_flight == asked
    assert len(driven.machine.book.trials) == 1
