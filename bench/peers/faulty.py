"""The search that `bench.faults` breaks: six trials, one of which does what it should not; and what is left on record.

Every system runs the same trial, and says the same things about it. What happens is noted in files, because a program that dies
cannot be asked.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

__all__ = ["BAD", "ENDLESS", "SPILLED", "TIME_LIMIT", "TRIALS", "UserError", "main", "raise_once", "score", "trial"]

TRIALS = 6
BAD = 2  # the trial that misbehaves; its neighbours are the innocents
TIME_LIMIT = 2.0  # seconds that a trial may take, where a system can be told so
ENDLESS = "loop"
SPILLED = "written by C, past Python"
# How long a trial takes: the searches that are to be interrupted need time for that.
_SECONDS = {"orphans": 3.0, "killed": 0.3, "torn": 0.3, "cut": 0.3}

States: TypeAlias = Mapping[int, tuple[str, float | None]]
"""(state, score) of each trial: "completed", "failed" or "running"."""


class UserError(Exception):
    """What a callback of the user's raises."""


class _TwoArguments(Exception):  # noqa: N818 -- the trial's own
    """Pickles, and cannot be unpickled: its class is called with one argument."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


class _HoldsALock(Exception):  # noqa: N818
    """Cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()


def _two_arguments() -> NoReturn:
    raise _TwoArguments(7, "text")


def _holds_a_lock() -> NoReturn:
    raise _HoldsALock


def _loop() -> NoReturn:
    while True:
        pass


def _write() -> float:
    ctypes.CDLL(None).write(1, f"{SPILLED}\n".encode(), len(SPILLED) + 1)
    return score(BAD)


def _close() -> float:
    os.closerange(3, 256)
    return score(BAD)


def _help(*, own_session: bool) -> float:
    subprocess.Popen(["/bin/sleep", "300"], start_new_session=own_session)
    return score(BAD)


# What the bad trial does. A fault without one is done to the search from outside.
MISDEEDS: Mapping[str, Callable[[], Any]] = {
    "sigkill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: faulthandler._sigsegv(),  # type: ignore[attr-defined]  # noqa: PLW0108, SLF001
    "os_exit": lambda: os._exit(7),
    "sys_exit": lambda: sys.exit(3),
    "two_arguments": _two_arguments,
    "unpicklable_exception": _holds_a_lock,
    "unpicklable_result": threading.Lock,
    "nan": lambda: math.nan,
    "none": lambda: None,
    ENDLESS: _loop,
    "stdout": _write,
    "descriptors": _close,
    "helper": lambda: _help(own_session=False),
    "session": lambda: _help(own_session=True),
}


def score(number: int) -> float:
    """What a trial scores. Its digits are found again in a file."""
    return round(0.61537 + number / 100, 5)


def trial(number: int, fault: str, place: str) -> Any:
    """What each trial does, by its number from 0 on. Returns its score, or what is none."""
    _note(place, "began", number)
    if number == BAD and fault in MISDEEDS:
        return MISDEEDS[fault]()
    time.sleep(_SECONDS.get(fault, 0.05))
    _note(place, "done", number)
    return score(number)


def raise_once(place: str) -> None:
    """What the user's callback does. Raises the first time."""
    with contextlib.suppress(FileExistsError):
        Path(place, "raised").touch(exist_ok=False)
        raise UserError


def main(search: Callable[[str, str], None], look: Callable[[], States]) -> None:
    """Run `search(fault, place)` as the command line says, and note what came of it, and what `look()` sees then."""
    fault, place = sys.argv[1:]
    raised: dict[str, Any] = {"raised": None}
    try:
        search(fault, place)
    except BaseException as error:  # noqa: BLE001 -- which one it is, is the question
        raised = {"raised": type(error).__name__, "escaped": not isinstance(error, Exception), "text": str(error)[:2000]}
    try:
        states = {number: list(each) for number, each in look().items()}
    except Exception as error:  # noqa: BLE001
        states, raised["unseen"] = {}, f"{type(error).__name__}: {error}"
    told = Path(place, "told.json.new")
    told.write_text(json.dumps({**raised, "states": states}))
    told.rename(told.with_suffix(""))


def _note(place: str, what: str, number: int) -> None:
    """A line that is there when this returns, and whole, whoever writes beside it."""
    line = json.dumps([what, number, time.clock_gettime(time.CLOCK_MONOTONIC)])
    descriptor = os.open(Path(place, "notes"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)
