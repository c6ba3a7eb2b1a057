"""Parameters that are declared where they are used: `trial.hp.Float("lr", 1e-4, 1e-1, sampling="log")`.

A name that is known has its value already, or gets it by the rule; a name that is not becomes known. This room speaks to
nobody: what was declared and asked for waits here until it is drained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import EllipsisType
from typing import TypeVar, cast

from asynctune.errors import SpaceError
from asynctune.records import Value, Values
from asynctune.space import domains
from asynctune.space.checks import declared_twice, sound_name
from asynctune.space.domains import Domain, Sampling
from asynctune.space.encoding import Fill, FillRule

__all__ = ["HyperParameters"]

V = TypeVar("V", bound=Value)


class HyperParameters:
    """The parameters of one trial, or a space in the making.

    Args:
        space: the parameters that are known already, by flat name ("layer/units").
        values: values for some of them, or for parameters that are still to be declared.
        fill: how parameters without a value get one; their defaults, if it is None.
    """

    def __init__(
        self,
        space: Mapping[str, Domain] | None = None,
        values: Values | None = None,
        fill: Fill | None = None,
    ) -> None:
        self._space = dict(space or {})
        self._proposed = dict(values or {})
        self._fill = fill or Fill(FillRule.DEFAULT, 0)
        self._asked: dict[str, Value] = {}
        self._scope: tuple[str, ...] = ()
        self._new_parameters: dict[str, Domain] = {}
        self._new_values: dict[str, Value] = {}

    # The methods are named for what they declare, as in KerasTuner; in here the classes are domains.Int, domains.Float, ...

    def Int(  # noqa: N802, PLR0917 -- KerasTuner's words
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: Sampling = "linear",
        default: int | None = None,
    ) -> int:
        """The value of a whole number from `min_value` to `max_value`; see `asynctune.Int`.

        Raises:
            SpaceError: for a wrong argument; or if the name is known with another range, naming both.
        """
        return cast("int", self._ask(name, lambda: domains.Int(min_value, max_value, step, sampling, default)))

    def Float(  # noqa: N802, PLR0917
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: Sampling = "linear",
        default: float | None = None,
    ) -> float:
        """The value of a number from `min_value` to `max_value`; see `asynctune.Float`.

        Raises:
            SpaceError: for a wrong argument; or if the name is known with another range, naming both.
        """
        return cast("float", self._ask(name, lambda: domains.Float(min_value, max_value, step, sampling, default)))

    def Choice(  # noqa: N802
        self,
        name: str,
        values: Sequence[V],
        ordered: bool | None = None,
        default: V | None | EllipsisType = ...,
    ) -> V:
        """The value that was chosen among `values`; see `asynctune.Choice`.

        Raises:
            SpaceError: for a wrong argument; or if the name is known with other values, naming both.
        """
        return cast("V", self._ask(name, lambda: domains.Choice(values, ordered, default)))

    def Boolean(self, name: str, default: bool = False) -> bool:  # noqa: N802
        """True or False; see `asynctune.Boolean`.

        Raises:
            SpaceError: for a wrong argument; or if the name is known as something else, naming both.
        """
        return cast("bool", self._ask(name, lambda: domains.Boolean(default)))

    def Fixed(self, name: str, value: V) -> V:  # noqa: N802
        """`value`, put on record; see `asynctune.Fixed`.

        Raises:
            SpaceError: for a wrong argument; or if the name is known as something else, naming both.
        """
        return cast("V", self._ask(name, lambda: domains.Fixed(value)))

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Inside, every name is one of the group `name`: "units" is "layer/units" in `name_scope("layer")`. Scopes nest."""
        before = self._scope
        self._scope = (*before, sound_name(name, "name_scope()"))
        try:
            yield
        finally:
            self._scope = before

    @property
    def space(self) -> dict[str, Domain]:
        """Every parameter that is known, by flat name, in the order in which they became known."""
        return dict(self._space)

    @property
    def values(self) -> dict[str, Value]:
        """What has been asked for so far, by flat name."""
        return dict(self._asked)

    def get(self, name: str) -> Value:
        """The value of a parameter that is known (in the open name scope).

        Raises:
            KeyError: if it is not.
        """
        flat = self._flat(name)
        if flat not in self._space:
            known = ", ".join(map(repr, self._space)) or "none"
            raise KeyError(f"no parameter {flat!r} is known; known are: {known}")
        return self._resolve(flat, self._space[flat])

    def __getitem__(self, name: str) -> Value:
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and "/".join((*self._scope, name)) in self._space

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._space))

    def __repr__(self) -> str:
        return f"<HyperParameters {len(self._space)} known, asked for {self._asked}>"

    def drain(self) -> tuple[dict[str, Domain], dict[str, Value]]:
        """What is new since the last time: the parameters that became known, and the values that were asked for."""
        news = self._new_parameters, self._new_values
        self._new_parameters, self._new_values = {}, {}
        return news

    def _flat(self, name: str) -> str:
        return "/".join((*self._scope, sound_name(name)))

    def _ask(self, name: str, declare: Callable[[], Domain]) -> Value:
        flat = self._flat(name)
        try:
            domain = declare()
        except SpaceError as error:
            raise SpaceError(f"parameter {flat!r}: {error}") from None
        known = self._space.get(flat)
        if known is not None and known != domain:
            raise declared_twice(flat, known.describe(), domain.describe())
        value = self._resolve(flat, domain)
        if known is None:
            self._space[flat] = self._new_parameters[flat] = domain
        return value

    def _resolve(self, flat: str, domain: Domain) -> Value:
        if flat not in self._asked:
            try:
                proposed = flat in self._proposed
                value = domain.coerce(self._proposed[flat]) if proposed else self._fill.value(flat, domain)
            except SpaceError as error:
                raise SpaceError(f"parameter {flat!r}: {error}") from None
            self._asked[flat] = value
        self._new_values[flat] = self._asked[flat]
        return self._asked[flat]
