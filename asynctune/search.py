"""The search: what you hold in your hand, or await.

`search()` is a `Search` entered, awaited and left. `run()` is `search()` in a loop of its own, for scripts: it shows its
progress, and handles Ctrl-C and SIGTERM.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypedDict, Unpack

from asynctune._machine import stimuli
from asynctune._machine.consult import Divergence
from asynctune._machine.stimuli import Stimulus
from asynctune.errors import ConfigurationError
from asynctune.events import Event
from asynctune.executors.base import Executor
from asynctune.executors.external import External, ExternalAttachment, Launch
from asynctune.executors.local import LocalExecutor
from asynctune.life import Life
from asynctune.objective import Goal
from asynctune.observers.base import Observer
from asynctune.oracles.base import Oracle
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limits, Parking, Resources
from asynctune.records import TrialId, TrialView
from asynctune.request import Request
from asynctune.results import Result
from asynctune.schedulers.base import Scheduler
from asynctune.seeds import derive

__all__ = ["Search", "SearchOptions", "check_names", "search"]


class SearchOptions(TypedDict, total=False):
    """The keyword arguments of `Search`, for those that pass them on. `objective` is required."""

    objective: Goal | str | Sequence[Goal | str]
    oracle: Oracle | str | None
    scheduler: Scheduler | str | None
    stop: Any
    max_trials: int | None
    failure: FailurePolicy | None
    limits: Limits | None
    checkpoints: CheckpointPolicy | None
    parking: Parking | None
    resources: Resources | None
    executor: Executor | None
    data: Mapping[str, Any] | None
    storage: str | Path | None
    resume: str
    overwrite: bool
    seed: int | None
    warm_start: Any
    try_first: Sequence[Mapping[str, Any]]
    new_entries: Literal["tune", "default", "refuse"]
    observers: Sequence[Observer]
    display: bool | None


P = ParamSpec("P")


def _names_checked(init: Callable[P, None]) -> Callable[P, None]:
    """A misspelled argument is told as `search()` tells it, and type checkers see the arguments as they are."""

    @functools.wraps(init)
    def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        check_names("Search()", kwargs)
        init(*args, **kwargs)

    return checked


class Search:
    """One search, held in the hand: `async with Search(train, ...) as search: ...`.

    It runs in the background from the moment it is entered. When the block is left before the search is over, what runs is set
    aside, to be resumed; when it is left, no process, descriptor, thread or temporary file of the search remains.

    Args:
        trainable: what a trial runs: a function of one argument, a subclass of `Trainable`, or "package.module:name". The
            function's argument is the trial; or,
            when it is named `hp`, the hyperparameters alone; or, when it is named `config`, the values as a plain dict.
        space: a dict from names to domains (nested dicts allowed), a `Space`, or None when trials name their parameters.
        objective: an `Objective`, a name whose direction Keras defines ("val_accuracy"), or a list of these; see `Objectives`.
            The first report must carry it.
        oracle: proposes; `RandomSearch()` by default. Where it needs no arguments, its name will do: "grid_search".
        scheduler: judges; `FIFO()` by default; or a name. Installed packages can register names of their own for both, under
            the entry point groups `asynctune.oracles` and `asynctune.schedulers`.
        stop: a stopper, a function of (trial, report), a dict of limits such as `{"step": 100, "loss": 0.1}`, or a list of
            these. `asynctune.stoppers` has them.
        max_trials: how many trials may be proposed, over all the times the search is opened; None for no limit.
        failure, limits, checkpoints, parking, resources: policies; see each.
        executor: where trials run; `LocalExecutor()` by default. One that you entered is shared and outlives the search.
        data: named objects, loaded once and mapped into every trial as `trial.data["name"]`.
        storage: a directory to be durable and resumable in ("~" is your home); None keeps the search in memory.
        resume: what to do about a search that is there already. "auto" goes on with it; "must" wants one; "never" refuses one;
            "adopt" goes on with another oracle or scheduler than the recorded one.
        overwrite: remove the search that is there, and none of your own files beside it, and start a new one.
        seed: of everything that is drawn; None draws one, once.
        warm_start: what earlier searches have found, for the oracle to know: a search's directory (it may still run), or a
            `Result`, or a table. That is a list of dicts, or a data frame, with a column for each parameter and one for the
            score, named as the objective, or "score"; `Result.to_dicts()` is one. A score that is missing, or no finite
            number, is none. The oracle is told of them as trials -1, -2, ...; they are no trials of this search, and may be
            tried again. It is read and recorded when the search is first opened; when it is resumed, what was recorded counts.
        try_first: dicts of values, nested or flat, to be tried before the first proposal. What they leave out is drawn. They
            count as trials. When the search is resumed, they have been added already.
        new_entries: what becomes of a parameter that a trial names and `space` has not. "tune" adds it to the space; "default"
            gives it its default in every trial; "refuse" ends the search with a SpaceError, and it can be resumed. The last two
            need `space`.
        observers: told of everything that happens, each in a thread of its own; see `Observer`. They are not copied. One that
            cannot do its work (its file is somebody else's) raises ConfigurationError when the search is entered.
        display: show what goes on, as `observers=[Display()]` does. None is False here, and True in `run()`.

    Raises:
        ConfigurationError: an argument cannot work; nothing was started.
    """

    @_names_checked
    def __init__(
        self,
        trainable: Any = None,
        space: Any = None,
        *,
        objective: Goal | str | Sequence[Goal | str],
        oracle: Oracle | str | None = None,
        scheduler: Scheduler | str | None = None,
        stop: Any = None,
        max_trials: int | None = None,
        failure: FailurePolicy | None = None,
        limits: Limits | None = None,
        checkpoints: CheckpointPolicy | None = None,
        parking: Parking | None = None,
        resources: Resources | None = None,
        executor: Executor | None = None,
        data: Mapping[str, Any] | None = None,
        storage: str | Path | None = None,
        resume: str = "auto",
        overwrite: bool = False,
        seed: int | None = None,
        warm_start: Any = None,
        try_first: Sequence[Mapping[str, Any]] = (),
        new_entries: Literal["tune", "default", "refuse"] = "tune",
        observers: Sequence[Observer] = (),
        display: bool | None = False,
    ) -> None:
        policies = {
            "failure": failure,
            "limits": limits,
            "checkpoints": checkpoints,
            "parking": parking,
            "resources": resources,
        }
        self._request = Request.checked(
            trainable,
            space,
            objective=objective,
            oracle=oracle,
            scheduler=scheduler,
            stop=stop,
            max_trials=max_trials,
            data=data,
            storage=storage,
            resume=resume,
            overwrite=overwrite,
            seed=seed,
            warm_start=warm_start,
            try_first=try_first,
            new_entries=new_entries,
            observers=observers,
            display=display,
            policies=policies,
        )
        if executor is not None and not isinstance(executor, Executor):
            raise ConfigurationError(f"executor= takes an executor such as LocalExecutor(max_workers=4), not {executor!r}")
        self._executor = executor if executor is not None else LocalExecutor()
        self._request.check_executor(self._executor)
        self._life: Life | None = None
        self._enqueued = 0

    # ------------------------------------------------------------------------------------------------ entered and left

    async def __aenter__(self) -> Self:
        if self._life is not None:
            raise ConfigurationError("a Search can be entered once: make another one")
        self._life = Life(self._request, self._executor)
        try:
            await self._life.wait_ready()
        except BaseException:
            await self._life.leave("the search was cancelled while it was opened")
            self._life.discard()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        life = self._running()
        try:
            await life.leave("the search was left" if error is None else "the search was cancelled")
        except BaseException:
            life.discard()
            raise
        if error is not None:
            life.discard()
        if error is None and not life.heard and not life.left and life.error is not None:
            raise life.error

    def _running(self) -> Life:
        if self._life is None:
            raise ConfigurationError("the search was not entered: use `async with Search(...) as search`")
        return self._life

    # --------------------------------------------------------------------------------------------------- what it found

    async def result(self) -> Result:
        """Wait until the search is over.

        Raises:
            SearchError: it ended before it was finished; what it recorded is kept, and it can be resumed.
            FatalError: a trial ended it.
        """
        return await self._running().result()

    @property
    def over(self) -> bool:
        """Whether it is over, however it ended, and nothing of it is left: then `result()` does not wait. False before it is
        entered. It may turn True a moment after the last of `events()`: observers are heard out, and processes reaped.
        """
        return self._life is not None and self._life.over

    @property
    def trials(self) -> Mapping[TrialId, TrialView]:
        """Every trial as it stands, by its id."""
        return dict(self._running().publication.trials)

    @property
    def directory(self) -> Path:
        """Where logs, checkpoints and trial directories are."""
        return self._running().directory

    @property
    def divergences(self) -> Sequence[Divergence]:
        """Where a plugin, told its history again, answered otherwise than was recorded. The recorded answers have won."""
        return tuple(self._running().divergences)

    def events(self, from_seq: int = 1) -> AsyncIterator[Event]:
        """The events from number `from_seq` on: those that were, then those that come, until the search is over."""
        if isinstance(from_seq, bool) or not isinstance(from_seq, int) or from_seq < 0:
            raise ConfigurationError(f"events(from_seq=...) takes the number of an event, not {from_seq!r}")
        return self._running().publication.events(max(0, from_seq - 1))

    # -------------------------------------------------------------------------------------------------- ask and tell

    async def ask(self) -> Launch | None:
        """The next launch, with `executor=External()`; None when the search is over. What came of it is told to the launch.

        Nothing is proposed before it is asked for, and what was told before an ask is known to the oracle. It waits while the
        oracle is idle, the search is paused, or `max_workers` launches are out. It can be cancelled: what was proposed for it
        goes to the next ask.

        Raises:
            ConfigurationError: the search has another executor.
        """
        attachment = self._asked("ask()")
        return None if attachment is None else await attachment.ask()

    def launch(self, trial: TrialId, number: int) -> Launch | None:
        """A launch that was handed out and is in nobody's hands just now, as between two requests to a service.

        Args:
            trial, number: the launch's own.

        Returns:
            None if it is over, and what its holder said last was heard.

        Raises:
            LeaseExpiredError: it was lost.
            ConfigurationError: there is no such launch, or the search has another executor.
        """
        attachment = self._asked("launch()")
        return None if attachment is None else attachment.launch(trial, number, self._running().publication.trials.get(trial))

    def _asked(self, what: str) -> ExternalAttachment | None:
        attachment = self._running().attachment
        if not isinstance(self._executor, External):
            raise ConfigurationError(
                f"{what} needs executor=External(): {type(self._executor).__name__} runs the trials itself"
            )
        return attachment if isinstance(attachment, ExternalAttachment) else None

    # ----------------------------------------------------------------------------------------------------- the commands

    async def stop(self, reason: str = "stopped by the user") -> None:
        """End the search with what it has found; running trials are COMPLETED with their score so far."""
        await self._command(lambda at: stimuli.StopAsked(at=at, reason=reason))

    async def stop_trial(self, trial: TrialId, reason: str = "stopped by the user") -> None:
        """End one trial: COMPLETED, with its score so far.

        Raises:
            ConfigurationError: there is no such trial, or it has ended.
        """
        await self._command(lambda at: stimuli.StopTrialAsked(at=at, trial=trial, reason=reason))

    async def pause(self) -> None:
        """Start nothing new; what runs goes on."""
        await self._command(lambda at: stimuli.PauseAsked(at=at))

    async def resume(self) -> None:
        """Start new things again."""
        await self._command(lambda at: stimuli.ResumeAsked(at=at))

    async def enqueue(self, values: Mapping[str, Any]) -> None:
        """Have these values tried before the next proposal. Counts as a trial.

        They may be nested. What they leave out of a declared space is drawn, and recorded. Where no space was declared,
        any names are taken: a trial uses the values of those that it asks for. One that asks for a name with a range in which
        its value is not is FAILED, and says so.

        Raises:
            ConfigurationError: they are not in the space, or its rules forbid them.
        """
        self._enqueued += 1
        life = self._running()
        luck = derive(life.seed, "enqueue", len(life.publication.trials), self._enqueued)
        whole = self._request.enqueued(values, luck)
        await self._command(lambda at: stimuli.Enqueued(at=at, values=whole))

    async def set_max_workers(self, count: int) -> None:
        """Change how many trials run at once, for every search on this executor. Running ones are not ended.

        Raises:
            ConfigurationError: it is no integer of at least 1, or is more than the executor can have.
        """
        pool = self._executor.pool
        size = pool.sound(count, "set_max_workers()")
        await self._command(lambda at: stimuli.WorkersSet(at=at, slots=size))
        pool.resize(size)

    async def _command(self, make: Callable[[float], Stimulus]) -> None:
        await self._running().command(make)


async def search(trainable: Any, space: Any = None, **options: Unpack[SearchOptions]) -> Result:
    """Search, and return what was found. Takes what `Search` takes.

    Cancelling it ends every trial and leaves nothing behind; what was recorded is kept, and the search can be resumed.

    Raises:
        ConfigurationError: an argument cannot work; nothing was started.
        StorageError: the directory cannot be used, or holds another search.
        SearchError: the search ended before it was finished. It can be resumed.
        FatalError: a trial ended it.
    """
    check_names("search()", options)
    async with Search(trainable, space, **options) as running:
        return await running.result()


def check_names(who: str, options: Mapping[str, object]) -> None:
    """Whether `Search` has an argument for each of the options.

    Raises:
        TypeError: naming the one that it has not, and the one that was probably meant; or the one that is missing.
    """
    known = [*SearchOptions.__annotations__, "trainable", "space"]
    for name in options:
        if name == "max_workers":
            raise TypeError(f"{who} has no argument 'max_workers': it is the executor's, executor=LocalExecutor(max_workers=4)")
        if name not in known:
            meant = difflib.get_close_matches(name, known, n=1)
            raise TypeError(f"{who} has no argument {name!r}" + (f": did you mean {meant[0]!r}?" if meant else ""))
    if who != "Search()" and isinstance(options.get("executor"), External):
        ask = "`async with Search(executor=External(), ...) as search: launch = await search.ask()`"
        raise ConfigurationError(f"{who} leaves nobody who could ask External for a launch: write {ask}")
    if "objective" not in options:
        raise TypeError(f'{who} needs objective=, such as Objective("loss", "min") or "val_accuracy"')
