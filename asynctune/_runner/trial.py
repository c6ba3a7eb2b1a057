"""What your function is handed: the trial, as it is seen from inside its process.

`Trial` reports and waits for the answer; its twin for async functions awaits it. What they share, `TrialFace`, keeps the account:
which step is next, which checkpoint waits for its report, whether the trial was told to stop. It speaks through a `Line` and knows
nothing of the process around it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from asynctune._runner.framing import Line
from asynctune._runner.metrics import as_metrics, as_step
from asynctune.checkpoints import CheckpointStore, DirectoryStore
from asynctune.messages import Answer, FromRunner, Halt, MetricsReported, ParametersDeclared, RunTrial, ToRunner, What
from asynctune.records import CheckpointKey, LaunchNumber, Metrics, Resources, TrialId, Value, Values
from asynctune.space.hyperparameters import HyperParameters
from asynctune.wire import decode, encode

__all__ = ["NO_METRICS", "StopTrial", "Trial", "TrialFace", "nested"]

NO_METRICS: Final[Mapping[str, float]] = MappingProxyType({})


class StopTrial(BaseException):  # noqa: N818 -- not an error: it leaves the function of a trial that was told to stop
    """Raised inside `report()`, `checkpoint()` and nowhere else when the trial is to stop. Let it pass."""


class TrialFace:
    """Everything but `report()`.

    Args:
        order: what to run.
        line: to the search.
        directory: of the search.
        data: of the search.
    """

    def __init__(self, order: RunTrial, line: Line, directory: Path, data: Mapping[str, Any]) -> None:
        self._order = order
        self._line = line
        self._root = directory
        self._data = data
        self._hp: HyperParameters | None = None
        self._log: logging.Logger | None = None
        self._step = 0
        self._written: CheckpointKey | None = None
        self._save = False
        self._stop: str | None = None
        self._reported = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}, launch {self.launch}, step {self._step}>"

    @property
    def id(self) -> TrialId:
        """The trial's number, from 0."""
        return self._order.trial

    @property
    def attempt(self) -> int:
        """1 + the failures that were the trial's own."""
        return self._order.attempt

    @property
    def launch(self) -> LaunchNumber:
        """How many processes have been handed this trial, this one included."""
        return self._order.launch

    @property
    def seed(self) -> int:
        """A seed of 63 bits for this attempt. `random`, NumPy's legacy generator and TensorFlow were seeded with it already."""
        return self._order.seed

    @property
    def resources(self) -> Resources:
        """What the trial may occupy."""
        return self._order.resources

    @property
    def data(self) -> Mapping[str, Any]:
        """The search's `data=`. Yours to write to: nobody else sees it."""
        return self._data

    @property
    def hp(self) -> HyperParameters:
        """The hyperparameters, declared where they are used: `trial.hp.Float("lr", 1e-4, 1e-1, sampling="log")`."""
        if self._hp is None:
            self._hp = HyperParameters(self._order.space, self._order.values, self._order.fill)
        return self._hp

    @property
    def values(self) -> Values:
        """The values by flat name ("layer/units"): those that were proposed, and those that were asked for since."""
        return {**self._order.values, **(self._hp.values if self._hp is not None else {})}

    @property
    def config(self) -> dict[str, Any]:
        """The values as a nested dict: "layer/units" is `config["layer"]["units"]`."""
        return nested(self.values)

    @property
    def directory(self) -> Path:
        """A directory for this trial's own files, made when it is first asked for; all its launches share it."""
        path = self._root / "trials" / str(self.id)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def log(self) -> logging.Logger:
        """A logger that writes to the trial's log file, as everything printed does."""
        if self._log is None:
            self._log = logging.getLogger(f"asynctune.trial.{self.id}")
            self._log.propagate = False
            self._log.setLevel(logging.INFO)
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            self._log.handlers[:] = [handler]
        return self._log

    @property
    def should_stop(self) -> bool:
        """Whether the trial was told to stop. Look at it where reports are far apart; return when it is true."""
        self._listen()
        return self._stop is not None

    @property
    def should_checkpoint(self) -> bool:
        """Whether the search asked for a checkpoint at the next chance."""
        return self._save

    def restore(self) -> Path | None:
        """A directory with the newest checkpoint whose step was reported, or None on a fresh start. Only read it.

        The next step is then the one after the checkpoint's.
        """
        if self._order.restore is None:
            return None
        self._step = max(self._step, self._order.step)
        return self._store.path(self._order.restore)

    @contextmanager
    def checkpoint(self, step: int | None = None) -> Iterator[Path]:
        """`with trial.checkpoint() as directory:` fill the directory; it is kept as a whole, or, if the block raises, not at all.

        Args:
            step: of the report that is to follow and commits it; the next one, if None.

        Raises:
            ValueError: for a step that was reported already: write the checkpoint first, then report.
            StorageError: if it cannot be written.
        """
        self._listen()
        self._obey()
        key = CheckpointKey(self.id, as_step(step, self._step), self.launch)
        with self._store.writing(key) as directory:
            yield directory
        self._written = key
        self._save = False

    @property
    def _store(self) -> CheckpointStore:
        return DirectoryStore(self._root / "checkpoints")

    # ------------------------------------------------------------------------- the account, for the runner around it

    @property
    def was_told_to_stop(self) -> bool:
        """Whether the trial has seen that it is to stop."""
        return self._stop is not None

    @property
    def has_reported(self) -> bool:
        """Whether it has reported anything."""
        return self._reported

    @property
    def unreported_checkpoint(self) -> CheckpointKey | None:
        """A checkpoint that no report has carried yet."""
        return self._written

    def _declared(self) -> list[FromRunner]:
        if self._hp is None:
            return []
        parameters, values = self._hp.drain()
        if not values:
            return []
        return [ParametersDeclared(trial=self.id, launch=self.launch, parameters=parameters, values=values)]

    def _next_report(self, metrics: Any, step: Any, named: Metrics) -> list[FromRunner]:
        """The messages that one `report()` sends; the last of them is to be answered."""
        clock = time.monotonic()
        self._listen()
        self._obey()
        twice = sorted(metrics.keys() & named.keys()) if isinstance(metrics, Mapping) else []
        if twice:
            raise TypeError(f"metric {twice[0]!r} was given twice to report()")
        numbers = as_metrics(metrics) | as_metrics(named)
        if not numbers:
            raise TypeError("report() takes at least one metric, such as report(loss=0.5)")
        number = as_step(step, self._step)
        if self._written is not None and self._written.step != number:
            wanted = self._written.step
            raise ValueError(f"a checkpoint of step {wanted} was written, but step {number} is reported: report step {wanted}")
        message = MetricsReported(
            trial=self.id, launch=self.launch, step=number, metrics=numbers, clock=clock, checkpoint=self._written
        )
        return [*self.declared(), message]

    def _sent(self, step: int) -> None:
        self._step, self._written, self._reported = step, None, True

    def _listen(self) -> None:
        """Hear what has arrived, without waiting."""
        try:
            while (body := self._line.receive_nowait()) is not None:
                self._hear(body)
        except EOFError as error:
            self._stop = str(error)

    def _hear(self, body: bytes) -> Answer | None:
        message: Any = decode(body, ToRunner)
        if (message.trial, message.launch) != (self.id, self.launch):
            return None
        if isinstance(message, Halt):
            self._stop = message.reason
        return message if isinstance(message, Answer) else None

    def _heard(self, body: bytes, step: int) -> bool:
        """Hear while waiting for the answer to the report of `step`; whether the wait is over."""
        answer = self._hear(body)
        if answer is not None and answer.step == step:
            self._save = answer.save
            if answer.what is What.STOP:
                self._stop = answer.reason or "told to stop"
            if answer.what is What.GO:
                return True
        return self._stop is not None

    def _obey(self) -> None:
        if self._stop is not None:
            raise StopTrial(self._stop)


class Trial(TrialFace):
    """A trial, as a function is handed it."""

    def report(self, metrics: Mapping[str, float] = NO_METRICS, /, *, step: int | None = None, **named: float) -> None:
        """Report metrics at a step and wait for the answer: returns to go on, leaves your function when the trial is to stop.

        Args:
            metrics: name to number (Python, NumPy, or a tensor without dimensions).
            step: above the last one; the last + 1, if None.
            **named: more metrics.

        Raises:
            TypeError, ValueError: for what is no number, no step, or was given twice.
        """
        messages = self._next_report(metrics, step, named)
        report = messages[-1]
        assert isinstance(report, MetricsReported)  # noqa: S101
        try:
            self._line.send(*(encode(message, FromRunner) for message in messages))
            self._sent(report.step)
            while not self._heard(self._line.receive(), report.step):
                pass
        except (EOFError, OSError) as error:
            self._stop = f"the search is gone: {error}"
        self._obey()


def nested(values: Values) -> dict[str, Any]:
    """Flat names as a nested dict, cut at "/"."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        *groups, last = name.split("/")
        place = result
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return result
