"""Curves replayed on virtual workers, for schedulers that only stop trials: what our simulator does, without it.

Rows are tried in a given order, a new one as soon as a worker is free. A report is judged when its step is over; a trial that
is stopped gives its worker back at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["Judge", "replay", "times"]

Judge: TypeAlias = Callable[[int, int, float], bool]
"""From a trial's number, its step from 1 and its value: whether the trial goes on."""


def replay(
    curves: Sequence[Sequence[float]],
    takes: Sequence[Sequence[float]],
    order: Sequence[int],
    *,
    workers: int,
    target: float,
    sign: int,
    judge: Judge,
    ended: Callable[[int], None],
) -> tuple[float, bool]:
    """When a value was first as good as the target, and True; or when the pool was through, and False.

    Args:
        sign: 1 if less is better, else -1.
        ended: told of each trial that has come to its last step.
    """
    heap: list[tuple[float, int, int]] = []
    started, now = 0, 0.0
    while True:
        while started < len(order) and len(heap) < workers:
            heappush(heap, (now + takes[order[started]][0], started, 0))
            started += 1
        if not heap:
            return now, False
        now, trial, place = heappop(heap)
        row = order[trial]
        value = curves[row][place]
        if sign * value <= sign * target:
            return now, True
        goes_on = judge(trial, place + 1, value)
        if goes_on and place + 1 < len(curves[row]):
            heappush(heap, (now + takes[row][place + 1], trial, place + 1))
        elif goes_on:
            ended(trial)


def times(file: str, workers: int, made: Callable[[int, str, int], tuple[Judge, Callable[[int], None]]]) -> list[Any]:
    """For each task in a file, and each order there: when, and whether, the target was reached.

    Args:
        file: a JSON list of tasks with `curves`, `takes`, `orders`, `target`, and `direction` ("min" or "max"). NaN is written
            so.
        made: makes, from the seed, the direction and the number of steps, the judge of a run, and who is told of ends.
    """
    return [_times(told, workers, made) for told in json.loads(Path(file).read_text())]


def _times(told: Any, workers: int, made: Callable[[int, str, int], tuple[Judge, Callable[[int], None]]]) -> list[Any]:
    sign, steps = (1 if told["direction"] == "min" else -1), max(map(len, told["curves"]))
    common = {"workers": workers, "target": told["target"], "sign": sign}
    answers = []
    for seed, order in enumerate(told["orders"]):
        judge, ended = made(seed, told["direction"], steps)
        answers.append(replay(told["curves"], told["takes"], order, judge=judge, ended=ended, **common))
    return answers
