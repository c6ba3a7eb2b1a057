"""The life of a search, from the first file that is opened to the last process that is reaped, in one task.

Opening, running and shutting down are one coroutine, so whatever ends it (the last trial, an error, a cancellation of whoever
waits, the loop's own shutdown) ends in the same few lines, and they do not stop before nothing is left.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, closing, suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from weakref import WeakSet

from anyio import CancelScope

from asynctune._engine.actor import OracleActor
from asynctune._engine.apart.caller import ApartCaller
from asynctune._engine.clock import SearchClock
from asynctune._engine.decider import Committed, Decider, Opened
from asynctune._engine.ear import Ear
from asynctune._engine.futures import settled
from asynctune._engine.journal import DiskJournal, Journal, MemoryJournal, read_records
from asynctune._engine.loop import OracleCoroutine
from asynctune._engine.opening import check_settings, fold, fresh, history, missing, referenced
from asynctune._engine.patience import persist, until_ended, until_opened
from asynctune._engine.publication import Publication
from asynctune._engine.record import Record
from asynctune._engine.removal import check_removable, remove_search
from asynctune._machine import stimuli
from asynctune._machine.consult import Divergence
from asynctune._machine.stimuli import Settings, Stimulus
from asynctune.checkpoints import DirectoryStore
from asynctune.errors import ConfigurationError, ResumeError, SearchError
from asynctune.executors.base import Attachment, Executor, Recipe
from asynctune.listening import Audience
from asynctune.observers.base import Trials, Watched
from asynctune.request import Request, new_seed
from asynctune.results import Result
from asynctune.space import Space
from asynctune.warm_start import Unasked

__all__ = ["Life"]

_logger = logging.getLogger("asynctune.search")
_OWNED = WeakSet[Executor]()  # executors that a search has opened for itself, and will close
with suppress(ImportError):  # a private name; without it, anyio imports this in the loop when the first search is left
    import_module("anyio._backends._asyncio")
_VERSION = version("asynctune")  # found by reading files, which the loop should not do
_ACTOR_PATIENCE = 1.0  # seconds that an oracle which is being asked gets to come back, when the search is over


class Life:
    """Runs one request on one executor, once. Made in the event loop, which it starts living in at once."""

    def __init__(self, request: Request, executor: Executor) -> None:
        self._request, self._executor = request, executor
        self._owns_executor = False
        self._ear = Ear()
        self._memory = MemoryJournal()
        self.temporary = request.storage is None
        self.directory = request.storage or Path(tempfile.mkdtemp(prefix="asynctune-"))
        self.publication = Publication(self._read)
        self.divergences: list[Divergence] = []
        self.error: BaseException | None = None
        self.heard = False
        self.seed = 0
        self.left = False
        self._result: Result | None = None
        self._decider: Decider | None = None
        self._coroutine: OracleCoroutine | None = None
        self._actor: OracleActor | None = None
        self._attachment: Attachment | None = None
        self._audience: Audience | None = None
        self._clock: SearchClock | None = None
        self._leaving = 0
        self._ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(), name="asynctune-search")

    # ------------------------------------------------------------------------------------------------- from outside

    async def wait_ready(self) -> None:
        """Wait until it is open, or raise what kept it from being."""
        await asyncio.shield(self._ready)
        if self.error is not None and self._coroutine is None:
            raise self.error

    @property
    def over(self) -> bool:
        """Whether `result()` has nothing to wait for."""
        return self._task.done()

    async def result(self) -> Result:
        """Wait until it is over and nothing of it is left, or raise what ended it."""
        await asyncio.wait([self._task])
        self._task.result()
        self.heard = True
        if self.error is not None:
            raise self.error
        if self._result is None:
            raise SearchError("the search was left before it was over; it can be resumed")
        return self._result

    @property
    def attachment(self) -> Attachment | None:
        """Its hold on the executor; None when there was nothing to do."""
        return self._attachment

    async def command(self, make: Callable[[float], Stimulus]) -> None:
        """Have a user's command handled."""
        if self._coroutine is None:
            raise ConfigurationError("the search is over")
        await self._coroutine.command(make(self._coroutine.now()))

    async def leave(self, reason: str) -> None:
        """End it, if it is not over, and wait until nothing is left. Cancelling this takes the grace away, and nothing else."""
        cancelled: asyncio.CancelledError | None = None
        self._close(reason)
        with CancelScope(shield=True):
            while not self._task.done():
                try:
                    await asyncio.wait([self._task])
                except asyncio.CancelledError as error:
                    cancelled = error
                    self._close(reason)
        self._task.result()
        if cancelled is not None:
            raise cancelled

    def discard(self) -> None:
        """Nobody will hear the result: what it keeps is removed now, not when the garbage collector comes by."""
        if self._result is not None and not self.heard:
            self._result.close()

    def _close(self, reason: str) -> None:
        self._leaving += 1
        if self._audience is not None and self._leaving > 1:
            self._audience.hurry()
        if self._coroutine is not None:
            self._coroutine.close(reason, now=self._leaving > 1)
        elif not self._task.done():
            self._task.cancel()

    # ----------------------------------------------------------------------------------------------------- the life

    async def _live(self) -> None:
        try:
            await self._open()
            if self._coroutine is not None:
                await self._coroutine.run()
        except asyncio.CancelledError:
            self.error = self.error or SearchError("the search was cancelled while it was opened")
        except BaseException as error:  # noqa: BLE001 -- it is raised where the search is awaited
            self.error = error
        finally:
            await self._shut()

    async def _open(self) -> None:
        if self._request.overwrite and self._request.storage is not None:
            # What is there is removed once what takes its place is known to load, and who watches it to have no objection. But
            # both write there, too.
            apart = ThreadPoolExecutor(1)
            try:
                await asyncio.get_running_loop().run_in_executor(apart, check_removable, self._request.storage)
            finally:
                apart.shutdown(wait=False)  # whoever is cancelled meanwhile does not block the loop until it has looked
            await self._gather(None)
            await self._attach()
        self._decider = Decider(self._opening)
        opened = await until_opened(self._decider)
        recorded = opened.machine.settings if opened.folded.seq else None
        settings = self._settings(recorded)
        self.seed = settings.seed
        if recorded is not None and recorded.scheduler == settings.scheduler:
            self._diverged(opened.machine.consult.divergences)
        self.publication.start(opened.folded.seq, [opened.machine.book.view(t) for t in opened.machine.book.trials.values()])
        clock = self._clock = SearchClock(opened.folded.at)
        if self._audience is None:
            await self._gather(None if recorded is None else opened.machine.space)
        grace = self._request.limits.grace
        coroutine = OracleCoroutine(clock, self._decider, self._executor.pool, self._publish, grace)
        if recorded is None:
            # A new search is written down once its trainable is known to load: a first mistake leaves nothing to resume.
            await self._attach()
        adopts = recorded is not None and recorded.oracle != settings.oracle
        past = history(opened.folded, settings, self._request.space, opened.machine.space, adopt=adopts)
        assert self._audience is not None  # noqa: S101
        self._audience.start()
        now, wall, first = clock.now(), time.time(), self._request.first(settings.seed) if recorded is None else ()
        opening = stimuli.Opened(
            at=now, wall=wall, version=_VERSION, settings=settings, gone=opened.gone, observed=opened.observed, first=first
        )
        self.publication.subscribe(Unasked(first, self.publication.trials).look)
        self._ear.coroutine = coroutine  # not before: the opening is the first thing that a machine can be told
        await coroutine.open(opening)
        if self._ear.failure is not None:  # said before anybody could hear it
            coroutine.failed(self._ear.failure)
        if coroutine.is_wanted:
            await self._attach()
            oracle = self._request.oracle
            self._actor = OracleActor(
                oracle,
                past,
                caller=ApartCaller(oracle, self.directory, temporary=self.temporary) if oracle.apart else None,
                answered=coroutine.answered,
                failed=coroutine.oracle_failed,
                diverged=self._diverged,
            )
            assert self._attachment is not None  # noqa: S101
            coroutine.go(self._attachment, self._actor, learns=oracle.learns)
        self._coroutine = coroutine
        settled(self._ready)(None)

    async def _gather(self, found: Space | None) -> None:
        """Let the observers in, and have each say whether it can do its work. They may block, so they are asked in threads."""

        def watched() -> Watched:
            return Watched(
                objective=self._request.objective,
                space=self._request.space if found is None else found,
                directory=self.directory,
                max_trials=self._request.max_trials,
                workers=self._executor.pool.size,
                trials=Trials(self.publication.trials),
                now=0.0 if self._clock is None else self._clock.now(),
                resumed=found is not None,
                event=self.publication.event,
            )

        self._audience = Audience(self._request.observers, self.publication, watched)
        await self._audience.check()

    async def _attach(self) -> None:
        if self._attachment is not None:
            return
        if not self._executor.is_open or self._executor in _OWNED:
            if self._executor in _OWNED:
                message = "this executor was not entered, and belongs to the search that opened it"
                raise ConfigurationError(f"{message}: to share it, write `async with {type(self._executor).__name__}(...)`")
            _OWNED.add(self._executor)
            self._owns_executor = True
            await self._executor.open()
        recipe = Recipe(
            trainable=self._request.trainable,
            data=self._request.data,
            directory=self.directory,
            objective=self._request.objective,
            resources=self._request.resources,
            limits=self._request.limits,
            checkpoints=self._request.checkpoints,
            temporary=self.temporary,
            shape=self._request.space.shape,
        )
        self._attachment = await self._executor.attach(recipe, self._ear)

    def _settings(self, recorded: Settings | None) -> Settings:
        seed = self._request.seed
        if seed is None:
            seed = recorded.seed if recorded is not None else new_seed()
        return self._request.settings(self._executor, seed)

    # ------------------------------------------------------------------------------------------- in the engine thread

    def _opening(self, decider: Decider) -> Opened:
        request = self._request
        store = DirectoryStore(self.directory / "checkpoints")
        observed = request.observed() if request.overwrite else ()  # it may be what is about to be removed
        if request.overwrite and request.storage is not None:
            remove_search(request.storage)
        journal: Journal = self._memory if request.storage is None else DiskJournal(request.storage, self._check_found)
        try:
            machine = fresh(request.scheduler, request.stoppers, self.directory, request.space)
            decider.takes(machine)
            # A cursor that nobody has closed would hold the files, for as long as the error is known that has left it open.
            with closing(_while_wanted(journal.records(), decider)) as records:
                folded = fold(machine, records)
            self._check_found(machine.settings if folded.seq else None)  # what was looked at may have been replaced since
            journal.settle([machine.book.view(t) for t in machine.book.trials.values()])
            store.sweep(referenced(machine))
            if not folded.seq and not request.overwrite:
                observed = request.observed()
            return Opened(machine, journal, store, folded, missing(machine, store), observed)
        except BaseException:
            journal.close()
            raise

    def _check_found(self, recorded: Settings | None) -> None:
        request = self._request
        if recorded is None:
            if request.resume in ("must", "adopt"):
                raise ResumeError(f'there is no search in {request.storage} to resume: resume="auto" starts one')
            return
        if request.resume == "never":
            choices = 'resume="auto" goes on with it, overwrite=True replaces it'
            raise ResumeError(f"{request.storage} holds a search already: {choices}; or use another directory")
        check_settings(recorded, self._settings(recorded), adopt=request.resume == "adopt")

    def _read(self, after: int, limit: int) -> list[Record]:
        storage = self._request.storage
        return self._memory.read(after, limit) if storage is None else read_records(storage, after, limit)

    # ---------------------------------------------------------------------------------------------------- on the loop

    def _publish(self, committed: Committed) -> None:
        self.publication.publish(committed.records, committed.trials)
        if self._attachment is not None:
            self._attachment.recorded(committed.records)

    def _diverged(self, divergences: list[Divergence]) -> None:
        self.divergences += divergences
        for one in divergences:
            who = f"{one.plugin}.{one.hook}"
            _logger.warning("%s now answers %s for trial %s; recorded, and kept, is %s", who, one.now, one.trial, one.recorded)

    # ---------------------------------------------------------------------------------------------------- shutting down

    async def _shut(self) -> None:
        """Leave nothing. Cancellations are too late to change anything here, and only take waiting away.

        Every part is let go of, whatever the others raise.
        """
        try:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(self._stop_decider)
                stack.push_async_callback(self._stop_actor)
                stack.push_async_callback(self._close_executor)
                stack.push_async_callback(self._close_attachment)
        except BaseException as error:  # noqa: BLE001 -- an executor of somebody else's may raise anything
            self.error = self.error or error
        self.publication.end()
        if self._audience is not None:
            await persist(self._audience.finish)
        self._conclude()
        settled(self._ready)(None)

    async def _close_attachment(self) -> None:
        if self._attachment is not None:
            self._attachment.close()
            await persist(self._attachment.wait_closed)
        if self._ear.coroutine is not None:
            self._ear.coroutine.release_all()

    async def _close_executor(self) -> None:
        if self._owns_executor:
            _OWNED.discard(self._executor)
            self._executor.close()
            await persist(self._executor.wait_closed)

    async def _stop_decider(self) -> None:
        if self._decider is not None:
            await until_ended(self._decider)

    async def _stop_actor(self) -> None:
        if self._actor is None:
            return
        ended = self._actor.stop()

        async def patiently() -> None:
            await asyncio.wait([ended], timeout=_ACTOR_PATIENCE)

        await persist(patiently)
        if ended.done():
            self._actor.join()
        else:
            _logger.warning("%s has not returned; its thread is left behind until it does", type(self._request.oracle).__name__)

    def _conclude(self) -> None:
        coroutine = self._coroutine
        end, blamed = (None, None) if coroutine is None else (coroutine.end, coroutine.blamed)
        self.error = self.error or (None if coroutine is None else coroutine.error)
        if self.error is None and end is not None and end.error is not None:
            self.left = end.error == "SearchError"
            kept = "" if self.temporary else "; what was recorded is kept, and the search can be resumed"
            self.error = end.as_error(kept if self.left else "", blamed)
        if self.error is None and end is not None:
            self._result = Result(
                trials=self.publication.trials.values(),
                objective=self._request.objective,
                reason=end.reason,
                directory=self.directory,
                temporary=self.temporary,
            )
        elif self.temporary:
            shutil.rmtree(self.directory, ignore_errors=True)


def _while_wanted(found: Generator[Record, None, None], decider: Decider) -> Generator[Record, None, None]:
    """The records, until whoever opens the search has gone."""
    with closing(found) as records:
        for record in records:
            if decider.is_giving_up:
                raise SearchError("the search was left while it was opened")
            yield record
