"""A scheduler, driven call by call with views made by hand. No machine, no journal, no process.

As `rehearsal` does it for oracles: the law is kept, and every call is written down with its answer.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from attrs import evolve

from asynctune.objective import Goal
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
    TrialId,
    TrialView,
    Values,
    Verdict,
)
from asynctune.schedulers.base import Scheduler
from asynctune.testing.rehearsal import Call, watched
from asynctune.views import SearchView

__all__ = ["HELD_BY_USER", "SchedulerRehearsal"]

HELD_BY_USER = "paused by the user"


class SchedulerRehearsal:
    """Trials that exist only as views, judged by a scheduler.

    Every method plays one event, makes the call that a search would make, and lets the verdicts happen.

    Attributes:
        trials: every trial as it stands.
        calls: what was called, and what was answered. Nothing, if it is made with `recording=False`; with `guarding=True`, each
            call is also watched for changes to what it is shown.
        chooses: whether the scheduler chooses what runs next.
        growing: whether there may be another trial; yours to set.
        exhausted: whether there will be no other; yours to set.
    """

    def __init__(self, scheduler: Scheduler, objective: Goal, *, recording: bool = True, guarding: bool = False) -> None:
        self.scheduler = scheduler
        self.objective = objective
        self.trials: dict[TrialId, TrialView] = {}
        self.calls: list[Call] = []
        self._recording = recording
        self._guarding = guarding
        self._reports: dict[TrialId, list[Report]] = {}
        self._in: dict[State, set[TrialId]] = {state: set() for state in State}
        self._unheeded: deque[tuple[TrialId, Any]] = deque()
        self._heeding = False
        self._best: TrialView | None = None
        self._held = 0
        self.growing = True
        self.exhausted = False
        self.chooses = scheduler.chooses
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
        self._judge(trial, "on_trial_complete")

    def fail(self, trial: TrialId) -> None:
        """A trial fails, with no retries left."""
        self._set(trial, state=State.FAILED)
        self._judge(trial, "on_trial_error")

    def pause(self, trial: TrialId, by: str = "user") -> None:
        """A running trial is set aside."""
        self._set(trial, state=State.PENDING, hold=HELD_BY_USER if by == "user" else f"paused by the {by}")
        self._tell(trial, "on_trial_pause", by)

    def lose(self, trial: TrialId) -> None:
        """A running trial's launch is lost, and it is started again. No plugin hears of it."""
        self._set(trial, launches=self.trials[trial].launches + 1)

    def choose(self) -> Choice:
        """A slot is free: what runs next. By default the oldest that has not run, then those that were set aside, then a new
        one.

        Raises:
            ValueError: if the scheduler chooses what cannot run.
        """
        if not self.chooses:
            pending = (self.trials[trial] for trial in self.live(State.PENDING))
            waiting = [view for view in pending if not _is_held(view)]
            return next((view.id for view in sorted(waiting, key=lambda view: (view.launches > 0, view.id))), "NEW")
        choice = cast("Choice", self._call("choose_trial_to_run", self.search()))
        view = self.trials.get(choice) if isinstance(choice, int) else None
        ready = view is not None and view.state is State.PENDING and not _is_held(view)
        if not ready and choice not in ("NEW", "WAIT"):
            raise ValueError(f'choose_trial_to_run answered {choice!r}: neither a PENDING trial, "NEW" nor "WAIT"')
        return choice

    def search(self) -> SearchView:
        """The search as it stands."""
        counts = {state: len(trials) for state, trials in self._in.items()}
        # A recorded call keeps what was shown; otherwise a look at what is, which costs nothing.
        trials = dict(self.trials) if self._recording else MappingProxyType(self.trials)
        return SearchView(
            at=float(len(self.calls)),
            objective=self.objective,
            trials=trials,
            counts=counts,
            best=self._best,
            running=counts[State.RUNNING] + self._held,
            growing=self.growing,
            exhausted=self.exhausted,
        )

    def live(self, *states: State) -> list[TrialId]:
        """The trials in these states; without any, those that have not ended."""
        wanted = states or tuple(state for state in State if not state.ended)
        return sorted(trial for state in wanted for trial in self._in[state])

    # ----------------------------------------------------------------------------------------------------------- calls

    def _set(self, trial: TrialId, **changes: Any) -> None:
        before, after = self.trials[trial], evolve(self.trials[trial], **changes)
        self._in[before.state].discard(trial)
        self._in[after.state].add(trial)
        self._held += _is_held(after) - _is_held(before)
        self.trials[trial] = after
        if after.state is not State.COMPLETED or after.score is None:
            return
        best = self._best
        if best is None or best.score is None or self.objective.better(after.score, best.score):
            self._best = after

    def _call(self, hook: str, *arguments: Any) -> Any:
        answer = watched(self.scheduler, hook, arguments) if self._guarding else getattr(self.scheduler, hook)(*arguments)
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
            view = self.trials.get(subject)
            if view is None or view.state.ended:
                what = "does not exist" if view is None else "has ended"
                raise ValueError(f"{hook} answered {verdict!r} for trial {subject}, which {what}")
        self._unheeded.extend(verdicts.items())
        # One end may lead to thousands: as in a search, they happen one after the other, and not within each other.
        while self._unheeded and not self._heeding:
            self._heeding = True
            try:
                self._let(*self._unheeded.popleft())
            finally:
                self._heeding = False
        return verdicts

    def _let(self, trial: TrialId, verdict: Any) -> None:
        view = self.trials[trial]
        match verdict:
            case _ if view.state.ended:
                pass  # another verdict has ended it meanwhile
            case Continue() | Reallocate():
                pass
            case Stop(reason) if isinstance(reason, str) and reason:
                self.complete(trial, stop_reason=reason)
            case Pause() if view.state is State.RUNNING:
                self.pause(trial, by="scheduler")
            case Exploit(source) if self.scheduler.exploits and source in self.trials:
                # The trial goes on as its source, from where that stands; what it reported beyond counts no more.
                step = self.trials[source].step
                self._reports[trial] = [report for report in self._reports[trial] if report.step <= step]
                values = {**self.trials[source].values, **self._call("explore", view, self.trials[source], len(self.calls))}
                self._set(trial, reports=Reports(self._reports[trial]), step=step, values=values)
            case _:
                raise ValueError(f"{verdict!r} is no verdict on a {view.state.value} trial")


def _is_held(view: TrialView) -> bool:
    return view.state is State.PENDING and view.hold == HELD_BY_USER
