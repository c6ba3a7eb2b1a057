"""What a stopper is.

Anything with one or both of the methods of `Stopper`; a plain function `(trial, report) -> bool` is one too. Like a scheduler
it is pure: it judges what it is shown. One that counts keeps that in itself: when a search is opened again, it is shown and
told the same facts in the same order, and so it stands where it stood.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction, signature
from typing import Any, Protocol, TypeAlias, runtime_checkable

from attrs import frozen

from asynctune.errors import ConfigurationError
from asynctune.objective import Goal
from asynctune.records import Report, TrialView
from asynctune.views import SearchView

__all__ = [
    "FunctionStopper",
    "HearsEnds",
    "HearsReports",
    "HearsSearch",
    "SearchStopper",
    "Stopper",
    "TrialStopper",
    "as_stopper",
]


@runtime_checkable
class TrialStopper(Protocol):
    """Ends single trials."""

    def should_stop_trial(self, trial: TrialView, report: Report) -> str | None:
        """The reason to end this trial after this report, or None."""


@runtime_checkable
class SearchStopper(Protocol):
    """Ends the search. Asked after everything that happens, and again at search time `deadline`, if that is not None."""

    @property
    def deadline(self) -> float | None:
        """The search time, in seconds, at which to be asked in any case. A plain attribute will do."""

    def should_stop_search(self, search: SearchView) -> str | None:
        """The reason to end the search, or None. Running trials are stopped, with their score so far."""


Stopper: TypeAlias = TrialStopper | SearchStopper


@runtime_checkable
class HearsSearch(Protocol):
    """A stopper that is told what is wanted."""

    def set_search(self, *, objective: Goal) -> None:
        """Called once, before everything else. May raise ConfigurationError; then nothing is started."""


@runtime_checkable
class HearsReports(Protocol):
    """A stopper that is told of reports."""

    def on_trial_result(self, trial: TrialView, report: Report) -> None:
        """A trial has reported a new step. Before anybody is asked whether it is enough."""


@runtime_checkable
class HearsEnds(Protocol):
    """A stopper that is told of ends."""

    def on_trial_end(self, trial: TrialView) -> None:
        """A trial is COMPLETED or FAILED."""


@frozen
class FunctionStopper:
    """End a trial when `function(trial, report)` is true."""

    function: Callable[[TrialView, Report], Any]

    def should_stop_trial(self, trial: TrialView, report: Report) -> str | None:
        """What the function says."""
        return f"stopped by {self.called}" if self.function(trial, report) else None

    @property
    def called(self) -> str:
        """The function, as its author knows it."""
        return f"{getattr(self.function, '__name__', type(self.function).__name__)}()"


def as_stopper(stopper: Any) -> Stopper:
    """The stopper that `stopper` is, or the function wrapped as one.

    Raises:
        ConfigurationError: if it is neither.
    """
    if isinstance(stopper, type):
        raise ConfigurationError(f"stop= takes stoppers, not the class {stopper.__name__}: write {stopper.__name__}(...)")
    if isinstance(stopper, TrialStopper | SearchStopper):
        return stopper
    if hasattr(stopper, "should_stop_search"):
        message = f"{type(stopper).__name__} has should_stop_search() and no deadline: give it one, which can be None"
        raise ConfigurationError(message)
    if callable(stopper):
        return FunctionStopper(_sound(stopper))
    message = f"stop= takes stoppers such as MaxSteps(100), functions of (trial, report), or a dict of limits, not {stopper!r}"
    raise ConfigurationError(message)


def _sound(function: Callable[..., Any]) -> Callable[[TrialView, Report], Any]:
    # What an async function returns is always true: it would end every trial at its first report.
    if iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004 -- not whether
        raise ConfigurationError(f"stop= takes plain functions of (trial, report): {function!r} is async")
    if getattr(function, "__module__", None) == "builtins":  # `print` takes anything, and knows nothing of trials
        text = f"stop= takes functions of (trial, report), and {function!r} is none: write one, def stop(trial, report): ..."
        raise ConfigurationError(text)
    try:
        parameters = signature(function)
    except ValueError:
        return function  # written in C, without a signature to look at
    try:
        parameters.bind(None, None)
    except TypeError:
        raise ConfigurationError(f"stop= takes functions of (trial, report), not of {parameters}: {function!r}") from None
    return function
