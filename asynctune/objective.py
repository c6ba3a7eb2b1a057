"""What is wanted: metrics, which way each is better, and what a trial has to keep to.

`Objective` is one metric; `Objectives` are several. Whoever needs one number takes `score`, whoever takes all of them `scores`;
both have the same members, so most of the code does not care which of the two it has. This room knows metrics, not trials.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

from attrs import evolve, field, frozen

from asynctune.errors import ConfigurationError
from asynctune.policies import CheckpointPolicy
from asynctune.records import SELDOM, Metrics
from asynctune.validators import number, one_of
from asynctune.wire import closed_union

__all__ = ["Constraint", "Goal", "Objective", "Objectives", "as_objective", "directed", "direction_of"]

# Names that Keras itself defines, for its losses and metrics. For any other name the direction has to be said: a guess that is
# wrong (F1, R2, IoU as "min") costs a whole search.
_MIN = frozenset(
    "loss mse mae mape msle mean_squared_error mean_absolute_error mean_absolute_percentage_error "
    "mean_squared_logarithmic_error root_mean_squared_error crossentropy binary_crossentropy categorical_crossentropy "
    "sparse_categorical_crossentropy kl_divergence poisson hinge squared_hinge categorical_hinge log_cosh "
    "false_positives false_negatives".split()
)
_MAX = frozenset(
    "acc accuracy binary_accuracy categorical_accuracy sparse_categorical_accuracy top_k_categorical_accuracy "
    "sparse_top_k_categorical_accuracy auc precision recall true_positives true_negatives precision_at_recall "
    "recall_at_precision sensitivity_at_specificity specificity_at_sensitivity".split()
)


def _named(kind: str, name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"{kind}(name=...) takes the name of a metric, not {name!r}")


def _constraints(given: Any) -> tuple[Constraint, ...]:
    listed = tuple(given) if isinstance(given, list | tuple) else (given,)
    for each in listed:
        if not isinstance(each, Constraint):
            raise ConfigurationError(f'constraints= takes a list of Constraint("name", most=...), not {each!r}')
    return listed


def _several(given: Any) -> tuple[Objective, ...]:
    if not isinstance(given, list | tuple) or len(given) < 2:
        raise ConfigurationError(f"Objectives(...) takes a list of at least two objectives, not {given!r}")
    found = tuple(_one(each) for each in given)
    if len({each.name for each in found}) < len(found):
        raise ConfigurationError(f"Objectives(...) names a metric twice: {', '.join(each.name for each in found)}")
    if any(each.constraints for each in found):
        raise ConfigurationError("constraints are of all objectives together: Objectives([...], constraints=[...])")
    return found


def _weights(given: Any) -> tuple[float, ...]:
    listed = tuple(given) if isinstance(given, list | tuple) else (given,)
    for each in listed:
        if isinstance(each, bool) or not isinstance(each, int | float) or not 0 < each < math.inf:
            raise ConfigurationError(f"Objectives(weights=...) takes a list of numbers above 0, not {given!r}")
    return tuple(map(float, listed))


def _missing(goal: Goal, history: Sequence[Metrics]) -> tuple[str, ...]:
    names = dict.fromkeys([*(each.name for each in goal.each), *(each.name for each in goal.constraints)])
    return tuple(name for name in names if not any(name in metrics for metrics in history))


def _violated(constraints: Sequence[Constraint], history: Sequence[Metrics]) -> tuple[str, ...]:
    if not constraints:
        return ()
    last: dict[str, float] = {}
    for metrics in history:
        last.update(metrics)
    return tuple(each.name for each in constraints if not each.met(last.get(each.name)))


@frozen
class Constraint:
    """What a metric must keep to for a trial to count. A trial that does not is COMPLETED with its score, and never the best.

    Args:
        name: of a metric that the trials report or return; its last value counts.
        most: it may be at most this; None for no such bound.
        least: it must be at least this; None for no such bound.

    Raises:
        ConfigurationError: for an empty name, no bound, bounds that nothing is within, or one that is no finite number.
    """

    name: str = field()
    most: float | None = field(default=None, kw_only=True, validator=number(-math.inf, optional=True, finite=True))
    least: float | None = field(default=None, kw_only=True, validator=number(-math.inf, optional=True, finite=True))

    def __attrs_post_init__(self) -> None:
        _named("Constraint", self.name)
        if self.most is None and self.least is None:
            raise ConfigurationError(f"Constraint({self.name!r}) says nothing: give most=, least=, or both")
        if self.most is not None and self.least is not None and self.most < self.least:
            raise ConfigurationError(f"Constraint({self.name!r}): no number is at least {self.least} and at most {self.most}")

    def met(self, value: float | None) -> bool:
        """Whether `value` keeps to it. What is no finite number does not."""
        if value is None or not math.isfinite(value):
            return False
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    def __str__(self) -> str:
        low = "" if self.least is None else f"{self.least:g} <= "
        return f"{low}{self.name}" + ("" if self.most is None else f" <= {self.most:g}")


@frozen
class Objective:
    """The metric to optimise.

    Args:
        name: of a metric that the trials report or return.
        direction: "min" or "max".
        over: which of a trial's values is its score: its "last" one, or its "best" one. A Keras History that a trial returns
            counts as one value, that of its best epoch, as KerasTuner counts it; so where trials are stopped early, whose score
            is that of their reports, "best" keeps the two comparable.
        constraints: what a trial must keep to, to be the best: a list of `Constraint`.

    Raises:
        ConfigurationError: for an empty name, another direction, or what is no constraint.
    """

    name: str = field()
    direction: Literal["min", "max"] = field(validator=one_of("min", "max"))
    over: Literal["last", "best"] = field(default="last", validator=one_of("last", "best"))
    constraints: tuple[Constraint, ...] = field(default=(), kw_only=True, converter=_constraints, metadata=SELDOM)

    def __attrs_post_init__(self) -> None:
        _named("Objective", self.name)

    @property
    def each(self) -> tuple[Objective, ...]:
        """Itself, alone."""
        return (self,)

    @property
    def has_score(self) -> bool:
        """Whether it comes to one number: yes."""
        return True

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is strictly better. What is not finite is worse than everything that is, and no better than itself."""
        return self.loss(one) < self.loss(other)

    def loss(self, value: float) -> float:
        """`value` turned so that less is better. NaN and the infinities, on whichever side, are the worst there is."""
        if not math.isfinite(value):
            return math.inf
        return value if self.direction == "min" else -value

    def best(self, values: Iterable[float]) -> float | None:
        """The best of the finite values; the first of equals; None if there is none."""
        return min(filter(math.isfinite, values), key=self.loss, default=None)

    def of(self, metrics: Metrics | None) -> float | None:
        """The objective's value in `metrics`, or None."""
        return None if metrics is None else metrics.get(self.name)

    def seen_in(self, metrics: Metrics | None) -> bool:
        """Whether `metrics` carry it."""
        return metrics is not None and self.name in metrics

    def score(self, history: Sequence[Metrics]) -> float | None:
        """The score of a trial that gave these metrics, in order; None when none of them carries the objective."""
        values = [value for each in history if (value := self.of(each)) is not None]
        if self.over == "best" and any(map(math.isfinite, values)):
            return self.best(values)
        return values[-1] if values else None

    def scores(self, history: Sequence[Metrics]) -> tuple[float, ...] | None:
        """Its score, alone."""
        score = self.score(history)
        return None if score is None else (score,)

    def violated(self, history: Sequence[Metrics]) -> tuple[str, ...]:
        """The names of the metrics that do not keep to their constraints, for a trial that gave these, in order."""
        return _violated(self.constraints, history)

    def missing(self, history: Sequence[Metrics]) -> tuple[str, ...]:
        """The names of the metrics that are wanted, or constrained, and in none of these."""
        return _missing(self, history)

    def __str__(self) -> str:
        parts = [self.name, self.direction, *(["over best"] if self.over == "best" else []), *map(str, self.constraints)]
        return f"Objective({', '.join(parts)})"


