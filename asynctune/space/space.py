"""What may be tried, as a whole: an ordered mapping from flat names to domains, that never changes and can only be grown."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from asynctune.errors import SpaceError
from asynctune.records import Value, Values
from asynctune.space.checks import declared_twice, sound_name, wrong
from asynctune.space.domains import Domain, Fixed
from asynctune.space.encoding import draw
from asynctune.space.hyperparameters import HyperParameters

__all__ = ["Space"]


def _checked(parameters: Mapping[str, Domain]) -> dict[str, Domain]:
    for name, domain in parameters.items():
        if not isinstance(domain, Domain):
            raise SpaceError(f"parameter {sound_name(name)!r} takes a domain such as Int(1, 10), not {domain!r}")
    return {sound_name(name): domain for name, domain in parameters.items()}


def _ordered(parameters: dict[str, Domain]) -> tuple[tuple[str, Domain], ...]:
    return tuple(parameters.items())


@frozen(repr=False)
class Space(Mapping[str, Domain]):
    """The parameters of a search, in order. Two spaces are equal if their parameters are, in the same order.

    Args:
        parameters: a domain for each flat name; the names of a group are joined with "/". `Space.of` takes nested ones.

    Raises:
        SpaceError: naming the parameter.
    """

    # The order counts: it is the order in which a grid is walked.
    _parameters: dict[str, Domain] = field(factory=dict, converter=_checked, eq=_ordered)

    @classmethod
    def of(cls, declared: Space | HyperParameters | Mapping[str, Any] | None) -> Space:
        """The space that was declared.

        Args:
            declared: a space; the parameters of a `HyperParameters`; a dict of domains, of plain values (which become `Fixed`),
                and of such dicts; or None, for a space that is found while trials run.

        Raises:
            SpaceError: naming the parameter by its path.
        """
        if isinstance(declared, Space):
            return declared
        if isinstance(declared, HyperParameters):
            return cls(declared.space)
        if declared is not None and not isinstance(declared, Mapping):
            raise SpaceError(f"space= takes a dict, a Space or a HyperParameters, not {declared!r}")
        return cls(dict(_leaves(declared or {}, "")))

    @property
    def parameters(self) -> Mapping[str, Domain]:
        """The domain of each flat name, read only."""
        return MappingProxyType(self._parameters)

    @property
    def size(self) -> int | None:
        """How many sets of values there are; None if there is no end of them."""
        sizes = [domain.size for domain in self._parameters.values()]
        known = [size for size in sizes if size is not None]
        return math.prod(known) if len(known) == len(sizes) else None

    def __getitem__(self, name: str) -> Domain:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __repr__(self) -> str:
        return f"Space({', '.join(f'{name}: {domain.describe()}' for name, domain in self._parameters.items())})"

    def defaults(self) -> dict[str, Value]:
        """The default of each parameter."""
        return {name: domain.default for name, domain in self._parameters.items()}

    def sample(self, seed: int) -> dict[str, Value]:
        """A value for each parameter, drawn from hash(`seed`, name): so the other parameters and the order change nothing."""
        return {name: draw(domain, seed, name) for name, domain in self._parameters.items()}

    def validate(self, values: Values) -> dict[str, Value]:
        """`values` as they are to be: one for each parameter, in its order, of its type.

        Raises:
            SpaceError: naming the parameter whose value is missing, unknown or wrong.
        """
        unknown = [name for name in values if name not in self._parameters]
        missing = [name for name in self._parameters if name not in values]
        if unknown or missing:
            what = f"{unknown[0]!r} is not a parameter" if unknown else f"parameter {missing[0]!r} has no value"
            raise SpaceError(f"{what}; the parameters are {', '.join(map(repr, self._parameters)) or 'none'}")
        return {name: _coerced(name, domain, values[name]) for name, domain in self._parameters.items()}

    def grow(self, new: Mapping[str, Domain]) -> Space:
        """This space and the parameters of `new` that it has not, after its own.

        Raises:
            SpaceError: if a name is in both with different domains, naming both.
        """
        for name, domain in new.items():
            known = self._parameters.get(name, domain)
            if known != domain:
                raise declared_twice(name, known.describe(), domain.describe())
        return self if new.keys() <= self._parameters.keys() else Space({**self._parameters, **new})

    def fingerprint(self) -> str:
        """32 hexadecimal digits, the same for equal spaces only, on every machine."""
        lines = "\n".join(f"{name}\n{domain.describe()}" for name, domain in self._parameters.items())
        return hashlib.blake2b(lines.encode(), digest_size=16).hexdigest()

    @staticmethod
    def nest(values: Values) -> dict[str, Any]:
        """`values` by groups: `{"layer/units": 3}` becomes `{"layer": {"units": 3}}`. A name that has a value of its own cannot
        be a group too: `{"layer": True, "layer/units": 3}` stays as it is."""
        nested: dict[str, Any] = {}
        for name, value in values.items():
            *groups, last = name.split("/")
            if any("/".join(groups[:depth]) in values for depth in range(1, len(groups) + 1)):
                nested[name] = value
                continue
            inner = nested
            for group in groups:
                inner = inner.setdefault(group, {})
            inner[last] = value
        return nested


def _coerced(name: str, domain: Domain, value: object) -> Value:
    try:
        return domain.coerce(value)
    except SpaceError as error:
        raise SpaceError(f"parameter {name!r}: {error}") from None


def _leaves(declared: Mapping[Any, Any], path: str) -> Iterator[tuple[str, Domain]]:
    for name, leaf in declared.items():
        if type(name) is not str or "/" in name:
            raise wrong(f"a name in {path!r}" if path else "a name in space=", "text without '/': nest a dict instead", name)
        flat = sound_name(path + name)
        if isinstance(leaf, Mapping) and not isinstance(leaf, Space):
            yield from _leaves(leaf, flat + "/")
        elif isinstance(leaf, Space):
            yield from ((f"{flat}/{inner}", domain) for inner, domain in leaf.items())
        else:
            yield flat, leaf if isinstance(leaf, Domain) else _fixed(flat, leaf)


def _fixed(flat: str, leaf: Any) -> Fixed:
    if isinstance(leaf, list | tuple | range | AbstractSet):
        raise SpaceError(f"parameter {flat!r} is a {type(leaf).__name__}: write Choice([...]) to try each of its values")
    if isinstance(leaf, type):
        raise SpaceError(f"parameter {flat!r} is the class {leaf.__name__}: write {leaf.__name__}(...)")
    try:
        return Fixed(leaf)
    except SpaceError:
        raise wrong(f"parameter {flat!r}", "a domain such as Int(1, 10), a plain value, or a dict of them", leaf) from None
