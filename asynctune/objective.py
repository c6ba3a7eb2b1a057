"""What is wanted: the name of a metric, and which way is better."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

from attrs import field, frozen

from asynctune.errors import ConfigurationError
from asynctune.records import Metrics
from asynctune.validators import one_of

__all__ = ["Objective", "as_objective"]

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


@frozen
class Objective:
    """The metric to optimise.

    Args:
        name: of a metric that the trials report or return.
        direction: "min" or "max".
        over: which of a trial's values is its score: its "last" one, or its "best" one. A Keras History that a trial returns
            counts as one value, that of its best epoch, as KerasTuner counts it; so where trials are stopped early, whose score
            is that of their reports, "best" keeps the two comparable.

    Raises:
        ConfigurationError: for an empty name, or another direction.
    """

    name: str = field()
    direction: Literal["min", "max"] = field(validator=one_of("min", "max"))
    over: Literal["last", "best"] = field(default="last", validator=one_of("last", "best"))

    @name.validator
    def _named(self, _: Any, value: Any) -> None:
        if not isinstance(value, str) or not value:
            raise ConfigurationError(f"Objective(name=...) takes the name of a metric, not {value!r}")

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


def as_objective(objective: Any) -> Objective:
    """The objective that is meant: an `Objective`, or a name whose direction Keras defines ("val_accuracy").

    Raises:
        ConfigurationError: if it is neither, naming what to write.
    """
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
