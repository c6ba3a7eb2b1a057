"""Rehearsals: a plugin, driven call by call with views made by hand. No machine, no journal, no process.

A rehearsal keeps the law for its trials, so that the plugin is told only what a search could tell it, and writes down every
call with its answer, so that they can be made again.
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Callable, Mapping, Sequence
from inspect import isawaitable
from types import MappingProxyType
from typing import Any, cast

from attrs import evolve, frozen

from asynctune.objective import Objective
from asynctune.oracles.base import Oracle
from asynctune.oracles.proposer import Proposer
from asynctune.records import (
    CONTINUE,
    Choice,
    Continue,
    Exploit,
    Pause,
    Reallocate,
    Report,
    Reports,
    State,
    Stop,
    Suggestion,
    SuggestionStatus,
    TrialId,
    TrialView,
    Value,
    Values,
    Verdict,
)
from asynctune.schedulers.base import Scheduler
from asynctune.seeds import fill_seed
from asynctune.space import Fill, HyperParameters, Space
from asynctune.views import SearchView

__all__ = ["HELD_BY_USER", "Call", "OracleRehearsal", "SchedulerRehearsal", "replay"]

HELD_BY_USER = "paused by the user"


@frozen
class Call:
    """One call of a plugin's method, and what it answered."""

    hook: str
    arguments: tuple[Any, ...]
    answer: Any


def replay(plugin: Scheduler | Proposer, calls: Sequence[Call]) -> list[Any]:
    """Make recorded calls again, and return the answers."""
    return [_called(plugin, call.hook, call.arguments) for call in calls]


def _called(plugin: Scheduler | Proposer, hook: str, arguments: tuple[Any, ...]) -> Any:
    return _answer(getattr(plugin, hook)(*arguments))


def _answer(answer: Any) -> Any:
    if not isawaitable(answer):
        return answer

    async def awaited() -> Any:
        return await answer

    return asyncio.run(awaited())


def _watched(plugin: Scheduler | Proposer, hook: str, arguments: tuple[Any, ...]) -> Any:
    known = _known(plugin)
    before, known_before = copy.deepcopy((arguments, known))
    answer = _called(plugin, hook, arguments)
    if arguments != before:
        raise ValueError(f"{hook} changed what it was shown: from {before} to {arguments}")
    for what, now in _known(plugin).items():
        if what in known_before and now != known_before[what]:
            raise ValueError(f"{hook} changed what is known of {what}: from {known_before[what]} to {now}")
    return answer


def _known(plugin: Scheduler | Proposer) -> dict[str, Any]:
    """What an oracle can look at beside what it is shown."""
    if isinstance(plugin, Scheduler):
        return {}
    ended = {f"trial {number}": view for number, view in plugin.known.trials.items()}
    return ended | {f"trial {number}, which waits or runs": values for number, values in plugin.known.pending.items()}


