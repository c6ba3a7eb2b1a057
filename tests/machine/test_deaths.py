"""What is recorded of a failed attempt: why it failed, and how its launch then ended."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from asynctune.messages import Lost, TrialLeft, TrialRaised, TrialReturned
from asynctune.policies import FailurePolicy, Limit, Limits
from asynctune.records import Failure, FailureKind
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
