"""Several stoppers as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.objective import Goal
from asynctune.records import Report, TrialView
from asynctune.stoppers.base import HearsEnds, HearsReports, HearsSearch, SearchStopper, Stopper, TrialStopper, as_stopper
from asynctune.stoppers.limits import MaxSteps
from asynctune.stoppers.targets import TrialTarget
from asynctune.views import SearchView

__all__ = ["all_of", "any_of", "ready", "stopper_of"]


@define
class _Combined:
    """Passes on what it is told."""

    stoppers: tuple[Any, ...]
    every: bool

    def set_search(self, *, objective: Goal) -> None:
        """To those that want to know."""
        for each in self.stoppers:
            if isinstance(each, HearsSearch):
                each.set_search(objective=objective)

    def on_trial_result(self, trial: TrialView, report: Report) -> None:
        """To those that want to know."""
        for each in self.stoppers:
            if isinstance(each, HearsReports):
                each.on_trial_result(trial, report)

    def on_trial_end(self, trial: TrialView) -> None:
        """To those that want to know."""
        for each in self.stoppers:
            if isinstance(each, HearsEnds):
                each.on_trial_end(trial)

    def _reason(self, said: list[Any]) -> Any:
        """What all say, or the first that says something. All were asked, for some count."""
        told = [
            f"stopped by {type(each).__name__}" if one is True else one for each, one in zip(self.stoppers, said, strict=True)
        ]
        given = [one for one in told if one is not None and one is not False]
        if not given or (self.every and len(given) < len(told)):
            return None
        return " and ".join(map(str, given)) if self.every else given[0]


class _OfTrials(_Combined):
    """Ends trials."""

    def should_stop_trial(self, trial: TrialView, report: Report) -> Any:
        """What they say together."""
        return self._reason([each.should_stop_trial(trial, report) for each in self.stoppers])


@define
class _OfSearch(_Combined):
    """Ends the search."""

    _at: float = field(default=-1.0, init=False)

    @property
    def deadline(self) -> float | None:
        """The next at which one of them wants to be asked; before the last of them, all cannot say so."""
        known = [each.deadline for each in self.stoppers if each.deadline is not None]
        ahead = [deadline for deadline in known if deadline > self._at]
        return min(ahead, default=max(known, default=None))

    def should_stop_search(self, search: SearchView) -> Any:
        """What they say together."""
        self._at = search.at
        return self._reason([each.should_stop_search(search) for each in self.stoppers])


def all_of(*stoppers: Any) -> Stopper:
    """A stopper that ends the trial, or the search, when all of these would, at the same time.

    Args:
        *stoppers: at least two, all of which end trials, or all the search: `all_of(MaxSteps(5), TrialPlateau())`.

    Raises:
        ConfigurationError: they are no stoppers, or end one a trial and another the search.
    """
    return _combined("all_of", stoppers, every=True)


def any_of(*stoppers: Any) -> Stopper:
    """A stopper that ends the trial, or the search, when one of these would. In a list of stoppers that is so already; it is
    for use inside `all_of`.

    Args:
        *stoppers: as of `all_of`.

    Raises:
        ConfigurationError: as of `all_of`.
    """
    return _combined("any_of", stoppers, every=False)


def stopper_of(given: Any) -> Stopper:
    """What `stop=` was given, as a stopper: one, a function, or a dict as in Ray Tune. In that, each name has a value at which
    a trial is ended: `step` a number of steps, a metric a number, or ("min", number) or ("max", number) where its direction is
    not known otherwise. Unlike in Ray Tune, `{"loss": 0.1}` ends a trial whose loss is 0.1 or less.

    Raises:
        ConfigurationError: it is none of these.
    """
    if not isinstance(given, Mapping):
        return as_stopper(given)
    if not given:
        raise ConfigurationError('stop={} ends nothing: it takes limits by name, such as {"step": 100, "accuracy": 0.99}')
    stoppers = [_limit(name, value) for name, value in given.items()]
    return stoppers[0] if len(stoppers) == 1 else _OfTrials(tuple(stoppers), every=False)


def ready(given: Any, objective: Goal) -> Stopper:
    """The same, which knows what is wanted.

    Raises:
        ConfigurationError: it is none, or is none for this.
    """
    stopper = stopper_of(given)
    if isinstance(stopper, HearsSearch):
        stopper.set_search(objective=objective)
    return stopper


def _limit(name: Any, value: Any) -> Stopper:
    way, number = value if isinstance(value, tuple | list) and len(value) == 2 else (None, value)
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not isinstance(name, str) or not name or not is_number or way not in (None, "min", "max"):
        wanted = 'names and numbers, or ("min", number) or ("max", number)'
        raise ConfigurationError(f"a dict given as stop= takes {wanted}, not {name!r}: {value!r}")
    if name == "training_iteration":
        raise ConfigurationError(f"a dict given as stop= has 'step' for what is 'training_iteration' in Ray Tune: {value!r}")
    return MaxSteps(number) if name == "step" and way is None else TrialTarget(number, metric=name, direction=way)


def _combined(name: str, given: tuple[Any, ...], *, every: bool) -> Stopper:
    if len(given) < 2:
        raise ConfigurationError(f"{name}(...) takes at least two stoppers, not {len(given)}")
    stoppers = tuple(map(stopper_of, given))
    of_trials = [isinstance(each, TrialStopper) for each in stoppers]
    of_search = [isinstance(each, SearchStopper) for each in stoppers]
    if all(of_trials) and not any(of_search):
        return _OfTrials(stoppers, every=every)
    if all(of_search) and not any(of_trials):
        return _OfSearch(stoppers, every=every)
    listed = ", ".join(type(each).__name__ for each in stoppers)
    raise ConfigurationError(f"{name}(...) takes stoppers that all end trials, or all the search, and not both: {listed}")
