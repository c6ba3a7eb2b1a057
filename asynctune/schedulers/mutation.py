"""Values a little different: what population based training makes of a parameter's value.

Whatever is done to a value, what comes out is a value of its domain. This room knows domains and numbers, and no trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import frozen

from asynctune.errors import ConfigurationError, SpaceError
from asynctune.records import Value
from asynctune.space import Boolean, Choice, Domain, Fixed, Float, Int, Normal
from asynctune.space.scales import closest_multiple, squeeze

__all__ = ["Mutations", "as_mutations", "closest", "kept", "multiplied", "neighbour"]

Mutations: TypeAlias = Mapping[str, Domain | None]
"""What may be changed, by flat name: within which domain, or None for the one that the space has."""

_DOMAINS = Int | Float | Normal | Choice | Boolean | Fixed


def as_mutations(who: str, given: Any) -> Mutations | None:
    """What is meant by a list of names; or by a dict from names to domains, lists of values (`Choice`), ranges (two numbers in
    a tuple: `Int` if both are integers, else `Float`), None (as in the space), or further such dicts, whose names are joined
    with "/". None is everything that the space has.

    Raises:
        ConfigurationError: it is something else, or empty.
    """
    if given is None:
        return None
    is_list = isinstance(given, Sequence) and not isinstance(given, str)
    if is_list and all(isinstance(name, str) for name in given):
        found: dict[str, Domain | None] = dict.fromkeys(given)
    elif isinstance(given, Mapping):
        found = dict(_flat(who, given))
    else:
        raise ConfigurationError(f"{who} takes a list of names, or a dict from names to domains, not {given!r}")
    if not found:
        raise ConfigurationError(f"{who} names nothing to change: leave it out for all parameters of the space")
    return found


def _flat(who: str, given: Mapping[Any, Any], above: str = "") -> list[tuple[str, Domain | None]]:
    found: list[tuple[str, Domain | None]] = []
    for name, what in given.items():
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"{who} takes names as keys, not {name!r}")
        path = above + name
        found += _flat(who, what, f"{path}/") if isinstance(what, Mapping) else [(path, _domain(f"{who}, {path!r}", what))]
    return found


def _domain(who: str, what: Any) -> Domain | None:
    if what is None or isinstance(what, _DOMAINS):
        return what
    try:
        if isinstance(what, list):
            return Choice(what)
        if isinstance(what, tuple) and len(what) == 2:
            return Int(*what) if all(type(end) is int for end in what) else Float(*what)
    except SpaceError as error:
        raise ConfigurationError(f"{who}: {error}") from error
    wanted = "a domain, a list of values, a range (two numbers in a tuple), or None for what it is in the space"
    raise ConfigurationError(f"{who} takes {wanted}, not {what!r}")


def closest(domain: Int | Float | Normal, wanted: float) -> int | float:
    """The value of the domain that is closest to `wanted`: along its scale, where there are steps under a log."""
    rungs = _rungs(domain)
    if rungs is not None:
        return rungs.at(rungs.nearest(wanted))
    return wanted if isinstance(domain, Normal) else min(max(wanted, domain.min_value), domain.max_value)


def multiplied(domain: Int | Float | Normal, value: float, factor: float) -> int | float:
    """The value times `factor`, kept in the domain. Where its values are apart, it moves by one of them at least: 1 times 1.2
    is 2 among the integers, as far as there is a next one."""
    wanted = value * factor
    if not math.isfinite(wanted):
        return value  # it was too large to be multiplied
    found, rungs = closest(domain, wanted), _rungs(domain)
    if found != value or wanted == value or rungs is None:
        return found
    return rungs.at(rungs.nearest(value) + (1 if wanted > value else -1))


def neighbour(domain: Domain, value: Value, unit: float) -> Value:
    """The value before or behind this one, as they are listed: the one before for a `unit` below 0.5. Past an end, the end. One
    that is not listed stays."""
    values: Sequence[Value] = domain.values if isinstance(domain, Choice | Boolean) else ()
    place = next((at for at, each in enumerate(values) if type(each) is type(value) and each == value), None)
    if place is None:
        return value
    return values[min(max(place + (1 if unit >= 0.5 else -1), 0), len(values) - 1)]


def kept(domain: Domain, value: Value, before: Value) -> Value:
    """The value, within this domain; where that is not of numbers, and does not have it, the one before."""
    if domain.contains(value):
        return value
    if isinstance(domain, Int | Float | Normal) and isinstance(value, int | float) and not isinstance(value, bool):
        return closest(domain, value)
    return before


@frozen
class _Rungs:
    """The values of a domain of numbers that are apart, by their place: from `least` to `most`, both included."""

    least: float
    most: float
    place: Callable[[float], float]
    value: Callable[[int], int | float]

    def nearest(self, wanted: float) -> int:
        return round(self.place(wanted))

    def at(self, place: int) -> int | float:
        return self.value(int(min(max(place, self.least), self.most)))


def _rungs(domain: Int | Float | Normal) -> _Rungs | None:
    if isinstance(domain, Normal):
        step = domain.step
        if step is None:
            return None
        # Multiples on both sides of 0: there is no first one.
        return _Rungs(-math.inf, math.inf, lambda wanted: wanted / step, lambda place: closest_multiple(place * step, step))
    first, last = domain.min_value, domain.max_value
    if isinstance(domain, Int) and (domain.step is None or domain.sampling == "linear"):
        pace, low = domain.step or domain.quantum or 1, domain.min_value
        return _Rungs(0, domain.size - 1, lambda wanted: (wanted - low) / pace, lambda place: low + place * pace)
    if domain.quantum is not None:
        fine = domain.quantum
        ends = round(first / fine), round(last / fine)
        return _Rungs(*ends, lambda wanted: wanted / fine, lambda place: closest_multiple(place * fine, fine))
    if domain.size is None:
        return None
    return _walked(domain, domain.size - 1)


def _walked(domain: Int | Float, most: int) -> _Rungs:
    low, high, sampling = domain.from_unit(0.0), domain.from_unit(1.0), domain.sampling

    def along(wanted: float) -> float:
        return squeeze(min(max(wanted, low), high), low, high, sampling) * most

    return _Rungs(0, most, along, lambda place: domain.from_unit((place + 0.5) / (most + 1)))
