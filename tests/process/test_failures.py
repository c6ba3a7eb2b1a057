"""What an exception that leaves a trainable is told as."""

from __future__ import annotations

from typing import Any

import pytest

from asynctune._runner.failures import failure_of
from asynctune.errors import FailedTrialError, FatalError, FatalValueError
from asynctune.failure import FailureKind


class Mine(TimeoutError):
    pass


def test_the_classes_of_an_exception_are_named_nearest_first() -> None:
    failure = failure_of(Mine("late"), "logs/0-1.log")
    assert failure.error_type == "tests.process.test_failures.Mine"
    assert failure.bases == ("TimeoutError", "OSError", "Exception", "BaseException")
    assert failure.log == "logs/0-1.log"


def test_there_is_an_end_to_the_bases_and_to_their_names() -> None:
    kind: type[Exception] = ValueError
    for _ in range(100):
        kind = type("X" * 10_000, (kind,), {})
    failure = failure_of(kind("deep"), None)
    assert len(failure.bases) == 20
    assert max(map(len, failure.bases)) < 1_000


class Nameless(type):
    def __getattribute__(cls, name: str) -> Any:
        if name == "__qualname__":
            raise RuntimeError("no name for you")
        return super().__getattribute__(name)


def test_a_class_that_will_not_be_named_is_told_all_the_same() -> None:
    class Odd(Exception, metaclass=Nameless):
        pass

    failure = failure_of(Odd("x"), None)
    assert failure.kind is FailureKind.RAISED
    assert failure.error_type == "(no text: asking for it raised RuntimeError)"


FATAL, FAILED, KEY = FatalValueError("no data"), FailedTrialError("too large"), KeyError("x")


@pytest.mark.parametrize(
    ("error", "speaks", "retry", "fatal"),
    [
        (ExceptionGroup("g", [KEY]), KEY, True, False),
        (ExceptionGroup("g", [ExceptionGroup("h", [KEY])]), KEY, True, False),
        (ExceptionGroup("g", [KEY, FAILED]), FAILED, False, False),
        (ExceptionGroup("g", [KEY, ExceptionGroup("h", [FAILED, FATAL])]), FATAL, False, True),
        (ExceptionGroup("g", [FatalError("first"), FATAL]), FatalError("first"), False, True),
        (BaseExceptionGroup("g", [FAILED, KeyboardInterrupt()]), FAILED, False, False),
    ],
)
def test_a_group_is_told_as_what_is_in_it(error: BaseException, speaks: Exception, retry: bool, fatal: bool) -> None:
    failure, alone = failure_of(error, None), failure_of(speaks, None)
    assert (failure.message, failure.error_type, failure.bases) == (alone.message, alone.error_type, alone.bases)
    assert (failure.retry, failure.fatal) == (retry, fatal)
    # And all of it is in the traceback.
    assert "ExceptionGroup: g" in (failure.traceback or "")


def test_a_group_of_several_is_told_as_the_group() -> None:
    failure = failure_of(ExceptionGroup("several", [KEY, ValueError("y")]), None)
    assert failure.message == "ExceptionGroup: several (2 sub-exceptions)"
    assert failure.error_type == "ExceptionGroup"
    assert (failure.retry, failure.fatal) == (True, False)


def test_an_exit_in_a_group_is_an_exit() -> None:
    failure = failure_of(BaseExceptionGroup("g", [SystemExit(3)]), None)
    assert (failure.kind, failure.exit_code) == (FailureKind.EXITED, 3)


def test_a_group_of_groups_without_end_is_told() -> None:
    error: Exception = KEY
    for _ in range(5_000):
        error = ExceptionGroup("g", [error])
    failure = failure_of(error, None)
    assert failure.error_type == "KeyError"
