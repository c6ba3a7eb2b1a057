"""What runners say: parameters, metrics, checkpoints; and that a runner is never believed."""

from __future__ import annotations

import math
from typing import Any

import pytest

from asynctune._machine.instructions import AnswerReport, DeleteCheckpoint, StopLaunch, TellReport
from asynctune._machine.stimuli import Heard, LaunchEnded
from asynctune.events import GaveUp, ParametersUsed, Reported, SpaceGrew
from asynctune.failure import FailureKind
from asynctune.messages import Ending, Fill, FillRule, Lost, MetricsReported, ParametersDeclared, TrialReturned
from asynctune.policies import CheckpointPolicy, FailurePolicy
from asynctune.records import CheckpointKey, State
from asynctune.seeds import fill_seed
from asynctune.space import Boolean, Domain, Float, Int
from tests.machine.driven import NO_LIMIT, SPACE, Driven, answer

RETRY = FailurePolicy(max_retries_per_trial=2, max_consecutive_failed_trials=None)


def steps(driven: Driven, trial: int = 0) -> list[tuple[int, int]]:
    return [(report.step, report.launch) for report in driven.view(trial).reports]


def judged(driven: Driven) -> bool:
    (reported,) = [event for event in driven.happened() if isinstance(event, Reported)]
    return reported.judged


# ---------------------------------------------------------------------------------------------------------- old words


@pytest.mark.parametrize(("trial", "launch"), [(0, 1), (0, 3), (0, 0), (1, 1), (7, 1), (-1, 2)])
@pytest.mark.fault(18)
@pytest.mark.fault(34)
def test_the_last_words_of_a_dead_launch_are_counted_and_dropped(trial: int, launch: int) -> None:
    driven = Driven(failure=RETRY)
    driven.start()
    driven.raised(0)
    driven.grant()  # launch 2 of trial 0 runs
    before = driven.view(0)
    metrics = MetricsReported(trial=trial, launch=launch, step=1, metrics={"loss": 0.0}, clock=0.0)
    declared = ParametersDeclared(trial=trial, launch=launch, parameters={"y": Boolean()}, values={"y": True})
    returned = TrialReturned(trial=trial, launch=launch, metrics={"loss": 0.0})
    for stimulus in (Heard(at=0.0, message=metrics), Heard(at=0.0, message=declared), LaunchEnded(at=0.0, ending=returned)):
        assert driven.tell(stimulus) == []
        assert driven.decision.void
    assert driven.machine.dropped == 3
    assert driven.view(0) == before


@pytest.mark.fault(34)
def test_a_launch_ends_once() -> None:
    driven = Driven()
    driven.start()
    driven.returned(0, loss=1.0)
    driven.died(0, signal=9)
    assert driven.decision.void
    assert driven.view(0).state is State.COMPLETED


# -------------------------------------------------------------------------------------------------------------- steps


def test_a_report_is_answered_after_it_was_judged() -> None:
    driven = Driven(hears_reports=True)
    driven.start()
    do = driven.report(0, 1, loss=1.0)
    assert do == [TellReport(driven.view(0), driven.view(0).reports[0]), AnswerReport(answer(0, 1, 1))]
    assert driven.happened() == (Reported(trial=0, launch=1, step=1, metrics={"loss": 1.0}),)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.fault(17)
def test_a_metric_that_is_not_finite_is_recorded_as_it_is(value: float) -> None:
    driven = Driven()
    driven.start()
    driven.report(0, 1, loss=value)
    assert str(driven.view(0).reports[0].metrics["loss"]) == str(value)
    assert judged(driven)


