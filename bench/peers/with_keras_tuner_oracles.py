"""KerasTuner's oracles, asked and told by hand: no Keras model, no files but its own.

Its Gaussian process is scikit-learn's, which it asks for one point at a time, many thousand times for a proposal. Much of that
is scikit-learn looking at its arguments. `_predict` is the same arithmetic without that: so the proposals are the same, to the
last bit, and come sooner.
"""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import keras_tuner
import numpy as np
import scipy.linalg
from keras_tuner.oracles import BayesianOptimizationOracle, RandomSearchOracle
from scipy.spatial.distance import cdist as distances

from bench.oracle_real import posed
from bench.peers import answer

_ORACLES = {"bayesian": BayesianOptimizationOracle, "random": RandomSearchOracle}


def _declare(parameters: Any, given: Mapping[str, Any]) -> None:
    scope = parameters.conditional_scope(given["parent"], given["parent_values"]) if "parent" in given else nullcontext()
    with scope:
        if given["kind"] == "choice":
            parameters.Choice(given["name"], given["values"])
            return
        declare = parameters.Int if given["kind"] == "int" else parameters.Float
        sampling = "log" if given.get("log") else "linear"
        declare(given["name"], given["low"], given["high"], step=given.get("step"), sampling=sampling)


def _oracle(kind: str, parameters: Any, trials: int, seed: int) -> Any:
    # Its seed 0 means none.
    return _ORACLES[kind](
        keras_tuner.Objective("y", "min"),
        max_trials=trials,
        hyperparameters=parameters,
        seed=seed + 1,
        max_consecutive_failed_trials=trials,
    )


class _Predict:
    """What `predict` of KerasTuner's regressor computes, with its Matern kernel of 5/2 and one length scale."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self._fitted: Any = None

    def __call__(self, x: Any, return_std: bool = False) -> Any:
        process = self._process
        if not hasattr(process, "X_train_"):
            return type(process).predict(process, x, return_std=return_std)
        if self._fitted is not process.alpha_:
            self._fitted = process.alpha_
            self._length = process.kernel_.length_scale
            self._known = process.X_train_ / self._length
            self._root = np.asfortranarray(process.L_)
            self._solve = scipy.linalg.get_lapack_funcs("trtrs", (self._root, x))
        far = distances(x / self._length, self._known) * math.sqrt(5)
        across = (1.0 + far + far**2 / 3.0) * np.exp(-far)
        mean = process._y_train_std * (across @ process.alpha_) + process._y_train_mean  # noqa: SLF001
        if not return_std:
            return mean
        solved, _ = self._solve(self._root, across.T, lower=True)
        variance = np.ones(len(x)) - np.einsum("ij,ji->i", solved.T, solved)
        variance[variance < 0] = 0.0
        return mean, np.sqrt(variance * process._y_train_std**2)  # noqa: SLF001


def play(kind: str, problem: str, trials: int, seed: int) -> dict[str, list[float]]:
    """What each trial observed, the true value of each, and how long its proposal took."""
    setting, luck = posed(problem), random.Random(f"{problem}/{seed}")
    parameters = keras_tuner.HyperParameters()
    for given in setting.parameters:
        _declare(parameters, given)
    found: dict[str, list[float]] = {"observed": [], "true": [], "seconds": []}
    with tempfile.TemporaryDirectory() as directory:
        oracle = _oracle(kind, parameters, trials, seed)
        oracle._set_project_dir(directory, "play")  # noqa: SLF001 -- a tuner does it
        if kind == "bayesian":
            oracle.gpr.predict = _Predict(oracle.gpr)
        while True:
            began = time.perf_counter()
            trial = oracle.create_trial("tuner0")
            took = time.perf_counter() - began
            if trial.status == "STOPPED":
                return found
            values = {
                name: value for name, value in trial.hyperparameters.values.items() if trial.hyperparameters.is_active(name)
            }
            found["true"].append(setting.true(values))
            found["observed"].append(setting.observed(values, luck))
            found["seconds"].append(took)
            oracle.update_trial(trial.trial_id, {"y": found["observed"][-1]})
            trial = oracle.get_trial(trial.trial_id)
            trial.status = "COMPLETED"
            oracle.end_trial(trial)


if __name__ == "__main__":
    answer({"play": play})
