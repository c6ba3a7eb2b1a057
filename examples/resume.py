"""A search that is killed with `kill -9`, and goes on where it was.

The program starts itself once more, as the victim. When that has trial 3 half done, it is killed, and the same search is
opened again: what was completed is not run again, and what was interrupted goes on from its newest checkpoint. Each time that
you run it, the victim begins anew.
"""

import asyncio
import json
import subprocess
import sys
import time

import asynctune as at
from asynctune.events import Finished, Reported, SearchOpened, Started

STORAGE, STEPS = "runs/resume", 20


def train(trial: at.Trial) -> None:
    """Twenty slow steps, with a checkpoint at each."""
    rate, loss, start = trial.hp.Float("rate", 0.5, 0.99), 1.0, trial.restore()
    if start is not None:
        loss = json.loads((start / "loss.json").read_text())
    for step in range(trial.step + 1, STEPS + 1):
        time.sleep(0.03)  # the work
        loss *= rate
        with trial.checkpoint(step=step) as directory:
            (directory / "loss.json").write_text(json.dumps(loss))
        trial.report(step=step, loss=loss)


async def search(*, anew: bool) -> None:
    """Open the search, and tell its story from its first event on, to its end."""
    loss, executor = at.Objective("loss", "min"), at.LocalExecutor(2)
    opened = at.Search(train, objective=loss, max_trials=8, storage=STORAGE, overwrite=anew, executor=executor, seed=0)
    async with opened as running:
        async for event in running.events():
            for happened in event.happened:
                if isinstance(happened, SearchOpened):
                    print(f"opened, number {happened.times}", flush=True)
                elif isinstance(happened, Reported) and happened.step == STEPS // 2:
                    print(f"trial {happened.trial} is half done", flush=True)
                elif isinstance(happened, Finished):
                    print(f"trial {happened.trial} completed in launch {happened.launch}", flush=True)
                elif isinstance(happened, Started) and happened.launch > 1:
                    print(f"trial {happened.trial} goes on behind step {happened.step}", flush=True)


def kill_one() -> None:
    """Start the search in a process of its own, and kill that in the middle of trial 3."""
    with subprocess.Popen([sys.executable, __file__, "victim"], stdout=subprocess.PIPE, text=True) as victim:
        for line in victim.stdout or ():
            print("victim:", line, end="")
            if line == "trial 3 is half done\n":
                break
        victim.kill()


if __name__ == "__main__":
    is_victim = sys.argv[1:] == ["victim"]
    if not is_victim:
        kill_one()
        print("killed; the story of the search, when it is opened again:")
    asyncio.run(search(anew=is_victim))
