"""What the machine answers: the imperative. Carried out after the record that they follow from is committed, never before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from attrs import field, frozen

from asynctune import errors
from asynctune.messages import Answer, RunTrial
from asynctune.records import CheckpointKey, LaunchNumber, Report, TrialId, TrialView, Values
from asynctune.space import Space

__all__ = [
    "AnswerReport",
    "Ask",
    "DeleteCheckpoint",
    "EndSearch",
    "GoOn",
    "Instruction",
    "ParkLaunch",
    "ReleaseSlot",
    "RequestSlots",
    "StartLaunch",
    "StopLaunch",
    "TellAdded",
    "TellEnd",
    "TellObserved",
    "TellReport",
    "WakeAt",
]


@frozen
class Ask:
    """Ask the oracle for the values of `trial`; its answer is `Suggested(ask=number)`."""

    number: int
    trial: TrialId
    space: Space


@frozen
class TellAdded:
    """Tell the oracle of a trial that it was not asked for."""

    trial: TrialId
    values: Values


@frozen
class TellObserved:
    """Tell the oracle of the trials of earlier searches; their numbers are -1, -2, ..."""

    trials: tuple[TrialView, ...]


@frozen
class TellReport:
    """Tell the oracle of a report."""

    trial: TrialView
    report: Report


@frozen
class TellEnd:
    """Tell the oracle that a trial has ended."""

    trial: TrialView


@frozen
class RequestSlots:
    """Ask the pool for `count` more slots, each as wide as `width` of its own."""

    count: int
    width: int = 1


@frozen
class ReleaseSlot:
    """Give back one granted slot of this width that nothing was started on."""

    width: int = 1


@frozen
class StartLaunch:
    """Start a launch on a granted slot of this width."""

    order: RunTrial
    width: int = 1


@frozen
class ParkLaunch:
    """A launch waits inside `report()`: its slot is free, and what it holds is to be said."""

    trial: TrialId
    launch: LaunchNumber


@frozen
class GoOn:
    """A launch that was parked goes on, on a granted slot of this width; it is answered by `AnswerReport`."""

    trial: TrialId
    launch: LaunchNumber
    width: int = 1


@frozen
class AnswerReport:
    """Answer a trial that waits inside `report()`."""

    answer: Answer


@frozen
class StopLaunch:
    """End a launch: tell it, and kill it when the grace is over. With `save` it may leave a checkpoint of its last step."""

    trial: TrialId
    launch: LaunchNumber
    reason: str
    grace: float
    save: bool = False


@frozen
class WakeAt:
    """Say `Ticked` at this search time."""

    at: float


@frozen
class DeleteCheckpoint:
    """This checkpoint is not needed any more."""

    key: CheckpointKey


@frozen
class EndSearch:
    """Nothing is left to do, and nothing runs.

    Args:
        reason: why.
        error: the name of the error class to raise, or None when the search ended well.
        failures: what a TooManyFailuresError says of them.
    """

    reason: str
    error: str | None = None
    failures: Mapping[str, int] = field(factory=dict)

    def as_error(self, note: str = "", blamed: Exception | None = None) -> Exception:
        """The error to raise, if `error` names one; `note` follows the reason. Where it is that of a plugin that failed in this
        process, `blamed`, it has the same cause, whose traceback shows the line."""
        error: Exception = getattr(errors, self.error or "SearchError")(self.reason + note)
        if blamed is not None and isinstance(error, errors.PluginError):
            error.__cause__ = blamed.__cause__
        if isinstance(error, errors.TooManyFailuresError):
            error.failures = self.failures
        return error


Instruction: TypeAlias = (
    Ask
    | TellAdded
    | TellObserved
    | TellReport
    | TellEnd
    | RequestSlots
    | ReleaseSlot
    | StartLaunch
    | ParkLaunch
    | GoOn
    | AnswerReport
    | StopLaunch
    | WakeAt
    | DeleteCheckpoint
    | EndSearch
)
