"""What a `Simulator` runs: virtual workers, launches that follow curves, and the heap of what happens next."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, Final

from attrs import define, field

from asynctune._engine.caller import Caller
from asynctune._engine.journal import Journal
from asynctune._engine.record import Record
from asynctune._machine.instructions import (
    AnswerReport,
    Ask,
    DeleteCheckpoint,
    EndSearch,
    GoOn,
    ParkLaunch,
    ReleaseSlot,
    RequestSlots,
    StartLaunch,
    StopLaunch,
    TellAdded,
    TellEnd,
    TellObserved,
    TellReport,
    WakeAt,
)
from asynctune._machine.machine import Decision, Machine
from asynctune._machine.stimuli import Heard, LaunchEnded, LimitBroken, SlotGranted, Stimulus, Suggested, Ticked
from asynctune.messages import Breach, Died, Ending, Lost, MetricsReported, TrialLeft, TrialReturned, What
from asynctune.policies import Limit
from asynctune.records import CheckpointKey, Suggestion, SuggestionStatus, TrialId
from asynctune.seeds import generator
from asynctune.testing.conditions import Conditions, Launch
from asynctune.testing.faults import Fate, Faults, Stroke
from asynctune.testing.workloads import Workload

__all__ = ["Run"]

_BATCH: Final = 1000  # records in a commit


@define(eq=False)
class Run:
    """One run, to be driven once.

    Args:
        workers: how many there are.
        journal: where records go; None for nowhere.
        check: assert the machine's invariants after every stimulus.
        until: virtual seconds after which the search is left where it stands.
        target: the value of a report with which it is left, too, if it is as good.

    Attributes:
        now: of the virtual clock.
        events: how many stimuli the machine was told. steps: how many steps were reported, repetitions too.
        free: how many workers have no launch.
        occupied: seconds that workers had a launch, all together.
        path: whenever a report was better than all before it: when that was, and the value.
        end: how the search ended; None while it has not.
    """

    machine: Machine
    workload: Workload
    caller: Caller | None
    conditions: Conditions
    faults: Faults | None
    journal: Journal | None
    seed: int
    workers: int
    check: bool = False
    until: float = math.inf
    target: float | None = None
    now: float = 0.0
    events: int = 0
    steps: int = 0
    occupied: float = 0.0
    path: list[tuple[float, float]] = field(factory=list)
    end: EndSearch | None = None
    free: int = field(init=False)
    _best: float = math.inf
    _wanted: deque[int] = field(factory=deque)  # the widths of the slots that are to be granted
    _declined: bool = False
    _serial: int = 0
    _heap: list[tuple[float, int, Callable[[Any], None], Any]] = field(factory=list)
    _pending: deque[Stimulus] = field(factory=deque)
    _live: dict[TrialId, Launch] = field(factory=dict)
    _records: list[Record] = field(factory=list)
    _touched: dict[TrialId, None] = field(factory=dict)
    _seq: int = 0
    _carry_out: Mapping[type, Callable[[Any], None]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.free = self.workers
        self._carry_out = {
            AnswerReport: self._answer,
            Ask: self._ask,
            DeleteCheckpoint: lambda _: None,
            EndSearch: self._ended,
            GoOn: self._resume,
            ParkLaunch: self._park,
            ReleaseSlot: self._released,
            RequestSlots: self._requested,
            StartLaunch: self._start,
            StopLaunch: self._stop,
            TellAdded: self._tell_oracle,
            TellEnd: self._tell_end,
            TellObserved: self._tell_oracle,
            TellReport: self._tell_oracle,
            WakeAt: lambda each: self._at(each.at, self._wake, None),
        }

    def drive(self, opened: Stimulus) -> None:
        """From the opening to the end.

        Raises:
            PluginError: the oracle, the scheduler or a stopper failed.
            RuntimeError: nothing can happen any more, and it is not over: a trial that hangs has no `Limits(trial_time=...)`.
        """
        self._hear(opened)
        heap = self._heap
        wanted = -math.inf if self.target is None else self.workload.objective.loss(self.target)
        while self.end is None and self._best > wanted:
            if not heap and self._declined:
                self._declined = False
                self._drain()
                continue
            if not heap:
                raise RuntimeError(f"nothing can happen any more, and the search is not over: {self.machine!r}")
            at, _, act, what = heappop(heap)
            if at > self.until:
                self.now = self.until
                break
            self.now = at
            act(what)
        self._commit()

    # --------------------------------------------------------------------------------------------- the machine is told

    def _at(self, at: float, act: Callable[[Any], None], what: Any) -> None:
        self._serial += 1
        heappush(self._heap, (at, self._serial, act, what))

    def _hear(self, stimulus: Stimulus) -> None:
        """Tell it this, and whatever follows at once."""
        self._pending.append(stimulus)
        self._drain()

    def _drain(self) -> None:
        while self.end is None:
            if not self._pending and not self._granted():
                return
            stimulus = self._pending.popleft()
            self._declined = False  # if it is, that is told next
            self._tell(stimulus)
            if type(stimulus) is LaunchEnded:
                self._free(stimulus.ending.trial)

    def _granted(self) -> bool:
        """Grant the slot that was requested first, if it is not too wide. Once one has come back unused, the others wait until
        something else has happened: nothing less could change the scheduler's mind."""
        if not self._wanted or self._declined or (self.free < self._wanted[0] and self.free < self.workers):
            return False
        width = self._wanted.popleft()
        self.free -= width
        self._pending.append(SlotGranted(at=self.now, width=width))
        return True

    def _tell(self, stimulus: Stimulus) -> None:
        decision = self.machine.handle(stimulus)
        self.events += 1
        if self.check:
            self.machine.check()
        if self.journal is not None and not decision.void:
            self._record(stimulus, decision)
        carry_out = self._carry_out
        for each in decision.instructions:
            carry_out[type(each)](each)

    def _record(self, stimulus: Stimulus, decision: Decision) -> None:
        self._seq += 1
        self._records.append(
            Record(seq=self._seq, stimulus=stimulus, happened=decision.happened, answers=tuple(decision.answers))
        )
        self._touched.update((event.trial, None) for event in decision.happened if hasattr(event, "trial"))
        if len(self._records) >= _BATCH:
            self._commit()

    def _commit(self) -> None:
        if self.journal is not None and self._records:
            book = self.machine.book
            self.journal.append(self._records, [book.view(book.trials[trial]) for trial in self._touched])
            self._records, self._touched = [], {}

    def _free(self, trial: TrialId) -> None:
        launch = self._live.pop(trial)
        self.machine.book.let_go(trial)
        self.free += 0 if launch.parked else launch.width

    # -------------------------------------------------------------------------------------------------------- its orders

    def _requested(self, order: RequestSlots) -> None:
        self._wanted.extend([order.width] * order.count)

    def _released(self, order: ReleaseSlot) -> None:
        self.free += order.width
        self._declined = True

    def _ask(self, order: Ask) -> None:
        state = None
        if self.caller is not None:
            answered = self.caller.ask(order)
            suggestion, state = answered.suggestion, answered.state
        elif (values := self.workload.proposal(order.trial, self.seed)) is None:
            suggestion = Suggestion.exhausted()
        else:
            suggestion = Suggestion(SuggestionStatus.RUNNING, values)
        self._pending.append(Suggested(at=self.now, ask=order.number, suggestion=suggestion, state=state))

    def _tell_oracle(self, call: TellAdded | TellObserved | TellReport | TellEnd) -> None:
        if self.caller is not None:
            self.caller.tell(call)

    def _tell_end(self, call: TellEnd) -> None:
        self._tell_oracle(call)
        if call.trial.id not in self._live:
            self.machine.book.let_go(call.trial.id)

    def _wake(self, _: None) -> None:
        self._hear(Ticked(at=self.now))

    def _ended(self, order: EndSearch) -> None:
        self.end = order

    def _start(self, order: StartLaunch) -> None:
        run, conditions = order.order, self.conditions
        curve = self.workload.curve(run.values)
        steps = curve.steps or range(1, len(curve) + 1)
        takes = curve.takes if isinstance(curve.takes, Sequence) else [curve.takes] * len(curve)
        slower = 1.0
        if conditions.straggle:
            slower += abs(generator(self.seed, "straggle", run.trial, run.launch).gauss(0, conditions.straggle))
        columns, place = tuple(curve.metrics.items()), bisect_right(steps, run.step)
        launch = Launch(run, order.width, self.now, columns, steps, takes, place, slower)
        self._live[run.trial] = launch
        waits = conditions.start_takes + (conditions.load_takes if run.restore is not None else 0.0)
        self._go_on(launch, waits)
        if self.faults is not None:
            self._befall(launch, self.faults.fate(run.trial, run.launch))
        limit = self.machine.settings.limits.trial_time
        if limit is not None:
            self._limit(launch, limit)

    def _limit(self, launch: Launch, seconds: float) -> None:
        launch.deadline = self.now + seconds
        self._at(launch.deadline, self._time_is_up, launch)

    def _park(self, order: ParkLaunch) -> None:
        launch = self._live[order.trial]
        launch.parked, launch.deadline = True, launch.deadline - self.now
        self.occupied += (self.now - launch.began) * launch.width
        self.free += launch.width

    def _resume(self, order: GoOn) -> None:
        launch = self._live[order.trial]
        launch.parked, launch.width, launch.began = False, order.width, self.now
        if launch.deadline < math.inf:
            self._limit(launch, launch.deadline)

    # ------------------------------------------------------------------------------------------------ what a launch does

    def _go_on(self, launch: Launch, waits: float = 0.0) -> None:
        if launch.place == len(launch.steps):
            self._at(self.now + waits, self._return, launch)
            return
        takes = launch.takes[launch.place] * launch.slower + waits
        if self._saves(launch.steps[launch.place]):
            takes += self.conditions.save_takes
        self._at(self.now + takes, self._report, launch)

    def _saves(self, step: int) -> bool:
        every = self.conditions.save_every
        return every is not None and step % every == 0

    def _report(self, launch: Launch) -> None:
        if launch.over or launch.silent:
            return
        place, order = launch.place, launch.order
        step = launch.steps[place]
        self.steps += step - (launch.steps[place - 1] if place else 0)
        launch.place = place + 1
        metrics = {name: values[place] for name, values in launch.columns}
        self._look(metrics)
        key = CheckpointKey(order.trial, step, order.launch) if self._saves(step) else None
        trial, number, now = order.trial, order.launch, self.now
        said = MetricsReported(trial=trial, launch=number, step=step, metrics=metrics, clock=now, checkpoint=key)
        self._hear(Heard(at=now, message=said))

    def _look(self, metrics: Mapping[str, float]) -> None:
        value = self.workload.objective.of(metrics)
        if value is not None and (loss := self.workload.objective.loss(value)) < self._best:
            self._best = loss
            self.path.append((self.now, value))

    def _answer(self, order: AnswerReport) -> None:
        answer = order.answer
        launch = self._live.get(answer.trial)
        if launch is None or launch.over or launch.order.launch != answer.launch:
            return
        if answer.what is What.GO:
            self._go_on(launch)
        elif answer.what is What.STOP:
            self._leave(launch)

    def _stop(self, order: StopLaunch) -> None:
        launch = self._live.get(order.trial)
        if launch is not None and not launch.over:
            self._leave(launch)

    def _leave(self, launch: Launch) -> None:
        if launch.silent or launch.deaf:
            self._at(self.now + self.machine.settings.limits.grace, self._kill, launch)
        else:
            self._over(launch, TrialLeft(trial=launch.order.trial, launch=launch.order.launch))

    def _return(self, launch: Launch) -> None:
        if not launch.over and not launch.silent:
            self._over(launch, TrialReturned(trial=launch.order.trial, launch=launch.order.launch))
            self._drain()

    def _over(self, launch: Launch, ending: Ending) -> None:
        """The launch has ended; the machine hears of it behind what it is being told."""
        if launch.over:
            return
        launch.over = True
        if not launch.parked:
            self.occupied += (self.now - launch.began) * launch.width
        self._pending.append(LaunchEnded(at=self.now, ending=ending))

    # ------------------------------------------------------------------------------------------- what befalls a launch

    def _befall(self, launch: Launch, fate: Fate) -> None:
        launch.deaf = not fate.hears
        acts: Mapping[Stroke, Callable[[Launch], None]] = {
            "dies": self._kill,
            "hangs": self._hang,
            "lost": self._lose,
            "zygote": self._lose_all,
        }
        if fate.stroke is not None:
            self._at(self.now + fate.after, acts[fate.stroke], launch)

    def _kill(self, launch: Launch) -> None:
        self._over(launch, Died(trial=launch.order.trial, launch=launch.order.launch, signal=9))
        self._drain()

    def _hang(self, launch: Launch) -> None:
        launch.silent = True

    def _lose(self, launch: Launch) -> None:
        self._over(launch, Lost(trial=launch.order.trial, launch=launch.order.launch, reason="it was lost"))
        self._drain()

    def _lose_all(self, launch: Launch) -> None:
        if launch.over:
            return
        for each in list(self._live.values()):
            self._over(each, Lost(trial=each.order.trial, launch=each.order.launch, reason="the zygote died"))
        self._drain()

    def _time_is_up(self, launch: Launch) -> None:
        limit = self.machine.settings.limits.trial_time
        if not (launch.over or launch.parked) and self.now >= launch.deadline and limit is not None:
            breach = Breach(trial=launch.order.trial, launch=launch.order.launch, limit=Limit.TRIAL_TIME, amount=limit)
            self._hear(LimitBroken(at=self.now, breach=breach))
