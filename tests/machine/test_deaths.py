"""What is recorded of a failed attempt: why it failed, and how its launch then ended."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from asynctune._machine.consult import LogEnd
from asynctune.events import AttemptFailed, GaveUp, Paused
from asynctune.failure import Failure, FailureKind
from asynctune.messages import Lost, TrialLeft, TrialRaised, TrialReturned
from asynctune.policies import FailurePolicy, Limit, Limits
from asynctune.records import State
from asynctune.space import Float
from tests.machine.driven import Driven

LOG = "logs/0-1.log"


def failed(driven: Driven) -> Failure:
    failure = driven.view(0).failure
    assert failure is not None
    return failure


def timed_out(**changes: Any) -> Driven:
    driven = Driven(limits=Limits(trial_time=10), failure=FailurePolicy(max_retries_per_trial=1), **changes)
    driven.start()
    driven.broke(0, Limit.TRIAL_TIME, 10.0)
    return driven


@pytest.mark.parametrize("how", [{"signal": 15}, {"signal": 9}, {"exit_code": 1}, {"signal": 9, "out_of_memory": True}])
def test_an_attempt_that_took_too_long_keeps_how_its_process_then_ended(how: dict[str, Any]) -> None:
    driven = timed_out()
    driven.died(0, **how, log=LOG, tail="waiting ...")
    failure = failed(driven)
    assert failure.kind is FailureKind.TIMED_OUT
    assert failure.message == "it ran longer than 10 s: Limits(trial_time=10)"
    assert (failure.exit_code, failure.signal) == (how.get("exit_code"), how.get("signal"))
    assert (failure.log, failure.tail) == (LOG, "waiting ...")


def test_an_attempt_that_took_too_long_keeps_what_it_then_raised() -> None:
    driven = timed_out()
    driven.raised(0, "KeyboardInterrupt", error_type=None, exit_code=130, traceback="Traceback ...", log=LOG, tail="bye")
    failure = failed(driven)
    assert (failure.kind, failure.error_type) == (FailureKind.TIMED_OUT, None)
    assert (failure.exit_code, failure.traceback, failure.log, failure.tail) == (130, "Traceback ...", LOG, "bye")


@pytest.mark.parametrize("ending", [TrialLeft, lambda **who: Lost(**who, reason="the zygote died")])
def test_an_attempt_that_took_too_long_and_then_left_has_a_log_all_the_same(ending: Callable[..., Any]) -> None:
    driven = timed_out(logs=True)
    driven.end(ending, 0)
    failure = failed(driven)
    assert (failure.kind, failure.log, failure.tail) == (FailureKind.TIMED_OUT, LOG, "")
    assert (failure.exit_code, failure.signal) == (None, None)


def with_logs(driven: Driven) -> list[tuple[int, int]]:
    """Let it have logs; which were read, in order."""
    read: list[tuple[int, int]] = []

    def log(trial: int, launch: int) -> str:
        read.append((trial, launch))
        return f"the end of {trial}-{launch}"

    driven.machine.consult.log = log
    return read


def _times_out(driven: Driven) -> None:
    driven.broke(0, Limit.TRIAL_TIME, 10.0)
    driven.left(0)


def _is_refused(driven: Driven) -> None:
    driven.declare(0, {"z": Float(0.0, 1.0)}, z=7.0)
    driven.returned(0, loss=1.0)


@pytest.mark.parametrize(
    "how",
    [
        _times_out,
        _is_refused,
        lambda driven: driven.died(0, signal=9),
        lambda driven: driven.raised(0),
        lambda driven: driven.left(0),
        lambda driven: driven.returned(0, loss=math.nan),
    ],
)
@pytest.mark.parametrize("again", [0, 1])
def test_the_end_of_its_log_is_read_once_and_recorded(how: Callable[[Driven], Any], again: int) -> None:
    driven = Driven(limits=Limits(trial_time=10), failure=FailurePolicy(max_retries_per_trial=again), logs=True)
    read = with_logs(driven)
    driven.start()
    how(driven)  # each move is told to a machine that can read no logs, and must come to the same
    (failure,) = [event.failure for event in driven.happened() if isinstance(event, AttemptFailed | GaveUp)]
    assert (failure.log, failure.tail) == (LOG, "the end of 0-1")
    assert driven.decision.answers == (LogEnd(0, "the end of 0-1"),)
    assert read == [(0, 1)]


def test_who_did_not_fail_is_not_asked_for_a_log() -> None:
    driven = Driven(slots=4, max_trials=4, logs=True)
    read = with_logs(driven)
    for _ in range(4):
        driven.start()
    driven.returned(0, loss=1.0)
    driven.stop_trial(1)
    driven.died(1, signal=9)
    driven.end(TrialLeft, 2, infeasible="too large")
    driven.broke(3, Limit.TRIAL_TIME, 10.0)
    driven.returned(3, loss=1.0)
    assert read == []
    assert [driven.view(trial).state for trial in range(4)] == [State.COMPLETED] * 4


def test_what_an_executor_says_of_a_log_that_is_its_own_is_taken() -> None:
    driven = Driven(failure=FailurePolicy(max_retries_per_trial=1), logs=True)
    read = with_logs(driven)
    driven.start()
    driven.died(0, signal=9, log=LOG, tail="said")
    assert failed(driven).tail == "said"
    driven.grant()
    driven.raised(0, log="elsewhere/0.log")
    assert failed(driven).tail == ""
    assert read == []


def lost(driven: Driven) -> Failure:
    (paused,) = [event for event in driven.happened() if isinstance(event, Paused)]
    assert (paused.by, paused.failure is not None) == ("loss", True)
    assert paused.failure is not None
    assert (paused.launch, paused.failure.message) == (1, paused.reason)
    return paused.failure


@pytest.mark.fault(9)
def test_a_launch_that_was_lost_has_its_log_too() -> None:
    driven = Driven(logs=True)
    read = with_logs(driven)
    driven.start()
    driven.lost(0)
    assert lost(driven) == Failure(kind=FailureKind.LOST, message="the zygote died", log=LOG, tail="the end of 0-1")
    assert (driven.view(0).attempt, driven.view(0).failure) == (1, None)
    assert read == [(0, 1)]


@pytest.mark.fault(8)
def test_a_launch_that_was_lost_with_its_search_has_the_log_that_it_had_then() -> None:
    driven = Driven(logs=True, slots=2)
    with_logs(driven)
    driven.start()
    driven.open(logs=False)  # on another executor, which keeps none
    why = "the search was interrupted"
    assert lost(driven) == Failure(kind=FailureKind.LOST, message=why, log=LOG, tail="the end of 0-1")


def test_a_launch_that_was_set_aside_with_its_search_keeps_how_it_ended() -> None:
    driven = Driven(logs=True)
    with_logs(driven)
    driven.start()
    driven.close()
    driven.died(0, signal=15)
    why = "the search was closed"
    assert lost(driven) == Failure(kind=FailureKind.LOST, message=why, signal=15, log=LOG, tail="the end of 0-1")


def _wrong_step(driven: Driven) -> None:
    driven.report(0, 0, loss=1.0)
    driven.left(0)


def _wrong_value(driven: Driven) -> None:
    driven.declare(0, {"z": Float(0.0, 1.0)}, z=7.0)
    driven.died(0, signal=15)


def _not_finite(driven: Driven) -> None:
    driven.end(TrialReturned, 0, metrics={"loss": math.nan})


def _left(driven: Driven) -> None:
    driven.left(0)


def _raised(driven: Driven) -> None:
    driven.end(TrialRaised, 0, failure=Failure(kind=FailureKind.REFUSED, message="no process could be started for it"))


@pytest.mark.parametrize("how", [_wrong_step, _wrong_value, _not_finite, _left, _raised])
@pytest.mark.parametrize(("logs", "log"), [(True, LOG), (False, None)])
def test_whatever_failed_its_log_is_named_if_there_are_logs(how: Callable[[Driven], None], logs: bool, log: str | None) -> None:
    driven = Driven(failure=FailurePolicy(max_retries_per_trial=1), logs=logs)
    driven.start()
    how(driven)
    assert failed(driven).log == log


def test_the_log_that_the_end_names_is_the_one() -> None:
    driven = Driven(logs=True)
    driven.start()
    driven.raised(0, log="elsewhere/0.log")
    assert failed(driven).log == "elsewhere/0.log"


def test_a_failure_as_text() -> None:
    plain = Failure(kind=FailureKind.INVALID_RESULT, message="its 'loss' is nan")
    assert (str(plain), plain.details(), plain.details("runs/x")) == ("invalid result: its 'loss' is nan", "", "")
    whole = Failure(
        kind=FailureKind.TIMED_OUT, message="too long", traceback="Traceback\n  line\n", exit_code=3, log=LOG, tail="a\n\nb"
    )
    details = "Traceback\n  line\nexit code: 3\nlog: logs/0-1.log in the search's directory\n  | a\n  | \n  | b"
    assert whole.details() == details
    assert "\nlog: runs/x/logs/0-1.log\n" in whole.details("runs/x")
    assert Failure(kind=FailureKind.KILLED, message="", signal=9).details() == "signal: 9"
