"""How the machine asks its plugins, and how their answers are recorded, checked, and made to win when a search is opened again.

An answer that says nothing (CONTINUE, "no reason to stop") is not written down: absence is that answer. So a record stays
small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from attrs import frozen

from asynctune._machine.answers import about, as_id, as_verdict, sets_aside
from asynctune._machine.exploring import explored
from asynctune.errors import PluginError, SpaceError
from asynctune.objective import Goal
from asynctune.records import (
    Choice,
    Continue,
    Exploit,
    LaunchNumber,
    Reallocate,
    Report,
    TrialId,
    TrialView,
    Values,
    Verdict,
    Verdicts,
)
from asynctune.schedulers.base import Scheduler
from asynctune.secret import redacted
from asynctune.seeds import derive
from asynctune.space import Space
from asynctune.stoppers import FunctionStopper, HearsEnds, HearsReports, SearchStopper, Stopper, TrialStopper
from asynctune.views import SearchView
from asynctune.wire import closed_union

__all__ = ["Chosen", "Consult", "Divergence", "EndTrial", "EndWhole", "Explored", "Judged", "LogEnd", "PluginAnswer"]

T = TypeVar("T")
_TRIES = 20  # more, for values that the rules of the space allow
_NO_VERDICTS: Mapping[TrialId, Verdict] = {}


@frozen
class Judged:
    """The scheduler's verdicts, from one of its hooks on one trial."""

    hook: str
    trial: TrialId
    verdicts: Mapping[TrialId, Verdict]


@frozen
class Chosen:
    """The scheduler's n-th choice of the record: a trial's id, or None with `new` for a new one, without for none."""

    number: int
    trial: TrialId | None
    new: bool


@frozen
class EndTrial:
    """A stopper's reason to end a trial."""

    trial: TrialId
    reason: str


@frozen
class EndWhole:
    """A stopper's reason to end the search."""

    reason: str


@frozen
class LogEnd:
    """How the log of a trial's launch ended, which had failed or was lost. No plugin says it, but it is as much an answer."""

    trial: TrialId
    tail: str


@frozen
class Explored:
    """The scheduler's values for a trial that is to go on as another one: completed, and of the space's types."""

    trial: TrialId
    values: Values


PluginAnswer: TypeAlias = Judged | Chosen | Explored | EndTrial | EndWhole | LogEnd
closed_union(PluginAnswer)


@frozen
class Divergence:
    """A plugin that was told its history again and answered something else. The recorded answer has won."""

    plugin: str
    hook: str
    trial: TrialId | None
    recorded: str
    now: str


