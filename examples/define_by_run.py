"""Parameters that depend on parameters: each trial names what it needs, where it needs it, and nothing else belongs to it.

Fits a noisy curve with a polynomial or with a few waves. A polynomial has a degree; each wave has a frequency of its own, and
how many waves there are is a parameter too.
"""

import numpy as np

import asynctune as at


def columns(hp: at.HyperParameters, x: np.ndarray) -> np.ndarray:
    """The functions of x that are added up, one a column."""
    if hp.Choice("kind", ["polynomial", "waves"]) == "polynomial":
        return np.vander(x, hp.Int("degree", 1, 8) + 1)
    waves = [np.ones_like(x)]
    for number in range(hp.Int("waves", 1, 4)):
        frequency = hp.Float(f"frequency_{number}", 0.5, 10.0, sampling="log")
        waves += [np.sin(frequency * x), np.cos(frequency * x)]
    return np.stack(waves, axis=1)


def train(hp: at.HyperParameters) -> float:
    """The error on every second point, of a fit to the others."""
    luck = np.random.default_rng(0)
    x = np.linspace(-2.0, 2.0, 200)
    y = np.sin(3 * x) + 0.5 * np.cos(7 * x) + luck.normal(0.0, 0.1, x.size)
    table = columns(hp, x)
    weights = np.linalg.lstsq(table[::2], y[::2], rcond=None)[0]
    return float(np.mean((table[1::2] @ weights - y[1::2]) ** 2))


if __name__ == "__main__":
    result = at.run(train, objective=at.Objective("error", "min"), max_trials=100, seed=0, display=False)
    for trial in result.best_trials(3):
        print(f"trial {trial.id}: error {trial.score:.4f}, {dict(trial.values)}")
    kinds = {trial.values["kind"]: sorted(trial.values) for trial in result.trials.values()}
    for kind, names in kinds.items():
        print(f"a trial of kind {kind} has {', '.join(names)}")
