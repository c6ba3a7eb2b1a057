"""Combinations of values as rows of numbers, many at a time, for a model to look at.

A combination has two faces. Its *units*: a number in [0, 1] for each parameter, by which it is drawn and changed (NaN: the trial
had no such parameter). Its *row*, which the model sees: numbers and ordered choices by their unit, the other choices and
booleans by a column for each value. It needs NumPy.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from asynctune.records import Value, Values
from asynctune.space import Boolean, Choice, Domain, Space

__all__ = ["Array", "Features"]

Array: TypeAlias = NDArray[np.float64]

_REACH: Final = (-3.0, -0.5)  # powers of ten: how far a number is moved, at the least and at most
_TABLED: Final = 1000  # values, at most, of a parameter that are listed; more are as good as a continuum


@frozen(eq=False)
class _Block:
    """The columns of one parameter.

    Attributes:
        place: of the parameter in the space. columns: where its columns are.
        table: the row of each of its values, in the order of their units; None where any number is as good as another.
        numeric: whether there is one column, in which values that are near are alike.
        fineness: the smallest change of the unit that may change the value.
    """

    place: int
    columns: slice
    table: Array | None
    numeric: bool
    fineness: float

    @classmethod
    def of(cls, place: int, start: int, domain: Domain) -> _Block:
        size = domain.size
        if isinstance(domain, Boolean):
            return cls(place, slice(start, start + 1), np.array([[0.0], [1.0]]), False, 0.5)
        if isinstance(domain, Choice) and not domain.ordered:
            return cls(place, slice(start, start + domain.size), np.eye(domain.size), False, 1 / domain.size)
        if size is not None and size <= _TABLED:
            table = np.array([[domain.to_unit(value)] for value in domain.values])
            return cls(place, slice(start, start + 1), table, True, 1 / size)
        return cls(place, slice(start, start + 1), None, True, 0.0)


@define(eq=False)
class Features:
    """The rows of a space.

    Args:
        space: not to change.
    """

    space: Space
    _blocks: list[_Block] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._blocks = []
        start = 0
        for place, domain in enumerate(self.space.values()):
            block = _Block.of(place, start, domain)
            self._blocks.append(block)
            start = block.columns.stop

    @property
    def width(self) -> int:
        """Columns of a row."""
        return int(self._blocks[-1].columns.stop) if self._blocks else 0

    def units(self, values: Values) -> Array:
        """The units of a trial's values."""
        units = np.full(len(self.space), np.nan)
        for place, (name, domain) in enumerate(self.space.items()):
            if name in values and domain.contains(values[name]):
                units[place] = domain.to_unit(values[name])
        return units

    def values(self, units: Array) -> dict[str, Value]:
        """The values that stand at some units."""
        return {name: domain.from_unit(float(unit)) for (name, domain), unit in zip(self.space.items(), units, strict=True)}

    def rows(self, units: Array) -> Array:
        """The rows of units that lie one under the other. What a trial has not is in the middle, and is no choice."""
        rows = np.empty((len(units), self.width))
        for block in self._blocks:
            column = units[:, block.place]
            if block.table is None:
                rows[:, block.columns] = np.nan_to_num(column, nan=0.5)[:, None]
                continue
            places = np.minimum(np.nan_to_num(column * len(block.table)).astype(np.intp), len(block.table) - 1)
            rows[:, block.columns] = block.table[places]
            absent = 0.5 if block.columns.stop - block.columns.start == 1 else 0.0
            rows[np.isnan(column), block.columns] = absent
        return rows

    def free(self) -> NDArray[np.bool_]:
        """Of each column, whether one may walk along it."""
        free = np.zeros(self.width, dtype=np.bool_)
        for block in self._blocks:
            free[block.columns] = block.numeric
        return free

    def walked(self, units: Array, rows: Array) -> Array:
        """`units`, moved to where their rows have been moved along the columns that are free."""
        units = units.copy()
        for block in self._blocks:
            if block.numeric:
                units[:, block.place] = rows[:, block.columns.start]
        return units

    def drawn(self, luck: np.random.Generator, count: int) -> Array:
        """Units of so many combinations, anywhere."""
        return luck.random((count, len(self._blocks)))

    def varied(self, luck: np.random.Generator, units: Array) -> Array:
        """Combinations near those that have these units: some of their parameters moved, by little or by much."""
        count, dimensions = units.shape
        units = np.where(np.isnan(units), luck.random(units.shape), units)
        reach = 10 ** luck.uniform(*_REACH, (count, 1))
        finest = np.array([block.fineness for block in self._blocks])
        moved = np.clip(units + np.maximum(reach, finest) * luck.standard_normal(units.shape), 0.0, 1.0)
        numeric = np.array([block.numeric for block in self._blocks])
        moved = np.where(numeric, moved, luck.random(units.shape))
        some = luck.random(units.shape) < np.maximum(luck.random((count, 1)), 1 / dimensions)
        return np.where(some, moved, units)

    def every(self) -> Iterator[dict[str, Value]]:
        """Every combination of a finite space."""
        names = list(self.space)
        for values in itertools.product(*(domain.values for domain in self.space.values())):
            yield dict(zip(names, values, strict=True))
