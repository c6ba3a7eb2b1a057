"""What a search was asked for, checked: every argument of `search()` gets its one clear error here, before anything starts."""

from __future__ import annotations

import copy
import inspect
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from attrs import frozen

from asynctune import observers as known_observers
from asynctune._machine.stimuli import Settings
from asynctune.errors import ConfigurationError
from asynctune.executors._acceptable import check_asked, check_saves, check_trainable, no_trainable
from asynctune.executors.base import Executor
from asynctune.executors.trainable import pack_call, pack_oracle
from asynctune.failure import FailureKind
from asynctune.installed import named
from asynctune.objective import Goal, as_objective, directed
from asynctune.observers.base import Observer
from asynctune.oracles.base import Oracle
from asynctune.oracles.random import RandomSearch
from asynctune.policies import CheckpointPolicy, FailurePolicy, Limits, Parking, Resources
from asynctune.records import Observation, Values
from asynctune.schedulers.base import Scheduler
from asynctune.schedulers.fifo import FIFO
from asynctune.space import FillRule, Space
from asynctune.stoppers import SearchStopper, Stopper, ready, stopper_of
from asynctune.warm_start import WarmStart, completed, completed_points, given_values, points

__all__ = ["Request", "fingerprint", "new_seed"]

_RESUMES = ("auto", "must", "never", "adopt")
_NEW_ENTRIES = ("tune", "default", "refuse")
_NOT_PLAIN = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)


@frozen(kw_only=True)
class Request:
    """A search as it was asked for; every part but the observers is ours, copied at the door."""

    trainable: Any
    space: Space
    objective: Goal
    oracle: Oracle
    scheduler: Scheduler
    stoppers: Sequence[Stopper]
    max_trials: int | None
    failure: FailurePolicy
    limits: Limits
    checkpoints: CheckpointPolicy
    parking: Parking
    saves: bool
    resources: Resources
    data: Mapping[str, Any]
    storage: Path | None
    resume: str
    overwrite: bool
    seed: int | None
    warm_start: WarmStart
    try_first: tuple[Values, ...]
    new_entries: Literal["tune", "default", "refuse"]
    observers: Sequence[Observer]

    @classmethod
    def checked(
        cls,
        trainable: Any,
        space: Any,
        *,
        objective: Any,
        oracle: Any,
        scheduler: Any,
        stop: Any,
        max_trials: Any,
        data: Any,
        storage: Any,
        resume: Any,
        overwrite: Any,
        seed: Any,
        warm_start: Any,
        try_first: Any,
        new_entries: Any,
        observers: Any,
        display: Any,
        policies: Mapping[str, Any],
    ) -> Request:
        """The request that these arguments make.

        Raises:
            ConfigurationError: naming the argument, what it takes, and what it got. (TrainableError, SpaceError: these, too.)
        """
        if trainable is not None:  # whether there must be one is the executor's to say
            if not callable(trainable) and not isinstance(trainable, str):
                raise no_trainable(trainable)
            check_trainable(trainable)
        declared, wanted, most = Space.of(space), as_objective(objective), _count("max_trials", max_trials, least=1)
        given = {name: _policy(name, kind, policies[name]) for name, kind in _POLICIES.items()}
        given["checkpoints"] = directed(given["checkpoints"], wanted)
        request = cls(
            trainable=trainable,
            space=declared,
            objective=wanted,
            oracle=_plugin("oracle", oracle, Oracle, RandomSearch),
            scheduler=_plugin("scheduler", scheduler, Scheduler, FIFO),
            stoppers=_stoppers(stop, wanted),
            max_trials=most,
            data=_data(data),
            storage=_storage(storage),
            resume=_resume(resume, storage, overwrite),
            overwrite=bool(overwrite),
            seed=_count("seed", seed, least=0),
            warm_start=WarmStart.of(warm_start, declared, wanted),
            try_first=points(try_first, declared, most),
            new_entries=_new_entries(new_entries, declared),
            observers=_observers(observers, display),
            saves=policies["checkpoints"] is not None,
            **given,
        )
        _check_together(request)
        return request

    def check_executor(self, executor: Executor) -> None:
        """Whether the executor can do what is asked for.

        Raises:
            CapabilityError: it cannot; says what, and what could.
            ConfigurationError: there is no trainable for it to run, or one that it cannot run.
        """
        check_asked(executor, self.trainable, self.limits, self.resources, self.scheduler)

    def observed(self) -> tuple[Observation, ...]:
        """What earlier searches have found. May read a journal.

        Raises:
            ConfigurationError: it is not there, or does not fit.
        """
        return self.warm_start.read(self.space, self.objective)

    def first(self, seed: int) -> tuple[Values, ...]:
        """What is to be tried first, with what is drawn for it."""
        return completed_points(self.try_first, self.space, seed)

    def enqueued(self, given: Any, luck: int) -> Values:
        """Values that the user wants tried. Where the space has rules, or values that are computed, they are completed here, by
        hash(`luck`, name), for its functions are not known elsewhere; otherwise when the trial has its number.

        Raises:
            ConfigurationError: they are not in the space, its rules do not allow them, or a function failed on them.
        """
        space = self.space
        values = given_values(given, space, "enqueue()")
        if not (space.rules or space.derived):
            return values
        # What trials have named since is the search's to check.
        named = {name: value for name, value in values.items() if name not in space and name not in space.derived}
        known = {name: value for name, value in values.items() if name in space}
        return {**completed(known, space, luck, "enqueue()"), **named}

    def settings(self, executor: Executor, seed: int) -> Settings:
        """The request as data, for the journal."""
        return Settings(
            objective=self.objective,
            seed=seed,
            space=dict(self.space),
            max_trials=self.max_trials,
            failure=self.failure,
            limits=self.limits,
            checkpoints=self.checkpoints,
            parking=self.parking,
            resources=self.resources,
            slots=executor.pool.size,
            ahead=0 if executor.capabilities.asks else self.oracle.ahead,
            fill=self.oracle.fill,
            learns=self.oracle.learns,
            hears_reports=self.oracle.hears_reports,
            oracle=fingerprint(self.oracle),
            scheduler=fingerprint(self.scheduler),
            logs=executor.capabilities.logs,
            parks=executor.capabilities.parks,
            new_entries=self.new_entries,
            **self.space.terms,
        )


