"""A scheduler of your own: it is shown a trial and its report, and says what becomes of the trial."""

import asynctune as at


class Behind(at.Scheduler):
    """Stops a trial that is by `margin` worse than the best that any had at the same step, `grace` steps on or later."""

    def __init__(self, margin: float, grace: int = 3) -> None:
        self.margin, self.grace, self.best = margin, grace, dict[int, float]()

    def on_trial_result(self, trial: at.TrialView, report: at.Report) -> at.Stop | None:
        """Judge one report. None means: go on."""
        loss = self.objective.loss(report.metrics[self.objective.name])  # less is better, NaN is worst
        best = self.best[report.step] = min(loss, self.best.get(report.step, loss))
        if report.step < self.grace or loss <= best + self.margin:
            return None
        return at.Stop(f"{loss:.3g} at step {report.step}, where another trial had {best:.3g}")

    def settings(self) -> dict[str, float]:
        """What makes it judge as it does: its fingerprint in the journal."""
        return {"margin": self.margin, "grace": self.grace}


def train(trial: at.Trial) -> None:
    """Roll down a hill, in steps of a size that may be too small, or too large."""
    rate, place = trial.hp.Float("rate", 1e-3, 1.2, sampling="log"), 1.0
    for _ in range(30):
        place -= rate * 2 * place
        trial.report(loss=place**2)


if __name__ == "__main__":
    loss = at.Objective("loss", "min")
    result = at.run(train, objective=loss, scheduler=Behind(margin=0.5), max_trials=40, seed=0, display=False)
    stopped = [trial for trial in result.trials.values() if trial.stop_reason]
    print(f"{len(stopped)} of 40 trials were stopped, and {sum(t.step for t in result.trials.values())} of 1200 steps taken")
    print(stopped[0].stop_reason if stopped else "none")
