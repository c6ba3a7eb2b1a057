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


def drawn(asks: int) -> float:
    """Microseconds for one draw of the eight values with NumPy alone."""
    import numpy as np

    luck = np.random.default_rng(0)
    took = []
    for _ in range(asks):
        began = time.perf_counter()
        {
            "rate": float(np.exp(luck.uniform(np.log(1e-5), np.log(1e-1)))),
            "decay": float(np.exp(luck.uniform(np.log(1e-6), np.log(1e-2)))),
            "dropout": float(luck.uniform(0.0, 0.8)),
            "momentum": float(luck.uniform(0.5, 0.99)),
            "units": int(luck.integers(8, 1025)),
            "batch": int(luck.integers(1, 513)),
            "activation": ("relu", "tanh", "gelu")[luck.integers(3)],
            "normalize": bool(luck.integers(2)),
        }
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6


def proposed(make: Callable[[], at.Oracle], told: int) -> float:
    """Microseconds for one proposal after so many trials; each is told what came of the one before."""
    proposer, luck, space = Proposer(make()), random.Random(0), at.Space.of(SPACE)
    proposer.set_search(objective=at.Objective("y", "min"), seed=0)

    def ended(trial: int, values: Values) -> None:
        proposer.on_trial_end(at.TrialView(id=trial, state=at.State.COMPLETED, values=values, score=luck.random(), launches=1))

    for trial in range(told):
        proposer.on_trial_add(trial, values := space.sample(trial))
        ended(trial, values)
    took, began = list[float](), time.perf_counter()
    while len(took) < _ASKS and time.perf_counter() - began < _PATIENCE:
        trial, since = told + len(took), time.perf_counter()
        suggestion = proposer.populate_space(trial, space)
        took.append(time.perf_counter() - since)
        assert isinstance(suggestion, at.Suggestion)
        ended(trial, suggestion.values)
    return statistics.median(took) * 1e6


def show_costs(oracles: Mapping[str, Callable[[], at.Oracle]]) -> int:
    """Print the table; 0 when the native ones hold their targets."""
    floor = drawn(5_000)
    rows, missed = [["NumPy alone, drawing the values", f"{floor:,.1f}", "", "", "", ""]], False
    for name, make in oracles.items():
        costs = [proposed(make, size) for size in SIZES]
        times, growth = max(costs) / floor, costs[-1] / costs[0]
        held = name not in NATIVE or (times <= MOST_TIMES and growth <= MOST_GROWTH)
        missed = missed or not held
        target = "" if name not in NATIVE else f"<= {MOST_TIMES:g} times, flat" + ("" if held else " MISSED")
        rows.append([name, *(f"{cost:,.0f}" for cost in costs), f"{times:.1f} times", target])
    table(["microseconds for one proposal", *(f"{size:,} trials" for size in SIZES), "NumPy's at most", "target"], rows)
    return int(missed)
