"""A trial, in KerasTuner's words."""

from __future__ import annotations

from enum import StrEnum

from asynctune.failure import Failure
from asynctune.keras.metrics import MetricsTracker
from asynctune.records import State, TrialView
from asynctune.space import HyperParameters

__all__ = ["Trial", "TrialStatus", "status_of"]


class TrialStatus(StrEnum):
    """RUNNING, IDLE (nothing to run now: ask again when a trial has ended), STOPPED (nothing is left), COMPLETED, INVALID (it
    failed, or was interrupted, and is run again), FAILED. Each is the text of its name."""

    RUNNING = "RUNNING"
    IDLE = "IDLE"
    INVALID = "INVALID"
    STOPPED = "STOPPED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class Trial:
    """What `Oracle.create_trial` hands out.

    Attributes:
        trial_id: its number, as text.
        hyperparameters: with its values.
        status: one of `TrialStatus`.
        metrics: what was reported of it, since it was last started.
        score, best_step: set when it is COMPLETED.
        message: why it failed, if it did.
    """

    def __init__(
        self,
        hyperparameters: HyperParameters,
        trial_id: str,
        status: TrialStatus | str = TrialStatus.RUNNING,
        message: str | None = None,
    ) -> None:
        self.hyperparameters = hyperparameters
        self.trial_id = trial_id
        self.status: TrialStatus | str = status
        self.message = message
        self.metrics = MetricsTracker()
        self.score: float | None = None
        self.best_step: int | None = None

    def __repr__(self) -> str:
        return f"<Trial {self.trial_id} {self.status}, score {self.score}>"

    def take(self, view: TrialView) -> None:
        """Stand where the search has it."""
        self.status = status_of(view.state)
        self.score = view.score if self.score is None else self.score
        self.message = None if view.failure is None else _message(view.failure)


def status_of(state: State) -> TrialStatus:
    """A state in KerasTuner's words."""
    return _STATUS[state]


def _message(failure: Failure) -> str:
    return failure.traceback or failure.message


_STATUS = {
    State.PENDING: TrialStatus.INVALID,
    State.RUNNING: TrialStatus.RUNNING,
    State.RETRYING: TrialStatus.INVALID,
    State.COMPLETED: TrialStatus.COMPLETED,
    State.FAILED: TrialStatus.FAILED,
}
