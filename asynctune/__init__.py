"""asynctune searches hyperparameters from inside an asyncio program; every trial runs in a process of its own.

The way of one value, which is also the order in which to read the rooms::

    space ──► oracle ──► trial ──► slot ──► runner ──► trial.report(...)
              proposes   PENDING   pool     a process       │
                                                            ▼
    result ◄── record ◄────────── machine ◄──────────── message
    search()   journal            law · retry · scheduler judges

This is the front door: the names, and nothing else. Each is fetched from its room when it is first asked for, so that importing
asynctune costs nothing, and a runner process never pays for the engine. Nothing inside the package imports from here.
"""

from __future__ import annotations

from importlib import import_module
from sys import modules
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asynctune import errors, executors, keras, observers, oracles, schedulers, stoppers, testing, tune
    from asynctune._runner.async_trial import AsyncTrial
    from asynctune._runner.stepwise import Trainable
    from asynctune._runner.trial import Trial
    from asynctune.errors import (
        AsynctuneError,
        FailedTrialError,
        FatalError,
        FatalRuntimeError,
        FatalTypeError,
        FatalValueError,
    )
    from asynctune.events import Event
    from asynctune.executors import Executor, External, InlineExecutor, Launch, LocalExecutor
    from asynctune.failure import Failure
    from asynctune.objective import Constraint, Objective, Objectives
    from asynctune.observers.base import Observer
    from asynctune.oracles.base import Oracle
    from asynctune.policies import CheckpointPolicy, FailurePolicy, Limits, Parking, Resources
    from asynctune.records import (
        CONTINUE,
        PAUSE,
        STOP,
        CheckpointKey,
        Exploit,
        Pause,
        Reallocate,
        Report,
        State,
        Stop,
        Suggestion,
        TrialView,
    )
    from asynctune.results import Result
    from asynctune.schedulers.base import Scheduler
    from asynctune.script import run
    from asynctune.search import Search, search
    from asynctune.secret import Secret
    from asynctune.space import Boolean, Choice, Fixed, Float, HyperParameters, Int, Normal, Space, When

    __version__: str

__all__ = [
    "CONTINUE",
    "PAUSE",
    "STOP",
    "AsyncTrial",
    "AsynctuneError",
    "Boolean",
    "CheckpointKey",
    "CheckpointPolicy",
    "Choice",
    "Constraint",
    "Event",
    "Executor",
    "Exploit",
    "External",
    "FailedTrialError",
    "Failure",
    "FailurePolicy",
    "FatalError",
    "FatalRuntimeError",
    "FatalTypeError",
    "FatalValueError",
    "Fixed",
    "Float",
    "HyperParameters",
    "InlineExecutor",
    "Int",
    "Launch",
    "Limits",
    "LocalExecutor",
    "Normal",
    "Objective",
    "Objectives",
    "Observer",
    "Oracle",
    "Parking",
    "Pause",
    "Reallocate",
    "Report",
    "Resources",
    "Result",
    "Scheduler",
    "Search",
    "Secret",
    "Space",
    "State",
    "Stop",
    "Suggestion",
    "Trainable",
    "Trial",
    "TrialView",
    "When",
    "__version__",
    "errors",
    "executors",
    "keras",
    "observers",
    "oracles",
    "run",
    "schedulers",
    "search",
    "stoppers",
    "testing",
    "tune",
]

# Room by room, in the order in which data meets them.
_ROOMS: Final = {
    "asynctune.script": ("run",),
    "asynctune.search": ("Search", "search"),
    "asynctune.secret": ("Secret",),
    "asynctune.results": ("Result",),
    "asynctune.events": ("Event",),
    "asynctune.space": ("Boolean", "Choice", "Fixed", "Float", "HyperParameters", "Int", "Normal", "Space", "When"),
    "asynctune.objective": ("Constraint", "Objective", "Objectives"),
    "asynctune.failure": ("Failure",),
    "asynctune.policies": ("CheckpointPolicy", "FailurePolicy", "Limits", "Parking", "Resources"),
    "asynctune.records": (
        *("CONTINUE", "PAUSE", "STOP", "CheckpointKey", "Exploit"),
        *("Pause", "Reallocate", "Report", "State", "Stop", "Suggestion", "TrialView"),
    ),
    "asynctune.observers.base": ("Observer",),
    "asynctune.oracles.base": ("Oracle",),
    "asynctune.schedulers.base": ("Scheduler",),
    "asynctune.executors": ("Executor", "External", "InlineExecutor", "Launch", "LocalExecutor"),
    "asynctune._runner.trial": ("Trial",),
    "asynctune._runner.stepwise": ("Trainable",),
    "asynctune._runner.async_trial": ("AsyncTrial",),
    "asynctune.errors": (
        *("AsynctuneError", "FailedTrialError", "FatalError", "FatalRuntimeError", "FatalTypeError", "FatalValueError"),
    ),
}
_HOME: Final = {name: room for room, names in _ROOMS.items() for name in names}
_SUBMODULES: Final = frozenset(
    {"errors", "executors", "keras", "observers", "oracles", "schedulers", "stoppers", "testing", "tune"}
)


class _Door(ModuleType):
    # `asynctune.search` is a module and a function. Python binds a module in its package once it has been imported, by
    # whomever; what you see through this door stays the function.
    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    # A trainable that says `at.keras` carries the module `at` with it. Modules travel by name, but only those of the plain
    # class do so by themselves.
    def __reduce__(self) -> tuple[Any, ...]:
        return import_module, (self.__name__,)


modules[__name__].__class__ = _Door


if not TYPE_CHECKING:  # to a type checker, a module that has a `__getattr__` has every name, also the misspelled

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            value: Any = import_module("importlib.metadata").version("asynctune")
        elif name in _SUBMODULES:
            value = import_module(f"asynctune.{name}")
        elif name in _HOME:
            value = getattr(import_module(_HOME[name]), name)
        else:
            raise AttributeError(f"module 'asynctune' has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted(__all__)
