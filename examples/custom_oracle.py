"""An oracle of your own: one class with one method, that proposes values by what is known of the trials before.

This one draws a few trials at random, then looks around the best that is known, at distances that become shorter.
"""

import math

import asynctune as at
from asynctune.seeds import generator


class NearTheBest(at.Oracle):
    """What it leaves out is drawn, and what was tried already is replaced: no oracle has to see to that."""

    def populate_space(self, trial_id: int, space: at.Space) -> at.Suggestion:
        """Propose values for the trial of this number."""
        best, luck = self.known.best, generator(self.seed, trial_id)
        if best is None or len(self.known.trials) < 8:
            return at.Suggestion.run({})
        values = dict(best.values)
        for name, domain in space.active(values).items():
            place = domain.to_unit(values[name]) + luck.gauss(0, 2 / len(self.known.trials))
            values[name] = domain.from_unit(min(max(place, 0.0), 1.0))
        return at.Suggestion.run(values)


def miss(trial: at.Trial) -> float:
    """How far from its target, at 80 m, a ball lands that is thrown from 2 m up, at this speed and slope."""
    slope, speed = trial.hp.Float("slope", 0.1, 4, sampling="log"), trial.hp.Float("speed", 5, 60)
    across = speed / math.hypot(1, slope)
    up = across * slope
    return abs(across * (up + math.sqrt(up**2 + 4 * 9.81)) / 9.81 - 80)


if __name__ == "__main__":
    for oracle in (at.oracles.RandomSearch(), NearTheBest()):
        result = at.run(miss, objective=at.Objective("miss", "min"), oracle=oracle, max_trials=60, seed=0, display=False)
        print(f"{type(oracle).__name__}: {result.best_trials(1)[0].score:.3f} m")
