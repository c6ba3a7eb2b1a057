"""How many sets of values a space has, exactly.

The parameters are told off one by one. What matters of the values so far is only what they leave open: for each parameter that
is still to come, which of its cases can still be met, and what these still ask for. All values that leave the same open are
counted as one. A case that asks for nothing more decides its parameter; then its other cases do not matter, since cases that
could be met at once have the same domain. A case that asks for all that another one asks for, and more, does not matter either.

How many ways must be told apart depends on the order: what is decided soonest comes first. In the worst case they are
exponentially many; counting what meets one of many overlapping conditions is #P-hard (Valiant, 1979).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from typing import TypeAlias

from attrs import field, frozen

from asynctune.records import Value
from asynctune.space.conditions import Cases, Condition, Parameter
from asynctune.space.domains import Domain

__all__ = ["count"]

_Asked: TypeAlias = frozenset[int]  # conditions, by their places in a list of all
# The cases that can still be met: what each still asks for, and the place of the first case that has its domain.
_Open: TypeAlias = frozenset[tuple[_Asked, int]]
_Way: TypeAlias = frozenset[tuple[str, _Open | None]]  # by parameter; None where it is counted already


@frozen
class _Links:
    """Which parameter depends on which.

    Attributes:
        open: what each conditional parameter asks for, before anything is decided.
        asked: by parent, the conditions on it, by their places.
        children: by parent, those that depend on it.
    """

    open: dict[str, _Open] = field(factory=dict)
    asked: dict[str, dict[int, Condition]] = field(factory=dict)
    children: dict[str, dict[str, None]] = field(factory=dict)

    @classmethod
    def of(cls, parameters: Mapping[str, Parameter]) -> _Links:
        links, places = cls(), dict[Condition, int]()
        for name, parameter in parameters.items():
            if not isinstance(parameter, Cases):
                continue
            for condition in (condition for case in parameter.cases for condition in case.conditions):
                place = places.setdefault(condition, len(places))
                links.asked.setdefault(condition.parent, {})[place] = condition
                links.children.setdefault(condition.parent, {})[name] = None
            links.open[name] = frozenset(
                (frozenset(places[condition] for condition in case.conditions), parameter.domains.index(case.domain))
                for case in parameter.cases
            )
        return links


def count(parameters: Mapping[str, Parameter]) -> int | None:
    """How many sets of values there are; None if there is no end of them. `parameters` are in order."""
    links = _Links.of(parameters)
    product, ways = 1, {_Way(): 1}
    decisive = [name for name in _soonest_first(parameters, links) if name in links.asked]
    last = {child: name for name in decisive for child in links.children[name]}
    for name, parameter in parameters.items():
        if name not in links.asked and not isinstance(parameter, Cases):
            if parameter.size is None:
                return None
            product *= parameter.size
    for name in decisive:
        further = Counter[_Way]()
        for way, number in ways.items():
            found = _further(name, parameters, links, way, last)
            if found is None:
                return None
            for each, weight in found:
                further[each] += number * weight
        ways = dict(further)
    return product * sum(ways.values())


def _soonest_first(parameters: Mapping[str, Parameter], links: _Links) -> Iterator[str]:
    """Parents before children. Of those that depend on what is done, the one that lacks the fewest parents is gone for."""
    places = {name: place for place, name in enumerate(parameters)}
    parents = {name: each.parents for name, each in parameters.items() if isinstance(each, Cases)}
    lacking = {name: len(each) for name, each in parents.items()}
    done: set[str] = set()
    begun: list[tuple[int, int, str]] = []
    for root in parameters:
        wanted = root
        while wanted:
            # Down to what lacks nothing; the space is in order, so there is an end.
            while lacking.get(wanted):
                wanted = next(parent for parent in parents[wanted] if parent not in done)
            if wanted not in done:
                done.add(wanted)
                yield wanted
                for child in links.children.get(wanted, ()):
                    lacking[child] -= 1
                    heappush(begun, (lacking[child], places[child], child))
            while begun and begun[0][2] in done:
                heappop(begun)
            wanted = begun[0][2] if begun else ""


def _further(
    name: str, parameters: Mapping[str, Parameter], links: _Links, way: _Way, last: Mapping[str, str]
) -> list[tuple[_Way, int]] | None:
    """What the values of the parameter `name` leave open, and how many do; None if there is no end of them."""
    before = dict(way)
    domain = _decided(parameters[name], before.pop(name, None))
    asked = frozenset(links.asked[name])
    outcomes = {frozenset[int](): 1} if domain is None else _outcomes(domain, links.asked[name])
    if outcomes is None:
        return None
    found = []
    for met, values in outcomes.items():
        after, weight = dict(before), values
        for child in links.children[name]:
            left = after.pop(child, links.open[child])
            left = None if left is None else _left(left, asked, met)
            if left is not None and child not in links.asked and _is_decided(left):
                there = _decided(parameters[child], left)
                if there is not None:
                    if there.size is None:
                        return None
                    weight *= there.size
                left = None
            if child in links.asked or last[child] != name:
                after[child] = left
        found.append((frozenset(after.items()), weight))
    return found


def _left(left: _Open, asked: _Asked, met: _Asked) -> _Open:
    """What is open once it is known which of the conditions `asked` are met."""
    missed = asked - met
    kept: list[tuple[_Asked, int]] = []
    eased: list[tuple[_Asked, int]] = []
    for wanted, place in left:
        if wanted & missed:
            continue
        rest = wanted - met
        if not rest:
            return frozenset([(rest, place)])
        (eased if len(rest) < len(wanted) else kept).append((rest, place))
    return frozenset(
        (wanted, place) for wanted, place in (*kept, *eased) if not any(at == place and less < wanted for less, at in eased)
    )


def _is_decided(left: _Open) -> bool:
    return not left or any(not wanted for wanted, _ in left)


def _decided(parameter: Parameter, left: _Open | None) -> Domain | None:
    """The domain of a parameter whose parents are done; None where it is not there."""
    if not isinstance(parameter, Cases):
        return parameter
    return next((parameter.domains[place] for wanted, place in left or () if not wanted), None)


def _outcomes(domain: Domain, asked: Mapping[int, Condition]) -> dict[_Asked, int] | None:
    """Which conditions the values of `domain` meet, and how many values do; None if there is no end of them."""
    if domain.size is None:
        return None
    named = {(type(value), value): value for condition in asked.values() for value in condition.values}
    # A range of floats has 1 and 1.0 as one value, which meets what asks for 1.0.
    told = [value for value in named.values() if domain.contains(value) and type(domain.coerce(value)) is type(value)]
    outcomes = Counter(_met(value, asked) for value in told)
    others = domain.size - len(told)
    if others:
        outcomes[frozenset()] += others
    return outcomes


def _met(value: Value, asked: Mapping[int, Condition]) -> _Asked:
    return frozenset(place for place, condition in asked.items() if condition.is_met({condition.parent: value}))
