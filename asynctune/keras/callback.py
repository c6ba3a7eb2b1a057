"""The callback itself. Importing this imports Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from asynctune._runner.account import Account, StopTrial
from asynctune._runner.trial import Trial

__all__ = ["ReportCallback"]


class ReportCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras carries no types
    """Reports each epoch; see `asynctune.keras.ReportCallback`."""

    def __init__(self, trial: Trial, *, checkpoint: bool) -> None:
        super().__init__()
        self._trial = trial
        self._checkpoint = checkpoint
        self._stopped: StopTrial | None = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Checkpoint if that is wanted, then report."""
        try:
            if self._checkpoint and self._account.policy.is_due(epoch + 1):
                with self._trial.checkpoint(epoch + 1) as directory:
                    self.model.save(directory / "model.keras")
            self._trial.report({name: float(value) for name, value in (logs or {}).items()}, step=epoch + 1)
        except StopTrial as stopped:
            # Raised from here it would cut off the other callbacks, which may hold files open.
            self._stopped = stopped
            self.model.stop_training = True
            if self._account.save and self._account.step == epoch + 1:
                self._save_last()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Leave the trial, if it was told to stop."""
        del logs
        if self._stopped is not None:
            raise self._stopped
        if self._account.policy.at_end:
            self._save_last()

    @property
    def _account(self) -> Account:
        return self._trial._account  # noqa: SLF001 -- what it writes for the trial, a trial cannot

    def _save_last(self) -> None:
        """Save the model as it was reported last. It goes along with what ends the launch."""
        if self._checkpoint and self._trial._is_unsaved:  # noqa: SLF001
            with self._trial._writing(self._account.step) as directory:  # noqa: SLF001
                self.model.save(directory / "model.keras")
