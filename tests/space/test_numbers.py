"""Int and Float, case by case: the values a person would write, both ends reachable, the scales as in KerasTuner."""

from __future__ import annotations

import numpy as np
import pytest

from asynctune.errors import SpaceError
from asynctune.space import Float, Int

FLOAT_VALUES = [
    # (domain, its values): KerasTuner 1.4.8 ends the first at 0.8, by way of 0.6000000000000001, and the second at 0.5
    (Float(0, 1, step=0.2), (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    (Float(0, 0.6, step=0.1), (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
    (Float(1, 2, step=0.1), (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0)),
    (Float(-0.3, 0.3, step=0.1), (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3)),
    (Float(0, 1, step=0.3), (0.0, 0.3, 0.6, 0.9)),
    (Float(1, 1, step=2), (1.0,)),
    (Float(0, 1, step=1 / 3), (0.0, 0.3333333333333333, 0.6666666666666666, 1.0)),
    (Float(0, 2e9 + 1, step=1e9), (0.0, 1e9, 2e9)),
    (Float(0.01, 100, step=10, sampling="log"), (0.01, 0.1, 1.0, 10.0, 100.0)),
    (Float(1e-4, 0.1, step=10, sampling="log"), (1e-4, 1e-3, 1e-2, 1e-1)),
    (Float(1, 10, step=3, sampling="log"), (1.0, 3.0, 9.0)),
    (Float(0.001, 0.1, step=10**0.5, sampling="log"), (0.001, 0.0031622776601683794, 0.01, 0.0316227766016838, 0.1)),
    (Float(0.01, 100, step=10, sampling="reverse_log"), (0.01, 90.01, 99.01, 99.91, 100.0)),
    (Float(1, 10, step=3, sampling="reverse_log"), (2.0, 8.0, 10.0)),
    (Float(2, 2), (2.0,)),
    (Float(2, 2, step=0.5), (2.0,)),
    (Float(2, 2, sampling="log"), (2.0,)),
]

INT_VALUES = [
    (Int(1, 5), (1, 2, 3, 4, 5)),
    (Int(0, 10, step=3), (0, 3, 6, 9)),
    (Int(32, 128, step=32), (32, 64, 96, 128)),
    (Int(-4, 4, step=4), (-4, 0, 4)),
    (Int(2, 32, step=2, sampling="log"), (2, 4, 8, 16, 32)),
    (Int(2, 50, step=2, sampling="log"), (2, 4, 8, 16, 32)),
    (Int(1, 1000, step=10, sampling="log"), (1, 10, 100, 1000)),
    (Int(1, 1000, step=10, sampling="reverse_log"), (1, 901, 991, 1000)),
    (Int(1, 10, step=2, sampling="reverse_log"), (3, 7, 9, 10)),
    (Int(1, 4, sampling="log"), (1, 2, 3, 4)),
    (Int(7, 7), (7,)),
    (Int(7, 7, step=3, sampling="log"), (7,)),
]


@pytest.mark.parametrize(
    ("domain", "values"), FLOAT_VALUES, ids=lambda case: case.describe() if isinstance(case, Float) else ""
)
def test_float_values(domain: Float, values: tuple[float, ...]) -> None:
    assert domain.values == pytest.approx(values, rel=1e-15, abs=0)
    assert all(type(value) is float for value in domain.values)
    assert domain.size == len(values)


@pytest.mark.parametrize("domain", [domain for domain, _ in FLOAT_VALUES[:8]], ids=Float.describe)
def test_float_values_are_what_a_person_would_write(domain: Float) -> None:
    expected = dict(FLOAT_VALUES)[domain]

    assert list(map(repr, domain.values)) == list(map(repr, expected))


@pytest.mark.parametrize(("domain", "values"), INT_VALUES, ids=lambda case: case.describe() if isinstance(case, Int) else "")
def test_int_values(domain: Int, values: tuple[int, ...]) -> None:
    assert domain.values == values
    assert all(type(value) is int for value in domain.values)
    assert domain.size == len(values)


@pytest.mark.parametrize(
    ("domain", "unit", "value"),
    [
        # linear, log and reverse_log as KerasTuner has them, without a step
        (Float(10, 20), 0.25, 12.5),
        (Float(0.01, 100, sampling="log"), 0.25, 0.1),
        (Float(0.01, 100, sampling="reverse_log"), 0.75, 99.91),
        (Int(10, 19), 0.25, 12),
        (Int(1, 99, sampling="log"), 0.5, 10),
        (Int(1, 99, sampling="reverse_log"), 0.5, 90),
        # steps: each an equal part of [0, 1]
        (Int(2, 32, step=2, sampling="log"), 0.3, 4),
        (Float(0, 1, step=0.2), 0.5, 0.6),
        # at 1, which optimisers do reach, KerasTuner's Int(1, 100, sampling="log") is 101
        (Int(1, 100, sampling="log"), 1.0, 100),
        (Int(1, 100, sampling="reverse_log"), 1.0, 100),
        (Int(1, 100, sampling="reverse_log"), 0.0, 1),
        (Int(1, 100), 1.0, 100),
        (Float(0, 1, step=0.2), 1.0, 1.0),
        (Float(1e-4, 0.1, sampling="log"), 1.0, 0.1),
        (Float(1e-4, 0.1, sampling="reverse_log"), 0.0, 1e-4),
        # numbers that no float holds: the last integer of 64 bits, and a span past the largest float
        (Int(0, 2**63 - 1), 1.0, 2**63 - 1),
        (Int(1, 2**63 - 1, sampling="log"), 1.0, 2**63 - 1),
        (Float(-1.7e308, 1.7e308), 0.5, 0.0),
        # a range without length
        (Float(2, 2), 0.7, 2.0),
        (Int(2, 2, sampling="log"), 0.7, 2),
    ],
)
def test_from_unit(domain: Int | Float, unit: float, value: float) -> None:
    assert domain.from_unit(unit) == pytest.approx(value, rel=1e-12)
    assert type(domain.from_unit(unit)) is type(value)


@pytest.mark.parametrize(
    ("domain", "value", "unit"),
    [
        (Float(10, 20), 12.5, 0.25),
        (Float(0.01, 100, sampling="log"), 0.1, 0.25),
        (Float(0.01, 100, sampling="reverse_log"), 99.91, 0.75),
        (Int(2, 32, step=2, sampling="log"), 4, 0.3),
        (Int(0, 9), 0, 0.05),
        (Int(0, 9), 9, 0.95),
        (Float(0, 1, step=0.25), 0.5, 0.5),
        (Float(2, 2), 2, 0.5),
        (Int(2, 2), 2, 0.5),
        (Int(2, 2, sampling="log"), 2, 0.5),
        (Float(-1.7e308, 1.7e308), 0, 0.5),
    ],
)
def test_to_unit(domain: Int | Float, value: float, unit: float) -> None:
    assert domain.to_unit(value) == pytest.approx(unit, rel=1e-12)


@pytest.mark.parametrize("sampling", ["log", "reverse_log"])
def test_a_log_gives_each_decade_its_share(sampling: str) -> None:
    domain = Int(1, 10**6, sampling=sampling)  # type: ignore[arg-type]
    drawn = [domain.from_unit((i + 0.5) / 6000) for i in range(6000)]
    distances = [value if sampling == "log" else 10**6 + 1 - value for value in drawn]

    shares = [sum(10**k <= distance < 10 ** (k + 1) for distance in distances) for k in range(6)]
    assert shares == pytest.approx([1000] * 6, abs=2)


def test_a_grid_spreads_over_the_scale() -> None:
    assert Float(0, 1).grid(5) == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert Float(1e-4, 1, sampling="log").grid(5) == pytest.approx((1e-4, 1e-3, 1e-2, 1e-1, 1))
    assert Int(0, 1000).grid(5) == (0, 250, 500, 750, 1000)
    assert Int(1, 1000, sampling="log").grid(4) == (1, 10, 100, 1000)
    assert Int(0, 2**63 - 1).grid(2) == (0, 2**63 - 1)
    assert len(Float(0, 1).grid()) == 10


def test_a_grid_takes_every_step_and_every_value_of_few() -> None:
    assert Int(0, 1000, step=2).grid(5) == tuple(range(0, 1001, 2))
    assert Int(1, 5).grid(10) == Int(1, 5, sampling="log").grid(10) == (1, 2, 3, 4, 5)
    assert Float(0, 1, step=0.125).grid(2) == Float(0, 1, step=0.125).values


def test_no_end_of_values() -> None:
    assert Float(0, 1).size is None
    with pytest.raises(SpaceError, match=r"Float\(0\.0 to 1\.0\) has no end of values: give it a step, or use grid\(\)"):
        _ = Float(0, 1).values


def test_too_many_values_to_list() -> None:
    assert Int(1, 10**12).size == 10**12
    assert Float(0, 1, step=1e-9).size == 10**9 + 1
    for domain in (Int(1, 10**12), Float(0, 1, step=1e-9)):
        with pytest.raises(SpaceError, match="too many to list"):
            _ = domain.values


@pytest.mark.parametrize(
    ("domain", "default"),
    [
        (Int(3, 9), 3),
        (Int(3, 9, default=5), 5),
        (Int(1, 10, step=2, sampling="reverse_log"), 3),  # the smallest value; 1 is none
        (Float(0.5, 1), 0.5),
        (Float(0, 1, step=0.1, default=0.3), 0.3),
        (Float(0, 1, step=0.1, default=0.1 + 0.2), 0.3),
        (Float(0, 1, default=1), 1.0),
    ],
)
def test_default(domain: Int | Float, default: float) -> None:
    assert domain.default == default
    assert type(domain.default) is (int if isinstance(domain, Int) else float)


def test_exact_types_only() -> None:
    assert [Int(0, 5).contains(value) for value in (1, 1.0, True, "1", None, 6)] == [True, False, False, False, False, False]
    floats = [Float(0, 5).contains(value) for value in (1, 1.0, True, "1", None, 6, float("nan"), 10**400)]
    assert floats == [True, True, False, False, False, False, False, False]


def test_numpy_scalars_become_our_own() -> None:
    assert Int(np.int64(1), np.int32(5), np.int8(2)) == Int(1, 5, 2)  # type: ignore[arg-type]
    assert Float(np.float64(0.5), np.array(2.0)) == Float(0.5, 2)  # type: ignore[arg-type]
    assert type(Int(0, 5).coerce(np.int64(3))) is int
    assert type(Float(0, 5).coerce(np.float64(3))) is float
    assert type(Float(0, 5).coerce(np.int64(3))) is float


def test_the_noise_of_arithmetic_is_taken_for_the_step() -> None:
    domain = Float(0, 1, step=0.1)

    assert not domain.contains(0.1 + 0.2)
    assert domain.coerce(0.1 + 0.2) == 0.3
    assert domain.coerce(1 - 0.9) == 0.1
    with pytest.raises(SpaceError, match=r"Float\(0\.0 to 1\.0, step 0\.1\) takes one of its values, not 0\.3001"):
        domain.coerce(0.3001)


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (Float(1e-4, 0.1, sampling="log"), "Float(0.0001 to 0.1, log)"),
        (Float(0, 1, 0.1, default=0.5), "Float(0.0 to 1.0, step 0.1, default 0.5)"),
        (Int(32, 512, step=32), "Int(32 to 512, step 32)"),
        (Int(1, 8, 2, "log", 4), "Int(1 to 8, step 2, log, default 4)"),
    ],
)
def test_describe(domain: Int | Float, text: str) -> None:
    assert domain.describe() == text


@pytest.mark.parametrize("end", [10**30, 2**53 + 1, 10**300])
def test_a_whole_number_of_any_size_is_an_end_of_a_range(end: int) -> None:
    domain = Float(1, end, default=end)
    assert domain == Float(1.0, float(end), default=float(end))
    assert domain.coerce(domain.max_value) == float(end)
    assert not domain.contains(2**53 + 1)  # a value is what it is, and that is no float
    with pytest.raises(SpaceError, match="one of its values"):
        domain.coerce(2**53 + 1)
