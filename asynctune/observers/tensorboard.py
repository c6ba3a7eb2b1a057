"""A search in TensorBoard: a run for each trial, and the table of its HParams tab."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from asynctune.errors import ConfigurationError
from asynctune.events import Event, Finished, GaveUp, Happening, Reported, SpaceGrew, Started, Stopped
from asynctune.observers.base import Observer, Watched
from asynctune.observers.ledger import Ledger
from asynctune.observers.places import as_path, check_directory
from asynctune.observers.tfevents import Metric, Records, Run
from asynctune.records import Metrics, TrialId
from asynctune.space.conditions import Parameter

__all__ = ["TensorBoard"]

_FILE = "events.out.tfevents.asynctune"  # of each run, and of the experiment; readers know them by "tfevents"
_FILES = re.compile(rf"(trial_[0-9]{{5,}}/)?{re.escape(_FILE)}")
_LEDGER = "asynctune.json"
_SCORE = "trial/score"


class TensorBoard(Observer):
    """Writes a run for each trial, `trial_00007`, and the experiment, for TensorBoard: `tensorboard --logdir <log_dir>`.

    The metrics of a report are scalars at its step. They are those of `trial.reports`: with the first report of a launch,
    readers are told to forget what earlier ones reported behind the step that it goes on from. When the trial ends, its score
    as `trial/score`, and of the metrics that it returned those that its last report did not have, stand at its last step (0, if
    it never reported).

    The HParams tab has a row for each trial, from its first report on, with its values and how it ended: success, or failure
    for a FAILED one. A parameter that it names after its first report is missing there. The domains and the metrics are written
    when the first trial has ended, and again when there are more; a TensorBoard that was open before shows them when it is
    started again. Values of one parameter that are of several types, and None, are text there.

    A search that is killed and resumed goes on where the runs stand, each event once; what was recorded before this observer
    was there is written too, dated back from now by search time. No file is kept open. After a power failure the end of a run
    may be missing: remove the directory then, and it is written anew when the search is resumed.

    Needs the package tensorboard, `pip install "asynctune[tensorboard]"`, and imports neither TensorFlow nor NumPy.

    Args:
        log_dir: a directory; made, with those above it, when it is not there. `<the search's directory>/tensorboard`, if None.
            (Without `storage=`, that is removed with the result.) One that holds another search's trials is left alone, and the
            search is not opened; those in the default one belong to the search that was there before, and are replaced.

    Raises:
        ConfigurationError: `log_dir` is no path, or tensorboard is not installed.
    """

    interval = 1.0

    def __init__(self, log_dir: str | Path | None = None) -> None:
        self._given = None if log_dir is None else as_path("TensorBoard", log_dir, "a directory")
        found = find_spec("tensorboard")
        if found is None or found.origin is None:  # a directory of that name, which is likely where this is used, is no package
            raise ConfigurationError('TensorBoard() needs the package tensorboard: pip install "asynctune[tensorboard]"')
        self._directory = Path()
        self._torn = False
        self._runs: dict[TrialId, Run] = {}
        self._space: dict[str, Parameter] = {}
        self._tags: dict[str, None] = {}
        self._said: tuple[Mapping[str, Parameter], list[str]] | None = None

    def check(self, search: Watched) -> None:
        """Whether the directory can be written, and holds this search's trials or none."""
        directory = self._place(search)
        check_directory("TensorBoard", directory)
        if self._given and _is_anothers(directory, search):
            message = f"{directory} holds the trials of another search"
            raise ConfigurationError(f"{message}: use another directory, or remove this one")

    def _place(self, search: Watched) -> Path:
        return self._given or search.directory / "tensorboard"

    def on_start(self, search: Watched) -> int | None:
        """Cut off what is torn, and go on behind it."""
        self.check(search)  # once more: it was some time ago
        self._records = Records()
        self._directory = self._place(search)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._ledger = Ledger(self._directory, _LEDGER, _FILES)
        page = None if _is_anothers(self._directory, search) else self._ledger.open()
        if page is None:
            self._ledger.clear(_ours(self._directory))
        self._space.update(search.space)
        self._tags |= dict.fromkeys(each.name for each in search.objective.each)
        for trial in search.trials.values():
            for metrics in (*(report.metrics for report in trial.reports[-1:]), trial.metrics or {}):
                self._tags.update(dict.fromkeys(metrics))
        return 1 if page is None else page.seq + 1

    def on_events(self, events: Sequence[Event], search: Watched) -> None:
        """Append them to the runs, all or none."""
        if self._torn and self._ledger.open() is None:
            raise ConfigurationError(f"{self._directory} has lost something: it is written anew when the search is resumed")
        self._torn = True
        try:
            since = time.time() - search.now
            happened = ((what, since + event.at) for event in events for what in event.happened)
            ended = [trial for what, wall in happened if (trial := self._hear(what, wall, search)) is not None]
            if ended:
                self._describe(search)
            parts = {f"{_name(trial)}/{_FILE}": run.new for trial, run in self._runs.items() if run.new}
            self._ledger.append(parts, events[-1].to_dict())
        except BaseException:
            self._runs.clear()  # what is in their files is read again
            raise
        self._torn = False
        for trial in ended:
            del self._runs[trial]
        for run in self._runs.values():
            run.new.clear()

    def _hear(self, what: Happening, wall: float, search: Watched) -> TrialId | None:
        """Add this to its run; the trial, if it has ended."""
        match what:
            case SpaceGrew(parameters=parameters):
                self._space.update(parameters)
            case Started(trial=trial, launch=launch, step=step, parked=False) if launch > 1:
                run = self._run(trial)
                if run.begun:
                    run.new += self._records.launch(wall, step)
                    run.start = step
            case Reported(trial=trial, step=step, metrics=metrics):
                run = self._begun(trial, wall, search)
                self._go_back(run, wall, step - 1 if run.start is None else min(step - 1, run.start))
                self._add(run, wall, step, metrics)
            case Finished(trial=trial, score=score, metrics=returned):
                return self._end(trial, wall, search, {**(returned or {}), **_scored(score)})
            case Stopped(trial=trial, score=score):
                return self._end(trial, wall, search, _scored(score))
            case GaveUp(trial=trial):
                return self._end(trial, wall, search, {}, failed=True)
        return None

    def _run(self, trial: TrialId) -> Run:
        run = self._runs.get(trial)
        if run is None:
            path = self._directory / _name(trial) / _FILE
            try:
                run = self._records.read(path.read_bytes()) if path.exists() else Run()
            except ConfigurationError as error:
                remedy = f"remove {self._directory}, and it is written anew when the search is resumed"
                raise ConfigurationError(f"{path} is damaged ({error}): {remedy}") from error
            self._runs[trial] = run
        return run

    def _begun(self, trial: TrialId, wall: float, search: Watched) -> Run:
        run = self._run(trial)
        if not run.begun:
            run.new += self._records.head(wall) + self._records.session_start(wall, search.trials[trial].values, self._space)
            run.begun = True
        return run

    def _go_back(self, run: Run, wall: float, step: int) -> None:
        """Let what is behind this step be forgotten: another launch has gone on from there."""
        if run.step > step:
            run.new += self._records.restart(wall, step + 1)
            run.step = step

    def _add(self, run: Run, wall: float, step: int, metrics: Metrics) -> None:
        run.new += self._records.scalars(wall, step, metrics)
        run.step, run.start = step, None
        self._tags.update(dict.fromkeys(metrics))

    def _end(self, trial: TrialId, wall: float, search: Watched, last: Metrics, *, failed: bool = False) -> TrialId:
        run, reports = self._begun(trial, wall, search), search.trials[trial].reports
        self._go_back(run, wall, reports[-1].step if reports else 0)
        there = reports[-1].metrics if reports else {}
        new = {name: value for name, value in last.items() if name not in there}
        if new:
            self._add(run, wall, run.step, new)
        run.new += self._records.session_end(wall, failed=failed)
        return trial

    def _describe(self, search: Watched) -> None:
        """Write the experiment, if there is more to it than there was. Readers take the first one that they find in a file."""
        tags = [_SCORE, *(tag for tag in self._tags if tag != _SCORE)]
        if self._said != (self._space, tags):
            names = {_SCORE: f"score ({search.objective.name})"}
            wall, metrics = time.time(), [Metric(tag, names.get(tag, tag)) for tag in tags]
            path = self._directory / _FILE
            new = path.with_name(".asynctune.new")  # no reader takes it for a file of events
            new.write_bytes(self._records.head(wall) + self._records.experiment(wall, self._space, metrics))
            new.replace(path)
            self._said = dict(self._space), tags


def _is_anothers(directory: Path, search: Watched) -> bool:
    """Whether there are trials here, and not of this search, as far as anybody can say. Changes nothing."""
    page = Ledger(directory, _LEDGER, _FILES).read()
    if page is None:
        return bool(_ours(directory))
    return page.last is not None and not search.has(page.last)


def _ours(directory: Path) -> list[str]:
    """The files that are there, of those that are written here."""
    found = (*directory.glob(f"trial_*/{_FILE}"), *directory.glob(_FILE))
    names = (path.relative_to(directory).as_posix() for path in found)
    return [name for name in names if _FILES.fullmatch(name)]


def _scored(score: float | None) -> dict[str, float]:
    return {} if score is None else {_SCORE: score}


def _name(trial: TrialId) -> str:
    return f"trial_{trial:05}"
