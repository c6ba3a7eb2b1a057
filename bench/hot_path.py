"""Where the time goes: a profile of the engine's thread and of the event loop, in a search that has nothing to wait for.

    python -m bench.hot_path [--trials 4000] [--rows 10] [--of trials]

`--of trials`: trials that do nothing, in eight processes that are used again. `--of reports`: one trial that reports. What is
listed is each function's own time, without that of what it calls, in microseconds a trial or report; waiting is left out.
Profiled code is slower, small functions most of all: read the shares, not the sums.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Any, cast

import asynctune as at
from bench.common import headline, table

_ENGINE = "asynctune-engine"
_WAITING = ("poll", "get", "select")
_ROOT = Path(__file__).parents[1]


async def search(count: int, directory: str, *, reports: bool) -> None:
    """The search that is profiled."""

    def train(trial: at.Trial) -> float:
        for step in range(1, count + 1 if reports else 1):
            trial.report(step=step, loss=1.0)
        return 1.0

    async with at.LocalExecutor(8, isolation="worker") as executor:
        await at.search(
            train, {"x": at.Float(0, 1)}, objective=at.Objective("loss", "min"), max_trials=1 if reports else count, seed=0,
            storage=directory, executor=executor,
        )  # fmt: skip


def profiled(count: int, thread: str, *, reports: bool) -> cProfile.Profile:
    """The profile of the engine's thread, or of the loop's."""
    profile = cProfile.Profile()

    def begin(frame: FrameType, event: str, argument: Any) -> None:
        sys.setprofile(None)
        if threading.current_thread().name == _ENGINE:
            profile.enable()

    with tempfile.TemporaryDirectory() as directory:
        work = search(count, directory, reports=reports)
        if thread == "loop":
            profile.runcall(asyncio.run, work)
            return profile
        threading.setprofile(begin)
        try:
            asyncio.run(work)
        finally:
            threading.setprofile(None)
    return profile


def rows(profile: cProfile.Profile, count: int, most: int) -> list[list[str]]:
    """The dearest functions."""
    stats = cast("dict[tuple[str, int, str], tuple[int, int, float, float, Any]]", cast("Any", pstats.Stats(profile)).stats)
    spent = {place: entry for place, entry in stats.items() if not any(f"'{name}' of" in place[2] for name in _WAITING)}
    whole = sum(entry[2] for entry in spent.values())
    dearest = sorted(spent.items(), key=lambda item: -item[1][2])[:most]
    return [
        [_called(place), f"{entry[1] / count:.2f}", f"{entry[2] / count * 1e6:.1f}", f"{entry[2] / whole:.1%}"]
        for place, entry in dearest
    ]


def _called(place: tuple[str, int, str]) -> str:
    path, line, name = place
    if path == "~":
        return f"`{name.strip('<>')}`"
    where = Path(path)
    return f"`{name}` in {where.relative_to(_ROOT) if where.is_relative_to(_ROOT) else where.name}:{line}"


def main() -> int:
    """Profile, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--of", choices=("trials", "reports"), default="trials")
    given = parser.parse_args()
    if sys.version_info >= (3, 12):
        parser.error("from Python 3.12 on a profile is of every thread: run this with Python 3.11")
    headline()
    profiled(100, "loop", reports=given.of == "reports")  # what is done once, at first use
    for thread in ("engine", "loop"):
        profile = profiled(given.trials, thread, reports=given.of == "reports")
        unit = given.of.removesuffix("s")
        table([f"the {thread}'s thread", f"calls a {unit}", f"us a {unit}", "share"], rows(profile, given.trials, given.rows))
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
