"""Values and numbers: how a value is drawn from a seed, and how a set of values becomes a vector of numbers in [0, 1]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from attrs import frozen

from asynctune.errors import SpaceError
from asynctune.records import Value, Values
from asynctune.seeds import unit
from asynctune.space.domains import Domain

__all__ = ["Fill", "FillRule", "draw", "from_units", "to_units"]


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


def to_units(space: Mapping[str, Domain], values: Values) -> list[float]:
    """A number in [0, 1] for each parameter, in the order of `space`.

    Raises:
        SpaceError: if a value is missing, or is not in its domain.
    """
    missing = [name for name in space if name not in values]
    if missing:
        raise SpaceError(f"no value for {', '.join(map(repr, missing))}")
    return [domain.to_unit(values[name]) for name, domain in space.items()]


def from_units(space: Mapping[str, Domain], units: Sequence[float]) -> dict[str, Value]:
    """The values that stand at `units`, one number in [0, 1] for each parameter, in the order of `space`.

    Raises:
        SpaceError: if there are more or fewer numbers than parameters, or one is not in [0, 1].
    """
    if len(units) != len(space):
        raise SpaceError(f"{len(space)} parameters take {len(space)} numbers, not {len(units)}")
    return {name: domain.from_unit(unit) for (name, domain), unit in zip(space.items(), units, strict=True)}
