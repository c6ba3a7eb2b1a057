"""What counts as a number: the values of metrics, as trials have them at hand (Python, NumPy, TensorFlow, ...), as floats."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

__all__ = ["as_metrics", "as_number", "as_step", "is_number"]

_NOT_NUMBERS = (bool, str, bytes, bytearray, complex, type)


def is_number(value: Any) -> bool:
    """Whether `as_number` takes it."""
    if isinstance(value, (int, float)):
        return type(value) is not bool
    if value is None or isinstance(value, _NOT_NUMBERS) or type(value).__name__ == "bool_":
        return False
    # NumPy scalars and arrays, tensors: of no dimension, and neither of bools nor of strings. NumPy 2 says `bool`, 1 `bool_`.
    shape = getattr(value, "shape", None)
    if shape is not None:
        kind = str(getattr(value, "dtype", ""))
        return tuple(shape) == () and not any(word in kind for word in ("bool", "complex", "str", "<U", "object"))
    return hasattr(value, "__float__")


def as_number(name: str, value: Any) -> float:
    """`value` as a float.

    Raises:
        TypeError: if it is no number, naming the metric.
        ValueError: if no float can hold it.
    """
    if type(value) is float:
        return value
    if not is_number(value):
        shape = getattr(value, "shape", None)
        what = f"{type(value).__name__} of shape {tuple(shape)}" if shape else f"{type(value).__name__} {_short(value)}"
        raise TypeError(f"metric {name!r} must be a number, not {what}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"metric {name!r} is too large for a float: {_short(value)}") from None


def as_metrics(metrics: Any) -> dict[str, float]:
    """A mapping of names to numbers, checked and converted. Nested ones get flat names: "eval/loss" of {"eval": {"loss": 1}}.

    Raises:
        TypeError, ValueError: naming the metric.
    """
    if type(metrics) is not dict and not isinstance(metrics, Mapping):
        raise TypeError(f"metrics must be a dict of names to numbers, not {type(metrics).__name__} {_short(metrics)}")
    converted = dict[str, float]()
    for name, value in metrics.items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"the name of a metric must be a string, not {_short(name)}")
        if type(value) is not float and isinstance(value, Mapping):
            for inner, number in as_metrics(value).items():
                _enter(converted, f"{name}/{inner}", number)
        else:
            _enter(converted, name, value if type(value) is float else as_number(name, value))
    return converted


def _enter(converted: dict[str, float], name: str, number: float) -> None:
    if name in converted:
        raise TypeError(f"metric {name!r} is there twice: nested, and by its whole name")
    converted[name] = number


def as_step(step: Any, last: int) -> int:
    """`step` as an integer above `last`; the next one, if it is None.

    Raises:
        TypeError, ValueError: saying what it must be.
    """
    if step is None:
        return last + 1
    try:
        if isinstance(step, bool):
            raise TypeError
        number = operator.index(step)
    except TypeError:
        if not (isinstance(step, float) and math.isfinite(step) and step.is_integer()):
            raise TypeError(f"step must be an integer, not {type(step).__name__} {_short(step)}") from None
        number = int(step)
    if number <= last:
        raise ValueError(
            f"step must be above {last}, the last one; it is {number}. Steps start at 1 and increase within a launch"
        )
    return number


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 -- a trial's object may do anything when it is asked for its repr
        return "(its repr fails)"
    return text if len(text) <= 60 else text[:57] + "..."
