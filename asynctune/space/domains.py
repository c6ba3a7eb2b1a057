"""What one parameter may be: `Int`, `Float`, `Choice`, `Boolean` or `Fixed`, with KerasTuner's arguments, or `Normal`.

A domain is a frozen value. It knows nothing of names, trials or luck: a number in [0, 1] goes in and a value comes out, and
back. Whatever is wrong with an argument is said when the domain is made.

Every domain has the same members: `default`, `size` (None where there is no end of values), `values` (all of them),
`grid(points)` (all, or some of them), `contains`, `coerce`, `from_unit`, `to_unit`, `describe`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import EllipsisType
from typing import Any, TypeAlias

from attrs import field, frozen

from asynctune.records import SELDOM, Value
from asynctune.space.checks import plain, scalar, sound_points, sound_unit, wrong
from asynctune.space.labels import label_of, labelled
from asynctune.space.normal import Normal
from asynctune.space.numeric import Float, Int
from asynctune.space.scales import Sampling, part
from asynctune.wire import closed_union

__all__ = ["Boolean", "Choice", "Domain", "Fixed", "Float", "Int", "Normal", "Sampling"]


class _Shown:
    """Values as a message shows them: the first ones, where there are many."""

    def __init__(self, values: tuple[Value, ...]) -> None:
        self._values = values

    def __repr__(self) -> str:
        more = [f"... {len(self._values) - _MOST_SHOWN:,} more"] if len(self._values) > _MOST_SHOWN else []
        return f"[{', '.join([*map(repr, self._values[:_MOST_SHOWN]), *more])}]"


_MOST_SHOWN = 20
_SCALARS = frozenset({bool, int, float, str, type(None)})
_CONTAINERS = frozenset({tuple, list, dict})


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

    Numbers, strings, bools and None are recorded as they are; 1, 1.0 and True are three values. Of any other object its label,
    a string, is recorded, and a trial gets the object: `Choice({"relu": nn.relu, "tanh": nn.tanh})`. In a list, a function or a
    class is labelled by its name, and a tuple, a list or a dict of plain values by its text. Two choices are equal if their
    labels are.

    Args:
        values: a list of values, or a dict from labels to objects.
        ordered: whether the order in which numbers are listed means something; True for numbers by default, and only for them.
        default: one of the values; the first, if it is left out (or is None, where None is not one of the values).
        grid: whether `RandomSearch` takes each value in turn, once for each combination of the others that it draws; see
            `asynctune.tune.grid_search`.

    Attributes:
        values: those that are recorded; `objects` are behind those that are labels, by label. To be read only.
        is_grid: the argument `grid`.

    Raises:
        SpaceError: naming the argument, what it takes and what it got.
    """

    values: tuple[Value, ...] = field(eq=_exactly)
    ordered: bool
    default: Value = field(eq=_exactly)
    is_grid: bool = field(default=False, alias="grid", metadata=SELDOM)
    objects: Mapping[str, Any] = field(init=False, eq=False, repr=False, factory=dict)

    def __init__(
        self,
        values: Sequence[Any] | Mapping[str, Any],
        ordered: bool | None = None,
        default: Any | EllipsisType = ...,
        grid: bool = False,
    ) -> None:
        listed, objects = labelled(values)
        seen = set[object]()
        for value, exactly in zip(listed, _exactly(listed), strict=True):
            if exactly in seen:
                raise wrong("Choice(values=...)", f"different values ({value!r} is repeated)", _Shown(listed))
            seen.add(exactly)
        numbers = _are_numbers(listed)
        order = numbers if ordered is None else plain(ordered)
        if type(order) is not bool or (order and not numbers):
            raise wrong("Choice(ordered=...)", "None, False or, if all values are numbers, True", ordered)
        crossed = plain(grid)
        if type(crossed) is not bool:
            raise wrong("Choice(grid=...)", "True or False", grid)
        start = listed[0] if default is ... else _recorded(default, objects)
        if start is None and _index(listed, None) is None:
            start = listed[0]
        if _index(listed, start) is None:
            raise wrong("Choice(default=...)", f"one of {str(_Shown(listed))[1:-1]}", default)
        self.__attrs_init__(listed, order, start, crossed)
        object.__setattr__(self, "objects", objects)

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
        """The value that `value` is; it may come as NumPy's, or as the object behind a label.

        Raises:
            SpaceError: if it is none.
        """
        return self.values[self._place(value)]

    def behind(self, value: Value) -> Any:
        """What a trial gets for one of the values: the object behind a label, or else the value."""
        return self.objects.get(value, value) if isinstance(value, str) else value

    def from_unit(self, unit: float) -> Value:
        """The value at `unit` in [0, 1], where each has an equal part."""
        return self.values[part(sound_unit(unit), len(self.values))]

    def to_unit(self, value: object) -> float:
        """The middle of the part of [0, 1] that `from_unit` takes to `value`."""
        return (self._place(value) + 0.5) / len(self.values)

    def describe(self) -> str:
        """One line, the same for equal domains only."""
        unordered = ", unordered" if _are_numbers(self.values) and not self.ordered else ""
        grid = ", grid" if self.is_grid else ""
        default = "" if _index(self.values, self.default) == 0 else f", default {self.default!r}"
        return f"Choice({', '.join(map(repr, self.values))}{unordered}{grid}{default})"

    def _place(self, value: Any) -> int:
        index = _index(self.values, _recorded(value, self.objects))
        if index is None:
            raise wrong(self.describe(), "one of its values", value)
        return index


def _recorded(value: Any, objects: Mapping[str, Any]) -> Any:
    # What is recorded of `value`. Objects are told apart by identity: comparing them could do anything.
    exact = plain(value)
    if not objects or type(exact) in _SCALARS:
        return exact
    label = label_of(value)
    if label is not None and type(value) in _CONTAINERS and label in objects and type(objects[label]) is type(value):
        return label
    return next((label for label, known in objects.items() if known is value), exact)


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


Domain: TypeAlias = Int | Float | Normal | Choice | Boolean | Fixed
closed_union(Domain)
