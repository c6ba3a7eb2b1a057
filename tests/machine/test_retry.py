"""What follows a failed attempt: another, none, or the end of the search."""

from __future__ import annotations

import math
from typing import Any

import pytest
from attrs import evolve

from asynctune._machine.instructions import EndSearch, RequestSlots, StartLaunch, StopLaunch, TellEnd
from asynctune.errors import FatalError, FatalRuntimeError, FatalTypeError, FatalValueError
from asynctune.events import AttemptFailed, Finished, GaveUp, Paused, Started, Stopped
from asynctune.failure import Failure, FailureKind
from asynctune.objective import Objective
from asynctune.policies import FailurePolicy
from asynctune.records import State
from asynctune.seeds import derive
from tests.machine.driven import NO_LIMIT, Driven, answer, failure


def retries(count: int) -> FailurePolicy:
    return FailurePolicy(max_retries_per_trial=count, max_consecutive_failed_trials=None)


def test_an_attempt_that_failed_is_followed_by_another() -> None:
    driven = Driven(failure=retries(1))
    order = driven.start(x=5)
    assert driven.raised(0) == []  # a slot was requested while the trial ran
    assert driven.happened() == (AttemptFailed(trial=0, launch=1, failure=failure()),)
    assert (driven.view(0).state, driven.view(0).attempt) == (State.RETRYING, 2)

    again = evolve(order, launch=2, attempt=2, seed=derive(derive(7, "trial", 0), 2))
    assert driven.grant() == [StartLaunch(again), RequestSlots(1)]
    assert driven.happened() == (Started(trial=0, launch=2, attempt=2),)

    # The attempts are spent: it gives up, and whoever is to know hears of it, once.
    assert driven.raised(0) == [TellEnd(driven.view(0))]
    assert driven.happened() == (GaveUp(trial=0, launch=2, failure=failure()),)
    assert (driven.view(0).state, driven.view(0).attempt, driven.view(0).ended) == (State.FAILED, 2, 0.0)


def test_a_retry_goes_before_what_is_new() -> None:
    driven = Driven(failure=retries(1), ahead=1)
    driven.open()
    driven.start(x=5)
    driven.suggest(x=6)
    driven.raised(0)
    started = [i.order.trial for i in driven.grant() if isinstance(i, StartLaunch)]
    assert started == [0]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_limit_counts_attempts(count: int) -> None:
    driven = Driven(failure=retries(count))
    driven.start()
    for attempt in range(1, count + 1):
        driven.raised(0)
        assert (driven.view(0).state, driven.view(0).attempt) == (State.RETRYING, attempt + 1)
        driven.grant()
    driven.raised(0)
    assert (driven.view(0).state, driven.view(0).attempt, driven.view(0).launches) == (State.FAILED, count + 1, count + 1)


def test_a_trial_can_rule_out_its_own_retry() -> None:
    driven = Driven(failure=retries(5))
    driven.start()
    driven.raised(0, "FailedTrialError: units do not fit", retry=False)
    assert driven.view(0).state is State.FAILED
    assert not driven.machine.over


@pytest.mark.parametrize("kind", [FatalError, FatalValueError, FatalTypeError, FatalRuntimeError])
def test_a_fatal_error_ends_the_search_in_its_own_name(kind: type[Exception]) -> None:
    driven = Driven(failure=retries(5), slots=2)
    driven.open()
    driven.start()
    driven.start()
    said = f"{kind.__name__}: no data"
    name = f"{kind.__module__}.{kind.__qualname__}"
    do = driven.raised(0, said, error_type=name, retry=False, fatal=True, traceback="Traceback ...")
    reason = f"trial 0 ended the search: it raised {said}\nTraceback ..."

    # What else runs is set aside, to go on when the search is started again.
    assert do == [TellEnd(driven.view(0)), StopLaunch(1, 1, reason, 5.0)]
    assert driven.left(1) == [EndSearch(reason, kind.__name__)]
    assert [driven.view(trial).state for trial in (0, 1)] == [State.FAILED, State.PENDING]


