"""Schedulers side by side on a workload: how long each takes to what is good, and how far it is from the best at any time."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from attrs import frozen

from asynctune.errors import ConfigurationError
from asynctune.objective import Goal
from asynctune.policies import FailurePolicy
from asynctune.schedulers.base import Scheduler
from asynctune.seeds import generator
from asynctune.testing.conditions import Conditions
from asynctune.testing.simulator import Simulation, Simulator
from asynctune.testing.workloads import Workload

__all__ = ["Comparison", "Outcome", "compare", "interval", "speed_up"]

_Pairs: TypeAlias = Sequence[tuple[float, float]]

_RESAMPLES = 1000
_POINTS = 200  # of a line in a plot


@frozen
class Outcome:
    """One run of one scheduler.

    Args:
        seed: of the run.
        reached: when a report was first as good as the target; None if none was.
        at: when it ended. A run that misses the target is counted as if it had reached it then.
        steps: how many steps were trained.
        path: see `Simulation`.
    """

    seed: int
    reached: float | None
    at: float
    steps: int
    path: Sequence[tuple[float, float]]

    @property
    def took(self) -> float:
        """Seconds to the target, or to the end."""
        return self.at if self.reached is None else self.reached

    @classmethod
    def of(cls, seed: int, done: Simulation, target: float | None) -> Outcome:
        """What came of a run."""
        return cls(seed, None if target is None else done.reached(target), done.at, done.steps, done.path)


@frozen
class Comparison:
    """Runs of several schedulers over the same seeds; the first is what the others are held against.

    Args:
        name: the workload's. objective, target: its.
        workers: how many trials ran at once.
        runs: by scheduler.
    """

    name: str
    objective: Goal
    target: float | None
    workers: int
    runs: Mapping[str, Sequence[Outcome]]

    def pairs(self, scheduler: str) -> list[tuple[float, float]]:
        """Seed by seed, the seconds that the first scheduler takes to the target, and those that this one takes."""
        first = self.runs[next(iter(self.runs))]
        return [(one.took, other.took) for one, other in zip(first, self.runs[scheduler], strict=True)]

    @property
    def best(self) -> float:
        """The best loss that any run has seen."""
        losses = (self.objective.loss(run.path[-1][1]) for runs in self.runs.values() for run in runs if run.path)
        return min(losses, default=math.inf)

    def regret(self, scheduler: str, at: float) -> float:
        """The median over the runs of how much worse the best report by then was than the best that any run has seen; infinite
        before the first."""
        found = []
        for run in self.runs[scheduler]:
            place = bisect_right(run.path, at, key=lambda point: point[0])
            found.append(self.objective.loss(run.path[place - 1][1]) - self.best if place else math.inf)
        return statistics.median(found)

    def table(self) -> Iterator[str]:
        """One line for each scheduler, below a head."""
        head = (
            "scheduler",
            "to the target",
            "times sooner",
            "95 % interval",
            "reached",
            "regret at the end",
            "steps",
            "ends at",
        )
        rows = [head, *(self._row(name) for name in self.runs)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        target = "no target is known" if self.target is None else f"target {self.target:.6g}"
        runs = len(next(iter(self.runs.values())))
        yield f"{self.name}: {self.objective}, {target}; {self.workers} workers, {runs} runs of each"
        for row in rows:
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

    def _row(self, scheduler: str) -> tuple[str, ...]:
        runs, pairs = self.runs[scheduler], self.pairs(scheduler)
        told = self.target is not None and all(one > 0 and other > 0 for one, other in pairs)
        low, high = interval([pairs]) if told else (math.nan, math.nan)
        return (
            scheduler,
            f"{statistics.fmean(run.took for run in runs):,.4g} s" if told else "",
            f"{speed_up([pairs]):.2f}" if told else "",
            f"{low:.2f} to {high:.2f}" if told else "",
            f"{sum(run.reached is not None for run in runs)} of {len(runs)}" if told else "",
            f"{self.regret(scheduler, math.inf):.4g}",
            f"{statistics.fmean(run.steps for run in runs):,.0f}",
            f"{statistics.fmean(run.at for run in runs):,.4g} s",
        )

    def plot(self, file: str | Path) -> None:
        """Draw the regret of each against virtual time, both axes logarithmic, into a file whose name says its format.

        Raises:
            ConfigurationError: Matplotlib is not installed, or the file cannot be written as what it is named.
        """
        try:
            from matplotlib.figure import Figure  # noqa: PLC0415 -- an extra
        except ImportError:
            message = "to draw a plot, Matplotlib is needed: pip install 'asynctune[plot]'"
            raise ConfigurationError(message) from None
        figure: Any = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        for name in self.runs:
            axes.plot(*self.line(name), label=name, drawstyle="steps-post")
        axes.set(xscale="log", yscale="log", xlabel="virtual time in seconds", ylabel="regret (median)")
        axes.set_title(f"{self.name}, {self.workers} workers")
        axes.legend()
        try:
            figure.savefig(file)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"the plot cannot be written to {file}: {error}") from error

    def line(self, scheduler: str) -> tuple[list[float], list[float]]:
        """The times, evenly spaced on a logarithmic axis, and the regret at each; where it is finite and above 0."""
        ends = [run.at for runs in self.runs.values() for run in runs]
        begins = [run.path[0][0] for runs in self.runs.values() for run in runs if run.path and run.path[0][0] > 0]
        low, high = min(begins, default=1.0), max(ends, default=1.0)
        times = [low * (high / low) ** (place / (_POINTS - 1)) for place in range(_POINTS)]
        points = [(at, regret) for at in times if 0 < (regret := self.regret(scheduler, at)) < math.inf]
        return [at for at, _ in points], [regret for _, regret in points]


def speed_up(tasks: Sequence[_Pairs]) -> float:
    """How many times sooner one is than the other: the mean of its times to the mean of the other's, on each task, and the
    geometric mean of that over the tasks.

    Args:
        tasks: for each of them, run by run, the seconds that the other takes and those that the one takes, both above 0.
    """
    return statistics.geometric_mean(math.fsum(one for one, _ in runs) / math.fsum(two for _, two in runs) for runs in tasks)


def interval(tasks: Sequence[_Pairs], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of `speed_up`, by the percentiles of 1,000 resamples of the runs of each task (Efron, 1979)."""
    luck = generator(seed, "bootstrap")
    found = sorted(speed_up([luck.choices(runs, k=len(runs)) for runs in tasks]) for _ in range(_RESAMPLES))
    return found[_RESAMPLES * 25 // 1000], found[_RESAMPLES * 975 // 1000 - 1]


def compare(
    workload: Workload,
    schedulers: Mapping[str, Scheduler],
    *,
    workers: int = 1,
    seeds: int = 10,
    max_trials: int | None = None,
    conditions: Conditions | None = None,
    to_target: bool = False,
) -> Comparison:
    """Run each scheduler with seeds 0, 1, ...: the proposals are the same for all of them, and so is each curve.

    Args:
        schedulers: by the name that the table gives them; the first is what the others are held against.
        seeds: how many runs of each, at least 1.
        workload, workers, max_trials, conditions: see `Simulator`.
        to_target: leave each run when it comes to the target. It is the same until then, and what it costs and finds beyond
            is not known.

    Raises:
        ConfigurationError: there is no scheduler, or no run.
    """
    if not schedulers or seeds < 1:
        raise ConfigurationError("compare() takes at least one scheduler, and seeds=1 at least")
    conditions = Conditions() if conditions is None else conditions
    runs: dict[str, list[Outcome]] = {}
    # A curve that diverges is a bad configuration, and no mistake that should end a search.
    failure = FailurePolicy(max_consecutive_failed_trials=None, non_finite="worst")
    for name, scheduler in schedulers.items():
        runs[name] = []
        for seed in range(seeds):
            simulator = Simulator(
                workload=workload,
                scheduler=scheduler,
                workers=workers,
                seed=seed,
                max_trials=max_trials,
                conditions=conditions,
                failure=failure,
            )
            runs[name].append(Outcome.of(seed, simulator.run(target=workload.target if to_target else None), workload.target))
    return Comparison(workload.name, workload.objective, workload.target, workers, runs)
