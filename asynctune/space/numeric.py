"""The two domains of numbers, `Int` and `Float`.

With a step, a domain is a sequence of values, each with an equal part of [0, 1]. Without one, [0, 1] is stretched over the
range. An `Int` without a step is the sequence of all its integers; under a log, it is the range from `min_value` to
`max_value` + 1, rounded down.

A quantum is for the logs, where a step is a factor: the values are its multiples, each with the part of [0, 1] that is rounded
to it. An `Int` counts in quanta what it otherwise counts in ones.
"""

from __future__ import annotations

import math
from functools import lru_cache

from attrs import field, frozen

from asynctune.errors import SpaceError
from asynctune.records import SELDOM
from asynctune.space.checks import as_float, as_whole, listed, nearest, number, plain, sound_points, sound_unit, whole, wrong
from asynctune.space.scales import SAMPLINGS, Rungs, Sampling, distinct, multiple, part, squeeze, stretch

__all__ = ["Float", "Int"]


@frozen(init=False)
class Int:
    """A whole number from `min_value` to `max_value`, both included.

    Args:
        min_value, max_value: integers of 64 bits. As all numbers here, they may come as floats: 2.0 is 2, and 2.5 is refused.
        step: added under "linear" (1, if it is None); multiplied under "log", where None means every integer.
        sampling: "linear"; "log", uniform in the logarithm; or "reverse_log", its mirror image. Both logs need `min_value` > 0.
        default: one of the values; the smallest, if it is None.
        quantum: only under the logs, and instead of a step: the values are its multiples. Both ends must be multiples, too.

    Raises:
        SpaceError: naming the argument, what it takes and what it got.
    """

    min_value: int
    max_value: int
    step: int | None
    sampling: Sampling
    default: int
    quantum: int | None = field(default=None, metadata=SELDOM)
    # Worked out once: every draw and every check of a value needs it.
    _integers: range | tuple[int, ...] = field(init=False, eq=False, repr=False)

    @_integers.default
    def _(self) -> range | tuple[int, ...]:
        return _integers(self.min_value, self.max_value, self.step, self.sampling, self.quantum)

    def __init__(  # noqa: PLR0917 -- KerasTuner's arguments, in its order, and one of ours
        self,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: Sampling | None = "linear",
        default: int | None = None,
        quantum: int | None = None,
    ) -> None:
        low = whole("Int(min_value=...)", min_value)
        high = whole("Int(max_value=...)", max_value, f"an integer of at least min_value ({low})", low)
        sampling = "linear" if sampling is None else sampling  # as in what KerasTuner has saved
        _check_sampling("Int", sampling, low)
        if step is not None:
            least, wanted = (1, "") if sampling == "linear" else (2, ", a factor")
            step = whole("Int(step=...)", step, f"an integer of at least {least}{wanted}", least)
            step = None if step == 1 else step  # which KerasTuner writes where no step was given, and is the same
            _check_step("Int", low, high, step, sampling)
        if quantum is not None:
            quantum = whole("Int(quantum=...)", quantum, "an integer of at least 2, or None", 2)
            _check_quantum("Int", quantum, step, sampling)
            for name, end in (("min_value", low), ("max_value", high)):
                if end % quantum:
                    raise wrong(f"Int({name}=...)", f"a multiple of the quantum ({quantum})", end)
        integers = _integers(low, high, step, sampling, quantum)
        given, default = default, integers[0] if default is None else as_whole(default)
        if not _is_in(default, integers):
            raise wrong("Int(default=...)", f"a value of Int({_span(low, high, step, sampling, quantum)})", given)
        self.__attrs_init__(low, high, step, sampling, default, quantum)

    @property
    def _stretched(self) -> bool:
        return self.step is None and self.sampling != "linear"

    @property
    def size(self) -> int:
        """How many values there are."""
        integers = self._integers
        if isinstance(integers, tuple):
            return len(integers)
        return (integers[-1] - integers[0]) // integers.step + 1  # len() of a range ends at 63 bits

    @property
    def values(self) -> tuple[int, ...]:
        """All values, in increasing order.

        Raises:
            SpaceError: if there are more than a million.
        """
        return listed(self.describe(), self._integers, self.size)

    def grid(self, points: int = 10) -> tuple[int, ...]:
        """All values, if there is a step or there are at most `points` of them. Otherwise `points` of them, in increasing order
        and evenly along the scale, both ends included; fewer under a log, where neighbours fall together."""
        points = sound_points(points)
        if self.step is not None or self.size <= points:
            return self.values
        low, high, pace = self.min_value, self.max_value, self.quantum or 1
        spread = (round(stretch(i / (points - 1), low, high, self.sampling) / pace) * pace for i in range(points))
        return tuple(sorted({min(max(value, low), high) for value in spread}))

    def contains(self, value: object) -> bool:
        """Whether `value` is an int (no bool, no 1.0) and one of the values."""
        return _is_in(value, self._integers)

    def coerce(self, value: object) -> int:
        """The value that `value` is; it may come as NumPy's.

        Raises:
            SpaceError: if it is not one of the values.
        """
        whole = plain(value)
        if not _is_in(whole, self._integers):
            raise wrong(self.describe(), "one of its values", value)
        return int(whole)

    def from_unit(self, unit: float) -> int:
        """The value at `unit` in [0, 1]."""
        unit = sound_unit(unit)
        if not self._stretched:
            return self._integers[part(unit, self.size)]
        if self.sampling == "reverse_log":
            return self.min_value + self.max_value - self._log_integer(1 - unit)
        return self._log_integer(unit)

    @property
    def _counts(self) -> tuple[int, int, int]:
        # The least and the most, in quanta (or ones), and what one is.
        pace = self.quantum or 1
        return self.min_value // pace, self.max_value // pace, pace

    def _log_integer(self, unit: float) -> int:
        least, most, pace = self._counts
        return min(max(int(stretch(unit, least, most + 1, "log")), least), most) * pace

    def to_unit(self, value: object) -> float:
        """The middle of the part of [0, 1] that `from_unit` takes to `value`."""
        whole = self.coerce(value)
        if not self._stretched or self.min_value == self.max_value:
            return (self._integers.index(whole) + 0.5) / self.size
        least, most, pace = self._counts
        if self.sampling == "reverse_log":
            return 1 - squeeze(least + most - whole // pace + 0.5, least, most + 1, "log")
        return squeeze(whole // pace + 0.5, least, most + 1, "log")

    def describe(self) -> str:
        """One line, the same for equal domains only."""
        default = "" if self.default == self._integers[0] else f", default {self.default}"
        return f"Int({_span(self.min_value, self.max_value, self.step, self.sampling, self.quantum)}{default})"


@frozen(init=False)
class Float:
    """A number from `min_value` to `max_value`, both included.

    Args:
        min_value, max_value: finite numbers.
        step: added under "linear", multiplied under "log"; None means any number. Steps are taken in decimal: those of 0.2
            from 0 to 1 are 0, 0.2, 0.4, 0.6, 0.8 and 1. Under "reverse_log" they are taken from `max_value` down.
        sampling: "linear"; "log", uniform in the logarithm; or "reverse_log", its mirror image. Both logs need `min_value` > 0.
        default: one of the values; the smallest, if it is None.
        quantum: only under the logs, and instead of a step: what is drawn is rounded to a multiple of it. Both ends must be
            multiples, too.

    Raises:
        SpaceError: naming the argument, what it takes and what it got.
    """

    min_value: float
    max_value: float
    step: float | None
    sampling: Sampling
    default: float
    quantum: float | None = field(default=None, metadata=SELDOM)
    # Worked out once, as in `Int`; None where there is neither a step nor a quantum.
    _rungs: Rungs | None = field(init=False, eq=False, repr=False)

    @_rungs.default
    def _(self) -> Rungs | None:
        if self.quantum is not None:
            return _rungs(self.min_value, self.max_value, self.quantum, "linear")
        return _rungs(self.min_value, self.max_value, self.step, self.sampling)

    def __init__(  # noqa: PLR0917
        self,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: Sampling | None = "linear",
        default: float | None = None,
        quantum: float | None = None,
    ) -> None:
        low = number("Float(min_value=...)", min_value)
        high = number("Float(max_value=...)", max_value, f"a finite number of at least min_value ({low!r})", low)
        sampling = "linear" if sampling is None else sampling
        _check_sampling("Float", sampling, low)
        if step is not None:
            above, wanted = (0.0, "") if sampling == "linear" else (1.0, ", a factor")
            step = number("Float(step=...)", step, f"a finite number above {above:g}{wanted}", math.nextafter(above, math.inf))
            _check_step("Float", low, high, step, sampling)
            if not distinct(low, high, step, sampling):
                raise wrong("Float(step=...)", f"a step that floats from {low!r} to {high!r} are fine enough for", step)
        if quantum is not None:
            quantum = number("Float(quantum=...)", quantum, "a finite number above 0, or None", math.nextafter(0, 1))
            _check_quantum("Float", quantum, step, sampling)
            low, high = _multiples(low, high, quantum)
        rungs = _rungs(low, high, step, sampling) if quantum is None else _rungs(low, high, quantum, "linear")
        first = low if rungs is None else rungs[0]
        start = first if default is None else _on(nearest(plain(default)), low, high, rungs)
        if start is None:
            raise wrong("Float(default=...)", f"a value of Float({_span(low, high, step, sampling, quantum)})", default)
        self.__attrs_init__(low, high, step, sampling, start, quantum)

    @property
    def size(self) -> int | None:
        """How many values there are; None if there is neither a step nor a quantum."""
        rungs = self._rungs
        return None if rungs is None else len(rungs)

    @property
    def values(self) -> tuple[float, ...]:
        """All values, in increasing order.

        Raises:
            SpaceError: if there is no end of them, or there are more than a million.
        """
        rungs = self._rungs
        if rungs is None:
            raise SpaceError(f"{self.describe()} has no end of values: give it a step, or use grid()")
        return listed(self.describe(), rungs, len(rungs))

    def grid(self, points: int = 10) -> tuple[float, ...]:
        """All values, if there is a step, or at most `points` multiples of a quantum. Otherwise `points` of them, in increasing
        order and evenly along the scale, both ends included; fewer with a quantum, where neighbours fall together."""
        points, rungs = sound_points(points), self._rungs
        if rungs is not None and (self.quantum is None or len(rungs) <= points):
            return self.values
        spread = (stretch(i / (points - 1), self.min_value, self.max_value, self.sampling) for i in range(points))
        return tuple(sorted({value if rungs is None else rungs[rungs.closest(value)] for value in spread}))

    def contains(self, value: object) -> bool:
        """Whether `value` is a float or an int (no bool) and one of the values, exactly."""
        return as_float(value) is not None and _on(value, self.min_value, self.max_value, self._rungs) == value

    def coerce(self, value: object) -> float:
        """The value that `value` is; it may come as an int, or as NumPy's. What float arithmetic left of a step becomes the
        step: 0.30000000000000004 is 0.3.

        Raises:
            SpaceError: if it is not one of the values.
        """
        found = _on(plain(value), self.min_value, self.max_value, self._rungs)
        if found is None:
            raise wrong(self.describe(), "one of its values", value)
        return found

    def from_unit(self, unit: float) -> float:
        """The value at `unit` in [0, 1]."""
        unit, rungs = sound_unit(unit), self._rungs
        if rungs is None:
            return stretch(unit, self.min_value, self.max_value, self.sampling)
        if self.quantum is not None:
            return rungs[rungs.closest(stretch(unit, self.min_value, self.max_value, self.sampling))]
        return rungs[part(unit, len(rungs))]

    def to_unit(self, value: object) -> float:
        """Where in [0, 1] `value` stands: with a step or a quantum, the middle of the part that `from_unit` takes to it."""
        found, rungs = self.coerce(value), self._rungs
        low, high = self.min_value, self.max_value
        index = None if rungs is None else rungs.nearest(found)
        if rungs is None or index is None:
            return squeeze(found, low, high, self.sampling)
        if self.quantum is not None:
            ends = max(found - self.quantum / 2, low), min(found + self.quantum / 2, high)
            return sum(squeeze(end, low, high, self.sampling) for end in ends) / 2
        return (index + 0.5) / len(rungs)

    def describe(self) -> str:
        """One line, the same for equal domains only."""
        rungs = self._rungs
        default = "" if self.default == (self.min_value if rungs is None else rungs[0]) else f", default {self.default!r}"
        return f"Float({_span(self.min_value, self.max_value, self.step, self.sampling, self.quantum)}{default})"


def _integers(low: int, high: int, step: int | None, sampling: Sampling, quantum: int | None) -> range | tuple[int, ...]:
    if sampling == "linear" or step is None:
        return range(low, high + 1, step or quantum or 1)
    walked = [low]
    while walked[-1] * step <= high:
        walked.append(walked[-1] * step)
    return tuple(walked) if sampling == "log" else tuple(low + high - value for value in reversed(walked))


def _is_in(value: object, integers: range | tuple[int, ...]) -> bool:
    return type(value) is int and value in integers


@lru_cache(maxsize=4096)  # of each domain that is drawn from, and decimals take their time
def _rungs(low: float, high: float, step: float | None, sampling: Sampling) -> Rungs | None:
    if step is None:
        # A range without length is one value, not a continuum.
        return Rungs.of(low, high, 2.0, "linear") if low == high else None
    return Rungs.of(low, high, step, sampling)


def _on(value: object, low: float, high: float, rungs: Rungs | None) -> float | None:
    exact = as_float(value)
    if exact is None:
        return None
    if rungs is None:
        return exact if low <= exact <= high else None
    index = rungs.nearest(exact)
    return None if index is None else rungs[index]


def _check_sampling(domain: str, sampling: object, low: float) -> None:
    if sampling not in SAMPLINGS:
        raise wrong(f"{domain}(sampling=...)", " or ".join(map(repr, SAMPLINGS)), sampling)
    if sampling != "linear" and low <= 0:
        raise wrong(f"{domain}(min_value=...)", f"a number above 0 with sampling={sampling!r}", low)


def _check_step(domain: str, low: float, high: float, step: float | None, sampling: Sampling) -> None:
    """A step beyond the other end leaves one value, which nobody means who gives a range."""
    if step is None or low == high:
        return
    if sampling == "linear" and step > high - low:
        wanted = f"a step that fits between {low!r} and {high!r}, at most {high - low!r}"
    elif sampling != "linear" and step > high / low:
        wanted = f"a factor that fits between {low!r} and {high!r}, at most {high / low:g}"
    else:
        return
    raise wrong(f"{domain}(step=...)", wanted, step)


def _check_quantum(domain: str, quantum: float, step: float | None, sampling: Sampling) -> None:
    if sampling == "linear":
        raise SpaceError(f"{domain}(quantum={quantum!r}) is for the logs; under sampling='linear' write step={quantum!r}")
    if step is not None:
        text = "a step is a factor under the logs, a quantum is what all values are multiples of"
        raise SpaceError(f"{domain}() takes step={step!r} or quantum={quantum!r}, not both: {text}")


def _multiples(low: float, high: float, quantum: float) -> tuple[float, float]:
    if not distinct(low, high, quantum, "linear"):
        raise wrong("Float(quantum=...)", f"a quantum that floats from {low!r} to {high!r} are fine enough for", quantum)
    ends = []
    for name, end in (("min_value", low), ("max_value", high)):
        exact = multiple(end, quantum)
        if exact is None:
            raise wrong(f"Float({name}=...)", f"a multiple of the quantum ({quantum!r})", end)
        ends.append(exact)
    return ends[0], ends[1]


def _span(low: float, high: float, step: float | None, sampling: Sampling, quantum: float | None) -> str:
    by = "" if step is None else f", step {step!r}"
    scale = "" if sampling == "linear" else f", {sampling}"
    rounded = "" if quantum is None else f", quantum {quantum!r}"
    return f"{low!r} to {high!r}{by}{scale}{rounded}"
