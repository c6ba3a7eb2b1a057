"""The engine thread: it alone owns the machine and the journal. It decides, then commits; only then is anything acted on.

A batch is whatever was heard while the batch before was decided, so the busier a search is the fewer commits a record costs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from attrs import frozen

from asynctune._engine.futures import failed, settled
from asynctune._engine.journal import Journal
from asynctune._engine.opening import Folded
from asynctune._engine.points import Point, reach
from asynctune._engine.record import Record
from asynctune._engine.threads import SYSTEM, Threads
from asynctune._machine.answers import about
from asynctune._machine.instructions import AnswerReport, DeleteCheckpoint, Instruction
from asynctune._machine.machine import Machine
from asynctune._machine.stimuli import Stimulus
from asynctune.checkpoints import CheckpointStore
from asynctune.errors import JournalCorruptError, JournalError, StorageError
from asynctune.events import ExploitSkipped, Happening
from asynctune.messages import Answer
from asynctune.records import CheckpointKey, Observation, TrialId, TrialView

__all__ = ["Committed", "Decider", "Opened", "Outcome"]

_logger = logging.getLogger("asynctune.engine")
_SLOW = 0.1  # seconds; what asyncio, too, calls slow
_ANSWERING = 0.005  # seconds that a batch's answers may take before the rest of it is said
_WAITS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # seconds between tries to commit; the last one repeats


@frozen
class Committed:
    """What followed from a batch, durable by now.

    Args:
        records: one for each stimulus that was not void.
        instructions: what to do, in order, but for the answers that were given already.
        trials: the trials that changed, as they stand.
        refused: for each stimulus of the batch, why a command was not obeyed, or None.
        said: when the loop was told of it, in seconds of the threads' clock.
    """

    records: list[Record]
    instructions: list[Instruction]
    trials: list[TrialView]
    refused: list[str | None]
    said: float


@frozen
class Opened:
    """What the thread works on: a machine and a journal that stand behind record number `seq`.

    `store` is where checkpoints that nobody needs any more are deleted from; `gone` are those that should be there and are not.
    `observed` is what earlier searches have found.
    """

    machine: Machine
    journal: Journal
    store: CheckpointStore
    folded: Folded
    gone: tuple[CheckpointKey, ...] = ()
    observed: tuple[Observation, ...] = ()


Outcome: TypeAlias = Committed | BaseException


class Decider:
    """Runs `machine.handle` and commits, in a thread of its own.

    Args:
        opening: makes the machine and the journal; called in the thread, which is the only one that ever touches them, and with
            this object, that `takes` the machine before it is told anything.
        threads: where the thread comes from.
    """

    def __init__(self, opening: Callable[[Decider], Opened], threads: Threads = SYSTEM) -> None:
        self._opening = opening
        self._seq = 0
        self._warned = set[TrialId]()
        self.machine: Machine | None = None
        #: Passes the answer to a report on from here, if it can; the loop need not be woken for it first.
        self.answer: Callable[[Answer], bool] | None = None
        self._giving_up = threads.event()
        self._batches = threads.queue()  # of (stimuli, whom to tell), and at last None
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[Opened] = self._loop.create_future()
        self.opened.add_done_callback(lambda future: future.cancelled() or future.exception())  # whoever waited may be gone
        self._ended = self._loop.create_future()
        #: The clock by which it says when.
        self.now = threads.now
        self._thread = threads.thread(self._run, "asynctune-engine")

    def decide(self, batch: Sequence[Stimulus], committed: Callable[[Outcome], None]) -> None:
        """Handle these stimuli and commit what follows; then call `committed` on the loop, with the error if it failed."""
        self._batches.put((batch, committed))

    def takes(self, machine: Machine) -> None:
        """Whom this machine asks, and for how long, is known from now on."""
        machine.consult.stopwatch = self.now
        self.machine = machine

    def asking(self) -> tuple[str, float] | None:
        """The plugin hook that is being asked at this moment, if one is, and for how many seconds so far."""
        asked = self.machine.consult.asking if self.machine is not None else None
        return None if asked is None else (asked[0] + about(asked[2]), self.now() - asked[1])

    def give_up(self) -> None:
        """Do not try again what cannot be committed: the search is being closed."""
        self._giving_up.set()

    @property
    def is_giving_up(self) -> bool:
        """Whether whoever wanted this has gone."""
        return self._giving_up.is_set()

    def join(self) -> None:
        """Wait for the thread, which has said its last word."""
        self._thread.join()

    def stop(self) -> asyncio.Future[None]:
        """Close the journal and end the thread. The future is done when both are."""
        self._giving_up.set()
        self._batches.put(None)
        return self._ended

    # --------------------------------------------------------------------------------------------- in the thread

    def _run(self) -> None:
        try:
            opened = self._opening(self)
        except BaseException as error:  # noqa: BLE001 -- whatever it is, whoever opens the search must hear of it
            self._say(failed(self.opened), error)
        else:
            reach(Point.OPENED)
            self._say(settled(self.opened), opened)
            try:
                self._work(opened)
            finally:
                reach(Point.CLOSING, opened.journal)
                self._close(opened.journal)
        finally:
            self._say(settled(self._ended), None)

    def _close(self, journal: Journal) -> None:
        try:
            journal.close()
        except Exception:  # every record was flushed as it was committed, so nothing is lost
            _logger.exception("the journal could not be closed properly")

    def _work(self, opened: Opened) -> None:
        self._seq = opened.folded.seq
        while (item := self._batches.get()) is not None:
            batch, committed = item
            try:
                outcome = self._decide(opened.machine, opened.journal, batch)
            except BaseException as error:  # noqa: BLE001 -- the machine cannot be used any more, and the loop must know
                self._say(committed, error)
                continue
            reach(Point.TOLD)
            self._say(committed, outcome)
            for instruction in outcome.instructions:
                if isinstance(instruction, DeleteCheckpoint):
                    reach(Point.DELETING)
                    self._delete(opened.store, instruction)

    def _say(self, hear: Callable[[Any], object], what: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(hear, what)
        except RuntimeError:  # the loop was closed under a search that nobody left; there is nobody to tell
            _logger.warning("the event loop was closed before the search was: what it was told last was not answered")

    def _decide(self, machine: Machine, journal: Journal, batch: Sequence[Stimulus]) -> Committed:
        records, instructions, touched = list[Record](), list[Instruction](), dict[TrialId, None]()
        refused: list[str | None] = []
        for stimulus in batch:
            decision = machine.handle(stimulus)
            refused.append(decision.refused)
            instructions += decision.instructions
            if decision.void:
                continue
            if machine.consult.took > _SLOW:
                took, hook = machine.consult.slowest
                cause = type(stimulus).__name__
                _logger.warning("%s took %.2f s to answer to %s, and every trial waited for it", hook, took, cause)
            seq = self._seq + len(records) + 1
            records.append(Record(seq=seq, stimulus=stimulus, happened=decision.happened, answers=decision.answers))
            touched.update((event.trial, None) for event in decision.happened if hasattr(event, "trial"))
            self._warn(decision.happened)
        trials = [machine.book.view(machine.book.trials[trial]) for trial in touched]
        if records:
            self._commit(journal, records, trials)
            reach(Point.COMMITTED)
        return Committed(records, self._without_answers(instructions), trials, refused, self.now())

    def _warn(self, happened: Sequence[Happening]) -> None:
        """Say, once for each trial, that it could not go on as another one."""
        for event in happened:
            if isinstance(event, ExploitSkipped) and event.trial not in self._warned:
                self._warned.add(event.trial)
                _logger.warning(
                    "trial %d was to go on as trial %d, which has saved no checkpoint yet", event.trial, event.source
                )

    def _without_answers(self, instructions: list[Instruction]) -> list[Instruction]:
        """Give the answers among these, and return the rest. What takes too long is left to the loop, which waits to hear."""
        until = self.now() + _ANSWERING
        return [each for each in instructions if not (isinstance(each, AnswerReport) and self._answered(each.answer, until))]

    def _answered(self, answer: Answer, until: float) -> bool:
        if self.answer is None or self.now() > until:
            return False
        try:
            return self.answer(answer)
        except Exception:  # an executor may be anybody's, and what is committed must be published whatever it does
            _logger.exception("the answer to trial %s was not passed on at once", answer.trial)
            return False

    def _commit(self, journal: Journal, records: list[Record], trials: list[TrialView]) -> None:
        tries = 0
        while True:
            try:
                journal.append(records, trials)
            except JournalCorruptError:  # no time mends it
                raise
            except JournalError as error:
                wait = _WAITS[min(tries, len(_WAITS) - 1)]
                _logger.warning("%s. Nothing goes on until it can; trying again in %g s", error, wait)
                tries += 1
                if self._giving_up.wait(wait):
                    raise
            else:
                self._seq += len(records)
                return

    @staticmethod
    def _delete(store: CheckpointStore, instruction: DeleteCheckpoint) -> None:
        try:
            store.delete(instruction.key)
        except (OSError, StorageError) as error:  # it is swept when the search is opened again
            _logger.warning("the checkpoint %s could not be deleted: %s", instruction.key, error)
