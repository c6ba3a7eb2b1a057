"""The parameters of a dict space: dicts, plain values, `When` and whole spaces in it, as flat names with their domains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Protocol, TypeAlias, runtime_checkable

from attrs import evolve

from asynctune.errors import SpaceError
from asynctune.space.checks import sound_name, wrong
from asynctune.space.conditions import Case, Cases, Condition, Parameter, joined
from asynctune.space.domains import Domain, Fixed
from asynctune.space.when import When

__all__ = ["parameters_in"]


@runtime_checkable
class _Whole(Protocol):
    """A space that stands in another one."""

    rules: Any
    derived: Any

    @property
    def parameters(self) -> Mapping[str, Parameter]: ...


# The conditions under which something stands, each with the group in which its parent is looked for first.
_Under: TypeAlias = tuple[tuple[str, Condition], ...]


def parameters_in(declared: Mapping[Any, Any]) -> dict[str, Parameter]:
    """The parameters of a dict space, nested or not, by flat name; not ordered yet.

    Raises:
        SpaceError: naming what is none, by its path; or the parent that there is not.
    """
    leaves = list(_leaves(declared, "", ()))
    names = dict.fromkeys(flat for flat, _, _ in leaves)
    found: dict[str, Parameter] = {}
    for flat, under, domain in leaves:
        conditions = tuple(_resolved(flat, group, condition, names) for group, condition in under)
        new: Parameter = Cases([Case(tuple(dict.fromkeys(conditions)), domain)]) if conditions else domain
        found[flat] = joined(flat, found[flat], new) if flat in found else new
    return found


def _resolved(flat: str, group: str, condition: Condition, names: Mapping[str, None]) -> Condition:
    """The condition with the flat name of its parent, which is looked for outwards."""
    groups = group.split("/")[:-1]
    for depth in range(len(groups), -1, -1):
        parent = "/".join((*groups[:depth], condition.parent))
        if parent in names and parent != flat:
            return evolve(condition, parent=parent)
    known = ", ".join(map(repr, names))
    if flat in ("/".join((*groups[:depth], condition.parent)) for depth in range(len(groups) + 1)):
        raise SpaceError(f"parameter {flat!r} depends on itself")
    raise SpaceError(f"parameter {flat!r} depends on {condition.parent!r}, which there is not; the parameters are {known}")


def _leaves(declared: Mapping[Any, Any], path: str, under: _Under) -> Iterator[tuple[str, _Under, Domain]]:
    for name, leaf in declared.items():
        if type(name) is not str or "/" in name:
            raise wrong(f"a name in {path!r}" if path else "a name in space=", "text without '/': nest a dict instead", name)
        flat = sound_name(path + name)
        yield from _leaf(flat, path, leaf, under)


def _leaf(flat: str, path: str, leaf: Any, under: _Under) -> Iterator[tuple[str, _Under, Domain]]:
    if isinstance(leaf, When):
        for condition, body in leaf.branches:
            yield from _leaf(flat, path, body, (*under, (path, condition)))
    elif isinstance(leaf, _Whole):
        if leaf.rules or leaf.derived:
            raise SpaceError(f"{flat!r} is a space with rules, or with derived values: these belong to the whole space")
        for inner, parameter in leaf.parameters.items():
            yield from _leaf(f"{flat}/{inner}", f"{flat}/", parameter, under)
    elif isinstance(leaf, Mapping):
        yield from _leaves(leaf, flat + "/", under)
    elif isinstance(leaf, Cases):
        for case in leaf.cases:
            yield flat, (*under, *((path, condition) for condition in case.conditions)), case.domain
    else:
        yield flat, under, leaf if isinstance(leaf, Domain) else _fixed(flat, leaf)


def _fixed(flat: str, leaf: Any) -> Fixed:
    if isinstance(leaf, list | tuple | range | AbstractSet):
        raise SpaceError(f"parameter {flat!r} is a {type(leaf).__name__}: write Choice([...]) to try each of its values")
    if isinstance(leaf, type):
        raise SpaceError(f"parameter {flat!r} is the class {leaf.__name__}: write {leaf.__name__}(...)")
    try:
        return Fixed(leaf)
    except SpaceError:
        raise wrong(f"parameter {flat!r}", "a domain such as Int(1, 10), a plain value, or a dict of them", leaf) from None
