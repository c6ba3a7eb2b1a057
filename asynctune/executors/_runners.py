"""One runner as the search sees it: its channel, what it runs, how it ends.

The law of its end: a last frame and then the end of the channel ends the launch as the last frame says. The exit report does too,
if it is first; then the channel is drained before anybody concludes anything. The end of the channel alone means "channel lost":
the runner is killed, and its exit report awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
from pathlib import Path
from typing import Any, Protocol

from asynctune._runner.logs import log_name
from asynctune._runner.orders import Broken, Hello, Ready, RunnerEnded
from asynctune.errors import WireError
from asynctune.executors._post import Post
from asynctune.messages import (
    Died,
    Ending,
    FromRunner,
    Halt,
    Lost,
    MetricsReported,
    ParametersDeclared,
    RunTrial,
    ToRunner,
    TrialLeft,
    TrialRaised,
    TrialReturned,
)
from asynctune.records import Failure, FailureKind
from asynctune.wire import decode, encode

__all__ = ["Owner", "Runner", "tail_of"]

_KILL_AFTER = 0.5
_TAIL = 2000


class Owner(Protocol):
    """Who holds runners."""

    def signal(self, runner: Runner, signum: int) -> None:
        """Have a signal sent to it."""

    def spoke(self, message: ParametersDeclared | MetricsReported) -> None:
        """Its trial spoke."""

    def ready(self, runner: Runner, hello: Ready | Broken) -> None:
        """It has loaded the trainable, or could not."""

    def finished(self, runner: Runner, ending: Ending) -> None:
        """Its launch is over. If it is still `idle`, it can have another."""


class Runner:
    """One runner, from the order to fork it to its exit report.

    Args:
        loop: the running one.
        number: the executor's number for it.
        post: its channel.
        owner: hears of it.
        directory: of the search.
        reuse: whether it takes another trial when one has ended well.
        loads: whether it loads the trainable itself, and says so first.
    """

    def __init__(self, owner: Owner, number: int, directory: Path, *, reuse: bool, loads: bool) -> None:
        self.number = number
        self.order: RunTrial | None = None
        self.gpus: tuple[int, ...] = ()
        #: Frames that spoke of a launch that it does not run.
        self.dropped = 0
        self._owner = owner
        self._directory = directory
        self._reuse = reuse
        self._loading = loads
        self._post: Post
        self._last: Ending | None = None
        self._halted = False
        self._doomed = False
        self._deadline: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        what = "idle" if self.order is None else f"trial {self.order.trial}, launch {self.order.launch}"
        return f"<Runner {self.number}, {what}>"
