"""What a scheduler's word on a report costs, and how fast whole searches are simulated.

    python -m bench.scheduler_costs [--searches 500x10000 10000x100000] [--ray PYTHON]

The first table: microseconds of processor time for one call of `on_trial_result`, when so many trials have come to the rung
(for the median, have reported the step) before, beside its floor: one whose `on_trial_result` does nothing but `bisect.insort`
into a sorted list of that length. The losses come in random order. Each figure is the median of 5 rounds of 1,000 calls.

The second: whole searches through the machine, by ASHA up to step 27 and with a curve from a function, on so many workers.
Events are the stimuli that the machine is told: reports, slots, proposals, ends. The memory is what the process holds more
than before, at its peak, for each trial. Events a second are by processor time.
"""

from __future__ import annotations

import argparse
import gc
import math
import random
import resource
import statistics
import sys
import time
from bisect import insort
from collections.abc import Callable, Mapping
from typing import Any

from asynctune.objective import Objective
from asynctune.policies import FailurePolicy
from asynctune.records import Report, State, TrialView, Values, Verdicts
from asynctune.schedulers import ASHA, MedianStopping, Scheduler
from asynctune.space import Float
from asynctune.testing import Curve, Simulator, Synthetic
from bench.common import ask, headline, table

_SIZES = (100, 1_000, 10_000, 100_000)
_CALLS, _ROUNDS = 1_000, 5
_SCHEDULERS: Mapping[str, Callable[[], Scheduler]] = {
    "ASHA, stopping": lambda: ASHA(max_steps=27),
    "ASHA, promotion": lambda: ASHA(max_steps=27, form="promotion"),
    "median": MedianStopping,
}


class Sorted(Scheduler):
    """The floor: one that keeps the losses sorted, and judges nobody."""

    def __init__(self) -> None:
        self.known: list[float] = []

    def on_trial_result(self, trial: TrialView, report: Report) -> Verdicts:
        """Put it where it belongs."""
        insort(self.known, report.metrics["loss"])
        return None


def of_calls(scheduler: Scheduler, size: int) -> float:
    """Microseconds of a call, when there were `size` before."""
    luck = random.Random(0)
    scheduler.set_search(objective=Objective("loss", "min"))
    shown = [
        (TrialView(number, State.RUNNING, {}), Report(1, {"loss": luck.random()}, 0.0, 1, None))
        for number in range(size + _ROUNDS * _CALLS)
    ]
    for trial, report in shown[:size]:
        scheduler.on_trial_result(trial, report)
    found = []
    for first in range(size, len(shown), _CALLS):
        gc.collect()
        began = time.process_time()
        for trial, report in shown[first : first + _CALLS]:
            scheduler.on_trial_result(trial, report)
        found.append((time.process_time() - began) / _CALLS * 1e6)
    return statistics.median(found)


def calls(ray: str | None) -> None:
    """Print the first table."""
    floors = [of_calls(Sorted(), size) for size in _SIZES]
    rows = [["`bisect.insort` and the call", *(f"{cost:.2f}" for cost in floors), "", ""]]
    for name, made in _SCHEDULERS.items():
        costs = [of_calls(made(), size) for size in _SIZES]
        rows.append(_row(name, costs, floors))
    for name in ("asha", "median") if ray is not None else ():
        sizes = [size for size in _SIZES if size <= (10_000 if name == "asha" else 1_000)]  # it looks at each of them
        found: Any = ask(str(ray), "ray_schedulers", f"{name}_costs", sizes=sizes)
        costs = [float(cost) for cost in found] + [math.nan] * (len(_SIZES) - len(sizes))
        rows.append(_row(f"Ray Tune, {name}", costs, floors))
    print("\nMicroseconds of a call, by the trials before it\n")
    table(["", *(f"{size:,}" for size in _SIZES), "last to 1,000", "times the floor"], rows)


def _row(name: str, costs: list[float], floors: list[float]) -> list[str]:
    known = [cost for cost in costs if not math.isnan(cost)]
    times = [cost / least for cost, least in zip(costs, floors, strict=True) if not math.isnan(cost)]
    shown = ["" if math.isnan(cost) else f"{cost:.2f}" for cost in costs]
    return [name, *shown, f"{known[-1] / known[1]:.2f}", f"{min(times):.1f} to {max(times):.1f}"]


def falling(values: Values) -> Curve:
    """A curve whose end is its parameter."""
    end = values["x"]
    assert isinstance(end, float)
    return Curve({"loss": [end + 1 / step for step in range(1, 28)]}, takes=1.0 + end)


def searched(workers: int, trials: int) -> list[str]:
    """One line of the second table."""
    workload = Synthetic(function=falling, space={"x": Float(0, 1)}, objective=Objective("loss", "min"), max_steps=27)
    failure = FailurePolicy(max_consecutive_failed_trials=None)
    simulator = Simulator(workload=workload, scheduler=ASHA(max_steps=27), workers=workers, max_trials=trials, failure=failure)
    before, began, busy = _memory(), time.perf_counter(), time.process_time()
    done = simulator.run()
    wall, cpu, held = time.perf_counter() - began, time.process_time() - busy, _memory() - before
    told = [f"{trials:,}", f"{workers:,}", f"{done.events:,}", f"{done.occupied:.1%}", f"{wall:.1f} s", f"{cpu:.1f} s"]
    return [*told, f"{done.events / cpu:,.0f}", f"{held / trials:,.0f} B"]


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Measure, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", nargs="*", default=["500x10000", "10000x100000"], metavar="WORKERSxTRIALS")
    parser.add_argument("--ray", metavar="PYTHON", help="the interpreter of an environment with Ray Tune")
    given = parser.parse_args()
    headline()
    rows = [searched(*map(int, each.split("x"))) for each in given.searches]
    if rows:
        print("\nWhole searches\n")
        head = [
            "trials",
            "workers",
            "events",
            "workers' time used",
            "wall",
            "processor",
            "events/s of processor",
            "memory a trial",
        ]
        table(head, rows)
        sys.stdout.flush()
    calls(given.ray)
    return 0


if __name__ == "__main__":
    sys.exit(main())
