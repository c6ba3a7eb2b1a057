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
    "Instruction",
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
class AnswerReport:
    """Answer a trial that waits inside `report()`."""

    answer: Answer


@frozen
class StopLaunch:
    """End a launch: tell it, and kill it when the grace is over."""

    trial: TrialId
    launch: LaunchNumber
    reason: str
    grace: float


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

    def as_error(self, note: str = "") -> Exception:
        """The error to raise, if `error` names one; `note` follows the reason."""
        error: Exception = getattr(errors, self.error or "SearchError")(self.reason + note)
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
    | AnswerReport
    | StopLaunch
    | WakeAt
    | DeleteCheckpoint
    | EndSearch
)
