"""What one proposal costs after 100, 1,000 and 10,000 trials, beside drawing the same eight values with NumPy alone."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import asynctune as at
from asynctune.oracles.proposer import Proposer
from asynctune.records import Values
from bench.common import table

__all__ = ["SPACE", "show_costs"]

SPACE: Mapping[str, Any] = {
    "rate": at.Float(1e-5, 1e-1, sampling="log"),
    "decay": at.Float(1e-6, 1e-2, sampling="log"),
    "dropout": at.Float(0.0, 0.8),
    "momentum": at.Float(0.5, 0.99),
    "units": at.Int(8, 1024),
    "batch": at.Int(1, 512),
    "activation": at.Choice(["relu", "tanh", "gelu"]),
    "normalize": at.Boolean(),
}
SIZES = (100, 1_000, 10_000)
MOST_TIMES = 5.0  # by which drawing with NumPy alone may be faster than a native oracle
MOST_GROWTH = 1.5  # of a native oracle's proposal, from the fewest trials to the most
NATIVE = ("RandomSearch", "QuasiRandom", "RegularizedEvolution")
_ASKS = 200
_PATIENCE = 20.0  # seconds that the asks of one cell may take


def drawn(luck: Any) -> Values:
    """The eight values, drawn with NumPy alone."""
    import numpy as np

    return {
        "rate": float(np.exp(luck.uniform(np.log(1e-5), np.log(1e-1)))),
        "decay": float(np.exp(luck.uniform(np.log(1e-6), np.log(1e-2)))),
        "dropout": float(luck.uniform(0.0, 0.8)),
        "momentum": float(luck.uniform(0.5, 0.99)),
        "units": int(luck.integers(8, 1025)),
        "batch": int(luck.integers(1, 513)),
        "activation": ("relu", "tanh", "gelu")[luck.integers(3)],
        "normalize": bool(luck.integers(2)),
    }


def proposed(make: Callable[[], at.Oracle], told: int) -> tuple[float, float]:
    """Microseconds for one proposal after so many trials, each told what came of the one before; and, in the same loop, for one
    draw with NumPy: what runs between two proposals empties the processor's caches, for both."""
    import numpy as np

    proposer, luck, space = Proposer(make()), random.Random(0), at.Space.of(SPACE)
    proposer.set_search(objective=at.Objective("y", "min"), seed=0)
    numpys = np.random.default_rng(0)

    def ended(trial: int, values: Values) -> None:
        proposer.on_trial_end(at.TrialView(id=trial, state=at.State.COMPLETED, values=values, score=luck.random(), launches=1))

    for trial in range(told):
        proposer.on_trial_add(trial, values := space.sample(trial))
        ended(trial, values)
    took, floor, began = list[float](), list[float](), time.perf_counter()
    while len(took) < _ASKS and time.perf_counter() - began < _PATIENCE:
        trial, since = told + len(took), time.perf_counter()
        suggestion = proposer.populate_space(trial, space)
        took.append(time.perf_counter() - since)
        assert isinstance(suggestion, at.Suggestion)
        ended(trial, suggestion.values)
        since = time.perf_counter()
        drawn(numpys)
        floor.append(time.perf_counter() - since)
    return statistics.median(took) * 1e6, statistics.median(floor) * 1e6


def show_costs(oracles: Mapping[str, Callable[[], at.Oracle]]) -> int:
    """Print the table; 0 when the native ones hold their targets."""
    rows, floors, missed = list[list[str]](), list[float](), False
    for name, make in oracles.items():
        costs, beside = zip(*(proposed(make, size) for size in SIZES), strict=True)
        floors += beside
        times, growth = max(cost / floor for cost, floor in zip(costs, beside, strict=True)), costs[-1] / costs[0]
        held = name not in NATIVE or (times <= MOST_TIMES and growth <= MOST_GROWTH)
        missed = missed or not held
        target = "" if name not in NATIVE else f"<= {MOST_TIMES:g} times, flat" + ("" if held else " MISSED")
        rows.append([name, *(f"{cost:,.0f}" for cost in costs), f"{times:.1f} times", target])
    rows.insert(0, ["NumPy alone, drawing the values", f"{statistics.median(floors):,.1f}", "", "", "", ""])
    table(["microseconds for one proposal", *(f"{size:,} trials" for size in SIZES), "NumPy's at most", "target"], rows)
    return int(missed)
