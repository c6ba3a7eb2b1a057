"""The machine of a search: told what happened, it answers what to do.

Rule 1: everything that decides is here, or in what this file calls; nothing here does anything. Rule 2: time, luck and the
plugins' answers come in as arguments, so the machine can be told its history again and stands where it stood.

A stimulus is handled in two parts. First what it means for the trial that it is about, by law and policy. Then `_settle`: what
follows for the search, whatever happened: is it over, what runs on the free slots, what must be asked, requested or awaited.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from asynctune._machine import retry
from asynctune._machine.asks import Asks
from asynctune._machine.book import Book
from asynctune._machine.consult import Consult, PluginAnswer
from asynctune._machine.instructions import (
    AnswerReport,
    Ask,
    DeleteCheckpoint,
    EndSearch,
    Instruction,
    StartLaunch,
    StopLaunch,
    TellEnd,
    TellReport,
    WakeAt,
)
from asynctune._machine.invariants import check
from asynctune._machine.slots import Slots
from asynctune._machine.stimuli import (
    Closed,
    Enqueued,
    ExecutorFailed,
    Heard,
    LaunchEnded,
    Opened,
    OracleFailed,
    PauseAsked,
    ResumeAsked,
    Settings,
    SlotGranted,
    Stimulus,
    StopAsked,
    StopTrialAsked,
    Suggested,
    Ticked,
    WorkersSet,
)
from asynctune._machine.trial import Trial
from asynctune._machine.waiting import Waiting
from asynctune.errors import PluginError, SpaceError
from asynctune.events import (
    AttemptFailed,
    Finished,
    Happening,
    LawEvent,
    ParametersUsed,
    Paused,
    Reported,
    SearchEnded,
    SearchOpened,
    SpaceGrew,
    Started,
    Stopped,
    TrialAdded,
)
from asynctune.messages import (
    Answer,
    Died,
    Fill,
    Lost,
    MetricsReported,
    ParametersDeclared,
    RunTrial,
    TrialRaised,
    TrialReturned,
    What,
)
from asynctune.records import (
    Failure,
    FailureKind,
    Pause,
    State,
    Stop,
    SuggestionStatus,
    TrialId,
    Values,
    Verdict,
)
from asynctune.schedulers.base import Scheduler
from asynctune.seeds import derive
from asynctune.space import Space
from asynctune.stoppers import Stopper

__all__ = ["Decision", "Machine"]

_FATAL = ("FatalValueError", "FatalTypeError", "FatalRuntimeError")


@frozen
class Decision:
    """The machine's answer to one stimulus.

    Args:
        instructions: what to do, in order, once the record is committed.
        happened: what the record says.
        answers: what the plugins answered.
        void: the stimulus changed nothing (the last words of a dead launch): there is nothing to record.
        refused: why a user's command was not obeyed; then it is void too.
    """

    instructions: list[Instruction]
    happened: tuple[Happening, ...] = ()
    answers: tuple[PluginAnswer, ...] = ()
    void: bool = False
    refused: str | None = None


class Machine:
    """The state of a search, moved by `handle` alone.

    Args:
        scheduler: judges reports; the machine owns it from now on.
        stoppers: say when it is enough.
    """

    settings: Settings

    def __init__(self, scheduler: Scheduler, stoppers: Sequence[Stopper] = ()) -> None:
        self.consult = Consult(scheduler, stoppers)
        self.book = Book()
        self.asks = Asks()
        self.slots = Slots()
        self.waiting = Waiting()
        self.space = Space()
        self.at = 0.0
        self.opened = 0
        self.dropped = 0
        self.user_paused = False
        self.ending: SearchEnded | None = None
        self.over = False
        self.enqueued = 0
        self._objective_seen = False
        self._declined = False
        self._failures = retry.FailureRun()
        self._woken = math.inf
        self._happened: list[Happening] = []
        self._do: list[Instruction] = []
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            Opened: self._opened,
            Suggested: self._suggested,
            OracleFailed: lambda s: self._end_early(s.message, error="PluginError"),
            SlotGranted: lambda s: self.slots.granted(),
            Heard: self._heard,
            LaunchEnded: self._launch_ended,
            ExecutorFailed: lambda s: self._end_early(s.message, error="ExecutorError"),
            Ticked: self._ticked,
            StopTrialAsked: lambda s: self._stop(self.book.trials[s.trial], s.reason),
            StopAsked: lambda s: self._end_early(s.reason, stop=True),
            PauseAsked: lambda s: self._pause_starts(True),
            ResumeAsked: lambda s: self._pause_starts(False),
            Enqueued: self._enqueued,
            WorkersSet: lambda s: self.slots.resize(s.slots),
            Closed: lambda s: self._end_early(s.reason, error="SearchError"),
        }

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {state.value.lower()}" for state, n in self.book.counts.items() if n)
        return f"<Machine at {self.at:.3f}: {counts or 'no trials'}{', over' if self.over else ''}>"

    # ------------------------------------------------------------------------------------------------------ the door

    def handle(self, stimulus: Stimulus, recorded: Sequence[PluginAnswer] | None = None) -> Decision:
        """Take one stimulus in.

        Args:
            stimulus: what happened. Its `at` is never before that of the one before.
            recorded: what the plugins answered to it, when it is told again; their answers of today are only compared.

        Raises:
            PluginError: a plugin raised or answered nonsense. The machine must not be used any more.
        """
        if stimulus.at < self.at:
            raise ValueError(f"search time cannot go back: {stimulus.at} after {self.at}")
        self._happened, self._do = [], []
        if type(stimulus) is not SlotGranted:
            self._declined = False  # whatever has happened may change the scheduler's mind
        refused = self._refuse(stimulus)
        if refused is not None:
            return Decision([], void=True, refused=refused)
        if self._is_stale(stimulus):
            self.dropped += 1
            return Decision(self._do, void=True)
        self.at = stimulus.at
        self.consult.begin(recorded)
        self._handlers[type(stimulus)](stimulus)
        self._settle()
        return Decision(self._do, tuple(self._happened), tuple(self.consult.answers))

    def check(self) -> None:
        """Assert every invariant."""
        check(self)

    def _refuse(self, stimulus: Stimulus) -> str | None:
        """Why a user's command cannot be obeyed."""
        match stimulus:
            case StopTrialAsked(trial=trial):
                known = self.book.trials.get(trial)
                if known is None:
                    return f"there is no trial {trial}: trials 0 to {len(self.book.trials) - 1} have been proposed so far"
                return f"trial {trial} has already ended ({known.state.value})" if known.state.ended else None
            case Enqueued(values=values):
                try:
                    self._check_values(values)
                except SpaceError as error:
                    return str(error)
        return None

    def _is_stale(self, stimulus: Stimulus) -> bool:
        """Whether it speaks of a launch that is over, or of a trial that was already told to stop."""
        match stimulus:
            case LaunchEnded(ending=said) | Heard(message=said):
                trial = self.book.trials.get(said.trial)
                if trial is None or trial.launch is None or trial.launch.number != said.launch:
                    return True
                if isinstance(said, MetricsReported) and trial.state is not State.RUNNING:
                    # It had left before it heard the verdict; nothing that it says counts, but it waits for an answer.
                    self._answer(said, trial.stop_reason or trial.hold or "it was stopped")
                    return True
                return isinstance(said, ParametersDeclared) and trial.state is not State.RUNNING
            case Suggested(ask=number):
                return number not in self.asks.in_flight
        return False

    # ------------------------------------------------------------------------------------------------------ happenings

    def _happen(self, trial: Trial, event: LawEvent) -> None:
        """Let an event happen to a trial, and tell those who must know."""
        self.book.apply(trial, event, self.at, self.settings.objective)
        self._happened.append(event)
        if not trial.state.ended:
            return
        self.waiting.drop(trial.id)
        self.asks.trial_ended()
        view = self.book.view(trial)
        if trial.state is State.COMPLETED:
            self._failures.succeeded()
            self.consult.completed(view)
        else:
            self.consult.gave_up(view)
        self._do.append(TellEnd(view))

    def _stop(self, trial: Trial, reason: str) -> None:
        score = trial.score_so_far(self.settings.objective)
        finite = score if score is not None and math.isfinite(score) else None
        self._happen(trial, Stopped(trial=trial.id, reason=reason, score=finite))
        self._halt(trial, reason)

    def _halt(self, trial: Trial, reason: str, failure: Failure | None = None) -> None:
        """Tell the trial's launch to stop, if it has one that was not told before."""
        if trial.launch is None or trial.launch.halted is not None:
            return
        trial.launch.halted, trial.launch.failure = reason, failure
        self._do.append(StopLaunch(trial.id, trial.launch.number, reason, self.settings.limits.grace))

    def _obey(self, verdicts: Mapping[TrialId, Verdict]) -> None:
        for key, verdict in verdicts.items():
            trial = self.book.trials.get(key)
            if trial is None or trial.state.ended:
                raise PluginError(f"the scheduler answered {verdict} for trial {key}, which has ended or never was")
            match verdict:
                case Stop(reason=reason):
                    self._stop(trial, reason)
                case Pause() if trial.state is State.RUNNING:
                    self._happen(trial, Paused(trial=trial.id, by="scheduler", reason="paused by the scheduler"))
                    self.consult.paused(self.book.view(trial), "scheduler")
                    self._halt(trial, "paused by the scheduler")
                case Pause():
                    pass  # it waits already
                case _:
                    raise PluginError(f"the scheduler answered {verdict} for trial {key}: this executor cannot do that")

    # --------------------------------------------------------------------------------------------------- the search

    def _opened(self, stimulus: Opened) -> None:
        again = self.opened > 0
        other_oracle = again and stimulus.settings.oracle != self.settings.oracle
        self.settings = stimulus.settings
        self.opened += 1
        self._happened.append(SearchOpened(times=self.opened))
        self.ending, self.over, self.user_paused, self._woken = None, False, False, math.inf
        self._failures = retry.FailureRun()
        self.slots = Slots(stimulus.settings.slots)
        self.asks.reopened(other_oracle=other_oracle)
        if not again:
            self.space = Space(stimulus.settings.space)
            self.book.declared = frozenset(stimulus.settings.space)
            self.consult.set_search(stimulus.settings.objective)
        for trial in list(self.book.live.values()):
            self._lose(trial, "the search was interrupted")

    def _lose(self, trial: Trial, reason: str) -> None:
        """The trial's launch is gone through nobody's fault."""
        self.book.ended(trial)
        if trial.state is State.RUNNING:
            self._happen(trial, Paused(trial=trial.id, by="loss", reason=reason))
            self.waiting.interrupted(trial.id)
        elif trial.state is State.PENDING:
            self.waiting.paused(trial.id)

    def _pause_starts(self, paused: bool) -> None:
        self.user_paused = paused

    def _end_early(self, reason: str, *, error: str | None = None, stop: bool = False) -> None:
        """Nothing more is started. What runs is ended with its score (`stop`), or set aside to be resumed."""
        if self.ending is None:
            self.ending = SearchEnded(reason=reason, error=error)
        for trial in list(self.book.live.values()):
            if stop and trial.state is State.RUNNING:
                self._stop(trial, reason)
            else:
                self._halt(trial, reason)

    # -------------------------------------------------------------------------------------------------- the oracle

    def _suggested(self, stimulus: Suggested) -> None:
        suggestion = stimulus.suggestion
        trial = self.asks.answered(stimulus.ask, suggestion.status)
        if suggestion.status is SuggestionStatus.RUNNING:
            try:
                self._check_values(suggestion.values)
            except SpaceError as error:
                raise PluginError(f"the oracle proposed values for trial {trial} that are not in the space: {error}") from error
            self._add(trial, suggestion.values, ask=stimulus.ask)

    def _enqueued(self, stimulus: Enqueued) -> None:
        self.enqueued += 1
        self._add(self.asks.new_id(), stimulus.values, ask=None)

    def _check_values(self, values: Values) -> None:
        for name in self.book.declared:
            if name not in values:
                raise SpaceError(f"there is no value for {name!r}, which the space declares")
        for name, value in values.items():
            if name not in self.space:
                raise SpaceError(f"there is no parameter {name!r}; known are {', '.join(map(repr, self.space)) or 'none'}")
            if not self.space[name].contains(value):
                raise SpaceError(f"{value!r} is not a value of {name!r}, {self.space[name].describe()}")

    def _add(self, number: TrialId, values: Values, *, ask: int | None) -> None:
        trial = Trial(number, derive(self.settings.seed, "trial", number), dict(values), self.at)
        self.book.add(trial)
        self._happened.append(TrialAdded(trial=number, values=dict(values), ask=ask))
        self.waiting.added(number, first=ask is None)
        self._obey(self.consult.added(self.book.view(trial)))

    # -------------------------------------------------------------------------------------------------- the runners

    def _heard(self, stimulus: Heard) -> None:
        trial = self.book.trials[stimulus.message.trial]
        if isinstance(stimulus.message, ParametersDeclared):
            self._parameters(trial, stimulus.message)
        else:
            self._metrics(trial, stimulus.message)

    def _parameters(self, trial: Trial, message: ParametersDeclared) -> None:
        new = {name: domain for name, domain in message.parameters.items() if name not in self.space}
        try:
            self.space = self.space.grow(message.parameters)
        except SpaceError as error:
            failure = Failure(kind=FailureKind.REFUSED, message=str(error), error_type="SpaceError", retry=False)
            self._halt(trial, str(error), failure)
            return
        if new:
            self._happened.append(SpaceGrew(trial=trial.id, parameters=new))
            self.asks.space_grew()
        trial.used.update(message.values)
        self._happened.append(ParametersUsed(trial=trial.id, values=message.values))

    def _metrics(self, trial: Trial, message: MetricsReported) -> None:
        launch = trial.launch
        assert launch is not None
        value = self.settings.objective.of(message.metrics)
        if message.step <= launch.step:
            text = f"reported step {message.step} after step {launch.step}; steps must increase"
            self._halt(trial, text, Failure(kind=FailureKind.REFUSED, message=text))
            self._answer(message, text)
            return
        is_new = message.step > trial.mark
        judged = is_new and value is not None
        self._happen(
            trial,
            Reported(
                trial=trial.id,
                launch=message.launch,
                step=message.step,
                metrics=message.metrics,
                checkpoint=message.checkpoint,
                judged=judged,
            ),
        )
        self._prune_checkpoints(trial)
        if value is not None:
            self._objective_seen = True
        elif not self._objective_seen:
            self._objective_missing(trial, message.metrics)
        if is_new:
            self._judge(trial, judged=judged)
        reason = trial.stop_reason or trial.hold or (launch.halted if launch.halted is not None else None)
        self._answer(message, reason)

    def _judge(self, trial: Trial, *, judged: bool) -> None:
        view, report = self.book.view(trial), trial.reports[-1]
        if self.settings.hears_reports:
            self._do.append(TellReport(view, report))
        reason = self.consult.stop_trial(view, report)
        if reason is not None:
            self._stop(trial, reason)
        elif judged:
            self._obey(self.consult.reported(view, report))

    def _answer(self, message: MetricsReported, stop: str | None) -> None:
        what = What.GO if stop is None else What.STOP
        self._do.append(
            AnswerReport(Answer(trial=message.trial, launch=message.launch, step=message.step, what=what, reason=stop))
        )

    def _prune_checkpoints(self, trial: Trial) -> None:
        keep = self.settings.checkpoints.keep
        while keep is not None and len(trial.checkpoints) > keep:
            self._do.append(DeleteCheckpoint(trial.checkpoints.pop(0)))

    def _objective_missing(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        wanted, there = self.settings.objective.name, ", ".join(map(repr, metrics or {})) or "no metrics at all"
        text = f"trial {trial.id} gave {there}, and not the objective {wanted!r}"
        self._end_early(f"{text}: name one of them in objective=, or report {wanted!r}", error="ObjectiveError")

    # ----------------------------------------------------------------------------------------- the end of a launch

    def _launch_ended(self, stimulus: LaunchEnded) -> None:
        ending, trial = stimulus.ending, self.book.trials[stimulus.ending.trial]
        launch = trial.launch
        assert launch is not None
        if trial.state is not State.RUNNING:
            self._lose(trial, "")
            return
        if isinstance(ending, TrialReturned) and (launch.failure is None or launch.failure.kind is FailureKind.TIMED_OUT):
            self._returned(trial, ending)
        elif launch.failure is not None:
            self._failed(trial, launch.failure)
        elif launch.halted is not None:
            self._lose(trial, launch.halted)
        elif isinstance(ending, TrialRaised):
            self._failed(trial, ending.failure)
        elif isinstance(ending, Died):
            self._failed(trial, _death(ending))
        else:
            self._lose(trial, ending.reason if isinstance(ending, Lost) else "it left by itself")

    def _returned(self, trial: Trial, ending: TrialReturned) -> None:
        objective = self.settings.objective
        score = trial.score_so_far(objective, ending.metrics)
        if score is None and not self._objective_seen:
            self._lose(trial, f"it gave no {objective.name!r}")
            self._objective_missing(trial, ending.metrics)
        elif score is None:
            there = ", ".join(map(repr, ending.metrics or {})) or "nothing"
            text = f"it ended without the objective {objective.name!r}: it returned {there}, and no report carried it"
            self._failed(trial, Failure(kind=FailureKind.INVALID_RESULT, message=text))
        elif not math.isfinite(score):
            text = f"its {objective.name!r} is {score}"
            self._failed(trial, Failure(kind=FailureKind.INVALID_RESULT, message=text))
        else:
            self._objective_seen = True
            self.book.ended(trial)
            self._happen(
                trial,
                Finished(
                    trial=trial.id,
                    launch=ending.launch,
                    score=score,
                    metrics=ending.metrics,
                    executions=ending.executions,
                    checkpoint=ending.checkpoint,
                ),
            )
            self._prune_checkpoints(trial)

    def _failed(self, trial: Trial, failure: Failure) -> None:
        assert trial.launch is not None
        event = retry.verdict(
            self.settings.failure, trial=trial.id, launch=trial.launch.number, attempt=trial.attempt, failure=failure
        )
        self.book.ended(trial)
        self._happen(trial, event)
        if isinstance(event, AttemptFailed):
            self.waiting.retrying(trial.id)
            return
        self._failures.failed(trial.id, failure)
        if failure.fatal:
            name = (failure.error_type or "").rpartition(".")[2]
            text = f"trial {trial.id} ended the search: {failure.message}"
            text += f"\n{failure.traceback}" if failure.traceback else ""
            self._end_early(text, error=name if name in _FATAL else "FatalError")
            return
        over = self._failures.over(self.settings.failure.max_consecutive_failed_trials)
        if over is not None:
            self._end_early(over, error="TooManyFailuresError")

    def _ticked(self, stimulus: Ticked) -> None:
        self._woken = math.inf
        limit = self.settings.limits.trial_time
        for trial in list(self.book.live.values()):
            if trial.launch is not None and trial.launch.deadline <= self.at and trial.state is State.RUNNING:
                text = f"it ran longer than {limit:g} s (Limits(trial_time=...))"
                self._halt(trial, text, Failure(kind=FailureKind.TIMED_OUT, message=text))

    # ------------------------------------------------------------------------------------------------------ settling

    def _settle(self) -> None:
        """What follows for the search."""
        if self.over:
            return
        if self.ending is None:
            reason = self.consult.stop_search(lambda: self.book.search_view(self.at, self.settings.objective))
            if reason is not None:
                self._end_early(reason, stop=True)
        if self.ending is None:
            self._fill_slots()
            self._end_if_done()
        if self.ending is not None:
            self._do.extend(self.slots.give_back())
            if not self.book.live:
                self._end(self.ending)
            return
        self._ask()
        keep = 0 if self.user_paused else len(self.asks.in_flight)
        self._do.extend(self.slots.balance(keep=keep, wanted=self._wanted()))
        self._wake()

    def _fill_slots(self) -> None:
        while self.slots.held and not self.user_paused:
            choice = self._next()
            if choice is None:
                return
            self.slots.used()
            self._start(self.book.trials[choice])

    def _next(self) -> TrialId | None:
        """The trial that gets the next free slot. Retries and interrupted trials go first, whatever the scheduler says."""
        if (owed := self.waiting.owed()) is not None:
            return owed
        if not self.consult.chooses:
            return self.waiting.oldest()
        if not self.waiting and not self._can_ask():
            return None
        choice = self.consult.choose(self.book.search_view(self.at, self.settings.objective))
        if choice == "NEW":
            new = self.waiting.new()
            self._declined = new is None and not self.asks.in_flight and not self._can_ask()
            return new
        if choice == "WAIT":
            self._declined = True
            return None
        trial = self.book.trials.get(choice)
        if trial is None or not self.waiting.take(choice):
            raise PluginError(f"the scheduler chose trial {choice}, which is not PENDING and free to run")
        return choice

    def _start(self, trial: Trial) -> None:
        if trial.held_by == "scheduler":
            self.consult.resumed(self.book.view(trial), "scheduler")
        restore = trial.checkpoint
        number, step = trial.launches + 1, restore.step if restore is not None else 0
        self._happen(trial, Started(trial=trial.id, launch=number, attempt=trial.attempt, step=step, restore=restore))
        assert trial.launch is not None
        if self.settings.limits.trial_time is not None:
            trial.launch.deadline = self.at + self.settings.limits.trial_time
        self._do.append(
            StartLaunch(
                RunTrial(
                    trial=trial.id,
                    launch=number,
                    attempt=trial.attempt,
                    values=trial.values(self.book.declared),
                    space=self.space.parameters,
                    fill=Fill(self.settings.fill, derive(trial.seed, "fill")),
                    seed=derive(trial.seed, trial.attempt),
                    resources=self.settings.resources,
                    restore=restore,
                    step=step,
                )
            )
        )

    def _can_ask(self) -> bool:
        most = self.settings.max_trials
        started = len(self.book.trials) + len(self.asks.in_flight)
        return not (self.asks.idle or self.asks.exhausted) and (most is None or started < most)

    def _wanted(self) -> float:
        """How many slots there is work for."""
        if self.user_paused:
            return 0
        if self._declined:
            return self.waiting.owed_count
        ready = len(self.waiting) + len(self.asks.in_flight)
        if not self._can_ask():
            return ready
        most = self.settings.max_trials
        return math.inf if most is None else ready + most - len(self.book.trials) - len(self.asks.in_flight)

    def _ask(self) -> None:
        """Ask for as many trials as there are free slots for, and as many ahead as the oracle allows."""
        if self.user_paused:
            return
        wanted = self.slots.held + min(self.settings.ahead, self.slots.size)
        if self._declined:
            # Something else runs, and may change the scheduler's mind. If nothing does, a new trial is all that could.
            wanted = 0 if self.book.live else self.waiting.fresh_count + 1
        while self.waiting.fresh_count + len(self.asks.in_flight) < wanted and self._can_ask():
            number, trial = self.asks.ask()
            self._do.append(Ask(number, trial, self.space))

    def _end_if_done(self) -> None:
        if self.book.live or self.asks.in_flight or self._can_ask():
            return
        if self.waiting and (self.user_paused or not self._declined):
            return
        for trial in self.waiting.everyone():
            self._stop(self.book.trials[trial], "not promoted")
        if self._can_ask():
            return  # the oracle was idle, and has heard of new ends
        if self.asks.idle:
            text = "the oracle is idle though nothing runs: it must propose something, or say that it is exhausted"
            self._end_early(text, error="PluginError")
        else:
            self._end_early("every trial has ended")

    def _end(self, ending: SearchEnded) -> None:
        self.over = True
        self._happened.append(ending)
        self._do.append(EndSearch(ending.reason, ending.error))

    def _wake(self) -> None:
        deadlines = self.consult.deadlines()
        if self.settings.limits.trial_time is not None:
            deadlines += [t.launch.deadline for t in self.book.live.values() if t.launch and t.launch.halted is None]
        soonest = min(filter(lambda deadline: deadline > self.at, deadlines), default=math.inf)
        if soonest < self._woken:
            self._woken = soonest
            self._do.append(WakeAt(soonest))


def _death(ending: Died) -> Failure:
    """A process that ended without a last word, as a failure."""
    tail = f" Its last output: {ending.tail}" if ending.tail else ""
    if ending.signal is not None:
        guess = ", probably for want of memory" if ending.signal == 9 else ""
        text, kind = f"its process was killed by signal {ending.signal}{guess}.{tail}", FailureKind.KILLED
    else:
        text, kind = f"its process exited with code {ending.exit_code} before it returned a result.{tail}", FailureKind.EXITED
    return Failure(kind=kind, message=text, exit_code=ending.exit_code, signal=ending.signal, log=ending.log)

