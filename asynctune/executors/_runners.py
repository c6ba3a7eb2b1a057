"""One runner as the search sees it: its channel, what it runs, how it ends.

The law of its end: a last frame and then the end of the channel end the launch as the last frame says. The exit report does so
too, if it comes first; the channel is drained before anybody concludes anything. The end of the channel alone means "channel
lost": the exit report follows within a moment, or the runner is killed.

A runner is not trusted. What is no message ends it, and so does speaking out of turn: a report is answered before the next one
is sent, and what a trial has asked for is declared once between two of them. So what waits in our memory is one report of each
runner, however fast it writes. What it sends about another launch, or after its last word, is dropped; too much of it ends it.
"""

from __future__ import annotations

import asyncio
import math
import signal
from typing import Any, Protocol

from attrs import evolve

from asynctune._runner.orders import Broken, Hello, Ready, RunnerBroke, RunnerEnded
from asynctune.errors import WireError
from asynctune.executors._post import Post
from asynctune.failure import Failure, FailureKind
from asynctune.messages import (
    Answer,
    Breach,
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
    What,
)
from asynctune.policies import Limits
from asynctune.records import log_name
from asynctune.wire import decode, encode

__all__ = ["Owner", "Runner"]

# Whoever heeds that it is to stop does so in far less. That it is being waited for is then no concern of the zygote's.
_HEEDS_WITHIN = 0.25
# A process that ends closes its channel some microseconds before it can be reaped. One that lives on has closed it by itself.
# The zygote that reaps it has no more right to a core than the runners have.
_REPORT_WITHIN = 2.0
_MOST_DROPPED = 100  # frames about another launch, or after the last one
_MOST_UNREAD = 100  # frames to it that its socket has no room for: it reads none, and goes on asking for more


class Owner(Protocol):
    """Who holds runners."""

    def signal(self, runner: Runner, signum: int) -> None:
        """Have a signal sent to it."""

    def end(self, runner: Runner, grace: float) -> None:
        """Have it ended when the grace is over."""

    def catch_up(self) -> None:
        """Hear what the process that holds it has said until now."""

    def broke(self, breach: Breach) -> None:
        """Its trial has broken a limit."""

    def spoke(self, message: ParametersDeclared | MetricsReported) -> None:
        """Its trial spoke."""

    def loaded(self, runner: Runner, hello: Ready | Broken) -> None:
        """It has loaded the trainable itself, or could not."""

    def finished(self, runner: Runner, ending: Ending) -> None:
        """Its launch is over. If it is `idle` now, it can have another."""


