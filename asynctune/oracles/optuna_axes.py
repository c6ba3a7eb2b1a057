"""How the domains of a space are told to Optuna: each as the distribution that is exactly it, or as near as Optuna has one.

Ranges with an added step, or none, and logarithms without a step are Optuna's own. A mirrored logarithm is its mirror image,
values that are walked to by a factor are told by their number, and what Optuna has nothing like is told by its place in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from attrs import frozen

from asynctune.records import Value
from asynctune.space import Boolean, Choice, Domain, Float, Int, Normal

__all__ = ["Axis", "axis"]

_EXACT: Final = 2**53  # beyond it, floats skip integers, and Optuna computes in floats


@frozen
class Axis:
    """A domain as Optuna sees it.

    Args:
        distribution: Optuna's.
        there: what Optuna is told for a value of the domain; raises SpaceError for what is none.
        back: the value of the domain for what Optuna says.
    """

    distribution: Any
    there: Callable[[Value], Any]
    back: Callable[[Any], Value]


def axis(domain: Domain, distributions: Any) -> Axis:
    """The axis that stands for a domain of more than one value.

    Args:
        domain: of more than one value.
        distributions: the module `optuna.distributions`.
    """
    match domain:
        case Normal() | Int(quantum=int()) | Float(quantum=float()):
            return Axis(distributions.FloatDistribution(0.0, 1.0), domain.to_unit, domain.from_unit)
        case Int(min_value=low, max_value=high) if max(abs(low), abs(high)) >= _EXACT:
            return Axis(distributions.FloatDistribution(0.0, 1.0), domain.to_unit, domain.from_unit)
        case Choice():
            return _category(domain, domain.values, distributions)
        case Boolean():
            return _category(domain, (False, True), distributions)
        case Int(min_value=low, sampling="linear", step=step):
            high = low + (step or 1) * (domain.size - 1)
            return _range(domain, distributions.IntDistribution(low, high, step=step or 1))
        case Int(min_value=low, max_value=high, step=None):
            return _log(domain, low + high, distributions.IntDistribution(low, high, log=True))
        case Float(min_value=low, max_value=high, sampling="linear", step=None):
            return _range(domain, distributions.FloatDistribution(low, high))
        case Float(min_value=low, sampling="linear", step=float(step)):
            # Optuna, too, walks in decimal; but only where the last step ends on a double can it be told where that is.
            last = domain.from_unit(1.0)
            if (Decimal(repr(last)) - Decimal(repr(low))) % Decimal(repr(step)) == 0:
                return _range(domain, distributions.FloatDistribution(low, last, step=step))
        case Float(min_value=low, max_value=high, step=None) if isfinite(low + high):
            return _log(domain, low + high, distributions.FloatDistribution(low, high, log=True))
    if domain.size is not None:
        return _numbered(domain, domain.size, distributions.IntDistribution(0, domain.size - 1))
    return Axis(distributions.FloatDistribution(0.0, 1.0), domain.to_unit, domain.from_unit)


def _category(domain: Domain, values: tuple[Value, ...], distributions: Any) -> Axis:
    # 1, 1.0 and True are one category to Optuna, and three values here: then it is told their names.
    names: tuple[Value, ...] = values if len(set(values)) == len(values) else tuple(map(repr, values))
    named = {(type(value), value): name for value, name in zip(values, names, strict=True)}

    def there(value: Value) -> Value:
        exact = domain.coerce(value)
        return named[type(exact), exact]

    return Axis(distributions.CategoricalDistribution(names), there, lambda name: values[names.index(name)])


def _range(domain: Int | Float, distribution: Any) -> Axis:
    return Axis(distribution, domain.coerce, lambda told: _nearest(domain, told))


def _log(domain: Int | Float, ends: float, distribution: Any) -> Axis:
    if domain.sampling == "log":
        return _range(domain, distribution)
    # The mirror image may be off by the last bit, beyond the end.
    low, high = distribution.low, distribution.high
    return Axis(
        distribution,
        lambda value: min(max(ends - domain.coerce(value), low), high),
        lambda told: _nearest(domain, ends - told),
    )


def _numbered(domain: Domain, size: int, distribution: Any) -> Axis:
    return Axis(
        distribution,
        lambda value: min(int(domain.to_unit(value) * size), size - 1),
        lambda told: domain.from_unit((told + 0.5) / size),
    )


def _nearest(domain: Int | Float, told: Any) -> Value:
    """The value that Optuna means, which computes in floats."""
    if isinstance(domain, Int):
        step = domain.step or 1
        place = round((int(told) - domain.min_value) / step)
        return domain.min_value + step * min(max(place, 0), domain.size - 1)
    within = min(max(float(told), domain.min_value), domain.max_value)
    return domain.coerce(within)