_POLICIES: Mapping[str, type] = {
    "failure": FailurePolicy,
    "limits": Limits,
    "checkpoints": CheckpointPolicy,
    "parking": Parking,
    "resources": Resources,
}


def new_seed() -> int:
    """A seed, drawn once in the life of a search, and recorded."""
    return secrets.randbits(31)


def fingerprint(plugin: Oracle | Scheduler) -> str:
    """What makes a plugin answer as it does: its class and its settings.

    Raises:
        ConfigurationError: the settings cannot be written down.
    """
    name = type(plugin).__qualname__
    try:
        settings = json.dumps(dict(plugin.settings()), sort_keys=True)
    except (TypeError, ValueError) as error:
        message = f"{name}.settings() must return a dict of numbers and strings, lists and dicts of them: {error}"
        raise ConfigurationError(message) from error
    return f"{name}({settings})"


def _plugin(argument: str, given: Any, kind: Any, default: Any) -> Any:
    if given is None:
        return default()
    if isinstance(given, str):
        given = named(argument, given)
    if isinstance(given, type) and issubclass(given, kind):
        raise ConfigurationError(f"{argument}= takes an object, not the class {given.__name__}: write {given.__name__}(...)")
    if not isinstance(given, kind):
        kinds = f"asynctune.{kind.__name__}"
        if hasattr(given, "create_trial"):
            kinds += f" (in KerasTuner's words: asynctune.keras.KerasOracle({type(given).__name__}(...)))"
        raise ConfigurationError(f"{argument}= takes an object of a subclass of {kinds}, or its name, not {given!r}")
    return _copied(argument, given)


