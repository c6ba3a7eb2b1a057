"""Random search: every proposal is drawn by itself, and none is made twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, TypeAlias

from attrs import define, field

from asynctune.oracles.base import Oracle
from asynctune.records import Suggestion, TrialId, Value
from asynctune.space import Choice, Domain, Space, draw
from asynctune.space.conditions import cases_of

__all__ = ["RandomSearch"]

_Crossed: TypeAlias = dict[tuple[str, Choice], Value]


@define(kw_only=True, eq=False, slots=False)
class RandomSearch(Oracle):
    """Values drawn at random (Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 2012), each parameter
    by its own distribution.

    No combination is proposed twice, whether its trial waits, runs or has ended. Where draws keep hitting what was tried, what
    is left is looked for, so that a small space is tried to the last combination; then the search is exhausted. A space with a
    parameter that takes any number never is.

    A `Choice(grid=True)` (Ray Tune's `grid_search`) is not drawn: trial n has the n-th combination of all such choices, the
    last one changing fastest; when they are through, it begins anew. So a number of trials that is a multiple of theirs has
    each of them as often as every other, with its own draws of the rest.

    The proposal for trial n depends on the search's seed, on n, and on what has been tried, and on nothing else.

    While no parameter is known, trials are proposed without values, and draw what they ask for themselves: what they would have
    been given. Only then, in a very small space, two may coincide.
    """

    # It learns nothing from waiting.
    ahead: ClassVar[int] = 64
    learns: ClassVar[bool] = False
    several: ClassVar[bool] = True

    # The space as it was last seen, and the choices in it whose values are taken in turn.
    _space: Space = field(init=False, repr=False, factory=Space)
    _axes: tuple[tuple[str, Choice], ...] = field(init=False, repr=False, default=())

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        """Draw until something is new, or take what is left."""
        if space is not self._space:
            self._space, self._axes = space, tuple(_axes(space))
        crossed = self._crossed(trial_id)
        values = self.known.drawn(trial_id, lambda luck: _drawn(space, luck, crossed))
        return Suggestion.exhausted() if values is None else Suggestion.run(values)

    def _crossed(self, trial_id: TrialId) -> _Crossed:
        """The values that the axes have in this trial."""
        crossed: _Crossed = {}
        turn = trial_id
        for name, axis in reversed(self._axes):
            turn, place = divmod(turn, len(axis.values))
            crossed[name, axis] = axis.values[place]
        return crossed


def _axes(space: Space) -> Iterator[tuple[str, Choice]]:
    for name, parameter in space.items():
        for domain in dict.fromkeys(case.domain for case in cases_of(parameter)):
            if isinstance(domain, Choice) and domain.is_grid:
                yield name, domain


def _drawn(space: Space, luck: int, crossed: _Crossed) -> dict[str, Value]:
    if not crossed:
        return space.sample(luck)

    def fill(name: str, domain: Domain) -> Value:
        if isinstance(domain, Choice) and (name, domain) in crossed:
            return crossed[name, domain]
        return draw(domain, luck, name)

    return space.complete({}, fill)
