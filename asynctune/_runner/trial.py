"""What your function is handed: the trial, as it is seen from inside its process.

`Trial` reports and waits for the answer; its twin for async functions awaits it. What they share is `TrialFace`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from asynctune._runner.account import Account
from asynctune._runner.failures import bounded
from asynctune._runner.metrics import as_step
from asynctune.checkpoints import CheckpointStore, DirectoryStore
from asynctune.errors import StorageError
from asynctune.policies import Resources
from asynctune.records import CheckpointKey, LaunchNumber, TrialId
from asynctune.space.hyperparameters import HyperParameters

__all__ = ["Trial", "TrialFace"]


class TrialFace:
    """Everything but `report()`.

    Args:
        account: of the launch.
        directory: of the search.
        data: of the search.
    """

    def __init__(self, account: Account, directory: str, data: Mapping[str, Any]) -> None:
        self._account = account
        self._root = directory
        self._data = data
        self._log: logging.Logger | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}, launch {self.launch}, step {self._account.step}>"

    @property
    def id(self) -> TrialId:
        """The trial's number, from 0."""
        return self._account.order.trial

    @property
    def attempt(self) -> int:
        """1 + the failures that were the trial's own."""
        return self._account.order.attempt

    @property
    def launch(self) -> LaunchNumber:
        """How many processes have been handed this trial, this one included."""
        return self._account.order.launch

    @property
    def seed(self) -> int:
        """A seed of 63 bits for this attempt. `random`, NumPy's legacy generator and TensorFlow were seeded with it already."""
        return self._account.order.seed

    @property
    def parent(self) -> TrialId | None:
        """The trial that this one descends from, or None. On a fresh start, `restore()` gives what that left."""
        return self._account.order.parent

    @property
    def budget(self) -> int | None:
        """The step at which the trial is over: its report is the last one. None if nobody has set one."""
        return self._account.order.budget

    @property
    def resources(self) -> Resources:
        """What the trial may occupy."""
        return self._account.order.resources

    @property
    def data(self) -> Mapping[str, Any]:
        """The search's `data=`. Yours to write to: no other trial sees it."""
        return self._data

    @property
    def hp(self) -> HyperParameters:
        """The hyperparameters, declared where they are used: `trial.hp.Float("lr", 1e-4, 1e-1, sampling="log")`."""
        return self._account.hp

    @property
    def values(self) -> Mapping[str, Any]:
        """The values by flat name ("layer/units"): those that were proposed, and those that were asked for since. Of a choice
        of objects it is the object. What the search's space does not declare, but other trials have, counts as asked for."""
        return self._account.values

    @property
    def config(self) -> dict[str, Any]:
        """The values as a nested dict: "layer/units" is `config["layer"]["units"]`; with lists where the space was declared
        with lists."""
        return self._account.shape.nest(self.values)

    @property
    def directory(self) -> Path:
        """A directory for this trial's own files, made when it is first asked for; all its launches share it.

        Raises:
            StorageError: a link stands in its place: another trial may have put it there.
        """
        path = Path(self._root, "trials", str(self.id))
        if path.is_symlink():
            raise StorageError(f"{path} is a link, which leads the files of trial {self.id} elsewhere: remove it")
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def log(self) -> logging.Logger:
        """A logger that writes to the trial's log file, where everything printed goes too."""
        if self._log is None:
            self._log = logging.getLogger(f"asynctune.trial.{self.id}")
            self._log.propagate = False
            self._log.setLevel(logging.INFO)
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            self._log.handlers[:] = [handler]
        return self._log

    @property
    def step(self) -> int:
        """The last step that was reported, or that `restore()` went back to; 0 before."""
        return self._account.step

    @property
    def should_stop(self) -> bool:
        """Whether the trial was told to stop. Look at it where reports are far apart; return when it is true. What is returned
        then is no result: the trial has left, with what it reported."""
        self._listen()
        return self._account.stop is not None

    @property
    def should_checkpoint(self) -> bool:
        """Whether a checkpoint of the next step is due, by `CheckpointPolicy(every=...)`."""
        return self._account.save or self._account.policy.is_due(self._account.step + 1)

    def restore(self) -> Path | None:
        """A directory with the newest checkpoint whose step was reported, or None on a fresh start. Only read it.

        It is another trial's where the scheduler has this one go on as that one; and where the trial has none of its own, it is
        its parent's newest, if it has a parent. The next step is then the one after the checkpoint's.
        """
        order = self._account.order
        if order.restore is None:
            return None
        self._account.step = max(self._account.step, order.step)
        if order.restore.trial != order.parent:
            # A launch before this one has reported, or the trial that this one goes on as; there may be nothing left to do.
            self._account.has_reported = True
        return self._store.path(order.restore)

    @contextmanager
    def checkpoint(self, step: int | None = None) -> Iterator[Path]:
        """`with trial.checkpoint() as directory:` fill the directory; it is kept as a whole, or, if the block raises, not at
        all.

        Args:
            step: of the report that is to follow and commits it; the next one, if None.

        Raises:
            ValueError: for a step that was reported already: write the checkpoint first, then report.
            StorageError: if it cannot be written.
        """
        self._listen()
        self._account.obey()
        with self._writing(as_step(step, self._account.step)) as directory:
            yield directory
        self._account.save = False

    @contextmanager
    def _writing(self, step: int) -> Iterator[Path]:
        account, key = self._account, CheckpointKey(self.id, step, self.launch)
        with self._store.writing(key) as directory:
            yield directory
        account.written, account.size = key, self._store.size(key)

    @property
    def _is_unsaved(self) -> bool:
        """Whether the last step was reported by this launch, and without a checkpoint."""
        return self._account.step > max(self._account.saved, self._account.order.step)

    def _take_back(self) -> None:
        """What was saved as the last step was not the last: the trial goes on."""
        key = self._account.written
        if key is not None and key.step <= self._account.step:
            self._account.written = None
            self._store.delete(key)

    def infeasible(self, reason: str) -> NoReturn:
        """Leave your function: these values cannot be tried (a model that is too large, a combination that makes no sense).

        The trial is COMPLETED with "infeasible: " and the reason as its `stop_reason`, and without a score. It is no failure:
        it is not tried again, and neither counts among the failures in a row nor breaks them off.

        Args:
            reason: for people; at most 10,000 characters.

        Raises:
            TypeError: for what is no string.
        """
        if not isinstance(reason, str):
            raise TypeError(f"infeasible() takes a reason, as a string, not {type(reason).__name__}")
        self._account.give_up(bounded(lambda: reason))

    def _listen(self) -> None:
        self._account.listen()

    @property
    def _store(self) -> CheckpointStore:
        return DirectoryStore(Path(self._root, "checkpoints"))


class Trial(TrialFace):
    """A trial, as a function is handed it."""

    def report(self, metrics: Mapping[str, float] | None = None, /, *, step: int | None = None, **named: float) -> None:
        """Report metrics at a step and wait for the answer: returns to go on, leaves your function when the trial is to stop.

        A trial that its scheduler sets aside may wait here for long, and hold what it holds; see `Parking`.

        Args:
            metrics: name to number (Python, NumPy, or a tensor without dimensions).
            step: above the last one; the last + 1, if None.
            **named: more metrics.

        Raises:
            TypeError, ValueError: for what is no number, no step, or was given twice.
        """
        account = self._account
        if account.is_waiting and account.stop is None:
            account.wait_for_answer()
        self._take_back()
        account.report(metrics, step, named)
        account.wait_for_answer()