@pytest.mark.parametrize("step", [2, 1, 0, -1, 2**63, 2**64 - 1])
@pytest.mark.fault(18)
def test_a_step_that_does_not_increase_or_is_no_step_fails_the_attempt(step: int) -> None:
    driven = Driven(failure=RETRY)
    driven.start()
    driven.report(0, 2, loss=1.0)
    text = f"reported step {step} after step 2; steps must increase, and are below 2**63"
    do = driven.report(0, step, loss=0.0)
    assert do == [StopLaunch(0, 1, text, 5.0), AnswerReport(answer(0, 1, step, text))]
    # Whatever else it says is not believed.
    assert driven.report(0, 3, loss=0.0) == [AnswerReport(answer(0, 1, 3, text))]
    driven.returned(0, loss=0.0)
    view = driven.view(0)
    assert view.failure is not None
    assert (view.state, view.failure.kind, view.failure.message) == (State.RETRYING, FailureKind.REFUSED, text)
    assert steps(driven) == [(2, 1)]


def test_repeated_steps_are_recorded_and_answered_and_not_judged() -> None:
    driven = Driven(failure=RETRY, hears_reports=True)
    driven.start()
    for step in (1, 2, 3):
        driven.report(0, step, loss=1.0)
        assert judged(driven)
    driven.raised(0)
    driven.grant()
    for step in (1, 2, 3):
        assert driven.report(0, step, loss=2.0) == [AnswerReport(answer(0, 2, step))]
        assert not judged(driven)
        assert driven.view(0).step == 3
    driven.report(0, 4, loss=2.0)
    assert judged(driven)
    assert steps(driven) == [(1, 2), (2, 2), (3, 2), (4, 2)]


@pytest.mark.parametrize(
    ("checkpoint", "repeated", "lineage"),
    [
        (None, [1], [(1, 2)]),
        (None, [2], [(2, 2)]),
        (None, [4, 5], [(4, 2), (5, 2)]),
        (2, [3], [(1, 1), (2, 1), (3, 2)]),
        (2, [4], [(1, 1), (2, 1), (4, 2)]),
        (2, [1, 2], [(1, 2), (2, 2)]),
        (4, [5], [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2)]),
    ],
)
def test_the_reports_are_those_of_the_surviving_lineage(
    checkpoint: int | None, repeated: list[int], lineage: list[tuple[int, int]]
) -> None:
    driven = Driven(failure=RETRY)
    driven.start()
    for step in (1, 2, 3, 4):
        driven.report(0, step, checkpoint=step == checkpoint, loss=1.0)
    before = driven.view(0).reports
    driven.raised(0)
    driven.grant()
    assert driven.orders[0].step == (checkpoint or 0)
    assert steps(driven) == [(1, 1), (2, 1), (3, 1), (4, 1)]
    for step in repeated:
        driven.report(0, step, loss=2.0)
    assert steps(driven) == lineage
    # A view is of one moment.
    assert [report.step for report in before] == [1, 2, 3, 4]
    driven.returned(0, loss=3.0)
    assert steps(driven) == lineage


# -------------------------------------------------------------------------------------------------------- checkpoints


def key(step: int, launch: int = 1, trial: int = 0) -> CheckpointKey:
    return CheckpointKey(trial, step, launch)


@pytest.mark.parametrize(("keep", "deleted"), [(1, [1, 2, 3]), (2, [1, 2]), (None, [])])
def test_the_newest_checkpoints_are_kept(keep: int | None, deleted: list[int]) -> None:
    driven = Driven(checkpoints=CheckpointPolicy(keep=keep))
    driven.start()
    gone = []
    for step in (1, 2, 3, 4):
        gone += [i for i in driven.report(0, step, checkpoint=True, loss=1.0) if isinstance(i, DeleteCheckpoint)]
    assert gone == [DeleteCheckpoint(key(step)) for step in deleted]
    assert driven.view(0).checkpoint == key(4)


def test_the_last_checkpoint_may_come_with_the_result() -> None:
    driven = Driven()
    driven.start()
    driven.report(0, 1, checkpoint=True, loss=1.0)
    do = driven.end(TrialReturned, 0, metrics={"loss": 1.0}, checkpoint=key(2))
    assert DeleteCheckpoint(key(1)) in do
    assert driven.view(0).checkpoint == key(2)


