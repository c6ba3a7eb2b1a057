"""How a trial sees its values: nested as they were declared, with the objects of choices in place of their labels.

What is recorded, and what oracles are told, is flat and plain; between the two stands this. It travels with the trainable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from asynctune.errors import SpaceError
from asynctune.records import Values
from asynctune.space.conditions import Parameter, cases_of
from asynctune.space.domains import Choice

__all__ = ["Shape", "objects_of"]


@frozen
class Shape:
    """What flat, plain values leave out.

    Args:
        objects: for each parameter whose values are labels, the objects behind them; by flat name, then by label.
        lists: the flat names of the groups that are lists.
    """

    objects: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    lists: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.objects or self.lists)

    def value(self, name: str, value: Any) -> Any:
        """What a trial gets for this value of the parameter `name`."""
        return self.objects[name].get(value, value) if name in self.objects and isinstance(value, str) else value

    def values(self, values: Values) -> dict[str, Any]:
        """The values by flat name, as a trial gets them."""
        return {name: self.value(name, value) for name, value in values.items()}

    def nest(self, values: Mapping[str, Any], listed: Callable[[list[Any]], list[Any]] = list) -> dict[str, Any]:
        """Values by groups: `{"layer/units": 3}` becomes `{"layer": {"units": 3}}`, and a group that was declared as a list
        becomes one, without what is not there. A name that has a value of its own cannot be a group too: `{"layer": True,
        "layer/units": 3}` stays as it is.

        Args:
            values: by flat name, as a trial gets them.
            listed: makes the lists.
        """
        nested: dict[str, Any] = {}
        groups_made: dict[str, dict[str, Any]] = {"": nested}
        for name, value in values.items():
            *groups, last = name.split("/")
            paths = ["/".join(groups[:depth]) for depth in range(1, len(groups) + 1)]
            if any(path in values for path in paths):
                nested[name] = value
                continue
            inner = nested
            for group, path in zip(groups, paths, strict=True):
                inner = groups_made[path] = inner.setdefault(group, {})
            inner[last] = value
        # The innermost first: what is around them then holds the lists.
        for path in sorted(self.lists & groups_made.keys(), key=lambda path: -path.count("/")):
            around, _, last = path.rpartition("/")
            items = groups_made[path]
            groups_made[around][last] = listed([items[place] for place in sorted(items, key=int)])
        return nested


def objects_of(parameters: Mapping[str, Parameter]) -> dict[str, dict[str, Any]]:
    """The objects behind the labels of all choices, by flat name.

    Raises:
        SpaceError: if one label of a parameter stands for two objects, in two of its cases.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, parameter in parameters.items():
        for case in cases_of(parameter):
            if not isinstance(case.domain, Choice):
                continue
            for label, value in case.domain.objects.items():
                known = found.setdefault(name, {}).setdefault(label, value)
                if known is not value and (type(known), known) != (type(value), value):
                    told = f"the label {label!r} of parameter {name!r} stands for {known!r} and for {value!r}"
                    raise SpaceError(f"{told}: give one of the two another label")
    return found