def test_a_fatal_error_of_the_users_own_class_is_a_fatal_error() -> None:
    driven = Driven()
    driven.start()
    *_, end = driven.raised(0, "NoData: none", error_type="job.NoData", retry=False, fatal=True)
    assert end == EndSearch("trial 0 ended the search: it raised NoData: none", "FatalError")


def test_a_subclass_of_a_fatal_error_ends_the_search_as_its_base_does() -> None:
    driven = Driven()
    driven.start()
    bases = ("job.BadInput", "asynctune.errors.FatalValueError", "asynctune.errors.FatalError", "builtins.ValueError")
    *_, end = driven.raised(0, "Empty: none", error_type="job.Empty", bases=bases, retry=False, fatal=True)
    assert isinstance(end, EndSearch)
    assert end.error == "FatalValueError"


def run_one(driven: Driven, trial: int, fails: bool) -> bool:
    driven.start(x=trial)
    if fails:
        driven.raised(trial)
    else:
        driven.returned(trial, loss=1.0)
    return driven.machine.over


@pytest.mark.parametrize(
    ("limit", "fails", "over_at"),
    [
        (3, {2, 3, 5, 6}, None),
        (3, {1, 2, 3}, 3),
        (3, {0, 2, 3, 4}, 4),
        (2, {1, 3, 5}, None),
        (1, {4}, 4),
        (None, {0, 1, 2, 3, 4, 5, 6}, None),
    ],
)
def test_trials_that_fail_in_a_row(limit: int | None, fails: set[int], over_at: int | None) -> None:
    driven = Driven(failure=FailurePolicy(max_consecutive_failed_trials=limit))
    overs = []
    for trial in range(7):
        overs.append(run_one(driven, trial, trial in fails))
        if overs[-1]:
            break
    assert [trial for trial, over in enumerate(overs) if over] == ([] if over_at is None else [over_at])


def test_a_trial_that_is_ended_before_it_runs_is_no_success() -> None:
    driven = Driven(failure=FailurePolicy(max_consecutive_failed_trials=2), ahead=1)
    driven.start()
    driven.suggest(x=6)
    driven.raised(0)
    driven.stop_trial(1)
    assert driven.view(1).state is State.COMPLETED
    driven.start()
    driven.raised(2)
    assert driven.machine.over


def test_too_many_failures_say_what_failed_and_how_the_last_one_did() -> None:
    driven = Driven(failure=FailurePolicy(max_consecutive_failed_trials=3))
    driven.start()
    driven.raised(0)
    driven.start()
    driven.died(1, signal=9)
    driven.start()
    said = {"error_type": "KeyError", "traceback": "Traceback: line 3\n", "log": "logs/2-1.log", "tail": "epoch 1\nepoch 2"}
    *_, end = driven.raised(2, "KeyError: 'x'", **said)
    assert isinstance(end, EndSearch)
    assert end.error == "TooManyFailuresError"
    assert "3 trials in a row failed" in end.reason
    assert "ValueError in trial 0; killed by a signal in trial 1; KeyError in trial 2" in end.reason
    assert end.reason.endswith(
        "The last one was trial 2: it raised KeyError: 'x'\n"
        "Traceback: line 3\n"
        "log: logs/2-1.log in the search's directory\n"
        "  | epoch 1\n"
        "  | epoch 2"
    )


def test_failures_in_a_row_are_counted_in_the_order_in_which_trials_end() -> None:
    driven = Driven(failure=FailurePolicy(max_consecutive_failed_trials=2), slots=3)
    driven.open()
    for trial in range(3):
        driven.start(x=trial)
    driven.raised(2)
    driven.returned(1, loss=1.0)
    driven.raised(0)
    assert not driven.machine.over


def test_the_run_of_failures_goes_on_when_a_search_that_was_cut_off_is_opened_again() -> None:
    driven = Driven(failure=FailurePolicy(max_consecutive_failed_trials=3))
    for trial in (0, 1):
        run_one(driven, trial, fails=True)
    driven.open()
    assert run_one(driven, 2, fails=True)


