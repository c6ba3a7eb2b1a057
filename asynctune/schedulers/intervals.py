"""When a rule that does not judge every report judges a trial."""

from __future__ import annotations

from attrs import Factory, define

from asynctune.records import TrialId

__all__ = ["Turns"]


@define
class Turns:
    """The steps grace, grace + interval, grace + 2·interval, …: at each, a trial's turn comes once; where it skips the step,
    with its first report behind it."""

    grace: int
    interval: int
    # The last turn of each live trial.
    _last: dict[TrialId, int] = Factory(dict)

    def comes(self, trial: TrialId, step: int) -> bool:
        """Whether this report is the trial's turn."""
        if step < self.grace:
            return False
        turn = (step - self.grace) // self.interval
        if turn <= self._last.get(trial, -1):
            return False
        self._last[trial] = turn
        return True

    def forget(self, trial: TrialId) -> None:
        """The trial has ended."""
        self._last.pop(trial, None)
