"""A trial that runs a command, in whatever language, and reports what the command prints. It ends with the trial.

The command here is a few lines of Python. It prints its loss at each step; and where its rate is too high it hangs, until the
limit on the time of a trial ends it.
"""

import subprocess
import sys

import asynctune as at

COMMAND = """
import sys, time
rate, loss = float(sys.argv[1]), 1.0
print("loading", flush=True)
for step in range(1, 11):
    loss *= 1 - rate
    print(f"step={step} loss={loss}", flush=True)
    if rate > 0.8:
        time.sleep(3600)
"""


def train(trial: at.Trial) -> None:
    """Run the command with the trial's values, and report each line that says how it goes."""
    command = [sys.executable, "-c", COMMAND, str(trial.hp.Float("rate", 0.01, 1.0))]
    # What a trial has started is in its session, and is killed with it. `finally` is for a trial that is told to stop: it
    # leaves at `report()`, and a command that nobody reads any more would only be waited for.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout or ():
            words = dict(word.split("=") for word in line.split() if "=" in word)
            if "loss" in words:
                trial.report(step=int(words["step"]), loss=float(words["loss"]))
        code = process.wait()
    finally:
        process.kill()  # does nothing to one that has ended
        process.wait()
    if code != 0:
        raise RuntimeError(f"the command ended with exit code {code}")


if __name__ == "__main__":
    result = at.run(
        train,
        objective=at.Objective("loss", "min"),
        scheduler=at.schedulers.MedianStopping(),
        limits=at.Limits(trial_time=1.5, grace=0.5),
        failure=at.FailurePolicy(max_consecutive_failed_trials=None),
        max_trials=20,
        executor=at.LocalExecutor(2),
        seed=0,
        display=False,
    )
    for trial in result.trials.values():
        how = trial.stop_reason or (trial.failure.message if trial.failure else "ran to its end")
        print(f"trial {trial.id}: {trial.state.value}, step {trial.step}, {how}")
