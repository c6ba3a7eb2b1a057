"""A trial as one flat row, for tables of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asynctune.records import TrialView

__all__ = ["COLUMNS", "SCORES", "SOMETIMES", "VALUES", "as_row"]

COLUMNS = ("id", "state", "score", "step", "attempt", "launches", "stop_reason", "failure_kind", "failure")  # of every row
SOMETIMES = ("parent", "budget", "source", "violates")  # of the rows of trials that have one
VALUES = "values/"  # before the name of each of its values
SCORES = "scores/"  # before the name of each objective, where there are several


def as_row(trial: TrialView, objectives: Sequence[str] = ()) -> dict[str, Any]:
    """The columns that every row has; its parent and its budget, if it has them; `source`, the trial as
    which it went on last, if it did; `violates`, if it broke constraints;
    `scores/<name>` for each of several objectives, whose names are given; and `values/<name>` for each of its values."""
    fixed = (
        trial.id,
        trial.state.value,
        trial.score,
        trial.step,
        trial.attempt,
        trial.launches,
        trial.stop_reason,
        trial.failure.kind.value if trial.failure else None,
        trial.failure.message if trial.failure else None,
    )
    source = trial.lineage[-1].source if trial.lineage else None
    sometimes = trial.parent, trial.budget, source, ", ".join(trial.violates) or None
    return {
        **dict(zip(COLUMNS, fixed, strict=True)),
        **{name: value for name, value in zip(SOMETIMES, sometimes, strict=True) if value is not None},
        **{f"{SCORES}{name}": score for name, score in zip(objectives, trial.scores, strict=False)},
        **{f"{VALUES}{name}": value for name, value in trial.values.items()},
    }