def _copied(argument: str, given: Any) -> Any:
    try:
        return copy.deepcopy(given)
    except Exception as error:
        message = f"{argument}= is copied, so that yours is never touched, and {type(given).__name__} cannot be"
        raise ConfigurationError(f"{message}: {type(error).__name__}: {error}") from error


def _stoppers(stop: Any, objective: Goal) -> tuple[Stopper, ...]:
    if stop is None:
        return ()
    given = stop if isinstance(stop, list | tuple) else [stop]
    return tuple(ready(_copied("stop", stopper_of(each)), objective) for each in given)


def _observers(given: Any, display: Any) -> tuple[Observer, ...]:
    if display is not None and not isinstance(display, bool):
        raise ConfigurationError(f"display= takes True or False, not {display!r}; a Display(...) of yours goes into observers=")
    if not isinstance(given, list | tuple):
        raise ConfigurationError(f"observers= takes a list of observers, such as [CSV('trials.csv')], not {given!r}")
    for each in given:
        if isinstance(each, type) and issubclass(each, Observer):
            raise ConfigurationError(f"observers= takes objects, not the class {each.__name__}: write {each.__name__}(...)")
        if not isinstance(each, Observer):
            raise ConfigurationError(f"observers= takes objects of subclasses of asynctune.Observer, not {each!r}")
        for name in ("check", "on_start", "on_events", "on_end"):
            if any(waits(getattr(each, name)) for waits in _NOT_PLAIN):
                message = f"{type(each).__name__}.{name}() is `async def`, or has a `yield`, and would never be run"
                hint = "an observer's methods are plain functions: they are called in a thread of its own, and may block there"
                raise ConfigurationError(f"{message}; {hint}")
    if len({id(each) for each in given}) < len(given):
        raise ConfigurationError("observers= names the same object twice: make one for each place")
    # A display is fetched only when there is something to show: it brings what draws it.
    return (*given, known_observers.Display()) if display else tuple(given)


def _count(argument: str, value: Any, *, least: int) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= least):
        return value
    raise ConfigurationError(f"{argument}= takes an integer of at least {least}, or None, not {value!r}")


def _data(data: Any) -> Mapping[str, Any]:
    if data is None:
        return {}
    if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
        raise ConfigurationError(f'data= takes a dict from names to objects, such as {{"x": x, "y": y}}, not {type(data)}')
    return dict(data)


def _storage(storage: Any) -> Path | None:
    if storage is None:
        return None
    if not isinstance(storage, str | Path) or not str(storage) or "\0" in str(storage):
        raise ConfigurationError(f"storage= takes a directory, or None for memory, not {storage!r}")
    try:
        path = Path(storage).expanduser().absolute()
        is_file = path.exists() and not path.is_dir()
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigurationError(f"storage={str(storage)!r} cannot be a directory: {error}") from error
    if is_file:
        raise ConfigurationError(f"storage={str(storage)!r} is a file: it takes a directory")
    return path


def _resume(resume: Any, storage: Any, overwrite: Any) -> str:
    if resume not in _RESUMES:
        raise ConfigurationError(f"resume= takes {', '.join(map(repr, _RESUMES))}, not {resume!r}")
    if storage is None and resume != "auto":
        raise ConfigurationError(f"resume={resume!r} needs storage=: with storage=None a search lives in memory only")
    if not isinstance(overwrite, bool):
        raise ConfigurationError(f"overwrite= takes True or False, not {overwrite!r}")
    if overwrite and storage is None:
        raise ConfigurationError("overwrite=True needs storage=: with storage=None there is nothing to overwrite")
    if overwrite and resume in ("must", "adopt"):
        raise ConfigurationError(f"overwrite=True removes what resume={resume!r} wants to go on from: choose one")
    return str(resume)


