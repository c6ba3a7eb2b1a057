"""How a dict space says that something is there only under a condition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

from asynctune.errors import SpaceError
from asynctune.records import Value
from asynctune.space.checks import wrong
from asynctune.space.conditions import Condition

__all__ = ["When"]


@frozen(init=False)
class When:
    """What is in a dict space only where a parameter has one of some values.

    `When("kind", "cnn", {"filters": Int(8, 64)}) | When("kind", "mlp", {"units": Int(8, 64)})` is one thing or the other. The
    parent is looked for in the group in which this stands first, then in the groups around it.

    Args:
        parent: the parent's name.
        values: one of its values, or a list of them.
        body: what is there then: a domain, a plain value, a dict of them, or another `When`.

    Raises:
        SpaceError: for a parent or for values that cannot be; where the space is made, also for a parent that there is not.
    """

    branches: tuple[tuple[Condition, Any], ...]

    def __init__(self, parent: str, values: Value | Sequence[Value], body: Any) -> None:
        try:
            condition = Condition(parent, values)  # type: ignore[arg-type]
        except SpaceError as error:
            raise SpaceError(f"When({parent!r}, ...): {error}") from None
        self.__attrs_init__(((condition, body),))

    def with_bodies(self, change: Callable[[Any], Any]) -> When:
        """The same conditions with other bodies: what `change` makes of each."""
        changed = object.__new__(When)
        changed.__attrs_init__(tuple((condition, change(body)) for condition, body in self.branches))
        return changed

    def __or__(self, other: When) -> When:
        """The branches of both."""
        if not isinstance(other, When):
            raise wrong("When(...) | ...", "another When(...)", other)
        both = object.__new__(When)
        both.__attrs_init__((*self.branches, *other.branches))
        return both
