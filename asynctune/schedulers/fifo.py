"""FIFO: every trial runs to its end, in the order of proposal."""

from __future__ import annotations

from typing import ClassVar

from asynctune.records import Report, TrialView, Verdicts
from asynctune.schedulers.base import Scheduler

__all__ = ["FIFO"]


class FIFO(Scheduler):
    """First in, first out: nothing is ever stopped early. What a search does when it is given no scheduler."""

    several: ClassVar[bool] = True

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Go on, whatever was reported."""
        return None

    def plan(self) -> str:
        """What it will do."""
        return "FIFO: every trial runs to its own end"
