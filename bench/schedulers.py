"""How much sooner schedulers find a good configuration than random search does, on curves that were measured or predicted.

    python -m bench.schedulers [--taskset FOLDER] [--lcbench FOLDER] [--seeds 30] [--workers 1 8] [--tasks N]
                               [--ray PYTHON] [--optuna PYTHON]

For each task: the virtual time until a report is as good as the best hundredth of all configurations are at their last steps,
against random search that trains every configuration to its end, with as many workers and the configurations in the same order.
The pool is finite (1,000 configurations a task on TaskSet, 300 on LCBench). A run that stops whoever would have come to the
target is counted as if it had come there when the pool was through. Over all runs: the geometric mean of the ratios with its
95 % bootstrap interval, their median, how many runs came there; and on how many tasks the scheduler is clearly slower than
random search (the interval of that task's own ratios is below 1).

TaskSet has no runtimes: each step takes one second. LCBench's curves and runtimes are predictions of a surrogate (YAHPO Gym),
not measurements.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from asynctune.schedulers import ASHA, FIFO, HyperBand, MedianStopping
from asynctune.schedulers.base import Scheduler
from asynctune.testing import Table, compare, read_lcbench, read_taskset
from asynctune.testing.comparing import bootstrap
from bench.common import ask, headline, table

_Times = Sequence[tuple[float, bool]]
_PEERS = {
    "Ray Tune, ASHA": ("ray_schedulers", "asha"),
    "Ray Tune, median": ("ray_schedulers", "median"),
    "Optuna, successive halving": ("optuna_pruners", "halving"),
    "Optuna, Hyperband": ("optuna_pruners", "hyperband"),
    "Optuna, median": ("optuna_pruners", "median"),
}


def schedulers(steps: int) -> Mapping[str, Scheduler]:
    """Ours; the first is random search."""
    return {
        "random search": FIFO(),
        "ASHA, promotion": ASHA(max_steps=steps, form="promotion"),
        "ASHA, stopping": ASHA(max_steps=steps),
        "HyperBand": HyperBand(max_steps=steps),
        "median": MedianStopping(),
    }


def runs(workload: Table, workers: int, seeds: int) -> Iterator[tuple[str, _Times]]:
    """Ours: when the target was reached, seed by seed, or when the pool was through."""
    found = compare(workload, schedulers(workload.max_steps), workers=workers, seeds=seeds, to_target=True)
    for name, outcomes in found.runs.items():
        yield name, [(each.took, each.reached is not None) for each in outcomes]


def written(workload: Table, seeds: int, file: Path) -> Path:
    """The curves, and the orders that our seeds draw, for the peers."""
    objective = workload.objective.each[0]
    curves = [list(curve.metrics[objective.name]) for curve in workload.curves]
    takes = [
        [curve.takes] * len(curve) if isinstance(curve.takes, int | float) else list(curve.takes) for curve in workload.curves
    ]
    rows = range(workload.size)
    orders = [[(workload.proposal(trial, seed) or {})["row"] for trial in rows] for seed in range(seeds)]
    told = {"curves": curves, "takes": takes, "orders": orders, "target": workload.target, "direction": objective.direction}
    file.write_text(json.dumps(told))
    return file


def peers_runs(
    workload: Table, workers: int, seeds: int, peers: Mapping[str, str], directory: Path
) -> Iterator[tuple[str, _Times]]:
    """The same, of those whose interpreters were given."""
    file = written(workload, seeds, directory / "curves.json") if peers else directory
    for name, (program, what) in _PEERS.items():
        if program in peers:
            yield name, ask(peers[program], program, what, file=str(file), workers=workers)


def measure(title: str, tasks: Sequence[Table], workers: int, seeds: int, peers: Mapping[str, str]) -> None:
    """Print one table: everybody on these tasks, with so many workers."""
    ratios: dict[str, list[list[float]]] = {}
    reached: dict[str, list[bool]] = {}
    with tempfile.TemporaryDirectory() as directory:
        for workload in tasks:
            first: _Times = ()
            theirs = peers_runs(workload, workers, seeds, peers, Path(directory))
            for name, times in chain(runs(workload, workers, seeds), theirs):
                first = first or times
                ratios.setdefault(name, []).append([one[0] / other[0] for one, other in zip(first, times, strict=True)])
                reached.setdefault(name, []).extend(bool(found) for _, found in times)
    rows = []
    for name, of_tasks in ratios.items():
        every = [ratio for task in of_tasks for ratio in task]
        low, high = bootstrap(every)
        slower = sum(bootstrap(task)[1] < 1 for task in of_tasks)
        mean = statistics.geometric_mean(every)
        rows.append(
            [
                name,
                f"{mean:.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{statistics.median(every):.2f}",
                f"{statistics.fmean(reached[name]):.0%}",
                f"{slower} of {len(of_tasks)}",
            ]
        )
    pool = tasks[0].size
    print(f"\n{title}: {len(tasks)} tasks, a pool of {pool} configurations each, {workers} workers, {seeds} seeds\n")
    table(["scheduler", "times sooner (geometric mean)", "95 % interval", "median", "reached", "clearly slower on"], rows)


def main() -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taskset", type=Path, metavar="FOLDER")
    parser.add_argument("--lcbench", type=Path, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--tasks", type=int, help="only so many of the tasks")
    for name in ("ray", "optuna"):
        parser.add_argument(f"--{name}", metavar="PYTHON", help=f"the interpreter of an environment with {name}")
    given = parser.parse_args()
    if given.taskset is None and given.lcbench is None:
        parser.error("give --taskset, --lcbench, or both")
    peers = {"ray_schedulers": given.ray, "optuna_pruners": given.optuna}
    headline()
    for title, folder, read in (("TaskSet", given.taskset, read_taskset), ("LCBench", given.lcbench, read_lcbench)):
        if folder is not None:
            tasks = list(read(folder).values())[: given.tasks]
            for workers in given.workers:
                measure(title, tasks, workers, given.seeds, {name: python for name, python in peers.items() if python})
    return 0


if __name__ == "__main__":
    sys.exit(main())
