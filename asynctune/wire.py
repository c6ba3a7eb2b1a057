"""One strict converter for everything that is written down or sent: typed values to msgpack bytes, and back or not at all.

A message is untrusted: a child can send anything. So nothing is coerced (`1.9` is no integer, `true` is no number, `"17"` is
neither), nothing extra is accepted, non-finite floats pass exactly, and whatever is wrong becomes one error, `WireError`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import UnionType
from typing import Any, TypeAlias, TypeVar, get_args, get_origin

import msgpack
from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn, override
from cattrs.strategies import configure_tagged_union

from asynctune.errors import WireError
from asynctune.records import Value, Verdict

__all__ = ["closed_union", "decode", "encode", "plain", "typed", "unsaid"]

T = TypeVar("T")

_Count: TypeAlias = int | float | None  # a number of things, a share of them, or no limit

_converter = Converter(forbid_extra_keys=True, detailed_validation=False)


def _exactly(kind: type) -> Any:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise WireError(f"expected {kind.__name__}, not {type(value).__name__} {_short(value)}")
        return value

    return structure


def _float(value: Any, _: Any) -> float:
    # A whole number that a float holds exactly may stand for it; anything else would be a silent change.
    if type(value) is float:
        return value
    if type(value) is int and float(value) == value:
        return float(value)
    raise WireError(f"expected float, not {type(value).__name__} {_short(value)}")


def _scalar(value: Any, _: Any) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise WireError(f"expected a number, a string, a bool or None, not {type(value).__name__} {_short(value)}")


def _count(value: Any, _: Any) -> Any:
    if value is None or type(value) in (int, float):
        return value
    raise WireError(f"expected a number or None, not {type(value).__name__} {_short(value)}")


def _is_tuple(kind: Any) -> bool:
    origin: Any = get_origin(kind)
    return origin is tuple


def _tuple(kind: Any) -> Callable[[Any, Any], tuple[Any, ...]]:
    item = get_args(kind)[0]  # of tuple[item, ...], the only sequence that messages have

    def structure(value: Any, _: Any) -> tuple[Any, ...]:
        # A string and a map are sequences to cattrs.
        if type(value) not in (list, tuple):
            raise WireError(f"expected a list, not {type(value).__name__} {_short(value)}")
        return tuple(_converter.structure(one, item) for one in value)

    return structure


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def _short(value: object) -> str:
    return _cut(repr(value), 80)


def _said(error: Exception) -> str:
    try:
        text = str(error)
    except TypeError:  # cattrs's error about extra keys cannot say itself when one of them is no string
        text = "extra keys"
    return f"{type(error).__name__}: {_cut(text, 300)}"


def _called(kind: Any) -> str:
    names = [str(getattr(member, "__name__", member)) for member in (get_args(kind) if isinstance(kind, UnionType) else [kind])]
    return " or ".join(names)


# These must stand before the first union is configured, or cattrs falls back on its coercing ones.
for _kind in (bool, int, str, bytes):
    _converter.register_structure_hook(_kind, _exactly(_kind))
_converter.register_structure_hook(float, _float)
_converter.register_structure_hook(Value, _scalar)
_converter.register_structure_hook(_Count, _count)
_converter.register_unstructure_hook(Value, lambda value: value)
_converter.register_structure_hook_factory(_is_tuple, _tuple)


def closed_union(union: Any) -> None:
    """Teach the converter a closed union of attrs classes; each travels with its class's name as `type`."""
    configure_tagged_union(union, _converter, tag_name="type")


def unsaid(kind: type, *names: str) -> None:
    """Leave these fields of an attrs class out wherever they have their default. To be said before the class is part of a
    union."""
    quiet: dict[str, Any] = {name: override(omit_if_default=True) for name in names}
    _converter.register_unstructure_hook(kind, make_dict_unstructure_fn(kind, _converter, **quiet))


closed_union(Verdict)


def plain(value: Any, kind: Any) -> Any:
    """Lists, dicts and scalars that stand for `value`, an instance of `kind`."""
    return _converter.unstructure(value, unstructure_as=kind)


def typed(data: Any, kind: type[T]) -> T:
    """The `kind` that `data` stands for.

    Raises:
        WireError: if it stands for none, exactly.
    """
    try:
        return _converter.structure(data, kind)
    except WireError:
        raise
    except Exception as error:  # cattrs raises KeyError, TypeError, ValueError and its own, by the kind of damage
        raise WireError(f"not a {_called(kind)}: {_said(error)}") from error


def encode(value: Any, kind: Any) -> bytes:
    """`value` as msgpack bytes.

    Raises:
        WireError: if something inside has no exact form (an integer over 64 bits, an object).
    """
    try:
        packed: bytes = msgpack.packb(plain(value, kind), use_bin_type=True)
    except Exception as error:
        raise WireError(f"cannot be written down: {_said(error)}") from error
    return packed


def decode(data: bytes | memoryview, kind: Any) -> Any:
    """The value that `encode` was given.

    Raises:
        WireError: if `data` is anything else.
    """
    try:
        raw = msgpack.unpackb(data, raw=False, strict_map_key=False)
    except Exception as error:  # StackError, ExtraData, ValueError, TypeError, UnicodeDecodeError: all mean "not a message"
        raise WireError(f"not msgpack: {_said(error)}") from error
    return typed(raw, kind)
