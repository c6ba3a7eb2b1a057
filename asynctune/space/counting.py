"""How many sets of values a space has, exactly.

The parameters are told off one by one. What matters of the values so far is only which of the cases that are still to come they
rule out, so all that rule out the same are counted as one. Who decides nothing is multiplied at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

from asynctune.records import Value
from asynctune.space.conditions import Cases, Condition, Parameter
from asynctune.space.domains import Domain

__all__ = ["count"]

_Case: TypeAlias = tuple[str, int]  # the name of the parameter, and which of its cases
_Ruled: TypeAlias = frozenset[_Case]
_Asked: TypeAlias = list[tuple[Condition, _Case]]


def count(parameters: Mapping[str, Parameter]) -> int | None:
    """How many sets of values there are; None if there is no end of them. `parameters` are in order."""
    asked: dict[str, _Asked] = {}
    for name, parameter in parameters.items():
        for place, case in enumerate(parameter.cases if isinstance(parameter, Cases) else ()):
            for condition in case.conditions:
                asked.setdefault(condition.parent, []).append((condition, (name, place)))
    product, ways = 1, {frozenset[_Case](): 1}
    for name in _children_first(parameters, asked):
        parameter, conditions = parameters[name], asked.get(name, [])
        if not isinstance(parameter, Cases) and not conditions:
            if parameter.size is None:
                return None
            product *= parameter.size
            continue
        further = Counter[_Ruled]()
        for ruled, number in ways.items():
            domain = _domain(name, parameter, ruled)
            outcomes = {frozenset(case for _, case in conditions): 1} if domain is None else _outcomes(domain, conditions)
            if outcomes is None:
                return None
            left = frozenset(case for case in ruled if case[0] != name)
            for more, weight in outcomes.items():
                further[left | more] += number * weight
        ways = dict(further)
    return product * sum(ways.values())


def _children_first(parameters: Mapping[str, Parameter], asked: Mapping[str, _Asked]) -> list[str]:
    """Parents before children still, but each child as soon as its parents are done: the less is open at a time, the fewer
    ways must be told apart."""
    waiting = {name: len(each.parents) if isinstance(each, Cases) else 0 for name, each in parameters.items()}
    order: list[str] = []
    ready = [name for name in reversed(parameters) if not waiting[name]]
    while ready:
        name = ready.pop()
        order.append(name)
        for child in dict.fromkeys(child for _, (child, _) in asked.get(name, [])):
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    return order


def _domain(name: str, parameter: Parameter, ruled: _Ruled) -> Domain | None:
    if not isinstance(parameter, Cases):
        return parameter
    return next((case.domain for place, case in enumerate(parameter.cases) if (name, place) not in ruled), None)


def _outcomes(domain: Domain, conditions: _Asked) -> dict[_Ruled, int] | None:
    """Which cases the values of `domain` rule out, and how many values do; None if there is no end of them."""
    if domain.size is None:
        return None
    named = {(type(value), value): value for condition, _ in conditions for value in condition.values}
    told = [value for value in named.values() if domain.contains(value)]
    outcomes = Counter(_ruled_by(value, conditions) for value in told)
    others = domain.size - len(told)
    if others:
        outcomes[frozenset(case for _, case in conditions)] += others
    return outcomes


def _ruled_by(value: Value, conditions: _Asked) -> _Ruled:
    return frozenset(case for condition, case in conditions if not condition.is_met({condition.parent: value}))
