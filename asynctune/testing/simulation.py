"""Whole searches on a virtual clock: the real machine, the real oracle coroutine with its engine thread and its oracle actor,
the real pool, oracles and schedulers, a journal in memory; and trials that only pretend.

Nothing waits, so a search of hours takes milliseconds, and the same arguments give the same records to the last byte. A
simulated search can be cut off behind any record or at any time, and opened again, as a real one is after `kill -9`. What goes
wrong around it is drawn from a seed: see `Faults`.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from attrs import astuple, define, evolve, field

from asynctune._engine.actor import OracleActor
from asynctune._engine.caller import Answered
from asynctune._engine.clock import SearchClock
from asynctune._engine.decider import Committed, Decider
from asynctune._engine.decider import Opened as Opening
from asynctune._engine.journal import MemoryJournal
from asynctune._engine.loop import OracleCoroutine
from asynctune._engine.opening import check_settings, fold, history, missing, referenced
from asynctune._engine.pool import Pool
from asynctune._engine.record import Record, pack, unpack
from asynctune._machine.consult import Divergence, PluginAnswer
from asynctune._machine.instructions import EndSearch
from asynctune._machine.machine import Decision, Machine
from asynctune._machine.stimuli import Opened, Settings, Stimulus, WorkersSet
from asynctune.checkpoints import DirectoryStore
from asynctune.errors import JournalError, PluginError
from asynctune.events import SearchEnded
from asynctune.executors.base import Attachment
from asynctune.objective import Goal, Objective, as_objective
from asynctune.oracles.base import Oracle
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limits, Parking, Resources
from asynctune.records import CheckpointKey, TrialId, TrialView
from asynctune.request import fingerprint
from asynctune.schedulers.base import Scheduler
from asynctune.space import Space
from asynctune.stoppers import Stopper
from asynctune.testing.faults import Faults
from asynctune.testing.runners import Script, SimulatedRunners
from asynctune.testing.virtual import Line, VirtualLoop, VirtualThreads
from asynctune.warm_start import WarmStart, completed_points, points

__all__ = ["SimulatedSearch"]

_PATIENCE = 1.0  # virtual seconds that a thread has to end, before it is left to its fate
Command: TypeAlias = tuple[float, Callable[[float], Stimulus]]


class _CutOff(BaseException):
    """The search is dropped where it stands."""


class _Checked(Machine):
    """A machine that asserts its invariants whenever it was told something."""

    def handle(self, stimulus: Stimulus, recorded: Sequence[PluginAnswer] | None = None) -> Decision:
        decision = super().handle(stimulus, recorded)
        self.check()
        return decision


@define(kw_only=True)
class SimulatedSearch:
    """A search whose trials behave as `script` says.

    Args:
        script: what a launch does, from its order and its hyperparameters, which it may ask for values as a trial does. It may
            raise `FailedTrialError` and `FatalError` as a trial does, too.
        oracle, scheduler, stoppers: used as they are, not copied.
        space: declared, or None.
        workers: how many trials run at once.
        warm_start, try_first, new_entries: as `search()` takes them.
        commands: what the user says and when: (search time, what makes the stimulus from that time).
        ask_takes, start_takes, leave_takes: virtual seconds that an answer of the oracle, a start, and an end on request take.
        faults: what goes wrong, and how often; nothing by default.
        check: assert the machine's invariants after every stimulus.
        records: those of an earlier run, to be opened again.

    Attributes:
        end: how it ended; None while it has not.
        divergences: where a plugin, told the records again, answered otherwise.
        dropped: how many messages of launches that were over, or that had been heard already, were passed over.
    """

    script: Script
    oracle: Oracle
    scheduler: Scheduler
    stoppers: Sequence[Stopper] = ()
    space: Mapping[str, Any] | Space | None = None
    objective: Goal = field(default=Objective("loss", "min"), converter=as_objective)
    seed: int = 0
    workers: int = 1
    max_trials: int | None = None
    failure: FailurePolicy = field(factory=FailurePolicy)
    limits: Limits = field(factory=Limits)
    checkpoints: CheckpointPolicy = field(factory=CheckpointPolicy)
    parking: Parking = field(factory=Parking)
    warm_start: Any = None
    try_first: Sequence[Mapping[str, Any]] = ()
    new_entries: Literal["tune", "default", "refuse"] = "tune"
    commands: Sequence[Command] = ()
    ask_takes: float = 0.0
    start_takes: float = 0.0
    leave_takes: float = 0.0
    faults: Faults = field(factory=Faults)
    check: bool = True
    records: list[Record] = field(factory=list)

    machine: Machine = field(init=False)
    dropped: int = field(init=False, default=0)
    end: EndSearch | None = field(init=False, default=None)
    divergences: list[Divergence] = field(init=False, factory=list)
    _loop: VirtualLoop = field(init=False)
    _threads: VirtualThreads = field(init=False)
    _pool: Pool = field(init=False)
    _coroutine: OracleCoroutine | None = field(init=False, default=None)
    _most: int = field(init=False)
    _attached: SimulatedRunners | None = field(init=False, default=None)
    _answers: Line = field(init=False)
    _stored: set[CheckpointKey] = field(init=False, factory=set)
    _until: float = field(init=False, default=math.inf)
    _dropped: bool = field(init=False, default=False)
    _errors: list[BaseException] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.machine = (_Checked if self.check else Machine)(self.scheduler, self.stoppers)
        self.machine.consult.space = Space.of(self.space)
        self._pool = Pool(self.workers)
        self._most = self.workers

    # -------------------------------------------------------------------------------------------------------- running

    def run(self, until: int | None = None, *, killed_at: float | None = None) -> SimulatedSearch:
        """Open the search and run it to its end; or drop everything, as a crash does, when it has `until` records, or at search
        time `killed_at`. Once, and not in a coroutine: there, it is `await asyncio.to_thread(search.run)`.

        Raises:
            PluginError: the oracle, the scheduler or a stopper failed.
            RuntimeError: nothing can happen any more, and it is not over: a trial that hangs has no `Limits(trial_time=...)`.
            AssertionError: an invariant does not hold.
        """
        self._until = math.inf if until is None else until
        self._loop = VirtualLoop(self._idle)
        self._loop.set_exception_handler(lambda _, context: self._failed(context.get("exception", RuntimeError(str(context)))))
        self._threads = VirtualThreads(self._loop)
        self._answers = Line(self._loop)
        try:
            self._loop.run_until_complete(self._live(killed_at))
        finally:
            self._threads.close()
            self._loop.close()
        for error in [*self._errors, *self._threads.errors]:
            raise error
        return self

    def block(self, seconds: float) -> None:
        """Take so many virtual seconds; to be called by a plugin, in one of its hooks. For ever, if they are infinite."""
        self._threads.sleep(seconds)

    @property
    def trials(self) -> dict[TrialId, TrialView]:
        """Every trial as it stands."""
        book = self.machine.book
        return {number: book.view(trial) for number, trial in book.trials.items()}

    def settings(self) -> Settings:
        """What the search is opened with."""
        space = Space.of(self.space)
        return Settings(
            objective=self.objective,
            seed=self.seed,
            space=dict(space),
            max_trials=self.max_trials,
            failure=self.failure,
            limits=self.limits,
            checkpoints=self.checkpoints,
            resources=Resources(),
            slots=self.workers,
            ahead=self.oracle.ahead,
            fill=self.oracle.fill,
            learns=self.oracle.learns,
            hears_reports=self.oracle.hears_reports,
            oracle=fingerprint(self.oracle),
            scheduler=fingerprint(self.scheduler),
            new_entries=self.new_entries,
            parks=True,
            parking=self.parking,
            **space.terms,
        )

    async def _live(self, killed_at: float | None) -> None:
        threads, settings = self._threads, self.settings()
        decider = Decider(self._opening, threads)
        opened = await decider.opened
        folded = opened.folded
        clock = SearchClock(folded.at, threads.now)
        self._coroutine = coroutine = OracleCoroutine(clock, decider, self._pool, self._publish, self.limits.grace)
        for at, make in self.commands:
            if at >= folded.at:
                self._loop.call_later(at - folded.at, partial(self._command, make))
        if killed_at is not None:
            self._loop.call_later(max(0.0, killed_at - folded.at), self._drop)
        await coroutine.open(self._opened(opened, clock.now()))
        stopped = list[asyncio.Future[None]]()
        if coroutine.is_wanted:
            actor = OracleActor(
                self.oracle,
                history(folded, settings, Space.of(self.space), opened.machine.space),
                answered=self._answered,
                failed=self._oracle_failed,
                diverged=self.divergences.extend,
                threads=threads,
            )
            runners = await self._runners(coroutine)
            coroutine.go(runners, actor, learns=self.oracle.learns)
            await coroutine.run()
            runners.close()
            stopped.append(actor.stop())
        self.end, self.dropped = coroutine.end, coroutine.dropped
        if coroutine.error is not None and not self._dropped:
            self._errors.append(coroutine.error)
        coroutine.release_all()  # one that was granted while the end was decided
        for ended in [*stopped, decider.stop()]:
            await asyncio.wait([ended], timeout=_PATIENCE)
        if self.end is not None and self.check:
            assert self._pool.busy == 0, f"the search is over and {self._pool.busy} slots are taken"

    def _opened(self, opening: Opening, at: float) -> Opened:
        opened = Opened(at=at, wall=0.0, version="simulated", settings=self.settings(), gone=opening.gone)
        if opening.folded.seq:
            return opened
        space = Space.of(self.space)
        first = completed_points(points(self.try_first, space, self.max_trials), space, self.seed)
        observed = WarmStart.of(self.warm_start, space, self.objective).read(space, self.objective)
        return evolve(opened, observed=observed, first=first)

    def _publish(self, committed: Committed) -> None:
        """Nobody reads the records before the end."""

    async def _runners(self, coroutine: OracleCoroutine) -> Attachment:
        self._attached = SimulatedRunners(
            script=self.script,
            listener=coroutine,
            pool=self._pool,
            loop=self._loop,
            faults=self.faults,
            resized=lambda size: coroutine.hear(WorkersSet(at=coroutine.now(), slots=size)),
            stored=self._stored,
            start_takes=self.start_takes,
            leave_takes=self.leave_takes,
            limits=self.limits,
            most=self._most,
        )
        return self._attached

    def _opening(self, decider: Decider) -> Opening:
        decider.takes(self.machine)
        # Through bytes and back, as a journal on a disk would have it.
        self.records = [unpack(pack(record)) for record in self.records]
        folded = fold(self.machine, self.records)
        if folded.seq:
            check_settings(self.machine.settings, self.settings(), adopt=False)
        self.divergences += self.machine.consult.divergences
        self._stored |= {key for key in referenced(self.machine) if not self._is_gone(key, folded.seq)}
        store = _Store(self._stored)
        return Opening(self.machine, _Disk(self), store, folded, missing(self.machine, store))

    def _is_gone(self, key: CheckpointKey, seq: int) -> bool:
        return self.faults.luck("gone", seq, *astuple(key)).random() < self.faults.gone

    # ------------------------------------------------------------------------------------------------ what comes of it

    def _command(self, make: Callable[[float], Stimulus]) -> None:
        assert self._coroutine is not None
        stimulus = make(self._coroutine.now())
        self._coroutine.hear(stimulus)
        if isinstance(stimulus, WorkersSet):
            self._most = max(self._most, stimulus.slots)
            if self._attached is not None:
                self._attached.most = self._most
            self._pool.resize(stimulus.slots)

    def _answered(self, answers: Sequence[Answered]) -> None:
        assert self._coroutine is not None
        luck = self.faults.luck("oracle", answers[0].ask)
        takes = self.ask_takes + luck.uniform(0, self.faults.slow_oracle)
        self._answers.after(takes, partial(self._coroutine.answered, answers))

    def _oracle_failed(self, error: PluginError) -> None:
        assert self._coroutine is not None
        self._errors.append(error)
        self._answers.after(0.0, partial(self._coroutine.oracle_failed, error))

    def commit(self, records: Sequence[Record]) -> None:
        """What the journal does, in the engine thread."""
        for record in records:
            if self._dropped or len(self.records) >= self._until:
                break
            self.records.append(record)
        ended = any(isinstance(happening, SearchEnded) for happening in self.records[-1].happened) if self.records else False
        if self._dropped or (len(self.records) >= self._until and not ended):
            self._dropped = True
            raise _CutOff

    def _drop(self) -> None:
        """Nothing more is committed, and so nothing more happens."""
        self._dropped = True
        if self._coroutine is not None:
            self._coroutine.close("the simulation was cut off")

    def _failed(self, error: BaseException) -> None:
        """Something raised in the loop, where nobody waits for it."""
        self._errors.append(error)
        self._drop()

    def _idle(self) -> None:
        error = RuntimeError(f"nothing can happen any more, and the search is not over: {self.machine!r}")
        if self._dropped or self._coroutine is None:
            raise error
        self._failed(error)


class _Store(DirectoryStore):
    """Checkpoints that take no room; one can be deleted only if it is there."""

    def __init__(self, stored: set[CheckpointKey]) -> None:
        super().__init__(Path(os.devnull))
        self._stored = stored

    def exists(self, key: CheckpointKey) -> bool:
        return key in self._stored

    def delete(self, key: CheckpointKey) -> None:
        self._stored.remove(key)


class _Disk(MemoryJournal):
    """A journal in memory, as slow and as full as the faults have it."""

    def __init__(self, search: SimulatedSearch) -> None:
        super().__init__()
        self._search = search
        self._failures = 0

    def records(self) -> Generator[Record, None, None]:
        yield from list(self._search.records)

    def append(self, records: Sequence[Record], trials: Iterable[TrialView]) -> None:
        faults = self._search.faults
        luck = faults.luck("disk", records[0].seq)
        self._search.block(luck.uniform(0, faults.slow_disk))
        if luck.random() < faults.full_disk and self._failures < luck.randint(1, 4):
            self._failures += 1
            raise JournalError("the simulated disk is full")
        self._failures = 0
        self._search.commit(records)
