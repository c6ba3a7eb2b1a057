"""Population based training: values are changed at random, around those that have proved good."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import Attribute, define, field

from asynctune.errors import ConfigurationError
from asynctune.records import TrialView, Value
from asynctune.schedulers.mutation import multiplied, neighbour
from asynctune.schedulers.population import Population
from asynctune.seeds import unit
from asynctune.space import Domain, Float, Int, Normal, draw
from asynctune.validators import number

__all__ = ["PopulationBasedTraining"]


def _factors(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    fine = isinstance(value, tuple) and value
    if not fine or not all(isinstance(each, int | float) and each > 0 and math.isfinite(each) for each in value):
        wanted = "numbers above 0, such as (0.8, 1.2)"
        raise ConfigurationError(f"{type(instance).__name__}({attribute.name}=...) takes {wanted}, not {value!r}")


def _listed(given: Any) -> Any:
    return tuple(given) if isinstance(given, list) else given


@define(kw_only=True, eq=False, slots=False)
class PopulationBasedTraining(Population):
    """Population Based Training of Jaderberg et al., "Population Based Training of Neural Networks" (arXiv:1711.09846, 2017),
    with the defaults of Ray Tune.

    Each `perturbation_interval` steps a trial is compared with the others, each by what it reported at the end of its own last
    interval. If it is in the worst `quantile_fraction`, and one of the best `quantile_fraction` is better, it goes on as that
    one: from its newest checkpoint, with its values, changed a little (exploit and explore). So what is found is a schedule of
    values, and no single set: `trial.lineage` has it, and `PopulationBasedTrainingReplay` repeats it.

    Of each value, with `resample_probability`, another is drawn from its domain. Otherwise numbers are multiplied with one of
    the `perturbation_factors`, and kept within the domain, on its steps; an integer moves by one at least. Categories, and
    numbers in a `Choice`, are never multiplied: theirs is the value listed before or behind. What is not changed is as the
    other one has it; what cannot be so any more, because a value has changed on which it depends, is drawn.

    - In the asynchronous form, nobody waits for anybody.
    - With `synchronous=True`, all trials that have begun are brought to the same step, and are then compared at once. Whoever
      is there first is set aside meanwhile.
    - With a `population` larger than the slots, trials take turns: at the end of an interval a trial is set aside, and the one
      that is furthest behind goes on.

    A metric that is not finite is worse than all others: such a trial is never a source, and always goes on as another one.
    Trials that have ended are no longer part of the population; new ones take their places as long as any come. Sources need
    checkpoints (`checkpoints=`): a trial that has none yet is a source for nobody if another one is.

    A comparison costs O(n log n) for a population of n.

    Args:
        perturbation_interval: the steps after which a trial is compared. Too few, and chance decides.
        hyperparam_mutations: what may be changed: a list of names, or a dict from names to domains (`Float(1e-4, 1e-1)`), lists
            of values, or ranges in a tuple; None there is the domain of the space. By default, everything that the space has.
            Values are kept within the domains of the space, too.
        burn_in_period: the step before which no trial is compared; by default 0.
        quantile_fraction: the share of the best, and of the worst; above 0 and at most 0.5; by default 0.25.
        resample_probability: with which a value is drawn anew; by default 0.25.
        perturbation_factors: by which numbers are multiplied, one of them at random; by default 0.8 and 1.2.
        synchronous: whether all are compared at the same step; by default not.
        population: how many trials there are at a time; by default as many as there are slots.

    Raises:
        ConfigurationError: for an interval below 1, a quantile of 0 or above 0.5, mutations that name nothing or a parameter
            that the declared space does not have, or another argument of the wrong type or size.
    """

    resample_probability: float = field(default=0.25, validator=number(0, most=1))
    perturbation_factors: Sequence[float] = field(default=(0.8, 1.2), converter=_listed, validator=_factors)

    def explore(self, trial: TrialView, source: TrialView, seed: int) -> Mapping[str, Any]:
        """The values of the other trial, each changed a little."""
        changed = {}
        for name, domain in self.changing(source).items():
            value = source.values[name]
            if unit(seed, "whether", name) < self.resample_probability:
                found = draw(domain, seed, "drawn", name)
            else:
                found = self._perturbed(domain, value, unit(seed, "how", name))
            changed[name] = self.within_space(name, found, source)
        return self.possible(changed, source)

    def _perturbed(self, domain: Domain, value: Value, luck: float) -> Value:
        if not isinstance(domain, Int | Float | Normal):
            return neighbour(domain, value, luck)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        factors = self.perturbation_factors
        return multiplied(domain, value, factors[min(int(luck * len(factors)), len(factors) - 1)])

    def settings(self) -> Mapping[str, Any]:
        """What makes it judge as it does."""
        luck = {"resample_probability": self.resample_probability, "perturbation_factors": list(self.perturbation_factors)}
        return {**super().settings(), **luck}
