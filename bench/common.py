"""What every bench needs: turns, medians, the peers' programs, a word on the machine, tables that can be copied into the
documentation."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

__all__ = [
    "PEERS",
    "Ahead",
    "Pair",
    "ask",
    "busy_cores",
    "headline",
    "in_rounds",
    "in_turns",
    "machine",
    "peers_environment",
    "peers_parser",
    "percentile",
    "show",
    "show_ahead",
    "spread",
    "table",
]

_BUSY = "import os; os.nice(5); print(flush=True)\nwhile True: pass"
PEERS = {"keras_tuner": "KerasTuner", "ray": "Ray Tune", "optuna": "Optuna"}
# A thread for each trial of one core, as asynctune gives it; and no word to anybody about how Ray is used.
_ENVIRONMENT = {
    **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONPATH": str(Path(__file__).parents[1]),
}


@frozen
class Pair:
    """A measurement beside its floor, both in the same unit, more is better unless `less` is.

    The median ratio is to meet the target; with `every`, that of every turn.
    """

    name: str
    unit: str
    ours: Sequence[float]
    floor: Sequence[float]
    target: float
    less: bool = False
    every: bool = False

    @property
    def ratios(self) -> list[float]:
        """Ours to the floor, turn by turn."""
        return [ours / floor for ours, floor in zip(self.ours, self.floor, strict=True)]

    @property
    def holds(self) -> bool:
        """Whether the target is met."""
        ratios = self.ratios if self.every else [statistics.median(self.ratios)]
        return max(ratios) <= self.target if self.less else min(ratios) >= self.target


@frozen
class Ahead:
    """A peer's measurement beside ours, both in the same unit, more is better unless `less` is.

    Args:
        target: by how many times ours is to be better; None where nothing was promised.
    """

    name: str
    unit: str
    theirs: Sequence[float]
    ours: Sequence[float]
    target: float | None = None
    less: bool = False

    @property
    def ratios(self) -> list[float]:
        """How many times better ours is, turn by turn."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return [theirs / ours if self.less else ours / theirs for ours, theirs in pairs]

    @property
    def holds(self) -> bool:
        """Whether the median ratio meets the target, if there is one."""
        return self.target is None or statistics.median(self.ratios) >= self.target


def in_turns(turns: int, ours: Callable[[], float], floor: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Run the two in turns, after one round of each that does not count."""
    ours(), floor()
    pairs = [(ours(), floor()) for _ in range(turns)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def in_rounds(rounds: int, runs: Mapping[str, Callable[[], float]], *, warm: bool = True) -> dict[str, list[float]]:
    """Run each of them once a round; `warm`: after a round that does not count."""
    if warm:
        for run in runs.values():
            run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(run())
    return taken


def peers_parser(text: str | None) -> argparse.ArgumentParser:
    """A parser that knows the peers: each is measured if the interpreter of an environment that has it is given."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, title in PEERS.items():
        text = f"the interpreter of an environment with {title}, to measure it too"
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="PYTHON", help=text)
    return parser


def peers_environment() -> dict[str, str]:
    """The environment that every system is measured in."""
    return {**os.environ, **_ENVIRONMENT}


def ask(python: str, peer: str, program: str, **given: Any) -> Any:
    """What a program of `bench/peers` answers, run by the peer's interpreter.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    command = [python, "-m", f"bench.peers.with_{peer}", program, json.dumps(given)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=peers_environment())
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def busy_cores() -> Iterator[None]:
    """Two processes that compute, niced as our runners are."""
    with ExitStack() as ended:
        for _ in range(2):
            busy = ended.enter_context(subprocess.Popen([sys.executable, "-c", _BUSY], stdout=subprocess.PIPE))
            ended.callback(busy.kill)
            assert busy.stdout is not None
            busy.stdout.readline()
        yield


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def machine() -> str:
    """The machine in one line."""
    load = os.getloadavg()[0]
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    return f"{os.cpu_count()} cores, {system}, load {load:.2f}"


def headline() -> None:
    """Say what runs where."""
    program = f"bench.{Path(sys.argv[0]).stem}"
    print(machine())
    print(f"command: {' '.join(['python -m', program, *sys.argv[1:]])}\n")


def spread(values: Sequence[float]) -> str:
    """The median, and the lowest and the highest if there are several."""
    median = f"{statistics.median(values):,.3g}"
    return median if len(values) == 1 else f"{median} ({min(values):,.3g} to {max(values):,.3g})"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def show_ahead(peers: Sequence[Ahead]) -> int:
    """Print a table of the peers; 0 when every target holds."""
    rows = []
    for peer in peers:
        theirs, ours = statistics.median(peer.theirs), statistics.median(peer.ours)
        target = "" if peer.target is None else f">= {peer.target:g}" + ("" if peer.holds else " MISSED")
        rows.append([peer.name, f"{theirs:,.4g} {peer.unit}", f"{ours:,.4g} {peer.unit}", spread(peer.ratios), target])
    print()
    table(["beside", "theirs (median)", "ours (median)", "times ahead: median (lowest to highest)", "target"], rows)
    return 0 if all(peer.holds for peer in peers) else 1


def show(pairs: Sequence[Pair]) -> int:
    """Print a table; 0 when every target holds."""
    headline()
    rows = []
    for pair in pairs:
        ours, floor, ratio = (statistics.median(values) for values in (pair.ours, pair.floor, pair.ratios))
        sign = "<=" if pair.less else ">="
        ratios = f"{ratio:.2f} ({min(pair.ratios):.2f} to {max(pair.ratios):.2f})"
        target = f"{sign} {pair.target:g}" + ("" if pair.holds else " MISSED")
        rows.append([pair.name, f"{ours:,.4g} {pair.unit}", f"{floor:,.4g} {pair.unit}", ratios, target])
    table(["what", "ours (median)", "floor (median)", "ratio: median (lowest to highest)", "target"], rows)
    return 0 if all(pair.holds for pair in pairs) else 1
