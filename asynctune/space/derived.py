"""Values that follow from others: `Derived`, and how they are computed.

They are computed once, in the process that searches, when a trial is given its values; from then on they are recorded. What a
function reads that is itself derived is computed when it is read, so no order need be given.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

from attrs import define, field, frozen

from asynctune.errors import SpaceError
from asynctune.records import Value
from asynctune.space.checks import scalar, wrong

__all__ = ["Derived", "Listed", "Pending", "called", "resolved", "takes"]

_TAKES = "a function of one argument, the other values, or of none"


def called(function: Any) -> str:
    """The qualified name of a function, or of the class of what is called like one."""
    while isinstance(function, functools.partial):
        function = function.func
    owner = function if hasattr(function, "__qualname__") else type(function)
    return f"{owner.__module__}.{owner.__qualname__}"


def takes(function: Any, what: str, wanted: str, most: int) -> int:
    """How many arguments a function can be called with: `most`, or else none.

    Raises:
        SpaceError: neither will do, or it is no plain function.
    """
    waits = any(asked(function) for asked in (inspect.iscoroutinefunction, inspect.isgeneratorfunction))
    if not callable(function) or isinstance(function, type) or waits:
        raise wrong(what, wanted, function)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some that are written in C do not say
        return most
    for count in (most, 0):
        try:
            signature.bind(*([None] * count))
        except TypeError:
            continue
        return count
    raise wrong(what, wanted, function)


@frozen(init=False)
class Derived:
    """A value that a function computes from the other values of a trial. It has no range: it counts for nothing where
    combinations are counted, compared or encoded.

    Args:
        function: called with the other values, by name: nested as they were declared, the objects of choices in place of their
            labels. It may read them as items or as attributes, and returns a finite number, a string, a bool or None. What it
            draws by itself does not follow from the seed of the search.

    Attributes:
        name: the qualified name of the function, which is what is recorded of it. Two are equal if their names are.

    Raises:
        SpaceError: for what cannot be called like that.
    """

    name: str
    function: Callable[..., Any] = field(eq=False, repr=False)
    _count: int = field(eq=False, repr=False)

    def __init__(self, function: Callable[..., Any]) -> None:
        count = takes(function, "sample_from()", _TAKES, 1)
        self.__attrs_init__(called(function), function, count)

    def describe(self) -> str:
        """One line, the same for equal ones only."""
        return f"Derived({self.name})"

    def compute(self, parameter: str, config: Mapping[str, Any]) -> Value:
        """The value of the parameter.

        Raises:
            SpaceError: the function raised, or returned what is no plain value.
        """
        try:
            value = self.function(config) if self._count else self.function()
        except SpaceError:
            raise
        except Exception as error:
            told = f"{self.name}, which computes parameter {parameter!r}, raised {type(error).__name__}: {error}"
            raise SpaceError(told) from error
        try:
            return scalar("", value)
        except SpaceError:
            told = f"{self.name} computed {value!r} for parameter {parameter!r}"
            raise SpaceError(f"{told}: it must return a finite number, a string, a bool or None") from None


@frozen
class Pending:
    """Stands where the value of this parameter will."""

    name: str


def resolved(derived: Mapping[str, Derived], nested: Mapping[str, Any]) -> dict[str, Value]:
    """The values of all of `derived`.

    Args:
        derived: by flat name.
        nested: the values of a trial as a function sees them, with a `Pending` where a derived one will stand.

    Raises:
        SpaceError: two depend on one another, naming them; or a function failed.
    """
    resolution = _Resolution(derived, nested)
    return {name: resolution.value(name) for name in derived}


@define
class _Resolution:
    derived: Mapping[str, Derived]
    nested: Mapping[str, Any]
    _done: dict[str, Value] = field(init=False, factory=dict)
    _open: list[str] = field(init=False, factory=list)

    def value(self, name: str) -> Value:
        if name in self._done:
            return self._done[name]
        if name in self._open:
            circle = " reads ".join(map(repr, [*self._open[self._open.index(name) :], name]))
            raise SpaceError(f"the values of sample_from() depend on one another: {circle}")
        self._open.append(name)
        try:
            self._done[name] = self.derived[name].compute(name, _Group(self, self.nested, root=True))
        finally:
            self._open.pop()
        return self._done[name]

    def shown(self, inner: Any) -> Any:
        if isinstance(inner, Pending):
            return self.value(inner.name)
        if type(inner) is dict:
            return _Group(self, inner)
        return _Items(self, inner) if type(inner) is Listed else inner


class Listed(list[Any]):
    """A list that is structure; one that is the object of a choice is of the plain class."""


class _Group(Mapping[str, Any]):
    """Values by name, as items and as attributes; the whole is its own attribute `config`, as in Ray's `spec.config.lr`."""

    def __init__(self, resolution: _Resolution, values: Mapping[str, Any], *, root: bool = False) -> None:
        self._resolution, self._values, self._root = resolution, values, root

    def __getitem__(self, name: str) -> Any:
        if name in self._values:
            return self._resolution.shown(self._values[name])
        if self._root and name == "config":
            return self
        known = ", ".join(map(repr, self._values)) or "none"
        raise KeyError(f"there is no {name!r} here; there is {known}")

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<values of {', '.join(self._values)}>"


class _Items(Sequence[Any]):
    """Values in a list."""

    def __init__(self, resolution: _Resolution, values: Sequence[Any]) -> None:
        self._resolution, self._values = resolution, values

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        found = self._values[index]
        return [self._resolution.shown(each) for each in found] if isinstance(index, slice) else self._resolution.shown(found)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<{len(self._values)} values>"
