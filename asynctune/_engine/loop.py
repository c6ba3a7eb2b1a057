"""The oracle coroutine: the one task of a search. It hears the runners, has the machine decide, and answers.

It never decides anything itself, and acts on nothing that was not committed. Cancelling it closes the search: what runs is
told to stop and is set aside; cancelling it again takes the grace away. It returns only when nothing of the search runs any
more.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from asynctune._engine.actor import OracleActor
from asynctune._engine.caller import Answered, OracleCall
from asynctune._engine.clock import SearchClock
from asynctune._engine.decider import Committed, Decider, Outcome
from asynctune._engine.futures import failed, settled
from asynctune._engine.launches import Launches
from asynctune._engine.patience import MOMENT, PLUGIN_DEADLINE
from asynctune._engine.points import Point, reach
from asynctune._engine.pool import Pool, SlotId
from asynctune._machine.instructions import (
    AnswerReport,
    Ask,
    EndSearch,
    GoOn,
    Instruction,
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
from asynctune._machine.stimuli import (
    Closed,
    ExecutorFailed,
    Heard,
    LaunchEnded,
    LimitBroken,
    Opened,
    OracleFailed,
    SlotGranted,
    Stimulus,
    Suggested,
    Ticked,
    Weighed,
)
from asynctune.errors import ConfigurationError, ExecutorError, PluginError
from asynctune.messages import Breach, Ending, Halt, MetricsReported, ParametersDeclared, Weight

__all__ = ["OracleCoroutine"]

_logger = logging.getLogger("asynctune.search")
_BLOCKED = 2.0  # seconds that the loop may take to come round before somebody should hear of it
_LATE = (
    "the event loop did not come round for %.1f s, and the search waited for it: something in it blocks, or the machine has no "
    "time for it. asyncio.run(..., debug=True) names what blocks; asyncio.to_thread() is the place for it"
)


class OracleCoroutine:
    """Drives one search. Also the executor's `Listener` and the pool's `Claimant`.

    Args:
        clock: search time.
        decider: the engine thread, opened.
        pool: where slots come from.
        publish: called with what was committed, before it is acted on.
        grace: seconds that closing waits for what cannot be committed.
    """

    def __init__(
        self, clock: SearchClock, decider: Decider, pool: Pool, publish: Callable[[Committed], None], grace: float
    ) -> None:
        self._clock, self._decider, self._pool, self._publish, self._grace = clock, decider, pool, publish, grace
        self._loop = asyncio.get_running_loop()
        self._inbox: list[Stimulus] = []
        self._deciding: float | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._giving_up: asyncio.TimerHandle | None = None
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._commands: dict[int, asyncio.Future[None]] = {}
        # An oracle that does not learn need not be woken to be told what it will only need when it is asked again.
        self._learns_nothing = False
        self._calls: list[OracleCall] = []
        self._asking = False
        self._launches = Launches(pool)
        #: How often an executor spoke of a launch that was over, or said something again.
        self.dropped = 0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting_instructions: list[Instruction] | None = []
        self._closing = 0
        self.attachment: Any = None
        self.actor: OracleActor | None = None
        self.end: EndSearch | None = None
        self.error: BaseException | None = None
        self.blamed: PluginError | None = None
        self._act_on: dict[type[Any], Callable[[Any], None]] = {
            **dict.fromkeys((Ask, TellAdded, TellEnd, TellObserved, TellReport), self._post),
            RequestSlots: lambda i: self._pool.request(self, i.count, width=i.width),
            ReleaseSlot: lambda i: self._launches.give_back(i.width),
            StartLaunch: self._start,
            ParkLaunch: self._park,
            GoOn: lambda i: self._launches.go_on(i.trial, i.launch, i.width),
            AnswerReport: lambda i: self.attachment.send(i.answer),
            StopLaunch: self._stop,
            WakeAt: self._wake_at,
            EndSearch: self._ended,
        }

    # ------------------------------------------------------------------------------------------------- what is heard

    def hear(self, stimulus: Stimulus) -> None:
        """Take a stimulus in."""
        self._inbox.append(stimulus)
        self._decide()

    def now(self) -> float:
        """Search time."""
        return self._clock.now()

    def heard(self, message: ParametersDeclared | MetricsReported) -> None:
        """A runner spoke."""
        if self._launches.is_news(message):
            self.hear(Heard(at=self._clock.now(), message=message))
        else:
            self._drop(message)

    def broke(self, breach: Breach) -> None:
        """A launch has broken a limit."""
        self.hear(LimitBroken(at=self._clock.now(), breach=breach))

    def weighed(self, weight: Weight) -> None:
        """A launch that is parked holds so much."""
        self.hear(Weighed(at=self._clock.now(), weight=weight))

    def ended(self, ending: Ending) -> None:
        """A launch is over. Its slot goes back first thing, so that the end and what starts on it are heard together."""
        launch = self._launches.end(ending.trial, ending.launch)
        if launch is None:
            self._drop(ending)
            return
        self._inbox.append(LaunchEnded(at=self._clock.now(), ending=ending))
        self._launches.let_go(launch)
        self._decide()

    def _drop(self, message: ParametersDeclared | MetricsReported | Ending) -> None:
        # Ours says everything once. One that speaks over a network may not know whether it was heard, or whom it speaks for.
        self.dropped += 1
        if self.dropped == 1 and not self._is_over:
            what = type(message).__name__, message.trial, message.launch
            _logger.warning("the executor said %s of trial %d, launch %d, again or too late; such words are dropped", *what)

    def failed(self, error: ExecutorError) -> None:
        """No launch can be started any more."""
        self.hear(ExecutorFailed(at=self._clock.now(), message=str(error)))

    def granted(self, slot: SlotId, width: int) -> None:
        """The pool granted a slot."""
        if self._is_over:
            self._pool.release(slot)
            return
        self._launches.granted(slot, width)
        self.hear(SlotGranted(at=self._clock.now(), width=width))

    def answered(self, answers: Sequence[Answered]) -> None:
        """The oracle answered."""
        at = self._clock.now()
        self._inbox += [Suggested(at=at, ask=a.ask, suggestion=a.suggestion, state=a.state) for a in answers]
        self._decide()

    def oracle_failed(self, error: PluginError) -> None:
        """The oracle raised, or does not come back."""
        self.blamed = error
        _logger.error("%s. No more is proposed; the search ends when the trials that run have", error, exc_info=error.__cause__)
        self.hear(OracleFailed(at=self._clock.now(), message=str(error)))

    async def command(self, stimulus: Stimulus) -> None:
        """Have a user's command handled; returns when it is committed.

        Raises:
            ConfigurationError: it was refused; says why.
        """
        if self._is_over:
            raise ConfigurationError("the search is over")
        await self._commanded(stimulus)

    def _commanded(self, stimulus: Stimulus) -> asyncio.Future[None]:
        done: asyncio.Future[None] = self._loop.create_future()
        self._commands[id(stimulus)] = done
        self.hear(stimulus)
        return done

    def close(self, reason: str, *, now: bool = False) -> None:
        """Set aside what runs, and end. With `now`, without grace."""
        self._closing += 1
        if self._closing == 1 and not self._is_over:
            self.hear(Closed(at=self._clock.now(), reason=reason))
            self._giving_up = self._loop.call_later(self._grace, self._give_up)
        if now:
            self._give_up()
        if now and self.attachment is not None:
            for trial, launch in self._launches:
                self.attachment.halt(trial, launch, reason=reason, grace=0.0)

    def _give_up(self) -> None:
        """Wait no longer for what cannot be committed, nor for a plugin that does not come back."""
        self._decider.give_up()
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._giving_up = self._loop.call_later(MOMENT, self._leave_plugin)

    def _leave_plugin(self) -> None:
        if self._is_over:
            return
        asked = self._decider.asking()
        if asked is not None and asked[1] >= MOMENT:
            self._fail(PluginError(f"{asked[0]} has not returned for {asked[1]:.1f} s, and the search was closed without it"))
        else:
            self._giving_up = self._loop.call_later(MOMENT, self._leave_plugin)

    # ------------------------------------------------------------------------------------------------- the coroutine

    @property
    def _is_over(self) -> bool:
        return self.end is not None or self.error is not None

    @property
    def is_wanted(self) -> bool:
        """Whether there is something to do, and nobody has closed the search."""
        return not self._is_over and self._closing == 0

    async def open(self, stimulus: Opened) -> None:
        """Open the search: returns when that is committed, or has failed (`error` says how)."""
        opened = self._commanded(stimulus)
        opened.add_done_callback(lambda future: future.exception())  # said by `error` already
        while not opened.done():
            await self._waited(opened)

    async def run(self) -> None:
        """Returns when the search is over. `end` or `error` says how."""
        while not self._is_over:
            await self._waited(self._over)
        if self._timer is not None:
            self._timer.cancel()
        for timer in (self._watch, self._giving_up):
            if timer is not None:
                timer.cancel()
        self._pool.withdraw(self)

    async def _waited(self, future: asyncio.Future[None]) -> None:
        """Wait; a cancellation closes the search instead of ending the wait for what still runs."""
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            self.close("the search was cancelled", now=self._closing > 0)

    def _decide(self) -> None:
        """Have everything decided that was heard, unless something is being decided; then it follows with the next batch."""
        if self._deciding is not None or not self._inbox or self._is_over:
            return
        batch, self._inbox = self._inbox, []
        self._deciding = self._loop.time()
        self._decider.decide(batch, partial(self._decided, batch))
        if self._watch is None:
            self._watch = self._loop.call_later(PLUGIN_DEADLINE, self._watched)

    def _decided(self, batch: list[Stimulus], outcome: Outcome) -> None:
        """What was decided is committed: say so, and act on it."""
        self._deciding = None
        if self._is_over:
            return
        if isinstance(outcome, BaseException):
            self._fail(outcome)
            return
        if (late := self._decider.now() - outcome.said) > _BLOCKED:
            _logger.warning(_LATE, late)
        if outcome.records:
            self._publish(outcome)
        if self._commands:
            for stimulus, refused in zip(batch, outcome.refused, strict=True):
                self._acknowledge(stimulus, refused)
        if self._waiting_instructions is not None:
            self._waiting_instructions += outcome.instructions
            for instruction in outcome.instructions:
                if isinstance(instruction, EndSearch):  # there is nothing to do, and so nothing to wait for
                    self._ended(instruction)
        else:
            self._act(outcome.instructions)
        self._decide()

    def _watched(self) -> None:
        """Look whether a plugin has been asked for too long."""
        self._watch = None
        if self._deciding is None or self._is_over:
            return
        # With no plugin in sight it waits for the disk, which is said elsewhere, and may come back.
        asked = self._decider.asking()
        left = PLUGIN_DEADLINE - (asked[1] if asked is not None else 0.0)
        if asked is None or left > 0:
            self._watch = self._loop.call_later(max(left, 1.0), self._watched)
        else:
            self._fail(PluginError(f"{asked[0]} has not returned for {PLUGIN_DEADLINE:g} s"))

    def _fail(self, error: BaseException) -> None:
        self.error = error
        self._conclude()

    def _conclude(self) -> None:
        settled(self._over)(None)
        for done in self._commands.values():
            failed(done)(ConfigurationError("the search ended before the command was obeyed"))
        self._commands.clear()

    def _acknowledge(self, stimulus: Stimulus, refused: str | None) -> None:
        if (done := self._commands.pop(id(stimulus), None)) is None or done.done():
            return
        if refused is None:
            done.set_result(None)
        else:
            done.set_exception(ConfigurationError(refused))

    def release_all(self) -> None:
        """Give back every slot; once nothing runs on them any more."""
        self._launches.release_all()

    # ---------------------------------------------------------------------------------------------------- the acting

    def go(self, attachment: Any, actor: OracleActor, *, learns: bool) -> None:
        """There is somewhere to start launches, and somebody to ask: act on what was decided so far."""
        self._learns_nothing = not learns
        self.attachment, self.actor = attachment, actor
        self._decider.answer = attachment.answer
        waiting, self._waiting_instructions = self._waiting_instructions or [], None
        self._act(waiting)

    def _act(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            act = self._act_on.get(type(instruction))
            if act is not None:  # the rest (DeleteCheckpoint) is the engine thread's
                act(instruction)
        if self._calls and (self._asking or self._is_over or not self._learns_nothing):
            self.tell()

    def tell(self) -> None:
        """Have the oracle called with all that it has not been called with yet."""
        if self.actor is not None and self._calls:
            self.actor.post(self._calls)
            self._calls, self._asking = [], False

    def _post(self, call: OracleCall) -> None:
        self._calls.append(call)
        self._asking = self._asking or isinstance(call, Ask)

    def _start(self, instruction: StartLaunch) -> None:
        order = instruction.order
        self._launches.begin(order.trial, order.launch, instruction.width)
        reach(Point.STARTING)
        self.attachment.start(order)

    def _park(self, instruction: ParkLaunch) -> None:
        if self._launches.park(instruction.trial, instruction.launch):
            self.attachment.park(instruction.trial, instruction.launch)

    def _stop(self, instruction: StopLaunch) -> None:
        grace = 0.0 if self._closing > 1 else instruction.grace
        if instruction.save and grace:
            self.attachment.send(Halt(trial=instruction.trial, launch=instruction.launch, reason=instruction.reason, save=True))
        self.attachment.halt(instruction.trial, instruction.launch, reason=instruction.reason, grace=grace)

    def _wake_at(self, instruction: WakeAt) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = max(0.0, instruction.at - self._clock.now())
        self._timer = self._loop.call_later(wait if math.isfinite(wait) else 0.0, self._tick, instruction.at)

    def _tick(self, at: float) -> None:
        now = self._clock.now()
        if now < at:  # the loop's timers may fire a little early, by their own resolution
            self._timer = self._loop.call_later(at - now, self._tick, at)
        else:
            self.hear(Ticked(at=now))

    def _ended(self, instruction: EndSearch) -> None:
        self.end = instruction
        self._conclude()
