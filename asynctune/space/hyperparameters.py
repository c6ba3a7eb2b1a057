"""Parameters that are declared where they are used: `trial.hp.Float("lr", 1e-4, 1e-1, sampling="log")`.

A name that is known has its value already, or gets it by the rule; a name that is not becomes known. Within a conditional scope
whose condition is not met, a name becomes known and has no value. Who looks whether a condition is met has asked for the
parent. This room speaks to nobody: what was declared and asked for waits here until it is drained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from asynctune.errors import SpaceError
from asynctune.records import Value, Values
from asynctune.space import domains
from asynctune.space.checks import declared_twice, sound_name, wrong
from asynctune.space.conditions import Case, Cases, Condition, Parameter, cases_of, joined
from asynctune.space.config import as_config, parameters_of
from asynctune.space.declaring import Declaring
from asynctune.space.domains import Domain
from asynctune.space.encoding import Fill, FillRule
from asynctune.space.order import check_exclusive, coerced_to, merged, ordered
from asynctune.space.shape import objects_of

__all__ = ["HyperParameters"]


class HyperParameters(Declaring):
    """The parameters of one trial, or a space in the making.

    Args:
        space: the parameters that are known already, by flat name ("layer/units").
        values: values for some of them, or for parameters that are still to be declared.
        fill: how parameters without a value get one; their defaults, if it is None.
        objects: those behind labels, by flat name and label; further ones come with the choices that are declared.
    """

    def __init__(
        self,
        space: Mapping[str, Parameter] | None = None,
        values: Values | None = None,
        fill: Fill | None = None,
        objects: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._space: dict[str, Parameter] = ordered(space or {})
        self._objects = {**objects_of(self._space), **(objects or {})}
        self._proposed = dict(values or {})
        self._fill = fill or Fill(FillRule.DEFAULT, 0)
        self._asked: dict[str, Value] = {}
        self._scope: tuple[str, ...] = ()
        self._conditions: tuple[Condition, ...] = ()
        self._new_parameters: dict[str, Parameter] = {}
        self._new_values: dict[str, Value] = {}

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Inside, every name is one of the group `name`: "units" is "layer/units" in `name_scope("layer")`. Scopes nest."""
        before = self._scope
        self._scope = (*before, sound_name(name, "name_scope()"))
        try:
            yield
        finally:
            self._scope = before

    @contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Value | Sequence[Value]) -> Iterator[None]:
        """Inside, parameters are there only where the parent is, and has one of these values. Otherwise they become known, and
        asking for them gives None: the block is run in any case. Scopes nest, and can be opened again.

        Args:
            parent_name: a parameter that is known: first one of the open name scope is looked for, then one further out.
            parent_values: one of its values, or a list of them.

        Raises:
            SpaceError: if the parent is not known, or cannot have one of these values.
        """
        before = self._conditions
        condition = self._condition(parent_name, parent_values)
        self._conditions = before if condition in before else (*before, condition)
        try:
            yield
        finally:
            self._conditions = before

    @property
    def space(self) -> dict[str, Parameter]:
        """Every parameter that is known, by flat name, in the order in which they became known, each after its parents."""
        return dict(self._space)

    @property
    def values(self) -> dict[str, Any]:
        """What has been asked for so far and is active, by flat name. Of a choice of objects it is the object."""
        return {name: self._behind(name, value) for name, value in self._asked.items()}

    def get(self, name: str) -> Any:
        """The value of a parameter that is known (in the open name scope) and active.

        Raises:
            KeyError: if it is not known.
            ValueError: if it is inactive: it is there only under conditions that are not met.
        """
        flat = self._known(name)
        domain = self._domain(flat)
        if domain is None:
            raise ValueError(f"parameter {flat!r} is inactive: it is {self._space[flat].describe()}")
        return self._behind(flat, self._resolve(flat, domain))

    def ask_for(self, names: Sequence[str]) -> None:
        """Ask for parameters by flat name, whatever name scope is open. Those that are not known or not active are left out."""
        for flat in names:
            domain = self._domain(flat) if flat in self._space else None
            if domain is not None:
                self._resolve(flat, domain)

    def is_active(self, parameter: str | Parameter | Case) -> bool:
        """Whether a parameter is there, with the values of this trial.

        Args:
            parameter: its name (in the open name scope), or one of those in `space`.

        Raises:
            KeyError: if there is no parameter of this name.
        """
        if isinstance(parameter, str):
            return self._domain(self._known(parameter)) is not None
        cases = (parameter,) if isinstance(parameter, Case) else cases_of(parameter)
        return any(self._are_met(case.conditions) for case in cases)

    def copy(self) -> HyperParameters:
        """The same parameters with the same values, on their own: a search is not told of what is asked of a copy."""
        copy = HyperParameters(self._space, self._proposed, self._fill, self._objects)
        copy._asked = dict(self._asked)
        return copy

    def merge(self, hps: HyperParameters | Mapping[str, Parameter] | Sequence[HyperParameters], overwrite: bool = True) -> None:
        """Make the parameters of another one known here too, each once; those that are active get values.

        Args:
            hps: another `HyperParameters`, or a list of them; or parameters by flat name, such as a `Space`.
            overwrite: what becomes of a parameter that is known already, under conditions that can be met at once: True gives
                it the other one's domain, and the value that one gets anew; False leaves it as it is.

        Raises:
            SpaceError: for anything else; or if what depends on a parameter could not any more.
        """
        for each in hps if isinstance(hps, list | tuple) else [hps]:
            if not isinstance(each, HyperParameters | Mapping):
                raise wrong("merge()", "a HyperParameters, a list of them, or a Space", each)
            self._merge(each.space if isinstance(each, HyperParameters) else ordered(each), overwrite)

    def _merge(self, parameters: Mapping[str, Parameter], overwrite: bool) -> None:
        space, new = dict(self._space), dict[str, Parameter]()
        for name, parameter in parameters.items():
            known = space.get(name)
            space[name] = parameter if known is None else merged(space, name, parameter, overwrite=overwrite)
            if space[name] != known:
                new[name] = space[name]
        self._space, self._objects = ordered(space), self._objects | objects_of(new)
        self._new_parameters |= {name: self._space[name] for name in new}
        for name in new:
            self._asked.pop(name, None)
            self._proposed.pop(name, None)
        for name in parameters:
            if (domain := self._domain(name)) is not None:
                self._resolve(name, domain)

    def get_config(self) -> dict[str, Any]:
        """The parameters and the values in the layout of KerasTuner's `get_config()`, ready for JSON."""
        return as_config(self._space, self._asked)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> HyperParameters:
        """What `get_config` was asked of, KerasTuner's too.

        Raises:
            SpaceError: for what is no such layout, or a value that its parameter cannot have; names the parameter.
        """
        parameters = parameters_of(config)
        found = cls(parameters, config.get("values"))
        for name in parameters:
            if name in found._proposed and (domain := found._domain(name)) is not None:
                found._resolve(name, domain)
        found.drain()
        return found

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        """Whether it is known (in the open name scope) and active."""
        flat = "/".join((*self._scope, name)) if isinstance(name, str) else ""
        return flat in self._space and self._domain(flat) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._space))

    def __repr__(self) -> str:
        return f"<HyperParameters {len(self._space)} known, asked for {self._asked}>"

    def drain(self) -> tuple[dict[str, Parameter], dict[str, Value]]:
        """What is new since the last time: the parameters that became known, or in further cases; and the values that were
        asked for."""
        news = self._new_parameters, self._new_values
        self._new_parameters, self._new_values = {}, {}
        return news

    def _flat(self, name: str) -> str:
        return "/".join((*self._scope, sound_name(name)))

    def _known(self, name: str) -> str:
        flat = self._flat(name)
        if flat not in self._space:
            known = ", ".join(map(repr, self._space)) or "none"
            raise KeyError(f"no parameter {flat!r} is known; known are: {known}")
        return flat

    def _condition(self, parent_name: str, parent_values: Value | Sequence[Value]) -> Condition:
        name = sound_name(parent_name, "conditional_scope(parent_name=...)")
        outwards = ("/".join((*self._scope[:depth], name)) for depth in range(len(self._scope), -1, -1))
        flat = next((flat for flat in outwards if flat in self._space), None)
        if flat is None:
            known = ", ".join(map(repr, self._space)) or "none"
            raise SpaceError(f"conditional_scope({name!r}, ...): no such parameter is known; known are: {known}")
        try:
            return coerced_to(Condition(flat, parent_values), self._space[flat])
        except SpaceError as error:
            raise SpaceError(f"conditional_scope({name!r}, ...): {error}") from None

    def _ask_if(
        self, parent_name: str | None, parent_values: Value | Sequence[Value], name: str, declare: Callable[[], Domain]
    ) -> Any:
        if parent_name is None:
            if parent_values is not None:
                raise wrong(f"parameter {self._flat(name)!r}: parent_values=", "parent_name= beside it", parent_values)
            return self._ask(name, declare)
        if parent_values is None:
            told = f"parent_name={parent_name!r} stands beside parent_values=, the values of it that this one is there for"
            raise SpaceError(f"parameter {self._flat(name)!r}: {told}; [None] if that is one")
        with self.conditional_scope(parent_name, parent_values):
            return self._ask(name, declare)

    def _ask(self, name: str, declare: Callable[[], Domain]) -> Any:
        flat = self._flat(name)
        try:
            domain = declare()
        except SpaceError as error:
            raise SpaceError(f"parameter {flat!r}: {error}") from None
        if isinstance(domain, domains.Choice) and domain.objects:
            self._objects[flat] = domain.objects
        if any(flat == condition.parent for condition in self._conditions):
            raise SpaceError(f"parameter {flat!r} is declared in its own conditional_scope: give one of the two another name")
        is_met = self._are_met(self._conditions)
        now = self._domain(flat) if is_met and flat in self._space else None
        if now is None:
            parameter = self._declared(flat, domain)
            value = self._resolve(flat, domain) if is_met else None
            self._know(flat, parameter)
            return self._behind(flat, value)
        if now != domain:
            raise declared_twice(flat, now.describe(), domain.describe())
        return self._behind(flat, self._resolve(flat, domain))

    def _behind(self, flat: str, value: Value) -> Any:
        return self._objects[flat].get(value, value) if flat in self._objects and isinstance(value, str) else value

    def _declared(self, flat: str, domain: Domain) -> Parameter:
        """The parameter with what has been asked for now: a domain under the open conditions."""
        new: Parameter = Cases([Case(self._conditions, domain)]) if self._conditions else domain
        known = self._space.get(flat)
        parameter = new if known is None else joined(flat, known, new)
        if parameter != known:
            check_exclusive(self._space, flat, parameter)
        return parameter

    def _know(self, flat: str, parameter: Parameter) -> None:
        known = self._space.get(flat)
        if parameter != known:
            self._space[flat] = self._new_parameters[flat] = parameter
            if known is not None:
                self._space = ordered(self._space)  # a further case may have a parent that became known after it

    def _domain(self, flat: str) -> Domain | None:
        """The domain that a parameter has with the values of this trial; its parents are asked for."""
        parameter = self._space[flat]
        if not isinstance(parameter, Cases):
            return parameter
        return next((case.domain for case in parameter.cases if self._are_met(case.conditions)), None)

    def _are_met(self, conditions: Sequence[Condition]) -> bool:
        for condition in conditions:
            if condition.parent not in self._asked:  # what was asked for is active
                domain = self._domain(condition.parent)
                if domain is not None:
                    self._resolve(condition.parent, domain)
            if not condition.is_met(self._asked):
                return False
        return True

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
