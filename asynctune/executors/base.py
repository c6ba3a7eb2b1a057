"""What an executor is: a place where runners live, and a bounded set of slots.

An executor belongs to whoever entered it and may serve several searches at once. Each search holds one `Attachment` of it: the
door through which its launches are started, spoken to and ended. The engine calls these methods from the event loop (but for
`Attachment.answer`); those that are not coroutines must never block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from attrs import field, frozen

from asynctune._engine.pool import Pool
from asynctune._engine.record import Record
from asynctune.errors import ExecutorError
from asynctune.messages import Answer, Breach, Ending, MetricsReported, ParametersDeclared, RunTrial, ToRunner, Weight
from asynctune.objective import Goal
from asynctune.policies import CheckpointPolicy, Limits, Resources
from asynctune.records import LaunchNumber, TrialId
from asynctune.space.shape import Shape

__all__ = ["Attachment", "Capabilities", "Executor", "Listener", "Recipe"]


@frozen(kw_only=True)
class Capabilities:
    """What an executor can do. Features ask for these at the start of a search, never for a class.

    Args:
        limits: the names of those of `Limits` that it keeps, from outside the trial and whatever the search does meanwhile.
        exploits: a trial can go on from the checkpoint of another one.
        parks: a trial can wait inside `report()` while its slot is somebody else's, and go on when it is answered again.
        reallocates: a trial can have other resources than the rest, on a slot as wide as several.
        gpus: how many GPUs there are to give.
        logs: what a trial prints is kept, where `asynctune.records.log_name` says.
        asks: it runs nothing: launches are handed to whoever asks for one. So there is no trainable, and nothing is proposed
            before it is asked for.
    """

    limits: frozenset[str] = frozenset()
    exploits: bool = False
    parks: bool = False
    reallocates: bool = False
    gpus: int = 0
    logs: bool = False
    asks: bool = False


@frozen(kw_only=True)
class Recipe:
    """What a search needs of its runners.

    Args:
        trainable: as the user passed it; None where the executor `asks`.
        data: as the user passed it.
        directory: absolute; the root of `logs/`, `trials/` and `checkpoints/`.
        objective: names a bare number, picks the best epoch of a History.
        resources, limits: of every trial.
        checkpoints: when they are due.
        shape: how a trial sees its values.
        temporary: whether the directory is to go, if nobody is left who could remove it.
    """

    trainable: Any
    data: Mapping[str, Any]
    directory: Path
    objective: Goal
    resources: Resources
    limits: Limits
    checkpoints: CheckpointPolicy = field(factory=CheckpointPolicy)
    temporary: bool = False
    shape: Shape = field(factory=Shape)


class Listener(Protocol):
    """Who hears what runners say. Called on the event loop, in the order in which each runner spoke.

    A search drops what comes again, or when the launch is over: an executor on a network need not know what was heard.
    """

    def heard(self, message: ParametersDeclared | MetricsReported) -> None:
        """A trial spoke. Within a launch the `clock` of reports increases; one whose clock does not was heard before."""

    def broke(self, breach: Breach) -> None:
        """A launch has broken a limit of the recipe, and is being ended for it. Said before its end is."""

    def weighed(self, weight: Weight) -> None:
        """A launch that was parked holds so much."""

    def ended(self, ending: Ending) -> None:
        """A launch is over: exactly once for every `start`. Its process can no longer run anything."""

    def failed(self, error: ExecutorError) -> None:
        """No launch of this search can be started any more."""


class Attachment(ABC):
    """One search's hold on an executor."""

    @abstractmethod
    def start(self, order: RunTrial) -> None:
        """Start a launch. Whatever goes wrong is said through `Listener.ended`."""

    @abstractmethod
    def send(self, message: ToRunner) -> None:
        """Pass a message to the launch that it names; dropped when that launch is over."""

    def answer(self, answer: Answer) -> bool:
        """Pass the answer to a report on, at once, from the thread in which it was decided; whether that was done.

        The one method that is not called on the event loop. What was not done (nothing is, unless this is overridden) is
        handed to `send`, on the loop: a trial then waits until the loop comes round.
        """
        return False

    def recorded(self, records: Sequence[Record]) -> None:
        """These were committed, and will be acted on when this returns. For executors that owe somebody an answer."""

    def park(self, trial: TrialId, launch: LaunchNumber) -> None:
        """A launch was told to wait inside `report()`, and its slot is somebody else's. What it holds is to be said through
        `Listener.weighed`, if it is anything. Another answer to the same report lets it go on."""

    @abstractmethod
    def halt(self, trial: TrialId, launch: LaunchNumber, *, reason: str, grace: float) -> None:
        """End a launch: told at once, SIGTERM half a second before `grace` seconds are over (in the middle of them, if they are
        less than one), SIGKILL to all that it has started when they are. Calling it again with a shorter grace shortens it.
        Nothing happens when the launch is over."""

    @abstractmethod
    def close(self) -> None:
        """Kill whatever still runs, at once; start nothing more. May be called more than once, and after the loop was told to
        stop."""

    @abstractmethod
    async def wait_closed(self) -> None:
        """Wait until nothing of this search is left: no process, descriptor or temporary file. Waits on futures only, so that
        it can be cancelled and called again."""


class Executor(ABC):
    """Where runners live. Enter it to share it: `async with LocalExecutor(max_workers=4) as executor: ...`."""

    capabilities: Capabilities
    pool: Pool

    @abstractmethod
    async def open(self) -> None:
        """Make it ready. Called once, before the first `attach`."""

    @abstractmethod
    async def attach(self, recipe: Recipe, listener: Listener) -> Attachment:
        """A door for one search, ready to start launches.

        Raises:
            TrainableError: the trainable cannot travel or cannot be loaded; nothing is left behind.
            ExecutorError: runners cannot be started.
        """

    @abstractmethod
    def close(self) -> None:
        """Kill everything at once. May be called more than once."""

    @abstractmethod
    async def wait_closed(self) -> None:
        """Wait until nothing of the executor is left. Can be cancelled and called again."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether it was opened and not closed."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        await self.wait_closed()
