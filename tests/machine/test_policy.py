"""What a failure policy makes of failures: waits, rules, fresh starts, shares, and scores that are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from asynctune._machine.instructions import DeleteCheckpoint, EndSearch, RequestSlots, StartLaunch, StopLaunch, TellEnd, WakeAt
from asynctune._machine.stimuli import PauseAsked, ResumeAsked
from asynctune.errors import FailedTrialError, FatalValueError, PluginError
from asynctune.events import AttemptFailed, Finished, SearchEnded, Started, Stopped
from asynctune.failure import FailureKind
from asynctune.messages import TrialLeft
from asynctune.objective import Objective
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limit, Limits
from asynctune.records import CheckpointKey, Choice, State, Suggestion
from asynctune.schedulers import FIFO
from asynctune.seeds import derive
from asynctune.views import SearchView
from tests.machine.driven import NO_LIMIT, Driven, failure


def waiting(delay: float = 10.0, **changes: Any) -> FailurePolicy:
    given = {"max_retries_per_trial": 3, "max_consecutive_failed_trials": None, "jitter": 0, **changes}
    return FailurePolicy(delay=delay, **given)


def started(driven: Driven) -> list[int]:
    """The trials that the last step started."""
    return [i.order.trial for i in driven.decision.instructions if isinstance(i, StartLaunch)]


def due(driven: Driven) -> float:
    event = next(event for event in driven.happened() if isinstance(event, AttemptFailed))
    assert event.due is not None
    return event.due


# ---------------------------------------------------------------------------------------------------------- the wait


@pytest.mark.fault(33)
def test_another_attempt_waits_for_its_time_and_holds_no_slot_meanwhile() -> None:
    driven = Driven(failure=waiting(), max_trials=1)
    driven.start()
    driven.at = 5.0
    assert driven.raised(0) == [WakeAt(15.0)]  # and asks for no slot
    assert driven.happened() == (AttemptFailed(trial=0, launch=1, failure=failure(), due=15.0),)
    assert (driven.view(0).state, driven.view(0).hold) == (State.RETRYING, "its next attempt is due at 15.0 s")
    assert driven.tick(14.5) == [WakeAt(15.0)]  # a timer that rings early is set again
    assert driven.tick(15.0) == [RequestSlots(1)]
    driven.grant()
    assert driven.happened() == (Started(trial=0, launch=2, attempt=2),)
    assert driven.view(0).hold is None
    driven.returned(0, loss=1.0)
    assert driven.machine.over


def test_others_run_while_one_waits() -> None:
    driven = Driven(failure=waiting(), max_trials=2)
    driven.start()
    driven.raised(0)
    driven.start()
    assert started(driven) == [1]
    driven.returned(1, loss=1.0)
    assert not driven.machine.over
    driven.tick(10.0)
    driven.grant()
    assert started(driven) == [0]


def test_what_has_waited_goes_before_what_is_new_and_in_the_order_of_its_time() -> None:
    driven = Driven(failure=waiting(factor=1), slots=2, ahead=1)
    driven.open()
    driven.start()
    driven.start()
    driven.raised(1)
    driven.at = 1.0
    driven.raised(0)
    driven.suggest(x=7)
    driven.tick(11.0)
    driven.grant()
    assert started(driven) == [1]
    driven.grant()
    assert started(driven) == [0]


def test_the_first_that_failed_is_the_first_that_is_tried_again() -> None:
    driven = Driven(failure=FailurePolicy(max_retries_per_trial=1), slots=2, max_trials=2)
    driven.open()
    driven.start()
    driven.start()
    driven.raised(1)
    driven.raised(0)
    driven.grant()
    assert started(driven) == [1]
    driven.grant()
    assert started(driven) == [0]


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({}, [10.0, 20.0, 40.0]),
        ({"factor": 1}, [10.0, 10.0, 10.0]),
        ({"factor": 3, "max_delay": 50}, [10.0, 30.0, 50.0]),
        ({"factor": 1e300}, [10.0, 300.0, 300.0]),
    ],
)
def test_waits_get_longer(changes: Mapping[str, Any], waits: list[float]) -> None:
    driven = Driven(failure=waiting(**changes))
    driven.start()
    for wait in waits:
        at = driven.at
        driven.raised(0)
        assert due(driven) == at + wait
        driven.tick(at + wait)
        driven.grant()
    driven.raised(0)
    assert driven.view(0).state is State.FAILED


def test_waits_are_shortened_by_a_share_that_depends_on_seed_trial_and_attempt_alone() -> None:
    def dues(seed: int) -> list[float]:
        driven = Driven(failure=waiting(jitter=0.5, factor=1), seed=seed, slots=30)
        driven.open()
        found = []
        for trial in range(30):
            driven.start()
            driven.raised(trial)
            found.append(due(driven))
        return found

    first = dues(1)
    assert first == dues(1)
    assert first != dues(2)
    assert all(5.0 <= each <= 10.0 for each in first)
    assert min(first) < 6.0
    assert max(first) > 9.0
    assert len(set(first)) == 30
    assert first[3] == 10.0 * (1 - 0.5 * derive(1, "delay", 3, 1) / 2**63)


def test_a_wait_outlives_the_search_being_shut() -> None:
    driven = Driven(failure=waiting())
    driven.start()
    driven.raised(0)
    driven.at = 4.0
    assert WakeAt(10.0) in driven.open()
    driven.grant()
    assert started(driven) == []
    driven.suggest(Suggestion.exhausted())
    driven.tick(10.0)
    driven.grant()
    assert started(driven) == [0]


def test_a_trial_that_waits_for_its_time_keeps_the_search_from_ending_and_can_be_stopped() -> None:
    driven = Driven(failure=waiting(), max_trials=1)
    driven.start()
    driven.report(0, 1, loss=3.0)
    driven.raised(0)
    assert not driven.machine.over
    *_, end = driven.stop_trial(0)
    assert driven.happened()[0] == Stopped(trial=0, reason="enough", score=3.0)
    assert end == EndSearch("every trial has ended")


def test_nothing_starts_while_the_user_has_paused_though_its_time_has_come() -> None:
    driven = Driven(failure=waiting(), max_trials=1)
    driven.start()
    driven.raised(0)
    driven.tell(PauseAsked(at=1.0))
    driven.at = 1.0
    assert driven.tick(10.0) == []
    assert driven.tell(ResumeAsked(at=10.0)) == [RequestSlots(1)]
    driven.grant()
    assert started(driven) == [0]


def test_a_search_that_is_closed_keeps_the_trial_that_waits() -> None:
    driven = Driven(failure=waiting(), max_trials=1)
    driven.start()
    driven.raised(0)
    driven.close()
    assert driven.machine.over
    assert driven.view(0).state is State.RETRYING
    driven.open()
    assert not driven.machine.over


class Eager(FIFO):
    """Chooses trial 0, whatever its state."""

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        return 0 if search.counts[State.RETRYING] else "NEW"


def test_a_scheduler_cannot_choose_what_is_not_due() -> None:
    driven = Driven(Eager, failure=waiting())
    driven.start()
    driven.raised(0)
    with pytest.raises(PluginError, match="chose trial 0, which is not PENDING"):
        driven.grant()


class Hesitant(FIFO):
    """Wants nothing new."""

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        return "NEW" if search.counts[State.PENDING] or not search.trials else "WAIT"


def test_nothing_is_proposed_to_move_a_search_that_will_move_by_itself() -> None:
    driven = Driven(Hesitant, failure=waiting())
    driven.start()
    asked = driven.machine.asks.asked
    driven.raised(0)
    if driven.machine.slots.requested:
        driven.grant()
    assert driven.machine.asks.asked == asked
    driven.tick(10.0)
    driven.grant()
    assert started(driven) == [0]


# ---------------------------------------------------------------------------------------------------- from the start


@pytest.mark.parametrize("retry_from", ["checkpoint", "start"])
def test_another_attempt_begins_at_the_checkpoint_or_at_the_start(retry_from: Any) -> None:
    policy = FailurePolicy(max_retries_per_trial=1, retry_from=retry_from)
    driven = Driven(failure=policy, checkpoints=CheckpointPolicy(keep=2))
    driven.start()
    keys = [CheckpointKey(0, step, 1) for step in (1, 2)]
    for step in (1, 2):
        driven.report(0, step, loss=1.0 / step, checkpoint=True)
    do = driven.raised(0)
    fresh = retry_from == "start"
    assert [i.key for i in do if isinstance(i, DeleteCheckpoint)] == (keys if fresh else [])
    assert driven.happened() == (AttemptFailed(trial=0, launch=1, failure=failure(), restart=fresh),)
    assert driven.view(0).checkpoint == (None if fresh else keys[-1])
    driven.grant()
    order = driven.orders[0]
    assert (order.restore, order.step) == ((None, 0) if fresh else (keys[-1], 2))
    # A launch that takes over from a lost one begins there too.
    driven.lost(0)
    driven.grant()
    assert driven.orders[0].restore == order.restore
    # A step that is repeated was judged before.
    driven.report(0, order.step + 1, loss=9.0)
    assert [(report.step, report.launch) for report in driven.view(0).reports] == (
        [(1, 3)] if fresh else [(1, 1), (2, 1), (3, 3)]
    )


# -------------------------------------------------------------------------------------------------------------- rules

OSERROR = {"error_type": "OSError", "bases": ("Exception", "BaseException")}
TIMEOUT = {"error_type": "TimeoutError", "bases": ("OSError", "Exception", "BaseException")}


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("rules", "said", "state"),
    [
        ({}, OSERROR, State.RETRYING),
        ({OSError: "fail"}, OSERROR, State.FAILED),
        ({OSError: "fail"}, TIMEOUT, State.FAILED),
        ({IOError: "fail"}, TIMEOUT, State.FAILED),
        ({OSError: "fail", TimeoutError: "retry"}, TIMEOUT, State.RETRYING),
        ({TimeoutError: "retry", OSError: "fail"}, TIMEOUT, State.RETRYING),
        ({OSError: "fail", Exception: "retry"}, TIMEOUT, State.FAILED),
        ({TimeoutError: "fail"}, OSERROR, State.RETRYING),
        ({"OSError": "fail"}, OSERROR, State.FAILED),
        ({"job.NoData": "fail"}, {"error_type": "job.NoData"}, State.FAILED),
        ({"NotImplementedError": "fail"}, OSERROR, State.RETRYING),
        ({FailureKind.RAISED: "fail"}, OSERROR, State.FAILED),
        ({FailureKind.RAISED: "fail", Exception: "retry"}, OSERROR, State.RETRYING),
        ({FailureKind.KILLED: "fail"}, OSERROR, State.RETRYING),
        # What the trial says itself goes before.
        ({OSError: "retry"}, {**OSERROR, "retry": False}, State.FAILED),
    ],
)
def test_rules_say_what_a_failure_leads_to(rules: Any, said: Mapping[str, Any], state: State) -> None:
    driven = Driven(failure=FailurePolicy(max_retries_per_trial=1, max_consecutive_failed_trials=None, rules=rules))
    driven.start()
    driven.raised(0, "OSError: disk", **said)
    assert driven.view(0).state is state
    assert not driven.machine.over


def test_a_rule_for_a_kind_holds_for_what_raises_nothing() -> None:
    policy = FailurePolicy(
        max_retries_per_trial=2,
        max_consecutive_failed_trials=None,
        rules={FailureKind.TIMED_OUT: "fail", FailureKind.INVALID_RESULT: "fail"},
    )
    driven = Driven(failure=policy, limits=Limits(trial_time=3), slots=3)
    driven.open()
    for _ in range(3):
        driven.start()
    for trial in (0, 1):
        driven.broke(trial, Limit.TRIAL_TIME, 3.0)
    driven.left(0)
    driven.died(1, signal=9)  # told to end, as it had run too long: it is that which counts
    driven.start()
    driven.returned(3, loss=math.nan)
    assert [driven.view(trial).state for trial in (0, 1, 3)] == [State.FAILED] * 3


def test_a_retry_by_a_rule_is_one_of_those_that_there_are() -> None:
    driven = Driven(failure=FailurePolicy(max_retries_per_trial=1, rules={ValueError: "retry"}))
    driven.start()
    driven.raised(0)
    driven.grant()
    driven.raised(0)
    assert driven.view(0).state is State.FAILED


def test_a_rule_can_end_the_search() -> None:
    driven = Driven(failure=FailurePolicy(max_retries_per_trial=3, rules={LookupError: "end"}), slots=2)
    driven.open()
    driven.start()
    driven.start()
    do = driven.raised(0, "KeyError: 'x'", error_type="KeyError", bases=("LookupError", "Exception"), traceback="Traceback ...")
    reason = "trial 0 ended the search by FailurePolicy(rules={'LookupError': 'end'}): it raised KeyError: 'x'\nTraceback ..."
    assert do == [TellEnd(driven.view(0)), StopLaunch(1, 1, reason, 5.0)]
    assert driven.left(1) == [EndSearch(reason, "FatalError")]
    assert [driven.view(trial).state for trial in (0, 1)] == [State.FAILED, State.PENDING]


def test_a_rule_that_ends_the_search_raises_no_error_of_a_like_name() -> None:
    driven = Driven(failure=FailurePolicy(rules={"job.FatalTypeError": "end"}))
    driven.start()
    *_, end = driven.raised(0, "FatalTypeError: mine", error_type="job.FatalTypeError")
    assert isinstance(end, EndSearch)
    assert end.error == "FatalError"


# ------------------------------------------------------------------------------------------------- failures in a row


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("share", "max_trials", "over_at"),
    [(0.2, 10, 2), (0.25, 10, 3), (0.07, 100, 7), (0.01, 5, 1), (0.99, 3, 3), (0.5, None, None)],
)
def test_a_share_of_the_trials_may_fail_in_a_row(share: float, max_trials: int | None, over_at: int | None) -> None:
    driven = Driven(failure=FailurePolicy(max_consecutive_failed_trials=share), max_trials=max_trials)
    failed = 0
    while not driven.machine.over and failed < 20:
        driven.start()
        driven.raised(failed)
        failed += 1
    assert (failed if driven.machine.over else None) == over_at
    if over_at is not None:
        assert driven.machine.ending is not None
        assert f"(max_consecutive_failed_trials={share})" in driven.machine.ending.reason


def test_the_failures_that_ended_a_search_are_told_as_numbers_too() -> None:
    driven = Driven(failure=FailurePolicy(max_consecutive_failed_trials=3))
    for trial in range(2):
        driven.start()
        driven.raised(trial)
    driven.start()
    *_, end = driven.died(2, signal=11)
    assert isinstance(end, EndSearch)
    assert end.failures == {"ValueError": 2, "killed by a signal": 1}
    assert isinstance(ended := driven.happened()[-1], SearchEnded)
    assert ended.failures == end.failures


@pytest.mark.fault(30)
def test_what_is_kept_of_failures_is_bounded_however_many_there_are() -> None:
    driven = Driven(failure=NO_LIMIT)
    for trial in range(500):
        driven.start()
        driven.raised(trial, error_type=f"job.Error{trial}" if trial % 2 else "OSError")
    kept = driven.machine.failures
    assert sum(kept.histogram.values()) == 500
    assert kept.histogram["OSError"] == 250
    assert len(kept.histogram) == 51
    assert kept.histogram["others"] == 201
    reason = kept.over(FailurePolicy(max_consecutive_failed_trials=3), None)
    assert reason is not None
    assert "OSError in trial 0, 2, 4, 6, 8, 10, 12, 14, 16, 18 and 240 more" in reason
    assert len(reason) < 5_000


# ---------------------------------------------------------------------------------------------- what is not finite


@pytest.mark.fault(17)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_can_be_let_pass_and_is_never_the_best(value: float) -> None:
    driven = Driven(failure=FailurePolicy(max_retries_per_trial=1, non_finite="worst"), objective=Objective("loss", "max"))
    driven.start()
    driven.returned(0, loss=value)
    said = driven.happened()[0]
    assert isinstance(said, Finished)
    assert said.score is None
    view = driven.view(0)
    assert (view.state, view.score, view.failure, repr(view.metrics)) == (State.COMPLETED, None, None, repr({"loss": value}))
    assert driven.machine.book.best is None
    driven.start()
    driven.returned(1, loss=-5.0)
    assert driven.machine.book.best is driven.machine.book.trials[1]


# -------------------------------------------------------------------------------------------------- what is infeasible


def infeasible(driven: Driven, trial: int, reason: str = "too large") -> None:
    driven.end(TrialLeft, trial, infeasible=reason)


def test_a_trial_whose_values_cannot_be_tried_has_no_score_and_has_not_failed() -> None:
    driven = Driven(failure=FailurePolicy(max_retries_per_trial=3, max_consecutive_failed_trials=1))
    driven.start()
    driven.report(0, 1, loss=0.1)
    infeasible(driven, 0)
    assert driven.happened()[0] == Stopped(trial=0, reason="infeasible: too large", score=None, infeasible=True)
    view = driven.view(0)
    assert (view.state, view.stop_reason, view.score, view.failure, view.attempt) == (
        State.COMPLETED,
        "infeasible: too large",
        None,
        None,
        1,
    )
    assert driven.machine.book.best is None
    assert not driven.machine.over


@pytest.mark.parametrize("how", ["infeasible", "stopped", "stopped before its turn"])
def test_a_trial_that_was_ended_shows_a_failure_only_if_its_last_attempt_failed(how: str) -> None:
    driven = Driven(failure=FailurePolicy(max_retries_per_trial=3))
    driven.start()
    driven.raised(0)
    if how == "stopped before its turn":
        driven.stop_trial(0)
        assert driven.view(0).failure == failure()
        return
    driven.grant()
    if how == "infeasible":
        infeasible(driven, 0)
    else:
        driven.stop_trial(0)
    assert (driven.view(0).state, driven.view(0).attempt, driven.view(0).failure) == (State.COMPLETED, 2, None)


def test_it_neither_extends_nor_ends_a_run_of_failures() -> None:
    driven = Driven(failure=FailurePolicy(max_consecutive_failed_trials=3))
    for trial in range(6):
        driven.start()
        if trial % 2:
            infeasible(driven, trial)
        else:
            driven.raised(trial)
        assert driven.machine.over == (trial == 4), trial
        if driven.machine.over:
            break
    assert driven.machine.failures.histogram == {"ValueError": 3}


@pytest.mark.parametrize("limit", [Limit.TRIAL_TIME, Limit.SILENCE, Limit.MEMORY])
def test_what_it_says_counts_when_it_was_told_to_stop_for_taking_too_much(limit: Limit) -> None:
    driven = Driven(failure=NO_LIMIT, limits=Limits(trial_time=3, silence=3, memory="1 GiB"))
    driven.start()
    driven.broke(0, limit, 2.0**31)
    infeasible(driven, 0)
    assert driven.view(0).stop_reason == "infeasible: too large"


def test_a_trial_that_was_stopped_before_stays_as_it_was() -> None:
    driven = Driven(failure=NO_LIMIT)
    driven.start()
    driven.report(0, 1, loss=0.1)
    driven.stop_trial(0)
    infeasible(driven, 0)
    assert (driven.view(0).stop_reason, driven.view(0).score) == ("enough", 0.1)


def test_a_search_of_nothing_but_infeasible_trials_ends_well() -> None:
    driven = Driven(max_trials=2)
    for trial in range(2):
        driven.start()
        infeasible(driven, trial)
    assert driven.machine.ending is not None
    assert driven.machine.ending.error is None


# ------------------------------------------------------------------------------------------------------ bad policies


class Mine(FatalValueError):
    pass


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"max_retries_per_trial": -1}, "FailurePolicy(max_retries_per_trial=...) takes an integer of at least 0, not -1"),
        ({"max_retries_per_trial": 1.0}, "takes an integer of at least 0, not 1.0"),
        *[
            (
                {"max_consecutive_failed_trials": value},
                "(max_consecutive_failed_trials=...) takes an integer of at least 1, a share",
            )
            for value in (0, -1, 0.0, 1.0, 2.5, True, math.nan, math.inf, "3")
        ],
        *[
            ({"delay": value}, "FailurePolicy(delay=...) takes a number")
            for value in (-1, math.nan, math.inf, 10**400, True, "1")
        ],
        ({"factor": 0.5}, "FailurePolicy(factor=...) takes a number of at least 1, not 0.5"),
        ({"max_delay": 0}, "FailurePolicy(max_delay=...) takes a number above 0, not 0"),
        ({"jitter": 1.5}, "FailurePolicy(jitter=...) takes a number of at least 0 and at most 1, not 1.5"),
        ({"retry_from": "end"}, "FailurePolicy(retry_from=...) takes 'checkpoint' or 'start', not 'end'"),
        ({"non_finite": "best"}, "FailurePolicy(non_finite=...) takes 'fail' or 'worst', not 'best'"),
        ({"delay": 600}, "FailurePolicy(delay=600) is longer than max_delay=300"),
        ({"delay": 1, "max_retries_per_trial": 0}, "FailurePolicy(delay=1) is about retries, and there are none"),
        ({"retry_from": "start", "max_retries_per_trial": 0}, "FailurePolicy(retry_from='start') is about retries"),
        ({"rules": [OSError]}, "FailurePolicy(rules=...) takes a dict, such as {OSError: 'retry', KeyError: 'end'}, not"),
        ({"rules": {OSError: "stop"}}, "FailurePolicy(rules=...) takes 'retry', 'fail' or 'end' for 'OSError', not 'stop'"),
        ({"rules": {OSError: ["fail"]}}, "takes 'retry', 'fail' or 'end' for 'OSError', not ['fail']"),
        ({"rules": {OSError: "fail", "IOError": "retry"}}, "FailurePolicy(rules=...) names 'OSError' twice"),
        ({"rules": {"OSErorr": "fail"}}, "there is no built-in exception 'OSErorr': name it with its module"),
        ({"rules": {"str": "fail"}}, "there is no built-in exception 'str'"),
        *[
            ({"rules": {key: "fail"}}, "takes a dict from exception classes, their qualified names, or FailureKinds, not from")
            for key in (int, 3, "", "not a name", "timed out", State.FAILED, None)
        ],
        ({"rules": {FailedTrialError: "retry"}}, "whoever raises it has said already what it leads to"),
        ({"rules": {Mine: "fail"}}, "whoever raises it has said already what it leads to"),
        ({"rules": {"asynctune.errors.FatalError": "fail"}}, "names asynctune.errors.FatalError: whoever raises it"),
        ({"rules": {SystemExit: "fail"}}, "make the rule for FailureKind.EXITED"),
        ({"rules": {"FailureKind.LOST": "fail"}}, "a launch that is lost is nobody's failure"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_name(given: Mapping[str, Any], says: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 -- what it says is asserted
        FailurePolicy(**{"max_retries_per_trial": 1, **given})
    assert says in str(refused.value)


def test_exceptions_of_every_kind_can_be_named() -> None:
    class Local(Exception):
        pass

    rules: Any = {Local: "fail", "torch.OutOfMemoryError": "fail", FailureKind.EXITED: "end"}
    names = list(FailurePolicy(rules=rules).rules)
    assert names == [
        "tests.machine.test_policy.test_exceptions_of_every_kind_can_be_named.<locals>.Local",
        "torch.OutOfMemoryError",
        "FailureKind.EXITED",
    ]
