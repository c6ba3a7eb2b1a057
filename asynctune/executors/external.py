"""Ask and tell: the runner is whoever asks. Nothing is run here; launches are handed out, and what is said of them is heard."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from typing import Any

from asynctune._engine.futures import settled
from asynctune._engine.record import Record
from asynctune._machine.stimuli import LaunchEnded, SlotGranted
from asynctune.errors import ConfigurationError, ExecutorError
from asynctune.executors._launch import Launch, expired
from asynctune.executors._turns import Turns
from asynctune.executors.base import Attachment, Capabilities, Executor, Listener, Recipe
from asynctune.messages import Answer, Ending, Lost, RunTrial, ToRunner, TrialLeft
from asynctune.policies import Limit
from asynctune.records import LaunchNumber, State, TrialId, TrialView

__all__ = ["External", "ExternalAttachment", "Launch"]

_Key = tuple[TrialId, LaunchNumber]


class ExternalAttachment(Attachment):
    """One search's launches, and those who ask for them."""

    def __init__(self, executor: External, recipe: Recipe, listener: Listener) -> None:
        self.recipe, self.listener, self.lease = recipe, listener, executor.lease
        self._executor, self._turns = executor, executor.pool
        self._loop = asyncio.get_running_loop()
        self._askers: deque[asyncio.Future[Launch | None]] = deque()
        self._launches: dict[_Key, Launch] = {}
        #: Those that were started for an ask that has gone.
        self._unclaimed: deque[Launch] = deque()
        self._ends: dict[_Key, tuple[Launch, asyncio.Future[bool]]] = {}
        self._expired: set[_Key] = set()
        #: The first launch of each trial that was handed out here; earlier ones were held before the search was opened again.
        self._first: dict[TrialId, LaunchNumber] = {}
        self._closed = False

    # ------------------------------------------------------------------------------------------------- those who ask

    async def ask(self) -> Launch | None:
        """The next launch, as soon as there is one; None when the search is over. Can be cancelled."""
        if self._closed:
            return None
        if self._unclaimed:
            launch = self._unclaimed.popleft()
            launch.go_on()
            return launch
        asker: asyncio.Future[Launch | None] = self._loop.create_future()
        self._askers.append(asker)
        self._turns.asked()
        try:
            return await asker
        except asyncio.CancelledError:
            if asker in self._askers:  # else it was passed over meanwhile
                self._askers.remove(asker)
                self._turns.left()
            given = None if asker.cancelled() else asker.result()
            if given is not None:  # in the moment in which it was cancelled
                given.begin_again()
                self._give(given)
            raise

    def launch(self, trial: TrialId, number: LaunchNumber, view: TrialView | None) -> Launch | None:
        """The launch that somebody holds; None if it is over, and its last word was heard. `view`: the trial as it stands."""
        key = trial, number
        if key in self._launches:
            return self._launches[key]
        if key in self._expired:
            raise expired(trial, number, self.lease)
        if view is None or isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= view.launches:
            there = f"{view.launches} launches of it, counted from 1" if view is not None else "no such trial, by its number"
            raise ConfigurationError(f"launch({trial!r}, {number!r}): there is no such launch; there is {there}")
        if number >= self._first.get(trial, view.launches) and not (number == view.launches and view.state is State.PENDING):
            return None
        raise expired(trial, number, None)

    def _give(self, launch: Launch) -> None:
        if launch.should_stop:
            return
        while self._askers:
            asker = self._askers.popleft()
            self._turns.left()
            if not asker.done():
                launch.go_on()
                asker.set_result(launch)
                return
        self._unclaimed.append(launch)

    # ---------------------------------------------------------------------------------------------- what launches say

    def end(self, launch: Launch, ending: Ending) -> asyncio.Future[bool]:
        """See `Host.end`."""
        key = ending.trial, ending.launch
        recorded: asyncio.Future[bool] = self._loop.create_future()
        self._ends[key] = launch, recorded
        if isinstance(ending, Lost):
            self._expired.add(key)
        self._over(launch, ending)
        return recorded

    def _over(self, launch: Launch, ending: Ending) -> None:
        del self._launches[ending.trial, ending.launch]
        if launch in self._unclaimed:
            self._unclaimed.remove(launch)
        self._turns.ended()
        self.listener.ended(ending)

    # ------------------------------------------------------------------------------------------------ what the search says

    def start(self, order: RunTrial) -> None:
        """See `Attachment.start`."""
        if self._closed:
            self.listener.ended(Lost(trial=order.trial, launch=order.launch, reason="the executor was closed"))
            return
        launch = self._launches[order.trial, order.launch] = Launch(order, self)
        self._first.setdefault(order.trial, order.launch)
        self._give(launch)
        self._turns.started()

    def send(self, message: ToRunner) -> None:
        """See `Attachment.send`."""
        launch = self._launches.get((message.trial, message.launch))
        if launch is not None and isinstance(message, Answer):
            launch.hear(message)

    def recorded(self, records: Sequence[Record]) -> None:
        """See `Attachment.recorded`."""
        for record in records:
            if isinstance(record.stimulus, LaunchEnded):
                ending = record.stimulus.ending
                said = self._ends.pop((ending.trial, ending.launch), None)
                if said is not None:
                    launch, recorded = said
                    settled(recorded)(launch.counted(record.happened))
        if any(not isinstance(record.stimulus, SlotGranted) for record in records):
            self._loop.call_soon(self._turns.again)  # when what follows from these has been done

    def halt(self, trial: TrialId, launch: LaunchNumber, *, reason: str, grace: float) -> None:
        """See `Attachment.halt`. There is nothing to wait for: whoever holds it is told when he next says something."""
        del grace
        if (halted := self._launches.get((trial, launch))) is not None:
            halted.close(reason)
            self._over(halted, TrialLeft(trial=trial, launch=launch))

    def close(self) -> None:
        """See `Attachment.close`."""
        self._closed = True
        self._executor.left(self)
        for launch in list(self._launches.values()):
            launch.close("the search was closed")
            self._over(launch, Lost(trial=launch.trial, launch=launch.number, reason="the search was closed"))
        for _, recorded in self._ends.values():
            settled(recorded)(False)
        self._ends.clear()
        while self._askers:
            settled(self._askers.popleft())(None)
            self._turns.left()

    async def wait_closed(self) -> None:
        """See `Attachment.wait_closed`."""


