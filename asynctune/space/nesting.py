"""Lists in a dict space, and values that are derived: what is unfolded before the parameters are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from asynctune.errors import SpaceError
from asynctune.space.checks import sound_name
from asynctune.space.conditions import Cases
from asynctune.space.derived import Derived
from asynctune.space.domains import Domain
from asynctune.space.when import When

__all__ = ["Unfolded"]


@define
class Unfolded:
    """A dict space as it was declared, with dicts in place of lists, and without what is derived.

    A list or a tuple is structure if there is a domain in it, however deep: its items are named by their places, so
    `{"layers": [{"units": Int(8, 64)}, ...]}` has a parameter "layers/0/units". One of plain values alone is left as it is, and
    refused later.

    Attributes:
        declared: what is left.
        lists: the flat names of the lists.
        derived: by flat name.
    """

    declared: dict[Any, Any] = field(init=False)
    lists: set[str] = field(init=False, factory=set)
    derived: dict[str, Derived] = field(init=False, factory=dict)

    @classmethod
    def of(cls, declared: Mapping[Any, Any]) -> Unfolded:
        """A dict space, unfolded.

        Raises:
            SpaceError: for what is derived under a condition.
        """
        unfolded = cls()
        unfolded.declared = unfolded._group(declared, "", under=False)
        return unfolded

    def _group(self, group: Mapping[Any, Any], path: str, *, under: bool) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for name, leaf in group.items():
            flat = f"{path}{name}"
            if isinstance(leaf, Derived):
                if under:
                    told = f"parameter {flat!r}: sample_from() cannot stand under a condition"
                    raise SpaceError(f"{told}: declare it outside, and have the function look at the other values")
                self.derived[sound_name(flat)] = leaf
            else:
                found[name] = self._leaf(leaf, flat, under=under)
        return found

    def _leaf(self, leaf: Any, flat: str, *, under: bool) -> Any:
        if _is_list(leaf):
            self.lists.add(flat)
            leaf = {str(place): item for place, item in enumerate(leaf)}
        if type(leaf) is dict:
            return self._group(leaf, f"{flat}/", under=under)
        if isinstance(leaf, When):
            return leaf.with_bodies(lambda body: self._group({flat: body}, "", under=True)[flat])
        # A space that stands in another has its own lists.
        self.lists |= {f"{flat}/{path}" for path in getattr(leaf, "lists", ())}
        return leaf


def _is_list(leaf: Any) -> bool:
    return isinstance(leaf, list | tuple) and any(map(_holds_domain, leaf))


def _holds_domain(leaf: Any) -> bool:
    if isinstance(leaf, Mapping):
        return any(map(_holds_domain, leaf.values()))
    if isinstance(leaf, list | tuple):
        return any(map(_holds_domain, leaf))
    return isinstance(leaf, Domain | Cases | Derived | When)
