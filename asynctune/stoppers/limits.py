"""So much, and no more: of steps, of reports, of time."""

from __future__ import annotations

from attrs import define, field, frozen

from asynctune.records import Report, TrialView
from asynctune.validators import LARGEST_INTEGER, number
from asynctune.views import SearchView

__all__ = ["MaxReports", "MaxSteps", "TimeBudget"]


@frozen
class MaxSteps:
    """End each trial when it has reported this step.

    Args:
        steps: at least 1.
    """

    steps: int = field(validator=number(1, integer=True))

    def should_stop_trial(self, trial: TrialView, report: Report) -> str | None:
        """Whether the step was reached."""
        return f"{self.steps} steps" if report.step >= self.steps else None


@frozen
class TimeBudget:
    """End the search when it has been open for this long, over all the times it was opened.

    It is a hard one: what runs then is told to stop, wherever it is, and killed when its grace (`Limits`) is over. It is
    COMPLETED with the score of what it has reported.

    Args:
        seconds: above 0.
    """

    seconds: float = field(validator=number(0, above=True))

    @property
    def deadline(self) -> float:
        """When to be asked again."""
        return self.seconds

    def should_stop_search(self, search: SearchView) -> str | None:
        """Whether the time is spent."""
        return f"time budget of {self.seconds:g} s" if search.at >= self.seconds else None


@define
class MaxReports:
    """End the search when its trials have reported so many new steps, all of them together.

    Args:
        reports: at least 1.
    """

    reports: int = field(validator=number(1, integer=True, most=LARGEST_INTEGER))
    deadline: None = field(default=None, init=False)
    _heard: int = field(default=0, init=False)

    def on_trial_result(self, trial: TrialView, report: Report) -> None:
        """One more."""
        self._heard += 1

    def should_stop_search(self, search: SearchView) -> str | None:
        """Whether there were so many."""
        return f"{self.reports:,} reports" if self._heard >= self.reports else None
