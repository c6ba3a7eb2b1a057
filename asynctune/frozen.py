"""A dict that cannot be changed: what plugins and observers are shown is shared by all of them."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

__all__ = ["FrozenDict"]

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """A dict in all but that: it is written as JSON, compared and spread like one. A copy, and what is unpickled, is a plain
    dict.

    Raises:
        TypeError: when it is to be changed.
    """

    __slots__ = ()  # every trial has some

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this is shown to others too, and cannot be changed: change a copy, dict(...)")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[dict[K, V]], tuple[dict[K, V]]]:
        return dict, (dict(self),)

    def __copy__(self) -> dict[K, V]:
        return dict(self)

    def copy(self) -> dict[K, V]:
        """A plain dict."""
        return dict(self)