@frozen
class Objectives:
    """Several metrics to optimise.

    With `combine=None` no trial is the best; the results have a Pareto front: the trials that no other is better than in one
    objective and as good as in the rest. `combine="sum"` makes one score of them, of which less is better: what is to be
    minimised, minus what is to be maximised, each times its weight. (KerasTuner's list of objectives is that, with weights 1.)

    Args:
        objectives: at least two, of different names, without constraints of their own; names whose direction Keras defines may
            stand for themselves.
        combine: None or "sum".
        weights: for "sum": a positive number for each objective; all 1, by default.
        constraints: what a trial must keep to, to be the best or on the front.

    Raises:
        ConfigurationError: naming what is wrong, and what to write.
    """

    objectives: tuple[Objective, ...] = field(converter=_several)
    combine: Literal["sum"] | None = field(default=None, kw_only=True)
    weights: tuple[float, ...] = field(default=(), kw_only=True, converter=_weights, metadata=SELDOM)
    constraints: tuple[Constraint, ...] = field(default=(), kw_only=True, converter=_constraints, metadata=SELDOM)

    def __attrs_post_init__(self) -> None:
        if self.combine not in (None, "sum"):
            raise ConfigurationError(f"Objectives(combine=...) takes None or 'sum', not {self.combine!r}")
        if self.weights and (self.combine is None or len(self.weights) != len(self.objectives)):
            wanted = f"one number for each of the {len(self.objectives)} objectives, and combine='sum'"
            raise ConfigurationError(f"Objectives(weights=...) takes {wanted}, not {list(self.weights)}")

    @property
    def each(self) -> tuple[Objective, ...]:
        """The objectives, in order."""
        return self.objectives

    @property
    def name(self) -> str:
        """All their names."""
        return (" + " if self.combine == "sum" else ", ").join(each.name for each in self.objectives)

    @property
    def direction(self) -> Literal["min", "max"]:
        """Of their sum, less is better."""
        return "min"

    @property
    def has_score(self) -> bool:
        """Whether they come to one number."""
        return self.combine is not None

    def better(self, one: float, other: float) -> bool:
        """Whether the sum `one` is strictly better."""
        return self.loss(one) < self.loss(other)

    def loss(self, value: float) -> float:
        """The sum `value`; what is not finite is the worst there is."""
        return value if math.isfinite(value) else math.inf

    def best(self, values: Iterable[float]) -> float | None:
        """The smallest of the finite sums; the first of equals; None if there is none."""
        return min(filter(math.isfinite, values), default=None)

    def of(self, metrics: Metrics | None) -> float | None:
        """Their sum in `metrics`; None if one is missing, or they are not to be summed."""
        if metrics is None or not self.seen_in(metrics):
            return None
        return self._combined([metrics[each.name] for each in self.objectives])

    def seen_in(self, metrics: Metrics | None) -> bool:
        """Whether `metrics` carry all of them."""
        return metrics is not None and all(each.name in metrics for each in self.objectives)

    def score(self, history: Sequence[Metrics]) -> float | None:
        """The sum of the scores of a trial that gave these metrics, in order; None if there is none."""
        scores = self.scores(history)
        return None if scores is None else self._combined(scores)

    def scores(self, history: Sequence[Metrics]) -> tuple[float, ...] | None:
        """The score by each objective, of a trial that gave these metrics, in order; None if one is missing."""
        scores = [each.score(history) for each in self.objectives]
        found = tuple(score for score in scores if score is not None)
        return found if len(found) == len(scores) else None

    def violated(self, history: Sequence[Metrics]) -> tuple[str, ...]:
        """The names of the metrics that do not keep to their constraints, for a trial that gave these, in order."""
        return _violated(self.constraints, history)

    def missing(self, history: Sequence[Metrics]) -> tuple[str, ...]:
        """The names of the metrics that are wanted, or constrained, and in none of these."""
        return _missing(self, history)

    def _combined(self, scores: Sequence[float]) -> float | None:
        if self.combine is None:
            return None
        if not all(map(math.isfinite, scores)):
            return math.nan
        weights = self.weights or (1.0,) * len(scores)
        return sum(w * each.loss(score) for w, each, score in zip(weights, self.objectives, scores, strict=True))

    def __str__(self) -> str:
        how = [] if self.combine is None else [f"combine={self.combine!r}"]
        weights = [f"weights={list(self.weights)}"] if self.weights else []
        return f"Objectives({', '.join([*map(str, self.objectives), *how, *weights, *map(str, self.constraints)])})"