class External(Executor):
    """Hands trials out to whoever asks for one: your own code, a service's clients, machines elsewhere.

    A search on it has no trainable. `await search.ask()` is a `Launch`; what came of it is told with `report`, `finish` or
    `fail`. It serves one search at a time.

    Args:
        lease: seconds within which whoever holds a launch must say something of it. Past them the launch is lost, which costs
            its trial no attempt, and the trial goes to whoever asks next. None for no limit: then a forgotten launch keeps the
            search from ending.
        max_workers: how many launches are out at a time; who asks beyond that waits.

    Raises:
        ConfigurationError: for what is no positive number.
    """

    capabilities = Capabilities(limits=frozenset({Limit.TRIAL_TIME.value, Limit.SILENCE.value}), asks=True)
    pool: Turns

    def __init__(self, lease: float | None = 600.0, max_workers: int = 1000) -> None:
        self.lease = _lease(lease)
        self.pool = Turns(max_workers, argument="External(max_workers=...)")
        self._attachment: ExternalAttachment | None = None
        self._open = False

    @property
    def is_open(self) -> bool:
        """See `Executor.is_open`."""
        return self._open

    async def open(self) -> None:
        """See `Executor.open`.

        Raises:
            ExecutorError: it is open.
        """
        if self._open:
            raise ExecutorError("this External is open already")
        self._open = True

    async def attach(self, recipe: Recipe, listener: Listener) -> ExternalAttachment:
        """See `Executor.attach`.

        Raises:
            ExecutorError: it is not open.
            ConfigurationError: another search is on it.
        """
        if not self._open:
            raise ExecutorError("the executor is not open")
        if self._attachment is not None:
            raise ConfigurationError("an External serves one search at a time: make one for each")
        self._attachment = ExternalAttachment(self, recipe, listener)
        return self._attachment

    def left(self, attachment: ExternalAttachment) -> None:
        """This attachment is closed."""
        if self._attachment is attachment:
            self._attachment = None

    def close(self) -> None:
        """See `Executor.close`."""
        self._open = False
        if (attachment := self._attachment) is not None:
            attachment.close()
            attachment.listener.failed(ExecutorError("the executor was closed"))

    async def wait_closed(self) -> None:
        """See `Executor.wait_closed`."""


def _lease(given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not (math.isfinite(given) and given > 0):
        raise ConfigurationError(f"External(lease=...) takes a number of seconds above 0, or None for no limit, not {given!r}")
    return given