class Consult:
    """Asks the scheduler and the stoppers.

    `asking` names the plugin that is being asked, and since when, for whoever watches how long that takes. Whoever sets
    `stopwatch` (it tells seconds, and nothing here depends on them) finds in `took` how long they all took since `begin`, and
    in `slowest` the one that took the longest, and how long. `answers` is what was answered since `begin`; with `recorded`
    answers given to it, those are returned instead, and every difference is kept in `divergences`. Whoever sets `log` has it
    read the end of a launch's log, if there are logs. Whoever sets `space` has the rules of the declared one kept, and its
    values computed, when values are explored.
    """

    def __init__(self, scheduler: Scheduler, stoppers: Sequence[Stopper]) -> None:
        self._scheduler = scheduler
        self._trial_stoppers = [stopper for stopper in stoppers if isinstance(stopper, TrialStopper)]
        self._search_stoppers = [stopper for stopper in stoppers if isinstance(stopper, SearchStopper)]
        self._hear_reports = [stopper for stopper in stoppers if isinstance(stopper, HearsReports)]
        self._hear_ends = [stopper for stopper in stoppers if isinstance(stopper, HearsEnds)]
        self._has_choice = scheduler.chooses
        self.asking: tuple[str, float, TrialView | None] | None = None
        self.stopwatch: Callable[[], float] = float
        self.log: Callable[[TrialId, LaunchNumber], str] = _no_log
        self.space = Space()
        self.took = 0.0
        self.slowest: tuple[float, str] = (0.0, "")
        self.answers: list[PluginAnswer] = []
        self.divergences: list[Divergence] = []
        #: Whom the scheduler would have set aside, when it is told again; by the record they went on.
        self.overruled: list[TrialId] = []
        self._recorded: Sequence[PluginAnswer] | None = None
        self._choices = 0

    @property
    def scheduler_name(self) -> str:
        """The scheduler's class, for errors."""
        return self._name(self._scheduler)

    @property
    def chooses(self) -> bool:
        """Whether the scheduler is to be asked what runs next; when it is told again, whether it was."""
        if self._recorded is None:
            return self._has_choice
        return any(isinstance(answer, Chosen) and answer.number == self._choices + 1 for answer in self._recorded)

    def begin(self, recorded: Sequence[PluginAnswer] | None) -> None:
        """A new stimulus is being handled; `recorded` when it is being told again."""
        self._recorded = recorded
        self._choices = 0
        self.overruled = []
        self.took, self.slowest = 0.0, (0.0, "")
        self.answers = []

    @property
    def watches(self) -> bool:
        """Whether somebody is to be asked whether the search ends; when it is told again, also whether somebody has said so."""
        recorded = self._recorded
        return bool(self._search_stoppers) or (recorded is not None and any(isinstance(a, EndWhole) for a in recorded))

    def set_search(self, objective: Goal) -> None:
        """Tell the scheduler what is wanted, and what is declared."""
        self._call(self._scheduler, "set_search", lambda: self._scheduler.set_search(objective=objective))
        self._set_space(self.space)

    def _set_space(self, space: Space) -> None:
        self._call(self._scheduler, "set_space", lambda: self._scheduler.set_space(space))

    # ------------------------------------------------------------------------------------------------- the scheduler

    def added(self, trial: TrialView) -> Mapping[TrialId, Verdict]:
        """The scheduler's verdicts on a new trial."""
        return self._verdicts("on_trial_add", trial, lambda: self._scheduler.on_trial_add(trial))

    def reported(self, trial: TrialView, report: Report) -> Mapping[TrialId, Verdict]:
        """The scheduler's verdicts on a report."""
        return self._verdicts("on_trial_result", trial, lambda: self._scheduler.on_trial_result(trial, report))

    def completed(self, trial: TrialView) -> Mapping[TrialId, Verdict]:
        """The scheduler's verdicts on other trials, now that this one is COMPLETED."""
        return self._verdicts("on_trial_complete", trial, lambda: self._scheduler.on_trial_complete(trial))

    def gave_up(self, trial: TrialView) -> Mapping[TrialId, Verdict]:
        """The scheduler's verdicts on other trials, now that this one is FAILED."""
        return self._verdicts("on_trial_error", trial, lambda: self._scheduler.on_trial_error(trial))

    def paused(self, trial: TrialView, by: str) -> None:
        """Tell the scheduler that a trial was set aside."""
        self._call(self._scheduler, "on_trial_pause", lambda: self._scheduler.on_trial_pause(trial, by), trial)

    def resumed(self, trial: TrialView, by: str) -> None:
        """Tell the scheduler that a trial runs again."""
        self._call(self._scheduler, "on_trial_resume", lambda: self._scheduler.on_trial_resume(trial, by), trial)

    def choose(self, search: SearchView) -> Choice:
        """The scheduler's choice of what runs next."""
        self._choices += 1
        now = self._call(self._scheduler, "choose_trial_to_run", lambda: self._scheduler.choose_trial_to_run(search))
        chosen = as_id(now)
        if chosen is None and not (isinstance(now, str) and now in ("NEW", "WAIT")):
            wanted = 'the id of a PENDING trial, "NEW" or "WAIT"'
            raise PluginError(f"{self.scheduler_name}.choose_trial_to_run returned {now!r}: it must return {wanted}")
        answer = Chosen(self._choices, chosen, chosen is None and now == "NEW")
        if self._recorded is not None:
            found = next(a for a in self._recorded if isinstance(a, Chosen) and a.number == self._choices)
            answer = self._compare("choose_trial_to_run", None, found, answer)
        self.answers.append(answer)
        if answer.trial is not None:
            return answer.trial
        return "NEW" if answer.new else "WAIT"

    def explore(self, trial: TrialView, source: TrialView, seed: int, space: Space) -> Values:
        """The values with which a trial goes on as another one. When it is told again the scheduler is not asked: nothing that
        `explore` keeps counts later, and it may be dear."""
        if self._recorded is not None:
            before = [a for a in self.answers if isinstance(a, Explored) and a.trial == trial.id]
            found = [a for a in self._recorded if isinstance(a, Explored) and a.trial == trial.id][len(before)]
        else:
            found = Explored(trial.id, self._explored(trial, source, seed, space))
        self.answers.append(found)
        return found.values

    def _explored(self, trial: TrialView, source: TrialView, seed: int, space: Space) -> Values:
        known = self.space.grow(space)
        self._set_space(known)
        try:
            for luck in (seed, *(derive(seed, "again", number) for number in range(_TRIES))):
                said = self._call(self._scheduler, "explore", partial(self._scheduler.explore, trial, source, luck), trial)
                values = explored(known, said, source.values, luck)
                if known.is_allowed(values):
                    return known.derive(values)
        except SpaceError as error:
            who = f"{self.scheduler_name}.explore, for trial {trial.id} with trial {source.id} as its source, returned values"
            raise PluginError(f"{who} that are not in the space: {error}") from error
        return dict(source.values)  # these are allowed, and nothing that was explored is

    def _verdicts(self, hook: str, trial: TrialView, call: Callable[[], Verdicts]) -> Mapping[TrialId, Verdict]:
        raw = self._call(self._scheduler, hook, call, trial)
        if self._recorded is None and (raw is None or isinstance(raw, Continue)):
            return _NO_VERDICTS
        now = Judged(hook, trial.id, self._checked(hook, trial, raw))
        if self._recorded is not None:
            found = [a for a in self._recorded if isinstance(a, Judged) and (a.hook, a.trial) == (hook, trial.id)]
            today = now.verdicts
            now = self._compare(hook, trial.id, found[0] if found else Judged(hook, trial.id, {}), now)
            self.overruled += [key for key in today if sets_aside(today[key]) and not sets_aside(now.verdicts.get(key))]
        if now.verdicts:
            self.answers.append(now)
        return now.verdicts

    def _checked(self, hook: str, trial: TrialView, raw: Any) -> Mapping[TrialId, Verdict]:
        if raw is None or isinstance(raw, Continue):
            return {}
        verdicts = raw if isinstance(raw, Mapping) else {trial.id: raw}
        checked = {as_id(key): as_verdict(verdict) for key, verdict in verdicts.items()}
        for kind, name in ((Exploit, "exploits"), (Reallocate, "reallocates")):
            if any(isinstance(verdict, kind) for verdict in checked.values()) and not getattr(self._scheduler, name):
                who, what = self.scheduler_name, f"{name} = True"
                text = f"{who}.{hook} answered {raw!r}, and its class does not say {what}"
                raise PluginError(f"{text}: write it there, for what that needs is looked for before anything starts")
        if None in checked or None in checked.values():
            wanted = "CONTINUE, PAUSE, STOP, Stop(reason), Exploit(...) or Reallocate(...), or a dict of these by trial id"
            raise PluginError(f"{self.scheduler_name}.{hook} answered {raw!r} for trial {trial.id}: it must return {wanted}")
        return {
            key: verdict
            for key, verdict in checked.items()
            if key is not None and verdict is not None and not isinstance(verdict, Continue)
        }

    def _compare(self, hook: str, trial: TrialId | None, recorded: T, now: T) -> T:
        if recorded != now:
            self.divergences.append(Divergence(self._name(self._scheduler), hook, trial, repr(recorded), repr(now)))
        return recorded

    # -------------------------------------------------------------------------------------------------- the stoppers

    # Stoppers may be other ones than those of the record (more time, another target), so theirs are never compared.

    def stop_trial(self, trial: TrialView, report: Report) -> str | None:
        """The first stopper's reason to end this trial. All are asked, for some count."""
        for listener in self._hear_reports:
            self._call(listener, "on_trial_result", partial(listener.on_trial_result, trial, report))
        if not self._trial_stoppers and self._recorded is None:
            return None
        reasons = []
        for stopper in self._trial_stoppers:
            said = self._call(stopper, "should_stop_trial", partial(stopper.should_stop_trial, trial, report))
            reasons.append(self._reason(stopper, said))
        reason = next((reason for reason in reasons if reason is not None), None)
        if self._recorded is not None:
            reason = next((a.reason for a in self._recorded if isinstance(a, EndTrial) and a.trial == trial.id), None)
        if reason is not None:
            self.answers.append(EndTrial(trial.id, reason))
        return reason

    def ended(self, trial: TrialView) -> None:
        """Tell the stoppers that a trial has ended."""
        for listener in self._hear_ends:
            self._call(listener, "on_trial_end", partial(listener.on_trial_end, trial))

    def stop_search(self, search: Callable[[], SearchView]) -> str | None:
        """The first stopper's reason to end the search."""
        reason = None
        if self._search_stoppers:
            view = search()
            reasons = []
            for stopper in self._search_stoppers:
                said = self._call(stopper, "should_stop_search", partial(stopper.should_stop_search, view))
                reasons.append(self._reason(stopper, said))
            reason = next((reason for reason in reasons if reason is not None), None)
        if self._recorded is not None:
            reason = next((a.reason for a in self._recorded if isinstance(a, EndWhole)), None)
        if reason is not None:
            self.answers.append(EndWhole(reason))
        return reason

    def deadlines(self) -> list[float]:
        """When a stopper wants to be asked again."""
        deadlines = []
        for stopper in self._search_stoppers:
            deadline: Any = self._call(stopper, "deadline", partial(getattr, stopper, "deadline"))
            if isinstance(deadline, bool) or not isinstance(deadline, int | float | None):
                wanted = "a search time in seconds, or None"
                raise PluginError(f"{self._name(stopper)}.deadline is {deadline!r}: it must be {wanted}")
            deadlines += [] if deadline is None else [float(deadline)]
        return deadlines

    # ----------------------------------------------------------------------------------------------------- the log

    def log_end(self, trial: TrialId, launch: LaunchNumber) -> str:
        """How the log of a launch that has failed ends. Asked for then and at no other time: nobody else pays for it."""
        if self._recorded is not None:
            tail = next((a.tail for a in self._recorded if isinstance(a, LogEnd) and a.trial == trial), "")
        else:
            tail = self.log(trial, launch)
        if tail:
            self.answers.append(LogEnd(trial, tail))
        return tail

    # ------------------------------------------------------------------------------------------------------- the call

    def _reason(self, stopper: object, reason: Any) -> str | None:
        if reason is None or reason is False:
            return None
        if reason is True:
            return f"stopped by {self._name(stopper)}"
        if isinstance(reason, str):
            return reason
        raise PluginError(f"the stopper {self._name(stopper)} returned {reason!r}: it must return a reason (a string), or None")

    def _call(self, plugin: object, hook: str, call: Callable[[], Any], trial: TrialView | None = None) -> Any:
        asking = plugin.called if isinstance(plugin, FunctionStopper) else f"{self._name(plugin)}.{hook}"
        began = self.stopwatch()
        self.asking = asking, began, trial
        try:
            return call()
        except BaseException as error:  # a SystemExit of a plugin's is its failure too
            raise PluginError(redacted(f"{asking} raised {type(error).__name__}: {error}{about(trial)}")) from error
        finally:
            self.asking = None
            took = self.stopwatch() - began
            self.took += took
            if took > self.slowest[0]:
                self.slowest = took, asking

    @staticmethod
    def _name(plugin: object) -> str:
        return type(plugin).__name__


def _no_log(_: TrialId, __: LaunchNumber) -> str:
    return ""
