"""Whole searches on a virtual clock: the real machine, the real pool, the real oracles and schedulers, and trials that only
pretend.

Nothing waits, so a search of hours takes milliseconds, and the same arguments give the same records to the last byte. A
simulated search can be cut off behind any record and opened again, as a real one is after `kill -9`.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from attrs import define, evolve, field, frozen

from asynctune._engine.actor import Answered, Caller, History, replay
from asynctune._engine.opening import check_settings, fold, referenced
from asynctune._engine.pool import Pool
from asynctune._engine.record import Record, pack, unpack
from asynctune._machine.consult import Divergence
from asynctune._machine.instructions import (
    AnswerReport,
    Ask,
    DeleteCheckpoint,
    EndSearch,
    Instruction,
    ReleaseSlot,
    RequestSlots,
    StartLaunch,
    StopLaunch,
    TellEnd,
    TellReport,
    WakeAt,
)
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import (
    Heard,
    LaunchEnded,
    LimitBroken,
    Opened,
    Settings,
    SlotGranted,
    Stimulus,
    Suggested,
    Ticked,
    WorkersSet,
)
from asynctune._runner.failures import failure_of
from asynctune.errors import FailedTrialError, FatalError, SpaceError
from asynctune.messages import (
    Answer,
    Breach,
    Died,
    Ending,
    FromRunner,
    MetricsReported,
    ParametersDeclared,
    RunTrial,
    TrialLeft,
    TrialRaised,
    TrialReturned,
    What,
)
from asynctune.objective import Objective, as_objective
from asynctune.oracles.base import Oracle
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limit, Limits, Resources
from asynctune.records import CheckpointKey, Failure, LaunchNumber, Metrics, TrialId, TrialView
from asynctune.request import fingerprint
from asynctune.schedulers.base import Scheduler
from asynctune.space import HyperParameters, Space
from asynctune.stoppers import Stopper
from asynctune.wire import decode, encode

__all__ = ["Behaviour", "SimulatedSearch"]

_Key: TypeAlias = tuple[TrialId, LaunchNumber]


@frozen(kw_only=True)
class Behaviour:
    """What a simulated launch does once it runs.

    Args:
        reports: (seconds until it, metrics) for each step; the first is the step after the one it goes on from.
        ending: metrics to return, None to return nothing, a `Failure` to raise, a `Died` to die of, a `TrialLeft` to leave.
        lasts: seconds from the last report to the end.
        checkpoints: whether every report carries a checkpoint.
    """

    reports: Sequence[tuple[float, Metrics]] = ()
    ending: Metrics | Failure | Died | TrialLeft | None = None
    lasts: float = 0.0
    checkpoints: bool = False


Script: TypeAlias = Callable[[RunTrial, HyperParameters], Behaviour]
Command: TypeAlias = tuple[float, Callable[[float], Stimulus]]


@define
class _Launch:
    order: RunTrial
    behaviour: Behaviour
    hp: HyperParameters
    step: int
    over: bool = False

    @property
    def key(self) -> _Key:
        return self.order.trial, self.order.launch


@define(kw_only=True)
class SimulatedSearch:
    """A search whose trials behave as `script` says.

    Args:
        script: what a launch does, from its order and its hyperparameters, which it may ask for values as a trial does. It may
            raise `FailedTrialError` and `FatalError` as a trial does, too.
        oracle, scheduler, stoppers: used as they are, not copied.
        space: declared, or None.
        workers: how many trials run at once.
        commands: what the user says and when: (search time, what makes the stimulus from that time).
        ask_takes, start_takes, leave_takes: virtual seconds that an answer of the oracle, a start, and an end on request take.
        check: assert the machine's invariants after every stimulus.
        records: those of an earlier run, to be opened again.
    """

    script: Script
    oracle: Oracle
    scheduler: Scheduler
    stoppers: Sequence[Stopper] = ()
    space: Mapping[str, Any] | Space | None = None
    objective: Objective = field(default=Objective("loss", "min"), converter=as_objective)
    seed: int = 0
    workers: int = 1
    max_trials: int | None = None
    failure: FailurePolicy = field(factory=FailurePolicy)
    limits: Limits = field(factory=Limits)
    checkpoints: CheckpointPolicy = field(factory=CheckpointPolicy)
    commands: Sequence[Command] = ()
    ask_takes: float = 0.0
    start_takes: float = 0.0
    leave_takes: float = 0.0
    check: bool = True
    records: list[Record] = field(factory=list)

    machine: Machine = field(init=False)
    end: EndSearch | None = field(init=False, default=None)
    divergences: list[Divergence] = field(init=False, factory=list)
    _pool: Pool = field(init=False)
    _caller: Caller = field(init=False)
    _now: float = field(init=False, default=0.0)
    _due: list[tuple[float, int, Callable[[], None]]] = field(init=False, factory=list)
    _order: itertools.count[int] = field(init=False, factory=itertools.count)
    _timer: object = field(init=False, default=None)
    _held: list[int] = field(init=False, factory=list)
    _slots: dict[_Key, int] = field(init=False, factory=dict)
    _launches: dict[_Key, _Launch] = field(init=False, factory=dict)
    _stored: set[CheckpointKey] = field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self.machine = Machine(self.scheduler, self.stoppers)
        self._pool = Pool(self.workers)
        self._caller = Caller(self.oracle)

    # -------------------------------------------------------------------------------------------------------- running

    def run(self, until: int | None = None) -> SimulatedSearch:
        """Open the search and run it to its end; or until it has `until` records, and then drop everything, as a crash does."""
        self._open()
        while self._due and self.end is None and (until is None or len(self.records) < until):
            self._now, _, act = heapq.heappop(self._due)
            act()
        self._caller.close()
        return self

    @property
    def trials(self) -> dict[TrialId, TrialView]:
        """Every trial as it stands."""
        book = self.machine.book
        return {number: book.view(trial) for number, trial in book.trials.items()}

    def settings(self) -> Settings:
        """What the search is opened with."""
        return Settings(
            objective=self.objective,
            seed=self.seed,
            space=dict(Space.of(self.space)),
            max_trials=self.max_trials,
            failure=self.failure,
            limits=self.limits,
            checkpoints=self.checkpoints,
            resources=Resources(),
            slots=self.workers,
            ahead=self.oracle.ahead,
            fill=self.oracle.fill,
            hears_reports=type(self.oracle).on_trial_result is not Oracle.on_trial_result,
            oracle=fingerprint(self.oracle),
            scheduler=fingerprint(self.scheduler),
        )

    def _open(self) -> None:
        # Through bytes and back, as a journal on a disk would have it.
        self.records = [unpack(pack(record)) for record in self.records]
        folded = fold(self.machine, self.records)
        if folded.seq:
            check_settings(self.machine.settings, self.settings(), adopt=False)
        self._now, self._stored = folded.at, referenced(self.machine)
        history = History(folded.calls, folded.answers, objective=self.objective, seed=self.seed)
        self._caller.begin(history)
        fresh, diverged = replay(self._caller, history)
        self.divergences += [*self.machine.consult.divergences, *diverged]
        for at, make in self.commands:
            if at >= self._now:
                self._later(at - self._now, partial(self._command, make))
        self._hear(Opened(at=self._now, wall=0.0, version="simulated", settings=self.settings()))
        for answer in fresh:
            self._suggest(answer)

    def _hear(self, stimulus: Stimulus) -> None:
        decision = self.machine.handle(stimulus)
        if self.check:
            self.machine.check()
        if not decision.void:
            record = Record(seq=len(self.records) + 1, stimulus=stimulus, happened=decision.happened, answers=decision.answers)
            self.records.append(record)
        for instruction in decision.instructions:
            self._act(instruction)

    def _command(self, make: Callable[[float], Stimulus]) -> None:
        stimulus = make(self._now)
        if isinstance(stimulus, WorkersSet):
            self._pool.resize(stimulus.slots)
        self._hear(stimulus)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self._now + seconds, next(self._order), act))

    # --------------------------------------------------------------------------------------------------------- acting

    def _act(self, instruction: Instruction) -> None:
        match instruction:
            case Ask():
                self._suggest(self._caller.ask(instruction))
            case TellEnd() | TellReport():
                self._caller.tell(instruction)
            case RequestSlots(count):
                self._pool.request(self, count)
            case ReleaseSlot():
                self._pool.release(self._held.pop())
            case StartLaunch(order):
                self._start(order)
            case AnswerReport(answer):
                self._answer(answer)
            case StopLaunch():
                self._stop(instruction)
            case WakeAt(at):
                self._wake_at(at)
            case DeleteCheckpoint(key):
                self._stored.remove(key)
            case EndSearch():
                self.end = instruction
                self._pool.withdraw(self)

    def _suggest(self, answer: Answered) -> None:
        def hear() -> None:
            self._hear(Suggested(at=self._now, ask=answer.ask, suggestion=answer.suggestion, state=answer.state))

        self._later(self.ask_takes, hear)

    def granted(self, slot: int) -> None:
        """The pool granted a slot."""
        self._held.append(slot)
        self._later(0.0, lambda: self._hear(SlotGranted(at=self._now)))

    def _wake_at(self, at: float) -> None:
        timer = self._timer = object()

        def ring() -> None:
            if self._timer is timer:  # there is one timer; a later order sets it anew
                self._hear(Ticked(at=self._now))

        self._later(max(0.0, at - self._now), ring)

    def _start(self, order: RunTrial) -> None:
        assert order.restore is None or order.restore in self._stored, f"{order.restore} was deleted, and is needed"
        hp = HyperParameters(order.space, order.values, order.fill)
        try:
            behaviour = self.script(order, hp)
        except (FailedTrialError, FatalError, SpaceError) as error:
            behaviour = Behaviour(ending=failure_of(error, None))
        launch = _Launch(order, behaviour, hp, order.step)
        self._slots[launch.key], self._launches[launch.key] = self._held.pop(), launch
        self._later(self.start_takes, lambda: self._begin(launch))
        if self.limits.trial_time is not None:
            self._later(self.limits.trial_time, lambda: self._time_is_up(launch))

    def _time_is_up(self, launch: _Launch) -> None:
        if not launch.over and self.limits.trial_time is not None:
            trial, number = launch.key
            breach = Breach(trial=trial, launch=number, limit=Limit.TRIAL_TIME, amount=self.limits.trial_time)
            self._hear(LimitBroken(at=self._now, breach=breach))

    def _begin(self, launch: _Launch) -> None:
        parameters, values = launch.hp.drain()
        if values and not launch.over:
            trial, number = launch.key
            message = ParametersDeclared(trial=trial, launch=number, parameters=parameters, values=values)
            self._say(message)
        self._go_on(launch)

    def _go_on(self, launch: _Launch) -> None:
        reports, done = launch.behaviour.reports, launch.step - launch.order.step
        if done == len(reports):
            self._later(launch.behaviour.lasts, lambda: self._finish(launch))
        else:
            self._later(reports[done][0], lambda: self._report(launch, reports[done][1]))

    def _report(self, launch: _Launch, metrics: Metrics) -> None:
        if launch.over:
            return
        launch.step += 1
        (trial, number), step, key = launch.key, launch.step, None
        if launch.behaviour.checkpoints:
            key = CheckpointKey(trial, step, number)
            self._stored.add(key)
        self._say(MetricsReported(trial=trial, launch=number, step=step, metrics=metrics, clock=self._now, checkpoint=key))

    def _say(self, message: ParametersDeclared | MetricsReported) -> None:
        self._hear(Heard(at=self._now, message=decode(encode(message, FromRunner), FromRunner)))

    def _answer(self, answer: Answer) -> None:
        launch = self._launches[answer.trial, answer.launch]
        if answer.what is What.GO:
            self._go_on(launch)
        else:
            self._later(self.leave_takes, lambda: self._leave(launch, TrialLeft(trial=answer.trial, launch=answer.launch)))

    def _stop(self, instruction: StopLaunch) -> None:
        trial, number = key = instruction.trial, instruction.launch
        left: Ending = TrialLeft(trial=trial, launch=number)
        ending = left if self.leave_takes <= instruction.grace else Died(trial=trial, launch=number, signal=9)
        launch = self._launches[key]
        self._later(min(instruction.grace, self.leave_takes), lambda: self._leave(launch, ending))

    def _leave(self, launch: _Launch, ending: Ending) -> None:
        if not launch.over:
            self._over(launch, ending)

    def _finish(self, launch: _Launch) -> None:
        if launch.over:
            return
        (trial, number), ending = launch.key, launch.behaviour.ending
        if isinstance(ending, Died | TrialLeft):
            self._over(launch, evolve(ending, trial=trial, launch=number))
        elif isinstance(ending, Failure):
            self._over(launch, TrialRaised(trial=trial, launch=number, failure=ending))
        else:
            self._over(launch, TrialReturned(trial=trial, launch=number, metrics=ending))

    def _over(self, launch: _Launch, ending: Ending) -> None:
        launch.over = True
        del self._launches[launch.key]
        # As the loop does it: the end is heard, and in the same breath what the freed slot is granted to.
        self._hear(LaunchEnded(at=self._now, ending=decode(encode(ending, Ending), Ending)))
        self._pool.release(self._slots.pop(launch.key))
