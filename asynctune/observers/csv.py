"""Trials as comma-separated values: a row for each that has ended."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from asynctune.errors import ConfigurationError
from asynctune.events import Event, Finished, GaveUp, Stopped
from asynctune.observers.base import Observer, Watched
from asynctune.observers.places import as_path, check_file
from asynctune.observers.rows import COLUMNS, SCORES, SOMETIMES, VALUES, as_row
from asynctune.records import TrialId, TrialView

__all__ = ["CSV"]

_ENOUGH = 1 << 20  # bytes; the names of the columns and the first row are shorter


class CSV(Observer):
    """Writes a row for each trial that has ended: id, state, score, step, attempt, launches, stop_reason, failure_kind,
    failure, and a column `values/<name>` for each of its values.

    When the search is opened, the file is written anew with the trials that have ended before; so each is there exactly once,
    whatever became of the search. It is written anew, too, when a trial has brought a new column. It stays the same file: links
    to it, its owner and its permissions are kept.

    Args:
        path: of the file; made, with its directories, when it is not there. One that holds anything but this search's trials is
            left alone, and the search is not opened.

    Raises:
        ConfigurationError: `path` is no path.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = as_path("CSV", path)
        self._written: dict[TrialId, None] = {}
        self._columns: list[str] = []

    def check(self, search: Watched) -> None:
        """Whether the file can be written, and holds this search's trials or none."""
        data = b""
        with check_file("CSV", self._path) as found:
            if found:
                with self._path.open("rb") as file:
                    data = file.read(_ENOUGH)
        columns, rows = _taken_apart(data, self._path)
        if rows and not (search.resumed and _is_of(search, columns, rows)):
            raise ConfigurationError(f"{self._path} holds the trials of another search: use another file, or remove this one")

    def on_start(self, search: Watched) -> int | None:
        """Write what has ended already."""
        self.check(search)  # once more: it was some time ago
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._add([trial for trial in search.trials.values() if trial.state.ended], search)
        return None

    def on_events(self, events: Sequence[Event], search: Watched) -> None:
        """Write what has ended."""
        ended = [what.trial for event in events for what in event.happened if isinstance(what, Finished | Stopped | GaveUp)]
        if ended:
            self._add([search.trials[trial] for trial in ended if trial not in self._written], search)

    def _add(self, trials: Sequence[TrialView], search: Watched) -> None:
        named = (name for trial in trials for name in _row(trial, search))
        columns = list(dict.fromkeys([*COLUMNS, *self._columns, *named]))
        anew = columns != self._columns
        self._columns = []  # whatever is raised here may leave half a row, and then the file is written anew
        if anew:
            self._rewrite([*(search.trials[trial] for trial in self._written), *trials], columns, search)
        else:
            with self._path.open("ab") as file:
                file.write(_text(trials, columns, search))
        self._columns = columns
        self._written.update(dict.fromkeys(trial.id for trial in trials))

    def _rewrite(self, trials: Iterable[TrialView], columns: Sequence[str], search: Watched) -> None:
        # In its place: a new file that is renamed would end links, owners and permissions, and could be left behind. What a
        # kill cuts off here is in the journal.
        self._path.touch()
        with self._path.open("r+b") as file:
            file.write(_head(columns) + _text(trials, columns, search))
            file.truncate()


def _head(columns: Sequence[str]) -> bytes:
    return _lines([columns])


def _row(trial: TrialView, search: Watched) -> dict[str, Any]:
    return as_row(trial, [each.name for each in search.objective.each])


def _text(trials: Iterable[TrialView], columns: Sequence[str], search: Watched) -> bytes:
    rows = (_row(trial, search) for trial in trials)
    return _lines([row.get(name) for name in columns] for row in rows)


def _lines(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _taken_apart(data: bytes, path: Path) -> tuple[list[str], bytes]:
    """The columns of a file that begins like this, and its rows; nothing is whole in a file that was being written.

    Raises:
        ConfigurationError: it is none of ours.
    """
    try:
        columns = next(csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline="")), [])
    except csv.Error:
        columns = []
    head, torn = _head(columns), b"\n" not in data
    others = columns[len(COLUMNS) :]
    known = (VALUES, SCORES, *SOMETIMES)
    named = all(
        name in known or name.startswith((VALUES, SCORES)) or (torn and any(whole.startswith(name) for whole in known))
        for name in others
    )
    if named and tuple(columns[: len(COLUMNS)]) == COLUMNS and data.startswith(head.rstrip(b"\n")):
        return columns, data[len(head) :]
    if _head(COLUMNS).startswith(data):
        return [], b""
    raise ConfigurationError(f"{path} is not a file of trials as CSV writes them: use another file, or remove this one")


def _is_of(search: Watched, columns: Sequence[str], rows: bytes) -> bool:
    """Whether the first row is that of the search's own trial: nothing of a trial changes once it has ended."""
    if b"\n" not in rows:
        return True  # torn
    number = rows[:10].partition(b",")[0]
    trial = search.trials.get(int(number)) if number.isdigit() else None
    if trial is None:
        return False
    expected = _text([trial], columns, search)
    return rows.startswith(expected) or expected.startswith(rows)
