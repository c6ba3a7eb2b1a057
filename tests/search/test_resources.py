"""ResourceChanging, with processes: who is left goes on with what the others had."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import asynctune as at
from asynctune.events import Finished, Reallocated
from asynctune.testing import check_history

pytestmark = pytest.mark.process

STEPS = {0: 5, 1: 2}


class Counts(at.Trainable):
    """Counts its steps. Trial 0 waits in its second until somebody opens the gate."""

    def setup(self, config: Mapping[str, Any]) -> None:
        self.done = 0

    def step(self) -> Mapping[str, Any]:
        self.done += 1
        if self.trial.id == 0 and self.done == 2:
            with open(self.trial.data["gate"], "rb", buffering=0) as gate:
                gate.read(1)
        seen = {"cores": self.trial.resources.cpu, "threads": int(os.environ["OMP_NUM_THREADS"]), "pid": os.getpid()}
        return {"loss": 1 / self.done, "steps": self.done, "done": self.done == STEPS[self.trial.id], **seen}

    def save_checkpoint(self, directory: Path) -> None:
        (directory / "done").write_text(str(self.done))

    def load_checkpoint(self, directory: Path) -> None:
        self.done = int((directory / "done").read_text())


async def test_the_last_trial_goes_on_with_all_cores(tmp_path: Path) -> None:
    def scheduler() -> at.Scheduler:
        return at.schedulers.ResourceChanging(total=at.Resources(cpu=2), trials=2)

    os.mkfifo(tmp_path / "gate")
    gate = os.open(tmp_path / "gate", os.O_RDWR)  # both ends: so that nobody waits to open it, and nothing written is lost
    happened: list[Any] = []
    async with at.Search(
        Counts,
        objective=at.Objective("loss", "min"),
        scheduler=scheduler(),
        max_trials=2,
        executor=at.LocalExecutor(2, isolation="trial"),
        storage=tmp_path / "search",
        data={"gate": str(tmp_path / "gate")},
        seed=0,
    ) as search:
        async for event in search.events():
            happened += event.happened
            if any(isinstance(what, Finished) and what.trial == 1 for what in event.happened):
                os.write(gate, b".")
        result = await search.result()
    os.close(gate)
    left, ended = result.trials[0], result.trials[1]
    assert [(what.trial, what.resources) for what in happened if isinstance(what, Reallocated)] == [(0, at.Resources(cpu=2))]
    assert (left.launches, left.resources, ended.launches, ended.resources) == (2, at.Resources(cpu=2), 1, None)
    assert [report.metrics["cores"] for report in ended.reports] == [1, 1]
    assert [report.metrics["cores"] for report in left.reports] == [1, 1, 2, 2, 2]
    assert [report.metrics["steps"] for report in left.reports] == [1, 2, 3, 4, 5]  # from its checkpoint, and no step twice
    most = min(2, len(os.sched_getaffinity(0)))
    assert [report.metrics["threads"] for report in left.reports] == [1, 1, most, most, most]
    assert len({report.metrics["pid"] for report in left.reports}) == 2
    check_history(tmp_path / "search", scheduler=scheduler())
