"""Combinations that are looked at before one is proposed: from anywhere in the space, and from around the best trials.

A combination is looked at as a vector (`Encoding`), and changed as what it is, a set of values: so each is valid, under
whatever conditions. It needs NumPy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import Final, TypeAlias

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from asynctune.records import Value, Values
from asynctune.seeds import derive, generator
from asynctune.space import Boolean, Choice, Domain, Encoding, Space

__all__ = ["Array", "Candidates", "Field", "Mask"]

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

_REACH: Final = (-3.0, -0.5)  # powers of ten: how far a number is moved, at the least and at most
_ANYWHERE: Final = 150  # drawn for each proposal from the whole space
_NEARBY: Final = 250  # and from around the best trials
_FEW: Final = 500  # combinations, at most, of a space that is looked at whole


@frozen(eq=False)
class Candidates:
    """Some combinations.

    Args:
        values: each.
        rows: their vectors.
    """

    values: Sequence[Values]
    rows: Array


@define(eq=False)
class Field:
    """Where candidates are drawn from.

    Args:
        space: not to change.

    Attributes:
        encoding: of the space.
    """

    space: Space
    encoding: Encoding = field(init=False)
    # All there are, where they are few.
    _whole: Candidates | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.encoding = Encoding(self.space)
        size = self.space.size
        if size is not None and size <= _FEW:
            found = list(islice(_every(self.space), _FEW + 1))
            self._whole = self.candidates(found) if len(found) <= _FEW else None

    def rows(self, values: Iterable[Values]) -> Array:
        """The vector of each combination, one under the other."""
        found = [self.encoding.vector(each) for each in values]
        return np.array(found, dtype=np.float64).reshape(len(found), self.encoding.width)

    def candidates(self, values: Iterable[Values]) -> Candidates:
        """These combinations."""
        listed = list(values)
        return Candidates(listed, self.rows(listed))

    def decoded(self, rows: Array) -> Candidates:
        """The combinations that are nearest to rows."""
        return self.candidates(self.encoding.values(row) for row in rows.tolist())

    def anywhere(self, luck: int) -> Candidates:
        """From the whole space; all of it, where it is small."""
        if self._whole is not None:
            return self._whole
        return self.candidates(self.space.sample(derive(luck, "anywhere", number)) for number in range(_ANYWHERE))

    def around(self, best: Sequence[Values], luck: int) -> Candidates:
        """From around these combinations; none, where the space is small."""
        rng = generator(luck, "around")
        return self.candidates(self._varied(rng.choice(best), rng) for _ in range(_NEARBY if self._whole is None else 0))

    def free(self, rows: Array) -> Mask:
        """Of each place in these rows, whether it can be changed a little: those of numbers, and of choices with an order,
        where they are there. None, where the space is small."""
        kinds = self.encoding.kinds
        free = np.zeros(rows.shape, dtype=np.bool_)
        for place, kind in enumerate(kinds):
            if kind in ("number", "ordered") and self._whole is None:
                flagged = kinds[place + 1 : place + 2] == ("active",)
                free[:, place] = rows[:, place + 1] == 1 if flagged else True
        return free

    def _varied(self, values: Values, rng: Random) -> dict[str, Value]:
        """Some of the parameters moved, by little or by much; all those that were not there, drawn."""
        share, reach = max(rng.random(), 1 / len(self.space)), 10 ** rng.uniform(*_REACH)
        varied: dict[str, Value] = {}
        for name in self.space:
            domain = self.space.domain(name, varied)
            if domain is None:
                continue
            if name not in values or not domain.contains(values[name]):
                varied[name] = domain.from_unit(rng.random())
            elif rng.random() < share:
                varied[name] = _moved(domain, values[name], reach, rng)
            else:
                varied[name] = values[name]
        return varied


def _moved(domain: Domain, value: Value, reach: float, rng: Random) -> Value:
    if isinstance(domain, Boolean) or (isinstance(domain, Choice) and not domain.ordered):
        return domain.from_unit(rng.random())
    finest = 1 / domain.size if domain.size else 0.0
    unit = domain.to_unit(value) + max(reach, finest) * rng.gauss()
    return domain.from_unit(min(max(unit, 0.0), 1.0))


def _every(space: Space) -> Iterator[dict[str, Value]]:
    """Every combination of a finite space, also those that its rules forbid."""
    names = list(space)

    def walked(place: int, values: dict[str, Value]) -> Iterator[dict[str, Value]]:
        if place == len(names):
            yield dict(values)
            return
        name = names[place]
        domain = space.domain(name, values)
        if domain is None:
            yield from walked(place + 1, values)
            return
        for value in domain.values:
            yield from walked(place + 1, {**values, name: value})

    return walked(0, {})
