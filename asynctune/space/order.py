"""The parameters of a space as a whole: parents before their children, in the order in which they were declared otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from attrs import evolve

from asynctune.errors import SpaceError
from asynctune.records import Value
from asynctune.space.checks import declared_twice
from asynctune.space.conditions import Case, Cases, Condition, Parameter, cases_of

__all__ = ["check_each_can_be", "check_exclusive", "coerced_to", "coercions", "merged", "ordered"]

_Parameters: TypeAlias = Mapping[str, Parameter]


def ordered(parameters: _Parameters) -> dict[str, Parameter]:
    """The same parameters, each after its parents, the values of conditions as those of their parents.

    Raises:
        SpaceError: for a parent that there is not, parameters that depend on each other, a condition on a value that its parent
            cannot have, or two cases of one parameter that could be met at once and are different; each by name.
    """
    if not any(isinstance(parameter, Cases) for parameter in parameters.values()):
        return dict(parameters)
    found: dict[str, Parameter] = {}
    for name in parameters:
        _visit(name, parameters, found)
    found = {name: _coerced(name, parameter, found) for name, parameter in found.items()}
    for name, parameter in found.items():
        check_exclusive(found, name, parameter)
    return found


def _visit(name: str, parameters: _Parameters, found: dict[str, Parameter]) -> None:
    # Depth first, with a stack of its own: a chain may be longer than Python's.
    path = {name: iter(_parents(name, parameters))} if name not in found else {}
    while path:
        child, parents = next(reversed(path.items()))
        parent = next(parents, None)
        if parent is None:
            found[child] = parameters[child]
            del path[child]
        elif parent in path:
            circle = [*list(path)[list(path).index(parent) :], parent]
            raise SpaceError(f"parameters depend on each other: {' on '.join(map(repr, circle))}")
        elif parent not in found:
            path[parent] = iter(_parents(parent, parameters))


def _parents(name: str, parameters: _Parameters) -> tuple[str, ...]:
    parameter = parameters[name]
    parents = parameter.parents if isinstance(parameter, Cases) else ()
    for parent in parents:
        if parent not in parameters:
            known = ", ".join(map(repr, parameters))
            raise SpaceError(f"parameter {name!r} depends on {parent!r}, which there is not; the parameters are {known}")
    return parents


def _coerced(name: str, parameter: Parameter, parameters: _Parameters) -> Parameter:
    if not isinstance(parameter, Cases):
        return parameter
    return Cases([evolve(case, conditions=_of_parents(name, case, parameters)) for case in parameter.cases])


def _of_parents(name: str, case: Case, parameters: _Parameters) -> tuple[Condition, ...]:
    try:
        return tuple(coerced_to(condition, parameters[condition.parent]) for condition in case.conditions)
    except SpaceError as error:
        raise _wrong(name, error) from None


def coerced_to(condition: Condition, parent: Parameter) -> Condition:
    """The condition with its values as they are in the parent's domain: 1.0 for 1, where that is a `Float`.

    A conditional parent may have more cases than are known, so any value may be asked of it.

    Raises:
        SpaceError: for a value that the parent cannot have.
    """
    found = [exact for value in condition.values for exact in _values(condition.parent, value, parent)]
    return Condition(condition.parent, list({(type(value), value): value for value in found}.values()))


def coercions(parameter: Parameter, value: Any) -> list[Value]:
    """What a value is in each case of a parameter that has it, without repetitions; nothing, if none has."""
    found = dict[tuple[type, Value], Value]()
    for case in cases_of(parameter):
        with suppress(SpaceError):
            exact = case.domain.coerce(value)
            found[type(exact), exact] = exact
    return list(found.values())


def _values(parent: str, value: Value, parameter: Parameter) -> list[Value]:
    found = coercions(parameter, value)
    if found:
        return found
    if isinstance(parameter, Cases):
        return [value]
    raise _impossible(parent, value, parameter)


def _impossible(parent: str, value: Value, parameter: Parameter) -> SpaceError:
    return SpaceError(f"{parent!r} cannot be {value!r}, which is not a value of {parameter.describe()}")


def _wrong(name: str, error: SpaceError) -> SpaceError:
    return SpaceError(f"parameter {name!r} has a wrong condition: {error}")


def check_exclusive(parameters: _Parameters, name: str, parameter: Parameter) -> None:
    """Whether no two cases that differ could be met at once; `parameters` are in order.

    Raises:
        SpaceError: two could; names both.
    """
    cases = cases_of(parameter)
    for place, case in enumerate(cases):
        for other in cases[:place]:
            if other.domain != case.domain and _can_be(parameters, (*case.conditions, *other.conditions)):
                raise declared_twice(name, other.describe(), case.describe())


def merged(parameters: _Parameters, name: str, new: Parameter, *, overwrite: bool) -> Parameter:
    """The parameter `name` of `parameters`, which are in order, with the cases of `new`. Where cases of both could be met at
    once, those of `new` win if `overwrite`, and the others if not."""

    def clash(one: Case, others: tuple[Case, ...]) -> bool:
        return any(_can_be(parameters, (*one.conditions, *other.conditions)) for other in others)

    old = cases_of(parameters[name])
    if overwrite:
        cases = [*(case for case in old if not clash(case, cases_of(new))), *cases_of(new)]
    else:
        cases = [*old, *(case for case in cases_of(new) if not clash(case, old))]
    always = next((case.domain for case in cases if not case.conditions), None)
    return Cases(cases) if always is None else always


def check_each_can_be(parameters: _Parameters) -> None:
    """Whether every case of every parameter can be met, and every value in a condition be had; `parameters` are in order, and
    all that there will be.

    Raises:
        SpaceError: one cannot; names the parameter, and what it depends on.
    """
    for name, parameter in parameters.items():
        for case in cases_of(parameter):
            for condition in case.conditions:
                # Its cases can all be met: they were looked at before.
                parents = cases_of(parameters[condition.parent])
                for value in condition.values:
                    if not any(parent.domain.contains(value) for parent in parents):
                        raise _wrong(name, _impossible(condition.parent, value, parameters[condition.parent]))
            if len(case.conditions) > 1 and not _can_be(parameters, case.conditions):
                raise SpaceError(f"parameter {name!r} can never be {case.describe()}: these conditions exclude each other")


def _can_be(parameters: _Parameters, conditions: Sequence[Condition]) -> bool:
    """Whether all of these conditions can be met at once. `parameters` are in order."""
    wanted: dict[str, list[Value]] = {}
    return _add(wanted, conditions) and _search(parameters, wanted)


def _add(wanted: dict[str, list[Value]], conditions: Sequence[Condition]) -> bool:
    """Ask for these too; whether a value is left for each parent."""
    for condition in conditions:
        left = wanted.get(condition.parent, condition.values)
        wanted[condition.parent] = [value for value in left if condition.is_met({condition.parent: value})]
    return all(wanted.values())


def _search(parameters: _Parameters, wanted: dict[str, list[Value]]) -> bool:
    places: Mapping[str, int] = {}
    left = [wanted]
    while left:
        wanted = left.pop()
        conditional = [name for name in wanted if isinstance(parameters[name], Cases)]
        if not conditional:
            return True
        # The last parent first: what its cases ask for in their turn stands before it, so none is looked at twice on one way.
        places = places or {name: place for place, name in enumerate(parameters)}
        last = max(conditional, key=places.__getitem__)
        for case in reversed(cases_of(parameters[last])):
            if any(case.domain.contains(value) for value in wanted[last]):
                further = {name: values for name, values in wanted.items() if name != last}
                if _add(further, case.conditions):
                    left.append(further)
    return False
