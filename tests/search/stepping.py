"""Trainables that are classes, for processes of their own; in one of these a whole search runs, so that it can be killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asynctune as at
from asynctune.records import Verdicts

STEPS = 8
WEIGHT = at.Objective("weight", "max")


class Forgets(at.Trainable):
    """Adds x to what it has, at each step; so what it has tells which values it had, and when. Writes down what it is asked."""

    def setup(self, config: dict[str, Any]) -> None:
        self.x, self.weight, self.steps = config["x"], 0, 0
        self.note("setup")

    def step(self) -> Mapping[str, Any]:
        self.steps += 1
        self.weight += self.x
        self.note(f"step {self.steps}")
        return {"weight": self.weight, "deep": {"half": self.weight / 2}, "done": self.steps == STEPS}

    def cleanup(self) -> None:
        self.note("cleanup")

    def note(self, what: str) -> None:
        with open(self.trial.directory / "notes", "a", encoding="utf-8") as file:
            file.write(f"{what}\n")


class Adds(Forgets):
    """The same, which can be saved."""

    def save_checkpoint(self, directory: Path) -> None:
        (directory / "state").write_text(f"{self.steps} {self.weight}")
        self.note(f"save {self.steps}")

    def load_checkpoint(self, directory: Path) -> None:
        self.steps, self.weight = map(int, (directory / "state").read_text().split())
        self.note(f"load {self.steps}")


class Dies(Adds):
    """Is killed in the middle of its fifth step, the first time."""

    def step(self) -> Mapping[str, Any]:
        if self.steps == 4 and (self.trial.id, self.trial.launch) == (0, 1):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step()


class TakesItAll(Adds):
    """Takes the search with it: its third step kills the process that searches."""

    def step(self) -> Mapping[str, Any]:
        if self.steps == 2 and (self.trial.id, self.trial.launch) == (0, 1):
            os.kill(self.trial.data["searcher"], signal.SIGKILL)
        return super().step()


class Follows(at.Scheduler):
    """Trial 0 goes on as trial 1, as soon as that has saved its second step; with one more than its x."""

    exploits = True

    def __init__(self) -> None:
        self.source = 0

    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> Verdicts:
        if trial.id == 1:
            self.source = report.step
        elif self.source >= 2 and not trial.lineage:
            return at.Exploit(1)
        return None

    def explore(self, trial: at.TrialView, source: at.TrialView, seed: int) -> Mapping[str, Any]:
        x: Any = source.values["x"]
        return {"x": x + 1}


def lived(storage: Path, trainable: Any = Adds, **options: Any) -> at.Result:
    """A search with two trials, of x=1 and x=10."""
    given: dict[str, Any] = {
        "space": {"x": at.Int(0, 99)},
        "try_first": [{"x": 1}, {"x": 10}],
        "objective": WEIGHT,
        "max_trials": 2,
        "storage": storage,
        "executor": at.LocalExecutor(1),
        "display": False,
        "seed": 1,
        "data": {"searcher": os.getpid()},
        **options,
    }
    return at.run(trainable, given.pop("space"), **given)


def notes(storage: Path, trial: int) -> list[str]:
    """What was asked of a trial's objects."""
    return (storage / "trials" / str(trial) / "notes").read_text(encoding="utf-8").splitlines()
