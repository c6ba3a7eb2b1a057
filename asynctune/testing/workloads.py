"""What simulated trials do: the curve of every configuration, and the seconds that each of its steps takes.

A workload says nothing of schedulers, workers or luck on the way; that is the `Simulator`'s.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from asynctune._engine.journal import read_records
from asynctune._engine.record import Record
from asynctune._engine.retelling import retold
from asynctune.errors import ConfigurationError
from asynctune.events import Reported, Started
from asynctune.objective import Goal, as_objective
from asynctune.records import LaunchNumber, TrialId, TrialView, Values
from asynctune.seeds import fill_seed, generator
from asynctune.space import Int, Space

__all__ = ["Curve", "Synthetic", "Table", "Workload"]

_EVEN = 1.0  # seconds of a step, where nobody has measured them


@frozen
class Curve:
    """What one configuration reports, step by step, and how long that takes.

    Args:
        metrics: by name, the values of its reports, in order; as many of each. NaN and infinities are reported as they are.
        takes: seconds from each report to the next, the first from the start; one number where all take as long.
        steps: of the reports; 1, 2, ... if empty.

    Raises:
        ConfigurationError: there is no report, the lengths differ, steps do not increase from 1 at least, or a time is negative
            or not finite.
    """

    metrics: Mapping[str, Sequence[float]]
    takes: Sequence[float] | float = _EVEN
    steps: Sequence[int] = ()

    def __attrs_post_init__(self) -> None:
        lengths = {len(values) for values in self.metrics.values()}
        if len(lengths) != 1 or not min(lengths):
            raise ConfigurationError(f"Curve(metrics=...) takes values of each metric, as many of each, not {sorted(lengths)}")
        times = [self.takes] * len(self) if isinstance(self.takes, int | float) else self.takes
        if len(times) != len(self) or not all(math.isfinite(each) and each >= 0 for each in times):
            raise ConfigurationError(f"Curve(takes=...) takes {len(self)} numbers of seconds, or one, not {self.takes!r}")
        if len(self.steps) not in (0, len(self)) or not all(a < b for a, b in pairwise((0, *self.steps))):
            raise ConfigurationError(f"Curve(steps=...) takes {len(self)} steps that increase from 1 on, not {self.steps!r}")

    def __len__(self) -> int:
        return len(next(iter(self.metrics.values())))

    @property
    def last(self) -> int:
        """The last step."""
        return self.steps[-1] if self.steps else len(self)


class Workload(ABC):
    """What there is to tune.

    Attributes:
        name: for tables and plots.
        objective: the metric that is wanted.
        space: the parameters, for oracles and for the journal.
        max_steps: the length of the longest curve.
        target: the value that comparisons measure the time to; None where nobody knows what is good.
    """

    name: str
    objective: Goal
    space: Space
    max_steps: int
    target: float | None = None

    @abstractmethod
    def curve(self, values: Values) -> Curve:
        """What a trial with these values does. The same whenever it is asked."""

    def proposal(self, trial: TrialId, seed: int) -> Values | None:
        """The values of trial number `trial` where no oracle is asked, or None when there are no more. Drawn from the space, by
        itself, as random search draws them; the same configuration may come twice."""
        return self.space.sample(fill_seed(seed, trial))

    @property
    def size(self) -> int | None:
        """How many configurations there are, where that is finite: so many trials can be proposed."""
        return None


def _space(given: Any) -> Space:
    return Space.of(given)


@define(kw_only=True, eq=False, slots=False)
class Synthetic(Workload):
    """Curves that a function makes.

    Args:
        function: from the values of a trial to its `Curve`; a plain function of its argument.
        space: as `search()` takes it.
        objective: the metric, as `search()` takes it.
        max_steps: the length of the longest curve.
        target: the value that comparisons measure the time to, if one is known.
        name: for tables and plots.
    """

    function: Callable[[Values], Curve]
    space: Space = field(converter=_space)
    objective: Goal = field(converter=as_objective)
    max_steps: int
    target: float | None = None
    name: str = "synthetic"

    def curve(self, values: Values) -> Curve:
        """What the function says."""
        return self.function(values)


@define(kw_only=True, eq=False, slots=False)
class Table(Workload):
    """Curves that were measured, or predicted, once: a pool of configurations, each tried at most once in a run, in an order
    that the seed draws. The one parameter is `row`, the configuration's number.

    Args:
        curves: one for each configuration.
        configurations: what each row stands for; for readers.
        objective: the metric; its value at the last step of a curve is what the configuration is worth.
        name: for tables and plots.
        best: which share of the configurations is good enough: `target` is the value that this share of all curves reach or
            pass at their last steps. By default one in a hundred.

    Raises:
        ConfigurationError: there is no curve, or none ends with a finite value.
    """

    curves: Sequence[Curve]
    objective: Goal = field(converter=as_objective)
    configurations: Sequence[Values] = ()
    name: str = "table"
    best: float = 0.01
    _orders: dict[int, list[int]] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        if not self.curves:
            raise ConfigurationError("Table(curves=...) takes at least one curve")
        self.space = Space.of({"row": Int(0, max(1, len(self.curves) - 1))})
        self.max_steps = max(curve.last for curve in self.curves)
        ends = sorted(loss for curve in self.curves if math.isfinite(loss := self._loss(curve)))
        if not ends:
            raise ConfigurationError("Table(curves=...): no curve ends with a finite value of the objective")
        loss = ends[min(len(ends), math.ceil(self.best * len(self.curves))) - 1]
        self.target = loss if self.objective.loss(1.0) > 0 else 0.0 - loss

    def _loss(self, curve: Curve) -> float:
        score = self.objective.score([{name: values[-1] for name, values in curve.metrics.items()}])
        return math.inf if score is None else self.objective.loss(score)

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self.curves)

    def curve(self, values: Values) -> Curve:
        """That of the row."""
        row = values["row"]
        if not isinstance(row, int) or not 0 <= row < len(self.curves):
            raise ConfigurationError(f"{self.name} has rows 0 to {len(self.curves) - 1}, and no row {row!r}")
        return self.curves[row]

    def proposal(self, trial: TrialId, seed: int) -> Values | None:
        """The next row of the order that the seed draws."""
        if trial >= len(self.curves):
            return None
        if seed not in self._orders:
            order = list(range(len(self.curves)))
            generator(seed, "order").shuffle(order)
            self._orders = {seed: order}
        return {"row": self._orders[seed][trial]}

    @classmethod
    def recorded(cls, directory: str | Path, name: str | None = None) -> Table:
        """The trials of a search that was recorded, each a row: its surviving reports, and the seconds between them, from the
        start of the launch that made them; without the time that it was parked.

        Args:
            directory: the `storage=` of the search.
            name: for tables and plots; the directory's, if None.

        Raises:
            StorageError: there is no search, or it cannot be read.
            ConfigurationError: no trial has reported.
        """
        records = read_records(Path(directory))
        told = retold(records)
        trials = [trial for trial in told.trials if trial.reports]
        if told.settings is None or not trials:
            raise ConfigurationError(f"{directory}: no trial has reported, so there is no curve to replay")
        took = _measured(records)
        return cls(
            curves=[_replayed(trial, took) for trial in trials],
            configurations=[dict(trial.values) for trial in trials],
            objective=told.settings.objective,
            name=name or Path(directory).name,
        )


def _measured(records: Iterable[Record]) -> dict[tuple[TrialId, LaunchNumber, int], float]:
    """The seconds that each step of each launch took: since its last report, or since it began, or went on, after that."""
    clocks, took = dict[tuple[TrialId, LaunchNumber], float](), dict[tuple[TrialId, LaunchNumber, int], float]()
    for record in records:
        # In the order in which it happened: one that is parked at a report may go on in the same moment.
        for event in record.happened:
            if isinstance(event, Reported):
                launch = (event.trial, event.launch)
                took[*launch, event.step] = record.stimulus.at - clocks[launch]
                clocks[launch] = record.stimulus.at
            elif isinstance(event, Started):
                clocks[event.trial, event.launch] = record.stimulus.at
    return took


def _replayed(trial: TrialView, took: Mapping[tuple[TrialId, LaunchNumber, int], float]) -> Curve:
    names = set[str].intersection(*(set(report.metrics) for report in trial.reports))
    metrics = {name: [report.metrics[name] for report in trial.reports] for name in sorted(names)}
    takes = [took[trial.id, report.launch, report.step] for report in trial.reports]
    return Curve(metrics, takes, [report.step for report in trial.reports])
