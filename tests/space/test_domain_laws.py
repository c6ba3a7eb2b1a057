"""What holds for every domain there can be."""

from __future__ import annotations

import math
import pickle
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from asynctune.space import Choice, Domain, Fixed, Float, Int, Normal
from asynctune.wire import decode, encode
from tests.space.strategies import domains, exactly, floats, ints, normals, quantised, scalars, units

FEW = 500


@given(domains, units)
def test_every_unit_is_a_value(domain: Domain, unit: float) -> None:
    value = domain.from_unit(unit)

    assert domain.contains(value)
    assert exactly(domain.coerce(value)) == exactly(value)
    assert 0 <= domain.to_unit(value) <= 1


@given(domains, units)
def test_a_value_comes_back_from_its_unit(domain: Domain, unit: float) -> None:
    assume(domain.size is not None and domain.size < 2**40)
    # A logarithm is a float, and floats tell integers apart up to 53 bits.
    assume(not isinstance(domain, Int) or domain.sampling == "linear" or domain.max_value < 2**48)
    value = domain.from_unit(unit)

    assert exactly(domain.from_unit(domain.to_unit(value))) == exactly(value)


@given(floats(), units)
def test_a_number_without_a_step_comes_back_from_its_unit_but_for_rounding(domain: Float, unit: float) -> None:
    assume(domain.step is None)
    assume(domain.sampling == "linear" or domain.min_value >= sys.float_info.min)  # below it, floats have few digits
    value = domain.from_unit(unit)
    back = domain.from_unit(domain.to_unit(value))

    scale = value if domain.sampling == "log" else max(abs(domain.min_value), abs(domain.max_value))
    assert back == pytest.approx(value, rel=1e-9, abs=1e-12 * scale)


@given(normals(), st.floats(1e-9, 1 - 1e-9))
def test_a_normal_number_comes_back_from_its_unit_but_for_rounding(domain: Normal, unit: float) -> None:
    value = domain.from_unit(unit)

    slack = 1e-6 * domain.sd + 1e-12 * abs(domain.mean) + (domain.step or 0)
    assert domain.from_unit(domain.to_unit(value)) == pytest.approx(value, rel=0, abs=slack)
    if domain.step is None:
        assert domain.to_unit(value) == pytest.approx(unit, rel=1e-6)


@given(st.one_of(ints(), floats(), quantised(), normals()), units, units)
def test_numbers_grow_with_their_units(domain: Int | Float | Normal, one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert domain.from_unit(low) <= domain.from_unit(high)


@given(st.one_of(ints(), floats(), quantised()))
def test_both_ends_of_a_number_are_reachable(domain: Int | Float) -> None:
    least, most = domain.from_unit(0), domain.from_unit(1)

    assert domain.min_value <= least <= most <= domain.max_value
    if domain.step is None:  # both are multiples of the quantum, if there is one
        assert (least, most) == (domain.min_value, domain.max_value)
    else:
        # A step that does not end on the other end of the range leaves less than a step to it.
        assert (most if domain.sampling == "reverse_log" else least) in (domain.min_value, domain.max_value)


@given(domains)
def test_the_default_is_a_value(domain: Domain) -> None:
    assert domain.contains(domain.default)


@given(domains)
def test_values_are_all_of_them(domain: Domain) -> None:
    assume(domain.size is not None and domain.size <= FEW)
    values = domain.values

    assert len(values) == len({exactly(value) for value in values}) == domain.size
    assert all(map(domain.contains, values))
    assert {exactly(domain.from_unit((index + 0.5) / FEW)) for index in range(FEW)} <= {exactly(value) for value in values}
    if isinstance(domain, Int | Float):
        assert list(domain.values) == sorted(domain.values)


@given(domains, st.integers(2, 30))
def test_a_grid_is_some_of_the_values_in_order(domain: Domain, points: int) -> None:
    stepped = isinstance(domain, Int | Float) and domain.step is not None
    assume(not stepped or (domain.size or 0) <= FEW)
    grid = domain.grid(points)

    assert all(map(domain.contains, grid))
    assert len(grid) == len({exactly(value) for value in grid})
    if isinstance(domain, Normal):
        assert list(grid) == sorted(domain.grid(points))
        assert len(grid) <= points
    elif isinstance(domain, Int | Float):
        assert list(grid) == sorted(domain.grid(points))
        assert (grid[0], grid[-1]) == (domain.from_unit(0), domain.from_unit(1))
        assert stepped or len(grid) <= points
    else:
        assert grid == domain.values


@given(domains)
def test_domains_travel_unchanged(domain: Domain) -> None:
    for copy in (decode(encode(domain, Domain), Domain), pickle.loads(pickle.dumps(domain))):
        assert copy == domain
        assert hash(copy) == hash(domain)
        assert copy.describe() == domain.describe()
        assert exactly(copy.default) == exactly(domain.default)


@given(domains, domains)
def test_equal_domains_and_no_others_are_described_alike(one: Domain, other: Domain) -> None:
    assert (one == other) == (one.describe() == other.describe())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Choice([1, 2]), Choice([1.0, 2.0])),
        (Choice([0, 1]), Choice([False, True])),
        (Choice([1, 2]), Choice([1, 2], ordered=False)),
        (Choice([1, 2]), Choice([1, 2], default=2)),
        (Fixed(1), Fixed(True)),
        (Fixed(1), Fixed("1")),
        (Int(1, 10), Int(1, 10, default=2)),
        (Int(1, 10), Int(1, 10, sampling="log")),
        (Float(1, 10), Float(1, 10, step=1)),
        (Float(1, 10, sampling="log"), Float(1, 10, sampling="log", quantum=1)),
        (Int(2, 10, sampling="log"), Int(2, 10, sampling="log", quantum=2)),
        (Normal(0, 1), Normal(0, 1, step=1)),
        (Normal(0, 1), Normal(0, 1, default=1)),
        (Choice([1, 2]), Choice([1, 2], grid=True)),
    ],
)
def test_close_domains_are_not_equal(one: Domain, other: Domain) -> None:
    assert one != other
    assert one.describe() != other.describe()


@given(domains, scalars)
def test_what_is_no_value_is_refused_by_name(domain: Domain, value: object) -> None:
    if domain.contains(value):
        assert domain.coerce(value) == value
    else:
        try:
            coerced = domain.coerce(value)
        except ValueError as error:
            assert str(error).startswith(domain.describe())  # noqa: PT017
        else:
            # Only what float arithmetic leaves of a step is taken for the step.
            assert isinstance(domain, Float | Normal)
            assert domain.contains(coerced)
            scale = (
                abs(float(coerced or 0)) if isinstance(domain, Normal) else max(abs(domain.min_value), abs(domain.max_value))
            )
            assert coerced == pytest.approx(value, rel=0, abs=8 * math.ulp(scale))
