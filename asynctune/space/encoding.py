"""Values and numbers: how a value is drawn from a seed, and how a set of values becomes a vector for a model to learn from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Literal, TypeAlias

from attrs import frozen

from asynctune.errors import SpaceError
from asynctune.records import Value, Values
from asynctune.seeds import unit
from asynctune.space.checks import nearest, plain
from asynctune.space.conditions import Cases, Parameter, cases_of
from asynctune.space.domains import Boolean, Choice, Domain

__all__ = ["Encoding", "Fill", "FillRule", "Kind", "draw"]


class FillRule(Enum):
    """How a parameter gets its value when a trial names it for the first time in the search."""

    DEFAULT = "default"
    DRAW = "draw"


@frozen
class Fill:
    """Fill unknown parameters by this rule; DRAW takes hash(`seed`, name), where `seed` is already the trial's own."""

    rule: FillRule
    seed: int

    def value(self, name: str, domain: Domain) -> Value:
        """The value that the parameter `name` gets: always the same one."""
        return domain.default if self.rule is FillRule.DEFAULT else draw(domain, self.seed, name)


def draw(domain: Domain, *luck: int | str) -> Value:
    """The value of `domain` that belongs to hash(`luck`), such as a seed and a name; over all seeds, uniform along the domain's
    scale."""
    return domain.from_unit(unit(*luck))


Kind: TypeAlias = Literal["number", "ordered", "category", "active"]
"""What a place of a vector says: where a number, or an ordered choice, stands in its range; whether an unordered choice is this
value; whether a conditional parameter is there."""


@frozen
class _Block:
    """The places of one domain of one parameter.

    Attributes:
        start: the first place.
        categories: the values that have a place each; empty, where one place says it all.
        flag: the place that says whether the parameter is there, with this domain; None, where it always is.
    """

    domain: Domain
    start: int
    categories: tuple[Value, ...]
    flag: int | None

    @property
    def size(self) -> int:
        return (len(self.categories) or 1) + (self.flag is not None)


class Encoding:
    """Vectors of a fixed length for the sets of values of a space, conditional or not, for models to learn from.

    All numbers are in [0, 1]. A number, or a choice with an order, is where it stands along its scale (its unit). Any other
    choice, and a boolean, has a place for each of its values, with 1 for the one that it is and 0 elsewhere. A parameter that
    is there only under conditions has a further place, which is 1 where it is there; where it is not, its own places are 0.5,
    or 0 for each category. If it can be of several domains, each has places of its own. What can have one value only has none.

    Args:
        space: the parameters; a `Space`.

    Attributes:
        width: how many numbers a vector has.
        kinds: what each of them says: "number", "ordered", "category" or "active".
        names: what each of them is about, for people: "units", "kind is 'cnn'", "units is there".
    """

    def __init__(self, space: Mapping[str, Parameter]) -> None:
        self._space = dict(space)
        self._blocks: dict[str, list[_Block]] = {}
        kinds: list[Kind] = []
        names: list[str] = []
        for name, parameter in space.items():
            self._blocks[name] = []
            for domain in dict.fromkeys(case.domain for case in cases_of(parameter)):
                if domain.size == 1:
                    continue
                categories = _categories(domain)
                end = len(kinds) + (len(categories) or 1)
                block = _Block(domain, len(kinds), categories, end if isinstance(parameter, Cases) else None)
                kinds += [*_kinds(domain, categories), *(["active"] if block.flag is not None else [])]  # type: ignore[list-item]
                names += [f"{name} is {value!r}" for value in categories] or [name]
                names += [f"{name} is there"] if block.flag is not None else []
                self._blocks[name].append(block)
        self.kinds: tuple[Kind, ...] = tuple(kinds)
        self.names: tuple[str, ...] = tuple(names)

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        return len(self.kinds)

    def vector(self, values: Values) -> list[float]:
        """The vector of a set of values. A parameter that has no value counts as one that is not there.

        Raises:
            SpaceError: naming the active parameter whose value is not one of its domain.
        """
        vector: list[float] = []
        known: dict[str, Value] = {}
        for name, parameter in self._space.items():
            domain = parameter.under(known) if isinstance(parameter, Cases) else parameter
            if name not in values:
                domain = None
            if domain is not None:
                known[name] = values[name]
            for block in self._blocks[name]:
                there = domain is not None and block.domain == domain
                vector += _units(name, block, values[name]) if there else [0.0] * len(block.categories) or [0.5]
                vector += [float(there)] if block.flag is not None else []
        return vector

    def values(self, vector: Sequence[float]) -> dict[str, Value]:
        """The set of values that is nearest to a vector. The parents' values decide which parameters are there. Numbers outside
        [0, 1] are taken as the nearest end; of several categories with the same number, the first is taken.

        Back from `vector`, the values are the same, but for what doubles cannot tell apart on a scale without steps.

        Raises:
            SpaceError: if there are more or fewer numbers than `width`, or one is NaN.
        """
        units = [_sound(number) for number in vector]
        if len(units) != self.width:
            raise SpaceError(f"a vector of this space has {self.width} numbers, not {len(units)}")
        values: dict[str, Value] = {}
        for name, parameter in self._space.items():
            domain = parameter.under(values) if isinstance(parameter, Cases) else parameter
            if domain is not None:
                values[name] = self._value(name, domain, units)
        return values

    def _value(self, name: str, domain: Domain, units: Sequence[float]) -> Value:
        block = next((block for block in self._blocks[name] if block.domain == domain), None)
        if block is None:
            return domain.default  # it has no other
        if not block.categories:
            return domain.from_unit(units[block.start])
        return max(enumerate(block.categories, block.start), key=lambda place: units[place[0]])[1]

    def __repr__(self) -> str:
        return f"<Encoding of {len(self._space)} parameters in {self.width} numbers>"


def _categories(domain: Domain) -> tuple[Value, ...]:
    if isinstance(domain, Boolean) or (isinstance(domain, Choice) and not domain.ordered):
        return domain.values
    return ()


def _kinds(domain: Domain, categories: Sequence[Value]) -> Iterator[Kind]:
    if not categories:
        yield "ordered" if isinstance(domain, Choice) else "number"
    for _ in categories:
        yield "category"


def _units(name: str, block: _Block, value: Value) -> list[float]:
    try:
        if not block.categories:
            return [block.domain.to_unit(value)]
        exact = block.domain.coerce(value)
    except SpaceError as error:
        raise SpaceError(f"parameter {name!r}: {error}") from None
    return [float((type(each), each) == (type(exact), exact)) for each in block.categories]


def _sound(number: object) -> float:
    exact = plain(number)
    found = nearest(exact)
    if found is None:
        if type(exact) is not float or math.isnan(exact):
            raise SpaceError(f"a vector takes numbers from 0 to 1, not {number!r}")
        found = exact
    return min(max(found, 0.0), 1.0)
