"""Trials that only pretend: the runners of a simulated search, on its virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from attrs import define, evolve, field, frozen

from asynctune._engine.pool import Pool
from asynctune._runner.failures import failure_of
from asynctune.errors import FailedTrialError, FatalError, SpaceError
from asynctune.executors.base import Attachment, Listener
from asynctune.failure import Failure
from asynctune.messages import (
    Answer,
    Breach,
    Died,
    Ending,
    FromRunner,
    Lost,
    MetricsReported,
    ParametersDeclared,
    RunTrial,
    ToRunner,
    TrialLeft,
    TrialRaised,
    TrialReturned,
    Weight,
    What,
)
from asynctune.policies import Limit, Limits
from asynctune.records import CheckpointKey, LaunchNumber, Metrics, TrialId
from asynctune.space import HyperParameters
from asynctune.testing.faults import Fate, Faults
from asynctune.testing.virtual import Line, VirtualLoop
from asynctune.wire import decode, encode

__all__ = ["Behaviour", "Script", "SimulatedRunners"]

_Key: TypeAlias = tuple[TrialId, LaunchNumber]
_Message: TypeAlias = ParametersDeclared | MetricsReported
_LEAST_GRACE = 0.25  # seconds from SIGTERM to SIGKILL, as the real executors have it
_GONE = 60.0  # seconds that a lost node stays away


@frozen(kw_only=True)
class Behaviour:
    """What a simulated launch does once it runs.

    Args:
        reports: (seconds until it, metrics) for each; the first is of the step after the one it goes on from.
        stride: how many steps are taken from each report to the next, and to the first; by default 1.
        ending: metrics to return, None to return nothing, a `Failure` to raise, a `Died` to die of, a `TrialLeft` to leave.
        lasts: seconds from the last report to the end.
        checkpoints: whether every report carries a checkpoint.
        memory: bytes that it holds when it is parked.
    """

    reports: Sequence[tuple[float, Metrics]] = ()
    stride: int = 1
    ending: Metrics | Failure | Died | TrialLeft | None = None
    lasts: float = 0.0
    checkpoints: bool = False
    memory: int = 0


Script: TypeAlias = Callable[[RunTrial, HyperParameters], Behaviour]


@define(eq=False)
class _Launch:
    order: RunTrial
    behaviour: Behaviour
    hp: HyperParameters
    fate: Fate
    step: int
    line: Line
    said: int = 0
    answered: int = 0
    silent: bool = False
    over: bool = False
    #: Since when it is parked, if it is; and when its time is up, or will be when it goes on.
    parked: float | None = None
    due: float = math.inf

    @property
    def key(self) -> _Key:
        return self.order.trial, self.order.launch


@define(kw_only=True, eq=False)
class SimulatedRunners(Attachment):
    """Starts launches that behave as `script` says, and has happen to them what `faults` draws.

    Args:
        listener: who hears them. pool: whose slots they run on; a lost node takes some of it away.
        resized: called with the size of the pool when that has changed.
        stored: the checkpoints there are; those that are written are added.
        start_takes, leave_takes: virtual seconds that a start takes, and an end on request.
        limits: of them, `trial_time` is kept.
        most: the largest size that the pool has had: what was granted then may be used later.
    """

    script: Script
    listener: Listener
    pool: Pool
    loop: VirtualLoop
    faults: Faults
    resized: Callable[[int], object]
    stored: set[CheckpointKey]
    start_takes: float = 0.0
    leave_takes: float = 0.0
    limits: Limits = field(factory=Limits)
    most: int
    _started: set[_Key] = field(init=False, factory=set)
    _live: dict[_Key, _Launch] = field(init=False, factory=dict)
    _closed: bool = field(init=False, default=False)

    # -------------------------------------------------------------------------------------------- what the engine says

    def start(self, order: RunTrial) -> None:
        """See `Attachment.start`. Also sees to it that there is a slot for every launch, and that none is started twice."""
        key = order.trial, order.launch
        taken = sum(launch.parked is None for launch in self._live.values())
        assert taken < self.most, f"{key} is started, and {taken} of {self.most} slots are taken"
        assert key not in self._started, f"{key} is started twice"
        assert order.restore is None or order.restore in self.stored, f"{order.restore} was deleted, and is needed"
        self._started.add(key)
        hp = HyperParameters(order.space, order.values, order.fill)
        try:
            behaviour = self.script(order, hp)
        except (FailedTrialError, FatalError, SpaceError) as error:
            behaviour = Behaviour(ending=failure_of(error, None))
        fate = self.faults.fate(*key)
        launch = self._live[key] = _Launch(order, behaviour, hp, fate, order.step, Line(self.loop))
        if fate.stroke is not None:
            self._later(fate.after, lambda: self._strike(launch))
        self._later(self.start_takes, lambda: self._begin(launch))
        if self.limits.trial_time is not None:
            launch.due = self.loop.time() + self.limits.trial_time
            self._later(self.limits.trial_time, lambda: self._time_is_up(launch))

    def send(self, message: ToRunner) -> None:
        """See `Attachment.send`."""
        if isinstance(message, Answer):
            self._pass_on(message)

    def answer(self, answer: Answer) -> bool:
        """See `Attachment.answer`. Some answers are left to the loop, as by executors that cannot do this."""
        if self.faults.luck("answer", answer.trial, answer.launch, answer.step).random() < 0.5:
            return False
        self.loop.call_soon_threadsafe(self._pass_on, answer)
        return True

    def park(self, trial: TrialId, launch: LaunchNumber) -> None:
        """See `Attachment.park`."""
        parked = self._live.get((trial, launch))
        if parked is None or parked.over or parked.answered == parked.step:  # it has ended, or was told to go on by now
            return
        parked.parked = self.loop.time()
        weight = Weight(trial=trial, launch=launch, memory=parked.behaviour.memory)
        self._arrive(parked, lambda: self.listener.weighed(weight))

    def halt(self, trial: TrialId, launch: LaunchNumber, *, reason: str, grace: float) -> None:
        """See `Attachment.halt`."""
        if (halted := self._live.get((trial, launch))) is None:
            return
        if halted.fate.hears and not halted.silent and self.leave_takes <= grace:
            self._later(self.leave_takes, lambda: self._over(halted, TrialLeft(trial=trial, launch=launch)))
        else:
            self._later(max(grace, _LEAST_GRACE), lambda: self._over(halted, Died(trial=trial, launch=launch, signal=9)))

    def close(self) -> None:
        """See `Attachment.close`."""
        self._closed = True
        self._live.clear()

    async def wait_closed(self) -> None:
        """See `Attachment.wait_closed`."""

    # ------------------------------------------------------------------------------------------------ what a launch does

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self.loop.call_later(seconds, self._unless_closed(act))

    def _unless_closed(self, act: Callable[[], None]) -> Callable[[], None]:
        def unless_closed() -> None:
            if not self._closed:
                act()

        return unless_closed

    def _begin(self, launch: _Launch) -> None:
        parameters, values = launch.hp.drain()
        if values and not launch.over:
            trial, number = launch.key
            self._say(launch, ParametersDeclared(trial=trial, launch=number, parameters=parameters, values=values))
        self._go_on(launch)

    def _go_on(self, launch: _Launch) -> None:
        reports, done = launch.behaviour.reports, (launch.step - launch.order.step) // launch.behaviour.stride
        if done == len(reports):
            self._later(launch.behaviour.lasts, lambda: self._finish(launch))
        else:
            self._later(reports[done][0], lambda: self._report(launch, reports[done][1]))

    def _report(self, launch: _Launch, metrics: Metrics) -> None:
        if launch.over or launch.silent:
            return
        launch.step += launch.behaviour.stride
        (trial, number), step, key = launch.key, launch.step, None
        if launch.behaviour.checkpoints:
            key = CheckpointKey(trial, step, number)
            self.stored.add(key)
        clock = self.loop.time()
        self._say(launch, MetricsReported(trial=trial, launch=number, step=step, metrics=metrics, clock=clock, checkpoint=key))

    def _pass_on(self, answer: Answer) -> None:
        launch = self._live.get((answer.trial, answer.launch))
        if answer.what is What.PARK or launch is None:
            return
        if answer.step == launch.step and answer.step > launch.answered:
            launch.answered = answer.step  # an echo is answered too, and nobody waits for that
            if launch.parked is not None:
                self._unpark(launch, launch.parked)
            self._later(self._late("to", launch), lambda: self._hear(launch, answer))

    def _unpark(self, launch: _Launch, since: float) -> None:
        late = self.loop.time() - since
        launch.parked, launch.due = None, launch.due + late
        if launch.due - late <= self.loop.time():  # nobody looks at its time any more
            self._later(launch.due - self.loop.time(), lambda: self._time_is_up(launch))

    def _hear(self, launch: _Launch, answer: Answer) -> None:
        if launch.silent:
            return
        if answer.what is What.GO:
            self._go_on(launch)
        else:
            left = TrialLeft(trial=answer.trial, launch=answer.launch)
            self._later(self.leave_takes, lambda: self._over(launch, left))

    def _finish(self, launch: _Launch) -> None:
        if launch.over or launch.silent:
            return
        (trial, number), ending = launch.key, launch.behaviour.ending
        if isinstance(ending, Died | TrialLeft):
            self._over(launch, evolve(ending, trial=trial, launch=number))
        elif isinstance(ending, Failure):
            self._over(launch, TrialRaised(trial=trial, launch=number, failure=ending))
        else:
            self._over(launch, TrialReturned(trial=trial, launch=number, metrics=ending))

    # --------------------------------------------------------------------------------------------- what befalls a launch

    def _time_is_up(self, launch: _Launch) -> None:
        trial, number = launch.key
        if launch.parked is None and launch.due > self.loop.time():  # it was parked meanwhile
            self._later(launch.due - self.loop.time(), lambda: self._time_is_up(launch))
        elif launch.parked is None and not launch.over and self.limits.trial_time is not None:
            breach = Breach(trial=trial, launch=number, limit=Limit.TRIAL_TIME, amount=self.limits.trial_time)
            self._arrive(launch, lambda: self.listener.broke(breach))
            self.halt(trial, number, reason="", grace=self.limits.grace)

    def _strike(self, launch: _Launch) -> None:
        trial, number = launch.key
        stroke = launch.fate.stroke
        if launch.over:
            return
        if stroke == "dies":
            self._over(launch, Died(trial=trial, launch=number, signal=9))
        elif stroke == "hangs":
            launch.silent = True
        elif stroke == "lost":
            self._lose([launch], "it was lost")
        elif stroke == "zygote":
            self._lose(list(self._live.values()), "the zygote died")
        elif stroke == "node":
            self._lose_node(launch)

    def _lose(self, launches: Sequence[_Launch], reason: str) -> None:
        for launch in launches:
            self._over(launch, Lost(trial=launch.order.trial, launch=launch.order.launch, reason=reason))

    def _lose_node(self, launch: _Launch) -> None:
        kept = max(1, self.pool.size // 2)
        gone = self.pool.size - kept
        others = [other for other in self._live.values() if other is not launch]
        if gone:
            self._resize(kept)
            self._later(_GONE, lambda: self._resize(self.pool.size + gone))
        self._lose([launch, *others[: max(0, gone - 1)]], "the node died")

    def _resize(self, size: int) -> None:
        self.most = max(self.most, size)
        self.pool.resize(size)
        self.resized(size)

    # ------------------------------------------------------------------------------------------------- what is heard of it

    def _late(self, way: str, launch: _Launch) -> float:
        if not self.faults.late:
            return 0.0
        return self.faults.luck("late", way, *launch.key, launch.said, launch.answered).uniform(0, self.faults.late)

    def _arrive(self, launch: _Launch, hear: Callable[[], None]) -> None:
        """Have it heard: late, but in the order in which it was said; and, of one that echoes, once more, in any order."""
        launch.said += 1
        at = launch.line.after(self._late("from", launch), self._unless_closed(hear))
        if launch.fate.echoes is not None:
            self.loop.call_at(at + launch.fate.echoes, self._unless_closed(hear))

    def _say(self, launch: _Launch, message: _Message) -> None:
        said = decode(encode(message, FromRunner), FromRunner)
        self._arrive(launch, lambda: self.listener.heard(said))

    def _over(self, launch: _Launch, ending: Ending) -> None:
        if launch.over:
            return
        launch.over = True
        said: Ending = decode(encode(ending, Ending), Ending)

        def hear() -> None:
            self._live.pop(launch.key, None)
            self.listener.ended(said)

        self._arrive(launch, hear)
