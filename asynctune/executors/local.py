"""Runners on this machine: each trial in a process of its own, forked from a zygote in which everything is imported already."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Literal

from asynctune._engine.pool import Pool
from asynctune._runner.orders import Mode, Plan, RootReady, SearchEnded
from asynctune.errors import ConfigurationError, ExecutorError
from asynctune.executors._acceptable import check_trainable
from asynctune.executors._attachment import LocalAttachment
from asynctune.executors._family import Family
from asynctune.executors._gpus import Gpus
from asynctune.executors._parcels import parcel_of
from asynctune.executors.base import Attachment, Capabilities, Executor, Listener, Recipe

__all__ = ["LocalExecutor"]

_log = logging.getLogger("asynctune.executors")

_MOST_LOSSES = 3
_KEEPS = frozenset({"trial_time", "start_up", "silence", "memory", "processes", "log"})
_MOST_WORKERS = 10_000  # each is a process with a descriptor here; no machine has room for more


class LocalExecutor(Executor):
    """Runs each trial in a process of its own, on this machine. Linux only.

    What a trial writes to stdout and stderr goes to `logs/<trial>-<launch>.log` in the search's directory. A log that grows
    over `Limits.log` is cut to its beginning and its newest part.

    Args:
        max_workers: how many trials run at once, at most 10,000; the number of cores that this process may use, if None.
        isolation: "trial" starts a fresh process for each trial. "worker" lets a process run one trial after the other, until
            one fails, must be killed, or is slow to stop when it is told to: faster by a millisecond a trial, and a trial finds
            what the one before left in its modules.
        start_method: "fork" forks runners from a process that has imported everything. "spawn" starts a new interpreter for
            each runner, which then imports everything itself: seconds, where a fork takes milliseconds.
        preload: installed modules to import once, for all searches. Each search finds out by itself what it needs: this only
            saves later searches the time.
        nice: added to the nice value of the runners, of what makes them, and of their sessions, so that they stand back
            behind the service.

    Raises:
        ConfigurationError: for an argument that cannot work, naming it. On entering, for a module that cannot be preloaded.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        isolation: Literal["trial", "worker"] = "trial",
        start_method: Literal["fork", "spawn"] = "fork",
        preload: Sequence[str] = (),
        nice: int = 5,
    ) -> None:
        _check("isolation", isolation, ("trial", "worker"))
        _check("start_method", start_method, ("fork", "spawn"))
        listed = isinstance(preload, Sequence) and not isinstance(preload, str | bytes)
        if not listed or not all(isinstance(name, str) and name for name in preload):
            raise ConfigurationError(f'LocalExecutor(preload=...) takes a list of modules such as ["keras"], not {preload!r}')
        if preload and start_method == "spawn":
            text = 'LocalExecutor(preload=...) imports modules once, to be forked: with start_method="spawn" it does nothing'
            raise ConfigurationError(text)
        if isinstance(nice, bool) or not isinstance(nice, int) or not 0 <= nice <= 19:
            raise ConfigurationError(f"LocalExecutor(nice=...) takes an integer from 0 to 19, not {nice!r}")
        size = max_workers if max_workers is not None else len(os.sched_getaffinity(0))
        self.pool = Pool(size, most=_MOST_WORKERS, argument="LocalExecutor(max_workers=...)")
        self.gpus = Gpus()
        self.capabilities = Capabilities(
            limits=_KEEPS,
            exploits=True,
            reallocates=isolation == "trial",  # a runner that is reused keeps the GPUs that it began with
            gpus=self.gpus.count,
            logs=True,
        )
        self.family: Family | None = None
        self._preload = tuple(preload)
        self._nice = nice
        self._plan = Plan(mode=Mode.SHARED if start_method == "fork" else Mode.SPAWN, reuse=isolation == "worker")
        self._attachments: dict[LocalAttachment, None] = {}
        self._last_search = 0
        self._losses = 0
        self._opened = False
        self._closing = False
        self._replacing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rooted: asyncio.Future[RootReady] | None = None
        self._gone: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed" if self._closing else "not open"
        return f"<LocalExecutor {state}, {self.pool!r}, {len(self._attachments)} searches>"

    @property
    def is_open(self) -> bool:
        """See `Executor.is_open`."""
        return self._opened and not self._closing

    # ------------------------------------------------------------------------------------------------ opening and closing

    async def open(self) -> None:
        """See `Executor.open`.

        Raises:
            ConfigurationError: if a module cannot be preloaded.
            ExecutorError: if no process can be started; or if it was opened before.
        """
        if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
            raise ExecutorError("LocalExecutor needs Linux 5.3 or newer")
        if self._loop is not None:
            raise ExecutorError("this LocalExecutor was opened before: make another")
        if not sys.executable:
            raise ExecutorError("LocalExecutor needs a Python interpreter to start, and sys.executable names none")
        self._loop = asyncio.get_running_loop()
        self._gone = self._loop.create_future()
        try:
            ready = await self._root()
            if ready.failures:
                module, reason = next(iter(ready.failures.items()))
                raise ConfigurationError(f"LocalExecutor(preload=[{module!r}]) cannot be imported: {reason}")
            if ready.reasons and self._plan.mode is not Mode.SPAWN:
                await self._give_up_forking(ready)
            self._opened = True
        except BaseException:
            self.close()
            await _surely(self._gone)
            raise

    async def _root(self) -> RootReady:
        assert self._loop is not None  # noqa: S101
        self._rooted = self._loop.create_future()
        self._start_family()
        return await self._rooted

    async def _give_up_forking(self, ready: RootReady) -> None:
        text = (
            "no process can be forked, as preload=%s left the first one unfit (%s): trials run in new interpreters, which are"
        )
        _log.warning(text + " reused and import everything themselves", list(self._preload), "; ".join(ready.reasons))
        assert self._loop is not None and self.family is not None  # noqa: S101, PT018
        self._preload, self._plan = (), Plan(mode=Mode.SPAWN, reuse=True)
        self._rooted = self._loop.create_future()
        self._replacing = True
        self.family.close()
        await self._rooted

    def close(self) -> None:
        """See `Executor.close`."""
        if self._closing or self._gone is None:
            return
        self._closing = True
        for attachment in list(self._attachments):
            attachment.abandon("the executor was closed")
        if self.family is not None:
            self.family.close()
        else:
            self._finish()

    async def wait_closed(self) -> None:
        """See `Executor.wait_closed`."""
        if self._gone is not None:
            await asyncio.shield(self._gone)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if self._gone is not None:
            await _surely(self._gone)

    def _finish(self) -> None:
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    # ----------------------------------------------------------------------------------------------------------- searches

    async def attach(self, recipe: Recipe, listener: Listener) -> Attachment:
        """See `Executor.attach`."""
        if not self.is_open or self._loop is None:
            raise ExecutorError(f"{self!r} is not open: enter it first")
        check_trainable(recipe.trainable)
        attachment = LocalAttachment(self, self._loop, recipe, listener, self._plan)
        self._attachments[attachment] = None
        try:
            await parcel_of(recipe, attachment.keep_parcel)
            attachment.begin()
            await attachment.ready
        except BaseException:
            attachment.close()
            await _surely(attachment.gone)
            raise
        return attachment

    def next_search(self) -> int:
        """See `Host`."""
        self._last_search += 1
        return self._last_search

    def ended_well(self) -> None:
        """See `Host`."""
        self._losses = 0

    def left(self, attachment: LocalAttachment) -> None:
        """See `Host`."""
        self._attachments.pop(attachment, None)

    # ---------------------------------------------------------------------------------------------------------- the family

    def _start_family(self) -> None:
        assert self._loop is not None  # noqa: S101
        self.family = Family(self._loop, self._preload, self._nice, said=self._said, gone=self._family_gone)

    def _said(self, message: RootReady | SearchEnded) -> None:
        if isinstance(message, SearchEnded):
            for attachment in list(self._attachments):
                attachment.search_ended(message)
            return
        if self._rooted is not None and not self._rooted.done():
            self._rooted.set_result(message)
        for attachment in list(self._attachments):
            attachment.begin()

    def _family_gone(self, words: str) -> None:
        self.family = None
        said = f" It said: {words}" if words else ""
        reason = f"the processes that hold the runners were killed, or ended by themselves.{said}"
        for attachment in list(self._attachments):
            attachment.root_ended(reason)
        if self._closing:
            self._finish()
        elif self._replacing:
            self._replacing = False
            self._start_again(reason)
        elif self._rooted is not None and not self._rooted.done():
            self._rooted.set_exception(ExecutorError(f"no process for runners can be started: {reason}"))
        else:
            self._losses += 1
            self._start_again(reason)

    def _start_again(self, reason: str) -> None:
        try:
            if self._losses > _MOST_LOSSES:
                raise ExecutorError(f"{reason} This happened {self._losses} times with no trial ended in between")
            self._start_family()
        except (ExecutorError, OSError) as error:
            if self._rooted is not None and not self._rooted.done():
                self._rooted.set_exception(error)
            for attachment in list(self._attachments):
                attachment.fail(str(error))


async def _surely(future: asyncio.Future[None]) -> None:
    # What is awaited here takes milliseconds and must happen. Whoever cancels us meanwhile is obeyed right after.
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _check(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"LocalExecutor({name}=...) takes {' or '.join(map(repr, choices))}, not {value!r}")
