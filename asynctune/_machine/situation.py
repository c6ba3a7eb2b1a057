"""Where a search stands, and the few moves that every part of the machine makes.

What a stimulus means is decided in `hearing` (what runners say) and `asking` (what the oracle says), what follows from it for
the search in `settling`. All three work on this.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from attrs import evolve

from asynctune._machine.asks import Asks
from asynctune._machine.book import Book
from asynctune._machine.consult import Consult
from asynctune._machine.death import gone, with_end
from asynctune._machine.instructions import DeleteCheckpoint, Instruction, ParkLaunch, StopLaunch, TellEnd
from asynctune._machine.keeping import Shelf
from asynctune._machine.parking import can_park, who_leaves
from asynctune._machine.pins import Pins
from asynctune._machine.retry import FailureRun
from asynctune._machine.slots import Slots, slots_for
from asynctune._machine.stimuli import Settings
from asynctune._machine.trial import Trial
from asynctune._machine.waiting import Waiting
from asynctune.errors import PluginError
from asynctune.events import (
    CheckpointDropped,
    CheckpointGone,
    Finished,
    Happening,
    LawEvent,
    ParkedGone,
    Paused,
    Reported,
    SearchEnded,
    Started,
    Stopped,
)
from asynctune.failure import Failure, FailureKind
from asynctune.messages import Ending
from asynctune.records import CheckpointKey, Exploit, Reallocate, State, TrialId, Verdict, log_name
from asynctune.schedulers.base import Scheduler
from asynctune.space import Space
from asynctune.stoppers import Stopper
from asynctune.views import SearchView

__all__ = ["Situation"]


class Situation:
    """The state of a search.

    Attributes:
        at: search time of the last stimulus.
        opened: how often the search was opened; `dropped`: how many messages of dead launches were; `enqueued`: how many trials
            the user added.
        user_paused: the user wants nothing new to start.
        declined: what the scheduler chose when it left a free slot unused ("NEW" where there was no new trial, or "WAIT"), as
            long as nothing has happened that could change its mind.
        objective_seen: some report or result carried the objective.
        ending: why the search is ending, once it is; `over`: it has ended.
        draining: it is ending, and what runs was not told to stop.
        reporting: the trial whose report is being handled; it waits for the answer.
        woken: the search time for which a tick was ordered.
        unheeded: what the scheduler has answered and was not obeyed yet.
        heirs: the trials that descend from a trial.
        happened, do: what followed from the stimulus that is being handled.
    """

    settings: Settings

    def __init__(self, scheduler: Scheduler, stoppers: Sequence[Stopper] = ()) -> None:
        self.consult = Consult(scheduler, stoppers)
        self.book = Book()
        self.asks = Asks()
        self.slots = Slots()
        self.waiting = Waiting()
        self.pins = Pins()
        self.heirs: dict[TrialId, list[TrialId]] = {}
        self.shelf = Shelf()
        self.failures = FailureRun()
        #: What was declared, and what is known by now.
        self.declared = self.space = Space()
        self.at = 0.0
        self.opened = 0
        self.dropped = 0
        self.enqueued = 0
        self.user_paused = False
        self.declined: Literal["NEW", "WAIT"] | None = None
        self.objective_seen = False
        self.ending: SearchEnded | None = None
        self.draining = False
        self.over = False
        self.reporting: TrialId | None = None
        self.woken = math.inf
        self.happened: list[Happening] = []
        self.do: list[Instruction] = []
        self.unheeded: deque[tuple[TrialId, Verdict]] = deque()

    @property
    def oracle_name(self) -> str:
        """The oracle's class, for errors; its fingerprint begins with it."""
        return self.settings.oracle.partition("(")[0]

    def happen(self, trial: Trial, event: LawEvent) -> None:
        """Let an event happen to a trial, and tell those who must know."""
        ran = trial.state is State.RUNNING
        left = trial.checkpoints if trial.exploit is not None and isinstance(event, Started) else []
        self.book.apply(trial, event, self.at, self.settings.objective)
        self.happened.append(event)
        if isinstance(event, Reported | Finished) and event.checkpoint is not None:
            self.shelf.put(event.checkpoint, event.size)
        self.pin(trial)
        if left:
            self.discard(left)
        self.tidy(trial)
        if not trial.state.ended:
            return
        self.waiting.drop(trial.id)
        self.asks.trial_ended()
        view = self.book.view(trial)
        self.consult.ended(view)
        if trial.state is State.COMPLETED:
            # One that could not be tried, or was ended while it waited, says nothing of whether the trainable works.
            if ran and not (isinstance(event, Stopped) and event.infeasible):
                self.failures.succeeded()
            verdicts = self.consult.completed(view)
        else:
            verdicts = self.consult.gave_up(view)
        self.take(verdicts)
        self.do.append(TellEnd(view))

    @property
    def can_ask(self) -> bool:
        """Whether the oracle may have another trial."""
        return not (self.asks.idle or self._has_all)

    @property
    def _has_all(self) -> bool:
        """Whether the oracle has been asked for every trial that there will be."""
        most = self.settings.max_trials
        started = len(self.book.trials) + len(self.asks.in_flight)
        return self.asks.exhausted or (most is not None and started >= most)

    def look(self) -> SearchView:
        """The search as plugins see it."""
        book, counts = self.book, self.book.counts
        return SearchView(
            at=self.at,
            objective=self.settings.objective,
            trials=book.views,
            counts=dict(counts),
            best=None if book.best is None else book.view(book.best),
            running=counts[State.RUNNING] + counts[State.RETRYING] + self.waiting.under_way_count,
            growing=bool(self.waiting.fresh_count or self.asks.in_flight) or self.can_ask,
            exhausted=self._has_all and not self.asks.in_flight,
            claimed=frozenset(self.waiting.claims),
        )

    def stop(self, trial: Trial, reason: str) -> None:
        standing = trial.standing(self.settings.objective)
        score = standing.score if standing.is_finite else None
        violates = standing.violates if standing.is_finite else ()
        self.happen(trial, Stopped(trial=trial.id, reason=reason, score=score, scores=standing.scores, violates=violates))
        self.halt(trial, reason)

    def halt(self, trial: Trial, reason: str, failure: Failure | None = None, *, save: bool = True) -> None:
        """Tell the trial's launch to stop, if it has one that was not told before; without `save`, to leave nothing."""
        if trial.launch is None or trial.launch.halted is not None:
            return
        if trial.launch.parked:
            self._unpark(trial, reason)
            self.waiting.drop(trial.id)  # until its process is gone
        trial.launch.halted, trial.launch.failure = reason, failure
        grace, save = self.settings.limits.grace, save and self.wants_saved(trial)
        self.do.append(StopLaunch(trial.id, trial.launch.number, reason, grace, save))

    def wants_saved(self, trial: Trial) -> bool:
        """Whether the trial's launch, which is told to stop, may leave a checkpoint of the last step that it has reported."""
        launch, newest = trial.launch, trial.checkpoint
        if launch is None or launch.failure is not None or trial.exploit is not None or launch.step <= launch.start:
            return False
        if newest is not None and (newest.step, newest.launch) == (launch.step, launch.number):
            return False
        return self.settings.checkpoints.at_end if trial.state is State.COMPLETED else not trial.state.ended

    def lose(self, trial: Trial, reason: str, ending: Ending | None = None) -> None:
        """The trial's launch is gone through nobody's fault; `ending` is how, if that is known."""
        launch = trial.launch
        assert launch is not None
        if trial.state is State.RUNNING:
            failure = self.with_log(trial, with_end(Failure(kind=FailureKind.LOST, message=reason), ending))
            self.book.ended(trial)
            self.happen(trial, Paused(trial=trial.id, by="loss", reason=reason, launch=launch.number, failure=failure))
            self.waiting.interrupted(trial.id)
            return
        if launch.parked:
            self._unpark(trial, reason or gone(ending))
        self.book.ended(trial)
        if trial.state is State.PENDING and trial.id not in self.waiting:
            (self.waiting.ready if trial.ready else self.waiting.paused)(trial.id)

    def pause(self, trial: Trial, reason: str, *, may_park: bool = False, save: bool = True) -> None:
        """The scheduler sets a running trial aside. If it is in `report()` now, it may wait there."""
        waits = may_park and self.ending is None and self.reporting == trial.id
        parks = waits and can_park(self.settings, trial) and self._has_room(trial)
        self.happen(trial, Paused(trial=trial.id, by="scheduler", reason=reason, parked=parks))
        self.consult.paused(self.book.view(trial), "scheduler")
        if parks and trial.launch is not None:
            self.waiting.paused(trial.id)
            self.do.append(ParkLaunch(trial.id, trial.launch.number))
        else:
            self.halt(trial, reason, save=save)

    def make_room(self) -> None:
        """Have those leave who must, as too many are parked, or hold too much."""
        while (leaving := who_leaves(self.settings.parking, self.book.parked.values())) is not None:
            self.halt(*leaving)

    def _has_room(self, newcomer: Trial) -> bool:
        """Whether a trial can be parked, once those have left who lose less than it does."""
        while (leaving := who_leaves(self.settings.parking, [*self.book.parked.values(), newcomer])) is not None:
            if leaving[0] is newcomer:
                return False
            self.halt(*leaving)
        return True

    def _unpark(self, trial: Trial, reason: str) -> None:
        assert trial.launch is not None
        self.book.unpark(trial)
        if trial.state is State.PENDING:
            self.happened.append(ParkedGone(trial=trial.id, launch=trial.launch.number, reason=reason))

    def with_log(self, trial: Trial, failure: Failure) -> Failure:
        """`failure` of the trial's launch, with where its log is and how that ends; but what its executor has said of it goes
        first."""
        assert trial.launch is not None
        log = log_name(trial.id, trial.launch.number)
        if failure.log is None and self.settings.logs:
            failure = evolve(failure, log=log)
        if failure.log == log and not failure.tail:
            failure = evolve(failure, tail=self.consult.log_end(trial.id, trial.launch.number))
        return failure

    def take(self, verdicts: Mapping[TrialId, Verdict]) -> None:
        """Take in what the scheduler has answered, to be obeyed when its turn comes.

        Raises:
            PluginError: a verdict that cannot be, as things stood when it was given.
        """
        for key, verdict in verdicts.items():
            if (why := self._objection(key, verdict)) is not None:
                raise PluginError(f"{self.consult.scheduler_name} answered {verdict} for trial {key}, {why}")
        self.unheeded.extend(verdicts.items())

    def _objection(self, key: TrialId, verdict: Verdict) -> str | None:
        """Why this verdict on this trial cannot be."""
        trial = self.book.trials.get(key)
        if trial is None or trial.state.ended:
            return "which has ended or never was"
        match verdict:
            case Exploit(source=source) if source not in self.book.trials:
                return f"and there is no trial {source}"
            case Reallocate(resources=resources):
                unit, most = self.settings.resources, self.slots.largest
                if (width := slots_for(resources, unit)) is None:
                    return f"and each slot was given {unit}, without any GPU"
                if width > most:
                    return f"which needs {width} slots of {unit}, and there are {most}"
        return None

    def needed(self, trial: Trial) -> frozenset[CheckpointKey]:
        """The checkpoints of other trials that this one goes on from, or may have to; with its parent's as long as it has not
        ended, for another attempt may have to begin there again."""
        if trial.parent is None or trial.state.ended:
            return trial.needed
        inherited = self.book.trials[trial.parent].checkpoint
        return trial.needed if inherited is None else trial.needed | {inherited}

    def pin(self, trial: Trial) -> None:
        """See to it that what the trial needs of others stays there, and nothing else does for it."""
        if trial.exploit is not None or trial.origin is not None or trial.parent is not None or self.pins.held:
            self._delete(self.pins.hold(trial.id, self.needed(trial)))

    def discard(self, checkpoints: Iterable[CheckpointKey]) -> None:
        """These are needed no more by the trial whose they are: delete them, or when nobody else needs them."""
        self._delete(self.pins.discard(checkpoints))

    def tidy(self, trial: Trial) -> None:
        """Keep no more checkpoints of this trial than are to be kept, nor of all of them."""
        policy = self.settings.checkpoints
        if trial.checkpoints:
            self.discard(trial.prune(policy))
            if trial.state.ended and policy.max_size is not None:
                loss = None if trial.score is None else self.settings.objective.loss(trial.score)
                self.shelf.end(trial.id, loss, trial.by_worth(policy))
        if policy.max_size is None or self.shelf.total <= policy.max_size:
            return
        for key in self.shelf.dispensable(self._is_needed, policy.max_size):
            owner = self.book.trials[key.trial]
            owner.drop(key)
            self.book.keep(owner)
            self.happened.append(CheckpointDropped(trial=owner.id, checkpoint=key))
            self.discard([key])

    def _is_needed(self, key: CheckpointKey) -> bool:
        owner = self.book.trials[key.trial]
        return key in self.pins.held or (not owner.state.ended and owner.checkpoint == key)

    def _delete(self, freed: Sequence[DeleteCheckpoint]) -> None:
        for order in freed:
            self.shelf.remove(order.key)
        self.do += freed

    def forget(self, checkpoint: CheckpointKey) -> None:
        """This checkpoint is gone, and was not deleted by us."""
        concerned = dict.fromkeys([checkpoint.trial, *self.pins.held.get(checkpoint, ())])
        self.pins.gone(checkpoint)
        self.shelf.remove(checkpoint)
        for number in concerned:
            trial = self.book.trials[number]
            if trial.forget(checkpoint):
                self.happened.append(CheckpointGone(trial=number, checkpoint=checkpoint))
                self.book.keep(trial)
            self.pin(trial)

    def end_early(
        self, reason: str, *, error: str | None = None, stop: bool = False, failures: Mapping[str, int] | None = None
    ) -> None:
        """Nothing more is started. What runs is ended with its score (`stop`), or set aside to be resumed."""
        if self.ending is None:
            self.ending = SearchEnded(reason=reason, error=error, failures=failures or {})
        self.draining = False
        for trial in list(self.book.live.values()):
            if stop and trial.state is State.RUNNING:
                self.stop(trial, reason)
            else:
                self.halt(trial, reason)

    def drain(self, reason: str, *, error: str) -> None:
        """Nothing more is started. What runs goes on to its end, and the search is over when the last of it is."""
        if self.ending is None:
            self.ending, self.draining = SearchEnded(reason=reason, error=error), True
        for trial in list(self.book.parked.values()):
            self.halt(trial, reason)