def test_the_run_of_failures_begins_anew_when_it_had_ended_the_search() -> None:
    driven = Driven(failure=FailurePolicy(max_consecutive_failed_trials=2))
    assert [run_one(driven, trial, fails=True) for trial in (0, 1)] == [False, True]
    driven.open()
    assert [run_one(driven, trial, fails=True) for trial in (2, 3)] == [False, True]


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ({"exit_code": 3}, FailureKind.EXITED, "its process exited with code 3 before it returned a result"),
        ({"signal": 11}, FailureKind.KILLED, "its process was killed by signal 11 (SIGSEGV)"),
        ({"signal": 9}, FailureKind.KILLED, "its process was killed by signal 9 (SIGKILL)"),
        ({"signal": 6, "tail": "double free"}, FailureKind.KILLED, "its process was killed by signal 6 (SIGABRT)"),
        ({"signal": 40}, FailureKind.KILLED, "its process was killed by signal 40"),
        ({"signal": 9, "out_of_memory": True}, FailureKind.OUT_OF_MEMORY, "memory ran out, and the kernel killed its process"),
    ],
)
@pytest.mark.fault(1)
def test_a_process_that_ends_without_a_word_is_a_failed_attempt(how: dict[str, Any], kind: FailureKind, message: str) -> None:
    driven = Driven(failure=retries(1))
    driven.start()
    driven.died(0, **how, log="logs/0-1.log")
    failed = driven.view(0).failure
    assert failed is not None
    assert failed.kind is kind
    assert failed.message == message
    assert (failed.exit_code, failed.signal, failed.log) == (how.get("exit_code"), how.get("signal"), "logs/0-1.log")
    assert failed.tail == how.get("tail", "")
    assert driven.view(0).state is State.RETRYING


# ------------------------------------------------------------------------------------------------------------- scores


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("over", ["last", "best"])
@pytest.mark.fault(17)
def test_a_final_score_that_is_not_finite_fails_the_attempt_and_a_retry_can_mend_it(value: float, over: Any) -> None:
    driven = Driven(failure=retries(1), objective=Objective("loss", "min", over=over))
    driven.start()
    driven.returned(0, loss=value)
    failed = driven.view(0).failure
    assert failed is not None
    assert (failed.kind, failed.message) == (FailureKind.INVALID_RESULT, f"its 'loss' is {value}")
    assert driven.view(0).state is State.RETRYING

    driven.grant()
    driven.returned(0, loss=2.0)
    assert driven.happened()[0] == Finished(trial=0, launch=2, score=2.0, metrics={"loss": 2.0})
    # Its last attempt did not fail.
    assert (driven.view(0).state, driven.view(0).score, driven.view(0).failure) == (State.COMPLETED, 2.0, None)


def test_a_result_that_is_not_finite_shows_that_the_objective_is_known() -> None:
    driven = Driven(failure=NO_LIMIT)
    driven.start()
    driven.returned(0, loss=math.nan)
    driven.start()
    driven.returned(1, accuracy=0.5)
    assert not driven.machine.over
    failed = driven.view(1).failure
    assert failed is not None
    assert "it ended without the objective 'loss': it returned 'accuracy'" in failed.message


@pytest.mark.parametrize(
    ("over", "reports", "result", "score"),
    [
        ("last", [3.0, 1.0, 2.0], None, 2.0),
        ("last", [3.0, 1.0, 2.0], 4.0, 4.0),
        ("best", [3.0, 1.0, 2.0], None, 1.0),
        ("best", [3.0, 1.0, 2.0], 0.5, 0.5),
        ("best", [3.0, math.nan, 2.0], math.nan, 2.0),
        ("last", [], 4.0, 4.0),
    ],
)
def test_a_score_is_the_last_value_or_the_best(over: Any, reports: list[float], result: float | None, score: float) -> None:
    driven = Driven(objective=Objective("loss", "min", over=over))
    driven.start()
    for step, value in enumerate(reports, 1):
        driven.report(0, step, loss=value)
    driven.returned(0, **({} if result is None else {"loss": result}))
    assert (driven.view(0).state, driven.view(0).score) == (State.COMPLETED, score)


