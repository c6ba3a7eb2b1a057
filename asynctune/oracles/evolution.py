"""Regularized evolution: the best of a few is varied, and the oldest die."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.oracles.base import Oracle
from asynctune.records import Suggestion, TrialId, TrialView, Value, Values
from asynctune.seeds import unit
from asynctune.space import Boolean, Cases, Choice, Domain, Space, draw
from asynctune.space.scales import part
from asynctune.validators import number

__all__ = ["RegularizedEvolution"]

_ANEW: Final = 0.1  # of the mutations of a number draw it anew, so that no part of its range is ever out of reach


@define(kw_only=True, eq=False, slots=False)
class RegularizedEvolution(Oracle):
    """Aging evolution (Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019, algorithm 1).

    The population is what ended last: the newest `population_size` trials with a score, in the order in which they ended. Each
    proposal draws `sample_size` of them, with replacement, and mutates the best of these. So a lucky score dies of age, however
    good it was, and only what does well again and again lives on. Until
    as many trials were begun as the population holds, and `sample_size` of them have scores, proposals are drawn at random.

    A mutation changes one parameter of those that the parent had and that can be something else: a category becomes another
    one; a number, or a `Choice` in order, moves by a normally distributed step of standard deviation `spread` along its scale,
    but at least to the next value there is, or, one time in ten, is drawn anew. Parameters that become active by it are drawn
    at random, and those that are no longer active are dropped. What has been tried, waits or runs is not proposed again.

    It never waits, so any number of workers is kept busy; a proposal knows what has ended by then. Trials that failed, or have
    no finite score, are ignored. What earlier searches have observed (`warm_start=`) belongs to the population, as its oldest
    part. The proposal for trial n depends on the search's seed, on n, and on the trials that have ended, in their order.

    Args:
        population_size: how many trials live at a time; at least 2, by default 20. The paper's 100 of 20,000 trials are for
            searches of many thousand.
        sample_size: how many compete to be the parent; from 1 (no selection at all) to `population_size`, by default half of
            it. More is greedier: the paper takes a quarter, and has time.
        spread: the standard deviation of a number's step, as a part of its scale; above 0 and at most 1, by default 0.1.

    Raises:
        ConfigurationError: for another argument.
    """

    population_size: int = field(default=20, validator=number(2, integer=True, most=1_000_000))
    sample_size: int = field(validator=number(1, integer=True))
    spread: float = field(default=0.1, validator=number(0, above=True, most=1))

    @sample_size.default
    def _half(self) -> int:
        size: Any = self.population_size
        return max(size // 2, 1) if isinstance(size, int) else 1

    def __attrs_post_init__(self) -> None:
        if self.sample_size > self.population_size:
            asked = f"RegularizedEvolution(sample_size={self.sample_size}) is more than"
            raise ConfigurationError(f"{asked} population_size={self.population_size}: the parent is one of the population")

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        """A variation of the best of some, or at first something at random."""
        population = self.known.newest(self.population_size)
        parent = None
        begun = len(population) + len(self.known.pending)
        if len(population) >= self.sample_size and begun >= self.population_size:
            parent = self._parent(trial_id, population)
        draw = space.sample if parent is None else partial(self._mutated, space, parent)
        values = self.known.drawn(trial_id, draw)
        return Suggestion.exhausted() if values is None else Suggestion.run(values)

    def _parent(self, trial_id: TrialId, population: Sequence[TrialView]) -> Values:
        # The best of k places drawn from n, in one draw: the least of k uniform numbers is 1 - (1 - u)^(1/k).
        least = 1 - (1 - unit(self.seed, "sample", trial_id)) ** (1 / self.sample_size)
        return sorted(population, key=self.known.loss)[part(least, len(population))].values

    def _mutated(self, space: Space, parent: Values, luck: int) -> dict[str, Value]:
        # Of a trial that named its parameters itself, what it never asked for is no part of it.
        values = {name: value for name, value in parent.items() if name in space}
        was = space.active(values)
        able = [(name, domain) for name, domain in was.items() if name in values and domain.size != 1]
        if able:
            name, domain = able[int(unit(luck, "which") * len(able))]
            values[name] = self._moved(domain, values[name], luck)
        child: dict[str, Value] = {}
        for name, parameter in space.parameters.items():
            there = parameter.under(child) if isinstance(parameter, Cases) else parameter
            if there is not None:  # and perhaps not as it was
                kept = name in values and (there is was.get(name) or there.contains(values[name]))
                child[name] = values[name] if kept else draw(there, luck, name)
        return child

    def _moved(self, domain: Domain, value: Value, luck: int) -> Value:
        """Another value of the domain."""
        if isinstance(domain, Boolean) or (isinstance(domain, Choice) and not domain.ordered):
            others = [other for other in domain.values if (type(other), other) != (type(value), value)]
            return others[int(unit(luck, "other") * len(others))]
        if unit(luck, "anew") < _ANEW:
            return draw(domain, luck, "anew")
        start, step = domain.to_unit(value), self.spread * _normal(unit(luck, "step"), unit(luck, "turn"))
        moved = domain.from_unit(_reflected(start + step))
        if moved == value and domain.size is not None:
            moved = domain.from_unit(_reflected(start + math.copysign(1 / domain.size, step)))
        return moved

    def settings(self) -> Mapping[str, Any]:
        """What makes it propose as it does."""
        return {"population_size": self.population_size, "sample_size": self.sample_size, "spread": self.spread}


def _normal(one: float, other: float) -> float:
    """A standard normal number from two uniform ones (Box and Muller, 1958)."""
    return math.sqrt(-2 * math.log(1 - one)) * math.cos(2 * math.pi * other)


def _reflected(place: float) -> float:
    """`place`, folded back into [0, 1] at its ends."""
    place = abs(place) % 2
    return 2 - place if place > 1 else place
