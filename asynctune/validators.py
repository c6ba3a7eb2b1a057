"""Validators for attrs fields that say which argument is wrong, what it takes, and what it got."""

from __future__ import annotations

import math
import sys
from typing import Any

from attrs import Attribute

from asynctune.errors import ConfigurationError

__all__ = ["number", "one_of"]

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
    wanted += f" and at most {most:,}" if most < math.inf else ""
    wanted += " or None" if optional else ""

    def check(instance: object, attribute: Attribute[Any], value: Any) -> None:
        if value is None and optional:
            return
        fits = isinstance(value, int | float) and isinstance(value, kinds) and not isinstance(value, bool)
        fits = fits and (value <= most and (abs(value) <= _LARGEST or not finite))
        if not (fits and (value > low if above else value >= low)):
            raise ConfigurationError(f"{type(instance).__name__}({attribute.name}=...) takes {wanted}, not {value!r}")

    return check


def one_of(*choices: str) -> Any:
    """One of these strings."""

    def check(instance: object, attribute: Attribute[Any], value: Any) -> None:
        if value not in choices:
            names = " or ".join(map(repr, choices))
            raise ConfigurationError(f"{type(instance).__name__}({attribute.name}=...) takes {names}, not {value!r}")

    return check