Goal: TypeAlias = Objective | Objectives
"""What a search can be after."""
closed_union(Goal)


def as_objective(objective: Any) -> Goal:
    """The objective that is meant: an `Objective`, a name whose direction Keras defines ("val_accuracy"), an `Objectives`, or a
    list of objectives and such names.

    Raises:
        ConfigurationError: if it is none of them, naming what to write.
    """
    if isinstance(objective, Objectives):
        return objective
    if isinstance(objective, list | tuple):
        return _one(objective[0]) if len(objective) == 1 else Objectives(objective)
    return _one(objective)


def _one(objective: Any) -> Objective:
    if isinstance(objective, Objective):
        return objective
    if not isinstance(objective, str) or not objective:
        message = f'objective= takes Objective("name", "min" or "max"), or a name that Keras defines, not {objective!r}'
        raise ConfigurationError(message)
    stem = objective.removeprefix("val_")
    if stem in _MIN or stem.endswith("_loss"):
        return Objective(objective, "min")
    if stem in _MAX:
        return Objective(objective, "max")
    message = f'whether {objective!r} is better small or large cannot be known: write Objective({objective!r}, "min") or "max"'
    raise ConfigurationError(message)


def direction_of(name: str, objective: Goal, hint: str) -> Literal["min", "max"]:
    """Whether this metric is better small or large: as an objective says, or Keras.

    Raises:
        ConfigurationError: neither does; with the hint.
    """
    for each in objective.each:
        if each.name == name:
            return each.direction
    try:
        return _one(name).direction
    except ConfigurationError:
        raise ConfigurationError(f"whether {name!r} is better small or large cannot be known: {hint}") from None


def directed(policy: CheckpointPolicy, objective: Goal) -> CheckpointPolicy:
    """The policy, with the direction of its score, if it has one.

    Raises:
        ConfigurationError: it is not said, and cannot be known.
    """
    if policy.score is None or policy.direction is not None:
        return policy
    hint = f"write CheckpointPolicy(score={policy.score!r}, direction='min') or 'max'"
    return evolve(policy, direction=direction_of(policy.score, objective, hint))
