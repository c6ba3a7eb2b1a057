"""Train a small table of learning curves, which the tests replay.

    python -m bench.make_curves FILE [--configurations 40] [--epochs 27]

Each row is an MLP of scikit-learn on its digits, trained by SGD with a configuration that is drawn at random; each epoch's
value is the log loss on 450 images that were held back, and its seconds are what that epoch took. A row that diverges is NaN
from there on.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from pathlib import Path
from typing import Any

from asynctune.seeds import generator

_NAMES = ("learning_rate", "momentum", "alpha", "batch", "units")


def drawn(row: int) -> list[float]:
    """The configuration of a row."""
    luck = generator("make_curves", row)
    rate, alpha = 10 ** luck.uniform(-4, 1), 10 ** luck.uniform(-6, 0)
    return [rate, luck.uniform(0, 0.99), alpha, 2 ** luck.randint(5, 8), 2 ** luck.randint(2, 7)]


def curve(hp: list[float], data: Any, epochs: int) -> tuple[list[float], list[float]]:
    """The log loss after each epoch, and the seconds that each took."""
    import numpy as np
    from sklearn.metrics import log_loss
    from sklearn.neural_network import MLPClassifier

    rate, momentum, alpha, batch, units = hp
    x, held, y, wanted = data
    settings = {"learning_rate_init": rate, "momentum": momentum, "alpha": alpha, "batch_size": int(batch)}
    model = MLPClassifier((int(units),), solver="sgd", random_state=0, **settings)
    values, seconds = list[float](), list[float]()
    for _ in range(epochs):
        began = time.perf_counter()
        try:
            if not values or math.isfinite(values[-1]):
                model.partial_fit(x, y, classes=range(10))
            probability = model.predict_proba(held)
            values.append(float(log_loss(wanted, probability)) if np.isfinite(probability).all() else math.nan)
        except ValueError:  # its weights are no numbers any more
            values.append(math.nan)
        seconds.append(time.perf_counter() - began)
    return values, seconds


def main() -> None:
    """Train them all, and write the table."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--configurations", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=27)
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # of overflows: rows may diverge
    x, y = load_digits(return_X_y=True)
    data = train_test_split(x / 16, y, test_size=450, random_state=0, stratify=y)
    hp = [drawn(row) for row in range(given.configurations)]
    curves = [curve(each, data, given.epochs) for each in hp]
    np.savez_compressed(
        given.file,
        metric="log_loss",
        direction="min",
        hp_names=list(_NAMES),
        hp=np.array(hp),
        values=np.array([values for values, _ in curves], dtype=np.float32),
        seconds=np.array([seconds for _, seconds in curves], dtype=np.float32),
    )
    print(f"{given.file}: {given.configurations} configurations, {given.epochs} epochs, {given.file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
