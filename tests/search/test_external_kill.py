"""A program that asks and tells, and is killed: what it was told is there, and what it had told."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from asynctune._engine.journal import read_records
from asynctune._engine.retelling import retold
from asynctune.records import State
from asynctune.testing.killing import KILL_POINTS, kill_repeatedly

pytestmark = pytest.mark.process

TRIALS = 12
SCRIPT = f"""
import asyncio, contextlib, sys
import asynctune as at
from asynctune.testing.killing import killed_at

storage, said, ends, point, times = sys.argv[1:]

def note(path, *words):
    with open(path, "a") as file:
        print(*words, file=file)

async def worker(search):
    while (launch := await search.ask()) is not None:
        if (directory := launch.restore()) is not None:
            assert (directory / "step").read_text() == f"{{launch.trial}} {{launch.step}}"
        x = launch.hp.Float("x", 0.0, 1.0)
        for step in range(launch.step + 1, 4):
            with launch.checkpoint() as directory:
                (directory / "step").write_text(f"{{launch.trial}} {{step}}")
            assert await launch.report(step=step, loss=x + 1 / step)
            note(said, launch.trial, launch.number, step)
        assert await launch.finish()
        note(ends, launch.trial)

async def main():
    goal = at.Objective("loss", "min")
    search = at.Search(objective=goal, max_trials={TRIALS}, storage=storage, seed=1, executor=at.External(lease=60))
    async with search, asyncio.TaskGroup() as workers:
        for _ in range(2):
            workers.create_task(worker(search))
        await search.result()

with killed_at(point, int(times)) if point else contextlib.nullcontext():
    asyncio.run(main())
"""


@pytest.mark.fault(8)
def test_killed_at_every_point_it_finishes(tmp_path: Path) -> None:
    storage, said, ends = tmp_path / "search", tmp_path / "said", tmp_path / "ends"
    said.touch()
    points = [point for point in KILL_POINTS if point not in ("opened", "closing")]
    plan = [("opened", 1), *((point, times) for times in (1, 4) for point in points)]

    def command(start: int) -> Sequence[str]:
        point, times = plan[start] if start < len(plan) else ("", 0)
        return [sys.executable, "-c", SCRIPT, str(storage), str(said), str(ends), point, str(times)]

    def acknowledged() -> Collection[tuple[int, int, int]]:
        lines = [line.split() for line in said.read_text().splitlines()]
        return [(int(trial), int(launch), int(step)) for trial, launch, step in lines]

    killed = kill_repeatedly(command, storage, kills=len(plan), after=None, acknowledged=acknowledged)
    assert killed == len(plan)
    trials = retold(read_records(storage)).trials
    assert [(trial.state, trial.attempt) for trial in trials] == [(State.COMPLETED, 1)] * TRIALS
    assert all([report.step for report in trial.reports] == [1, 2, 3] for trial in trials)
    ended = ends.read_text().split()
    assert len(ended) == len(set(ended)), "what had ended on record was run again"
