"""Validators for attrs fields that say which argument is wrong, what it takes, and what it got."""

from __future__ import annotations

import math
import re
import sys
from operator import index
from typing import Any

from attrs import Attribute

from asynctune.errors import ConfigurationError

__all__ = ["LARGEST_INTEGER", "as_bytes", "as_index", "flag", "number", "one_of", "size"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kKMGT]?)(i?)B", re.ASCII)
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}

LARGEST_INTEGER = 2**63 - 1  # that can be written down
_LARGEST = sys.float_info.max  # of an integer beyond it, `math.isfinite` raises


def number(
    low: float,
    *,
    above: bool = False,
    optional: bool = False,
    integer: bool = False,
    finite: bool = False,
    most: float = math.inf,
) -> Any:
    """A real number (an integer, if `integer`) of at least `low`, or above it, and at most `most`; never a bool or NaN; None
    too, if `optional`."""
    kinds: tuple[type, ...] = (int,) if integer else (int, float)
    wanted = ("an integer " if integer else "a number ") + (f"above {low:g}" if above else f"of at least {low:g}")

    def check(instance: object, attribute: Attribute[Any], value: Any) -> None:
        if value is None and optional:
            return
        fits = isinstance(value, int | float) and isinstance(value, kinds) and not isinstance(value, bool)
        fits = fits and (value <= most and (abs(value) <= _LARGEST or not finite))
        if not (fits and (value > low if above else value >= low)):
            # Nobody needs to be told of a bound that is far beyond what anybody means, but who was.
            told = most < LARGEST_INTEGER or (isinstance(value, int | float) and value > most)
            bound = (f" and at most {most:,}" if told else "") + (" or None" if optional else "")
            raise ConfigurationError(f"{type(instance).__name__}({attribute.name}=...) takes {wanted}{bound}, not {value!r}")

    return check


def flag(instance: object, attribute: Attribute[Any], value: Any) -> None:
    """True or False."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{type(instance).__name__}({attribute.name}=...) takes True or False, not {value!r}")


def one_of(*choices: str) -> Any:
    """One of these strings."""

    def check(instance: object, attribute: Attribute[Any], value: Any) -> None:
        if value not in choices:
            names = " or ".join(map(repr, choices))
            raise ConfigurationError(f"{type(instance).__name__}({attribute.name}=...) takes {names}, not {value!r}")

    return check


def as_bytes(given: int | str | None) -> int | None:
    """The bytes that "4 GiB" or "500 MB" are; anything that is no such text, as it is: `size` says what is wrong with it."""
    match = _SIZE.fullmatch(given) if isinstance(given, str) else None
    if match is None or (match[3] and not match[2]):
        return given  # type: ignore[return-value]  # it is checked next
    most = 2.0**63  # what `size` refuses; more digits than a float can hold come to that, too
    return int(min(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2]], most))


def size(least: int) -> Any:
    """A whole number of bytes of at least `least`, or None; the field's converter is `as_bytes`."""

    def check(instance: object, attribute: Attribute[Any], value: Any) -> None:
        if value is not None and not (isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63):
            wanted = f'a size of at least {least:,} bytes, such as "4 GiB" or a number of bytes, or None'
            raise ConfigurationError(f"{type(instance).__name__}({attribute.name}=...) takes {wanted}, not {value!r}")

    return check


def as_index(number: Any) -> Any:
    """The integer that `number` is, of whatever kind (NumPy's too); what is none is left to be refused."""
    try:
        return number if isinstance(number, bool) else index(number)
    except TypeError:
        return number
