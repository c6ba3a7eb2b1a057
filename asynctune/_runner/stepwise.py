"""Trainables that are classes: one object for each launch, and the loop that a function would have written around it.

There is one loop for both kinds of trial. It is a coroutine; where nothing in the class waits, it never does either, and is run
to its end like a function.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

from asynctune._runner.account import StopTrial
from asynctune._runner.trial import TrialFace
from asynctune.errors import TrainableError

__all__ = ["Stepper", "Trainable", "can_save", "check_class", "steps_async"]

_DONE = ".done"  # lies beside what was saved, where no step is to follow
_METHODS = ("setup", "step", "save_checkpoint", "load_checkpoint", "reset_config", "cleanup")


class Trainable(ABC):
    """A trainable that is a class, for those who want no loop of their own: `asynctune.run(MyTrainable, ...)`. `step` is all
    that must be written.

    What `step` returns is reported for it; it is called again until its metrics say `done`, or the trial is stopped. With
    `save_checkpoint` and `load_checkpoint`, which go together, checkpoints are written when `CheckpointPolicy` says so, at the
    step that is the trial's budget, and where a trial is set aside or the search is closed; and a launch goes on from them,
    also from another trial's, as a scheduler wants it. (A step that was under way then is done again.)

    If `step` is `async def`, each method can be, and it runs on an `InlineExecutor`, too.

    Attributes:
        trial: as a function would be handed it (`trial.data`, `trial.seed`, `trial.directory`, `trial.hp`, ...); set before
            `setup`. Reporting is done for you.
    """

    trial: Any

    def setup(self, config: dict[str, Any]) -> Awaitable[None] | None:
        """Called first.

        Args:
            config: the values as a nested dict; yours to change.
        """

    @abstractmethod
    def step(self) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]]:
        """Train for one step.

        Returns:
            Its metrics, by name, nested or not; with `done`, a bool, if it may be the last. Not touched.
        """

    def save_checkpoint(self, directory: Path) -> Awaitable[None] | None:
        """Write all that `load_checkpoint` needs into an empty directory."""
        raise NotImplementedError

    def load_checkpoint(self, directory: Path) -> Awaitable[None] | None:
        """Stand where it stood that wrote this, with the values of `setup`. Only read it. Called behind `setup`."""
        raise NotImplementedError

    def reset_config(self, config: dict[str, Any]) -> bool:
        """Become another trial, as if set up with these values, which is cheaper than a new object where a process runs several
        trials (`LocalExecutor(isolation="worker")`). Never called in one whose `step` is async.

        Returns:
            Whether that was done. If not, and so it is by default, this object is cleaned up, and a new one is made.
        """
        return False

    def cleanup(self) -> Awaitable[None] | None:
        """Called last, also if anything has raised, `setup` included; but not in a process that is killed."""


def check_class(kind: type) -> None:
    """Whether a class can be a trainable.

    Raises:
        TrainableError: saying what to write.
    """
    name = kind.__qualname__
    if not issubclass(kind, Trainable):
        hint = f"class {kind.__name__}(asynctune.Trainable), with a method step()"
        raise TrainableError(f"the class {name} is no trainable: pass a function of one argument, or write {hint}")
    if missing := sorted(getattr(kind, "__abstractmethods__", ())):
        raise TrainableError(f"the class {name} does not define {missing[0]}(), which a trainable must have")
    try:
        inspect.signature(kind).bind()
    except TypeError as error:
        raise TrainableError(f"the class {name} is made without arguments ({error}): pass what it needs as data=") from None
    saves, loads = (_defines(kind, method) for method in ("save_checkpoint", "load_checkpoint"))
    if saves != loads:
        has, lacks = ("save_checkpoint", "load_checkpoint") if saves else ("load_checkpoint", "save_checkpoint")
        raise TrainableError(f"the class {name} defines {has}() and not {lacks}(): they go together")
    if not steps_async(kind):
        for method in (method for method in _METHODS if inspect.iscoroutinefunction(getattr(kind, method))):
            raise TrainableError(f"{name}.{method}() is `async def`, and its step() is not: make both so, or neither")


def can_save(kind: type) -> bool:
    """Whether objects of this class can be saved, and loaded again."""
    return _defines(kind, "save_checkpoint")


def steps_async(kind: type) -> bool:
    """Whether its steps are awaited."""
    return inspect.iscoroutinefunction(getattr(kind, "step", None))


def _defines(kind: type, method: str) -> bool:
    return getattr(kind, method) is not getattr(Trainable, method)


class Stepper:
    """Runs trials with objects of a class, one after the other or, where it waits, several at a time."""

    def __init__(self, kind: type[Trainable]) -> None:
        self._kind = kind
        self._kept: Trainable | None = None

    def __repr__(self) -> str:
        return f"<Stepper of {self._kind.__qualname__}>"

    def run(self, trial: TrialFace, *, keep: bool) -> None:
        """Run a trial to its end.

        Args:
            trial: whose `report` does not have to be awaited.
            keep: whether the object may be used for the next one.
        """
        coroutine = self.go(trial, keep=keep and _defines(self._kind, "reset_config"))
        try:
            coroutine.send(None)
        except StopIteration:
            return
        coroutine.close()
        raise TypeError(f"a method of {self._kind.__qualname__} waits, and its step() is not `async def`")

    async def go(self, trial: TrialFace, *, keep: bool = False) -> None:
        """Run a trial to its end."""
        work, is_set_up = await self._begin(trial)
        try:
            if not is_set_up:
                await _done(work.setup(trial.config))
            start = trial.restore()
            if start is not None and can_save(self._kind):
                await _done(work.load_checkpoint(start))
            # Its last step was reported, and whoever reported it could not say any more that it was the last.
            is_over = start is not None and trial._account.has_reported and (start / _DONE).exists()  # noqa: SLF001
            if not is_over:
                await self._train(work, trial)
        except StopTrial:
            await self._end(work, keep=keep)
            raise
        except BaseException as error:
            await _end_after(work, error)
            raise
        await self._end(work, keep=keep)

    def rest(self) -> None:
        """No trial follows: clean up what was kept for it."""
        if self._kept is not None:
            work, self._kept = self._kept, None
            work.cleanup()

    async def _begin(self, trial: TrialFace) -> tuple[Trainable, bool]:
        """An object, and whether it is set up."""
        if self._kept is not None:
            work, self._kept = self._kept, None
            work.trial = trial
            try:
                taken: object = work.reset_config(trial.config)
                if not isinstance(taken, bool):
                    name = self._kind.__qualname__
                    raise TypeError(f"{name}.reset_config() must return True or False, not {taken!r}")
            except BaseException as error:
                await _end_after(work, error)
                raise
            if taken:
                return work, True
            work.cleanup()
        work = self._kind()
        work.trial = trial
        return work, False

    async def _train(self, work: Trainable, trial: TrialFace) -> None:
        account, saves = trial._account, can_save(self._kind)  # noqa: SLF001 -- the other half of this
        at, is_done = account.step, False
        try:
            while not is_done:
                account.listen()
                account.obey()
                metrics, is_done = self._read(await _done(work.step()))
                at += 1
                due = account.save or account.policy.is_due(at) or (is_done and account.policy.at_end)
                if saves and (due or (trial.budget is not None and at >= trial.budget)):
                    with trial.checkpoint() as directory:
                        await _save(work, directory, is_done=is_done)
                await _done(trial.report(metrics))  # type: ignore[attr-defined]  # both kinds of trial have it
        except StopTrial:
            if saves and account.save and at == account.step and trial._is_unsaved:  # noqa: SLF001
                with trial._writing(at) as directory:  # noqa: SLF001
                    await _save(work, directory, is_done=is_done)
            raise

    def _read(self, metrics: Any) -> tuple[dict[str, Any], bool]:
        """The metrics of a step, and whether it was the last."""
        name = f"{self._kind.__qualname__}.step()"
        if not isinstance(metrics, Mapping):
            raise TypeError(f"{name} must return a dict of metrics, not {type(metrics).__name__}")
        told: Any = metrics.get("done", False)
        if not isinstance(told, bool) and type(told).__name__ not in ("bool_", "bool"):  # NumPy's
            raise TypeError(f"{name} returned done={told!r}: it must be True or False")
        return {key: value for key, value in metrics.items() if key != "done"}, bool(told)

    async def _end(self, work: Trainable, *, keep: bool) -> None:
        if keep:
            self._kept = work
        else:
            await _done(work.cleanup())


async def _save(work: Trainable, directory: Path, *, is_done: bool) -> None:
    await _done(work.save_checkpoint(directory))
    if is_done:
        (directory / _DONE).touch()


async def _end_after(work: Trainable, error: BaseException) -> None:
    """Clean up after an error, which is what counts."""
    try:
        await _done(work.cleanup())
    except BaseException as another:  # noqa: BLE001 -- the first is told, and this one beside it
        error.add_note(f"(and then its cleanup() raised {type(another).__name__}: {another})")


async def _done(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
