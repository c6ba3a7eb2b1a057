"""What it costs to begin: to import each library, and from the start of an interpreter to the first line of the first trial.

    python -m bench.startup [--turns 5] [--keras-tuner PYTHON] [--ray PYTHON] [--optuna PYTHON]

The first trial does nothing, and is durable where the library can be. With Ray Tune Ray's own start is counted here, and with
KerasTuner the import of Keras and TensorFlow, without which it cannot be imported. The floor of ours is an interpreter that
imports the same modules, and forks.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bench.common import PEERS, Ahead, Pair, ask, in_rounds, peers_parser, show, show_ahead
from bench.report import first_trial, floor_trial

_IMPORT = """
import json, sys, time
before = set(sys.modules)
began = time.perf_counter()
exec(sys.argv[1])
print(json.dumps([time.perf_counter() - began, len(set(sys.modules) - before)]))
"""
# Its front door is lazy: this asks for all that a search needs.
_OURS = "import asynctune as at; at.run, at.search, at.Search, at.LocalExecutor, at.Objective, at.Float"
_THEIRS = {"keras_tuner": "import keras_tuner", "ray": "from ray import tune", "optuna": "import optuna"}


def imported(python: str, statement: str) -> tuple[float, float]:
    """(milliseconds that importing takes, how many modules are loaded by it)."""
    done = subprocess.run([python, "-c", _IMPORT, statement], check=True, capture_output=True, text=True)
    seconds, modules = json.loads(done.stdout.splitlines()[-1])
    return seconds * 1e3, modules


def import_time(python: str, statement: str) -> float:
    """Only the milliseconds."""
    return imported(python, statement)[0]


def first(python: str, peer: str) -> float:
    """Milliseconds from the start of a peer's interpreter to the first line of its first trial."""
    began = time.clock_gettime(time.CLOCK_MONOTONIC)
    return float(ask(python, peer, "first") - began) * 1e3


def measure(turns: int, pythons: Mapping[str, str], directory: Path) -> int:
    """In turns: ours, the floor, everybody else."""
    runs: dict[str, Callable[[], float]] = {
        "import, asynctune": partial(import_time, sys.executable, _OURS),
        "first, asynctune": lambda: first_trial(directory) * 1e3,
        "floor": lambda: floor_trial(directory) * 1e3,
    }
    for peer, python in pythons.items():
        runs[f"import, {peer}"] = partial(import_time, python, _THEIRS[peer])
        runs[f"first, {peer}"] = partial(first, python, peer)
    taken = in_rounds(turns, runs)
    status = show([Pair("start to first trial", "ms", taken["first, asynctune"], taken["floor"], 2.0, less=True)])
    modules = imported(sys.executable, _OURS)[1]
    ahead = []
    for peer, python in pythons.items():
        count = imported(python, _THEIRS[peer])[1]
        title = PEERS[peer]
        ahead.append(Ahead(f"{title}: modules imported", "", [count], [modules], less=True))
        for what, words in (("import", "import"), ("first", "start to first trial")):
            ahead.append(Ahead(f"{title}: {words}", "ms", taken[f"{what}, {peer}"], taken[f"{what}, asynctune"], less=True))
    return status | show_ahead(ahead) if ahead else status


def main() -> int:
    """Measure, and print the tables."""
    parser = peers_parser(__doc__)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    pythons = {peer: getattr(given, peer) for peer in _THEIRS if getattr(given, peer)}
    with tempfile.TemporaryDirectory() as directory:
        return measure(given.turns, pythons, Path(directory))


if __name__ == "__main__":
    sys.exit(main())
