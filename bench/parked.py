"""What parked trials hold, and that `Parking(max_memory=...)` bounds it: small Keras models on digits, set aside in `fit`.

    python -m bench.parked [--trials 12] [--memory "256 MiB"]

Every trial is parked at its first epoch. Whenever one is, what is private to the processes of all that are parked is read from
the kernel, and held against the bound: what is counted is to be true, and those that leave are to make room.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import asynctune as at
from asynctune.events import ParkedGone, Paused, Started
from asynctune.views import SearchView
from bench.common import headline, table

_MiB = 2**20
# A page is written to now and then while a process waits, and one that has just been parked is weighed a moment later.
MOST_ABOVE = 1.1


class ParksAll(at.Scheduler):
    """Sets each trial aside at its first step. When no more come, they go on, the first one first."""

    def __init__(self) -> None:
        self._held: dict[int, None] = {}

    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> Any:
        """Aside, at the first."""
        return at.PAUSE if report.step == 1 else None

    def on_trial_pause(self, trial: at.TrialView, by: str) -> None:
        """One more waits."""
        self._held[trial.id] = None

    def on_trial_resume(self, trial: at.TrialView, by: str) -> None:
        """One fewer does."""
        self._held.pop(trial.id, None)

    def choose_trial_to_run(self, search: SearchView) -> Any:
        """New ones, as long as there are any."""
        return "NEW" if search.growing or not self._held else next(iter(self._held))


def fit(trial: at.Trial) -> None:
    """Train a small model for two epochs."""
    import keras
    from sklearn.datasets import load_digits

    (trial.directory / "pid").write_text(str(os.getpid()))
    x, y = load_digits(return_X_y=True)
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x / 16, y, epochs=2, batch_size=64, verbose=0, callbacks=[at.keras.ReportCallback(trial)])


def private(pid: int) -> int:
    """What a process holds for itself, in bytes; 0 when it is gone."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        return 1024 * sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+) kB", text, re.MULTILINE))
    return 0


async def measured(trials: int, memory: str) -> list[tuple[int, int]]:
    """How many were parked, and what they held together, each time that one was."""
    found, parked = list[tuple[int, int]](), dict[int, None]()
    with tempfile.TemporaryDirectory() as directory:
        options: dict[str, Any] = {"objective": "loss", "max_trials": trials, "storage": directory, "seed": 0}
        executor, parking = at.LocalExecutor(1, preload=["keras"]), at.Parking(max_memory=memory)
        async with at.Search(fit, scheduler=ParksAll(), executor=executor, parking=parking, **options) as search:
            async for event in search.events():
                for what in event.happened:
                    if isinstance(what, Paused) and what.parked:
                        parked[what.trial] = None
                    elif isinstance(what, ParkedGone) or (isinstance(what, Started) and what.parked):
                        parked.pop(what.trial, None)
                    elif isinstance(what, Started):  # the last one that was parked has been weighed by now
                        pids = [int((search.directory / "trials" / str(each) / "pid").read_text()) for each in parked]
                        found.append((len(pids), sum(map(private, pids))))
            result = await search.result()
    if not all(trial.step == 2 for trial in result.trials.values()):
        raise RuntimeError(f"not every trial was completed: {result}")
    return found


def main() -> int:
    """Measure, print, and say whether the bound held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--memory", default="256 MiB")
    words = parser.parse_args()
    found = asyncio.run(measured(words.trials, words.memory))
    bound = at.Parking(max_memory=words.memory).max_memory or 0
    number, most = max(found, key=lambda each: each[1])
    holds = most <= MOST_ABOVE * bound
    headline()
    rows = [
        [f"{words.trials} trials of Keras: parked at a time, at most", str(max(count for count, _ in found)), ""],
        ["held by one of them, on average", f"{most / max(number, 1) / _MiB:.0f} MiB", ""],
        ["held by all of them, at most", f"{most / _MiB:.0f} MiB", f"<= {MOST_ABOVE:g} x {words.memory}"],
    ]
    table(["what", "ours", "target"], rows)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
