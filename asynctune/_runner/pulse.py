"""What a runner shows of itself while it runs: when its launch began, when it reported, whether it waits for the search.

One page of memory, shared by a runner and the zygote that holds it. The runner writes, and nobody is woken: the zygote looks
when a limit may be broken, and answers in the same page that the launch is to stop. So it costs no message, and no loop that is
blocked stands in between. Each runner has a page of its own, so it can deceive about nobody but itself. Times are of the
monotonic clock, which all processes of a machine share; whole nanoseconds, for a word is written at once.
"""

from __future__ import annotations

import mmap
import os
import time

from attrs import frozen

__all__ = ["Beat", "Pulse", "pulse_descriptor"]

_SIZE = mmap.PAGESIZE
_TRIAL, _LAUNCH, _BEGAN, _CALLED, _HEARD, _WAITS, _WAITED, _TOLD_TRIAL, _TOLD_LAUNCH = range(9)


def pulse_descriptor() -> int:
    """A descriptor of a page, for a runner that is a new interpreter."""
    descriptor = os.memfd_create("asynctune-pulse", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, _SIZE)
    return descriptor


@frozen
class Beat:
    """What a pulse shows at one moment. Nanoseconds; 0 for what has not happened.

    Args:
        launch: trial and launch number; None while the process loads, and has none yet.
        began: when the launch, or the loading, began; 0 while the process waits for a launch.
        called: when the trainable was called. heard: when the last report was answered.
        waits: since when it waits for an answer. waited: how long it has waited for others before.
    """

    launch: tuple[int, int] | None
    began: int
    called: int
    heard: int
    waits: int
    waited: int


class Pulse:
    """The page. One object on each side.

    Args:
        descriptor: of the page; of this process and its forks, if None.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._words = memoryview(mmap.mmap(-1 if descriptor is None else descriptor, _SIZE)).cast("q")
        self._words[_TRIAL] = self._words[_TOLD_TRIAL] = -1

    def __repr__(self) -> str:
        return f"<Pulse {self.beat()}>"

    # ------------------------------------------------------------------------------------------------ the runner's side

    def begins(self, trial: int = -1, launch: int = -1) -> None:
        """A launch begins, unless it has begun already; without a trial, the loading does."""
        words = self._words
        words[_CALLED] = words[_HEARD] = words[_WAITS] = words[_WAITED] = 0
        words[_TRIAL], words[_LAUNCH] = trial, launch
        words[_BEGAN] = words[_BEGAN] or time.monotonic_ns()

    def calls(self) -> None:
        """The trainable is called now."""
        self._words[_CALLED] = time.monotonic_ns()

    def waits(self) -> None:
        """It has reported, and waits for the answer."""
        self._words[_WAITS] = time.monotonic_ns()

    def goes_on(self) -> None:
        """It has the answer, or waits for none any more."""
        words, now = self._words, time.monotonic_ns()
        # In this order: whoever looks in between may excuse it for too long, and never for too short a time.
        words[_HEARD] = now
        if words[_WAITS]:
            words[_WAITED] += now - words[_WAITS]
            words[_WAITS] = 0

    @property
    def is_told(self) -> bool:
        """Whether the launch was told to stop; not one before it."""
        words = self._words
        return (words[_TOLD_TRIAL], words[_TOLD_LAUNCH]) == (words[_TRIAL], words[_LAUNCH])

    def rests(self) -> None:
        """It waits for a launch."""
        self._words[_BEGAN] = 0

    # ------------------------------------------------------------------------------------------------ the zygote's side

    def tell(self, trial: int, launch: int) -> None:
        """Tell a launch to stop."""
        self._words[_TOLD_LAUNCH] = launch
        self._words[_TOLD_TRIAL] = trial

    def beat(self) -> Beat:
        """What it shows now."""
        trial, launch, began, called, heard, waits, waited = self._words[:7].tolist()
        return Beat(None if trial < 0 else (trial, launch), began, called, heard, waits, waited)
