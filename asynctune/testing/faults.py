"""What goes wrong in a simulated search, drawn from a seed."""

from __future__ import annotations

import math
import random
from typing import Literal, TypeAlias

from attrs import field, frozen

from asynctune.errors import ConfigurationError
from asynctune.records import LaunchNumber, TrialId
from asynctune.seeds import generator
from asynctune.validators import number

__all__ = ["Fate", "Faults", "Stroke"]

Stroke: TypeAlias = Literal["dies", "hangs", "lost", "zygote", "node"]


@frozen
class Fate:
    """What befalls one launch.

    Args:
        stroke: what ends it, or keeps it from ending, `after` seconds; nothing if it is over by then.
        hears: whether it stops when it is told to.
        echoes: how many seconds later each of its messages is said again, out of order with the others; None for not at all.
    """

    stroke: Stroke | None = None
    after: float = math.inf
    hears: bool = True
    echoes: float | None = None


def _share() -> float:
    share: float = field(default=0.0, validator=number(0, most=1))
    return share


def _seconds() -> float:
    seconds: float = field(default=0.0, validator=number(0, finite=True))
    return seconds


@frozen(kw_only=True)
class Faults:
    """What goes wrong around a `SimulatedSearch`, and how often. By default, nothing does.

    What befalls a launch is drawn from the seed, the trial and the launch, so it does not depend on what happens elsewhere. The
    shares of launches add up to 1 at most.

    Args:
        seed: of all that is drawn.
        bad: the share of trials that can die or hang; the others meet with nothing of their own.
        dies: the share of their launches whose process is killed. hangs: the same, for those that never speak again and do not
            listen: give the search `Limits(trial_time=...)`, or it never ends.
        echoes: the share of all launches whose every message and ending comes twice, the second time late and out of order.
        lost: the share of all launches that are lost through nobody's fault. zygote: the share during which every launch that
            runs is. node: the share during which half of the slots go away for a minute, with what runs there.
        within: the longest time, in seconds, from the start of a launch to what befalls it.
        late: the longest time, in seconds, that a message is under way, in either direction.
        slow_disk: the longest time, in seconds, that a commit takes. full_disk: the share of commits that fail at first.
        slow_oracle: the longest time, in seconds, that an answer of the oracle takes.
        gone: the share of checkpoints that are not there any more when the search is opened again.

    Raises:
        ConfigurationError: a share is not between 0 and 1, or they add up to more; a time is negative or infinite.
    """

    seed: int = field(default=0, validator=number(0, integer=True))
    bad: float = field(default=1.0, validator=number(0, most=1))
    dies: float = _share()
    hangs: float = _share()
    echoes: float = _share()
    lost: float = _share()
    zygote: float = _share()
    node: float = _share()
    within: float = field(default=10.0, validator=number(0, finite=True))
    late: float = _seconds()
    slow_disk: float = _seconds()
    full_disk: float = _share()
    slow_oracle: float = _seconds()
    gone: float = _share()

    def __attrs_post_init__(self) -> None:
        total = self.dies + self.hangs + self.lost + self.zygote + self.node
        if total > 1:
            raise ConfigurationError(f"Faults(dies + hangs + lost + zygote + node) is at most 1, not {total:g}")

    def is_bad(self, trial: TrialId) -> bool:
        """Whether something can befall this trial that is its own affair."""
        return self.bad > 0 and generator(self.seed, "bad", trial).random() < self.bad

    def fate(self, trial: TrialId, launch: LaunchNumber) -> Fate:
        """What befalls this launch."""
        luck = generator(self.seed, "fate", trial, launch)
        after, drawn, listens, echo = luck.uniform(0, self.within), luck.random(), luck.random() < 0.5, luck.random()
        bad = self.is_bad(trial)
        hears = listens or not bad
        strokes: list[tuple[Stroke, float]] = [("dies", self.dies), ("hangs", self.hangs)] if bad else []
        strokes += [("lost", self.lost), ("zygote", self.zygote), ("node", self.node)]
        echoes = luck.uniform(0, 2 * self.within) if echo < self.echoes else None
        for stroke, share in strokes:
            if drawn < share:
                return Fate(stroke, after, hears, echoes)
            drawn -= share
        return Fate(hears=hears, echoes=echoes)

    def luck(self, *about: int | str) -> random.Random:
        """Where anything else is drawn from."""
        return generator(self.seed, *about)
