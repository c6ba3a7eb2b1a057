"""Choices of objects: what is written down of each is its label, a string, and what a trial gets is the object.

So the journal, oracles, views and results hold plain values, and nothing that is read back is ever unpickled. The objects
travel with the trainable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asynctune.errors import SpaceError
from asynctune.records import Value
from asynctune.secret import Secret
from asynctune.space.checks import plain, scalar, text, wrong

__all__ = ["label_of", "labelled"]

_ARGUMENT = "Choice(values=...)"
_TAKES = "a list of at least one value, or a dict from labels to objects"
_SCALARS = (bool, int, float, str, type(None))


def labelled(values: Any) -> tuple[tuple[Value, ...], dict[str, Any]]:
    """The values that are written down, in order, and the objects behind those that are labels.

    Args:
        values: a list of numbers, strings, bools and None, which stand for themselves, and of objects that have labels of their
            own (see `label_of`); or a dict from labels to objects.

    Raises:
        SpaceError: for anything else; for an object without a label; or if a label stands for two things.
    """
    if isinstance(values, Mapping) and values:
        return tuple(text(_ARGUMENT, label, "a dict whose keys are strings, the labels") for label in values), dict(values)
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence) or not values:
        raise wrong(_ARGUMENT, _TAKES, values)
    listed: list[Value] = []
    objects: dict[str, Any] = {}
    for value in values:
        exact = plain(value)
        if type(exact) in _SCALARS or isinstance(exact, Secret):
            listed.append(scalar(_ARGUMENT, exact))
            continue
        label = label_of(value)
        if label is None:
            takes = "numbers, strings, bools, None, functions, classes, and tuples, lists and dicts of plain values"
            hint = 'give this one a label, in a dict: Choice({"label": ...})'
            raise SpaceError(f"{_ARGUMENT} takes {takes}, not {value!r}: {hint}")
        if label in objects or label in listed:
            hint = 'give each its own, in a dict: Choice({"label": ...})'
            raise SpaceError(f"{_ARGUMENT} takes different values, and two are labelled {label!r}: {hint}")
        listed.append(text(_ARGUMENT, label))
        objects[label] = value
    return tuple(listed), objects


def label_of(value: Any) -> str | None:
    """The label that an object has of its own: the name of a function or a class, the text of a tuple, a list or a dict of
    plain values; None for anything else, and for what was never given a name."""
    if type(value) in (tuple, list, dict):
        return _text(value)
    name = getattr(value, "__name__", None)
    return name if callable(value) and type(name) is str and name != "<lambda>" else None


def _text(value: Any) -> str | None:
    value = plain(value)
    if type(value) in _SCALARS:
        return repr(value)
    if type(value) is dict:
        items = [(_text(key), _text(item)) for key, item in value.items()]
        inside = [None if key is None or item is None else f"{key}: {item}" for key, item in items]
    elif type(value) in (tuple, list):
        inside = [_text(item) for item in value]
    else:
        return None
    texts = [part for part in inside if part is not None]
    if len(texts) < len(inside):
        return None
    if type(value) is tuple:
        return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"
    return f"{{{', '.join(texts)}}}" if type(value) is dict else f"[{', '.join(texts)}]"
