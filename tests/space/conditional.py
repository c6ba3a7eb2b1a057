"""Random spaces whose parameters are there only under conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from asynctune.records import Value
from asynctune.space import Boolean, Case, Cases, Choice, Condition, Domain, Fixed, Float, Int, Parameter, Space
from asynctune.space.conditions import cases_of
from asynctune.space.order import coercions
from tests.space.strategies import domains, exactly, units

__all__ = ["conditional_spaces", "every_set", "small_domains", "small_spaces"]

small_domains: SearchStrategy[Domain] = st.one_of(
    st.integers(1, 3).map(lambda size: Int(1, size)),
    st.sampled_from((Float(0, 1, step=0.5), Choice(["a", 1, True]), Choice(["x", None]), Choice([1, 2, 4]), Fixed("only"))),
    st.builds(Boolean, st.booleans()),
)


@st.composite
def _conditional(draw: DrawFn, of: SearchStrategy[Domain], most: int) -> Space:
    names = draw(st.lists(st.sampled_from(("a", "b", "c", "g/a", "g/b", "g/h/c", "d", "e")), max_size=most, unique=True))
    found: dict[str, Parameter] = {}
    for name in names:
        conditions = draw(st.lists(_condition(found), max_size=2)) if found else []
        if not conditions:
            found[name] = draw(of)
            continue
        cases = [Case(tuple(dict.fromkeys(conditions)), draw(of))]
        first = conditions[0]
        # A value can be another one in another case of its parent, where a step is so wide that it is noise.
        taken = _exact(found[first.parent], first.values)
        others = [value for value in draw(_values(found[first.parent])) if not _exact(found[first.parent], [value]) & taken]
        again = draw(st.booleans())
        if others and again:  # the same name in another branch
            cases.append(Case((Condition(first.parent, tuple(others)),), draw(of)))
        found[name] = Cases(tuple(cases))
    return Space().grow(found)


def _exact(parameter: Parameter, values: Iterable[Value]) -> set[object]:
    return {exactly(exact) for value in values for exact in coercions(parameter, value)}


def _values(parameter: Parameter) -> SearchStrategy[list[Value]]:
    one: SearchStrategy[Value] = st.sampled_from(cases_of(parameter)).flatmap(lambda case: units.map(case.domain.from_unit))
    return st.lists(one, min_size=1, max_size=3, unique_by=exactly)


@st.composite
def _condition(draw: DrawFn, known: dict[str, Parameter]) -> Condition:
    parent = draw(st.sampled_from(sorted(known)))
    return Condition(parent, tuple(draw(_values(known[parent]))))


conditional_spaces: SearchStrategy[Space] = _conditional(domains, 6)
small_spaces: SearchStrategy[Space] = _conditional(small_domains, 6)


def every_set(space: Space) -> list[dict[str, Value]]:
    """Every set of values of a small space, found in the plainest way."""
    sets: list[dict[str, Value]] = [{}]
    for name in space:
        sets = [further for values in sets for further in _further(space, name, values)]
    return sets


def _further(space: Space, name: str, values: dict[str, Value]) -> Iterator[dict[str, Value]]:
    domain = space.domain(name, values)
    if domain is None:
        yield values
    else:
        yield from ({**values, name: value} for value in domain.grid())
