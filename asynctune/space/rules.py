"""Which combinations a space leaves out: those that a clause forbids, and those that a predicate finds infeasible.

Clauses are data, and are recorded. Predicates are functions: they are called in the process that searches, on combinations that
nothing was spent on yet, and only their names are recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from attrs import field, frozen

from asynctune.errors import SpaceError
from asynctune.records import Value, Values
from asynctune.space.checks import plain, wrong
from asynctune.space.conditions import Parameter
from asynctune.space.derived import called, takes
from asynctune.space.order import coercions

__all__ = ["Clause", "Predicate", "RuleError", "Rules"]

Clause: TypeAlias = Mapping[str, tuple[Value, ...]]
"""By flat name, the values that are forbidden together with one of each other name."""

_CLAUSES = "a list of dicts from names to a value, or to a list of values"
_PREDICATES = "a list of functions of one argument, the values"


class RuleError(SpaceError):
    """A function of `feasible=` failed: neither the oracle that proposed the values, nor whoever gave them, has done wrong."""


@frozen(init=False)
class Predicate:
    """A function that says whether values are feasible. Two are equal if their qualified names are."""

    name: str
    function: Callable[[Mapping[str, Any]], Any] = field(eq=False, repr=False)

    def __init__(self, function: Callable[[Mapping[str, Any]], Any]) -> None:
        if takes(function, "feasible=", _PREDICATES, 1) != 1:
            raise wrong("feasible=", _PREDICATES, function)
        self.__attrs_init__(called(function), function)

    def holds(self, nested: Mapping[str, Any]) -> bool:
        """What the function says.

        Raises:
            RuleError: it raised, or said something else; names it and the values.
        """
        try:
            answer = plain(self.function(nested))
        except Exception as error:
            told = f"{self.name}, of feasible=, raised {type(error).__name__}: {error}"
            raise RuleError(f"{told}; the values were {nested}") from error
        if type(answer) is not bool:
            raise RuleError(f"{self.name}, of feasible=, answered {answer!r}, and not True or False, for {nested}")
        return answer


def _exact(clause: Clause) -> tuple[tuple[str, frozenset[tuple[type, Value]]], ...]:
    return tuple((name, frozenset((type(value), value) for value in values)) for name, values in clause.items())


@frozen
class Rules:
    """The clauses and predicates of a space. See `Space`."""

    forbidden: tuple[Clause, ...] = field(default=(), eq=False)
    feasible: tuple[Predicate, ...] = ()
    _exact: tuple[tuple[tuple[str, frozenset[tuple[type, Value]]], ...], ...] = field(init=False, repr=False)

    @_exact.default
    def _(self) -> tuple[tuple[tuple[str, frozenset[tuple[type, Value]]], ...], ...]:
        return tuple(map(_exact, self.forbidden))

    @classmethod
    def of(cls, parameters: Mapping[str, Parameter], forbidden: Any, feasible: Any) -> Rules:
        """The rules as they were given.

        Raises:
            SpaceError: naming the clause that speaks of an unknown parameter or of a value that it cannot have; or what is no
                predicate.
        """
        for argument, takes_, given in (("forbidden=", _CLAUSES, forbidden), ("feasible=", _PREDICATES, feasible)):
            if not isinstance(given, list | tuple):
                raise wrong(argument, takes_, given)
        clauses = tuple(_clause(parameters, clause) for clause in forbidden)
        return cls(clauses, tuple(map(Predicate, feasible)))

    def joined(self, more: Rules) -> Rules:
        """These, and more."""
        return Rules((*self.forbidden, *more.forbidden), (*self.feasible, *more.feasible))

    def __bool__(self) -> bool:
        return bool(self.forbidden or self.feasible)

    def describe(self) -> list[str]:
        """A line for each, the same for equal ones only."""
        lines = [f"forbidden: {_told(clause)}" for clause in self.forbidden]
        return [*lines, *(f"feasible: {predicate.name}" for predicate in self.feasible)]

    def clause(self, values: Values) -> Clause | None:
        """The first clause that forbids these values, and whatever else agrees with them; None if none does."""
        for clause, exact in zip(self.forbidden, self._exact, strict=True):
            if all(name in values and (type(values[name]), values[name]) in among for name, among in exact):
                return clause
        return None

    def broken(self, values: Values, nested: Callable[[], Mapping[str, Any]]) -> tuple[Collection[str], str] | None:
        """Why these values are left out, and the names on whose values that depends: those of a clause, but all of them for a
        predicate, which could have read any. None if they are not left out.

        Args:
            values: those that are active, by flat name.
            nested: makes what predicates are given.

        Raises:
            SpaceError: a predicate failed.
        """
        clause = self.clause(values)
        if clause is not None:
            return tuple(clause), f"it is forbidden that {_told(clause)}"
        if self.feasible:
            shown = nested()
            for predicate in self.feasible:
                if not predicate.holds(shown):
                    return tuple(values), f"{predicate.name} finds them infeasible"
        return None


def _told(clause: Clause) -> str:
    return " and ".join(f"{name!r} is {' or '.join(map(repr, values))}" for name, values in clause.items())


def _clause(parameters: Mapping[str, Parameter], clause: Any) -> Clause:
    if not isinstance(clause, Mapping) or not clause:
        raise wrong("forbidden=", _CLAUSES, clause)
    found = {}
    for name, given in clause.items():
        if name not in parameters:
            known = ", ".join(map(repr, parameters)) or "none"
            raise SpaceError(f"forbidden= speaks of {name!r}, which is not a parameter; the parameters are {known}")
        values = given if isinstance(given, list | tuple) else [given]
        if not values:
            raise wrong(f"forbidden= for {name!r}", "a value, or a list of at least one", given)
        found[name] = tuple(exact for value in values for exact in _values(name, parameters[name], value))
    return found


def _values(name: str, parameter: Parameter, value: Any) -> list[Value]:
    """What a value is in each branch that has it: 0 may be 0.0 in another."""
    found = coercions(parameter, value)
    if found:
        return found
    raise SpaceError(f"forbidden= speaks of {value!r}, which is not a value of {name!r}, {parameter.describe()}")
