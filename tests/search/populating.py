"""The toy problem of Jaderberg et al. (2017), figure 2: a quadratic whose gradient is known only as far as h0 and h1 say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asynctune as at

STEPS = 24
# What a trial can reach at best that learns along one axis alone, as each of the first four does. No two of them are as fast:
# else who is behind, and goes on as another one, would hang on how their scores are rounded.
ALONE = 1.2 - 0.9**2
FIRST = ({"h0": 1.0, "h1": 0.0}, {"h0": 0.0, "h1": 0.8}, {"h0": 0.4, "h1": 0.0}, {"h0": 0.0, "h1": 0.2})
SPACE = {"h0": at.Float(0, 1), "h1": at.Float(0, 1)}


def train(trial: at.Trial) -> Mapping[str, float]:
    """Maximises 1.2 - a² - b² from (0.9, 0.9) by the gradient of 1.2 - h0 a² - h1 b²."""
    a, b = 0.9, 0.9
    if (directory := trial.restore()) is not None:
        a, b = map(float, (directory / "weights").read_text().split())
    score = 1.2 - a**2 - b**2
    for step in range(trial.step + 1, STEPS + 1):
        a -= 0.2 * trial.values["h0"] * a
        b -= 0.2 * trial.values["h1"] * b
        score = 1.2 - a**2 - b**2
        with trial.checkpoint() as directory:
            (directory / "weights").write_text(f"{a!r} {b!r}")
        trial.report(step=step, score=score)
    return {"score": score}


def lived(storage: Path, scheduler: at.Scheduler, **changes: Any) -> at.Result:
    """The search."""
    setup = {"try_first": FIRST, "max_trials": 4, **changes}
    return at.run(
        train,
        space=SPACE,
        objective=at.Objective("score", "max"),
        scheduler=scheduler,
        checkpoints=at.CheckpointPolicy(),
        storage=storage,
        executor=at.LocalExecutor(2),
        display=False,
        seed=1,
        **setup,
    )
