"""What can be a trainable, and what a search may ask of an executor, as far as can be seen without starting anything, or
importing what makes a trainable travel."""

from __future__ import annotations

import re
from typing import Any

from asynctune._runner.stepwise import can_save
from asynctune._runner.trainable import argument_of
from asynctune.errors import CapabilityError, ConfigurationError, TrainableError
from asynctune.executors.base import Executor
from asynctune.oracles.base import Oracle
from asynctune.policies import CheckpointPolicy, Limits, Resources
from asynctune.schedulers.base import Scheduler

__all__ = ["check_asked", "check_saves", "check_trainable", "no_trainable"]

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def check_trainable(trainable: Any) -> None:
    """See, without starting anything, whether this can be a trainable.

    Raises:
        TrainableError: saying what to pass instead.
    """
    if isinstance(trainable, str):
        if not _REFERENCE.fullmatch(trainable):
            raise TrainableError(f'a trainable is named as "package.module:name", not {trainable!r}')
        if trainable.startswith("__main__:"):
            raise TrainableError(f"{trainable!r} is in the main script, which trials do not import: pass the function itself")
    else:
        argument_of(trainable)


def no_trainable(given: Any) -> ConfigurationError:
    """What says that this is no trainable."""
    return ConfigurationError(f'the trainable is a function of one argument, or "package.module:name", not {given!r}')


def check_asked(executor: Executor, trainable: Any, limits: Limits, resources: Resources, scheduler: Scheduler) -> None:
    """Whether the executor can do what a search asks of it.

    Raises:
        CapabilityError: it cannot; says what, and what could.
        ConfigurationError: there is no trainable for it to run, or one that it cannot run.
    """
    can, name = executor.capabilities, type(executor).__name__
    if trainable is None and not can.asks:
        raise no_trainable(None)
    if trainable is not None and can.asks:
        told = f"{name} runs nothing, and takes no trainable: leave it out, and try what `await search.ask()` hands you"
        raise ConfigurationError(f"{told}; or have it run by LocalExecutor")
    for limit in limits.asked:
        if limit not in can.limits:
            message = f"Limits({limit}=...) needs an executor that watches over trials from outside, and {name} does not"
            raise CapabilityError(f"{message}: use LocalExecutor, or leave the limit out")
    if scheduler.exploits and not can.exploits:
        message = f"{type(scheduler).__name__} goes on from other trials' checkpoints, which {name} cannot do"
        raise CapabilityError(f"{message}: use a scheduler that only stops trials (ASHA, MedianStopping)")
    if scheduler.reallocates and not can.reallocates:
        message = f"{type(scheduler).__name__} gives trials other resources, which {name} cannot do"
        raise CapabilityError(f'{message}: use LocalExecutor(isolation="trial"), or another scheduler')
    if resources.gpu > can.gpus:
        raise CapabilityError(f"Resources(gpu={resources.gpu:g}): {name} has {can.gpus} GPUs to give")
    if resources.gpu and resources.gpu * executor.pool.size > can.gpus:
        most = int(can.gpus / resources.gpu)
        message = f"{executor.pool.size} trials of {resources.gpu:g} GPUs each are more than the {can.gpus} there are"
        raise CapabilityError(f"{message}: use {name}(max_workers={most}), or a share of a GPU")


def check_saves(trainable: Any, oracle: Oracle, scheduler: Scheduler, policy: CheckpointPolicy, *, said: bool) -> None:
    """Whether there will be the checkpoints that a scheduler or an oracle wants; `said` is whether the policy was given.

    Raises:
        ConfigurationError: there will not, or nobody has said so.
    """
    what = f"{type(scheduler).__name__} has trials go on from each other's checkpoints"
    if isinstance(trainable, type):
        name, exploits = trainable.__qualname__, scheduler.exploits
        if not can_save(trainable) and (exploits or said):
            told = what if exploits else "checkpoints=CheckpointPolicy(...) is given"
            raise ConfigurationError(f"{told}, and {name} leaves none: define save_checkpoint() and load_checkpoint()")
        if exploits and policy.every is None:
            raise ConfigurationError(f"{what}, and CheckpointPolicy(every=None) writes none: give every=1, or more")
    elif scheduler.exploits and not said:  # before it runs, nobody can see whether a function saves
        raise ConfigurationError(f"{what}: if the trainable saves some, say so with checkpoints=CheckpointPolicy(...)")
    if oracle.descends and policy.keep == 0:
        told = f"{type(oracle).__name__} has trials go on from those that have ended"
        raise ConfigurationError(f"{told}, and CheckpointPolicy(keep=0) keeps nothing of these: give keep=1, or more")
