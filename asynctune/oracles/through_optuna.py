"""Optuna's samplers as oracles, by ask and tell on a study in memory that lasts as long as the search does."""

from __future__ import annotations

import importlib
import logging
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from typing import Any, ClassVar, Final

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.objective import Goal
from asynctune.oracles.base import Oracle
from asynctune.oracles.optuna_axes import Axis, axis
from asynctune.records import State, Suggestion, TrialId, TrialView, Value, Values
from asynctune.seeds import derive
from asynctune.space import Cases, Domain, Space

__all__ = ["GP", "NSGAII", "TPE", "OptunaOracle"]

_SAMPLES: Final = ("infer_relative_search_space", "sample_relative", "sample_independent")
_ASKS: Final = 4  # of the sampler for one trial, until it proposes what has not been tried; then the proposer finds something
_END_STUDIES: Final = ("GridSampler", "BruteForceSampler")


class _ThroughOptuna(Oracle):
    """What all of them share."""

    # Optuna's study, NumPy, for some samplers SciPy and PyTorch: none of that in the process of a service.
    apart: ClassVar[bool] = True
    several: ClassVar[bool] = True

    _study: Any
    _open: dict[TrialId, tuple[Any, dict[str, Value]]]
    _told: int
    _ended: dict[tuple[tuple[str, Value], ...], TrialView]
    _axes: dict[str, Axis]
    _first: dict[str, Domain]

    @abstractmethod
    def _sampler(self) -> Any:
        """A sampler of this search's own."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_axes": {}}  # they are made of functions, and made again where they are missing

    def set_search(self, *, objective: Goal, seed: int) -> None:
        """Called once, before everything else."""
        super().set_search(objective=objective, seed=seed)
        self._study = _new_study(self._sampler(), [objective] if objective.has_score else objective.each)
        self._open, self._told, self._ended, self._axes, self._first = {}, 0, {}, {}, {}

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        """Tell the study what has become of trials, and have it ask its sampler, until it asks for something new."""
        self._tell(space)
        trial, values = self._asked(space, derive(self.seed, "optuna", trial_id))
        for again in range(1, _ASKS):
            if self.known.is_new(values):
                break
            self._tell_again(trial, values)
            trial, values = self._asked(space, derive(self.seed, "optuna", trial_id, again))
        self._open[trial_id] = trial, values
        return Suggestion.run(values)

    def _asked(self, space: Space, luck: int) -> tuple[Any, dict[str, Value]]:
        """One of the study's trials, and the values that its sampler has for it."""
        _reseed(self._study.sampler, luck)
        if any(isinstance(parameter, Cases) for parameter in space.values()):
            trial = self._study.ask()
            return trial, space.complete({}, lambda name, domain: self._suggested(trial, space, name, domain))
        axes = {name: self._axis(name, domain) for name, domain in space.active({}).items() if domain.size != 1}
        trial = self._study.ask({name: each.distribution for name, each in axes.items()})
        values = {name: axes[name].back(trial.params[name]) if name in axes else _only(space[name]) for name in space}
        return trial, values

    def _suggested(self, trial: Any, space: Space, name: str, domain: Domain) -> Value:
        """The value of a parameter that is there under the values before it, which the trial has by now."""
        if domain.size == 1:
            return domain.default
        named, along = self._name(name, domain), self._axis(name, domain)
        as_told, kind = along.distribution, type(along.distribution).__name__
        if kind == "CategoricalDistribution":
            return along.back(trial.suggest_categorical(named, as_told.choices))
        suggest = trial.suggest_int if kind == "IntDistribution" else trial.suggest_float
        return along.back(suggest(named, as_told.low, as_told.high, step=as_told.step, log=as_told.log))

    def _axis(self, name: str, domain: Domain) -> Axis:
        named = self._name(name, domain)
        known = self._axes.get(named)
        if known is None:
            known = self._axes[named] = axis(domain, importlib.import_module("optuna.distributions"))
        return known

    def _name(self, name: str, domain: Domain) -> str:
        """What Optuna calls it. To Optuna, a parameter of two kinds in two branches is two parameters; the kind that was seen
        first has the plain name, and keeps it."""
        return name if domain == self._first.setdefault(name, domain) else f"{name}: {domain.describe()}"

    # ------------------------------------------------------------------------------------------ what has become of trials

    def _tell(self, space: Space) -> None:
        """Tell the study of the trials that have ended since: those that it was asked for, and those that it was not."""
        optuna = importlib.import_module("optuna")
        ended = list(islice(self.known.trials.values(), self._told, None))
        self._told += len(ended)
        for view in ended:
            self._ended[tuple(view.values.items())] = view
            trial, proposed = self._open.pop(view.id, (None, {}))
            state, scores = self._outcome(optuna.trial.TrialState, view)
            reports = dict(_intermediate(self.objective, view)) if self.objective.has_score else {}
            used = {name: domain for name, domain in space.active(view.values).items() if name in view.values}
            if trial is not None and proposed == {name: view.values[name] for name in used}:
                for step, value in reports.items():
                    trial.report(value, step)
                self._study.tell(trial, scores, state)
                continue
            # What was run is something else: another proposal took its place, or the trial has found more parameters.
            attributes = {}
            if trial is not None:
                attributes = dict(self._study.trials[trial.number].system_attrs)
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            params, distributions = {}, {}
            for name, domain in used.items():
                if domain.size != 1 and domain.contains(view.values[name]):
                    named, along = self._name(name, domain), self._axis(name, domain)
                    params[named], distributions[named] = along.there(view.values[name]), along.distribution
            self._study.add_trial(
                optuna.trial.create_trial(
                    state=state,
                    values=scores,
                    params=params,
                    distributions=distributions,
                    intermediate_values=reports,
                    system_attrs=attributes,
                )
            )

    def _tell_again(self, trial: Any, values: Values) -> None:
        """Tell the study what is known of values that it asks for once more: to its model they count twice, as if they had been
        run twice."""
        states = importlib.import_module("optuna").trial.TrialState
        known = self._ended.get(tuple(values.items()))
        state, scores = (states.FAIL, None) if known is None else self._outcome(states, known)
        self._study.tell(trial, scores, states.FAIL if scores is None else state)

    def _outcome(self, states: Any, view: TrialView) -> tuple[Any, list[float] | None]:
        """Optuna's words for how a trial ended. Pruned is one that was stopped early, and has no score that counts; of several
        objectives, one that breaks a constraint has none either."""
        if view.state is State.COMPLETED and view.score is not None:
            loss = self.known.loss(view)
            return states.COMPLETE, [loss if self.objective.direction == "min" else -loss]
        if view.state is State.COMPLETED and not self.objective.has_score and view.scores and not view.violates:
            finite = all(map(math.isfinite, view.scores))
            return (states.COMPLETE, list(view.scores)) if finite else (states.FAIL, None)
        if view.state is State.COMPLETED and view.stop_reason is not None and view.launches > 0:
            return states.PRUNED, None
        return states.FAIL, None


