"""What crosses the pipe between the oracle coroutine and a runner, and what an executor says of a launch's end.

Every message names its trial and its launch, so that the last words of a dead launch can be told from those of its successor.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeAlias

from attrs import field, frozen

from asynctune.failure import Failure
from asynctune.policies import Limit, Resources
from asynctune.records import SELDOM, CheckpointKey, LaunchNumber, Metrics, TrialId, Values
from asynctune.space.conditions import Parameter
from asynctune.space.encoding import Fill, FillRule
from asynctune.wire import closed_union

__all__ = [
    "Answer",
    "Breach",
    "Died",
    "Ending",
    "Fill",
    "FillRule",
    "FromRunner",
    "Halt",
    "Lost",
    "MetricsReported",
    "ParametersDeclared",
    "RunTrial",
    "ToRunner",
    "TrialLeft",
    "TrialRaised",
    "TrialReturned",
    "Weight",
    "What",
]


# ------------------------------------------------------------------------------------------------------- to the runner


@frozen(kw_only=True)
class RunTrial:
    """Run this trial.

    Args:
        trial, launch, attempt: who it is.
        values: what the oracle proposed, by flat name.
        space: the parameters that are known, by flat name.
        fill: what to do about the others.
        seed: of this attempt.
        resources: what it may occupy.
        restore: the checkpoint to go on from, if there is one: its own, that of a trial as which it goes on, or its parent's.
        step: the step of that checkpoint, or 0. The first report is a later one.
        parent: the trial that it descends from, if it does.
        budget: the step at which it is over, if somebody set one.
        found: those of `values` whose parameters the search's own space does not declare. The trial has them once it asks.
    """

    trial: TrialId
    launch: LaunchNumber
    attempt: int
    values: Values
    space: Mapping[str, Parameter]
    fill: Fill
    seed: int
    resources: Resources
    restore: CheckpointKey | None = None
    step: int = 0
    parent: TrialId | None = field(default=None, metadata=SELDOM)
    budget: int | None = field(default=None, metadata=SELDOM)
    found: tuple[str, ...] = field(default=(), metadata=SELDOM)


class What(Enum):
    """What a trial is to do after a report."""

    GO = "go"
    STOP = "stop"
    PARK = "park"


@frozen(kw_only=True)
class Answer:
    """The answer to one report.

    Args:
        what: go on, stop, or wait inside `report()` for the next answer.
        save: write a checkpoint at the next chance.
        reason: why it is to stop.
    """

    trial: TrialId
    launch: LaunchNumber
    step: int
    what: What
    save: bool = False
    reason: str | None = None


@frozen(kw_only=True)
class Halt:
    """Stop as soon as you can; not an answer to anything. Seen by `trial.should_stop`, `report()` and `checkpoint()`."""

    trial: TrialId
    launch: LaunchNumber
    reason: str


ToRunner: TypeAlias = RunTrial | Answer | Halt


# ----------------------------------------------------------------------------------------------------- from the runner


@frozen(kw_only=True)
class ParametersDeclared:
    """What the trial has asked for since it last said so. Sent before the next report, one way.

    Args:
        parameters: those that were not in the `space` of its launch, or not in all of these cases. Some may be inactive.
        values: every parameter it asked for and that is active, with its value; so also those on which others depend.
    """

    trial: TrialId
    launch: LaunchNumber
    parameters: Mapping[str, Parameter]
    values: Values


@frozen(kw_only=True)
class MetricsReported:
    """Metrics at a step. Answered by an `Answer`.

    Args:
        clock: the runner's monotonic clock, in seconds, when `report()` was called; tells reports of a launch apart.
        checkpoint: the checkpoint of this step, durable by now.
    """

    trial: TrialId
    launch: LaunchNumber
    step: int
    metrics: Metrics
    clock: float
    checkpoint: CheckpointKey | None = None


@frozen(kw_only=True)
class TrialReturned:
    """The trainable returned.

    Args:
        metrics: its result as metrics; None if it returned nothing after reports.
        executions: the metrics of each, when it returned a list of results (`metrics` is their mean).
        step: the best step of a Keras History (the mean of them for a list), if it returned one.
        checkpoint: written after the last report, durable by now.
    """

    trial: TrialId
    launch: LaunchNumber
    metrics: Metrics | None = None
    executions: tuple[Metrics, ...] = ()
    step: int | None = None
    checkpoint: CheckpointKey | None = None


@frozen(kw_only=True)
class TrialRaised:
    """The trainable raised, or returned what is no result, or could not be started."""

    trial: TrialId
    launch: LaunchNumber
    failure: Failure


@frozen(kw_only=True)
class TrialLeft:
    """The trial stopped because it was told to (by an `Answer` or a `Halt` that it saw), or by itself: `infeasible` says why
    its values cannot be tried."""

    trial: TrialId
    launch: LaunchNumber
    infeasible: str | None = None


@frozen(kw_only=True)
class Breach:
    """A launch has broken one of the `Limits`, and is being ended for it by those who watch over it.

    Args:
        amount: what it took: seconds, bytes, processes.
    """

    trial: TrialId
    launch: LaunchNumber
    limit: Limit
    amount: float


@frozen(kw_only=True)
class Weight:
    """What a launch that is parked holds by itself.

    Args:
        memory: in bytes; of all its processes, as `Limits(memory=...)` counts it.
    """

    trial: TrialId
    launch: LaunchNumber
    memory: int


FromRunner: TypeAlias = ParametersDeclared | MetricsReported | TrialReturned | TrialRaised | TrialLeft


# ------------------------------------------------------------------------------------------- how a launch ends


@frozen(kw_only=True)
class Died:
    """The process ended without a last word, by its own doing.

    Args:
        exit_code: if it exited. signal: if one ended it; exactly one of the two is given.
        log: the trial's log, relative to the search's directory.
        tail: its last lines, where the search cannot read it; else it does so itself, if it wants to.
        out_of_memory: whether the kernel killed it, because memory had run out.
    """

    trial: TrialId
    launch: LaunchNumber
    exit_code: int | None = None
    signal: int | None = None
    log: str | None = None
    tail: str = ""
    out_of_memory: bool = False


@frozen(kw_only=True)
class Lost:
    """The launch was lost through nobody's fault (the zygote died, the executor was closed)."""

    trial: TrialId
    launch: LaunchNumber
    reason: str


Ending: TypeAlias = TrialReturned | TrialRaised | TrialLeft | Died | Lost

for _union in (ToRunner, FromRunner, Ending):
    closed_union(_union)
