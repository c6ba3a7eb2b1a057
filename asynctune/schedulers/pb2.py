"""PB2: population based training whose new values come from a model of what has paid off so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from attrs import define, field, frozen

from asynctune.errors import ConfigurationError
from asynctune.records import Exploit, Report, TrialId, TrialView, Value, Values, Verdicts
from asynctune.schedulers.mutation import closest, multiplied
from asynctune.schedulers.population import Member, Population
from asynctune.seeds import unit
from asynctune.space import Domain, Float, Int, Normal

__all__ = ["PB2"]

_MOST: Final = 200  # observations that the model is given, the newest
_FACTORS: Final = (0.8, 1.2)  # as long as there is no model
_Numbers = Int | Float | Normal


@frozen
class _Gain:
    """What an interval with some values has brought: (loss before - loss after) / steps."""

    step: int
    before: float
    values: Values
    gain: float


@frozen
class _Start:
    """Where a trial stood when its interval began: its loss; and that of the trial as which it was to go on, if it has."""

    loss: float
    origins: int
    theirs: float | None = None


@define(kw_only=True, eq=False, slots=False)
class PB2(Population):
    """Population Based Bandits of Parker-Holder, Nguyen and Roberts, "Provably Efficient Online Hyperparameter Optimization
    with Population-Based Bandits" (NeurIPS 2020). It compares trials as `PopulationBasedTraining` does; but the values with
    which a trial goes on as another one are those from which a model expects most.

    The model is a Gaussian process over the values, the score that an interval began with, and time: what was seen long ago
    counts less. It learns how much the score has improved per step in each interval of each trial, and proposes where the upper
    confidence bound of that is highest. What the others try now, and what was chosen for them at the same moment, is taken
    into account, so that not all try the same. Until two intervals are known, numbers are multiplied with 0.8 or 1.2.

    It is for small populations, of 4 trials on, and for numbers; everything else is as the other trial has it. The newest 200
    intervals are used. Needs SciPy, `pip install "asynctune[bayesian]"`, which is imported when it is first needed.

    Args:
        perturbation_interval: the steps after which a trial is compared.
        hyperparam_mutations: the numbers that may be changed: a list of names, or a dict from names to domains
            (`Float(1e-4, 1e-1, sampling="log")`) or ranges (`(0.1, 0.9)`); None there is the domain of the space. By default,
            all numbers that the space has.
        burn_in_period: the step before which no trial is compared; by default 0.
        quantile_fraction: the share of the best, and of the worst; above 0 and at most 0.5; by default 0.25.
        synchronous: whether all are compared at the same step; by default not.
        population: how many trials there are at a time; by default as many as there are slots.

    Raises:
        ConfigurationError: as `PopulationBasedTraining`; for what is not of numbers; or if SciPy is not installed.
    """

    _gains: list[_Gain] = field(init=False, factory=list, repr=False)
    _starts: dict[TrialId, _Start] = field(init=False, factory=dict, repr=False)
    # With which values each live trial was seen last.
    _tried: dict[TrialId, Values] = field(init=False, factory=dict, repr=False)
    # What was chosen at this very moment, for those that go on together, by name and in [0, 1]. It is forgotten when the next
    # thing happens: a search that is opened again begins there, too, so that nothing misses what `explore` has left here.
    _moment: dict[TrialId, Mapping[str, float]] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        for name, domain in (self._mutations or {}).items():
            if domain is not None and not isinstance(domain, _Numbers):
                wanted = "Int, Float, Normal or a range, for its model is of numbers"
                raise ConfigurationError(f"PB2(hyperparam_mutations=...), {name!r} takes {wanted}, not {domain!r}")
        if find_spec("scipy") is None:
            raise ConfigurationError('PB2() needs the package scipy: pip install "asynctune[bayesian]"')

    # ----------------------------------------------------------------------------------------------------------- learning

    def _measured(self, trial: TrialView, member: Member, loss: float) -> None:
        start = self._starts.get(trial.id)
        before = math.inf if start is None else start.loss
        if start is not None and start.theirs is not None and member.origins > start.origins:
            before = start.theirs
        if math.isfinite(before) and math.isfinite(loss) and member.step > member.since:
            gain = before / (member.step - member.since) - loss / (member.step - member.since)
            if math.isfinite(gain):
                self._gains.append(_Gain(member.step, before, trial.values, gain))
                del self._gains[:-_MOST]
        self._starts[trial.id] = _Start(loss, member.origins)
        self._tried[trial.id] = trial.values

    def _exploit(self, trial: TrialId, best: Sequence[TrialId]) -> Exploit | None:
        loss, exploit = self._members[trial].loss, super()._exploit(trial, best)
        if exploit is not None:
            theirs = self._members[exploit.source].loss
            self._starts[trial] = _Start(math.inf if loss is None else loss, self._members[trial].origins, theirs)
            self._tried.pop(trial, None)
        return exploit

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Compare the trial with the others, if its interval is over."""
        self._moment = {}
        return super().on_trial_result(trial, report)

    def on_trial_complete(self, trial: TrialView) -> Verdicts:
        """The others wait for it no more. What it has shown stays known."""
        self._moment = {}
        self._starts.pop(trial.id, None)
        self._tried.pop(trial.id, None)
        return super().on_trial_complete(trial)

    # ---------------------------------------------------------------------------------------------------------- exploring

    def explore(self, trial: TrialView, source: TrialView, seed: int) -> Mapping[str, Any]:
        """The values of the other trial, with those instead from which the model expects most."""
        known = self.changing(source).items()
        domains = {name: domain for name, domain in known if isinstance(domain, _Numbers) and _is_number(source.values[name])}
        gains = [gain for gain in self._gains if _has(domains, gain.values)]
        if len(gains) < 2 or not domains:
            found: Mapping[str, Value] = {name: _shaken(domain, source, name, seed) for name, domain in domains.items()}
        else:
            found = self._expected(trial, source, domains, gains, seed)
        return self.possible({name: self.within_space(name, value, source) for name, value in found.items()}, source)

    def _expected(
        self, trial: TrialView, source: TrialView, domains: Mapping[str, Domain], gains: Sequence[_Gain], seed: int
    ) -> Mapping[str, Value]:
        theirs = self._loss_of(source.id)
        losses = [gain.before for gain in gains]
        low, high = min(*losses, theirs), max(*losses, theirs)

        def scaled(loss: float) -> float:
            return (loss / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5

        models: Any = import_module("asynctune.schedulers._time_varying")
        points = [[*_units(domains, gain.values), scaled(gain.before)] for gain in gains]
        times = [gain.step / self.perturbation_interval for gain in gains]
        model = models.model_of(points, times, [gain.gain for gain in gains])
        others = (values for other, values in self._tried.items() if other != trial.id and _has(domains, values))
        pending = [_units(domains, values) for values in others]
        chosen = (units for other, units in self._moment.items() if other != trial.id and units.keys() == domains.keys())
        pending += [[units[name] for name in domains] for units in chosen]
        now = self._members[trial.id].step if trial.id in self._members else trial.step
        units = models.best(
            model, [scaled(theirs)], now / self.perturbation_interval, pending=pending, width=len(domains), luck=seed
        )
        self._moment[trial.id] = dict(zip(domains, units, strict=True))
        return {name: domain.from_unit(unit) for (name, domain), unit in zip(domains.items(), units, strict=True)}

    def _loss_of(self, trial: TrialId) -> float:
        member = self._members.get(trial)
        loss = None if member is None else member.loss
        return loss if loss is not None and math.isfinite(loss) else min(gain.before for gain in self._gains)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _has(domains: Mapping[str, Domain], values: Values) -> bool:
    return all(_is_number(values.get(name)) for name in domains)


def _units(domains: Mapping[str, Any], values: Mapping[str, Any]) -> list[float]:
    return [domain.to_unit(closest(domain, values[name])) for name, domain in domains.items()]


def _shaken(domain: Any, source: TrialView, name: str, seed: int) -> Value:
    value: Any = source.values[name]
    return multiplied(domain, closest(domain, value), _FACTORS[unit(seed, "how", name) >= 0.5])
