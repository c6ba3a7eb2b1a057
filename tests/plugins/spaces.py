"""Spaces with conditions, and everything that there is in them, counted without the package's own walk."""

from __future__ import annotations

from hypothesis import strategies as st

from asynctune.records import Value
from asynctune.space import Boolean, Case, Cases, Choice, Condition, Domain, Fixed, Float, Int, Space

__all__ = ["BRANCHES", "TWINS", "conditional_spaces", "everything"]


def when(parent: str, *values: Value) -> Condition:
    return Condition(parent, values)


# A model of two kinds, with layers that are there as far as their number goes.
BRANCHES = Space(
    {
        "kind": Choice(["dense", "conv", "none"]),
        "layers": Cases((Case((when("kind", "dense"),), Int(1, 2)),)),
        "units_0": Cases((Case((when("layers", 1, 2),), Int(8, 24, step=8)),)),
        "units_1": Cases((Case((when("layers", 2),), Int(8, 24, step=8, default=16)),)),
        "kernel": Cases((Case((when("kind", "conv"),), Choice([3, 5])),)),
        "bias": Boolean(),
    }
)
# One name in two branches, with values of its own in each.
TWINS = Space(
    {
        "optimizer": Choice(["sgd", "adam", "none"]),
        "rate": Cases(
            (
                Case((when("optimizer", "sgd"),), Float(0.1, 0.3, step=0.1)),
                Case((when("optimizer", "adam"),), Choice([1, 1.0, True])),
            )
        ),
        "decay": Boolean(),
    }
)


def everything(space: Space) -> list[dict[str, Value]]:
    """Each combination, the last parameter going fastest."""
    found: list[dict[str, Value]] = [{}]
    for name in space:
        longer: list[dict[str, Value]] = []
        for known in found:
            domain = space.active(known).get(name)
            longer += [known] if domain is None else [{**known, name: value} for value in domain.values]
        found = longer
    return found


DOMAINS: st.SearchStrategy[Domain] = st.sampled_from(
    [Boolean(), Choice(["x", "y", "z"]), Int(1, 3, default=2), Fixed(7), Choice([1, 1.0])]
)


@st.composite
def conditional_spaces(draw: st.DrawFn) -> Space:
    """Of up to six parameters; each of the later ones may hang on one or two of those before it, in up to two branches."""
    parameters: dict[str, Domain | Cases] = {}
    domains: dict[str, list[Domain]] = {}
    for place in range(draw(st.integers(1, 6))):
        name = f"p{place}"
        parents = draw(st.lists(st.sampled_from(sorted(parameters)), max_size=2, unique=True)) if parameters else []
        if not parents:
            domain = draw(DOMAINS)
            parameters[name], domains[name] = domain, [domain]
            continue
        first, *others = parents
        options = list({(type(value), value): value for domain in domains[first] for value in domain.values}.values())
        cut = draw(st.integers(1, len(options)))
        more = [when(other, *draw(st.sampled_from(domains[other])).values[:2]) for other in others]
        parts = [options[:cut], options[cut:]] if draw(st.booleans()) else [options[:cut]]
        cases = [Case((when(first, *part), *more), draw(DOMAINS)) for part in parts if part]
        parameters[name], domains[name] = Cases(tuple(cases)), [case.domain for case in cases]
    return Space().grow(parameters)  # as trials may find it: what can never be there is no error then
