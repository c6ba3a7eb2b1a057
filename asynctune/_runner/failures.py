"""Exceptions as text. A trial's exception may raise when it is looked at, be ten megabytes long, hold what cannot travel, or a
secret; what leaves the process is a `Failure`: strings of bounded length, redacted, made without trusting it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from functools import partial

from asynctune.errors import FailedTrialError, FatalError
from asynctune.failure import Failure, FailureKind
from asynctune.policies import type_name
from asynctune.secret import REACH, redacted

__all__ = ["bounded", "failure_of", "message_of", "no_result", "traceback_of"]

_MESSAGE_CAP = 10_000
_TRACEBACK_CAP = 65_536
_NUMBER_CAP = 100
_NAME_CAP = 500
_MOST_BASES = 20
_OWN_FILES = __file__.removesuffix("failures.py")


def failure_of(error: BaseException, log: str | None) -> Failure:
    """What an exception that left the trainable means. A group, as task groups raise them, means what is in it."""
    spoken = _speaker(error)
    if isinstance(spoken, SystemExit):
        return _exit(spoken, log)
    if isinstance(spoken, KeyboardInterrupt):
        return Failure(kind=FailureKind.EXITED, message="it raised KeyboardInterrupt", exit_code=130, log=log)
    fatal = isinstance(spoken, FatalError)
    name, *bases = _names(spoken)
    return Failure(
        kind=FailureKind.RAISED,
        message=message_of(spoken),
        error_type=name,
        bases=tuple(bases),
        traceback=traceback_of(error),
        log=log,
        retry=not fatal and not isinstance(spoken, FailedTrialError),
        fatal=fatal,
    )


def no_result(said: str, log: str | None) -> Failure:
    """What was returned is no result, and why."""
    return Failure(kind=FailureKind.INVALID_RESULT, message=bounded(lambda: said), log=log)


def _speaker(error: BaseException) -> BaseException:
    """Who speaks for a group: a FatalError in it, or a FailedTrialError; or the only one in it; or else the group itself."""
    inside = list(_leaves(error))
    for kind in (FatalError, FailedTrialError):
        for each in inside:
            if isinstance(each, kind):
                return each
    return inside[0] if len(inside) == 1 else error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    groups = [error]  # however deep they are nested: what came last is looked at first
    while groups:
        each = groups.pop()
        if isinstance(each, BaseExceptionGroup):
            groups += reversed(each.exceptions)
        else:
            yield each


def _exit(error: SystemExit, log: str | None) -> Failure:
    # As the interpreter does it: None is 0, an integer is itself, anything else is printed and is 1. Of an integer, the system
    # keeps eight bits, and nothing of one that is no machine word.
    code = 0 if error.code is None else int(error.code) if isinstance(error.code, int) else 1
    said = "" if isinstance(error.code, int | None) else f": {bounded(lambda: str(error.code))}"
    message = f"it called sys.exit({bounded(lambda: str(code), _NUMBER_CAP)}) instead of returning a result{said}"
    status = code & 255 if -(2**63) <= code < 2**63 else 255
    return Failure(kind=FailureKind.EXITED, message=message, traceback=traceback_of(error), exit_code=status, log=log)


def message_of(error: BaseException) -> str:
    """`TypeName: what it says`, in a bounded number of characters, whatever its `__str__` does."""
    name, said = bounded(lambda: type(error).__name__, _NAME_CAP), bounded(lambda: str(error))
    return f"{name}: {said}" if said else name


def traceback_of(error: BaseException) -> str:
    """The traceback from the trainable on, as text of a bounded length."""

    def formatted() -> str:
        start = error.__traceback__
        while start is not None and start.tb_next is not None and start.tb_frame.f_code.co_filename.startswith(_OWN_FILES):
            start = start.tb_next
        return "".join(traceback.format_exception(type(error), error, start))

    return bounded(formatted, _TRACEBACK_CAP)


def _names(error: BaseException) -> list[str]:
    """The qualified names of the exception's class and of its bases, nearest first."""
    kinds = type(error).__mro__[: 1 + _MOST_BASES]
    return [bounded(partial(type_name, kind), _NAME_CAP) for kind in kinds if kind is not object]


def bounded(make: Callable[[], str], cap: int = _MESSAGE_CAP) -> str:
    """The text that `make` returns, as it can be sent: redacted, and at most about `cap` characters, whatever `make` does."""
    try:
        text = str.__str__(make())  # one of its own kind of text could still do anything
    except BaseException as broken:  # noqa: BLE001 -- the trial's own code runs here, and may do anything
        return f"(no text: asking for it raised {type(broken).__name__})"
    if len(text) > cap:
        half, last = cap // 2, text[-(cap // 2 + REACH) :]
        first, last = redacted(text[: half + REACH], end=half), redacted(last, start=len(last) - half)
        text = f"{first}\n... {len(text) - cap} characters left out ...\n{last}"
    else:
        text = redacted(text)
    # Lone surrogates (undecodable file names) have no UTF-8 form, and so could not be sent.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
