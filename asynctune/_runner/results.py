"""What a trainable returned, as metrics: by KerasTuner's rules, without importing Keras or NumPy.

A number is the objective. A dict is metrics. A Keras History is the metrics of its best epoch. A list of those is several
executions: their mean per metric, each kept. None is no result of its own, and right after reports only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from asynctune._runner.metrics import as_metrics, as_number, is_number
from asynctune.objective import Goal
from asynctune.records import Metrics

__all__ = ["InvalidResult", "Outcome", "outcome_of"]

_WANTED = "return a number, a dict of metrics, a Keras History, or a list of those; or report and return nothing"


class InvalidResult(Exception):  # noqa: N818 -- what the trial returned, not what it raised
    """What was returned is no result; the message names it, and says what to return."""


@frozen
class Outcome:
    """A result.

    Args:
        metrics: None if nothing was returned.
        executions: the metrics of each, if it was a list.
        step: the best epoch of a History, from 1; the mean of them for a list.
    """

    metrics: Metrics | None = None
    executions: tuple[Metrics, ...] = ()
    step: int | None = None


def outcome_of(result: Any, objective: Goal, *, reported: bool) -> Outcome:
    """The outcome that `result` stands for.

    Args:
        result: what the trainable returned.
        objective: names a bare number, and judges epochs.
        reported: whether the trial has reported, in this launch or before the checkpoint that it restored.

    Raises:
        InvalidResult: if it stands for none.
    """
    if result is None:
        if reported:
            return Outcome()
        raise InvalidResult(f"it returned None and has not reported anything: {_WANTED}")
    try:
        if reported and _has_no_epoch(result):
            return Outcome()
        return _outcome(result, objective)
    except (TypeError, ValueError) as error:
        raise InvalidResult(f"it returned what is no result: {error}. Please {_WANTED}") from error


def _has_no_epoch(result: Any) -> bool:
    """Whether it is the History of a `fit` that had nothing left to do, as when a model is restored after its last epoch."""
    history = getattr(result, "history", None)
    return isinstance(history, Mapping) and not any(map(len, history.values()))


def _outcome(result: Any, objective: Goal) -> Outcome:
    if is_number(result):
        if len(objective.each) > 1:
            names = ", ".join(repr(each.name) for each in objective.each)
            raise TypeError(f"a number, and {names} are wanted: a dict says which is which")
        return Outcome({objective.name: as_number(objective.name, result)})
    if isinstance(result, Mapping):
        if not result:
            raise TypeError("an empty dict")
        return Outcome(as_metrics(result))
    if isinstance(result, list):
        return _mean([_outcome(each, objective) for each in result])
    history = getattr(result, "history", None)
    if isinstance(history, Mapping):
        return _best_epoch(history, objective)
    raise TypeError(f"{'an instance of' if type(result).__name__[:1].isupper() else 'a'} {type(result).__name__}")


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    if not outcomes:
        raise TypeError("an empty list")
    executions = tuple(outcome.metrics or {} for outcome in outcomes)
    # A metric that only some executions have is averaged over those.
    names = dict.fromkeys(name for metrics in executions for name in metrics)
    values = {name: [metrics[name] for metrics in executions if name in metrics] for name in names}
    steps = [outcome.step for outcome in outcomes if outcome.step is not None]
    return Outcome(
        {name: sum(each) / len(each) for name, each in values.items()},
        executions,
        sum(steps) // len(steps) if steps else None,
    )


def _best_epoch(history: Mapping[str, Any], objective: Goal) -> Outcome:
    """The metrics at the epoch that is best for the objective: the first of equals, not-finite ones left out.

    Without the objective, or without a finite value of it, the last epoch stands for all: the search will say what is missing.
    So it does where several objectives do not come to one number, by which an epoch could be the best.
    """
    curves = {name: [as_number(name, value) for value in values] for name, values in history.items() if len(values)}
    if not curves:
        raise ValueError("a History without a single epoch")
    epochs = max(map(len, curves.values()))
    wanted = [curves.get(each.name, []) for each in objective.each]
    names = [each.name for each in objective.each]
    steps = (objective.of(dict(zip(names, values, strict=True))) for values in zip(*wanted, strict=False))
    curve = [math.nan if value is None else value for value in steps]
    best = objective.best(curve)
    # With `validation_freq=k`, some curves have a value for each k-th epoch only.
    step = epochs if best is None else (curve.index(best) + 1) * epochs // len(curve)
    metrics = {name: values[max(step * len(values) // epochs, 1) - 1] for name, values in curves.items()}
    return Outcome(metrics, step=None if best is None else step)
