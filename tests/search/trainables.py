"""Trainables in a module of their own, which runners import."""

from __future__ import annotations

import time

import asynctune as at


def square(trial: at.Trial) -> float:
    x = trial.hp.Float("x", -1.0, 1.0)
    return x * x


def steps(trial: at.Trial) -> None:
    x = trial.hp.Float("x", 0.0, 1.0)
    for step in range(1, 6):
        trial.report(step=step, loss=x + 1 / step)


def slow_steps(trial: at.Trial) -> None:
    x = trial.hp.Float("x", 0.0, 1.0)
    for step in range(1, 11):
        time.sleep(0.02)
        trial.report(step=step, loss=x + 1 / step)


def stubborn(trial: at.Trial) -> float:
    """Does not listen: it can only be killed."""
    trial.hp.Float("x", 0.0, 1.0)
    while True:
        try:
            time.sleep(60)
        except BaseException:  # noqa: BLE001, S112
            continue