class SchedulerRehearsal:
    """Trials that exist only as views, judged by a scheduler.

    Every method plays one event, makes the call that a search would make, and lets the verdicts happen.

    Attributes:
        trials: every trial as it stands.
        calls: what was called, and what was answered. Nothing, if it is made with `recording=False`; with `guarding=True`, each
            call is also watched for changes to what it is shown.
        chooses: whether the scheduler chooses what runs next.
    """

    def __init__(self, scheduler: Scheduler, objective: Objective, *, recording: bool = True, guarding: bool = False) -> None:
        self.scheduler = scheduler
        self.objective = objective
        self.trials: dict[TrialId, TrialView] = {}
        self.calls: list[Call] = []
        self._recording = recording
        self._guarding = guarding
        self._reports: dict[TrialId, list[Report]] = {}
        self._in: dict[State, set[TrialId]] = {state: set() for state in State}
        self.chooses = type(scheduler).choose_trial_to_run is not Scheduler.choose_trial_to_run
        scheduler.set_search(objective=objective)

    # --------------------------------------------------------------------------------------------------------- events

    def add(self, values: Values | None = None, *, run: bool = True) -> TrialId:
        """A trial is proposed, and runs at once unless `run` is False."""
        trial = len(self.trials)
        self._reports[trial] = []
        self.trials[trial] = TrialView(id=trial, state=State.PENDING, values=values or {})
        self._in[State.PENDING].add(trial)
        self._judge(trial, "on_trial_add")
        if run and self.trials[trial].state is State.PENDING:
            self.start(trial)
        return trial

    def start(self, trial: TrialId) -> None:
        """A PENDING trial gets a slot."""
        hold = self.trials[trial].hold
        self._set(trial, state=State.RUNNING, launches=self.trials[trial].launches + 1, hold=None)
        if hold is not None:
            self._tell(trial, "on_trial_resume", "user" if hold == HELD_BY_USER else "scheduler")

    def report(self, trial: TrialId, step: int, value: float, **others: float) -> Verdict:
        """A running trial reports the objective at a step. Returns the verdict on this trial, which has then happened."""
        view = self.trials[trial]
        if view.state is not State.RUNNING or step <= view.step:
            raise ValueError(f"a {view.state.value} trial at step {view.step} cannot report step {step}: see the law")
        report = Report(step, {self.objective.name: value, **others}, float(len(self.calls)), view.launches)
        self._reports[trial].append(report)
        self._set(trial, step=step, reports=Reports(self._reports[trial]))
        return self._judge(trial, "on_trial_result", report).get(trial, CONTINUE)

    def complete(self, trial: TrialId, *, stop_reason: str | None = None) -> None:
        """A trial finishes; or is stopped, if there is a reason."""
        last = self.objective.of(self._reports[trial][-1].metrics) if self._reports[trial] else None
        score = last if last is not None and math.isfinite(last) else None
        self._set(trial, state=State.COMPLETED, score=score, stop_reason=stop_reason)
        self._tell(trial, "on_trial_complete")

    def fail(self, trial: TrialId) -> None:
        """A trial fails, with no retries left."""
        self._set(trial, state=State.FAILED)
        self._tell(trial, "on_trial_error")

    def pause(self, trial: TrialId, by: str = "user") -> None:
        """A running trial is set aside."""
        self._set(trial, state=State.PENDING, hold=HELD_BY_USER if by == "user" else f"paused by the {by}")
        self._tell(trial, "on_trial_pause", by)

    def choose(self) -> Choice:
        """A slot is free: what runs next. By default the oldest that has not run, then those that were set aside, then a new
        one.

        Raises:
            ValueError: if the scheduler chooses what cannot run.
        """
        pending = (self.trials[trial] for trial in self.live(State.PENDING))
        waiting = [view for view in pending if view.hold != HELD_BY_USER]
        if not self.chooses:
            return next((view.id for view in sorted(waiting, key=lambda view: (view.launches > 0, view.id))), "NEW")
        choice = cast("Choice", self._call("choose_trial_to_run", self.search()))
        if choice not in ("NEW", "WAIT", *(view.id for view in waiting)):
            raise ValueError(f'choose_trial_to_run answered {choice!r}: neither a PENDING trial, "NEW" nor "WAIT"')
        return choice

    def search(self) -> SearchView:
        """The search as it stands."""
        completed = [self.trials[trial] for trial in sorted(self._in[State.COMPLETED])]
        score = self.objective.best(view.score for view in completed if view.score is not None)
        best = next((view for view in completed if score is not None and view.score == score), None)
        counts = {state: len(trials) for state, trials in self._in.items()}
        # A recorded call keeps what was shown; otherwise a look at what is, which costs nothing.
        trials = dict(self.trials) if self._recording else MappingProxyType(self.trials)
        return SearchView(at=float(len(self.calls)), objective=self.objective, trials=trials, counts=counts, best=best)

    def live(self, *states: State) -> list[TrialId]:
        """The trials in these states; without any, those that have not ended."""
        wanted = states or tuple(state for state in State if not state.ended)
        return sorted(trial for state in wanted for trial in self._in[state])

    # ----------------------------------------------------------------------------------------------------------- calls

    def _set(self, trial: TrialId, **changes: Any) -> None:
        before, after = self.trials[trial], evolve(self.trials[trial], **changes)
        self._in[before.state].discard(trial)
        self._in[after.state].add(trial)
        self.trials[trial] = after

    def _call(self, hook: str, *arguments: Any) -> Any:
        answer = _watched(self.scheduler, hook, arguments) if self._guarding else getattr(self.scheduler, hook)(*arguments)
        if self._recording:
            self.calls.append(Call(hook, arguments, answer))
        return answer

    def _tell(self, trial: TrialId, hook: str, *arguments: Any) -> None:
        if (answer := self._call(hook, self.trials[trial], *arguments)) is not None:
            raise ValueError(f"{hook} answered {answer!r}: it is told, not asked")

    def _judge(self, trial: TrialId, hook: str, *arguments: Any) -> Mapping[TrialId, Verdict]:
        answer = self._call(hook, self.trials[trial], *arguments)
        verdicts = answer if isinstance(answer, Mapping) else {} if answer is None else {trial: answer}
        for subject, verdict in verdicts.items():
            self._let(subject, verdict)
        return verdicts

    def _let(self, trial: TrialId, verdict: Any) -> None:
        view = self.trials.get(trial)
        if view is None or view.state.ended:
            raise ValueError(f"{verdict!r} for trial {trial}, which {'does not exist' if view is None else 'has ended'}")
        match verdict:
            case Continue() | Reallocate():
                pass
            case Stop(reason) if isinstance(reason, str) and reason:
                self.complete(trial, stop_reason=reason)
            case Pause() if view.state is State.RUNNING:
                self.pause(trial, by="scheduler")
            case Exploit(source) if self.scheduler.exploits and source != trial and source in self.trials:
                # The trial goes on as a clone of its source, from where that stands.
                self._reports[trial] = list(self._reports[source])
                reports, step = Reports(self._reports[trial]), self.trials[source].step
                self._set(trial, reports=reports, step=step, values=self.trials[source].values)
            case _:
                raise ValueError(f"{verdict!r} is no verdict on a {view.state.value} trial")


