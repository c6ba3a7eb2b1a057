"""Each kind of message once through the converter, before the first fork: the code for it is made on first use, and a runner
that finds it made already starts the sooner.
"""

from __future__ import annotations

import socket

from asynctune._runner.account import Account
from asynctune._runner.framing import Line
from asynctune._runner.orders import Broken, FromSearch, Hello, Ready, RunnerEnded, Serving, Signal, StartRunner, ToSearch
from asynctune.failure import Failure, FailureKind
from asynctune.messages import (
    Answer,
    Fill,
    FillRule,
    FromRunner,
    Halt,
    MetricsReported,
    ParametersDeclared,
    RunTrial,
    ToRunner,
    TrialLeft,
    TrialRaised,
    TrialReturned,
    What,
)
from asynctune.policies import Resources
from asynctune.records import CheckpointKey, Value
from asynctune.space.domains import Boolean, Choice, Domain, Fixed, Float, Int
from asynctune.wire import decode, encode

__all__ = ["rehearse"]


def rehearse() -> None:
    """Run a trial without a trainable, in this process."""
    space: dict[str, Domain] = {"i": Int(1, 9), "f": Float(0.1, 0.9), "c": Choice(["a", "b"]), "b": Boolean(), "x": Fixed(1)}
    values: dict[str, Value] = {"i": 1, "f": 0.5, "c": "a", "b": True, "x": 1}
    key, resources, fill = CheckpointKey(0, 1, 1), Resources(), Fill(FillRule.DRAW, 1)
    order = RunTrial(
        trial=0, launch=1, attempt=1, values=values, space=space, fill=fill, seed=1, resources=resources, restore=key
    )
    to_runner = [order, Answer(trial=0, launch=1, step=1, what=What.GO), Halt(trial=0, launch=1, reason="")]
    failure = Failure(kind=FailureKind.RAISED, message="")
    from_runner = [
        ParametersDeclared(trial=0, launch=1, parameters=space, values=values),
        MetricsReported(trial=0, launch=1, step=1, metrics={"loss": 0.5}, clock=0.0, checkpoint=key),
        TrialReturned(trial=0, launch=1, metrics={"loss": 0.5}, executions=({"loss": 0.5},), checkpoint=key),
        TrialRaised(trial=0, launch=1, failure=failure),
        TrialLeft(trial=0, launch=1),
    ]
    to_search = [StartRunner(runner=0), Signal(runner=0, signum=0)]
    from_search = [Serving(seconds=0.0), RunnerEnded(runner=0, exit_code=0, signal=None)]
    hello = [Ready(seconds=0.0), Broken(message="", traceback="")]
    for messages, kind in (
        (to_runner, ToRunner),
        (from_runner, FromRunner),
        (to_search, ToSearch),
        (from_search, FromSearch),
        (hello, Hello),
    ):
        for message in messages:
            decode(encode(message, kind), kind)
    _report(order)


def _report(order: RunTrial) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        account = Account(order, Line(ours.detach()))
        account.hp.Int("i", 1, 9)
        step = account.report({"loss": 0.5}, None, {})
        Line(theirs.detach()).send(encode(Answer(trial=0, launch=1, step=step, what=What.GO), ToRunner))
        account.wait_for_answer()
