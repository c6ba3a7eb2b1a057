"""What the domains check in the same way: each refusal says which argument it is, what it takes, and what it got."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

from asynctune.errors import SpaceError
from asynctune.records import Value
from asynctune.secret import Secret

__all__ = [
    "as_float",
    "as_whole",
    "declared_twice",
    "integer",
    "listed",
    "nearest",
    "number",
    "plain",
    "scalar",
    "scalars",
    "sound_name",
    "sound_points",
    "sound_unit",
    "text",
    "whole",
    "wrong",
]

V = TypeVar("V")

_LISTED = 1_000_000  # values, at most, that are ever listed in memory
_INTEGERS = range(-(2**63), 2**63)  # what every journal and every frame can hold


def wrong(argument: str, takes: str, got: object) -> SpaceError:
    """The error for an argument such as "Int(step=...)"."""
    hint = ": values are recorded, and a Secret is not. Hand it over in data=" if isinstance(got, Secret) else ""
    return SpaceError(f"{argument} takes {takes}, not {got!r}{hint}")


def plain(value: Any) -> Any:
    """NumPy's scalars, and its arrays without dimensions, as Python's own; everything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def as_float(value: Any) -> float | None:
    """The finite float that a float or an int stands for, exactly (and 0.0 for -0.0); None if there is none."""
    exact = nearest(value)
    return exact if exact == value else None


def nearest(value: Any) -> float | None:
    """The finite float that a float is, or that is nearest to an int; None if there is none."""
    if type(value) is float and math.isfinite(value):
        return value + 0.0
    try:
        return float(value) if type(value) is int else None
    except OverflowError:
        return None


def integer(argument: str, value: Any, takes: str = "an integer", least: int | None = None) -> int:
    """An integer of 64 bits, never a bool, of at least `least`."""
    value = plain(value)
    if type(value) is not int or (least is not None and value < least):
        raise wrong(argument, takes, value)
    if value not in _INTEGERS:
        raise wrong(argument, f"{takes} (64 bits)", value)
    return value


def as_whole(value: Any) -> Any:
    """The int that a float stands for, if it is a whole number; everything else as it is."""
    exact = plain(value)
    return int(exact) if type(exact) is float and exact.is_integer() else exact


def whole(argument: str, value: Any, takes: str = "an integer", least: int | None = None) -> int:
    """An integer as `integer` takes it, which may come as a float: 2.0 is 2."""
    return integer(argument, as_whole(value), takes, least)


def number(argument: str, value: Any, takes: str = "a finite number", least: float = -math.inf) -> float:
    """A finite float, or the one that is nearest to an integer; never a bool; of at least `least`."""
    value = plain(value)
    found = nearest(value)
    if found is None or found < least:
        raise wrong(argument, takes, value)
    return found


def text(argument: str, value: Any, takes: str = "a string") -> str:
    """A string that can be written down."""
    if type(value) is not str:
        raise wrong(argument, takes, value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise wrong(argument, f"{takes} (in UTF-8: no lone surrogates)", value) from None
    return value


def scalar(argument: str, value: Any) -> Value:
    """A finite number, a string, a bool or None: of exactly these types, so that it comes back from the journal as it was."""
    value = plain(value)
    takes = "a finite number, a string, a bool or None"
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        return integer(argument, value, takes)
    if type(value) is float:
        return number(argument, value, takes)
    return text(argument, value, takes)


def scalars(argument: str, values: Any) -> tuple[Value, ...]:
    """A list, or another sequence, of at least one scalar."""
    if isinstance(values, str | bytes) or not isinstance(values, Sequence) or not values:
        raise wrong(argument, "a list of at least one value", values)
    return tuple(scalar(argument, value) for value in values)


def sound_name(name: Any, argument: str = "the name of a parameter") -> str:
    """A name, or several joined with "/": printable, none empty."""
    if type(name) is not str or not name.isprintable() or not all(name.split("/")):
        raise wrong(argument, 'printable text, grouped with "/" ("layer/units")', name)
    return name


def declared_twice(name: str, known: str, new: str) -> SpaceError:
    """The error for two domains under one name; both say what they are."""
    return SpaceError(f"parameter {name!r} is {known} and was declared again as {new}: give one of the two another name")


def sound_unit(value: float) -> float:
    """A number from 0 to 1."""
    if type(value) is float and 0 <= value <= 1:
        return value
    exact = as_float(plain(value))
    if exact is None or not 0 <= exact <= 1:
        raise wrong("from_unit()", "a number from 0 to 1", value)
    return exact


def sound_points(value: int) -> int:
    """How many points a grid is to have."""
    points = integer("grid(points=...)", value, "an integer of at least 2", 2)
    if points > _LISTED:
        raise wrong("grid(points=...)", f"an integer of at most {_LISTED:,}", points)
    return points


def listed(domain: str, values: Sequence[V], size: int) -> tuple[V, ...]:
    """All of them, unless they are too many for the memory."""
    if size > _LISTED:
        raise SpaceError(f"{domain} has {size:,} values, too many to list: take larger steps, or none and grid()")
    return tuple(values)
