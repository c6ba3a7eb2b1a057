"""How late your event loop gets while a Keras search of two workers runs: a ticker of 5 ms in the same loop.

    python -m bench.loop_lag [--turns 3] [--trials 24] [--epochs 5] [--keras-tuner PYTHON] [--ray PYTHON] [--optuna PYTHON]

The floor is a loop with nothing else to do, on a machine whose cores are as busy: two processes that compute, niced as our
runners are. KerasTuner, Optuna (two jobs) and Ray Tune block, so they run in `asyncio.to_thread`. Imports, the executor's
opening and Ray's own start come before the first tick.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import asynctune as at
from asynctune.keras import ReportCallback
from bench.common import ask, busy_cores, headline, peers_parser, spread, table
from bench.digits import PRELOAD, fit
from bench.keras_digits import SPACE
from bench.ticker import QUANTILES, lateness, quantiles

# Milliseconds.
MOST_OVER_IDLE_P99 = 1.0
MOST_P999 = 20.0
OURS, IDLE = "asynctune", "an idle loop beside two busy processes"


def ours(trials: int, epochs: int) -> list[float]:
    """Milliseconds by which each tick was late, from the start of the search to its result."""

    def train(trial: at.Trial) -> dict[str, float]:
        return {"val_accuracy": fit(trial.values, epochs, [ReportCallback(trial)])}

    async def main() -> list[float]:
        with tempfile.TemporaryDirectory() as directory:
            async with at.LocalExecutor(2, preload=PRELOAD) as executor:
                searching = at.search(
                    train, SPACE, objective="val_accuracy", max_trials=trials, seed=0, storage=directory, executor=executor
                )
                return await lateness(searching)

    return asyncio.run(main())


def idle(seconds: float) -> list[float]:
    """The same, beside two processes that compute."""
    with busy_cores():
        return asyncio.run(lateness(asyncio.sleep(seconds)))


def peers(
    keras_tuner: str | None, ray: str | None, optuna: str | None, work: Mapping[str, Any]
) -> dict[str, Callable[[], Any]]:
    """Those whose interpreters were given."""
    pythons = {"Optuna, 2 jobs": ("optuna", optuna), "KerasTuner": ("keras_tuner", keras_tuner), "Ray Tune": ("ray", ray)}
    return {name: partial(ask, python, peer, "loop_lag", **work) for name, (peer, python) in pythons.items() if python}


def measure(turns: int, trials: int, epochs: int, runs: Mapping[str, Callable[[], Any]]) -> dict[str, list[dict[str, float]]]:
    """The quantiles of everybody's turns; an idle turn is as long as ours was."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in (IDLE, OURS, *runs)}
    for _ in range(turns):
        began = time.perf_counter()
        found[OURS].append(quantiles(ours(trials, epochs)))
        found[IDLE].append(quantiles(idle(time.perf_counter() - began)))
        for name, run in runs.items():
            found[name].append(quantiles(run()))
    return found


def show(found: Mapping[str, Sequence[Mapping[str, float]]]) -> int:
    """Print the table; 0 when our targets hold."""
    headline()
    rows = []
    for name, turns in found.items():
        ahead = [theirs["p99.9"] / mine["p99.9"] for theirs, mine in zip(turns, found[OURS], strict=True)]
        cells = [spread([turn[quantile] for turn in turns]) for quantile in QUANTILES]
        rows.append([name, *cells, "" if name == OURS else spread(ahead)])
    ticks = "ms late: median of the turns (lowest to highest)"
    table([f"in the loop ({ticks})", *QUANTILES, "their p99.9 to ours"], rows)
    overs = [mine["p99"] - floor["p99"] for mine, floor in zip(found[OURS], found[IDLE], strict=True)]
    tails = [mine["p99.9"] for mine in found[OURS]]
    over, tail = statistics.median(overs), statistics.median(tails)
    holds = over <= MOST_OVER_IDLE_P99 and tail <= MOST_P999
    print(f"\np99 over the idle loop's: {spread(overs)} ms (target: the median <= {MOST_OVER_IDLE_P99:g})")
    print(f"p99.9: {spread(tails)} ms (target: the median <= {MOST_P999:g})" + ("" if holds else "\nMISSED"))
    return 0 if holds else 1


def main() -> int:
    """Measure, and print the table."""
    parser = peers_parser(__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    space = at.Space.of(SPACE)
    work = {"values": [space.sample(seed) for seed in range(given.trials)], "epochs": given.epochs}
    runs = peers(given.keras_tuner, given.ray, given.optuna, work)
    return show(measure(given.turns, given.trials, given.epochs, runs))


if __name__ == "__main__":
    sys.exit(main())
