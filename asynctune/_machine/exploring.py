"""What a scheduler has explored, made into values of the space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asynctune.errors import SpaceError
from asynctune.records import Value, Values
from asynctune.space import Domain, Fill, FillRule, Space

__all__ = ["explored"]


def explored(space: Space, said: Any, source: Values, seed: int) -> Values:
    """All values for a trial that goes on as another one, without those that are computed.

    Args:
        space: what is known.
        said: what the scheduler has returned; of the space's types or of others that can be made such.
        source: the other trial's values, which count where nothing is said.
        seed: of what is drawn for parameters that are there now, and were not there, or were others, in the source.

    Raises:
        SpaceError: it is no mapping, or names what is not a parameter or not there, or a value is none of its domain.
    """
    if not isinstance(said, Mapping) or not all(isinstance(name, str) for name in said):
        raise SpaceError(f"{said!r} is no dict from names to values")
    for name in said:
        if name in space.derived:
            raise SpaceError(f"{name!r} is computed from the others: leave it out")
        if name not in space:
            raise SpaceError(f"there is no parameter {name!r}; known are {', '.join(map(repr, space)) or 'none'}")
    luck = Fill(FillRule.DRAW, seed)

    def otherwise(name: str, domain: Domain) -> Value:
        """As in the source, unless what was explored has made something else of the parameter."""
        value = source.get(name)
        return value if name in source and domain.contains(value) else luck.value(name, domain)

    return space.complete(said, otherwise)
