"""One search's hold on a local executor: its zygote, started again when it dies, and its runners.

But for `answer`, everything here happens in callbacks of the event loop; there is no task that could be cancelled, and
nothing waits.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import deque
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from attrs import evolve

from asynctune._engine.tail import tail_of
from asynctune._runner.orders import (
    Attach,
    Broken,
    Detach,
    Dump,
    ForkFailed,
    FromSearch,
    Mode,
    Plan,
    Ready,
    RunnerBroke,
    RunnerEnded,
    SearchEnded,
    Serving,
    Unclean,
)
from asynctune.errors import ExecutorError, TrainableError, WireError
from asynctune.executors._ends import how
from asynctune.executors._family import Family
from asynctune.executors._fleet import Fleet
from asynctune.executors._gpus import Gpus
from asynctune.executors._post import Post
from asynctune.executors._start_up import StartUp
from asynctune.executors.base import Attachment, Listener, Recipe
from asynctune.failure import Failure, FailureKind
from asynctune.messages import Answer, Ending, Lost, RunTrial, ToRunner, TrialLeft, TrialRaised
from asynctune.records import LaunchNumber, TrialId
from asynctune.wire import decode

__all__ = ["Host", "LocalAttachment"]

_log = logging.getLogger("asynctune.executors")

_LOG = Path("logs", "zygote.log")
# How often a zygote is started again when no launch has ended well in between.
_MOST_LOSSES = 3


class Host(Protocol):
    """The executor, as an attachment needs it."""

    family: Family | None
    gpus: Gpus

    def next_search(self) -> int:
        """A number for a search's zygote."""

    def ended_well(self) -> None:
        """A launch ended otherwise than by a loss."""

    def left(self, attachment: LocalAttachment) -> None:
        """Nothing of this attachment is left."""


class _State(Enum):
    LOADING = "loading"
    SERVING = "serving"
    FAILED = "failed"
    CLOSED = "closed"


