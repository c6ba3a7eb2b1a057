"""How a trainable leaves for another process: by name where it can be imported there, by value where it cannot.

By value goes what lives in `__main__`, in another function, in a notebook. So the user's main script is never run again.
"""

from __future__ import annotations

import functools
import inspect
import io
import sys
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any, ClassVar

import cloudpickle
from attrs import frozen

from asynctune._runner.trainable import name_of
from asynctune.errors import TrainableError
from asynctune.secret import Secret, packed
from asynctune.space.shape import Shape

__all__ = ["Packed", "pack_data", "pack_shape", "pack_trainable"]

_DEEPEST = 8


@frozen
class Packed:
    """A pickle and its out-of-band buffers, or a name."""

    sections: tuple[Any, ...] = ()
    reference: str | None = None


def pack_trainable(trainable: Any) -> Packed:
    """The trainable, ready to travel. Takes milliseconds; the first time tens of them.

    Raises:
        TrainableError: if it cannot travel, naming the object inside that keeps it.
    """
    if isinstance(trainable, str):
        return Packed(reference=trainable)
    try:
        with _by_value_where_needed([trainable]):
            return Packed(_pickled(trainable))
    except Exception as error:
        raise TrainableError(_why(f"the trainable {name_of(trainable)}", trainable, error)) from error


def pack_shape(shape: Shape) -> Packed:
    """The objects of choices, ready to travel as a trainable does.

    Raises:
        TrainableError: if one cannot travel, naming the object inside that keeps it.
    """
    objects = [value for labels in shape.objects.values() for value in labels.values()]
    try:
        with _by_value_where_needed(objects):
            return Packed(_pickled(shape))
    except Exception as error:
        raise TrainableError(_why("a choice of the space", dict(shape.objects), error)) from error


def pack_data(data: Mapping[str, Any]) -> Packed:
    """The search's data, ready to travel; large arrays are not copied here.

    Raises:
        TrainableError: if it cannot travel, naming the object inside that keeps it.
    """
    try:
        return Packed(_pickled(dict(data)))
    except Exception as error:
        raise TrainableError(_why("data=", dict(data), error)) from error


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    # The one pickle that a secret gets into: it is in the memory of this process and of its children, and nowhere else.
    dispatch_table: ClassVar[Any] = ChainMap({Secret: packed}, cloudpickle.Pickler.dispatch_table)


def _pickled(value: Any) -> tuple[Any, ...]:
    buffers: list[Any] = []
    with io.BytesIO() as pickled:
        _Pickler(pickled, protocol=5, buffer_callback=buffers.append).dump(value)
        return (pickled.getvalue(), *(buffer.raw() for buffer in buffers))


@contextmanager
def _by_value_where_needed(objects: Iterable[Any]) -> Iterator[None]:
    """What is defined in modules that cannot be imported elsewhere goes by value, as what is defined in `__main__` does."""
    modules = {id(module): module for module in map(_module_of, objects) if module is not None}
    needed = [module for module in modules.values() if module.__name__ != "__main__" and not _importable(module)]
    for module in needed:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in needed:
            cloudpickle.unregister_pickle_by_value(module)


def _module_of(trainable: Any) -> ModuleType | None:
    while isinstance(trainable, functools.partial):
        trainable = trainable.func
    owner = trainable if hasattr(trainable, "__qualname__") else type(trainable)
    return sys.modules.get(getattr(owner, "__module__", None) or "")


def _importable(module: ModuleType) -> bool:
    """Whether an import of its name, elsewhere, with our `sys.path`, finds this very module. Imports nothing."""
    path: Any = None
    parent, dot, _ = module.__name__.rpartition(".")
    if dot:
        path = getattr(sys.modules.get(parent), "__path__", None)
        if path is None or not _importable(sys.modules[parent]):
            return False
    origin = getattr(module.__spec__, "origin", None) or getattr(module, "__file__", None)
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = None if find is None else find(module.__name__, path)
        if spec is not None:
            return spec.origin == origin or not hasattr(module, "__file__")
    return False


# ------------------------------------------------------------------------------------------------ what keeps it from travelling


def _why(name: str, value: Any, error: Exception) -> str:
    path, culprit, reason = _culprit(value, error)
    inside = f" because of {' in '.join(reversed(path))} ({type(culprit).__name__})" if path else ""
    remedy = "Make it inside the function, or pass what it is made from"
    return f"{name} cannot be sent to another process{inside}: {type(reason).__name__}: {reason}. {remedy}"


def _culprit(value: Any, error: Exception) -> tuple[list[str], Any, Exception]:
    """The innermost thing that cannot be pickled, and the way to it."""
    path: list[str] = []
    seen = {id(value)}
    while len(path) < _DEEPEST:
        for name, part in _parts(value):
            if id(part) in seen:
                continue
            seen.add(id(part))
            try:
                _pickled(part)
            except Exception as inner:  # noqa: BLE001 -- pickling runs anybody's code
                path.append(name)
                value, error = part, inner
                break
        else:
            break
    return path, value, error


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, functools.partial):
        yield "the function", value.func
        yield from ((f"argument {index}", part) for index, part in enumerate(value.args))
        yield from ((f"argument {name!r}", part) for name, part in value.keywords.items())
    elif inspect.ismethod(value):
        yield "its object", value.__self__
    elif isinstance(value, FunctionType):
        reached = inspect.getclosurevars(value)
        yield from ((f"the variable {name!r} around it", part) for name, part in reached.nonlocals.items())
        yield from ((f"the global {name!r}", part) for name, part in reached.globals.items())
        yield from ((f"the default {index}", part) for index, part in enumerate(value.__defaults__ or ()))
    elif isinstance(value, Mapping):
        yield from ((f"the item {key!r}", part) for key, part in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"the item {index}", part) for index, part in enumerate(value))
    elif hasattr(value, "__dict__") and not isinstance(value, type | ModuleType):
        yield from ((f"the attribute {name!r}", part) for name, part in vars(value).items())
