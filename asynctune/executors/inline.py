"""Trials as tasks in your own event loop: for async trainables that wait on something else (a service, a device, a cluster).

Nothing is isolated: what blocks in a trial blocks you. A trial can be told to stop, and cancelled; it cannot be killed.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from asynctune._engine.pool import Pool
from asynctune._runner.account import Account, only_stops
from asynctune._runner.async_trial import AsyncTrial
from asynctune._runner.failures import failure_of, no_result
from asynctune._runner.results import InvalidResult, outcome_of
from asynctune._runner.stepwise import Stepper
from asynctune._runner.trainable import Argument, argument_of, find, is_async, name_of
from asynctune.errors import ExecutorError, TrainableError
from asynctune.executors._desk import Desk, DeskTrial
from asynctune.executors.base import Attachment, Capabilities, Executor, Listener, Recipe
from asynctune.failure import Failure, FailureKind
from asynctune.messages import (
    Ending,
    Halt,
    Lost,
    RunTrial,
    ToRunner,
    TrialRaised,
    TrialReturned,
)
from asynctune.records import LaunchNumber, TrialId

__all__ = ["AsyncTrial", "InlineExecutor"]

_log = logging.getLogger("asynctune.executors")
_MOST_CANCELS = 2  # before a task that does not end is given up
_PATIENCE = 0.5  # seconds that a task has to end after each of them, or the grace, if that is longer


class _Launch:
    """One launch, as a task."""

    def __init__(self, attachment: _InlineAttachment, order: RunTrial) -> None:
        self.order = order
        self._attachment = attachment
        self._desk = Desk(attachment.listener)
        self._timer: asyncio.TimerHandle | None = None
        self._patience = _PATIENCE
        self._cancels = 0
        self._given_up = False
        loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = loop.create_future()
        self.task = loop.create_task(self._run(), name=f"asynctune-trial-{order.trial}")
        self.task.add_done_callback(self._done)

    def send(self, message: ToRunner) -> None:
        self._desk.put(message)

    def halt(self, reason: str, grace: float) -> None:
        self.send(Halt(trial=self.order.trial, launch=self.order.launch, reason=reason))
        self._patience = max(grace, _PATIENCE)
        self._press_after(grace)

    def close(self) -> None:
        """Have it end now."""
        self._patience = _PATIENCE
        if self._cancels < _MOST_CANCELS:
            self._press()
        else:
            self._press_after(_PATIENCE)

    def _press_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._press)

    def _press(self) -> None:
        # Nobody can end a task that swallows its cancellation. It is cancelled once more, in case it was in the middle of
        # something; then the search goes on without it.
        if self._cancels == _MOST_CANCELS:
            self._give_up()
            return
        self._cancels += 1
        self.task.cancel()
        self._press_after(self._patience)

    def _give_up(self) -> None:
        self._given_up = True
        who = f"trial {self.order.trial} did not end when it was cancelled, {_MOST_CANCELS} times"
        _log.warning("%s: its task is left behind in the event loop until it returns. Let CancelledError pass in it", who)
        self.send(Halt(trial=self.order.trial, launch=self.order.launch, reason="it was given up"))
        self._desk.is_heard = False
        # Whoever ends the loop (`asyncio.run`) would cancel it and wait for it, for ever; and it has been complained of here.
        asyncio._unregister_task(self.task)  # noqa: SLF001 -- documented, for those who make tasks
        self.task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001
        text = f"it did not end when it was cancelled, {_MOST_CANCELS} times, and its task was left behind"
        self._end(self._raised(Failure(kind=FailureKind.KILLED, message=text)))

    async def _run(self) -> Ending:
        order, recipe = self.order, self._attachment.recipe
        account = Account(order, self._desk, shape=recipe.shape, policy=recipe.checkpoints)
        trial = DeskTrial(account, self._desk, recipe.directory, self._attachment.data)
        try:
            result = await self._attachment.trainable(self._attachment.argument.of(trial))
            self._desk.say(account.declared())
            if account.stop is not None:
                return account.left
            outcome = outcome_of(result, recipe.objective, reported=account.has_reported)
            return TrialReturned(
                trial=order.trial,
                launch=order.launch,
                metrics=outcome.metrics,
                executions=outcome.executions,
                step=outcome.step,
                checkpoint=account.written,
                size=account.size if account.written is not None else None,
            )
        except asyncio.CancelledError as error:
            if self._cancels:
                return account.left
            return self._raised(failure_of(error, None))  # what it awaited was cancelled, by somebody else
        except InvalidResult as error:
            return self._raised(no_result(str(error), None))
        except BaseException as error:  # noqa: BLE001 -- whatever a trial raises is that trial's failure, and nobody else's
            self._desk.say(account.declared())
            return account.left if only_stops(error) else self._raised(failure_of(error, None))

    def _raised(self, failure: Failure) -> TrialRaised:
        return TrialRaised(trial=self.order.trial, launch=self.order.launch, failure=failure)

    def _done(self, task: asyncio.Task[Ending]) -> None:
        if self._given_up:
            return
        if task.cancelled():  # before its first step
            self._end(Lost(trial=self.order.trial, launch=self.order.launch, reason="it was cancelled"))
        else:
            self._end(task.result())

    def _end(self, ending: Ending) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.over.done():
            self.over.set_result(None)
        self._attachment.over(ending)


class _InlineAttachment(Attachment):
    """One search's tasks."""

    def __init__(self, executor: InlineExecutor, recipe: Recipe, listener: Listener, trainable: Any) -> None:
        self.recipe, self.listener = recipe, listener
        self.argument: Argument = argument_of(trainable)
        self.trainable = Stepper(trainable).go if isinstance(trainable, type) else trainable
        self._executor = executor
        self.data = dict(recipe.data)
        self._launches: dict[tuple[TrialId, LaunchNumber], _Launch] = {}
        self._closed = False

    def start(self, order: RunTrial) -> None:
        if self._closed:
            self.listener.ended(Lost(trial=order.trial, launch=order.launch, reason="the executor was closed"))
            return
        self._launches[order.trial, order.launch] = _Launch(self, order)

    def send(self, message: ToRunner) -> None:
        if (launch := self._launches.get((message.trial, message.launch))) is not None:
            launch.send(message)

    def halt(self, trial: TrialId, launch: LaunchNumber, *, reason: str, grace: float) -> None:
        if (running := self._launches.get((trial, launch))) is not None:
            running.halt(reason, grace)

    def over(self, ending: Ending) -> None:
        """A launch's task is done."""
        del self._launches[ending.trial, ending.launch]
        self.listener.ended(ending)

    def close(self) -> None:
        self._closed = True
        self._executor.attachments.pop(self, None)
        for launch in list(self._launches.values()):
            launch.close()

    async def wait_closed(self) -> None:
        while self._launches:
            await asyncio.wait([launch.over for launch in self._launches.values()])


