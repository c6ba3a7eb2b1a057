"""What the launches of a `Simulator` cost beside their steps, and where one of them stands."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import define, field, frozen

from asynctune.messages import RunTrial
from asynctune.validators import flag, number

__all__ = ["Conditions", "Launch"]


@frozen(kw_only=True)
class Conditions:
    """What a launch costs beside its steps, in a `Simulator`. Times are in seconds of the virtual clock.

    Args:
        start_takes: from a granted slot to the first step.
        load_takes: beside that, where a launch goes on from a checkpoint.
        save_takes: of each checkpoint, before its report is heard.
        save_every: steps from one checkpoint to the next; None for none at all, so that whoever is set aside begins anew.
        straggle: how uneven workers are: each launch takes 1 + abs(z) times as long, z drawn from a normal distribution with
            this standard deviation (Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, in its
            simulated workloads).
        parks: whether a trial that is paused at a step which it has not saved waits with its process (see `Parking`), and goes
            on where it stood. It weighs nothing.

    Raises:
        ConfigurationError: a time is negative or infinite, `save_every` no integer of at least 1, or `parks` no bool.
    """

    start_takes: float = field(default=0.0, validator=number(0, finite=True))
    load_takes: float = field(default=0.0, validator=number(0, finite=True))
    save_takes: float = field(default=0.0, validator=number(0, finite=True))
    save_every: int | None = field(default=1, validator=number(1, integer=True, optional=True))
    straggle: float = field(default=0.0, validator=number(0, finite=True))
    parks: bool = field(default=False, validator=flag)


@define(eq=False)
class Launch:
    """A launch that follows a curve. `place` is the report that comes next; one that is `silent` says nothing more, and one
    that is `deaf` does not stop when it is told to. One that is `parked` has no slot. `began` is when it got its slot, and
    `deadline` when its time is up; while it is parked, how many seconds it has left."""

    order: RunTrial
    width: int
    began: float
    columns: tuple[tuple[str, Sequence[float]], ...]
    steps: Sequence[int]
    takes: Sequence[float]
    place: int
    slower: float
    silent: bool = False
    deaf: bool = False
    parked: bool = False
    deadline: float = math.inf
    over: bool = False
