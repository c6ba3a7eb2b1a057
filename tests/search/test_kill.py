"""A search that is killed goes on where it was: what was acknowledged is there, what was completed does not run again."""

from __future__ import annotations

import random
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from asynctune._engine.journal import read_records
from asynctune._engine.retelling import retold
from asynctune.records import State
from asynctune.testing.killing import KILL_POINTS, kill_repeatedly, killed_at

pytestmark = pytest.mark.process

TRIALS = 40
# Each step saves a checkpoint, reports, and notes that it was answered. What a launch goes on from must be its own.
SCRIPT = f"""
import contextlib, sys, time
import asynctune as at
from asynctune.testing.killing import killed_at

storage, said, steps, seconds, point, times = sys.argv[1:]

def train(trial):
    x = trial.hp.Float("x", 0.0, 1.0)
    if (directory := trial.restore()) is not None:
        assert (directory / "step").read_text() == f"{{trial.id}} {{trial.step}}"
    for step in range(trial.step + 1, int(steps) + 1):
        time.sleep(float(seconds))
        with trial.checkpoint() as directory:
            (directory / "step").write_text(f"{{trial.id}} {{step}}")
        trial.report(step=step, loss=x + 1 / step)
        with open(said, "a") as file:
            file.write(f"{{trial.id}} {{trial.launch}} {{step}}\\n")

with killed_at(point, int(times)) if point else contextlib.nullcontext():
    at.run(
        train, objective=at.Objective("loss", "min"), max_trials={TRIALS}, storage=storage, display=False, seed=1,
        executor=at.LocalExecutor(2),
    )
"""
QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.py"


class Killed:
    """A search in a directory of its own, whose every step takes some seconds."""

    def __init__(self, directory: Path, steps: int, seconds: float) -> None:
        directory.mkdir()
        self.storage, self.steps, self._said, self._seconds = directory / "search", steps, directory / "said", seconds
        self._said.touch()

    def command(self, point: str = "", times: int = 0) -> list[str]:
        program = [sys.executable, "-c", SCRIPT, str(self.storage), str(self._said)]
        return [*program, str(self.steps), str(self._seconds), point, str(times)]

    def acknowledged(self) -> Collection[tuple[int, int, int]]:
        lines = [line.split() for line in self._said.read_text().splitlines()]
        return [(int(trial), int(launch), int(step)) for trial, launch, step in lines]

    def kill(self, kills: int, after: tuple[float, float], seed: int) -> int:
        return kill_repeatedly(
            self.command(), self.storage, kills=kills, after=after, seed=seed, acknowledged=self.acknowledged
        )

    def check_whole(self) -> None:
        """It came to its end, its curves have no hole, and being killed cost no trial an attempt."""
        trials = retold(read_records(self.storage)).trials
        assert [(trial.state, trial.attempt) for trial in trials] == [(State.COMPLETED, 1)] * TRIALS
        for trial in trials:
            assert [report.step for report in trial.reports] == list(range(1, self.steps + 1)), f"trial {trial.id}"


def killed_over_and_over(tmp_path: Path, kills: int, after: tuple[float, float], steps: int, seconds: float) -> None:
    """Kill as often as that; as many searches as that takes."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    done = searches = 0
    while done < kills:
        search = Killed(tmp_path / str(searches), steps, seconds)
        done += search.kill(kills - done, after, seed + searches)
        search.check_whole()
        searches += 1


@pytest.mark.fault(8)
def test_killed_at_random_moments_it_finishes(tmp_path: Path) -> None:
    killed_over_and_over(tmp_path, 20, (0.2, 0.8), steps=4, seconds=0.02)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.fault(8)
def test_killed_three_hundred_times_it_finishes(tmp_path: Path) -> None:
    killed_over_and_over(tmp_path, 300, (0.1, 1.0), steps=30, seconds=0.07)


@pytest.mark.fault(8)
def test_killed_at_every_point_it_finishes(tmp_path: Path) -> None:
    plan = [("opened", 1), *((point, times) for times in (1, 6) for point in KILL_POINTS if point not in ("opened", "closing"))]
    search = Killed(tmp_path / "all", 3, 0.0)

    def command(start: int) -> Sequence[str]:
        return search.command(*plan[start]) if start < len(plan) else search.command()

    killed = kill_repeatedly(
        command, search.storage, kills=len(plan), after=None, acknowledged=search.acknowledged, orphans=1.0
    )
    assert killed == len(plan)
    search.check_whole()


@pytest.mark.fault(8)
def test_killed_as_it_closes_it_has_ended(tmp_path: Path) -> None:
    search = Killed(tmp_path / "one", 1, 0.0)
    killed = kill_repeatedly(
        lambda start: search.command("closing", 1) if start == 0 else search.command(), search.storage, kills=1, after=None
    )
    assert killed == 1
    search.check_whole()


def test_a_point_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no point 'nowhere': there are opened, writing"), killed_at("nowhere"):
        pass


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit('no search for me')", "it ended with 1: no search for me"),
        ("import time; time.sleep(60)", "still there"),
    ],
)
def test_a_program_that_does_not_go_on_is_named(tmp_path: Path, program: str, said: str) -> None:
    stray = "import subprocess; subprocess.Popen(['sleep', '3'], start_new_session=True)\n" if said == "still there" else ""
    with pytest.raises(AssertionError, match=said):
        kill_repeatedly([sys.executable, "-c", stray + program], tmp_path, kills=1, after=(0.5, 0.5), orphans=0.1)


def test_a_report_that_was_answered_and_lost_is_named(tmp_path: Path) -> None:
    search = Killed(tmp_path / "one", 1, 0.0)
    with pytest.raises(AssertionError, match=r"step 7 of trial 0, launch 1, was answered and is not recorded"):
        kill_repeatedly(search.command(), search.storage, kills=0, after=None, acknowledged=lambda: [(0, 1, 7)])


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.fault(8)
def test_the_quickstart_killed_ten_times_finishes(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs Keras")
    storage, seed = tmp_path / "runs" / "quickstart", random.randrange(2**32)
    print(f"seed {seed}")
    kill_repeatedly([sys.executable, str(QUICKSTART)], storage, kills=10, after=(2.0, 14.0), seed=seed, cwd=tmp_path)
    trials = retold(read_records(storage)).trials
    assert [(trial.state, trial.attempt) for trial in trials] == [(State.COMPLETED, 1)] * 40


def test_a_search_that_is_not_where_it_should_be_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="there is no search in"):
        kill_repeatedly([sys.executable, "-c", ""], tmp_path / "elsewhere", kills=1, after=(5.0, 5.0))
