"""What one parameter may be: `Int`, `Float`, `Choice`, `Boolean` or `Fixed`, with KerasTuner's arguments.

A domain is a frozen value. It knows nothing of names, trials or luck: a number in [0, 1] goes in and a value comes out, and
back. Whatever is wrong with an argument is said when the domain is made.

Every domain has the same members: `default`, `size` (None where there is no end of values), `values` (all of them),
`grid(points)` (all, or some of them), `contains`, `coerce`, `from_unit`, `to_unit`, `describe`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from types import EllipsisType
from typing import Any, TypeAlias

from attrs import field, frozen

from asynctune.records import Value
from asynctune.space.checks import plain, scalar, scalars, sound_points, sound_unit, wrong
from asynctune.space.numeric import Float, Int
from asynctune.space.scales import Sampling, part
from asynctune.wire import closed_union

__all__ = ["Boolean", "Choice", "Domain", "Fixed", "Float", "Int", "Sampling"]


class _Shown:
    """Values as a message shows them: the first ones, where there are many."""

    def __init__(self, values: tuple[Value, ...]) -> None:
        self._values = values

    def __repr__(self) -> str:
        more = [f"... {len(self._values) - _MOST_SHOWN:,} more"] if len(self._values) > _MOST_SHOWN else []
        return f"[{', '.join([*map(repr, self._values[:_MOST_SHOWN]), *more])}]"


_MOST_SHOWN = 20
_SCALARS = frozenset({bool, int, float, str, type(None)})


def _exactly(value: Any) -> Any:
    # 1, 1.0 and True are equal in Python, and three values here.
    return tuple(map(_exactly, value)) if isinstance(value, tuple) else (type(value).__name__, value)


def _index(values: tuple[Value, ...], value: object) -> int | None:
    if type(value) not in _SCALARS:
        return None
    # `index` looks at thousands of values in no time; what it finds first may be of another type.
    place = -1
    with suppress(ValueError):
        while True:
            place = values.index(value, place + 1)
            if type(values[place]) is type(value):
                return place
    return None


@frozen(init=False)
class Choice:
    """One of several values, which may be of different types.

    Args:
        values: a list of numbers, strings, bools or None. 1, 1.0 and True are three values.
        ordered: whether the order in which numbers are listed means something; True for numbers by default, and only for them.
        default: one of the values; the first, if it is left out (or is None, where None is not one of the values).

    Raises:
        SpaceError: naming the argument, what it takes and what it got.
    """

    values: tuple[Value, ...] = field(eq=_exactly)
    ordered: bool
    default: Value = field(eq=_exactly)

    def __init__(
        self,
        values: Sequence[Value],
        ordered: bool | None = None,
        default: Value | EllipsisType = ...,
    ) -> None:
        listed = scalars("Choice(values=...)", values)
        seen = set[object]()
        for value, exactly in zip(listed, _exactly(listed), strict=True):
            if exactly in seen:
                raise wrong("Choice(values=...)", f"different values ({value!r} is repeated)", _Shown(listed))
            seen.add(exactly)
        numbers = _are_numbers(listed)
        order = numbers if ordered is None else plain(ordered)
        if type(order) is not bool or (order and not numbers):
            raise wrong("Choice(ordered=...)", "None, False or, if all values are numbers, True", ordered)
        start = listed[0] if default is ... else plain(default)
        if start is None and _index(listed, None) is None:
            start = listed[0]
        if _index(listed, start) is None:
            raise wrong("Choice(default=...)", f"one of {str(_Shown(listed))[1:-1]}", default)
        self.__attrs_init__(listed, order, start)

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.values)

    def grid(self, points: int = 10) -> tuple[Value, ...]:
        """All values, as they are listed, whatever `points` is."""
        sound_points(points)
        return self.values

    def contains(self, value: object) -> bool:
        """Whether `value` is one of the values, of the same type."""
        return _index(self.values, value) is not None

    def coerce(self, value: object) -> Value:
        """The value that `value` is; it may come as NumPy's.

        Raises:
            SpaceError: if it is none.
        """
        return self.values[self._place(value)]

    def from_unit(self, unit: float) -> Value:
        """The value at `unit` in [0, 1], where each has an equal part."""
        return self.values[part(sound_unit(unit), len(self.values))]

    def to_unit(self, value: object) -> float:
        """The middle of the part of [0, 1] that `from_unit` takes to `value`."""
        return (self._place(value) + 0.5) / len(self.values)

    def describe(self) -> str:
        """One line, the same for equal domains only."""
        unordered = ", unordered" if _are_numbers(self.values) and not self.ordered else ""
        default = "" if _index(self.values, self.default) == 0 else f", default {self.default!r}"
        return f"Choice({', '.join(map(repr, self.values))}{unordered}{default})"

    def _place(self, value: object) -> int:
        index = _index(self.values, plain(value))
        if index is None:
            raise wrong(self.describe(), "one of its values", value)
        return index


def _are_numbers(values: tuple[Value, ...]) -> bool:
    return all(type(value) in (int, float) for value in values)


@frozen(init=False)
class Boolean:
    """True or False.

    Args:
        default: which of the two.

    Raises:
        SpaceError: if it is neither.
    """

    default: bool

    def __init__(self, default: bool = False) -> None:
        start = plain(default)
        if type(start) is not bool:
            raise wrong("Boolean(default=...)", "True or False", default)
        self.__attrs_init__(start)

    @property
    def size(self) -> int:
        """2."""
        return 2

    @property
    def values(self) -> tuple[bool, ...]:
        """False and True."""
        return (False, True)

    def grid(self, points: int = 10) -> tuple[bool, ...]:
        """False and True, whatever `points` is."""
        sound_points(points)
        return self.values

    def contains(self, value: object) -> bool:
        """Whether `value` is a bool."""
        return type(value) is bool

    def coerce(self, value: object) -> bool:
        """The bool that `value` is; it may come as NumPy's.

        Raises:
            SpaceError: if it is none.
        """
        exact = plain(value)
        if type(exact) is not bool:
            raise wrong(self.describe(), "True or False", value)
        return exact

    def from_unit(self, unit: float) -> bool:
        """True from 0.5 up."""
        return sound_unit(unit) >= 0.5

    def to_unit(self, value: object) -> float:
        """0.75 for True, 0.25 for False."""
        return 0.75 if self.coerce(value) else 0.25

    def describe(self) -> str:
        """One line, the same for equal domains only."""
        return "Boolean(default True)" if self.default else "Boolean()"


@frozen(init=False)
class Fixed:
    """Always the same value.

    Args:
        value: a finite number, a string, a bool or None.

    Raises:
        SpaceError: if it is anything else.
    """

    value: Value = field(eq=_exactly)

    def __init__(self, value: Value) -> None:
        self.__attrs_init__(scalar("Fixed(value=...)", value))

    @property
    def default(self) -> Value:
        """The value."""
        return self.value

    @property
    def size(self) -> int:
        """1."""
        return 1

    @property
    def values(self) -> tuple[Value, ...]:
        """The value, alone."""
        return (self.value,)

    def grid(self, points: int = 10) -> tuple[Value, ...]:
        """The value, alone, whatever `points` is."""
        sound_points(points)
        return self.values

    def contains(self, value: object) -> bool:
        """Whether `value` is the value, of the same type."""
        return _index(self.values, value) is not None

    def coerce(self, value: object) -> Value:
        """The value; `value` may be NumPy's.

        Raises:
            SpaceError: if `value` is another.
        """
        if not self.contains(plain(value)):
            raise wrong(self.describe(), "its value", value)
        return self.value

    def from_unit(self, unit: float) -> Value:
        """The value, wherever `unit` is in [0, 1]."""
        sound_unit(unit)
        return self.value

    def to_unit(self, value: object) -> float:
        """0.5."""
        self.coerce(value)
        return 0.5

    def describe(self) -> str:
        """One line, the same for equal domains only."""
        return f"Fixed({self.value!r})"


Domain: TypeAlias = Int | Float | Choice | Boolean | Fixed
closed_union(Domain)
