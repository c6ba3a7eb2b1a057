"""Random domains, spaces and values, over everything that may be declared."""

from __future__ import annotations

import math
from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from asynctune.errors import SpaceError
from asynctune.records import Value
from asynctune.space import Boolean, Choice, Domain, Fixed, Float, Int, Normal, Sampling, Space

__all__ = ["domains", "exactly", "floats", "ints", "names", "normals", "quantised", "scalars", "spaces", "units"]

SAMPLINGS: SearchStrategy[Sampling] = st.sampled_from(("linear", "log", "reverse_log"))
INTEGERS = st.one_of(st.integers(-20, 20), st.integers(-(2**63), 2**63 - 1))
TEXT = st.text(st.characters(codec="utf-8"), max_size=6)

units: SearchStrategy[float] = st.one_of(st.sampled_from((0.0, 1.0, 0.5, math.nextafter(1, 0), 5e-324)), st.floats(0, 1))
scalars: SearchStrategy[Value] = st.one_of(
    st.none(), st.booleans(), INTEGERS, st.floats(allow_nan=False, allow_infinity=False), TEXT
)
names: SearchStrategy[str] = st.lists(st.text("abcdé_ 0", min_size=1, max_size=3), min_size=1, max_size=3).map("/".join)


def exactly(value: object) -> object:
    """What two values have in common when they are the same to us: 1, 1.0 and True are not."""
    return (type(value), value)


@st.composite
def ints(draw: DrawFn) -> Int:
    sampling = draw(SAMPLINGS)
    least = -(2**63) if sampling == "linear" else 1
    low = draw(st.one_of(st.integers(max(least, -50), 50), st.integers(least, 2**63 - 1)))
    high = draw(st.one_of(st.integers(low, min(low + 1000, 2**63 - 1)), st.integers(low, 2**63 - 1)))
    least, most = (1, high - low) if sampling == "linear" else (2, high // low)
    step = draw(st.none() | st.integers(least, min(most, 2**63 - 1))) if least <= most else None
    domain = Int(low, high, step, sampling)
    return Int(low, high, step, sampling, domain.from_unit(draw(units)))


@st.composite
def floats(draw: DrawFn) -> Float:
    sampling = draw(SAMPLINGS)
    least = None if sampling == "linear" else 5e-324
    finite = st.floats(allow_nan=False, allow_infinity=False, min_value=least)
    short = st.decimals(0 if sampling == "linear" else Decimal("0.001"), 100, places=3).map(float)
    low, high = sorted((draw(finite | short), draw(finite | short)))
    step = None
    if draw(st.booleans()):
        step = draw(st.decimals("1.001", 20, places=3).map(float)) if sampling != "linear" else _linear_step(draw, low, high)
    try:
        domain = Float(low, high, step, sampling)
    except SpaceError as error:
        # What floats cannot tell apart is refused, and what has no second value, and nothing else here.
        assert "fine enough" in str(error) or "fits between" in str(error)  # noqa: PT017
        domain = Float(low, high, None, sampling)
        step = None
    return Float(low, high, step, sampling, domain.from_unit(draw(units)))


def _linear_step(draw: DrawFn, low: float, high: float) -> float:
    span = high / 2 - low / 2
    return draw(st.sampled_from((0.001, 0.1, 0.25, 1.0, 3.0))) if span < 1000 else max(span / draw(st.integers(1, 300)), 1.0)


@st.composite
def quantised(draw: DrawFn) -> Int | Float:
    sampling: Sampling = draw(st.sampled_from(("log", "reverse_log")))
    least = draw(st.integers(1, 100))
    most = draw(st.one_of(st.integers(least, least + 50), st.integers(least, 100_000)))
    if draw(st.booleans()):
        whole = draw(st.integers(2, 1000))
        some = Int(least * whole, most * whole, sampling=sampling, quantum=whole)
        return Int(least * whole, most * whole, sampling=sampling, default=some.from_unit(draw(units)), quantum=whole)
    quantum = draw(st.sampled_from((1e-5, 0.001, 0.1, 0.25, 1 / 3, 1.0, 2.5, 1e6)))
    ends = least * quantum, most * quantum  # with the noise that this brings
    other = Float(*ends, sampling=sampling, quantum=quantum)
    return Float(*ends, sampling=sampling, default=other.from_unit(draw(units)), quantum=quantum)


@st.composite
def normals(draw: DrawFn) -> Normal:
    mean = draw(st.floats(-1e6, 1e6))
    sd = draw(st.floats(1e-3, 1e6))
    step = draw(st.sampled_from((None, 0.001, 0.1, 1 / 3, 5.0)))
    return Normal(mean, sd, step, Normal(mean, sd, step).from_unit(draw(units)))


@st.composite
def choices(draw: DrawFn) -> Choice:
    values = draw(st.lists(scalars, min_size=1, max_size=6, unique_by=exactly))
    numbers = all(type(value) in (int, float) for value in values)
    ordered = draw(st.sampled_from((None, False, True) if numbers else (None, False)))
    return Choice(values, ordered, draw(st.sampled_from(values)), draw(st.booleans()))


domains: SearchStrategy[Domain] = st.one_of(
    *(ints(), floats(), quantised(), normals(), choices(), st.builds(Boolean, st.booleans()), st.builds(Fixed, scalars))
)
spaces: SearchStrategy[Space] = st.dictionaries(names, domains, max_size=5).map(Space)
