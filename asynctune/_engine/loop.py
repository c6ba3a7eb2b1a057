"""The oracle coroutine: the one task of a search. It hears the runners, has the machine decide, and answers.

It never decides anything itself, and acts on nothing that was not committed. Cancelling it closes the search: what runs is
told to stop and is set aside; cancelling it again takes the grace away. It returns only when nothing of the search runs any
more.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

from asynctune._engine.actor import Answered, OracleActor
from asynctune._engine.clock import SearchClock
from asynctune._engine.decider import Committed, Decider, Outcome
from asynctune._engine.futures import settled
from asynctune._engine.inbox import Inbox
from asynctune._engine.pool import Pool, SlotId
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
from asynctune._machine.stimuli import (
    Closed,
    ExecutorFailed,
    Heard,
    LaunchEnded,
    OracleFailed,
    SlotGranted,
    Stimulus,
    Suggested,
    Ticked,
)
from asynctune.errors import ConfigurationError, ExecutorError, PluginError
from asynctune.messages import Ending, MetricsReported, ParametersDeclared
from asynctune.records import LaunchNumber, TrialId

__all__ = ["OracleCoroutine"]

_logger = logging.getLogger("asynctune.search")
PLUGIN_DEADLINE = 60.0  # seconds that one batch may take to decide before the search is given up, naming the plugin


class OracleCoroutine:
    """Drives one search. Also the executor's `Listener` and the pool's `Claimant`.

    Args:
        clock: search time.
        decider: the engine thread, opened.
        pool: where slots come from.
        publish: called with what was committed, before it is acted on.
    """

    def __init__(self, clock: SearchClock, decider: Decider, pool: Pool, publish: Callable[[Committed], None]) -> None:
        self._clock, self._decider, self._pool, self._publish = clock, decider, pool, publish
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox()
        self._commands: dict[int, asyncio.Future[None]] = {}
        self._held: list[SlotId] = []
        self._slots: dict[tuple[TrialId, LaunchNumber], SlotId] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._waiting_instructions: list[Instruction] | None = []
        self._closing = 0
        self.attachment: Any = None
        self.actor: OracleActor | None = None
        self.end: EndSearch | None = None
        self.error: BaseException | None = None
        self._act_on: dict[type[Any], Callable[[Any], None]] = {
            Ask: self._post,
            TellEnd: self._post,
            TellReport: self._post,
            RequestSlots: lambda i: self._pool.request(self, i.count),
            ReleaseSlot: lambda _: self._pool.release(self._held.pop()),
            StartLaunch: self._start,
            AnswerReport: lambda i: self.attachment.send(i.answer),
            StopLaunch: self._stop,
            WakeAt: self._wake_at,
            EndSearch: self._ended,
        }

    # ------------------------------------------------------------------------------------------------- what is heard

    def hear(self, stimulus: Stimulus) -> None:
        """Take a stimulus in."""
        self._inbox.put(stimulus)

    def now(self) -> float:
        """Search time."""
        return self._clock.now()

    def heard(self, message: ParametersDeclared | MetricsReported) -> None:
        """A runner spoke."""
        self._inbox.put(Heard(at=self._clock.now(), message=message))

    def ended(self, ending: Ending) -> None:
        """A launch is over. Its slot goes back first thing, so that the end and what starts on it are heard together."""
        self._inbox.put(LaunchEnded(at=self._clock.now(), ending=ending))
        self._pool.release(self._slots.pop((ending.trial, ending.launch)))

    def failed(self, error: ExecutorError) -> None:
        """No launch can be started any more."""
        self._inbox.put(ExecutorFailed(at=self._clock.now(), message=str(error)))

    def granted(self, slot: SlotId) -> None:
        """The pool granted a slot."""
        if self.end is not None or self.error is not None:
            self._pool.release(slot)
            return
        self._held.append(slot)
        self._inbox.put(SlotGranted(at=self._clock.now()))

    def answered(self, answer: Answered) -> None:
        """The oracle answered."""
        self._inbox.put(
            Suggested(at=self._clock.now(), ask=answer.ask, suggestion=answer.suggestion, state=answer.state)
        )

    def oracle_failed(self, error: PluginError) -> None:
        """The oracle raised."""
        self._inbox.put(OracleFailed(at=self._clock.now(), message=str(error)))

    async def command(self, stimulus: Stimulus) -> None:
        """Have a user's command handled; returns when it is committed.

        Raises:
            ConfigurationError: it was refused; says why.
        """
        if self.end is not None or self.error is not None:
            raise ConfigurationError("the search is over")
        done: asyncio.Future[None] = self._loop.create_future()
        self._commands[id(stimulus)] = done
        self._inbox.put(stimulus)
        await done

    def close(self, reason: str, *, now: bool = False) -> None:
        """Set aside what runs, and end. With `now`, without grace."""
        self._closing += 1
        if self._closing == 1 and self.end is None:
            self._inbox.put(Closed(at=self._clock.now(), reason=reason))
        if now and self.attachment is not None:
            self._decider.give_up()
            for trial, launch in list(self._slots):
                self.attachment.halt(trial, launch, reason=reason, grace=0.0)

    # ------------------------------------------------------------------------------------------------- the coroutine

    async def run(self) -> None:
        """Hear, decide, commit, act: until the search is over. `end` or `error` says how."""
        while self.end is None and self.error is None:
            await self.turn()
        self._finish()

    async def turn(self) -> None:
        """Hear what there is, or wait for it; decide, commit, act."""
        await self._waited(self._inbox.wait)
        batch = self._inbox.take()
        if batch:
            self._settle(batch, await self._decided(batch))

    async def _waited(self, wait: Callable[[], Any]) -> None:
        """Wait; a cancellation closes the search instead of ending the wait for what still runs."""
        try:
            await wait()
        except asyncio.CancelledError:
            self.close("the search was cancelled", now=self._closing > 0)

    async def _decided(self, batch: list[Stimulus]) -> Outcome:
        outcome: asyncio.Future[Outcome] = self._loop.create_future()
        self._decider.decide(batch, settled(outcome))
        deadline = self._loop.call_later(PLUGIN_DEADLINE, self._overdue, outcome)
        while not outcome.done():
            await self._waited(lambda: asyncio.shield(outcome))
        deadline.cancel()
        return outcome.result()

    def _overdue(self, outcome: asyncio.Future[Outcome]) -> None:
        asking = self._decider.asking()
        if outcome.done():
            return
        if asking is None:  # it waits for the disk, which is said elsewhere, and may come back
            self._loop.call_later(PLUGIN_DEADLINE, self._overdue, outcome)
        else:
            outcome.set_result(PluginError(f"{asking} has not returned for {PLUGIN_DEADLINE:g} s"))

    def _settle(self, batch: list[Stimulus], outcome: Outcome) -> None:
        if isinstance(outcome, BaseException):
            self.error = outcome
            return
        if outcome.records:
            self._publish(outcome)
        for stimulus, refused in zip(batch, outcome.refused, strict=True):
            self._acknowledge(stimulus, refused)
        if self._waiting_instructions is not None:
            self._waiting_instructions += outcome.instructions
        else:
            self._act(outcome.instructions)

    def _acknowledge(self, stimulus: Stimulus, refused: str | None) -> None:
        if not self._commands or (done := self._commands.pop(id(stimulus), None)) is None or done.done():
            return
        if refused is None:
            done.set_result(None)
        else:
            done.set_exception(ConfigurationError(refused))

    def _finish(self) -> None:
        self._pool.withdraw(self)
        if self._timer is not None:
            self._timer.cancel()
        for done in self._commands.values():
            if not done.done():
                done.set_exception(ConfigurationError("the search ended before the command was obeyed"))
        self._commands.clear()

    def release_all(self) -> None:
        """Give back every slot; once nothing runs on them any more."""
        for slot in [*self._held, *self._slots.values()]:
            self._pool.release(slot)
        self._held.clear()
        self._slots.clear()

    # ---------------------------------------------------------------------------------------------------- the acting

    def go(self, attachment: Any, actor: OracleActor) -> None:
        """There is somewhere to start launches, and somebody to ask: act on what was decided so far."""
        self.attachment, self.actor = attachment, actor
        waiting, self._waiting_instructions = self._waiting_instructions or [], None
        self._act(waiting)

    def _act(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            act = self._act_on.get(type(instruction))
            if act is not None:  # the rest (DeleteCheckpoint) is the engine thread's
                act(instruction)

    def _post(self, call: Ask | TellEnd | TellReport) -> None:
        if self.actor is not None:
            self.actor.post(call)

    def _start(self, instruction: StartLaunch) -> None:
        order = instruction.order
        self._slots[order.trial, order.launch] = self._held.pop()
        self.attachment.start(order)

    def _stop(self, instruction: StopLaunch) -> None:
        grace = 0.0 if self._closing > 1 else instruction.grace
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
            self._inbox.put(Ticked(at=now))

    def _ended(self, instruction: EndSearch) -> None:
        self.end = instruction
