"""Ray Tune's search space functions, by their names, with their bounds: `randint` leaves its upper end out, `quniform` not.

Each makes a domain of `asynctune.space`. Nothing is drawn here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from asynctune.space import Choice, Float, Int, Normal
from asynctune.space.checks import integer, number, wrong
from asynctune.space.derived import Derived
from asynctune.space.scales import multiple

__all__ = [
    "choice",
    "grid_search",
    "lograndint",
    "loguniform",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "qrandn",
    "quniform",
    "randint",
    "randn",
    "sample_from",
    "uniform",
]


def uniform(lower: float, upper: float) -> Float:
    """A number between `lower` and `upper`.

    Raises:
        SpaceError: as all of these: naming the argument, what it takes and what it got.
    """
    return Float(*_ends("uniform", lower, upper))


def quniform(lower: float, upper: float, q: float) -> Float:
    """A multiple of `q`, from `lower` to `upper`, both included; both must be multiples. Each has the same share (in Ray, the
    two at the ends have half of one)."""
    low, high = _multiples("quniform", lower, upper, q)
    return Float(low, high, step=q)


def loguniform(lower: float, upper: float, base: float = 10) -> Float:
    """A number between `lower`, above 0, and `upper`, uniform in its logarithm. As in all of these, the logarithm's `base` is
    taken because Ray's takes it: what is drawn is the same in each."""
    _check_base("loguniform", base)
    return Float(*_ends("loguniform", lower, upper, log=True), sampling="log")


def qloguniform(lower: float, upper: float, q: float, base: float = 10) -> Float:
    """A number as from `loguniform`, rounded to a multiple of `q`; both ends are included, and must be multiples."""
    _check_base("qloguniform", base)
    low, high = _multiples("qloguniform", lower, upper, q, log=True)
    return Float(low, high, sampling="log", quantum=q)


def randn(mean: float = 0.0, sd: float = 1.0) -> Normal:
    """A number that is normally distributed."""
    return Normal(mean, sd)


def qrandn(mean: float, sd: float, q: float) -> Normal:
    """A number that is normally distributed, rounded to a multiple of `q`."""
    return Normal(mean, sd, step=q)


def randint(lower: int, upper: int) -> Int:
    """An integer from `lower` to `upper`, which is left out."""
    low, high = _integers("randint", lower, upper)
    return Int(low, high)


def qrandint(lower: int, upper: int, q: int = 1) -> Int:
    """A multiple of `q` between `lower` and `upper`, which are both included where they are multiples. With `q` = 1, `upper` is
    left out."""
    if integer("qrandint(q=...)", q, "an integer of at least 1", 1) == 1:
        low, high = _integers("qrandint", lower, upper)
        return Int(low, high)
    low, high = _whole_multiples("qrandint", lower, upper, q)
    return Int(low, high, step=q)


def lograndint(lower: int, upper: int, base: float = 10) -> Int:
    """An integer from `lower`, above 0, to `upper`, which is left out, uniform in its logarithm."""
    _check_base("lograndint", base)
    low, high = _integers("lograndint", lower, upper, log=True)
    return Int(low, high, sampling="log")


def qlograndint(lower: int, upper: int, q: int, base: float = 10) -> Int:
    """A multiple of `q` between `lower`, above 0, and `upper`, which are both included where they are multiples, uniform in its
    logarithm. With `q` = 1, `upper` is left out."""
    _check_base("qlograndint", base)
    if integer("qlograndint(q=...)", q, "an integer of at least 1", 1) == 1:
        low, high = _integers("qlograndint", lower, upper, log=True)
        return Int(low, high, sampling="log")
    low, high = _whole_multiples("qlograndint", lower, upper, q, log=True)
    return Int(low, high, sampling="log", quantum=q)


def choice(categories: Iterable[Any] | Mapping[str, Any]) -> Choice:
    """One of several values, or of several objects; see `asynctune.Choice`."""
    return Choice(_listed("choice(categories=...)", categories))


def grid_search(values: Iterable[Any] | Mapping[str, Any]) -> Choice:
    """Each of these values in turn. `RandomSearch` walks through all combinations of the parameters that are declared so, and
    draws the others anew for each; `max_trials` counts trials, so one pass takes as many as there are combinations. To other
    oracles it is a `Choice`."""
    return Choice(_listed("grid_search(values=...)", values), grid=True)


def sample_from(function: Callable[..., Any]) -> Derived:
    """A value that is computed from the others: `sample_from(lambda config: 4 * config["units"])`; `spec.config.units` will do,
    too. See `asynctune.space.Derived`."""
    return Derived(function)


# ------------------------------------------------------------------------------------------------------------- the bounds


def _check_base(who: str, base: Any) -> None:
    if number(f"{who}(base=...)", base) <= 0 or base == 1:
        raise wrong(f"{who}(base=...)", "a number above 0 that is not 1", base)


def _ends(who: str, lower: Any, upper: Any, *, log: bool = False) -> tuple[float, float]:
    low = number(f"{who}(lower=...)", lower)
    if log and low <= 0:
        raise wrong(f"{who}(lower=...)", "a number above 0", lower)
    return low, number(f"{who}(upper=...)", upper, f"a finite number of at least lower ({low!r})", low)


def _multiples(who: str, lower: Any, upper: Any, q: Any, *, log: bool = False) -> tuple[float, float]:
    ends = _ends(who, lower, upper, log=log)
    pace = number(f"{who}(q=...)", q)
    if pace <= 0:
        raise wrong(f"{who}(q=...)", "a number above 0", q)
    exact = [multiple(end, pace) for end in ends]
    for name, end, found in zip(("lower", "upper"), ends, exact, strict=True):
        if found is None:
            raise wrong(f"{who}({name}=...)", f"a multiple of q ({pace!r})", end)
    low, high = (found for found in exact if found is not None)
    return low, high


def _integers(who: str, lower: Any, upper: Any, *, log: bool = False) -> tuple[int, int]:
    low = _low(who, lower, log=log)
    return low, integer(f"{who}(upper=...)", upper, f"an integer above lower ({low}), and is left out itself", low + 1) - 1


def _whole_multiples(who: str, lower: Any, upper: Any, q: int, *, log: bool = False) -> tuple[int, int]:
    low = _low(who, lower, log=log)
    high = integer(f"{who}(upper=...)", upper, f"an integer of at least lower ({low})", low)
    first, last = -(-low // q) * q, high // q * q
    if first > last:
        raise wrong(f"{who}(q=...)", f"an integer with a multiple from {low} to {high}", q)
    return first, last


def _low(who: str, lower: Any, *, log: bool) -> int:
    return integer(f"{who}(lower=...)", lower, "an integer above 0" if log else "an integer", 1 if log else None)


def _listed(argument: str, values: Any) -> Any:
    if isinstance(values, str | bytes | AbstractSet) or not isinstance(values, Iterable):
        raise wrong(argument, "a list of values, or a dict from labels to objects", values)
    return values if isinstance(values, Mapping | Sequence) else list(values)
