"""Loading what the search sent: its data, its trainable. Runs the user's code for the first time, wherever that happens."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from asynctune._runner.account import Account
from asynctune._runner.orders import Work
from asynctune._runner.parcel import Parcel
from asynctune._runner.stepwise import Stepper
from asynctune._runner.trainable import argument_of, find, is_async
from asynctune._runner.trial import Trial, TrialFace
from asynctune.errors import TrainableError
from asynctune.space.shape import Shape

__all__ = ["Loaded", "load_data", "load_trainable", "stand_where_the_search_stands"]


@frozen
class Loaded:
    """A trainable, ready to be called with a trial.

    Args:
        call: runs it on a trial and returns its result.
        face: the class of trial that it is handed.
        data: of the search.
        module: where the trainable is defined.
        shape: how its trials see their values.
        stepper: runs them instead of `call`, where the trainable is a class that does not wait.
    """

    call: Callable[[Any], Any]
    face: type[TrialFace]
    data: Mapping[str, Any]
    module: str
    shape: Shape
    stepper: Stepper | None = None

    def run(self, account: Account, directory: str, *, keep: bool) -> Any:
        """Run the trial of this account; what the trainable returns. With `keep`, another one follows in this process."""
        account.shape = self.shape
        trial = self.face(account, directory, self.data)
        if self.stepper is not None:
            return self.stepper.run(trial, keep=keep)
        return self.call(trial)

    def rest(self) -> None:
        """No trial follows in this process."""
        if self.stepper is not None:
            self.stepper.rest()


def stand_where_the_search_stands(work: Work) -> None:
    """Take over working directory, arguments and import path, so that an import finds here what it finds there."""
    if work.cwd:
        os.chdir(work.cwd)
    sys.argv[:] = work.argv
    sys.path[:] = work.sys_path


def load_data(parcel: Parcel) -> Mapping[str, Any]:
    """The search's data; its arrays are mapped, not copied."""
    data: Mapping[str, Any] = parcel.load("data") if "data" in parcel else {}
    return data


def load_trainable(parcel: Parcel, data: Mapping[str, Any]) -> Loaded:
    """The search's trainable.

    Raises:
        TrainableError: if it is none. What its modules raise on import goes through.
    """
    reference = parcel.work.reference
    trainable = find(reference) if reference is not None else parcel.load("trainable")
    argument = argument_of(trainable)
    shape: Shape = parcel.load("shape") if "shape" in parcel else Shape()
    module = str(getattr(trainable, "__module__", None) or "")
    stepper = Stepper(trainable) if isinstance(trainable, type) else None
    if stepper is not None and not is_async(trainable):
        return Loaded(stepper.go, Trial, data, module, shape, stepper)
    if not is_async(trainable):
        return Loaded(lambda trial: trainable(argument.of(trial)), Trial, data, module, shape)
    if argument is not argument.TRIAL:
        raise TrainableError("an async trainable is handed the trial: rename its parameter `hp` or `config` to `trial`")
    # Only who needs an event loop pays for importing one.
    side = importlib.import_module("asynctune._runner.async_trial")
    function = trainable if stepper is None else stepper.go
    return Loaded(lambda trial: trial.run(function), side.AsyncTrial, data, module, shape)