@define(eq=False, slots=False)
class OptunaOracle(_ThroughOptuna):
    """Any of Optuna's samplers (Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019).

    It is asked and told as Optuna's own `study.ask` and `study.tell` do it. Conditional spaces are asked for parameter by
    parameter, in order, so that it never hears of inactive ones. A failed trial is FAIL to it; one that was stopped early
    without a score is PRUNED, with what it has reported; what was tried without it (`try_first=`, `warm_start=`, a proposal
    that had to be replaced) is added to its study.

    Its generators are seeded before each proposal from the search's seed and the trial's number: a seed that was given to the
    sampler counts for nothing. Runs in a process of its own. Needs `pip install "asynctune[optuna]"`.

    Args:
        sampler: one of `optuna.samplers`, or of your own. It is copied.

    Raises:
        ConfigurationError: for what is no sampler, and for one that ends the study itself (`GridSampler`, `BruteForceSampler`:
            `GridSearch` is what you want).
    """

    sampler: Any = field()

    @sampler.validator
    def _sound(self, _: Any, sampler: Any) -> None:
        if isinstance(sampler, type):
            raise ConfigurationError(f"OptunaOracle(...) takes a sampler, not its class: write {sampler.__name__}()")
        if not all(callable(getattr(sampler, name, None)) for name in _SAMPLES):
            raise ConfigurationError(f"OptunaOracle(...) takes one of Optuna's samplers, such as TPESampler(), not {sampler!r}")
        name = type(sampler).__name__
        if name in _END_STUDIES:
            raise ConfigurationError(
                f"{name} lists a space, and then ends its study, which is not to be ended: use GridSearch()"
            )

    def _sampler(self) -> Any:
        return self.sampler

    def settings(self) -> Mapping[str, Any]:
        """The sampler's class, and what it holds of plain values."""
        kept = {
            name: value for name, value in sorted(vars(self.sampler).items()) if isinstance(value, bool | int | float | str)
        }
        return {"sampler": type(self.sampler).__qualname__, **kept}


