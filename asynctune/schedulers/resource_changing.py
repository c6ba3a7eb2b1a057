"""ResourceChanging: when trials have ended, those that are left get what these had."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

from attrs import Attribute, define, field, frozen

from asynctune.errors import ConfigurationError
from asynctune.objective import Goal
from asynctune.policies import Resources, times
from asynctune.records import Choice, Continue, Reallocate, Report, State, TrialId, TrialView, Verdicts
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.fifo import FIFO
from asynctune.schedulers.losses import counted
from asynctune.space import Space
from asynctune.validators import number
from asynctune.views import SearchView

__all__ = ["Allocation", "ResourceChanging", "Shares", "evenly"]


@frozen(kw_only=True)
class Shares:
    """What there is to share.

    Args:
        total: all of it.
        each: what a trial is given at first.
        left: how many trials have not ended, those to come too.
        place: of the trial among those that are there and have not ended, in their order; from 0.
    """

    total: Resources
    each: Resources
    left: int
    place: int


Allocation: TypeAlias = Callable[[TrialView, Report, Shares], Resources | None]
"""What a trial is to have from now on; None for no change. A pure function."""


def evenly(trial: TrialView, report: Report, shares: Shares) -> Resources | None:  # noqa: ARG001 -- it is an Allocation
    """As much for each trial that is left as there is, in multiples of what it is given at first; what cannot be divided is for
    the oldest. Never less than it has."""
    total, each = shares.total, shares.each
    units = math.floor(times(total.cpu, each.cpu))
    if each.gpu:
        units = min(units, math.floor(times(total.gpu, each.gpu)))
    share = units // shares.left + (shares.place < units % shares.left)
    has = trial.resources or each
    wanted = Resources(cpu=each.cpu * max(share, 1), gpu=each.gpu * max(share, 1))
    return wanted if wanted.cpu > has.cpu else None


def _resources(_: object, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, Resources):
        raise ConfigurationError(f"ResourceChanging({attribute.name}=...) takes Resources(cpu=...), not {value!r}")


def _inside(_: object, __: Attribute[Any], value: Any) -> None:
    if not isinstance(value, Scheduler):
        raise ConfigurationError(f"ResourceChanging(inside=...) takes a scheduler, not {value!r}")
    if value.exploits or value.reallocates:
        what = "lets trials go on from each other's checkpoints" if value.exploits else "changes their resources itself"
        raise ConfigurationError(f"ResourceChanging(inside={type(value).__name__}(...)): it {what}; take one that only judges")


def _function(_: object, __: Attribute[Any], value: Any) -> None:
    if not callable(value):
        raise ConfigurationError(f"ResourceChanging(allocation=...) takes a function, not {value!r}")


@define(kw_only=True, eq=False, slots=False)
class ResourceChanging(Scheduler):
    """Gives trials other resources while they run, as Ray Tune's scheduler of that name: by default, what trials leave that
    have ended is shared evenly among the rest, once no more trials will need it. Another scheduler `inside` judges them
    meanwhile.

    A trial goes on with other resources in a new launch, from its newest checkpoint. So they are changed only at a report that
    has saved one, and not where the scheduler inside has a verdict of its own. With 8 cores and 4 trials, each has 2 after its
    first checkpoint; when one has ended, two have 3; then each of two has 4; and the last has 8.

    Needs slots of other widths (`LocalExecutor(isolation="trial")`), as many as `total` comes to: with `max_workers=8` and
    `Resources(cpu=1)`, that is `total=Resources(cpu=8)`.

    Args:
        total: what all trials together may have.
        trials: how many there will be, as `max_trials`. As long as more of them are left than fit, each has what it began with.
        each: what a trial is given at first: the search's `resources=`; by default one core.
        allocation: a function that says what a trial is to have: of its view, its report, and `Shares`; by default `evenly`.
        inside: a scheduler that stops or sets aside trials; by default `FIFO`, which does neither.

    Raises:
        ConfigurationError: `total` is less than `each`, the scheduler inside exploits or changes resources itself, or an
            argument is of the wrong type.
    """

    reallocates: ClassVar[bool] = True

    total: Resources = field(validator=_resources)
    trials: int = field(validator=number(1, integer=True))
    each: Resources = field(factory=Resources, validator=_resources)
    allocation: Allocation = field(default=evenly, validator=_function)
    inside: Scheduler = field(factory=FIFO, validator=_inside)
    # Those that have not ended, in their order; how many have; and those that wait for what they were given.
    _live: dict[TrialId, None] = field(init=False, factory=dict, repr=False)
    _ended: int = field(init=False, default=0, repr=False)
    _moved: dict[TrialId, None] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.total.cpu < self.each.cpu or self.total.gpu < self.each.gpu:
            has = f"ResourceChanging(total={self.total.told})"
            raise ConfigurationError(f"{has} is less than what a trial is given at first: each={self.each.told}")

    @property
    def chooses(self) -> bool:
        """As the one inside."""
        return self.inside.chooses

    def set_search(self, *, objective: Goal) -> None:
        """What is wanted, for both."""
        super().set_search(objective=objective)
        self.inside.set_search(objective=objective)

    def set_space(self, space: Space) -> None:
        """The parameters, for both."""
        super().set_space(space)
        self.inside.set_space(space)

    def on_trial_add(self, trial: TrialView) -> Verdicts:
        """As the one inside says."""
        self._live[trial.id] = None
        return self.inside.on_trial_add(trial)

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """As the one inside says; where that says nothing, other resources, if it is time."""
        self._moved.pop(trial.id, None)
        said = self.inside.on_trial_result(trial, report)
        verdicts = said if isinstance(said, Mapping) else {} if said is None else {trial.id: said}
        if report.checkpoint is None or not isinstance(verdicts.get(trial.id, Continue()), Continue):
            return said
        left = max(self.trials - self._ended, len(self._live))
        shares = Shares(total=self.total, each=self.each, left=left, place=list(self._live).index(trial.id))
        wanted = self.allocation(trial, report, shares)
        if wanted is None or wanted == (trial.resources or self.each):
            return said
        self._moved[trial.id] = None
        return {**verdicts, trial.id: Reallocate(wanted)}

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        """What it had is free."""
        self._over(trial)
        return self.inside.on_trial_complete(trial)

    def on_trial_error(self, trial: TrialView) -> Verdicts:
        """What it had is free."""
        self._over(trial)
        return self.inside.on_trial_error(trial)

    def _over(self, trial: TrialView) -> None:
        self._live.pop(trial.id, None)
        self._moved.pop(trial.id, None)
        self._ended += 1

    def on_trial_pause(self, trial: TrialView, by: str) -> None:
        """The one inside is told of what it has said itself, and of the user."""
        if trial.id not in self._moved or by == "user":
            self.inside.on_trial_pause(trial, by)

    def on_trial_resume(self, trial: TrialView, by: str) -> None:
        """The one inside is told, too, where it was told of the pause."""
        if trial.id not in self._moved or by == "user":
            self.inside.on_trial_resume(trial, by)

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        """Who waits for what it was given; then as the one inside says."""
        for trial in self._moved:
            if trial not in search.claimed and search.trials[trial].state is State.PENDING:
                return trial
        return self.inside.choose_trial_to_run(search)

    def plan(self) -> str:
        """What is shared, and what the one inside will do."""
        name = getattr(self.allocation, "__name__", type(self.allocation).__name__)
        shared = f"{self.total.told}, from {self.each.told} for each of {counted(self.trials, 'trial')}"
        return f"ResourceChanging ({name}): {shared}\n{self.inside.plan()}"

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does."""
        function = self.allocation
        return {
            "total": [self.total.cpu, self.total.gpu],
            "trials": self.trials,
            "each": [self.each.cpu, self.each.gpu],
            "allocation": getattr(function, "__qualname__", type(function).__qualname__),
            "inside": {"class": type(self.inside).__name__, "settings": dict(self.inside.settings())},
        }
