"""What a trial needs to report from inside `fit`. Keras itself is imported where a trial runs, and not before."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asynctune._runner.trial import Trial

__all__ = ["ReportCallback"]


def ReportCallback(trial: Trial, *, checkpoint: bool = False) -> Any:  # noqa: N802 -- a Keras callback, made as one is
    """A Keras callback that reports each epoch's logs as a step of `trial`, and stops the training when the trial is to stop.

    Epoch n (from 0) is step n + 1. `fit` ends as it does after early stopping, every callback's `on_train_end` runs, and then
    your function is left.

    Args:
        trial: as your function was handed it.
        checkpoint: save the model, its optimizer included, as `model.keras` in checkpoints: of each epoch, or as
            `CheckpointPolicy` says (`every`, `at_end`), and of the last one when the trial is set aside. Go on from it with
            `keras.models.load_model(trial.restore() / "model.keras")` and `fit(..., initial_epoch=trial.step)`. What is loaded
            is as it was saved, its learning rate too. Where a trial may go on with other values, set them before `fit`:
            `model.optimizer.learning_rate = trial.values["rate"]`.

    Raises:
        ImportError: Keras is not installed: `pip install "asynctune[keras]"`.
    """
    return import_module("asynctune.keras.callback").ReportCallback(trial, checkpoint=checkpoint)
