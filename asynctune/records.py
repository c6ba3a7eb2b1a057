"""The nouns: what plugins, messages, the journal and results all speak about.

Everything here is frozen and knows nothing of machines, processes or files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Final, Literal, TypeAlias, overload

from attrs import field, frozen

from asynctune.errors import ConfigurationError
from asynctune.failure import Failure
from asynctune.policies import Resources
from asynctune.validators import as_index

__all__ = [
    "CONTINUE",
    "PAUSE",
    "SELDOM",
    "STOP",
    "CheckpointKey",
    "Choice",
    "Continue",
    "Exploit",
    "LaunchNumber",
    "Metrics",
    "Observation",
    "Origin",
    "Pause",
    "Reallocate",
    "Report",
    "Reports",
    "State",
    "Stop",
    "Suggestion",
    "SuggestionStatus",
    "TrialId",
    "TrialView",
    "Value",
    "Values",
    "Verdict",
    "Verdicts",
    "log_name",
]

TrialId: TypeAlias = int
"""From 0, in the order of proposal."""
LaunchNumber: TypeAlias = int
"""From 1, over the trial's life."""
Value: TypeAlias = None | bool | int | float | str
"""What one parameter can be."""
Values: TypeAlias = Mapping[str, Value]
"""By flat name: `a/b` for nested ones."""
Metrics: TypeAlias = Mapping[str, float]
"""By name."""
SELDOM: Final[Mapping[str, bool]] = {"seldom": True}
"""The metadata of a field that few have: it is written down only where it says something."""


class State(Enum):
    """The five states of a trial: PENDING, RUNNING, RETRYING, and the two ends, FAILED and COMPLETED."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    FAILED = "FAILED"
    COMPLETED = "COMPLETED"

    __hash__ = object.__hash__  # there is one of each, and Enum's own is slow

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        return self in (State.FAILED, State.COMPLETED)


# ---------------------------------------------------------------------------------------------------------- reports


@frozen
class CheckpointKey:
    """The name of one checkpoint: the state of a trial after `step`, written by its launch number `launch`."""

    trial: TrialId
    step: int
    launch: LaunchNumber


@frozen
class Report:
    """Metrics at a step of a trial.

    Args:
        step: the trial's own count (epochs, usually); from 1.
        metrics: name to number; NaN and infinities as they were reported.
        at: search time, in seconds.
        launch: the launch that reported.
        checkpoint: the checkpoint that was committed with this report.
    """

    step: int
    metrics: Metrics
    at: float
    launch: LaunchNumber
    checkpoint: CheckpointKey | None = None


class Reports(Sequence[Report]):
    """An immutable look at the first `length` reports of a list that only ever grows. Costs nothing to make."""

    __slots__ = ("_length", "_reports")

    def __init__(self, reports: list[Report] | None = None) -> None:
        self._reports: list[Report] = reports if reports is not None else []
        self._length = len(self._reports)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Report: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Report]: ...
    def __getitem__(self, index: int | slice) -> Report | Sequence[Report]:
        if isinstance(index, slice):
            return tuple(self._reports[i] for i in range(*index.indices(self._length)))
        if not -self._length <= index < self._length:
            raise IndexError(index)
        return self._reports[index % self._length]

    def __iter__(self) -> Iterator[Report]:
        return iter(self._reports[: self._length])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(self._length)

    def __repr__(self) -> str:
        return f"<{self._length} reports>"


def log_name(trial: TrialId, launch: LaunchNumber) -> str:
    """Where the log of a launch is, relative to the search's directory."""
    return f"logs/{trial}-{launch}.log"


# ------------------------------------------------------------------------------------------------ proposals, verdicts


class SuggestionStatus(Enum):
    """What an oracle can answer (KerasTuner's RUNNING, IDLE, STOPPED)."""

    RUNNING = "RUNNING"
    IDLE = "IDLE"
    EXHAUSTED = "EXHAUSTED"


@frozen
class Suggestion:
    """An oracle's answer: values to run, "ask again when something has changed", or "there is nothing left".

    Args:
        status: which of the three.
        values, parent, budget: of the trial to run; see `run`.
        fallback: why it is not the oracle's own answer, where that was late (see `Oracle.apart`); None where it is.
    """

    status: SuggestionStatus
    values: Values = field(factory=dict)
    parent: TrialId | None = field(default=None, metadata=SELDOM)
    budget: int | None = field(default=None, metadata=SELDOM)
    fallback: str | None = field(default=None, metadata=SELDOM)

    @classmethod
    def run(cls, values: Values, parent: TrialId | None = None, budget: int | None = None) -> Suggestion:
        """Run a trial with these values.

        Args:
            values: by flat name.
            parent: a trial that has ended, from whose newest checkpoint the new one starts, if it left one.
            budget: the step at which the trial is over, whether or not it has returned by itself; at least 1. It counts from
                the parent's beginning. None for no end but the trainable's own.

        A search refuses a parent that is not there or has not ended, and a budget that is no step, with a `PluginError`.

        Raises:
            ConfigurationError: the values are no dict.
        """
        if not isinstance(values, Mapping):
            raise ConfigurationError(f"Suggestion.run(values=...) takes a dict from names to values, not {values!r}")
        return cls(SuggestionStatus.RUNNING, dict(values), as_index(parent), as_index(budget))

    @classmethod
    def idle(cls) -> Suggestion:
        """Nothing now: ask again when a trial has ended or the space has grown."""
        return cls(SuggestionStatus.IDLE)

    @classmethod
    def exhausted(cls) -> Suggestion:
        """Nothing is left to try."""
        return cls(SuggestionStatus.EXHAUSTED)


