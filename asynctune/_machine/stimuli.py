"""What the machine can be told: the past tense. Every stimulus carries `at`, the search time at which it was heard.

A committed record holds one stimulus; so a search is its stimuli, and can be told again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from asynctune.messages import Breach, Ending, FillRule, MetricsReported, ParametersDeclared
from asynctune.objective import Goal
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limits, Resources
from asynctune.records import SELDOM, CheckpointKey, Observation, Suggestion, TrialId, Value, Values
from asynctune.space.conditions import Parameter
from asynctune.wire import closed_union

__all__ = [
    "Closed",
    "Enqueued",
    "ExecutorFailed",
    "Heard",
    "LaunchEnded",
    "LimitBroken",
    "Opened",
    "OracleFailed",
    "PauseAsked",
    "ResumeAsked",
    "Settings",
    "SlotGranted",
    "Stimulus",
    "StopAsked",
    "StopTrialAsked",
    "Suggested",
    "Ticked",
    "WorkersSet",
]


@frozen(kw_only=True)
class Settings:
    """What a search was opened with, as data.

    Args:
        space: the declared parameters, by flat name; fixed for the life of the search.
        slots: how many the pool has.
        ahead, fill: the oracle's.
        hears_reports: whether the oracle is told of reports.
        oracle, scheduler: their fingerprints.
        logs: whether launches have logs.
        new_entries: what becomes of a parameter that a trial names and the space has not: "tune" adds it to the space,
            "default" gives it its default in every trial, "refuse" ends the search.
        derived: the values that are computed from the declared ones, by flat name, each with the name of its function.
        forbidden: the clauses of the space.
        feasible: the names of its predicates.
    """

    objective: Goal
    seed: int
    space: Mapping[str, Parameter]
    max_trials: int | None
    failure: FailurePolicy
    limits: Limits
    checkpoints: CheckpointPolicy
    resources: Resources
    slots: int
    ahead: int
    fill: FillRule
    hears_reports: bool
    oracle: str
    scheduler: str
    logs: bool = False
    new_entries: Literal["tune", "default", "refuse"] = field(default="tune", metadata=SELDOM)
    derived: Mapping[str, str] = field(factory=dict, metadata=SELDOM)
    forbidden: tuple[Mapping[str, tuple[Value, ...]], ...] = field(default=(), metadata=SELDOM)
    feasible: tuple[str, ...] = field(default=(), metadata=SELDOM)

    @property
    def declared(self) -> frozenset[str]:
        """The names that every trial of the search has values for, unless a condition says that they are not there."""
        return frozenset(self.space) | frozenset(self.derived)


@frozen(kw_only=True)
class Opened:
    """The search was opened, for the first time or again.

    Args:
        wall: the time of day (Unix seconds), for people.
        observed: what earlier searches have found; `first`: what is to be tried before the first proposal, where it may lack
            values that are drawn then. Both only when it is opened for the first time: with it they are known, or not at all.
        gone: the checkpoints that unfinished trials could go on from, by the records, and that are not there.
    """

    at: float
    wall: float
    version: str
    settings: Settings
    gone: tuple[CheckpointKey, ...] = ()
    observed: tuple[Observation, ...] = field(default=(), metadata=SELDOM)
    first: tuple[Values, ...] = field(default=(), metadata=SELDOM)


@frozen(kw_only=True)
class Suggested:
    """The oracle answered ask number `ask`. `state` is what it then knew, if it says."""

    at: float
    ask: int
    suggestion: Suggestion
    state: Mapping[str, Any] | None = None


@frozen(kw_only=True)
class OracleFailed:
    """The oracle raised, or answered nonsense."""

    at: float
    message: str


@frozen(kw_only=True)
class SlotGranted:
    """The pool granted a slot that was requested; of a `width` of several, if that was."""

    at: float
    width: int = field(default=1, metadata=SELDOM)


@frozen(kw_only=True)
class Heard:
    """A runner spoke."""

    at: float
    message: ParametersDeclared | MetricsReported


@frozen(kw_only=True)
class LimitBroken:
    """A launch has broken a limit, and is being ended; how that ends is said by `LaunchEnded`."""

    at: float
    breach: Breach


@frozen(kw_only=True)
class LaunchEnded:
    """A launch is over, and its slot is free again."""

    at: float
    ending: Ending


@frozen(kw_only=True)
class ExecutorFailed:
    """No launch can be started any more."""

    at: float
    message: str


@frozen(kw_only=True)
class Ticked:
    """The time that was asked for by `WakeAt` has come."""

    at: float


@frozen(kw_only=True)
class StopTrialAsked:
    """The user wants this trial ended."""

    at: float
    trial: TrialId
    reason: str


@frozen(kw_only=True)
class StopAsked:
    """The user wants the search ended, with what it has found."""

    at: float
    reason: str


@frozen(kw_only=True)
class PauseAsked:
    """The user wants nothing new to start."""

    at: float


@frozen(kw_only=True)
class ResumeAsked:
    """The user wants things to start again."""

    at: float


@frozen(kw_only=True)
class Enqueued:
    """The user wants these values tried before the next proposal."""

    at: float
    values: Values


@frozen(kw_only=True)
class WorkersSet:
    """The pool has another size now."""

    at: float
    slots: int


@frozen(kw_only=True)
class Closed:
    """The search is being closed before its end (cancelled, or left): what runs is set aside, to be resumed."""

    at: float
    reason: str = field(default="the search was closed")


Stimulus: TypeAlias = (
    Opened
    | Suggested
    | OracleFailed
    | SlotGranted
    | Heard
    | LimitBroken
    | LaunchEnded
    | ExecutorFailed
    | Ticked
    | StopTrialAsked
    | StopAsked
    | PauseAsked
    | ResumeAsked
    | Enqueued
    | WorkersSet
    | Closed
)
closed_union(ParametersDeclared | MetricsReported)
closed_union(Stimulus)
