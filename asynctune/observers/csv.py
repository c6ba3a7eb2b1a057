"""Trials as comma-separated values: a row for each that has ended."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from asynctune.events import Event, Finished, GaveUp, Stopped
from asynctune.observers.base import Observer, Watched
from asynctune.observers.jsonlines import as_path
from asynctune.observers.rows import as_row
from asynctune.records import TrialId, TrialView

__all__ = ["CSV"]


class CSV(Observer):
    """Writes a row for each trial that has ended: id, state, score, step, attempt, launches, stop_reason, failure, and a column
    `values/<name>` for each of its values.

    When the search is opened, the file is written anew with the trials that have ended before; so each is there exactly once,
    whatever became of the search. It is written anew, too, when a trial has brought a new column.

    Args:
        path: of the file; made, with its directories, when it is not there, and replaced when it is.

    Raises:
        ConfigurationError: `path` is no path.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = as_path("CSV", path)
        self._written: dict[TrialId, None] = {}
        self._columns: list[str] = []

    def on_start(self, search: Watched) -> int | None:
        """Write what has ended already."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._add([trial for trial in search.trials.values() if trial.state.ended], search)
        return None

    def on_events(self, events: Sequence[Event], search: Watched) -> None:
        """Write what has ended."""
        ended = [what.trial for event in events for what in event.happened if isinstance(what, Finished | Stopped | GaveUp)]
        if ended:
            self._add([search.trials[trial] for trial in ended if trial not in self._written], search)

    def _add(self, trials: Sequence[TrialView], search: Watched) -> None:
        rows = [as_row(trial) for trial in trials]
        columns = list(dict.fromkeys([*self._columns, *(name for row in rows for name in row)]))
        anew = not self._columns or columns != self._columns
        self._columns = []  # whatever is raised here may leave half a row, and then the file is written anew
        if anew:
            self._replace([*(search.trials[trial] for trial in self._written), *trials], columns)
        else:
            with self._path.open("a", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.write(_text(trials, columns))
        self._columns = columns
        self._written.update(dict.fromkeys(trial.id for trial in trials))

    def _replace(self, trials: Iterable[TrialView], columns: Sequence[str]) -> None:
        new = self._path.with_name(f"{self._path.name}.new")
        new.write_text(_text(trials, columns, head=bool(columns)), encoding="utf-8", errors="backslashreplace", newline="")
        new.replace(self._path)


def _text(trials: Iterable[TrialView], columns: Sequence[str], *, head: bool = False) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if head:
        writer.writeheader()
    writer.writerows(map(as_row, trials))
    return text.getvalue()