class OracleRehearsal:
    """Trials that exist only as views, proposed by an oracle through its proposer, as in a search.

    A trial runs `trainable(hp)`: it asks for parameters, and returns the objective's value. Every method plays one event, and
    makes the call that a search would make.

    Attributes:
        proposer: what stands before the oracle; `proposer.known` is what the oracle knows.
        trials: every trial as it stands.
        space: what is known; it grows as trials declare parameters.
        calls: what was called, and what was answered. With `guarding=True`, each is also watched for changes to what it is
            shown.
    """

    def __init__(
        self,
        oracle: Oracle,
        trainable: Callable[[HyperParameters], float] = lambda hp: 0.0,
        *,
        space: Any = None,
        objective: Objective | None = None,
        seed: int = 0,
        guarding: bool = False,
    ) -> None:
        self.oracle = oracle
        self.proposer = Proposer(oracle)
        self.objective = objective or Objective("score", "max")
        self.space = Space.of(space)
        self.seed = seed
        self.trials: dict[TrialId, TrialView] = {}
        self.calls: list[Call] = []
        self._guarding = guarding
        self._trainable = trainable
        self._declared = frozenset(self.space)
        self._used: dict[TrialId, dict[str, Value]] = {}
        self._live: dict[TrialId, None] = {}
        self._observed = 0
        self.proposer.set_search(objective=self.objective, seed=seed, space=self.space)

    def ask(self) -> Suggestion:
        """Ask for the next trial, which runs at once if values are proposed.

        Raises:
            PluginError: if the answer is none, or proposes what is not in the space.
        """
        trial = len(self.trials)
        suggestion: Suggestion = self._call("populate_space", trial, self.space)
        if suggestion.status is SuggestionStatus.RUNNING:
            self._start(trial, suggestion.values)
        return suggestion

    def observe(self, values: Values, score: float | None, state: State = State.COMPLETED) -> TrialView:
        """A trial of an earlier search is told of, as `warm_start=` does; before the first ask."""
        self._observed += 1
        view = TrialView(id=-self._observed, state=state, values=dict(values), score=score)
        self._call("on_trial_end", view)
        return view

    def enqueue(self, values: Values) -> TrialId:
        """A trial is added that the oracle is not asked for, and runs at once."""
        trial = len(self.trials)
        self._call("on_trial_add", trial, dict(values))
        self._start(trial, values)
        return trial

    def run(self, trial: TrialId) -> float:
        """A trial runs: it asks for parameters, those that are new become known, and the objective's value is returned."""
        fill = Fill(self.oracle.fill, fill_seed(self.seed, trial))
        hp = HyperParameters(self.space, self.trials[trial].values, fill)
        value = self._trainable(hp)
        new, used = hp.drain()
        self.space = self.space.grow(new)
        self._used[trial] |= used
        self._set(trial, values={**self.trials[trial].values, **used})
        return value

    def report(self, trial: TrialId, value: float) -> None:
        """A trial reports the objective at the next step."""
        view = self.trials[trial]
        report = Report(view.step + 1, {self.objective.name: value}, float(len(self.calls)), view.launches)
        self._set(trial, step=report.step, reports=Reports([*view.reports, report]))
        if type(self.oracle).on_trial_result is not Oracle.on_trial_result:
            self._call("on_trial_result", self.trials[trial], report)

    def complete(self, trial: TrialId, score: float | None, *, stop_reason: str | None = None) -> None:
        """A trial finishes; or is stopped, if there is a reason."""
        self._end(trial, state=State.COMPLETED, score=score, stop_reason=stop_reason)

    def fail(self, trial: TrialId) -> None:
        """A trial fails, with no retries left."""
        self._end(trial, state=State.FAILED)

    def finish(self, trial: TrialId) -> None:
        """A trial runs and finishes."""
        self.complete(trial, self.run(trial))

    def live(self) -> list[TrialId]:
        """The trials that have not ended."""
        return list(self._live)

    def _start(self, trial: TrialId, values: Values) -> None:
        self.trials[trial] = TrialView(id=trial, state=State.RUNNING, values=dict(values), launches=1)
        self._used[trial] = {}
        self._live[trial] = None

    def _end(self, trial: TrialId, **changes: Any) -> None:
        # Only what a trial asked for belongs to it, and what was declared beforehand.
        proposed = {name: value for name, value in self.trials[trial].values.items() if name in self._declared}
        self._set(trial, values={**proposed, **self._used[trial]}, **changes)
        del self._live[trial]
        self._call("on_trial_end", self.trials[trial])

    def _set(self, trial: TrialId, **changes: Any) -> None:
        self.trials[trial] = evolve(self.trials[trial], **changes)

    def _call(self, hook: str, *arguments: Any) -> Any:
        answer = (
            _watched(self.proposer, hook, arguments) if self._guarding else _answer(getattr(self.proposer, hook)(*arguments))
        )
        self.calls.append(Call(hook, arguments, answer))
        return answer
