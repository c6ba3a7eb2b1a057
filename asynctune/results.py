"""What was found."""

from __future__ import annotations

import math
import shutil
import weakref
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from asynctune._engine.journal import read_records
from asynctune._engine.retelling import retold
from asynctune.checkpoints import DirectoryStore
from asynctune.errors import ConfigurationError, StorageError
from asynctune.objective import Goal
from asynctune.observers.rows import as_row
from asynctune.pareto import Point, front, hypervolume
from asynctune.records import State, TrialId, TrialView
from asynctune.space.checks import nearest, plain

__all__ = ["Result"]

# The columns of data frames that are always there, in order.
_TRIALS = {
    "id": "int64",
    "state": "string",
    "score": "float64",
    "step": "int64",
    "attempt": "int64",
    "launches": "int64",
    "stop_reason": "string",
    "failure_kind": "string",
    "failure": "string",
    "objective": "string",
}
_REPORTS = {"trial": "int64", "step": "int64", "at": "float64", "launch": "int64"}


class Result:
    """The outcome of a search.

    Attributes:
        trials: every trial by its id, in the order of proposal.
        objective: what was wanted.
        reason: why the search ended.
        directory: where its logs and checkpoints are; removed with the result when the search had `storage=None`.
    """

    def __init__(self, *, trials: Iterable[TrialView], objective: Goal, reason: str, directory: Path, temporary: bool) -> None:
        self.trials: Mapping[TrialId, TrialView] = MappingProxyType({t.id: t for t in sorted(trials, key=lambda t: t.id)})
        self.objective = objective
        self.reason = reason
        self.directory = directory
        self._finalizer = weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True) if temporary else None

    @classmethod
    def read(cls, directory: str | Path) -> Result:
        """What a search has found, from its directory. It may still run: then it is what was found so far.

        Raises:
            ConfigurationError: there is no search, or it cannot be read.
        """
        if not isinstance(directory, str | Path) or not str(directory) or "\0" in str(directory):
            raise ConfigurationError(f"Result.read(directory) takes the directory of a search, not {directory!r}")
        path = Path(directory).expanduser().absolute()
        try:
            found = retold(read_records(path))
        except StorageError as error:
            raise ConfigurationError(f"Result.read({str(directory)!r}): {error}") from error
        if found.settings is None:
            raise ConfigurationError(f"Result.read({str(directory)!r}): nothing is recorded there yet")
        reason = "it has not ended" if found.ended is None else found.ended.reason
        return cls(trials=found.trials, objective=found.settings.objective, reason=reason, directory=path, temporary=False)

    def __repr__(self) -> str:
        best = self.best_trial
        found = f"best {self.objective.name} {best.score:.6g} in trial {best.id}" if best else "no score"
        if not self.objective.has_score:
            found = f"{len(self.pareto_front())} of them on the front of {self.objective.name}"
        return f"<Result of {len(self.trials)} trials: {found}>"

    @property
    def best_trial(self) -> TrialView | None:
        """The COMPLETED trial with the best finite score that keeps to the constraints; the first of equals; None if there is
        none, as with several objectives that do not come to one number: see `pareto_front()`."""
        return next(iter(self.best_trials(1)), None)

    def best_trials(self, count: int | None = None) -> list[TrialView]:
        """The COMPLETED trials with a finite score that keep to the constraints, best first; at most `count`. Never a failed or
        running one.

        Raises:
            ConfigurationError: `count` is no integer of at least 0, and not None.
        """
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
            raise ConfigurationError(f"best_trials(count=...) takes an integer of at least 0, or None for all, not {count!r}")
        scored = [t for t in self.trials.values() if t.state is State.COMPLETED and _finite(t.score) and not t.violates]
        scored.sort(key=lambda t: self.objective.loss(t.score if t.score is not None else math.nan))
        return scored[:count]

    def pareto_front(self) -> list[TrialView]:
        """The COMPLETED trials with finite scores that keep to the constraints, and that no other such trial is better than in
        one objective and as good as in the rest; in the order of proposal. With one objective: all that are best."""
        trials = [trial for trial in self.trials.values() if self._losses(trial) is not None]
        losses = [found for trial in trials if (found := self._losses(trial)) is not None]
        return [trials[place] for place in front(losses)]

    def hypervolume(self, reference: Mapping[str, float]) -> float:
        """The volume between the Pareto front and `reference`: larger is better. It grows with each trial that joins the front.

        Args:
            reference: a value for each objective, by its name, that every trial of interest is better than. Trials that are not
                count for nothing.

        Raises:
            ConfigurationError: an objective has no finite value there, or a name is none.
        """
        goals = self.objective.each
        names = [goal.name for goal in goals]
        given: Any = reference
        if not isinstance(given, Mapping) or set(given) != set(names) or None in map(nearest, map(plain, given.values())):
            raise ConfigurationError(f"hypervolume(reference=...) takes a number for each of {names}, in a dict, not {given!r}")
        point = tuple(goal.loss(reference[goal.name]) for goal in goals)
        return hypervolume([found for trial in self.trials.values() if (found := self._losses(trial)) is not None], point)

    def _losses(self, trial: TrialView) -> Point | None:
        """What is to be made small, for a trial that counts."""
        goals = self.objective.each
        scores = trial.scores if len(goals) > 1 else (() if trial.score is None else (trial.score,))
        if trial.state is not State.COMPLETED or trial.violates or not scores or not all(map(math.isfinite, scores)):
            return None
        return tuple(goal.loss(score) for goal, score in zip(goals, scores, strict=True))

    def checkpoint(self, trial: TrialId | TrialView) -> Path | None:
        """The directory of the trial's newest checkpoint, or None."""
        view = trial if isinstance(trial, TrialView) else self.trials[trial]
        return None if view.checkpoint is None else DirectoryStore(self.directory / "checkpoints").path(view.checkpoint)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One plain dict a trial.

        Its keys are id, state, score, step, attempt, launches, stop_reason, failure_kind, failure (the message), objective
        (what the score is of: "Objective(loss, min)"), and `values/<name>` for each of its values. Trials that have a parent,
        or a budget, also have `parent` and `budget`, those that went on as another trial its number as `source` (the last one;
        `trial.lineage` has all), those that broke constraints `violates`, and with several objectives all have
        `scores/<name>` for each of them.
        """
        names = [each.name for each in self.objective.each]
        return [{**as_row(trial, names), "objective": str(self.objective)} for trial in self.trials.values()]

    def to_dataframe(self) -> Any:
        """The trials as a pandas DataFrame: a row for each, with the columns of `to_dicts()`.

        id, step, attempt and launches are int64, score is float64 (NaN for none), and state, stop_reason, failure_kind, failure
        and objective are strings. A column of values has the type that pandas finds; where some trials lack a parameter, whole
        numbers are Int64 and booleans are boolean, which can be missing.

        Raises:
            ConfigurationError: pandas is not installed: `pip install "asynctune[pandas]"`.
        """
        return _frame(self.to_dicts(), _TRIALS)

    def reports_dataframe(self) -> Any:
        """The reports as a pandas DataFrame: a row for each, in the order of trials and steps.

        Its columns are trial, step, launch (int64), at (search time, in seconds), and `metrics/<name>` for each metric
        (float64; NaN also where a report does not carry it). What was reported again by a retry is there once.

        Raises:
            ConfigurationError: pandas is not installed: `pip install "asynctune[pandas]"`.
        """
        rows = [
            {
                "trial": trial.id,
                "step": report.step,
                "at": report.at,
                "launch": report.launch,
                **{f"metrics/{name}": value for name, value in report.metrics.items()},
            }
            for trial in self.trials.values()
            for report in trial.reports
        ]
        return _frame(rows, _REPORTS)

    def close(self) -> None:
        """Remove the temporary directory of a search with `storage=None`, now instead of with the result."""
        if self._finalizer is not None:
            self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


def _frame(rows: list[dict[str, Any]], dtypes: Mapping[str, str]) -> Any:
    """The rows as a DataFrame. The columns in `dtypes` are there, and of their type, whatever there is in them."""
    names = dict.fromkeys([*dtypes, *(name for row in rows for name in row)])
    frame = _pandas().DataFrame(rows, columns=list(names))
    gaps = {name: kind for name in names if name not in dtypes and (kind := _with_gaps(rows, name)) is not None}
    return frame.astype({**dtypes, **gaps})


def _with_gaps(rows: list[dict[str, Any]], name: str) -> str | None:
    """The type of a column that not every row has, where pandas would make floats of whole numbers, and objects of bools."""
    kinds = [type(row[name]) if name in row else None for row in rows]
    if None not in kinds:
        return None
    return {frozenset({int, None}): "Int64", frozenset({bool, None}): "boolean"}.get(frozenset(kinds))


def _pandas() -> Any:
    try:
        return import_module("pandas")
    except ImportError as error:
        raise ConfigurationError('data frames are made with pandas: pip install "asynctune[pandas]"') from error


def _finite(score: float | None) -> bool:
    return score is not None and math.isfinite(score)
