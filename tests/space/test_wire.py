"""The converter: what is written comes back exactly, and whatever else comes is one error."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal

import msgpack
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from asynctune.errors import WireError
from asynctune.messages import FromRunner, ToRunner
from asynctune.records import CheckpointKey, Value, Values
from asynctune.space import Domain
from asynctune.wire import closed_union, decode, encode, plain, typed
from tests.space.strategies import scalars


class Colour(Enum):
    RED = "red"


@frozen
class Inner:
    key: CheckpointKey


@frozen(kw_only=True)
class Everything:
    """One field of each kind that a message can have."""

    a_bool: bool = True
    an_int: int = 1
    a_float: float = 0.5
    a_string: str = "x"
    a_value: Value = None
    maybe: int | None = None
    values: Values = field(factory=dict)
    numbers: Mapping[str, float] = field(factory=dict)
    by_id: Mapping[int, bool] = field(factory=dict)
    many: tuple[Value, ...] = ()
    words: tuple[str, ...] = ()
    colour: Colour = Colour.RED
    mode: Literal["on", "off"] = "on"
    inner: Inner | None = None


@frozen
class Other:
    x: int


Union = Everything | Other
closed_union(Union)

KEY = {"trial": 1, "step": 2, "launch": 3}
FULL: dict[str, Any] = plain(Everything(inner=Inner(CheckpointKey(1, 2, 3))), Everything)

WRONG: list[tuple[Any, list[Any]]] = [
    ("a_bool", [1, 0, 1.0, "true", None]),
    ("an_int", [1.9, 1.0, True, "17", None, [1], b"1"]),
    ("a_float", [True, "1.5", None, 2**53 + 1, [1.0]]),
    ("a_string", [1, None, b"x", ["x"]]),
    ("a_value", [[], {}, b"x"]),
    ("maybe", [1.0, True, "1", []]),
    ("values", [None, [], "x", [["a", 1]], {1: 1}, {None: 1}, {"a": []}, {b"a": 1}]),
    ("numbers", [{"a": True}, {"a": "1"}, {"a": None}, {1: 1.0}]),
    ("by_id", [{"1": True}, {1.0: True}, {True: True}, {1: 1}]),
    ("many", ["abc", {"a": 1}, b"abc", None, 3, [[]], [b"x"]]),
    ("words", ["abc", {"a": 1}, "", {}, [1], [None]]),
    ("colour", ["RED", "blue", None, 1, ["red"], {}]),
    ("mode", ["ON", "", None, 1, ["on"], {}]),
    ("inner", [[], "x", {}, {"key": [1, 2, 3]}, {"key": None}, {"key": {**KEY, "step": 2.0}}]),
    ("inner", [{"key": {**KEY, "extra": 1}}, {"key": {"trial": 1, "step": 2}}, {"key": KEY, "x": 1}]),
    *[(extra, [1]) for extra in ("extra", 3, None, b"an_int")],
]

packable = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=8) | st.integers(-3, 3) | st.none() | st.sampled_from(["type", *FULL]), inner, max_size=5
        )
    ),
    max_leaves=20,
)
KINDS = (Everything, Union, ToRunner, FromRunner, Domain, Values)


def read(data: Any, kind: Any) -> Any:
    return typed(data, kind)


def test_a_value_comes_back() -> None:
    value = Everything(
        a_value=1.5,
        maybe=3,
        values={"a": None, "b/c": True, "d": 1, "e": 1.0, "f": "ü"},
        numbers={"loss": 0.1},
        by_id={1: True, -2: False},
        many=(1, 1.0, True, None, "1"),
        words=("a", "b"),
        mode="off",
        inner=Inner(CheckpointKey(1, 2, 3)),
    )

    assert repr(decode(encode(value, Everything), Everything)) == repr(value)
    assert repr(decode(memoryview(encode(value, Union)), Union)) == repr(value)
    assert decode(encode(Other(3), Union), Union) == Other(3)


def test_defaults_may_be_left_out_and_nothing_else() -> None:
    assert read({}, Everything) == Everything()
    with pytest.raises(WireError):
        read({}, Other)


@pytest.mark.parametrize("number", [math.nan, -math.nan, math.inf, -math.inf, -0.0, 0.1, 5e-324, 1.7976931348623157e308])
def test_floats_come_back_to_the_bit(number: float) -> None:
    back = decode(encode(Everything(a_float=number, a_value=number, numbers={"x": number}), Everything), Everything)

    for same in (back.a_float, back.a_value, back.numbers["x"]):
        assert struct.pack("d", same) == struct.pack("d", number)


@given(scalars)
def test_values_come_back_with_their_type(value: Value) -> None:
    back = decode(encode({"x": value}, Values), Values)["x"]

    assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize(("field", "wrong"), [(field, wrong) for field, wrongs in WRONG for wrong in wrongs])
def test_nothing_is_coerced(field: Any, wrong: Any) -> None:
    for kind, data in ((Everything, FULL), (Union, {**FULL, "type": "Everything"})):
        read(data, kind)
        with pytest.raises(WireError):
            read({**data, field: wrong}, kind)
        with pytest.raises(WireError):
            decode(msgpack.packb({**data, field: wrong}), kind)


@pytest.mark.parametrize("tag", ["Nonesuch", "", "CheckpointKey", "everything", None, 3, ["Everything"], {}])
def test_an_unknown_tag(tag: Any) -> None:
    with pytest.raises(WireError):
        read({**FULL, "type": tag}, Union)


@pytest.mark.parametrize("data", [None, 3, "Everything", [], ["Everything"], {}, FULL, b"x"])
def test_no_tag(data: Any) -> None:
    with pytest.raises(WireError):
        read(data, Union)


def test_a_whole_number_may_stand_for_a_float() -> None:
    # Nothing is lost by it, and in JSON 1.0 is easily written 1.
    back = read({"a_float": 3, "numbers": {"x": 2**53}}, Everything)

    assert (type(back.a_float), back.a_float) == (float, 3.0)
    assert (type(back.numbers["x"]), back.numbers["x"]) == (float, 2.0**53)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc1", id="a byte that means nothing"),
        pytest.param(encode(Everything(), Everything)[:-1], id="cut"),
        pytest.param(encode(Everything(), Everything) + b"\x00", id="trailing byte"),
        pytest.param(encode(Everything(), Everything) * 2, id="two messages"),
        pytest.param(b"\x91" * 100_000 + b"\xc0", id="deeply nested lists"),
        pytest.param(b"\x81\xa1a" * 100_000 + b"\xc0", id="deeply nested maps"),
        pytest.param(b"\x81" * 100_000 + b"\xc0" * 100_001, id="deeply nested keys"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="a list of four billion"),
        pytest.param(b"\xdf\xff\xff\xff\xff", id="a map of four billion"),
        pytest.param(b"\xdb\xff\xff\xff\xff", id="a string of four gigabytes"),
        pytest.param(b"\xc9\xff\xff\xff\xff\x01", id="an extension of four gigabytes"),
        pytest.param(b"\xa2\xc3\x28", id="no UTF-8"),
        pytest.param(msgpack.packb({"a_value": msgpack.Timestamp(1)}), id="a timestamp"),
        pytest.param(msgpack.packb({"a_value": msgpack.ExtType(5, b"x")}), id="an extension"),
        pytest.param(b"\x81\x90\x01", id="a list as a key"),
    ],
)
@pytest.mark.parametrize("kind", [Everything, Union])
@pytest.mark.fault(19)
def test_bytes_that_are_no_message(data: bytes, kind: Any) -> None:
    with pytest.raises(WireError):
        decode(data, kind)


@given(st.binary(max_size=200), st.sampled_from(KINDS))
@pytest.mark.fault(19)
def test_random_bytes_are_a_wire_error_or_a_message(data: bytes, kind: Any) -> None:
    check_strict(data, kind)


@given(packable, st.sampled_from(KINDS))
@pytest.mark.fault(19)
@pytest.mark.fault(36)
def test_random_msgpack_is_a_wire_error_or_a_message(data: Any, kind: Any) -> None:
    check_strict(msgpack.packb(data), kind)


@given(st.sampled_from(sorted(FULL)), packable)
def test_a_damaged_field_is_a_wire_error_or_exactly_that_value(field: str, data: Any) -> None:
    damaged = msgpack.packb({**FULL, field: data})
    try:
        value = decode(damaged, Everything)
    except WireError:
        return
    assert _as_read(plain(value, Everything)[field]) == _as_read(data)


def check_strict(data: bytes, kind: Any) -> None:
    try:
        value = decode(data, kind)
    except WireError:
        return
    assert repr(decode(encode(value, kind), kind)) == repr(value)


def _as_read(data: Any) -> Any:
    """Told apart as a reader tells it apart: 1 is not True, but may be 1.0."""
    if isinstance(data, dict):
        return {key: _as_read(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_as_read(value) for value in data]
    return repr(float(data)) if type(data) in (int, float) else (type(data), data)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Everything(an_int=2**64), Everything),
        (Everything(an_int=-(2**63) - 1), Everything),
        (Everything(a_string="\ud800"), Everything),
        (Everything(a_value=object()), Everything),  # type: ignore[arg-type]
        (Everything(values={"x": {1, 2}}), Everything),  # type: ignore[dict-item]
        (Everything(values=3), Everything),  # type: ignore[arg-type]
        (CheckpointKey(1, 2, 3), Union),
        (None, Union),
    ],
)
def test_what_cannot_be_written(value: Any, kind: Any) -> None:
    with pytest.raises(WireError, match="cannot be written down"):
        encode(value, kind)


def test_what_contains_itself_cannot_be_written() -> None:
    loop: dict[str, Any] = {}
    loop["x"] = loop

    with pytest.raises(WireError, match="cannot be written down"):
        encode(Everything(a_value=loop), Everything)  # type: ignore[arg-type]


def test_an_error_says_what_was_expected_and_stays_short() -> None:
    with pytest.raises(WireError, match="expected int, not str 'xxx") as caught:
        read({"an_int": "x" * 10_000_000}, Everything)
    assert len(str(caught.value)) < 200

    with pytest.raises(WireError, match="not a Everything or Other: ") as caught:
        read({"type": "y" * 10_000}, Union)
    assert len(str(caught.value)) < 600

    with pytest.raises(WireError, match=r"not a Everything: .*extra"):
        read({"extra": 1}, Everything)
