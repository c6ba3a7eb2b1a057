"""Trainables that ask for parameters by condition, in loops, and late; and everything that there is to find in them."""

from __future__ import annotations

from collections.abc import Callable

from asynctune.records import Value, Values
from asynctune.space import HyperParameters, Space

__all__ = ["SEARCHES", "effective", "same"]


def flat(hp: HyperParameters) -> float:
    return float(hp.Int("a", 1, 3) * hp.Choice("b", [10, 20]))


def by_condition(hp: HyperParameters) -> float:
    if hp.Choice("a", [1, 2, 3]) == 2:
        return float(hp.Int("b", 1, 4))
    return 0.0


def both_ways(hp: HyperParameters) -> float:
    if hp.Boolean("deep"):
        return float(hp.Int("layers", 1, 3) + hp.Choice("kind", [5, 6]))
    return float(hp.Choice("kind", [5, 6]))


def loop(hp: HyperParameters) -> float:
    return float(sum(hp.Int(f"units_{i}", 1, 3) for i in range(hp.Int("layers", 0, 2))))


def nested(hp: HyperParameters) -> float:
    for i in range(hp.Int("blocks", 1, 2)):
        with hp.name_scope(f"block_{i}"):
            if hp.Boolean("wide"):
                hp.Choice("width", [64, 128])
    return float(hp.Choice("last", [1, 2]))


def tree(hp: HyperParameters) -> float:
    name = "root"
    for _ in range(3):
        name += str(hp.Choice(name, [0, 1]))
    return 0.0


def nothing(hp: HyperParameters) -> float:
    return 1.0


SEARCHES = (flat, by_condition, both_ways, loop, nested, tree, nothing)


def same(values: Values) -> str:
    """The values, as something that two dicts share only when they are the same."""
    return repr(sorted(values.items()))


def effective(trainable: Callable[[HyperParameters], float]) -> set[str]:
    """Every set of values that the trainable can come to ask for."""
    found: set[str] = set()
    ahead: list[dict[str, Value]] = [{}]
    while ahead:
        fixed = ahead.pop()
        hp = HyperParameters(values=fixed)
        trainable(hp)
        asked = list(hp.values.items())
        found.add(same(hp.values))
        for place in range(len(fixed), len(asked)):
            name, chosen = asked[place]
            domain = Space(hp.space).domain(name, hp.values)
            assert domain is not None
            others = [value for value in domain.values if value != chosen]
            ahead += [{**dict(asked[:place]), name: other} for other in others]
    return found
