"""How much sooner schedulers find a good configuration than random search does, on curves that were measured or predicted.

    python -m bench.schedulers [--taskset FOLDER] [--lcbench FOLDER] [--seeds 30] [--workers 1 8] [--tasks N]
                               [--only NAME ...] [--kept FILE] [--ray PYTHON] [--optuna PYTHON]

For each task: the virtual time until a report is as good as the best hundredth of all configurations are at their last steps,
against random search that trains every configuration to its end, with as many workers and the configurations in the same order.

The pool is finite (1,000 configurations a task on TaskSet, 300 on LCBench) and each is tried once. A run that stops whoever
would have come to the target is counted as if it had come there when its pool was through; `reached` says how many did come.

"Times sooner" is random search's mean time to the scheduler's mean time, on each task, and the geometric mean of that over the
tasks; the 95 % interval is a bootstrap over the seeds. "Run by run" is the geometric mean of the ratios of single runs with the
same order: that one counts a run in which random search was lucky at once as much as one in which it took very long. A
scheduler is clearly slower on a task if the interval of its ratio there is below 1.

TaskSet has no runtimes: each step takes one second. LCBench's curves and runtimes are predictions of a surrogate (YAHPO Gym),
not measurements. Pauses cost nothing here, and every step is saved. Peers whose schedulers only stop trials are replayed
through the same curves, in the same orders; with `--kept`, what was measured is kept in a file and not measured again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from asynctune.schedulers import ASHA, FIFO, HyperBand, MedianStopping
from asynctune.schedulers.base import Scheduler
from asynctune.testing import Table, compare, read_lcbench, read_taskset
from asynctune.testing.comparing import interval, speed_up
from bench.common import ask, headline, table

_Times: TypeAlias = list[tuple[float, bool]]  # seed by seed: when the target was reached, or the pool was through
_RANDOM = "random search"
_OURS: Mapping[str, Callable[[int], Scheduler]] = {
    _RANDOM: lambda _: FIFO(),
    "ASHA, promotion": lambda steps: ASHA(max_steps=steps, form="promotion"),
    "ASHA, promotion, grace=2": lambda steps: ASHA(max_steps=steps, form="promotion", grace=2),
    "ASHA, promotion, factor=4": lambda steps: ASHA(max_steps=steps, form="promotion", factor=4),
    "ASHA, stopping": lambda steps: ASHA(max_steps=steps),
    "HyperBand": lambda steps: HyperBand(max_steps=steps),
    "median": lambda _: MedianStopping(),
}
_PEERS = {
    "Ray Tune, ASHA": ("ray", "asha"),
    "Ray Tune, median": ("ray", "median"),
    "Optuna, successive halving": ("optuna", "halving"),
    "Optuna, Hyperband": ("optuna", "hyperband"),
    "Optuna, median": ("optuna", "median"),
}
_PROGRAMS = {"ray": "ray_schedulers", "optuna": "optuna_pruners"}


class Kept:
    """What was measured, by what, where and how; in a file, if there is one. `peers` are the interpreters of those that measure
    by themselves."""

    def __init__(self, file: Path | None, peers: Mapping[str, str]) -> None:
        self._file, self.peers = file, peers
        lines = file.read_text().splitlines() if file is not None and file.exists() else []
        self._found: dict[str, _Times] = dict(map(json.loads, lines))

    def get(self, key: Sequence[Any]) -> _Times | None:
        """The times, if they are known."""
        return self._found.get(json.dumps(key))

    def put(self, key: Sequence[Any], times: _Times) -> None:
        """These are the times."""
        self._found[json.dumps(key)] = times
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(json.dumps([json.dumps(key), times]) + "\n")


def ours(name: str, workload: Table, workers: int, seeds: int) -> _Times:
    """Those of a scheduler of ours, on one task."""
    schedulers = {name: _OURS[name](workload.max_steps)}
    (outcomes,) = compare(workload, schedulers, workers=workers, seeds=seeds, to_target=True).runs.values()
    return [(each.took, each.reached is not None) for each in outcomes]


def written(tasks: Sequence[Table], seeds: int, file: Path) -> Path:
    """The curves, and the orders that our seeds draw, for the peers."""
    file.write_text(json.dumps([_told(workload, seeds) for workload in tasks]))
    return file


def _told(workload: Table, seeds: int) -> Mapping[str, Any]:
    objective = workload.objective.each[0]
    curves = [list(curve.metrics[objective.name]) for curve in workload.curves]
    takes = [
        [curve.takes] * len(curve) if isinstance(curve.takes, int | float) else list(curve.takes) for curve in workload.curves
    ]
    rows = range(workload.size)
    orders = [[(workload.proposal(trial, seed) or {})["row"] for trial in rows] for seed in range(seeds)]
    return {"curves": curves, "takes": takes, "orders": orders, "target": workload.target, "direction": objective.direction}


def measured(
    tasks: Sequence[Table], workers: int, seeds: int, names: Sequence[str], kept: Kept
) -> Iterator[tuple[str, list[_Times]]]:
    """Each scheduler's times, task by task."""
    for name in names:
        keys = [[task.name, str(task.objective), workers, seeds, name] for task in tasks]
        missing = [(key, task) for key, task in zip(keys, tasks, strict=True) if kept.get(key) is None]
        if name in _OURS:
            for key, task in missing:
                kept.put(key, ours(name, task, workers, seeds))
        elif missing:
            peer, what = _PEERS[name]
            with tempfile.TemporaryDirectory() as directory:
                file = written([task for _, task in missing], seeds, Path(directory) / "curves.json")
                answers: Any = ask(kept.peers[peer], _PROGRAMS[peer], what, file=str(file), workers=workers)
            for (key, _), times in zip(missing, answers, strict=True):
                kept.put(key, times)
        yield name, [kept.get(key) or [] for key in keys]


