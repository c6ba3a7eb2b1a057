"""Population based training: trials learn side by side, and whoever falls behind goes on as one that is ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from attrs import Attribute, define, field

from asynctune.errors import ConfigurationError
from asynctune.records import PAUSE, Choice, Exploit, Report, State, TrialId, TrialView, Value, Values, Verdict, Verdicts
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.losses import counted, loss_of
from asynctune.schedulers.mutation import Mutations, as_mutations, kept
from asynctune.seeds import derive
from asynctune.space import Domain, Space
from asynctune.validators import flag, number
from asynctune.views import SearchView

__all__ = ["Member", "Population"]


def _quantile(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    number(0, above=True)(instance, attribute, value)
    if value > 0.5:
        who = type(instance).__name__
        raise ConfigurationError(f"{who}(quantile_fraction={value!r}) is more than 0.5: the worst would be among the best")


@define
class Member:
    """A live trial that has reported.

    Attributes:
        since: the step at which it was last compared, or from which it goes on as another trial.
        step: the last step that it has reported.
        loss: at the last perturbation interval's end; None until then, and when it has gone on as another trial since.
        saved: whether it has a checkpoint.
        waits: whether it was set aside, by this scheduler.
        ready: whether it may go on.
        origins: how often it had gone on as another trial when it was seen last.
        values: those that it had then.
    """

    since: int = 0
    step: int = 0
    loss: float | None = None
    saved: bool = False
    waits: bool = False
    ready: bool = False
    origins: int = 0
    values: Values = field(factory=dict)

    def see(self, trial: TrialView, report: Report) -> None:
        """It reported."""
        if len(trial.lineage) > self.origins:
            self.origins, self.since = len(trial.lineage), trial.lineage[-1].checkpoint.step
        self.step, self.saved, self.values = report.step, trial.checkpoint is not None, trial.values
        self.go()

    def go(self) -> None:
        """It runs."""
        self.waits = self.ready = False

    def hold(self, *, ready: bool) -> None:
        """It is set aside."""
        self.waits, self.ready = True, ready


@define(kw_only=True, eq=False, slots=False)
class Population(Scheduler):
    """Who of a population goes on as whom, and when. What becomes of the values is for those who subclass it.

    Args: as `PopulationBasedTraining` has them.
    """

    exploits: ClassVar[bool] = True

    perturbation_interval: int = field(validator=number(1, integer=True))
    hyperparam_mutations: Any = None
    burn_in_period: int = field(default=0, validator=number(0, integer=True))
    quantile_fraction: float = field(default=0.25, validator=_quantile)
    synchronous: bool = field(default=False, validator=flag)
    population: int | None = field(default=None, validator=number(2, integer=True, optional=True))
    _mutations: Mutations | None = field(init=False, repr=False)
    _members: dict[TrialId, Member] = field(init=False, factory=dict, repr=False)
    # The step at which all are compared next, in the synchronous form.
    _meeting: int = field(init=False, repr=False)
    # How many trials there are, once no more can come; None as long as some may.
    _all: int | None = field(init=False, default=None, repr=False)
    # How many trials have begun, and have not reported: known when it is asked what runs next, and counted on from there.
    _awaited: int = field(init=False, default=0, repr=False)
    # Exploits that were decided where no verdict could be given.
    _due: dict[TrialId, Verdict] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        self._mutations = as_mutations(f"{type(self).__name__}(hyperparam_mutations=...)", self.hyperparam_mutations)
        self._meeting = max(self.perturbation_interval, self.burn_in_period)

    @property
    def chooses(self) -> bool:
        """Where trials are set aside: in the synchronous form, and where they take turns."""
        return self.synchronous or self.population is not None

    def set_space(self, space: Space) -> None:
        """The parameters that are known.

        Raises:
            ConfigurationError: some are declared, and not one that is to be changed.
        """
        super().set_space(space)
        for name in self._mutations or ():
            if len(space) and name not in space:
                known = ", ".join(map(repr, space))
                who = f"{type(self).__name__}(hyperparam_mutations=...)"
                raise ConfigurationError(f"{who} names {name!r}, which is not in the space; in it are {known}")

    # ---------------------------------------------------------------------------------------------------------- comparing

    def on_trial_add(self, trial: TrialView) -> Verdicts:
        """There may be more than was thought."""
        self._all = None
        return None

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Compare the trial with the others, if its interval is over."""
        if trial.id not in self._members:
            self._await_less()
        member, loss = self._members.setdefault(trial.id, Member()), loss_of(self.objective, report)
        member.see(trial, report)
        if loss is None:
            return self._told()
        if self.synchronous:
            if report.step < self._meeting:
                return self._told()
            self._measured(trial, member, loss)
            member.loss = loss
            member.hold(ready=False)
            return self._told(self._met(trial.id))
        if report.step < self.burn_in_period or report.step - member.since < self.perturbation_interval:
            return self._told()
        self._measured(trial, member, loss)
        member.loss, member.since = loss, report.step
        best, worst = self._quantiles()
        verdict: Verdict | None = self._exploit(trial.id, best) if trial.id in worst else None
        if verdict is None and self._has_others():
            verdict = PAUSE
        return self._told(None if verdict is None else {trial.id: verdict})

    def _measured(self, trial: TrialView, member: Member, loss: float) -> None:
        """An interval of this trial is over, and this is its loss; for those who learn from that."""

    def _quantiles(self) -> tuple[list[TrialId], list[TrialId]]:
        """The best and the worst, of those that have a loss."""
        losses = {trial: member.loss for trial, member in self._members.items() if member.loss is not None}
        order = sorted(losses, key=lambda trial: (losses[trial], trial))
        size = math.ceil(len(order) * self.quantile_fraction)
        if size > len(order) / 2:
            size = len(order) // 2
        best = [trial for trial in order[:size] if math.isfinite(losses[trial])]
        return best, [trial for place, trial in enumerate(order, size - len(order)) if place >= 0 or math.isinf(losses[trial])]

    def _exploit(self, trial: TrialId, best: Sequence[TrialId]) -> Exploit | None:
        """What has the trial go on as one of the best that is better; None if there is none."""
        member = self._members[trial]
        loss = math.inf if member.loss is None else member.loss
        better = [each for each in best if (theirs := self._members[each].loss) is not None and theirs < loss]
        better = [each for each in better if self._members[each].saved] or better
        if not better:
            return None
        # A scheduler is given no seed. Values are drawn by the search's: so where its seed is another, so is the luck here.
        luck = derive("PopulationBasedTraining", trial, member.step, repr(sorted(member.values.items())))
        source = better[luck % len(better)]
        member.loss = None  # with the other's weights it is neither as bad as it was, nor tried
        return Exploit(source)

    # ------------------------------------------------------------------------------------------------------ taking turns

    def _has_others(self) -> bool:
        """Whether there are trials that wait, or may come, for a slot."""
        if self.population is None:
            return False
        return self._lacks() or any(member.ready for member in self._members.values())

    def _lacks(self) -> bool:
        """Whether the population is not complete, as far as is known."""
        wanted = self.population if self._all is None else self._all
        return wanted is not None and len(self._members) < wanted

    def _await_less(self) -> None:
        """A trial that had begun has reported for the first time, or ended before."""
        self._awaited = max(0, self._awaited - 1)

    def _met(self, last: TrialId | None) -> dict[TrialId, Verdict]:
        """The trials that wait at the meeting are compared, if all are there. `last` is the one that came now, which runs."""
        members = self._members.values()
        missing = self._awaited > 0 or self._lacks() or not all(member.waits and not member.ready for member in members)
        if missing or not members:
            return {} if last is None else {last: PAUSE}
        verdicts = self._compared()
        if last is not None:
            self._members[last].go()  # it keeps its slot, until it is set aside to go on as another one
        return verdicts

    def _compared(self) -> dict[TrialId, Verdict]:
        """All that wait are compared, and may go on."""
        best, worst = self._quantiles()
        verdicts: dict[TrialId, Verdict] = {}
        there = {trial: member for trial, member in self._members.items() if member.waits and not member.ready}
        farthest = max(member.step for member in there.values())
        self._meeting = max(self._meeting + self.perturbation_interval, farthest)
        for trial, member in there.items():
            member.ready, member.since = True, member.step
            if trial in worst and (exploit := self._exploit(trial, best)) is not None:
                verdicts[trial] = exploit
        return verdicts

    def _told(self, verdicts: Mapping[TrialId, Verdict] | None = None) -> Verdicts:
        """These verdicts, and those that could not be given before."""
        told = {**self._due, **(verdicts or {})}
        for trial in self._due:
            self._members[trial].hold(ready=True)
        self._due.clear()
        return told or None

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        """The others wait for it no more."""
        member = self._members.pop(trial.id, None)
        self._due.pop(trial.id, None)
        if member is None and trial.launches:
            self._await_less()
        if self._all is not None and (member is not None or trial.launches):
            self._all -= 1
        return self._told(self._met(None) if self.synchronous else {})

    def on_trial_error(self, trial: TrialView) -> Verdicts:
        """The others wait for it no more."""
        return self.on_trial_complete(trial)

    def on_trial_resume(self, trial: TrialView, by: str) -> None:
        """It goes on. If others were still waited for, that is over."""
        member = self._members.get(trial.id)
        if member is None or not member.waits:
            return
        if not member.ready:
            self._due |= self._compared()
            self._due.pop(trial.id, None)
            for other in self._due:
                self._members[other].ready = False  # not before it is told as whom it goes on
        member.go()

    def on_trial_pause(self, trial: TrialView, by: str) -> None:
        """Who is set aside may go on, unless it waits for others. Whom the user has set aside goes on when the user says so."""
        member = self._members.get(trial.id)
        if member is not None and by == "user":
            member.go()
        elif member is not None and not member.waits:
            member.hold(ready=True)

    def choose_trial_to_run(self, search: SearchView) -> Choice:
        """Of those that may go on, who is furthest behind; a new trial before them, as long as the population is not
        complete."""
        waiting = {trial: each for trial, each in self._members.items() if each.waits and _is_pending(search, trial)}
        begun = search.running + len(waiting)
        self._all = None if search.growing else begun
        choice = self._choice(search, waiting, begun)
        # One that has never run, and is there, begins now. Where none is there, it is asked again when there is.
        live = sum(search.counts.get(state, 0) for state in State if not state.ended)
        self._awaited = max(0, begun - len(self._members)) + (choice == "NEW" and live > begun)
        return choice

    def _choice(self, search: SearchView, waiting: Mapping[TrialId, Member], begun: int) -> Choice:
        has_room = begun < self.population if self.population is not None else not waiting
        if search.growing and has_room:
            return "NEW"
        ready = [trial for trial, member in waiting.items() if member.ready]
        if ready:
            return min(ready, key=lambda trial: (waiting[trial].step, trial))
        if search.running:
            return "WAIT"
        if not waiting:
            return "NEW"
        # Nobody else will come: they meet without. The best goes first, so that the others can go on as it.
        best: TrialId = min(waiting, key=lambda trial: (_rank(waiting[trial]), trial))
        return best

    def changing(self, source: TrialView) -> dict[str, Domain]:
        """What may be changed of what the source has, and within which domain."""
        known = self.space.active(source.values) if len(self.space) else {}
        if self._mutations is None:
            return {name: domain for name, domain in known.items() if name in source.values}
        found = {name: known.get(name) if domain is None else domain for name, domain in self._mutations.items()}
        return {name: domain for name, domain in found.items() if domain is not None and name in source.values}

    def within_space(self, name: str, value: Value, source: TrialView) -> Value:
        """The value, or the one closest to it that the space has; of what are no numbers, the source's."""
        domain = self.space.domain(name, source.values) if name in self.space else None
        return value if domain is None else kept(domain, value, source.values[name])

    def possible(self, changed: Mapping[str, Value], source: TrialView) -> dict[str, Value]:
        """What was changed, without what is not there any more, or has another domain, now that what it depends on has changed,
        too. What is left out here is as the source has it, or drawn where that cannot be either."""
        found, known = dict(changed), {**source.values, **changed}
        for name in self.space if self.space.is_conditional else ():  # what others depend on comes before them
            domain = self.space.domain(name, known)
            if name not in known or (domain is not None and domain.contains(known[name])):
                continue
            found.pop(name, None)
            del known[name]
            if domain is not None and name in source.values and domain.contains(source.values[name]):
                known[name] = source.values[name]
        return found

    # ------------------------------------------------------------------------------------------------------- what it says

    def plan(self) -> str:
        """When trials are compared, and what is changed."""
        names = "everything in the space" if self._mutations is None else ", ".join(self._mutations)
        form = "synchronous" if self.synchronous else "asynchronous"
        who = "" if self.population is None else f" of {counted(self.population, 'trial')}"
        late = f", from step {self.burn_in_period} on" if self.burn_in_period else ""
        share = f"{self.quantile_fraction:.0%}"
        return (
            f"{type(self).__name__} ({form}){who}: every {counted(self.perturbation_interval, 'step')}{late}, trials among the "
            f"worst {share} go on as one of the best {share}. Changed is {names}"
        )

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does."""
        found = self._mutations
        names = None if found is None else {name: None if what is None else what.describe() for name, what in found.items()}
        return {
            "perturbation_interval": self.perturbation_interval,
            "hyperparam_mutations": names,
            "burn_in_period": self.burn_in_period,
            "quantile_fraction": self.quantile_fraction,
            "synchronous": self.synchronous,
            "population": self.population,
        }


def _is_pending(search: SearchView, trial: TrialId) -> bool:
    return search.trials[trial].state is State.PENDING


def _rank(member: Member) -> float:
    return math.inf if member.loss is None else member.loss
