"""Parameters that are there only under conditions, or that are something else under others.

A condition names a parent and some of its values: it is met where the parent is active and has one of them. A case is a domain
under conditions that must all be met. A parameter of one name can have several cases, in several branches; where two of them
could be met at once, they must have the same domain. So under any values a parameter has one domain, or is inactive.

This room is data, and what follows from it for given values. `space.order` checks it as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from attrs import field, frozen

from asynctune.records import Value, Values
from asynctune.space.checks import declared_twice, scalars, sound_name, wrong
from asynctune.space.domains import Domain
from asynctune.wire import closed_union

__all__ = ["Case", "Cases", "Condition", "Parameter", "cases_of", "domain_under", "joined"]

# The type of a value, then the value: 1, 1.0 and True are equal in Python, and three values here.
_Exact: TypeAlias = frozenset[tuple[type, Value]]


def _listed(values: Any) -> tuple[Value, ...]:
    is_list = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    return tuple(dict.fromkeys(scalars("the values of a condition", values if is_list else [values])))


def _by_type(values: tuple[Value, ...]) -> tuple[tuple[str, Value], ...]:
    return tuple((type(value).__name__, value) for value in values)


@frozen
class Condition:
    """A parent, and the values that it must have one of.

    Args:
        parent: the parent's flat name ("net/kind").
        values: one value, or a list of at least one.

    Raises:
        SpaceError: for what is no name, or no value.
    """

    parent: str = field(converter=lambda name: sound_name(name, "the parent of a condition"))
    values: tuple[Value, ...] = field(converter=_listed, eq=_by_type)
    _exact: _Exact = field(init=False, repr=False, eq=False)

    @_exact.default
    def _(self) -> _Exact:
        return frozenset((type(value), value) for value in self.values)

    def is_met(self, active: Values) -> bool:
        """Whether it is met where these parameters are active and have these values."""
        if self.parent not in active:
            return False
        value = active[self.parent]
        return (type(value), value) in self._exact

    def implies(self, other: Condition) -> bool:
        """Whether the other one is met wherever this one is, as far as the two alone can tell."""
        return self.parent == other.parent and self._exact <= other._exact

    def describe(self) -> str:
        """One line, the same for equal conditions only."""
        return f"{self.parent!r} is {' or '.join(map(repr, self.values))}"


@frozen
class Case:
    """What a parameter is under some conditions.

    Args:
        conditions: all of which must be met; none, for what is always there.
        domain: what it is then.
    """

    conditions: tuple[Condition, ...]
    domain: Domain

    def is_met(self, active: Values) -> bool:
        """Whether all conditions are met where these parameters are active and have these values."""
        return all(condition.is_met(active) for condition in self.conditions)

    def covers(self, other: Case) -> bool:
        """Whether the other one says nothing beyond this one: it has the same domain, under at least these conditions."""
        return self.domain == other.domain and all(
            any(theirs.implies(ours) for theirs in other.conditions) for ours in self.conditions
        )

    def describe(self) -> str:
        """One line, the same for equal cases only."""
        when = " and ".join(condition.describe() for condition in self.conditions)
        return f"{self.domain.describe()} when {when}" if when else self.domain.describe()


def _sound_cases(cases: Any) -> tuple[Case, ...]:
    found = tuple(cases) if isinstance(cases, list | tuple) else ()
    if not found or not all(isinstance(case, Case) and case.conditions for case in found):
        raise wrong("Cases(...)", "at least one Case, each under conditions", cases)
    return found


@frozen
class Cases:
    """A parameter that is there only under conditions.

    Args:
        cases: what it is, and when. Cases that could be met at once must have the same domain, which a `Space` checks.

    Raises:
        SpaceError: if there is no case, or one without conditions.
    """

    cases: tuple[Case, ...] = field(converter=_sound_cases)

    def under(self, active: Values) -> Domain | None:
        """The domain that it has where these parameters are active and have these values; None where it is inactive."""
        for case in self.cases:
            if case.is_met(active):
                return case.domain
        return None

    @property
    def domains(self) -> tuple[Domain, ...]:
        """The domain of each case."""
        return tuple(case.domain for case in self.cases)

    @property
    def parents(self) -> tuple[str, ...]:
        """The names of the parameters on which it depends, each once."""
        return tuple(dict.fromkeys(condition.parent for case in self.cases for condition in case.conditions))

    def describe(self) -> str:
        """One line, the same for equal ones only."""
        return "; ".join(case.describe() for case in self.cases)


Parameter: TypeAlias = Domain | Cases
closed_union(Parameter)


def cases_of(parameter: Parameter) -> tuple[Case, ...]:
    """Its cases; what is always there has one, without conditions."""
    return parameter.cases if isinstance(parameter, Cases) else (Case((), parameter),)


def domain_under(parameters: Mapping[str, Parameter], name: str, values: Values) -> Domain | None:
    """The domain that the parameter `name` has under `values`; None where it is inactive, or unknown.

    What `values` say of an inactive parent counts for nothing.
    """
    return _domain_under(parameters, name, values, {})


def _domain_under(
    parameters: Mapping[str, Parameter], name: str, values: Values, found: dict[str, Domain | None]
) -> Domain | None:
    parameter = parameters.get(name)
    if not isinstance(parameter, Cases):
        return parameter
    if name not in found:  # many can have the same ancestors
        found[name] = None
        for case in parameter.cases:
            parents = (condition.parent for condition in case.conditions)
            if case.is_met(values) and all(_domain_under(parameters, each, values, found) is not None for each in parents):
                found[name] = case.domain
                break
    return found[name]


def joined(name: str, known: Parameter, new: Parameter) -> Parameter:
    """The parameter that is what both say, each in its cases. A case that another one covers is left out.

    Raises:
        SpaceError: if one is always there, and the other one is something else under any conditions; names both. Of other
            cases, `space.order` finds out whether they could be met at once.
    """
    cases = list(cases_of(known))
    for case in cases_of(new):
        if not any(old.covers(case) for old in cases):
            cases = [*(old for old in cases if not case.covers(old)), case]
    if len(cases) == 1 and not cases[0].conditions:
        return cases[0].domain
    if all(case.conditions for case in cases):
        return known if isinstance(known, Cases) and tuple(cases) == known.cases else Cases(cases)
    raise declared_twice(name, known.describe(), new.describe())
