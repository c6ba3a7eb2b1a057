"""Which combinations there are, and whether the rules of a space allow any, without looking at all that there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias

from asynctune.errors import SpaceError
from asynctune.records import Value, Values
from asynctune.space.conditions import Cases, Parameter, cases_of
from asynctune.space.counting import count
from asynctune.space.domains import Domain
from asynctune.space.rules import Rules

__all__ = ["check_any", "combinations"]

_MOST = 100_000  # combinations that are looked at
_ANY_OTHER = object()  # stands for all values that nothing speaks of

# Which values of a parameter are told apart, by its name and its domain.
_Told: TypeAlias = Callable[[str, Domain], Iterable[Any]]


def combinations(parameters: Mapping[str, Parameter]) -> Iterator[Values]:
    """Every set of values of a finite space, the last parameter changing fastest. The dict is one, and changes."""
    return (values for values in _walk(parameters, lambda _, domain: domain.values, Rules()) if values is not None)


def check_any(parameters: Mapping[str, Parameter], rules: Rules, objection: Callable[[Values], str | None]) -> None:
    """Whether something is allowed, as far as that is known from 100,000 combinations or fewer.

    Args:
        parameters: in order.
        rules: all there are.
        objection: why the rules do not let these values be tried; None if they do.

    Raises:
        SpaceError: nothing is; names the rules.
    """
    ruled = _with_parents(parameters, [name for clause in rules.forbidden for name in clause])
    if _is_none(_walk(ruled, _spoken_of(ruled, rules), rules), lambda _: False):
        raise _none(rules)
    size = count(parameters) if rules.feasible else None
    if size is not None and size <= _MOST and _is_none(combinations(parameters), lambda values: objection(values) is not None):
        raise _none(rules)


def _none(rules: Rules) -> SpaceError:
    return SpaceError(f"the rules of this space allow nothing, so no trial could ever run: {'; '.join(rules.describe())}")


def _is_none(walked: Iterator[Values | None], is_refused: Callable[[Values], bool]) -> bool:
    """Whether everything on the walk is refused; False if there is too much of it to be known."""
    if any(values is not None and not is_refused(values) for values in islice(walked, _MOST)):
        return False
    return not any(True for _ in islice(walked, 1))


def _with_parents(parameters: Mapping[str, Parameter], names: Iterable[str]) -> dict[str, Parameter]:
    """Those of these names, and what they depend on, in order."""
    wanted = set(names)
    for name, parameter in reversed(list(parameters.items())):
        if name in wanted and isinstance(parameter, Cases):
            wanted.update(parameter.parents)
    return {name: parameter for name, parameter in parameters.items() if name in wanted}


def _spoken_of(parameters: Mapping[str, Parameter], rules: Rules) -> _Told:
    """Tells apart the values of which clauses or conditions speak; all others are one."""
    named: dict[str, dict[tuple[type, Value], Value]] = {name: {} for name in parameters}
    for clause in rules.forbidden:
        for name, values in clause.items():
            named[name].update(((type(value), value), value) for value in values)
    for parameter in parameters.values():
        for condition in (condition for case in cases_of(parameter) for condition in case.conditions):
            named[condition.parent].update(((type(value), value), value) for value in condition.values)

    def told(name: str, domain: Domain) -> Iterable[Any]:
        own = [value for value in named[name].values() if _is_of(domain, value)]
        return own if domain.size == len(own) else [*own, _ANY_OTHER]

    return told


def _is_of(domain: Domain, value: Value) -> bool:
    return domain.contains(value) and type(domain.coerce(value)) is type(value)  # a Float contains 1, and 1.0 is meant


def _walk(parameters: Mapping[str, Parameter], told: _Told, rules: Rules) -> Iterator[Values | None]:
    """Every set of values that no clause forbids, and None for each turn at which one does."""
    if not parameters:
        yield {}
        return
    names = list(parameters)
    places = {name: place for place, name in enumerate(names)}
    # A clause is looked at once the last of its names has a value.
    last = [(max(clause, key=places.__getitem__), clause) for clause in rules.forbidden]
    ending = {name: Rules(tuple(clause for end, clause in last if end == name)) for name in {end for end, _ in last}}
    values: dict[str, Any] = {}

    def wheel(name: str) -> Iterator[bool]:
        parameter = parameters[name]
        domain = parameter.under(values) if isinstance(parameter, Cases) else parameter
        if domain is None:
            yield True
            return
        for value in told(name, domain):
            values[name] = value
            yield name not in ending or ending[name].clause(values) is None
        del values[name]

    # Depth first, with a stack of its own: there may be more parameters than Python's is deep.
    wheels = [wheel(names[0])]
    while wheels:
        stands = next(wheels[-1], None)
        if stands is None:
            wheels.pop()
        elif not stands:
            yield None
        elif len(wheels) == len(names):
            yield values
        else:
            wheels.append(wheel(names[len(wheels)]))