@pytest.mark.fault(17)
def test_the_objective_missing_from_the_first_report_ends_the_search_naming_what_was_there() -> None:
    driven = Driven()
    driven.start()
    do = driven.report(0, 1, acc=0.5, f1=0.4)
    assert driven.machine.ending is not None
    reason = driven.machine.ending.reason
    assert "trial 0 gave 'acc', 'f1', and not the objective 'loss'" in reason
    assert do == [StopLaunch(0, 1, reason, 5.0, save=True), *do[1:]]
    assert driven.left(0) == [EndSearch(reason, "ObjectiveError")]
    # Nobody's fault but the argument's: it costs no attempt, and is resumed under the right name.
    assert (driven.view(0).state, driven.view(0).attempt) == (State.PENDING, 1)


def test_the_objective_missing_from_the_first_result_ends_the_search_naming_what_was_there() -> None:
    driven = Driven()
    driven.start()
    *_, end = driven.returned(0, acc=0.5)
    assert isinstance(end, EndSearch)
    assert (end.error, "trial 0 gave 'acc', and not the objective 'loss'" in end.reason) == ("ObjectiveError", True)
    assert driven.view(0).state is State.PENDING


def test_the_objective_missing_later_is_no_end() -> None:
    driven = Driven()
    driven.start()
    driven.report(0, 1, loss=0.5)
    assert driven.report(0, 2, acc=0.4)[-1].answer == answer(0, 1, 2)  # type: ignore[union-attr]
    driven.returned(0, acc=0.4)
    assert driven.view(0).score == 0.5


@pytest.mark.fault(17)
def test_a_trial_that_ends_without_the_objective_that_others_have_fails() -> None:
    driven = Driven(failure=NO_LIMIT)
    driven.start()
    driven.returned(0, loss=0.5)
    driven.start()
    driven.returned(1)
    failed = driven.view(1).failure
    assert failed is not None
    assert failed.kind is FailureKind.INVALID_RESULT
    assert "it returned nothing, and no report carried it" in failed.message


def test_a_result_is_judged_by_its_own_launch_and_not_by_the_reports_of_one_that_failed() -> None:
    driven = Driven(failure=retries(1))
    driven.start()
    driven.report(0, 1, loss=0.5)
    driven.raised(0)
    driven.grant()
    driven.returned(0)
    assert driven.view(0).state is State.FAILED


# -------------------------------------------------------------------------------------------------------------- losses


def test_a_loss_costs_no_attempt_and_nobody_hears_of_it() -> None:
    driven = Driven(failure=FailurePolicy(max_consecutive_failed_trials=1), ahead=1)
    driven.open()
    order = driven.start(x=5)
    driven.suggest(x=6)
    assert driven.lost(0) == []
    lost = Failure(kind=FailureKind.LOST, message="the zygote died")
    assert driven.happened() == (Paused(trial=0, by="loss", reason="the zygote died", launch=1, failure=lost),)
    assert driven.decision.answers == ()
    view = driven.view(0)
    assert (view.state, view.attempt, view.hold, view.failure) == (State.PENDING, 1, "the zygote died", None)
    # It goes before what is new; with the seed of its attempt, for it is the same one.
    assert driven.grant()[0] == StartLaunch(evolve(order, launch=2))


def test_a_launch_that_leaves_without_being_told_has_failed() -> None:
    driven = Driven(failure=retries(1))
    driven.start()
    driven.left(0)
    view = driven.view(0)
    assert view.failure is not None
    assert (view.state, view.failure.kind) == (State.RETRYING, FailureKind.EXITED)
    assert view.failure.message == "it left without a result, and nothing had told it to stop"


def test_a_trial_that_was_told_to_stop_has_no_failures_of_its_own() -> None:
    driven = Driven(failure=FailurePolicy(max_consecutive_failed_trials=1))
    driven.start()
    driven.report(0, 1, loss=0.5)
    assert driven.stop_trial(0) == [TellEnd(driven.view(0)), StopLaunch(0, 1, "enough", 5.0)]
    assert driven.happened() == (Stopped(trial=0, reason="enough", score=0.5),)
    driven.died(0, signal=9)
    assert (driven.view(0).state, driven.view(0).score, driven.view(0).failure) == (State.COMPLETED, 0.5, None)
