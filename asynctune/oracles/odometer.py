"""The walk over the combinations of a space, to the next one that is worth a trial."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Final, Protocol

from attrs import define, field

from asynctune.errors import SpaceError
from asynctune.oracles.tried import Tried
from asynctune.records import Value
from asynctune.seeds import derive
from asynctune.space import Cases, Domain, Normal, Space, draw
from asynctune.space.conditions import cases_of

__all__ = ["Odometer", "Wheel", "left"]

_LISTED: Final = 100_000  # values, at most, that a parameter can have for each of them to be looked at
_LIKELY: Final = 1_000  # draws, after which most of what a rounded Normal ever gives has been seen
_DRAWN: Final = 1_000  # combinations that are drawn first, where a predicate can refuse them
_DRAWN_OF_MANY: Final = 50_000  # the same, where not all can be looked at
_REFUSED: Final = 200_000  # combinations, at most, that are refused by rules one after the other


class Wheel(Protocol):
    """The values of a parameter, in the order in which they are to be taken; at least one."""

    def __len__(self) -> int: ...
    def __getitem__(self, place: int, /) -> Value: ...


@define
class Odometer:
    """Walks the combinations of a space in order, the last parameter turning fastest, over whatever is covered. What is not
    there under a combination's conditions does not turn, and is no part of it.

    A covered combination names the parameters that make it so, and the walk turns the last of those at once: the ones after it
    cannot help. A wheel that has come round is told which earlier ones were to blame, and the walk goes back to the last of
    these, not simply to the one before (conflict-directed backjumping: Prosser, "Hybrid Algorithms for the Constraint
    Satisfaction Problem", 1993). The parents that made it what it was are to blame, too. So parameters that do not matter cost
    nothing, however many values they have.

    Args:
        space: what is walked.
        wheel: the values of a parameter, by its name and its domain, in the order in which they are to be taken; never none.
    """

    space: Space
    wheel: Callable[[str, Domain], Wheel]
    _turned: list[int] = field(init=False)
    # For each parameter: the earlier ones on which it depends that its values up to this one are covered.
    _blamed: list[set[int]] = field(init=False)
    # The wheels that the walk has come by, by parameter and case.
    _wheels: dict[tuple[int, int], Wheel] = field(init=False, factory=dict)
    _done: bool = field(init=False, default=False)
    # How many combinations the rules have refused since one was allowed.
    _refused: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self._turned = [0] * len(self.space)
        self._blamed = [set() for _ in self.space]

    def next(self, tried: Tried) -> dict[str, Value] | None:
        """The first combination from here on that is not covered, and that the space's rules allow, where the walk then stands;
        None when there is none.

        What was covered must stay so, from one call to the next.

        Raises:
            SpaceError: so many combinations that nobody would wait for more were refused by the rules, and none was allowed.
        """
        while not self._done:
            values, cases = self._standing()
            names = tried.covering(values)
            if names is None:
                names = self.space.blamed(values)
                if names is None:
                    self._refused = 0
                    return values
                self._refused += 1
                if self._refused > _REFUSED:
                    raise _too_rare(self.space)
            self._done = not self._turn(names, cases)
        return None

    def _standing(self) -> tuple[dict[str, Value], dict[str, int]]:
        """The combination at which the walk stands, and the case of each parameter that is there."""
        values: dict[str, Value] = {}
        cases: dict[str, int] = {}
        for place, (name, parameter) in enumerate(self.space.items()):
            case = 0
            if isinstance(parameter, Cases):
                met = (number for number, each in enumerate(parameter.cases) if each.is_met(values))
                case = next(met, -1)
            if case >= 0:
                cases[name] = case
                values[name] = self._wheel(place, name, case)[self._turned[place]]
        return values, cases

    def _wheel(self, place: int, name: str, case: int) -> Wheel:
        if (place, case) not in self._wheels:
            parameter = self.space[name]
            domain = parameter.cases[case].domain if isinstance(parameter, Cases) else parameter
            self._wheels[place, case] = self.wheel(name, domain)
        return self._wheels[place, case]

    def _turn(self, names: Collection[str], cases: Mapping[str, int]) -> bool:
        """Go on to the next combination that these names do not cover; False if there is none."""
        order = list(self.space)
        places = {name: place for place, name in enumerate(order)}
        blamed = {places[name] for name in names}
        while blamed:
            place = max(blamed)
            name = order[place]
            self._blamed[place] |= blamed - {place}
            self._turned[place] += 1
            for later in range(place + 1, len(order)):
                self._turned[later] = 0
                self._blamed[later] = set()
            if self._turned[place] < len(self._wheel(place, name, cases[name])):
                return True
            parameter = self.space[name]
            parents = parameter.cases[cases[name]].conditions if isinstance(parameter, Cases) else ()
            blamed = self._blamed[place] | {places[condition.parent] for condition in parents}
        return False


def left(tried: Tried, space: Space, seed: int) -> dict[str, Value] | None:
    """Some combination of `space` that has not been tried; None when there is none. Drawn by hash(`seed`, name): each
    parameter's values are looked at from a place of its own on, so that what comes first is no corner of the space.

    Raises:
        SpaceError: the rules of the space allow next to nothing, and what they do allow was not found.
    """
    endless = any(_is_endless(case.domain) for parameter in space.values() for case in cases_of(parameter))
    if space.rules.feasible:
        for again in range(_DRAWN_OF_MANY if endless else _DRAWN):
            values = space.sample(derive(seed, again))
            if tried.covering(values) is None and space.is_allowed(values):
                return values
        if endless:  # nobody can say that nothing is left, and none of the numbers stands for the others
            raise _too_rare(space)
    return Odometer(space, lambda name, domain: _from_somewhere(tried, space, name, domain, derive(seed, name))).next(tried)


def _from_somewhere(tried: Tried, space: Space, name: str, domain: Domain, luck: int) -> Sequence[Value]:
    if not _is_endless(domain):
        values = _listed(domain)
        start = luck % len(values)
        return values[start:] + values[:start]
    # Among so many there are values that no trial has had and no clause speaks of. One of them stands for all: nothing tells
    # them apart.
    most = 1 + sum(len(clause.get(name, ())) for clause in space.rules.forbidden)
    if isinstance(domain, Normal) and domain.step is not None:
        # Few are ever drawn. Beside other values they may still be new; if not, there is always one farther out.
        likely = dict.fromkeys(draw(domain, luck, again) for again in range(_LIKELY))
        return [*likely, *tried.fresh(name, _outwards(domain, domain.step), most)]
    return tried.fresh(name, (draw(domain, luck, again) for again in range(_LISTED)), most)


@lru_cache(maxsize=64)
def _listed(domain: Domain) -> tuple[Value, ...]:
    return domain.values  # which are worked out anew each time


def _outwards(domain: Normal, step: float) -> Iterator[float]:
    """The multiples of its step, from the mean outwards."""
    middle = domain.from_unit(0.5)
    for place in count(1):
        yield domain.coerce(middle + place * step)
        yield domain.coerce(middle - place * step)


def _is_endless(domain: Domain) -> bool:
    return domain.size is None or domain.size > _LISTED


def _too_rare(space: Space) -> SpaceError:
    rules = "; ".join(space.rules.describe())
    message = f"hardly any combination is allowed by the rules of the space ({rules}): none was, of those that were looked at"
    return SpaceError(f"{message}. Declare narrower ranges, or conditions, so that most of what is drawn is allowed")