def _new_entries(given: Any, space: Space) -> Any:
    if given not in _NEW_ENTRIES:
        raise ConfigurationError(f"new_entries= takes {', '.join(map(repr, _NEW_ENTRIES))}, not {given!r}")
    if given != "tune" and not space:
        raise ConfigurationError(f"new_entries={given!r} needs space=: with nothing declared there would be nothing to tune")
    return given


def _policy(name: str, kind: type, given: Any) -> Any:
    if given is None:
        return kind()
    if not isinstance(given, kind):
        raise ConfigurationError(f"{name}= takes {kind.__name__}(...), not {given!r}")
    return given


_ATTRIBUTES: Final[tuple[tuple[str, type, str], ...]] = (
    ("ahead", int, "a whole number of at least 0"),
    ("fill", FillRule, "FillRule.DRAW or FillRule.DEFAULT"),
    *((name, bool, "True or False") for name in ("learns", "apart", "exhaustive", "several", "repeats", "descends")),
)


def _check_oracle(oracle: Oracle, space: Space) -> None:
    name = type(oracle).__name__
    for attribute, kind, wanted in _ATTRIBUTES:
        value: Any = getattr(oracle, attribute)
        if type(value) is not kind or (isinstance(value, int) and value < 0):
            raise ConfigurationError(f"{name}.{attribute} is {value!r}: it must be {wanted}")
    for limit in ("deadline", "patience"):
        given: Any = getattr(oracle, limit)
        if given is None:
            continue
        if isinstance(given, bool) or not isinstance(given, int | float) or not given > 0:
            raise ConfigurationError(f"{name}.{limit} is {given!r}: it must be a number of seconds above 0, or None")
    if oracle.apart:
        pack_oracle(oracle)  # what cannot travel says so here
        try:
            pack_call(space)
        except Exception as error:
            message = (
                f"{name} runs in a process of its own ({name}.apart is True), and a function of the space cannot travel there"
            )
            raise ConfigurationError(f"{message}: {type(error).__name__}: {error}") from error


def _check_together(request: Request) -> None:
    """Whether the arguments fit each other."""
    _check_oracle(request.oracle, request.space)
    _check_end(request)
    _check_objectives(request)
    _check_failure(request)
    check_saves(request.trainable, request.oracle, request.scheduler, request.checkpoints, said=request.saves)
    request.scheduler.set_space(request.space)


def _check_end(request: Request) -> None:
    """A search that cannot end by itself is a mistake more often than a wish."""
    finite = len(request.space) > 0 and request.space.is_finite and request.oracle.is_exhaustible
    ends = finite or any(isinstance(stopper, SearchStopper) for stopper in request.stoppers) or request.oracle.exhaustive
    if request.max_trials is None and not ends:
        message = f"{type(request.oracle).__name__} would go on for ever in this space"
        raise ConfigurationError(f"{message}: give max_trials=, or a stopper that ends the search, such as TimeBudget(3600)")


def _check_objectives(request: Request) -> None:
    if request.objective.has_score:
        return
    for what, plugin in (("proposes", request.oracle), ("judges", request.scheduler)):
        if not plugin.several:
            message = f"{type(plugin).__name__} {what} by one number, and {request.objective} are several"
            hint = "write Objectives([...], combine='sum'), or take one that says several = True in its class"
            raise ConfigurationError(f"{message}: {hint}")


def _check_failure(request: Request) -> None:
    """What a policy alone cannot know: a share of nothing is no limit, and which kinds of failure there are."""
    limit, kinds = request.failure.max_consecutive_failed_trials, [f"FailureKind.{name}" for name in FailureKind.__members__]
    for name in request.failure.rules:
        if name.startswith("FailureKind.") and name not in kinds:
            raise ConfigurationError(f"FailurePolicy(rules=...): there is no {name}; there are {', '.join(kinds)}")
    if isinstance(limit, float) and request.max_trials is None:
        message = f"FailurePolicy(max_consecutive_failed_trials={limit:g}) is a share of max_trials, and there is none"
        raise ConfigurationError(f"{message}: give max_trials=, or a number of trials")
