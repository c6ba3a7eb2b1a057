"""An executor behind a bad line: what it says comes late, twice and out of order, and it loses launches that go on.

So speak back-ends that are reached over a network. A search drops what it has heard before and what comes too late, and starts
again what was lost; with this you can see that yours comes to the same results.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from asynctune.errors import ConfigurationError, ExecutorError
from asynctune.executors.base import Attachment, Executor, Listener, Recipe
from asynctune.messages import Answer, Breach, Ending, Lost, MetricsReported, ParametersDeclared, RunTrial, ToRunner, Weight
from asynctune.records import LaunchNumber, TrialId

__all__ = ["UnreliableExecutor"]

_Key = tuple[TrialId, LaunchNumber]
_INSTANT = 1e-6  # seconds between what must stay in order: timers of one time have none


class UnreliableExecutor(Executor):
    """Another executor, which runs the trials, behind a bad line. Entered and left, it enters and leaves that one.

    The words of one launch arrive in their order, each late by up to `late` seconds; some come again later, also after the end
    of their launch. A launch that is lost ends as `Lost`, which is nobody's fault, while it runs on for a while, and what it
    still says arrives when the next launch of its trial may be running.

    Args:
        executor: runs the trials.
        seed: of what goes wrong. When it does depends on how fast the trials are.
        repeats: the share of the words that come twice, from 0 to 1.
        loses: the share of the launches that are lost, from 0 to below 1: a trial whose launches are all lost never ends.
        late: seconds that anything is late by, at most.

    Raises:
        ConfigurationError: for a number that cannot be, naming it.
    """

    def __init__(
        self, executor: Executor, *, seed: int = 0, repeats: float = 0.3, loses: float = 0.3, late: float = 0.02
    ) -> None:
        if not (0 <= repeats <= 1 and 0 <= loses < 1 and 0 <= late < float("inf")):
            given = f"repeats={repeats!r}, loses={loses!r}, late={late!r}"
            raise ConfigurationError(f"UnreliableExecutor takes shares and seconds, loses= below 1; not {given}")
        self.capabilities, self.pool = executor.capabilities, executor.pool
        self.repeats, self.loses, self.late = repeats, loses, late
        self.luck = random.Random(seed)
        #: How many words came twice; how many launches were lost.
        self.repeated = self.lost = 0
        self._executor = executor

    def __repr__(self) -> str:
        return f"<UnreliableExecutor {self.repeated} repeated, {self.lost} lost, of {self._executor!r}>"

    @property
    def is_open(self) -> bool:
        """See `Executor.is_open`."""
        return self._executor.is_open

    async def open(self) -> None:
        """See `Executor.open`."""
        await self._executor.open()

    async def attach(self, recipe: Recipe, listener: Listener) -> Attachment:
        """See `Executor.attach`."""
        line = _BadLine(self, listener)
        line.attachment = await self._executor.attach(recipe, line)
        return line

    def close(self) -> None:
        """See `Executor.close`."""
        self._executor.close()

    async def wait_closed(self) -> None:
        """See `Executor.wait_closed`."""
        await self._executor.wait_closed()


class _BadLine(Attachment):
    """The attachment that the search has, and the listener that the executor has."""

    attachment: Attachment

    def __init__(self, executor: UnreliableExecutor, listener: Listener) -> None:
        self._executor = executor
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._closed = False
        #: When the last word of each launch arrives; none arrives before it.
        self._last: dict[_Key, float] = {}
        self._timers: set[asyncio.TimerHandle] = set()

    # ------------------------------------------------------------------------------------------------- from the search

    def start(self, order: RunTrial) -> None:
        key = order.trial, order.launch
        self._last[key] = 0.0
        if self._executor.luck.random() < self._executor.loses:
            self._at(self._soon(), self._lose, key)
        self.attachment.start(order)

    def send(self, message: ToRunner) -> None:
        self.attachment.send(message)

    def answer(self, answer: Answer) -> bool:
        return self.attachment.answer(answer)

    def park(self, trial: TrialId, launch: LaunchNumber) -> None:
        self.attachment.park(trial, launch)

    def halt(self, trial: TrialId, launch: LaunchNumber, *, reason: str, grace: float) -> None:
        self.attachment.halt(trial, launch, reason=reason, grace=grace)

    def close(self) -> None:
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self.attachment.close()

    async def wait_closed(self) -> None:
        await self.attachment.wait_closed()

    # ----------------------------------------------------------------------------------------------- from the executor

    def heard(self, message: ParametersDeclared | MetricsReported) -> None:
        if not self._closed:
            self._deliver((message.trial, message.launch), self._listener.heard, message)

    def broke(self, breach: Breach) -> None:
        if not self._closed:
            self._deliver((breach.trial, breach.launch), self._listener.broke, breach)

    def weighed(self, weight: Weight) -> None:
        if not self._closed:
            self._deliver((weight.trial, weight.launch), self._listener.weighed, weight)

    def ended(self, ending: Ending) -> None:
        if self._closed:
            self._listener.ended(ending)
        else:
            self._deliver((ending.trial, ending.launch), self._listener.ended, ending)

    def failed(self, error: ExecutorError) -> None:
        self._listener.failed(error)

    # --------------------------------------------------------------------------------------------------- what goes wrong

    def _soon(self) -> float:
        return self._loop.time() + self._executor.luck.random() * self._executor.late

    def _deliver(self, key: _Key, say: Callable[[Any], None], word: Any) -> None:
        when = self._last[key] = max(self._soon(), self._last.get(key, 0.0) + _INSTANT)
        self._at(when, say, word)
        if self._executor.luck.random() < self._executor.repeats:
            self._executor.repeated += 1
            self._at(when + self._executor.luck.random() * self._executor.late, say, word)

    def _lose(self, key: _Key) -> None:
        trial, launch = key
        self._executor.lost += 1
        self._listener.ended(Lost(trial=trial, launch=launch, reason="its node was not heard of any more"))
        # Nobody answers it any more, so it would wait for ever.
        self._at(self._soon(), self._end, key)

    def _end(self, key: _Key) -> None:
        trial, launch = key
        self.attachment.halt(trial, launch, reason="its node came back, and nobody waits for it", grace=0.0)

    def _at(self, when: float, act: Callable[[Any], None], argument: Any) -> None:
        def run() -> None:
            self._timers.discard(timer)
            act(argument)

        timer = self._loop.call_at(when, run)
        self._timers.add(timer)