class LocalAttachment(Attachment):
    """One search's hold on a `LocalExecutor`.

    Args:
        host: the executor.
        loop: the running one.
        recipe: of the search.
        listener: hears what runners say.
        plan: how its first zygote is to work.
    """

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop, recipe: Recipe, listener: Listener, plan: Plan) -> None:
        self._host = host
        self._loop = loop
        self._recipe = recipe
        self._listener = listener
        self._plan = plan
        self._state = _State.LOADING
        self._parcel = -1
        self._control: Post | None = None
        #: The number of the zygote that we speak to; those of `_living` have not been seen to end yet.
        self._search: int | None = None
        self._living: set[int] = set()
        self._fleet = Fleet(loop, self, listener, recipe, host.gpus)
        #: Orders that came while there was no zygote.
        self._waiting: deque[RunTrial] = deque()
        self._losses = 0
        self._start_up = StartUp(loop, recipe.limits.start_up, recipe.directory / _LOG, self._dump, self._late)
        self.ready: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()

    def __repr__(self) -> str:
        return f"<LocalAttachment {self._state.value}, {self._fleet!r}>"

    # ------------------------------------------------------------------------------------------------- the search's calls

    def start(self, order: RunTrial) -> None:
        """See `Attachment.start`."""
        if self._state is _State.SERVING:
            self._launch(order)
        elif self._state is _State.LOADING:
            self._waiting.append(order)
        else:
            self._loop.call_soon(self._listener.ended, _lost(order, "the executor was closed"))

    def send(self, message: ToRunner) -> None:
        """See `Attachment.send`."""
        self._fleet.send(message)

    def answer(self, answer: Answer) -> bool:
        """See `Attachment.answer`."""
        return self._fleet.answer(answer)

    def halt(self, trial: TrialId, launch: LaunchNumber, *, reason: str, grace: float) -> None:
        """See `Attachment.halt`."""
        self._fleet.halt(trial, launch, reason=reason, grace=grace)
        for order in self._waiting:
            if (order.trial, order.launch) == (trial, launch):
                self._waiting.remove(order)
                self._loop.call_soon(self._listener.ended, TrialLeft(trial=trial, launch=launch))
                return

    def close(self) -> None:
        """See `Attachment.close`."""
        if self._state is _State.CLOSED:
            return
        self._state = _State.CLOSED
        if self._host.family is not None:
            for search in self._living:
                self._host.family.send(Detach(search=search))
        self._hang_up()
        self._waiting.extend(self._fleet.abandon())
        if self._parcel >= 0:
            os.close(self._parcel)
            self._parcel = -1
        if not self.ready.done():
            self.ready.set_exception(ExecutorError("the executor was closed"))
            self.ready.exception()  # if nobody waits for it, nobody has missed it
        self._leave()

    def abandon(self, reason: str) -> None:
        """The executor closes under the search."""
        if self._state is not _State.CLOSED:
            self.close()
            self._listener.failed(ExecutorError(reason))

    async def wait_closed(self) -> None:
        """See `Attachment.wait_closed`."""
        await asyncio.shield(self.gone)

    def _dump(self) -> None:
        """Have the zygote write its stacks to its log."""
        if self._host.family is not None and self._search is not None:
            self._host.family.send(Dump(search=self._search))

    # -------------------------------------------------------------------------------------------------------- the zygote

    def keep_parcel(self, parcel: int) -> None:
        """Own the descriptor of the search's parcel."""
        if self._state is _State.CLOSED:
            os.close(parcel)
        else:
            self._parcel = parcel

    def begin(self) -> None:
        """Have a zygote forked, by the plan. Called by the executor too, when there is a root again."""
        family = self._host.family
        if family is None or self._parcel < 0 or self._search is not None or self._state is not _State.LOADING:
            return
        try:
            parcel = os.dup(self._parcel)
            try:
                ours, theirs = socket.socketpair()
            except OSError:
                os.close(parcel)
                raise
        except OSError as error:
            self.fail(f"no descriptors for a zygote: {error}")
            return
        number = self._search = self._host.next_search()
        self._living.add(number)
        self._control = Post(self._loop, ours, self)
        if self._recipe.temporary:
            family.entrust(self._recipe.directory)
        family.send(Attach(search=number, plan=self._plan), (theirs.detach(), parcel))
        self._start_up.begin()

    def heard(self, body: bytes) -> None:
        """The zygote spoke."""
        try:
            message: Any = decode(body, FromSearch)
            if isinstance(message, RunnerEnded):
                self._runner_ended(message)
            elif isinstance(message, RunnerBroke):
                self._fleet.breached(message)
            elif isinstance(message, ForkFailed):
                self._fleet.fork_failed(message)
        except (WireError, KeyError) as error:
            self._distrust(error)
            return
        if isinstance(message, Serving | Unclean | Broken):
            self._start_up.over()
        if isinstance(message, Serving):
            if self._plan.mode is Mode.SPAWN:
                self._try_to_spawn()
            else:
                self._serve()
        elif isinstance(message, Unclean):
            self._replan(message)
        elif isinstance(message, Broken):
            self._broken(message)

    def hung_up(self, error: WireError | None) -> None:
        """Its socket has ended. The root will say when the process has, and all that it held."""
        if error is not None:
            self._distrust(error)

    def _distrust(self, error: Exception) -> None:
        _log.error("the zygote of a search sent what makes no sense, and is replaced: %r", error)
        if self._host.family is not None and self._search is not None:
            self._host.family.send(Detach(search=self._search))

    def _serve(self) -> None:
        self._state = _State.SERVING
        if not self.ready.done():
            self.ready.set_result(None)
        while self._waiting and self._state is _State.SERVING:
            self._launch(self._waiting.popleft())

    def _replan(self, unclean: Unclean) -> None:
        reasons = "; ".join(unclean.reasons)
        if self._plan.mode is Mode.SHARED:
            self._plan = evolve(
                self._plan,
                mode=Mode.LIBRARIES,
                libraries=unclean.libraries,
                environment=unclean.environment,
                data_in_runner=not unclean.data_clean,
            )
            _log.info("the trainable cannot be loaded once for all trials (%s): each trial loads it itself", reasons)
        else:
            self._plan = evolve(self._plan, mode=Mode.SPAWN, reuse=True)
            text = "no process can be forked for this search (%s): its trials run in new interpreters, which are reused"
            _log.warning(text + ", so a trial can find what an earlier one left in its modules", reasons)
        self._hang_up()
        self.begin()

    def _broken(self, broken: Broken) -> None:
        text = f"the trainable cannot be loaded: {broken.message.removeprefix('TrainableError: ')}"
        if self.ready.done():
            self.fail(f"{text}\n{broken.traceback}".rstrip())
            return
        error = TrainableError(text)
        error.add_note(broken.traceback)
        self.ready.set_exception(error)

    def _late(self, stacks: str) -> None:
        self._broken(Broken(message=f"it was not within Limits(start_up={self._recipe.limits.start_up:g})", traceback=stacks))

    def search_ended(self, message: SearchEnded) -> None:
        """A zygote of this search is gone, and all that it held."""
        self._living.discard(message.search)
        if self._state is _State.CLOSED:
            self._leave()
        elif message.search == self._search:
            reason = f"the search's zygote {message.refused or how(message.exit_code, message.signal)}"
            self._lose(reason)
            if self.ready.done():
                self.begin()
            elif message.refused is not None:
                self.fail(reason)
            else:
                tail = tail_of(self._recipe.directory / _LOG)
                self._broken(Broken(message=f"{reason}. Its last output: {tail or 'none'}", traceback=""))

    def root_ended(self, reason: str) -> None:
        """Every process is gone. `begin` will be called when there is a root again."""
        self._living.clear()
        if self._state is _State.CLOSED:
            self._leave()
        else:
            self._lose(reason)

    def _lose(self, reason: str) -> None:
        # Nothing of the zygote is left. What it has still said is heard; the rest was lost through nobody's fault.
        if self._control is not None:
            self._control.drain()
        self._hang_up()
        if self._state is _State.SERVING:
            self._state = _State.LOADING
        self._fleet.lost(reason)
        self._losses += 1
        if self._losses > _MOST_LOSSES and self._state is _State.LOADING:
            self.fail(f"{reason}, {self._losses} times with no trial ended in between{self._fleet.suspected}")

    def fail(self, reason: str) -> None:
        """Nothing more can be started."""
        self._state = _State.FAILED
        error = ExecutorError(f"no more trials can be started: {reason}")
        if not self.ready.done():
            self.ready.set_exception(error)
            return
        while self._waiting:
            self._listener.ended(_lost(self._waiting.popleft(), reason))
        self._listener.failed(error)

    def _hang_up(self) -> None:
        self._search = None
        self._start_up.over()
        if self._control is not None:
            self._control.close()
            self._control = None

    def _leave(self) -> None:
        if self._living or self.gone.done():
            return
        self.gone.set_result(None)
        if self._recipe.temporary and self._host.family is not None:
            self._host.family.take_back(self._recipe.directory)
        self._host.left(self)
        while self._waiting:
            self._listener.ended(_lost(self._waiting.popleft(), "the executor was closed"))

    # ------------------------------------------------------------------------------------------------------- the runners

    def _launch(self, order: RunTrial) -> None:
        try:
            self._fleet.launch(order, self._plan)
        except (OSError, WireError) as error:
            failure = Failure(kind=FailureKind.REFUSED, message=f"no process could be started for it: {error}")
            refused = TrialRaised(trial=order.trial, launch=order.launch, failure=failure)
            self._loop.call_soon(self._listener.ended, refused)

    def _try_to_spawn(self) -> None:
        # The first interpreter shows whether the trainable can be loaded at all, before any trial is started.
        try:
            self._fleet.probe(self._plan)
        except OSError as error:
            self.fail(str(error))

    def _runner_ended(self, message: RunnerEnded) -> None:
        self._fleet.ended(message)
        if self._state is _State.LOADING and not self.ready.done():
            self._broken(Broken(message=f"the first interpreter {how(message.exit_code, message.signal)}", traceback=""))

    def order(self, body: bytes, descriptors: tuple[int, ...] = ()) -> None:
        """See `Keeper`."""
        if self._control is not None:
            self._control.send(body, descriptors)
        else:
            for descriptor in descriptors:
                os.close(descriptor)

    def catch_up(self) -> None:
        """See `Keeper`."""
        if self._control is not None:
            self._control.drain()

    def probed(self, hello: Ready | Broken) -> None:
        """See `Keeper`."""
        if isinstance(hello, Broken):
            self._broken(hello)
        elif self._state is _State.LOADING:
            self._serve()

    def over(self, ending: Ending) -> None:
        """See `Keeper`."""
        if not isinstance(ending, Lost):
            self._losses = 0
            self._host.ended_well()
        self._listener.ended(ending)


def _lost(order: RunTrial, reason: str) -> Lost:
    return Lost(trial=order.trial, launch=order.launch, reason=reason)
