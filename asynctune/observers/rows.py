"""A trial as one flat row, for tables of any kind."""

from __future__ import annotations

from typing import Any

from asynctune.records import TrialView

__all__ = ["as_row"]


def as_row(trial: TrialView) -> dict[str, Any]:
    """id, state, score, step, attempt, launches, stop_reason, failure, and `values/<name>` for each of its values."""
    return {
        "id": trial.id,
        "state": trial.state.value,
        "score": trial.score,
        "step": trial.step,
        "attempt": trial.attempt,
        "launches": trial.launches,
        "stop_reason": trial.stop_reason,
        "failure": trial.failure.message if trial.failure else None,
        **{f"values/{name}": value for name, value in trial.values.items()},
    }