class _Named(_ThroughOptuna):
    """One of Optuna's samplers by a short name; what is None is left to Optuna."""

    _class: ClassVar[str]
    _needs: ClassVar[Mapping[str, str]] = {"optuna": "asynctune[optuna]"}
    _always: ClassVar[Mapping[str, Any]] = {}

    def __attrs_post_init__(self) -> None:
        name = type(self).__name__
        for library, requirement in self._needs.items():
            if find_spec(library) is None:
                raise ConfigurationError(f'{name} needs {library}, which is not installed: pip install "{requirement}"')

    def _sampler(self) -> Any:
        return getattr(importlib.import_module("optuna.samplers"), self._class)(**self._always, **self.settings())

    def settings(self) -> Mapping[str, Any]:
        """What was given."""
        given = {each.name: getattr(self, each.name) for each in self.__attrs_attrs__ if each.init}  # type: ignore[attr-defined]
        return {name: value for name, value in given.items() if value is not None}


def _count(least: int) -> Any:
    def check(oracle: Any, attribute: Any, value: Any) -> None:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            what = f"{type(oracle).__name__}({attribute.name}=...)"
            raise ConfigurationError(f"{what} takes an integer of at least {least}, or None for Optuna's own, not {value!r}")

    return field(default=None, validator=check)


def _share() -> Any:
    def check(oracle: Any, attribute: Any, value: Any) -> None:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1):
            what = f"{type(oracle).__name__}({attribute.name}=...)"
            raise ConfigurationError(f"{what} takes a number from 0 to 1, or None for Optuna's own, not {value!r}")

    return field(default=None, validator=check)


def _switch() -> Any:
    def check(oracle: Any, attribute: Any, value: Any) -> None:
        if value is not None and not isinstance(value, bool):
            what = f"{type(oracle).__name__}({attribute.name}=...)"
            raise ConfigurationError(f"{what} takes True or False, or None for Optuna's own, not {value!r}")

    return field(default=None, validator=check)


@define(kw_only=True, eq=False, slots=False)
class TPE(_Named):
    """Optuna's `TPESampler`: the tree-structured Parzen estimator (Bergstra et al., "Algorithms for Hyper-Parameter
    Optimization", NIPS 2011). Fast, at home in conditional spaces and among categories. See `OptunaOracle`.

    Args:
        n_startup_trials: how many trials with a score are drawn at random before it begins to learn.
        n_ei_candidates: how many candidates the best is chosen from.
        multivariate: whether parameters are drawn together, and not each by itself.
        group: with `multivariate`, whether the parameters of each branch of a conditional space are.
        constant_liar: whether what still runs counts as bad, so that workers do not try the same region at once.

    What is None is as the installed Optuna has it.

    Raises:
        ConfigurationError: for what is none of these; or Optuna is not installed.
    """

    _class = "TPESampler"

    n_startup_trials: int | None = _count(0)
    n_ei_candidates: int | None = _count(1)
    multivariate: bool | None = _switch()
    group: bool | None = _switch()
    constant_liar: bool | None = _switch()