def row(name: str, first: Sequence[_Times], times: Sequence[_Times]) -> list[str]:
    """A scheduler's line, against random search's times."""
    tasks = [[(one, two) for (one, _), (two, _) in zip(*runs, strict=True)] for runs in zip(first, times, strict=True)]
    low, high = interval(tasks)
    single = statistics.geometric_mean(one / two for runs in tasks for one, two in runs)
    reached = statistics.fmean(found for runs in times for _, found in runs)
    slower = sum(interval([runs])[1] < 1 for runs in tasks)
    told = [f"{speed_up(tasks):.2f}", f"{low:.2f} to {high:.2f}", f"{single:.2f}", f"{reached:.0%}"]
    return [name, *told, f"{slower} of {len(tasks)}"]


def main() -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taskset", type=Path, metavar="FOLDER")
    parser.add_argument("--lcbench", type=Path, metavar="FOLDER")
    parser.add_argument("--metric", default="val_accuracy", help="of LCBench; val_accuracy, if not given")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--tasks", type=int, help="only so many of the tasks")
    parser.add_argument("--only", nargs="+", choices=[*_OURS, *_PEERS], help="these schedulers, beside random search")
    parser.add_argument("--kept", type=Path, metavar="FILE")
    for name in _PROGRAMS:
        parser.add_argument(f"--{name}", metavar="PYTHON", help=f"the interpreter of an environment with {name}")
    given = parser.parse_args()
    if given.taskset is None and given.lcbench is None:
        parser.error("give --taskset, --lcbench, or both")
    peers = {name: getattr(given, name) for name in _PROGRAMS if getattr(given, name)}
    known = [*_OURS, *(name for name, (peer, _) in _PEERS.items() if peer in peers)]
    names = [name for name in known if name == _RANDOM or given.only is None or name in given.only]
    headline()
    kept = Kept(given.kept, peers)
    lcbench = f"LCBench, {given.metric}", given.lcbench, partial(read_lcbench, metric=given.metric)
    for title, folder, read in (("TaskSet", given.taskset, read_taskset), lcbench):
        tasks = [] if folder is None else list(read(folder).values())[: given.tasks]
        for workers in given.workers if tasks else ():
            found = dict(measured(tasks, workers, given.seeds, names, kept))
            pool = f"{len(tasks)} tasks, a pool of {tasks[0].size:,} configurations each"
            print(f"\n{title}: {pool}, {workers} workers, {given.seeds} seeds\n")
            head = ["scheduler", "times sooner", "95 % interval", "run by run", "reached", "clearly slower on"]
            table(head, [row(name, found[_RANDOM], times) for name, times in found.items()])
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
