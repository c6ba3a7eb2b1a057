"""The trainable: finding it again in the zygote or the runner, and calling it with the one argument that it wants."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any

from asynctune._runner.stepwise import check_class, steps_async
from asynctune._runner.trial import TrialFace
from asynctune.errors import TrainableError
from asynctune.space.hyperparameters import HyperParameters

__all__ = ["Argument", "argument_of", "find", "is_async", "name_of"]


class Argument(Enum):
    """What a trainable is handed."""

    TRIAL = "trial"
    HP = "hp"
    CONFIG = "config"

    def of(self, trial: TrialFace) -> Any:
        """This, of that trial."""
        if self is Argument.TRIAL:
            return trial
        return trial.hp if self is Argument.HP else trial.config


def find(reference: str) -> Any:
    """The object that "package.module:name" names; the name may have dots.

    Raises:
        TrainableError: if there is none, saying which part is missing. What the module raises on import goes through.
    """
    module_name, colon, path = reference.partition(":")
    if not (module_name and colon and path):
        raise TrainableError(f'a trainable is named as "package.module:name", not {reference!r}')
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise TrainableError(f"the trainable {reference!r} cannot be found: there is no module {error.name!r}") from error
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise TrainableError(f"the trainable {reference!r} cannot be found: {module_name!r} has no {path!r}") from error
    return found


def argument_of(trainable: Any) -> Argument:
    """What `trainable` is to be handed: its one parameter is named or annotated `hp`, named `config`, or anything else.

    A class is handed the trial in its own way; see `stepwise`.

    Raises:
        TrainableError: if it cannot be called with one argument, or is a class and no `Trainable`.
    """
    name = name_of(trainable)
    if isinstance(trainable, type):
        check_class(trainable)
        return Argument.TRIAL
    if not callable(trainable):
        raise TrainableError(f"{type(trainable).__name__} {name} is no trainable: pass a function of one argument")
    try:
        parameters = list(inspect.signature(trainable).parameters.values())
    except (TypeError, ValueError):  # some callables written in C do not say
        return Argument.TRIAL
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    takes_more = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(required) > 1 or named or not (positional or takes_more):
        if not (required or named):
            raise TrainableError(f"the trainable {name} takes no argument; it must take one: the trial")
        listed = ", ".join(p.name for p in [*required, *named])
        text = f"the trainable {name} must take exactly one argument, the trial; it requires {listed}"
        raise TrainableError(f"{text}. Bind the others with functools.partial")
    return _kind(positional[0]) if positional else Argument.TRIAL


def _kind(parameter: inspect.Parameter) -> Argument:
    annotation = parameter.annotation
    # Under `from __future__ import annotations` this is text, and the name in it may be known to type checkers only.
    written = annotation.rpartition(".")[2] if isinstance(annotation, str) else None
    if parameter.name == "hp" or annotation is HyperParameters or written == "HyperParameters":
        return Argument.HP
    return Argument.CONFIG if parameter.name == "config" else Argument.TRIAL


def is_async(trainable: Callable[[Any], Any]) -> bool:
    """Whether calling it makes something to be awaited; of a class, whether its steps do."""
    if isinstance(trainable, type):
        return steps_async(trainable)
    function = inspect.unwrap(trainable)
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def name_of(trainable: Any) -> str:
    """What to call it in messages."""
    return str(getattr(trainable, "__qualname__", None) or getattr(trainable, "__name__", None) or repr(trainable)[:60])