def test_a_retry_goes_on_from_the_newest_checkpoint_that_was_reported() -> None:
    driven = Driven(failure=RETRY)
    driven.start()
    driven.report(0, 1, loss=1.0)
    driven.report(0, 2, checkpoint=True, loss=1.0)
    driven.report(0, 3, loss=1.0)
    driven.raised(0)
    driven.grant()
    assert (driven.orders[0].restore, driven.orders[0].step) == (key(2), 2)
    driven.report(0, 3, checkpoint=True, loss=1.0)
    driven.raised(0)
    driven.grant()
    assert (driven.orders[0].restore, driven.orders[0].step) == (key(3, launch=2), 3)


@pytest.mark.parametrize("foreign", [key(1, trial=1), key(1, launch=2), key(7), key(0)])
def test_a_checkpoint_that_is_not_of_this_step_of_this_launch_fails_the_attempt(foreign: CheckpointKey) -> None:
    driven = Driven(failure=RETRY)
    driven.start()
    message = MetricsReported(trial=0, launch=1, step=1, metrics={"loss": 1.0}, clock=0.0, checkpoint=foreign)
    do = driven.tell(Heard(at=0.0, message=message))
    assert [type(i) for i in do] == [StopLaunch, AnswerReport]
    driven.left(0)
    view = driven.view(0)
    assert view.failure is not None
    assert (view.state, view.failure.kind, view.checkpoint) == (State.RETRYING, FailureKind.REFUSED, None)
    assert f"reported step 1 with {foreign}, which is no checkpoint of it" in view.failure.message


@pytest.mark.parametrize("foreign", [key(2, trial=1), key(2, launch=2), key(1)])
def test_a_result_with_a_checkpoint_that_is_not_new_fails_the_attempt(foreign: CheckpointKey) -> None:
    driven = Driven(failure=RETRY)
    driven.start()
    driven.report(0, 1, checkpoint=True, loss=1.0)
    driven.end(TrialReturned, 0, metrics={"loss": 1.0}, checkpoint=foreign)
    view = driven.view(0)
    assert view.failure is not None
    assert (view.state, view.failure.kind, view.checkpoint) == (State.RETRYING, FailureKind.REFUSED, key(1))
    assert f"returned with {foreign}, which is no new checkpoint of it" in view.failure.message


# -------------------------------------------------------------------------------------------------------- parameters


def test_parameters_that_a_trial_names_are_the_spaces_from_then_on() -> None:
    driven = Driven(space={}, fill=FillRule.DEFAULT, slots=2)
    driven.open()
    first = driven.start_empty()
    assert first.space == {}
    assert first.fill == Fill(FillRule.DEFAULT, fill_seed(7, 0))
    driven.declare(0, {"units": Int(1, 9)}, units=4)
    assert driven.happened() == (
        SpaceGrew(trial=0, parameters={"units": Int(1, 9)}),
        ParametersUsed(trial=0, values={"units": 4}),
    )
    assert driven.view(0).values == {"units": 4}
    driven.declare(0, {}, units=4)
    assert driven.happened() == (ParametersUsed(trial=0, values={"units": 4}),)
    assert driven.start_empty().space == {"units": Int(1, 9)}


def test_two_launches_may_name_the_same_parameter() -> None:
    driven = Driven(space={}, slots=2)
    driven.open()
    driven.start_empty()
    driven.start_empty()
    driven.declare(0, {"units": Int(1, 9)}, units=4)
    driven.declare(1, {"units": Int(1, 9)}, units=5)
    assert driven.happened() == (ParametersUsed(trial=1, values={"units": 5}),)


def test_a_second_declaration_with_another_range_fails_that_trial_naming_both() -> None:
    driven = Driven(space={}, slots=2, failure=RETRY)
    driven.open()
    driven.start_empty()
    driven.start_empty()
    driven.declare(0, {"units": Int(1, 9)}, units=4)
    do = driven.declare(1, {"units": Int(1, 10)}, units=4)
    text = "parameter 'units' is Int(1 to 9) and was declared again as Int(1 to 10): give one of the two another name"
    assert do == [StopLaunch(1, 1, text, 5.0)]
    # What it goes on to report cannot save it.
    driven.report(1, 1, loss=0.0)
    driven.returned(1, loss=0.0)
    (gave_up,) = driven.happened()
    assert isinstance(gave_up, GaveUp)
    assert (gave_up.failure.message, gave_up.failure.retry) == (text, False)
    assert [driven.view(trial).state for trial in (0, 1)] == [State.RUNNING, State.FAILED]
    assert driven.machine.space["units"] == Int(1, 9)