@define(kw_only=True, eq=False, slots=False)
class NSGAII(_Named):
    """Optuna's `NSGAIISampler`: a genetic algorithm (Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm:
    NSGA-II", IEEE Transactions on Evolutionary Computation 2002). For many cheap trials. See `OptunaOracle`.

    Args:
        population_size: trials of a generation.
        mutation_prob, crossover_prob, swapping_prob: from 0 to 1.

    What is None is as the installed Optuna has it.

    Raises:
        ConfigurationError: for what is none of these; or Optuna is not installed.
    """

    _class = "NSGAIISampler"

    population_size: int | None = _count(2)
    mutation_prob: float | None = _share()
    crossover_prob: float | None = _share()
    swapping_prob: float | None = _share()


@define(kw_only=True, eq=False, slots=False)
class GP(_Named):
    """Optuna's `GPSampler`: a Gaussian process, by PyTorch. For some hundred expensive trials. See `OptunaOracle`.

    Args:
        n_startup_trials: how many trials with a score are drawn at random before it begins to learn.
        deterministic_objective: whether the same values always give the same score.

    What is None is as the installed Optuna has it.

    Raises:
        ConfigurationError: for what is none of these; or Optuna, or PyTorch, is not installed.
    """

    _class = "GPSampler"
    _needs: ClassVar[Mapping[str, str]] = {"optuna": "asynctune[optuna]", "scipy": "scipy", "torch": "torch"}
    _always: ClassVar[Mapping[str, Any]] = {"warn_independent_sampling": False}

    n_startup_trials: int | None = _count(0)
    deterministic_objective: bool | None = _switch()


def _only(parameter: Any) -> Value:
    value: Value = parameter.default
    return value


def _new_study(sampler: Any, objectives: Sequence[Goal]) -> Any:
    """A study in memory. Optuna says that it was made, to a handler that it has installed itself; ours goes without saying."""
    optuna = importlib.import_module("optuna")
    name = f"asynctune-{id(sampler)}"
    logger = logging.getLogger("optuna.storages._in_memory")

    def quiet(record: logging.LogRecord) -> bool:
        return name not in record.getMessage()

    logger.addFilter(quiet)
    try:
        return optuna.create_study(
            storage=optuna.storages.InMemoryStorage(),
            sampler=sampler,
            pruner=optuna.pruners.NopPruner(),
            study_name=name,
            directions=["minimize" if objective.direction == "min" else "maximize" for objective in objectives],
        )
    finally:
        logger.removeFilter(quiet)


def _intermediate(objective: Goal, view: TrialView) -> Iterator[tuple[int, float]]:
    for report in view.reports:
        value = objective.of(report.metrics)
        if value is not None:
            yield report.step, value


def _reseed(sampler: Any, seed: int) -> None:
    """Seed every generator that one of Optuna's samplers holds, so that a proposal does not depend on how many were drawn."""
    kind = importlib.import_module("optuna.samplers._lazy_random_state").LazyRandomState
    for place, generator in enumerate(_generators(sampler, kind, set())):
        generator.rng.seed(derive(seed, place) % 2**32)


def _generators(held: Any, kind: type, seen: set[int]) -> Iterator[Any]:
    if id(held) in seen:
        return
    seen.add(id(held))
    if isinstance(held, kind):
        yield held
    elif type(held).__module__.startswith("optuna.") or hasattr(held, "sample_relative"):
        for _, inner in sorted(getattr(held, "__dict__", {}).items()):
            yield from _generators(inner, kind, seen)
