"""What every bench needs: turns, medians, a word on the machine, a table that can be copied into the documentation."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import sys
from collections.abc import Callable, Sequence

from attrs import frozen

__all__ = ["Pair", "in_turns", "machine", "percentile", "show"]


@frozen
class Pair:
    """A measurement beside its floor, both in the same unit, more is better unless `less` is."""

    name: str
    unit: str
    ours: Sequence[float]
    floor: Sequence[float]
    target: float
    less: bool = False

    @property
    def ratios(self) -> list[float]:
        """Ours to the floor, turn by turn."""
        return [ours / floor for ours, floor in zip(self.ours, self.floor, strict=True)]

    @property
    def holds(self) -> bool:
        """Whether the median ratio meets the target."""
        ratio = statistics.median(self.ratios)
        return ratio <= self.target if self.less else ratio >= self.target


def in_turns(turns: int, ours: Callable[[], float], floor: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Run the two in turns, after one round of each that does not count."""
    ours(), floor()
    pairs = [(ours(), floor()) for _ in range(turns)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def machine() -> str:
    """The machine in one line."""
    load = os.getloadavg()[0]
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    return f"{os.cpu_count()} cores, {system}, load {load:.2f}"


def show(pairs: Sequence[Pair]) -> int:
    """Print a table; 0 when every target holds."""
    print(machine())
    print(f"command: python {' '.join(sys.argv)}\n")
    print("| what | ours (median) | floor (median) | ratio: median (lowest to highest) | target |")
    print("|---|---|---|---|---|")
    for pair in pairs:
        ours, floor, ratio = (statistics.median(values) for values in (pair.ours, pair.floor, pair.ratios))
        sign = "<=" if pair.less else ">="
        spread = f"{ratio:.2f} ({min(pair.ratios):.2f} to {max(pair.ratios):.2f})"
        target = f"{sign} {pair.target:g}" + ("" if pair.holds else " MISSED")
        print(f"| {pair.name} | {ours:,.4g} {pair.unit} | {floor:,.4g} {pair.unit} | {spread} | {target} |")
    return 0 if all(pair.holds for pair in pairs) else 1