@pytest.mark.parametrize(
    ("parameters", "values", "text"),
    [
        ({}, {"x": 100}, "it asked for 'x' and says that it got 100, which is not a value of Int(0 to 99)"),
        (
            {"y": Float(0, 1)},
            {"y": "much"},
            "it asked for 'y' and says that it got 'much', which is not a value of Float(0.0 to 1.0)",
        ),
        ({}, {"z": 1}, "it asked for 'z', which nobody has declared"),
        ({"y": Boolean()}, {"y": True, "z": 1}, "it asked for 'z', which nobody has declared"),
    ],
)
def test_values_that_cannot_be_fail_the_trial(parameters: dict[str, Domain], values: dict[str, Any], text: str) -> None:
    driven = Driven(failure=NO_LIMIT)
    driven.start()
    assert driven.declare(0, parameters, **values) == [StopLaunch(0, 1, text, 5.0)]
    driven.left(0)
    view = driven.view(0)
    assert view.failure is not None
    assert (view.state, view.failure.message, view.values) == (State.FAILED, text, {"x": 1})
    assert dict(driven.machine.space) == SPACE


def test_a_retry_gets_the_values_that_the_attempt_before_it_found() -> None:
    driven = Driven(failure=RETRY)
    driven.start(x=3)
    driven.declare(0, {"y": Float(0, 1)}, x=3, y=0.25)
    driven.raised(0)
    driven.grant()
    assert driven.orders[0].values == {"x": 3, "y": 0.25}
    assert driven.orders[0].space.keys() == {"x", "y"}


def test_only_what_a_trial_asked_for_belongs_to_it() -> None:
    driven = Driven(space={}, slots=2)
    driven.open()
    driven.start_empty()
    driven.declare(0, {"a": Boolean(), "b": Boolean()}, a=True, b=True)
    driven.start(a=False, b=True)
    assert driven.view(1).values == {"a": False, "b": True}  # it may still ask
    driven.declare(1, {}, a=False)
    driven.returned(1, loss=1.0)
    assert driven.view(1).values == {"a": False}


# ------------------------------------------------------------------------------------------------------- opened again


def test_what_ran_when_a_search_was_cut_off_is_owed_a_slot_when_it_is_opened_again() -> None:
    driven = Driven(slots=3, failure=RETRY)
    driven.open()
    for x in range(3):
        driven.start(x=x)
    driven.report(1, 1, checkpoint=True, loss=1.0)
    driven.raised(2)
    driven.open(slots=1)
    states = [(driven.view(trial).state, driven.view(trial).hold) for trial in range(3)]
    reason = "the search was interrupted"
    assert states == [(State.PENDING, reason), (State.PENDING, reason), (State.RETRYING, None)]
    order = []
    for _ in range(3):
        driven.grant()
        trial = next(iter(driven.machine.book.live))
        order.append((trial, driven.orders[trial].launch, driven.orders[trial].attempt, driven.orders[trial].step))
        driven.returned(trial, loss=1.0)
    assert order == [(2, 2, 2, 0), (0, 2, 1, 0), (1, 2, 1, 1)]


@pytest.mark.fault(34)
def test_the_words_of_a_launch_from_before_a_crash_are_dropped() -> None:
    driven = Driven()
    driven.start()
    driven.open()
    late: list[Ending] = [Lost(trial=0, launch=1, reason=""), TrialReturned(trial=0, launch=1, metrics={"loss": 0.0})]
    for ending in late:
        driven.tell(LaunchEnded(at=0.0, ending=ending))
        assert driven.decision.void
    assert driven.view(0).state is State.PENDING