class Runner:
    """One runner, from the order to start it to its exit report.

    Args:
        loop: the running one.
        owner: hears of it.
        number: the owner's number for it.
        reuse: whether it takes another trial when one has ended well.
        loads: whether it loads the trainable itself, and says so first.
        limits: those that it is watched for, if it is.
    """

    post: Post

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        owner: Owner,
        number: int,
        *,
        reuse: bool,
        loads: bool,
        limits: Limits | None,
    ) -> None:
        self.number = number
        self.order: RunTrial | None = None
        #: How many frames spoke of a launch that it does not run.
        self.dropped = 0
        self._loop = loop
        self._owner = owner
        self._reuse = reuse
        self._loading = loads
        self._limits = limits
        self._last: Ending | None = None
        self._doomed = False
        self._halted = False
        #: Whether it has reported, and was not answered with more than "wait".
        self.asks = False
        #: Whether it has declared what it asked for, and has not reported since.
        self._declared = False
        self._ending = False
        self._end_at = math.inf
        self._patience: asyncio.TimerHandle | None = None
        self._silence: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        what = "idle" if self.order is None else f"trial {self.order.trial}, launch {self.order.launch}"
        return f"<Runner {self.number}, {what}>"

    @property
    def idle(self) -> bool:
        """Whether it can be given a trial."""
        return self.order is None and not self._doomed

    def run(self, order: RunTrial, body: bytes | None) -> None:
        """Give it a trial; `body` is the order, encoded, unless it was forked with it."""
        self.order, self._last, self._halted, self._end_at = order, None, False, math.inf
        self.asks = self._declared = False
        if body is not None:
            self.post.send(body)

    def send(self, message: ToRunner) -> None:
        """Pass a message on."""
        if isinstance(message, Answer):
            self.asks = message.what is What.PARK
        self.post.send(encode(message, ToRunner))
        if self.post.unsent > _MOST_UNREAD:
            self._break_off("its process does not read what it is sent")

    def halt(self, reason: str, grace: float) -> None:
        """Have it stop: told now, and ended when `grace` seconds are over."""
        if self.order is None:
            return
        if not self._halted:
            self._halted = True
            self.send(Halt(trial=self.order.trial, launch=self.order.launch, reason=reason))
        now = self._loop.time()
        if now + grace >= self._end_at:
            return
        self._end_at = now + grace
        if self._ending:
            self._owner.end(self, grace)
        else:
            self._stop_waiting()
            self._patience = self._loop.call_later(min(_HEEDS_WITHIN, grace / 2), self._end)

    def _end(self) -> None:
        # From here on its end needs neither us nor our loop; but it cannot be called off, so no other trial is given to it.
        self._ending = True
        self._owner.end(self, max(0.0, self._end_at - self._loop.time()))

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def broke(self, message: RunnerBroke) -> None:
        """It has broken a limit, and is being ended by those who hold it."""
        order = self.order
        if order is None or (message.trial is not None and (message.trial, message.launch) != (order.trial, order.launch)):
            return  # its launch ended as it was found out
        self._ending = True
        if self._limits is not None:
            self._end_at = self._loop.time() + self._limits.grace
        self._stop_waiting()
        self._owner.broke(Breach(trial=order.trial, launch=order.launch, limit=message.limit, amount=message.amount))

    # ---------------------------------------------------------------------------------------------------- what it says

    def heard(self, body: bytes) -> None:
        """A frame of it."""
        try:
            message: Any = decode(body, Hello if self._loading else FromRunner)
        except WireError as error:
            self._break_off(_no_message(error))
            return
        if self._loading:
            self._greeted(message)
            return
        order = self.order
        if order is None or self._last is not None or (message.trial, message.launch) != (order.trial, order.launch):
            self.dropped += 1
            if self.dropped > _MOST_DROPPED:
                self._break_off("its process goes on about what is over, or is not its own")
        elif isinstance(message, MetricsReported):
            if self.asks:
                self._break_off("its process did not wait for the answer to its report")
            else:
                self.asks, self._declared = True, False
                self._owner.spoke(message)
        elif isinstance(message, ParametersDeclared):
            self._declares(message)
        else:
            self._concluded(message)

    def _declares(self, message: ParametersDeclared) -> None:
        if self._declared:
            self._break_off("its process declared parameters twice, with no report in between")
        else:
            self._declared = True
            self._owner.spoke(message)

    def _concluded(self, last: Ending) -> None:
        if isinstance(last, TrialRaised):  # where its log is, and what is in it, is not for it to say
            last = evolve(last, failure=evolve(last.failure, log=log_name(last.trial, last.launch), tail=""))
        self._last = last
        if self._limits is not None:
            # It may have broken a limit, and this may be what has come of it: that was said before, but by another socket.
            self._owner.catch_up()
        if self._reuse and self.order is not None:
            self._rest(last)

    def _break_off(self, reason: str) -> None:
        self._doomed = True
        self.post.close()
        self._condemn(reason)

    def _greeted(self, hello: Ready | Broken) -> None:
        self._loading = False
        if isinstance(hello, Broken):
            self._doomed = True
            if self.order is not None:
                self._last = self._raised(FailureKind.RAISED, hello.message, traceback=hello.traceback)
        self._owner.loaded(self, hello)

    def _rest(self, last: Ending) -> None:
        # It is alive and waits for more; unless there was trouble, it gets more. Otherwise its end ends the launch.
        if isinstance(last, TrialReturned | TrialLeft) and not self._ending:
            self._finish(last)
        else:
            self._doomed = True
            self._owner.signal(self, signal.SIGKILL)

    def hung_up(self, error: WireError | None) -> None:
        """Its channel has ended, or it sent what is no frame."""
        self._doomed = True
        if error is not None:
            self._condemn(_no_message(error))
        elif self._last is not None:
            # It has said that it ends, and its report is on the way; one that only pretended to is ended.
            self._silence = self._loop.call_later(_REPORT_WITHIN, self._owner.signal, self, signal.SIGKILL)
            self._finish(self._last)
        else:
            self._silence = self._loop.call_later(_REPORT_WITHIN, self._condemn, "its process closed its channel to the search")

    def _condemn(self, reason: str) -> None:
        if self.order is not None and self._last is None:
            self._last = self._raised(FailureKind.KILLED, f"{reason}, and was killed", signum=signal.SIGKILL)
        self._owner.signal(self, signal.SIGKILL)

    # ------------------------------------------------------------------------------------------------------ how it ends

    def ended(self, report: RunnerEnded) -> None:
        """It was reaped, and what was left of its family killed."""
        self._drain()
        if self.order is not None:
            self._finish(self._last or self._died(self.order, report))

    def lost(self, reason: str) -> None:
        """It is gone with the process that held it, and no report of its end will come."""
        self._drain()
        if self.order is not None:
            self._finish(self._last or Lost(trial=self.order.trial, launch=self.order.launch, reason=reason))

    def refused(self, reason: str) -> None:
        """It was never started."""
        self._drain()
        if self.order is not None:
            self._finish(self._raised(FailureKind.REFUSED, f"no process could be started for it: {reason}"))

    def abandon(self) -> None:
        """Nobody is interested in it any more."""
        self._doomed = True
        self.post.close()
        self._stop_waiting()
        if self._silence is not None:
            self._silence.cancel()

    def _drain(self) -> None:
        self._doomed = True
        self._limits = None  # who tells us that it is gone has told us all else
        self.post.drain()
        self.post.close()
        if self._silence is not None:
            self._silence.cancel()

    def _finish(self, ending: Ending) -> None:
        self.order = self._last = None
        self._stop_waiting()
        if not self._reuse:
            self._doomed = True
        self._owner.finished(self, ending)

    def _raised(
        self, kind: FailureKind, message: str, *, traceback: str | None = None, signum: int | None = None
    ) -> TrialRaised:
        assert self.order is not None  # noqa: S101
        trial, launch = self.order.trial, self.order.launch
        log = log_name(trial, launch)
        failure = Failure(kind=kind, message=message, traceback=traceback, signal=signum, log=log)
        return TrialRaised(trial=trial, launch=launch, failure=failure)

    def _died(self, order: RunTrial, report: RunnerEnded) -> Died:
        return Died(
            trial=order.trial,
            launch=order.launch,
            exit_code=report.exit_code,
            signal=report.signal,
            log=log_name(order.trial, order.launch),
            out_of_memory=report.out_of_memory,
        )


def _no_message(error: WireError) -> str:
    return f"its process sent what is no message ({error})"
