"""Whole searches on a virtual clock: the real machine, the real pool, the real oracles and schedulers, and trials that only
pretend.

Nothing waits, so a search of hours takes milliseconds, and the same arguments give the same records to the last byte. A
simulated search can be cut off behind any record and opened again, as a real one is after `kill -9`.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import define, field, frozen

from asynctune._engine.actor import Answered, Caller, History, replay
from asynctune._engine.opening import check_settings, fold
from asynctune._engine.pool import Pool
from asynctune._engine.record import Record, pack, unpack
from asynctune._machine.consult import Divergence
from asynctune._machine.instructions import (
    AnswerReport,
    Ask,
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
from asynctune._machine.stimuli import Heard, LaunchEnded, Opened, Settings, SlotGranted, Stimulus, Suggested, Ticked
from asynctune.messages import (
    Answer,
    Died,
    Ending,
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
from asynctune.records import (
    CheckpointKey,
    CheckpointPolicy,
    Failure,
    FailurePolicy,
    Limits,
    Metrics,
    Resources,
    TrialId,
    TrialView,
)
from asynctune.request import fingerprint
from asynctune.schedulers.base import Scheduler
from asynctune.space import HyperParameters, Space
from asynctune.stoppers import Stopper

__all__ = ["Behaviour", "SimulatedSearch"]


@frozen(kw_only=True)
class Behaviour:
    """What a simulated launch does.

    Args:
        reports: (seconds until it, metrics) for each step; the first is the step after the one it goes on from.
        ending: metrics to return, None to return nothing, a `Failure` to raise, or a `Died` to die of.
        lasts: seconds from the last report to the end.
        checkpoints: whether every report carries a checkpoint.
        asks: the parameters that it names before its first report, as `trial.hp` would.
    """

    reports: Sequence[tuple[float, Metrics]] = ()
    ending: Metrics | Failure | Died | None = None
    lasts: float = 0.0
    checkpoints: bool = False
    asks: Callable[[HyperParameters], object] | None = None


Script: TypeAlias = Callable[[RunTrial], Behaviour]


@define
class _Launch:
    order: RunTrial
    behaviour: Behaviour
    step: int
    told_to_stop: bool = False
    over: bool = False


@define(kw_only=True)
class SimulatedSearch:
    """A search whose trials behave as `script` says.

    Args:
        script: what a launch does, from its order.
        oracle, scheduler, stoppers: used as they are, not copied.
        space: declared, or None.
        workers: how many trials run at once.
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
    _held: list[int] = field(init=False, factory=list)
    _slots: dict[tuple[int, int], int] = field(init=False, factory=dict)
    _launches: dict[tuple[int, int], _Launch] = field(init=False, factory=dict)

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
        self._now = folded.at
        self.oracle.set_search(objective=self.objective, seed=self.seed)
        fresh, diverged = replay(self._caller, History(folded.calls, folded.answers))
        self.divergences += [*self.machine.consult.divergences, *diverged]
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
            case StopLaunch(trial, launch, _, grace):
                self._later(min(grace, self.leave_takes), lambda: self._leave((trial, launch)))
            case WakeAt(at):
                self._later(max(0.0, at - self._now), lambda: self._hear(Ticked(at=self._now)))
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

    def _start(self, order: RunTrial) -> None:
        key = (order.trial, order.launch)
        self._slots[key] = self._held.pop()
        launch = _Launch(order, self.script(order), order.step)
        self._launches[key] = launch
        if launch.behaviour.asks is not None:
            self._later(self.start_takes, lambda: self._declare(launch))
        self._later(self.start_takes, lambda: self._go_on(launch, 0))

    def _declare(self, launch: _Launch) -> None:
        order = launch.order
        hp = HyperParameters(order.space, order.values, order.fill)
        assert launch.behaviour.asks is not None
        launch.behaviour.asks(hp)
        parameters, values = hp.drain()
        message = ParametersDeclared(trial=order.trial, launch=order.launch, parameters=parameters, values=values)
        self._hear(Heard(at=self._now, message=message))

    def _go_on(self, launch: _Launch, done: int) -> None:
        if launch.over:
            return
        reports = launch.behaviour.reports
        if done == len(reports):
            self._later(launch.behaviour.lasts, lambda: self._finish(launch))
        else:
            self._later(reports[done][0], lambda: self._report(launch, reports[done][1]))

    def _report(self, launch: _Launch, metrics: Metrics) -> None:
        if launch.over:
            return
        launch.step += 1
        order, step = launch.order, launch.step
        key = CheckpointKey(order.trial, step, order.launch) if launch.behaviour.checkpoints else None
        message = MetricsReported(
            trial=order.trial, launch=order.launch, step=step, metrics=metrics, clock=self._now, checkpoint=key
        )
        self._hear(Heard(at=self._now, message=message))

    def _answer(self, answer: Answer) -> None:
        launch = self._launches.get((answer.trial, answer.launch))
        if launch is None:
            return
        if answer.what is What.GO:
            self._go_on(launch, launch.step - launch.order.step)
        else:
            self._later(self.leave_takes, lambda: self._leave((answer.trial, answer.launch)))

    def _leave(self, key: tuple[int, int]) -> None:
        if key in self._launches:
            self._over(TrialLeft(trial=key[0], launch=key[1]))

    def _finish(self, launch: _Launch) -> None:
        if launch.over:
            return
        order, ending = launch.order, launch.behaviour.ending
        if isinstance(ending, Died):
            self._over(Died(trial=order.trial, launch=order.launch, exit_code=ending.exit_code, signal=ending.signal))
        elif isinstance(ending, Failure):
            self._over(TrialRaised(trial=order.trial, launch=order.launch, failure=ending))
        else:
            self._over(TrialReturned(trial=order.trial, launch=order.launch, metrics=ending))

    def _over(self, ending: Ending) -> None:
        key = (ending.trial, ending.launch)
        self._launches.pop(key).over = True
        # As the loop does it: the end is heard, and in the same breath what the freed slot is granted to.
        self._hear(LaunchEnded(at=self._now, ending=ending))
        self._pool.release(self._slots.pop(key))
