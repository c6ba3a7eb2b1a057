"""What can happen in a search: the typed public view of its records.

An `Event` is one committed record. It has the record's number, so that whoever has seen number n can go on from n + 1 and miss
nothing. `happened` lists what followed from it, by law, in order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Self, TypeAlias

from attrs import field, frozen

from asynctune.failure import Failure
from asynctune.policies import Resources
from asynctune.records import SELDOM, CheckpointKey, LaunchNumber, Metrics, TrialId, Values
from asynctune.space.conditions import Parameter
from asynctune.wire import closed_union, plain, typed

__all__ = [
    "AttemptFailed",
    "CheckpointDropped",
    "CheckpointGone",
    "CheckpointSaved",
    "Event",
    "ExploitSkipped",
    "Exploited",
    "Finished",
    "GaveUp",
    "Happening",
    "LawEvent",
    "ParametersUsed",
    "ParkedGone",
    "Paused",
    "Reallocated",
    "Reported",
    "SearchEnded",
    "SearchOpened",
    "SpaceGrew",
    "Started",
    "Stopped",
    "TrialAdded",
]


# ------------------------------------------------------------------------------------------------ events of one trial


@frozen(kw_only=True)
class Started:
    """A launch began. `step` is where it goes on from: the step of `restore`, its own checkpoint, that of a trial which it has
    exploited, or its parent's; or 0.

    Args:
        parked: it is no new launch: it was parked, and goes on behind the last step that it reported, which is `step`.
    """

    trial: TrialId
    launch: LaunchNumber
    attempt: int
    step: int = 0
    restore: CheckpointKey | None = None
    parked: bool = field(default=False, metadata=SELDOM)


@frozen(kw_only=True)
class Reported:
    """Metrics at a step. `judged` is False when the step was only repeated, or did not carry the objective. `size` is that of
    the checkpoint, in bytes."""

    trial: TrialId
    launch: LaunchNumber
    step: int
    metrics: Metrics
    checkpoint: CheckpointKey | None = None
    judged: bool = True
    size: int | None = field(default=None, metadata=SELDOM)


@frozen(kw_only=True)
class Paused:
    """The trial was set aside, by the scheduler or the user, or its launch was lost through nobody's fault.

    Args:
        launch, failure: of a loss: which launch, and a failure of the kind LOST, with its log and how that ends. It costs no
            attempt.
        parked: its launch waits inside `report()`, without a slot, and can go on where it stands.
    """

    trial: TrialId
    by: Literal["scheduler", "user", "loss"]
    reason: str
    launch: LaunchNumber | None = None
    failure: Failure | None = None
    parked: bool = field(default=False, metadata=SELDOM)


@frozen(kw_only=True)
class Finished:
    """The trainable returned.

    Args:
        score: finite; None where `FailurePolicy(non_finite="worst")` lets one pass that is not, and where several objectives do
            not come to one number.
        scores: a number for each objective, where there are several.
        violates: the metrics that do not keep to their constraints.
        size: of the checkpoint, in bytes.
    """

    trial: TrialId
    launch: LaunchNumber
    score: float | None
    metrics: Metrics | None = None
    executions: tuple[Metrics, ...] = ()
    checkpoint: CheckpointKey | None = None
    scores: tuple[float, ...] = field(default=(), metadata=SELDOM)
    violates: tuple[str, ...] = field(default=(), metadata=SELDOM)
    size: int | None = field(default=None, metadata=SELDOM)


@frozen(kw_only=True)
class Stopped:
    """The trial was ended early; its score (see `Finished`) is that of its reports so far, if there is one. With `infeasible`,
    it has said itself that its values cannot be tried, and has no score."""

    trial: TrialId
    reason: str
    score: float | None = None
    infeasible: bool = False
    scores: tuple[float, ...] = field(default=(), metadata=SELDOM)
    violates: tuple[str, ...] = field(default=(), metadata=SELDOM)


@frozen(kw_only=True)
class AttemptFailed:
    """An attempt failed by the trial's own doing; there will be another.

    Args:
        due: the search time before which the next one does not begin; None for at once.
        restart: whether that begins at the start; the trial's checkpoints are then gone.
    """

    trial: TrialId
    launch: LaunchNumber
    failure: Failure
    due: float | None = None
    restart: bool = False


@frozen(kw_only=True)
class GaveUp:
    """An attempt failed, and there will be no other."""

    trial: TrialId
    launch: LaunchNumber
    failure: Failure


LawEvent: TypeAlias = Started | Reported | Paused | Finished | Stopped | AttemptFailed | GaveUp


# ----------------------------------------------------------------------------------------------- events of the search


@frozen(kw_only=True)
class TrialAdded:
    """A trial was proposed (by the oracle's ask number `ask`), or enqueued by the user (`ask` is None).

    Args:
        parent: the trial whose newest checkpoint it starts from; budget: the step at which it is over. Where an oracle set
            none, they are None, and `to_dict` leaves them out.
    """

    trial: TrialId
    values: Values
    ask: int | None = None
    parent: TrialId | None = field(default=None, metadata=SELDOM)
    budget: int | None = field(default=None, metadata=SELDOM)


@frozen(kw_only=True)
class SpaceGrew:
    """A trial named parameters that were not known, or not under these conditions: the parameters as they are known now."""

    trial: TrialId
    parameters: Mapping[str, Parameter]


@frozen(kw_only=True)
class ParametersUsed:
    """What a trial asked for, with the values it got."""

    trial: TrialId
    values: Values


@frozen(kw_only=True)
class Exploited:
    """The trial is to go on as another one, when it is started next: from `checkpoint`, which the trial `source` left, and with
    these values. The checkpoint is kept as long as the trial may need it."""

    trial: TrialId
    source: TrialId
    checkpoint: CheckpointKey
    values: Values

    @property
    def reason(self) -> str:
        """Why the trial waits meanwhile."""
        return "goes on with other values" if self.source == self.trial else f"goes on as trial {self.source}"


@frozen(kw_only=True)
class ExploitSkipped:
    """The scheduler wanted the trial to go on as the trial `source`, which had no checkpoint yet: it goes on as it was."""

    trial: TrialId
    source: TrialId


@frozen(kw_only=True)
class Reallocated:
    """The trial has other resources, when it is started next."""

    trial: TrialId
    resources: Resources


@frozen(kw_only=True)
class CheckpointSaved:
    """A launch that was told to stop has left a checkpoint of the last step that it reported, of `size` bytes."""

    trial: TrialId
    checkpoint: CheckpointKey
    size: int | None = None


@frozen(kw_only=True)
class CheckpointDropped:
    """A checkpoint that nobody needs was given up, as all of them were larger than `CheckpointPolicy(max_size=...)`."""

    trial: TrialId
    checkpoint: CheckpointKey


@frozen(kw_only=True)
class CheckpointGone:
    """When the search was opened again, a checkpoint that the trial could have gone on from was not there. It counts no more:
    the trial goes on from the newest that is there, or begins anew."""

    trial: TrialId
    checkpoint: CheckpointKey


@frozen(kw_only=True)
class ParkedGone:
    """A launch that was parked goes on no more: it was told to stop, to make room for others, or its process has ended. That
    costs the trial no attempt. When it runs again, it begins at its newest checkpoint, or anew."""

    trial: TrialId
    launch: LaunchNumber
    reason: str


@frozen(kw_only=True)
class SearchOpened:
    """The search was opened, for the `times`-th time."""

    times: int


@frozen(kw_only=True)
class SearchEnded:
    """The search is over, until it is opened again.

    Args:
        reason: why.
        error: the name of the error class that it ends with, if it did not end well.
        failures: when too many trials failed one after the other: how many, by exception or kind of failure.
    """

    reason: str
    error: str | None = None
    failures: Mapping[str, int] = field(factory=dict)


Happening: TypeAlias = (
    LawEvent
    | TrialAdded
    | SpaceGrew
    | ParametersUsed
    | Exploited
    | ExploitSkipped
    | Reallocated
    | CheckpointSaved
    | CheckpointDropped
    | CheckpointGone
    | ParkedGone
    | SearchOpened
    | SearchEnded
)
closed_union(Happening)


@frozen(kw_only=True)
class Event:
    """One committed record, as it is shown.

    Args:
        seq: its number, from 1, without gaps.
        at: search time, in seconds.
        cause: what the search was told, by the name of the stimulus.
        happened: what followed, in order; may be empty.
    """

    seq: int
    at: float
    cause: str
    happened: tuple[Happening, ...]

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON has it: dicts, lists, strings, numbers, booleans and None, which `json.dumps` takes as they are.

        Its keys are `seq`, `at`, `cause` and `happened`, a list of dicts, each with the name of its class as `type`, and its
        fields. JSON has no numbers that are not finite: such a metric is "nan", "inf" or "-inf".
        """
        data: dict[str, Any] = _finite(plain(self, Event))
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The event that `to_dict` was called on.

        Raises:
            WireError: `data` is anything else.
        """
        return typed(_exact(data), cls)


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else str(data)
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(each) for each in data] if isinstance(data, list | tuple) else data


_NOT_FINITE = {str(number): number for number in (math.nan, math.inf, -math.inf)}
_NUMBERS = frozenset({"metrics", "executions", "score"})  # of a happening; a string in there can only be one of those


def _exact(data: Any) -> Any:
    """What `_finite` was called on. Values of parameters are finite, and may be any string."""
    if not isinstance(data, Mapping) or not isinstance(data.get("happened"), list):
        return data
    return {**data, "happened": [_happening(each) for each in data["happened"]]}


def _happening(data: Any) -> Any:
    if not isinstance(data, Mapping):
        return data
    return {key: _numbers(value) if key in _NUMBERS else value for key, value in data.items()}


def _numbers(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _numbers(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_numbers(each) for each in data]
    return _NOT_FINITE.get(data, data) if isinstance(data, str) else data