@frozen
class Continue:
    """Go on."""


@frozen
class Pause:
    """Set the trial aside (PENDING) until the scheduler chooses it again."""


@frozen
class Stop:
    """End the trial early: COMPLETED, with this reason."""

    reason: str = "stopped by the scheduler"


@frozen
class Exploit:
    """Go on from the newest checkpoint of another trial, the source, with the values that `Scheduler.explore` gives; or of the
    trial itself, to change its values alone. As long as the source has no checkpoint, it is CONTINUE."""

    source: TrialId


@frozen
class Reallocate:
    """Go on with other resources, in a new launch, from the trial's newest checkpoint."""

    resources: Resources


CONTINUE = Continue()
"""What a scheduler answers to let a trial go on."""
PAUSE = Pause()
"""To set it aside."""
STOP = Stop()
"""To end it early; `Stop("why")` gives a reason."""
Verdict: TypeAlias = Continue | Pause | Stop | Exploit | Reallocate
"""On one trial."""
Verdicts: TypeAlias = Verdict | Mapping[TrialId, Verdict] | None
"""What a scheduler may answer: a verdict on the trial that reported, one for each of several trials, or None for CONTINUE."""


# ------------------------------------------------------------------------------------------------------------- trial


@frozen
class Origin:
    """Where a trial that has exploited another one goes on from, and with what.

    Args:
        source: the other trial; or this one, where only the values were to be other.
        checkpoint: its newest one, then.
        values: those that were explored, by flat name.
        launch: the trial's own launch that began with this.
        before: the values that the trial had until then.
    """

    source: TrialId
    checkpoint: CheckpointKey
    values: Values
    launch: LaunchNumber
    before: Values = field(factory=dict)


@frozen(weakref_slot=False)
class TrialView:
    """A trial as it stood at one moment: what plugins, events and results are shown.

    Args:
        id: counted from 0 in the order of proposal.
        state: one of the five.
        values: of the last launch; flat names, `a/b` for nested ones.
        score: the objective's value; None before the end, or when there is no finite one, or when several objectives do not
            come to one number.
        scores: a number for each objective, where there are several; empty before the end, or when one is missing.
        violates: the metrics that did not keep to their constraints. Such a trial is never the best.
        step: the highest step that was reported and judged; of a trial that has exploited another one, since that one's step.
        reports: those that it stands on, in step order. What it reported beyond the step from which it went on as another trial
            counts no more.
        metrics: what the trainable returned, as metrics.
        attempt: 1 + the failures that were the trial's own.
        launches: how many processes have been handed this trial.
        checkpoint: the newest one.
        failure: why the last attempt failed, if it did.
        stop_reason: why it was ended early, if it was.
        hold: why it is waiting, when it was set aside or lost, or until when, when its next attempt is not due yet.
        created, started, ended: search time, in seconds.
        parent: the trial whose newest checkpoint it starts from, if its oracle named one.
        budget: the step at which it is over, if its oracle set one.
        lineage: for each time that it went on as another trial, whose, and with which values; the latest is the last.
        resources: what it occupies: its own, once the scheduler has said `Reallocate`; else None, and it is what the search
            was given.
    """

    id: TrialId
    state: State
    values: Values
    score: float | None = None
    scores: tuple[float, ...] = field(default=(), metadata=SELDOM)
    violates: tuple[str, ...] = field(default=(), metadata=SELDOM)
    step: int = 0
    reports: Sequence[Report] = field(factory=Reports)
    metrics: Metrics | None = None
    attempt: int = 1
    launches: int = 0
    checkpoint: CheckpointKey | None = None
    failure: Failure | None = None
    stop_reason: str | None = None
    hold: str | None = None
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    parent: TrialId | None = field(default=None, metadata=SELDOM)
    budget: int | None = field(default=None, metadata=SELDOM)
    lineage: tuple[Origin, ...] = field(default=(), metadata=SELDOM)
    resources: Resources | None = field(default=None, metadata=SELDOM)


@frozen
class Observation:
    """What an earlier search has found: what it tried, and what came of it.

    Args:
        values: by flat name.
        score: None when there was no finite one.
        state: COMPLETED, or FAILED.
        scores: a number for each objective, where there are several.
        violates: the metrics that did not keep to their constraints.
    """

    values: Values
    score: float | None
    state: State = State.COMPLETED
    scores: tuple[float, ...] = field(default=(), metadata=SELDOM)
    violates: tuple[str, ...] = field(default=(), metadata=SELDOM)


Choice: TypeAlias = TrialId | Literal["NEW", "WAIT"]
"""Who gets a free slot: a trial, the next proposal, or nobody."""