class InlineExecutor(Executor):
    """Runs async trainables as tasks in the current event loop.

    Args:
        max_workers: how many trials run at once.

    Raises:
        ConfigurationError: for what is no positive integer.
    """

    capabilities = Capabilities(exploits=True, parks=True, reallocates=True)

    def __init__(self, max_workers: int = 100) -> None:
        self.pool = Pool(max_workers, argument="InlineExecutor(max_workers=...)")
        self.attachments: dict[_InlineAttachment, None] = {}
        self._closing: list[_InlineAttachment] = []
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
            raise ExecutorError("this InlineExecutor is open already")
        self._open = True

    async def attach(self, recipe: Recipe, listener: Listener) -> Attachment:
        """See `Executor.attach`."""
        if not self._open:
            raise ExecutorError("the executor is not open")
        trainable = find(recipe.trainable) if isinstance(recipe.trainable, str) else recipe.trainable
        if not is_async(trainable):
            name = f"{trainable.__qualname__}.step()" if isinstance(trainable, type) else name_of(trainable)
            message = f"InlineExecutor runs async functions, and {name} is not one: it would block your loop"
            raise TrainableError(f"{message}. Make it `async def`, or use LocalExecutor.")
        attachment = _InlineAttachment(self, recipe, listener, trainable)
        self.attachments[attachment] = None
        return attachment

    def close(self) -> None:
        """See `Executor.close`."""
        self._open = False
        self._closing += list(self.attachments)
        for attachment in list(self.attachments):
            attachment.close()
            attachment.listener.failed(ExecutorError("the executor was closed"))

    async def wait_closed(self) -> None:
        """See `Executor.wait_closed`."""
        for attachment in self._closing:
            await attachment.wait_closed()
        self._closing.clear()
